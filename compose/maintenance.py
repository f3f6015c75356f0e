"""What a maintenance silence matches, and which alerts still come while it holds.

Pure: decides, sends nothing. A silence never covers the loss of the quorum or of the leader: these say that the
maintenance has gone wrong.
"""

from dataclasses import dataclass
from difflib import get_close_matches

from alert_rules.settings import RuleSettings
from compose.alertmanager_api import Matcher
from compose.settings import Settings
from telemetry.scrape.description import AgentRole, Region

NEVER_SILENCED = ("NomadQuorumLost", "NomadNoLeader")
AT_RISK = "NomadQuorumAtRisk"
_CLIENT_ALERTS = ("NomadManyClientsDown",)


class MaintenanceError(ValueError):
    """What is asked for cannot be silenced; one sentence with the value and the remedy."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The silences to add, each a list of matchers with what it is about, and what a person is told."""

    silences: tuple[tuple[str, tuple[Matcher, ...]], ...]
    notes: tuple[str, ...]


def plan_agent(settings: Settings, name: str, region: str | None, *, with_risk: bool) -> Plan:
    """Return the silence of one server or client; *region* says which, where several have one of that name.

    Raises MaintenanceError for a name that is not known, one that is in several regions, and *with_risk* where
    nothing would be at risk.
    """
    found, role = _find(settings, name, region)
    silences = [(name, (Matcher(_label(settings.rules, "instance"), name), *_of_region(settings, found)))]
    if role is AgentRole.CLIENT:
        if with_risk:
            raise MaintenanceError(f"{name} is a client, which no quorum rests on: leave --with-risk out")
        return Plan(tuple(silences), (_still_come(_CLIENT_ALERTS),))
    risk = _risk_of(found, name, with_risk=with_risk)
    if with_risk:
        silences.append(
            (f"the risk to the quorum of {found.name}", (Matcher("alertname", AT_RISK), *_of_region(settings, found)))
        )
    return Plan(tuple(silences), tuple(filter(None, (risk, _still_come(NEVER_SILENCED)))))


def plan_region(settings: Settings, region: str) -> Plan:
    """Return the silence of a whole region's warnings; pages still come."""
    found = _region(settings, region)
    if not _label(settings.rules, "region") and len(settings.description.regions) > 1:
        raise MaintenanceError("the alerts do not say their region, so none can be silenced alone: silence each agent")
    matchers = (
        *_of_region(settings, found),
        # By name as well: an operator may have made them warnings.
        Matcher("severity", "critical", is_equal=False),
        Matcher("alertname", "|".join(NEVER_SILENCED), is_regex=True, is_equal=False),
    )
    return Plan(((f"region {found.name}", matchers),), ("Pages still come, of every kind.",))


def _find(settings: Settings, name: str, region: str | None) -> tuple[Region, AgentRole]:
    regions = settings.description.regions if region is None else (_region(settings, region),)
    found = [
        (each, role) for each in regions for role in AgentRole if name in {target.name for target in each.targets(role)}
    ]
    if not found:
        known = [target.name for each in regions for role in AgentRole for target in each.targets(role)]
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise MaintenanceError(f"there is no server or client {name!r}; {hint}the known ones are {', '.join(known)}")
    if len(found) > 1:
        names = ", ".join(each.name for each, _ in found)
        raise MaintenanceError(f"{name!r} is in the regions {names}; say which with --region")
    return found[0]


def _region(settings: Settings, name: str) -> Region:
    regions = {region.name: region for region in settings.description.regions}
    if name not in regions:
        raise MaintenanceError(f"there is no region {name!r}; the known ones are {', '.join(regions)}")
    return regions[name]


def _risk_of(region: Region, name: str, *, with_risk: bool) -> str:
    """Return what the loss of one server does to *region*, empty for nothing; raise MaintenanceError when *with_risk* asks for nothing."""
    left, quorum = region.expected_servers - 1, region.quorum
    if left < quorum:
        if with_risk:
            raise MaintenanceError(
                f"without {name} region {region.name} has no quorum ({left} of {quorum} servers needed): "
                "--with-risk cannot help, and the page for it is never silenced"
            )
        return (
            f"Without {name} region {region.name} has no quorum ({left} of {quorum} servers needed): "
            "nothing is scheduled meanwhile, and NomadQuorumLost will page."
        )
    if left > quorum:
        if with_risk:
            raise MaintenanceError(
                f"without {name} region {region.name} keeps {left} servers and needs {quorum}, so nothing is at risk: "
                "leave --with-risk out, it would hide the loss of another one"
            )
        return ""
    if with_risk:
        return f"{AT_RISK} of region {region.name} is silenced too: the loss of one more server still pages."
    return (
        f"{AT_RISK} still comes while {name} is down: {left} of {region.expected_servers} servers are just the quorum, "
        "and one more loss stops all writes. Add --with-risk to silence that warning of this region too."
    )


def _still_come(alerts: tuple[str, ...]) -> str:
    return f"Still notified, always: {', '.join(alerts)}."


def _of_region(settings: Settings, region: Region) -> tuple[Matcher, ...]:
    """Return the matchers of the alerts about *region*, by the labels that they have."""
    labels = {_label(settings.rules, "cluster"): settings.cluster, _label(settings.rules, "region"): region.name}
    return tuple(Matcher(name, value) for name, value in labels.items() if name)


def _label(rules: RuleSettings, name: str) -> str:
    return rules.label_names.get(name, name)

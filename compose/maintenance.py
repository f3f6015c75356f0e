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


_AGENTS = (AgentRole.SERVER, AgentRole.CLIENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """What narrows a name down, where several regions or clusters have it; None for all of them."""

    region: str | None = None
    cluster: str | None = None


def plan_agent(settings: Settings, name: str, where: Where, *, with_risk: bool) -> Plan:
    """Return the silence of one server or client; *where* says which, where several have that name.

    Raises MaintenanceError for a name that is not known, one that is in several places, and *with_risk* where nothing
    would be at risk.
    """
    found, role = _find(settings, name, where)
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


def plan_region(settings: Settings, region: str, cluster: str | None = None) -> Plan:
    """Return the silence of a whole region's warnings; pages still come."""
    matching = _regions(settings, Where(region=region, cluster=cluster))
    if len(matching) > 1:
        raise MaintenanceError(f"region {region!r} is in the clusters {_clusters(matching)}; say which with --cluster")
    [found] = matching
    if not _label(settings.rules, "region") and len(settings.description.regions) > 1:
        raise MaintenanceError("the alerts do not say their region, so none can be silenced alone: silence each agent")
    matchers = (
        *_of_region(settings, found),
        # By name as well: an operator may have made them warnings.
        Matcher("severity", "critical", is_equal=False),
        Matcher("alertname", "|".join(NEVER_SILENCED), is_regex=True, is_equal=False),
    )
    return Plan(((f"region {found.name}", matchers),), ("Pages still come, of every kind.",))


def _find(settings: Settings, name: str, where: Where) -> tuple[Region, AgentRole]:
    regions = _regions(settings, where)
    found = [
        (each, role) for each in regions for role in _AGENTS if name in {target.name for target in each.targets(role)}
    ]
    if not found:
        known = [target.name for each in regions for role in _AGENTS for target in each.targets(role)]
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise MaintenanceError(f"there is no server or client {name!r}; {hint}the known ones are {', '.join(known)}")
    if len(found) > 1:
        places = [each for each, _ in found]
        if len({each.cluster for each in places}) > 1:
            raise MaintenanceError(f"{name!r} is in the clusters {_clusters(places)}; say which with --cluster")
        names = ", ".join(each.name for each in places)
        raise MaintenanceError(f"{name!r} is in the regions {names}; say which with --region")
    return found[0]


def _regions(settings: Settings, where: Where) -> list[Region]:
    """Return the regions that *where* leaves; raise MaintenanceError when it names one that is not known."""
    description = settings.description
    if where.cluster is not None and where.cluster not in description.clusters:
        raise MaintenanceError(
            f"there is no cluster {where.cluster!r}; the known ones are {', '.join(description.clusters)}"
        )
    of_cluster = [
        region for region in description.regions if where.cluster in {None, region.cluster or description.cluster}
    ]
    found = [region for region in of_cluster if where.region in {None, region.name}]
    if not found:
        names = dict.fromkeys(region.name for region in of_cluster)
        raise MaintenanceError(f"there is no region {where.region!r}; the known ones are {', '.join(names)}")
    return found


def _clusters(regions: list[Region]) -> str:
    return ", ".join(dict.fromkeys(region.cluster for region in regions))


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
    labels = {
        _label(settings.rules, "cluster"): region.cluster or settings.cluster,
        _label(settings.rules, "region"): region.name,
    }
    return tuple(Matcher(name, value) for name, value in labels.items() if name)


def _label(rules: RuleSettings, name: str) -> str:
    return rules.label_names.get(name, name)

"""Which dashboard each alert opens, and with which of its variables filled.

Here and not beside the dashboards, because the rules carry the address as an annotation. The dashboards take their
uids from here, so that no link can lead nowhere.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from alert_rules.dialect import Dialect

_PAGE = "/d/"


@dataclass(frozen=True, slots=True)
class View:
    """The address of a dashboard: *uid* is what Grafana keeps it under, *variables* are those that a link may fill.

    *title* is what it is called there.
    """

    uid: str
    title: str
    variables: tuple[str, ...] = ()


FLEET = View("outrider-fleet", "Outrider: fleet", ("cluster",))
CLUSTER = View("outrider-cluster", "Outrider: cluster overview", ("cluster", "region"))
RAFT = View("outrider-raft", "Outrider: Raft & quorum", ("cluster", "region", "instance"))
SCHEDULER = View("outrider-scheduler", "Outrider: scheduler & heartbeats", ("cluster", "region"))
CLIENTS = View("outrider-clients", "Outrider: clients & work", ("cluster", "region", "instance"))
TELEMETRY = View("outrider-telemetry", "Outrider: telemetry health", ("cluster", "instance"))
REVIEW = View("outrider-review", "Outrider: fault review", ("cluster", "region"))

VIEWS: Mapping[str, View] = {
    "NomadQuorumLost": CLUSTER,
    "NomadNoLeader": CLUSTER,
    "NomadQuorumAtRisk": CLUSTER,
    "NomadClusterShrunk": CLUSTER,
    "NomadServerDown": CLUSTER,
    "NomadExpectedServersOutdated": FLEET,
    "NomadServerCountUnwise": FLEET,
    "NomadVersionSkew": FLEET,
    "NomadTwoLeaders": RAFT,
    "NomadServerUnhealthy": RAFT,
    "NomadRaftSaturated": RAFT,
    "NomadFollowersSlow": RAFT,
    "NomadCommitSlow": RAFT,
    "NomadRaftLogGrowing": RAFT,
    "NomadFollowerLagging": RAFT,
    "NomadMemberFlapping": RAFT,
    "NomadMemberFailed": RAFT,
    "NomadMembersDisagree": RAFT,
    # What counts events over minutes is read on a time line.
    "NomadLeaderFlapping": REVIEW,
    "NomadLeaseLost": REVIEW,
    "NomadManyClientsDown": CLIENTS,
    "NomadClientDown": CLIENTS,
    "NomadDrainStuck": CLIENTS,
    "NomadClientIneligible": CLIENTS,
    "NomadHeartbeatsMissed": SCHEDULER,
    "NomadHeartbeatsStretched": SCHEDULER,
    "NomadSchedulingSlow": SCHEDULER,
    "NomadEvaluationsStuck": SCHEDULER,
    "NomadPlanQueueBacklog": SCHEDULER,
    "NomadEvaluationBacklog": SCHEDULER,
    "NomadEvaluationsBlocked": SCHEDULER,
    "NomadPlanRejections": SCHEDULER,
    "NomadEvaluationsFailing": SCHEDULER,
    "NomadMetricsMissing": TELEMETRY,
    "NomadScrapeSlow": TELEMETRY,
    "NomadMetricsFrozen": TELEMETRY,
    "NomadCertificateAlmostExpired": TELEMETRY,
    "NomadCertificateExpiring": TELEMETRY,
    "NomadFileDescriptorsLow": TELEMETRY,
    "OutriderExporterDown": TELEMETRY,
    "OutriderPrometheusDown": TELEMETRY,
    "OutriderAlertmanagerDown": TELEMETRY,
    "OutriderConfigRejected": TELEMETRY,
    "OutriderRulesFailing": TELEMETRY,
    "OutriderNotificationsFailing": TELEMETRY,
    "Watchdog": TELEMETRY,
}
"""The dashboard of each alert, by the alert's name."""


def dashboard_link(alert: str, address: str, labels: frozenset[str], dialect: Dialect) -> str:
    """Return the template of the address that *alert* opens; *labels* are those it surely has.

    *address* is what the settings say: where it is that of a dashboard of ours, `https://grafana/d/outrider-cluster`,
    the alert's own takes its place, with variables. Any other page of an operator stays as it is.
    """
    grafana, found, page = address.partition(_PAGE)
    view = VIEWS.get(alert)
    if not found or view is None or page.split("/")[0].split("?")[0] not in _UIDS:
        return address
    query = "&".join(_filled(view, labels, dialect))
    return f"{grafana}{_PAGE}{view.uid}{f'?{query}' if query else ''}"


def _filled(view: View, labels: frozenset[str], dialect: Dialect) -> Iterator[str]:
    for name in view.variables:
        if name in labels and dialect.label(name):
            # A name may hold signs that mean something in an address; `urlquery` is of Go's templates.
            yield f"var-{name}={{{{ $labels.{dialect.label(name)} | urlquery }}}}"


_UIDS = frozenset(view.uid for view in VIEWS.values())

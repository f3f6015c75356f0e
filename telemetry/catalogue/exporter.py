"""What `outrider exporter` says beside a Nomad: the cluster from its API, and the exporter itself.

Series of a server, with the names of our agent's own, stand in the module outrider.
"""

from telemetry.catalogue.metric import Kind, Metric, Presence, Role, Unit

_OURS = "Outrider"


def _read(name: str, unit: Unit, meaning: str, *extra: str) -> Metric:
    return Metric(
        name=name,
        kind=Kind.GAUGE,
        unit=unit,
        labels=("server", *extra),
        exporter=Role.EXPORTER,
        present=Presence.WHILE_READ,
        meaning=meaning,
        source=_OURS,
    )


def _own(name: str, kind: Kind, unit: Unit, meaning: str, *labels: str) -> Metric:
    return Metric(
        name=name,
        kind=kind,
        unit=unit,
        labels=labels,
        exporter=Role.EXPORTER,
        present=Presence.ALWAYS,
        meaning=meaning,
        source=_OURS,
    )


# Of the cluster, each by the state of the server that `server` names; never a series a node, job or allocation.

MEMBERS = _read(
    "outrider_members",
    Unit.COUNT,
    "Members that this server's gossip knows, all federated regions' servers included; alive, failed or left.",
    "status",
)
BOOTSTRAP_EXPECT = _read(
    "outrider_bootstrap_expect",
    Unit.COUNT,
    "How many servers this one's configuration waits for at the first start; 0 where it says none.",
)
AUTOPILOT_HEALTHY = _read(
    "outrider_autopilot_healthy", Unit.BOOLEAN, "1 while the leader's autopilot calls every server healthy."
)
AUTOPILOT_FAILURE_TOLERANCE = _read(
    "outrider_autopilot_failure_tolerance",
    Unit.COUNT,
    "Healthy voters that the leader's autopilot counts beyond a majority.",
)
JOBS = _read(
    "outrider_jobs", Unit.COUNT, "Jobs of all namespaces by status; an unknown status counts as other.", "status"
)
DEPLOYMENTS = _read(
    "outrider_deployments",
    Unit.COUNT,
    "Deployments of all namespaces by status, finished ones until they are collected as garbage.",
    "status",
)
EVALUATIONS = _read(
    "outrider_evaluations",
    Unit.COUNT,
    "Evaluations of all namespaces by status, finished ones until they are collected as garbage.",
    "status",
)

# Of the exporter itself.

INFO = _own("outrider_exporter_info", Kind.GAUGE, Unit.BOOLEAN, "Always 1; its label says what this is.", "version")
SERVERS_WATCHED = _own("outrider_exporter_servers", Kind.GAUGE, Unit.COUNT, "Servers that the exporter watches.")
SERVER_REACHABLE = _own(
    "outrider_exporter_server_reachable",
    Kind.GAUGE,
    Unit.BOOLEAN,
    "1 while the server answered the last poll, be it with an error; 0 before the first.",
    "server",
)
AGE_SECONDS = _own(
    "outrider_exporter_age_seconds",
    Kind.GAUGE,
    Unit.SECONDS,
    "Time since that source was last read from this server; without a success, since the exporter began to watch it.",
    "server",
    "source",
)
SOURCE_AGE_SECONDS = _own(
    "outrider_exporter_source_age_seconds",
    Kind.GAUGE,
    Unit.SECONDS,
    "Time since that source was last read from whichever server; without a success, since the exporter started.",
    "source",
)
SOURCE_DENIED = _own(
    "outrider_exporter_source_denied",
    Kind.GAUGE,
    Unit.BOOLEAN,
    "1 while the last answer about that source was that the token does not allow it.",
    "source",
)
READS_TOTAL = _own(
    "outrider_exporter_reads_total",
    Kind.COUNTER,
    Unit.COUNT,
    "Reads that ended, well or not, by server and source.",
    "server",
    "source",
)
READ_FAILURES_TOTAL = _own(
    "outrider_exporter_read_failures_total",
    Kind.COUNTER,
    Unit.COUNT,
    "Reads that brought nothing: no answer, an error, or a body that cannot be understood.",
    "server",
    "source",
)
READ_SECONDS = _own(
    "outrider_exporter_read_seconds",
    Kind.GAUGE,
    Unit.SECONDS,
    "How long the last read of that source from this server took; 0 before the first.",
    "server",
    "source",
)

"""What a real Nomad cannot say: series of our agent, always present, in base units, sampled at each scrape."""

from telemetry.catalogue.metric import Kind, Metric, Presence, Role, Unit

_OURS = "Outrider"


def _gauge(name: str, unit: Unit, meaning: str, exporter: Role = Role.SERVER, labels: tuple[str, ...] = ()) -> Metric:
    return Metric(
        name=name,
        kind=Kind.GAUGE,
        unit=unit,
        labels=labels,
        exporter=exporter,
        present=Presence.ALWAYS,
        meaning=meaning,
        source=_OURS,
    )


def _total(name: str, meaning: str, exporter: Role, labels: tuple[str, ...] = ()) -> Metric:
    return Metric(
        name=name,
        kind=Kind.COUNTER,
        unit=Unit.COUNT,
        labels=labels,
        exporter=exporter,
        present=Presence.ALWAYS,
        meaning=meaning,
        source=_OURS,
    )


AGENT_INFO = _gauge(
    "outrider_agent_info",
    Unit.BOOLEAN,
    "Always 1; its labels say what this agent is.",
    Role.AGENT,
    ("version", "role", "node", "datacenter"),
)
SERVER_HAS_LEADER = _gauge(
    "outrider_server_has_leader",
    Unit.BOOLEAN,
    "1 while this server has heard a leader within its election timeout, or is one with a live lease.",
)
SERVER_IS_LEADER = _gauge(
    "outrider_server_is_leader", Unit.BOOLEAN, "1 while this server is the leader and its lease is alive."
)
RAFT_TERM = _gauge("outrider_raft_term", Unit.TERM, "The Raft term this server is in.")
RAFT_VOTERS = _gauge("outrider_raft_voters", Unit.COUNT, "Voters in the configuration as this server knows it.")
RAFT_VOTERS_HEALTHY = _gauge(
    "outrider_raft_voters_healthy",
    Unit.COUNT,
    "On the leader, voters heard within the lease, itself included; elsewhere 1 and the leader if one is heard.",
)
RAFT_LAST_CONTACT_SECONDS = _gauge(
    "outrider_raft_last_contact_seconds",
    Unit.SECONDS,
    "Time since this server had contact with a leader, or as leader with a quorum; 0 for a leader of one.",
)
RAFT_TICK_LATENESS_SECONDS = _gauge(
    "outrider_raft_tick_lateness_seconds",
    Unit.SECONDS,
    "How late the Raft thread woke at worst since the last scrape; elections are lost when it nears their timeout.",
)
WORKER_COUNT = _gauge("outrider_workers", Unit.COUNT, "Scheduling workers of this server.")
WORKER_BUSY_COUNT = _gauge("outrider_workers_busy", Unit.COUNT, "Scheduling workers that have an evaluation.")
QUEUE_DEPTH = _gauge(
    "outrider_queue_depth", Unit.COUNT, "Items in one of the server's bounded queues.", Role.SERVER, ("queue",)
)
QUEUE_CAPACITY = _gauge(
    "outrider_queue_capacity", Unit.COUNT, "Items that queue holds at most.", Role.SERVER, ("queue",)
)
TASK_FAILURES_TOTAL = _total(
    "outrider_task_failures_total",
    "Times one of the agent's own tasks or threads ended with an error nobody expected.",
    Role.AGENT,
    ("task",),
)
METRICS_SERIES = _gauge("outrider_metrics_series", Unit.COUNT, "Series that the agent's registry holds.", Role.AGENT)
METRICS_SERIES_REFUSED_TOTAL = _total(
    "outrider_metrics_series_refused_total",
    "Observations that were dropped because the registry already held as many series as it may.",
    Role.AGENT,
)

"""What a real Nomad cannot say: series of our agent, always present, in base units, sampled at each scrape.

Those that `outrider exporter` says too are there for a server while it can read it, as of its last poll.
"""

from telemetry.catalogue.metric import Kind, Metric, Presence, Role, Unit

_OURS = "Outrider"


def _gauge(name: str, unit: Unit, meaning: str, exporter: Role, labels: tuple[str, ...] = ()) -> Metric:
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

# One server. `server` is its node name: an exporter beside a real Nomad says the same of several servers at once.


def _of_server(
    name: str, unit: Unit, meaning: str, extra: tuple[str, ...] = (), exporter: Role = Role.SERVER
) -> Metric:
    return _gauge(name, unit, meaning, exporter, ("server", *extra))


def _of_both(name: str, unit: Unit, meaning: str, extra: tuple[str, ...] = ()) -> Metric:
    return _of_server(name, unit, meaning, extra, Role.SERVER | Role.EXPORTER)


def _server_total(name: str, meaning: str) -> Metric:
    return _total(name, meaning, Role.SERVER, ("server",))


SERVER_HAS_LEADER = _of_both(
    "outrider_server_has_leader",
    Unit.BOOLEAN,
    "1 while this server has heard a leader within its election timeout, or is one with a live lease.",
)
SERVER_IS_LEADER = _of_both(
    "outrider_server_is_leader", Unit.BOOLEAN, "1 while this server is the leader and its lease is alive."
)
RAFT_TERM = _of_both("outrider_raft_term", Unit.TERM, "The Raft term this server is in.")
RAFT_VOTERS = _of_both("outrider_raft_voters", Unit.COUNT, "Voters in the configuration as this server knows it.")
RAFT_VOTERS_HEALTHY = _of_both(
    "outrider_raft_voters_healthy",
    Unit.COUNT,
    "On the leader, voters heard within the longest election timeout, itself included; elsewhere 1, and 1 for a leader heard. The exporter says of a leader whom its autopilot calls healthy.",
)
RAFT_LAST_CONTACT_SECONDS = _of_both(
    "outrider_raft_last_contact_seconds",
    Unit.SECONDS,
    "Time since this server had contact with a leader, or as leader with a quorum; 0 for a leader of one.",
)
RAFT_TICK_LATENESS_SECONDS = _of_server(
    "outrider_raft_tick_lateness_seconds",
    Unit.SECONDS,
    "How late the Raft thread woke at worst in the last 15 to 30 s; elections are lost when it nears their timeout.",
)
RAFT_LAST_INDEX = _of_both(
    "outrider_raft_last_index", Unit.INDEX, "Index of the last entry in this server's log; exact, unlike Nomad's."
)
RAFT_COMMIT_INDEX = _of_both(
    "outrider_raft_commit_index", Unit.INDEX, "Index of the last entry that this server knows a quorum to have; exact."
)
RAFT_APPLIED_INDEX = _of_both(
    "outrider_raft_applied_index", Unit.INDEX, "Index of the last entry in this server's state; exact."
)
RAFT_LOG_ENTRIES = _of_both(
    "outrider_raft_log_entries",
    Unit.COUNT,
    "Entries in this server's log that no snapshot covers yet; falls whenever one is written.",
)
RAFT_LOG_BYTES = _of_server(
    "outrider_raft_log_bytes",
    Unit.BYTES,
    "Size of this server's log on disk, entries that snapshots cover included until their file goes; 0 in memory.",
)
RAFT_SNAPSHOT_AGE_SECONDS = _of_server(
    "outrider_raft_snapshot_age_seconds",
    Unit.SECONDS,
    "Time since the newest snapshot was written or received; without one, since the server started.",
)
RAFT_ELECTIONS_TOTAL = _server_total(
    "outrider_raft_elections_total", "Elections that this server won since it started."
)
RAFT_LEASE_LOSSES_TOTAL = _server_total(
    "outrider_raft_lease_losses_total",
    "Times this server stepped down since it started because no quorum answered within its lease.",
)
EVALUATIONS_FAILED_TOTAL = _server_total(
    "outrider_evaluations_failed_total",
    "Evaluations this server gave up as leader, because they were delivered to workers too often.",
)
NODES = _of_both(
    "outrider_nodes",
    Unit.COUNT,
    "Registered clients by what this server's own state says of them; every combination is always there.",
    ("status", "eligibility"),
)
NODES_DRAINING = _of_both(
    "outrider_nodes_draining", Unit.COUNT, "Registered clients that are being drained, by this server's own state."
)
WORKER_COUNT = _of_server("outrider_workers", Unit.COUNT, "Scheduling workers of this server.")
WORKER_BUSY_COUNT = _of_server("outrider_workers_busy", Unit.COUNT, "Scheduling workers that have an evaluation.")
QUEUE_DEPTH = _of_server("outrider_queue_depth", Unit.COUNT, "Items in one of the server's bounded queues.", ("queue",))
QUEUE_CAPACITY = _of_server("outrider_queue_capacity", Unit.COUNT, "Items that queue holds at most.", ("queue",))

# Durations for service levels: what share took at most so long. From the start of a server on, at zero.


def _durations(name: str, meaning: str, buckets: tuple[float, ...], extra: tuple[str, ...] = ()) -> Metric:
    return Metric(
        name=name,
        kind=Kind.HISTOGRAM,
        unit=Unit.SECONDS,
        labels=("server", *extra),
        exporter=Role.SERVER,
        present=Presence.ALWAYS,
        meaning=meaning,
        source=_OURS,
        buckets=buckets,
    )


EVALUATION_DURATION_SECONDS = _durations(
    "outrider_evaluation_duration_seconds",
    "From the moment an evaluation was ready to be worked on until a worker had finished it; on the leader.",
    (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
    ("type",),
)
PLAN_DURATION_SECONDS = _durations(
    "outrider_plan_duration_seconds",
    "From the arrival of a plan at the leader until what fits of it was committed.",
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)
RAFT_COMMIT_DURATION_SECONDS = _durations(
    "outrider_raft_commit_duration_seconds",
    "From the moment the leader put an entry into its log until a quorum had it.",
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)

# One client; `node` is its node name.

CLIENT_LAST_HEARTBEAT_SECONDS = _gauge(
    "outrider_client_last_heartbeat_seconds",
    Unit.SECONDS,
    "Time since a server last acknowledged a heartbeat or registration; without one, since the client started.",
    Role.CLIENT,
    ("node",),
)
CLIENT_HEARTBEAT_TTL_SECONDS = _gauge(
    "outrider_client_heartbeat_ttl_seconds",
    Unit.SECONDS,
    "For how long the last acknowledgement lets the client be silent, grace not counted; 0 before the first.",
    Role.CLIENT,
    ("node",),
)

CLIENT_SERVERS_CONNECTED = _gauge(
    "outrider_client_servers_connected",
    Unit.COUNT,
    "Servers the client has a connection to, as of the last collection; one that was paused counts for 5 s more.",
    Role.CLIENT,
    ("node",),
)

# Every agent.

TASK_FAILURES_TOTAL = _total(
    "outrider_task_failures_total",
    "Times one of the process's own tasks or threads ended with an error nobody expected.",
    Role.AGENT | Role.EXPORTER,
    ("task",),
)
METRICS_SERIES = _gauge("outrider_metrics_series", Unit.COUNT, "Series that the agent's registry holds.", Role.AGENT)
METRICS_SERIES_REFUSED_TOTAL = _total(
    "outrider_metrics_series_refused_total",
    "Observations that were dropped because the registry already held as many series as it may.",
    Role.AGENT,
)
SINK_DROPPED_TOTAL = _total(
    "outrider_sink_dropped_total",
    "Values that were not sent to statsd, statsite or dogstatsd, as too many waited or the receiver could not be reached.",
    Role.AGENT,
    ("sink",),
)

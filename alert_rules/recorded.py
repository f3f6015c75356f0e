"""The series that our recording rules write, as entries of the catalogue, so that rules and panels resolve them.

All but the ones that say otherwise carry `cluster` and `region` alone, and are there for every region whose servers
are expected, whatever is scraped.
"""

from telemetry.catalogue import CATALOGUE
from telemetry.catalogue.metric import Absent, Kind, Metric, Presence, Role, Unit

_SOURCE = "alert_rules/recording.py"
_REGION = ("cluster", "region")
_INSTANCE = ("cluster", "region", "instance")


def _recorded(
    name: str,
    meaning: str,
    *,
    unit: Unit = Unit.COUNT,
    labels: tuple[str, ...] = _REGION,
    present: Presence = Presence.ALWAYS,
) -> Metric:
    return Metric(
        name=name,
        kind=Kind.GAUGE,
        unit=unit,
        labels=labels,
        exporter=Role.RULE,
        present=present,
        meaning=meaning,
        source=_SOURCE,
        absent=Absent.RULE,
    )


# Sizes.

SERVERS_EXPECTED = _recorded("outrider:servers_expected", "Servers the region is meant to have, from outrider.yaml.")
SERVERS_QUORUM = _recorded("outrider:servers_quorum", "The majority of the expected servers.")
SERVER_UP = _recorded(
    "outrider:server_up",
    "What `up` says of each server that is scraped still.",
    unit=Unit.BOOLEAN,
    labels=_INSTANCE,
    present=Presence.WHEN_CONFIGURED,
)
SERVERS_UP = _recorded("outrider:servers_up", "Servers whose last scrape succeeded.")
SERVERS_BLIND = _recorded("outrider:servers_blind", "Servers that answer scrapes without a single series about Raft.")

# What our agent and our exporter say, once for each server although both may say it.

OWN_HAS_LEADER = _recorded(
    "outrider:own_has_leader",
    "What `outrider_server_has_leader` says, from the agent itself or from an exporter beside it.",
    unit=Unit.BOOLEAN,
    labels=_INSTANCE,
    present=Presence.WHEN_CONFIGURED,
)
OWN_IS_LEADER = _recorded(
    "outrider:own_is_leader",
    "What `outrider_server_is_leader` says, from the agent itself or from an exporter beside it.",
    unit=Unit.BOOLEAN,
    labels=_INSTANCE,
    present=Presence.WHEN_CONFIGURED,
)
OWN_CONTACT = _recorded(
    "outrider:own_contact_seconds",
    "What `outrider_raft_last_contact_seconds` says, from the agent itself or from an exporter beside it.",
    unit=Unit.SECONDS,
    labels=_INSTANCE,
    present=Presence.WHEN_CONFIGURED,
)
OWN_VOTERS = _recorded(
    "outrider:own_voters",
    "What `outrider_raft_voters` says, from the agent itself or from an exporter beside it.",
    labels=_INSTANCE,
    present=Presence.WHEN_CONFIGURED,
)
OWN_VOTERS_HEALTHY = _recorded(
    "outrider:own_voters_healthy",
    "What `outrider_raft_voters_healthy` says, from the agent itself or from an exporter beside it.",
    labels=_INSTANCE,
    present=Presence.WHEN_CONFIGURED,
)

# Leadership.

LEADER_HEARD = _recorded(
    "outrider:leader_heard",
    "1 for each server that proves a live leader: it hears one, or is one.",
    unit=Unit.BOOLEAN,
    labels=_INSTANCE,
    present=Presence.WHEN_CONFIGURED,
)
LEADER = _recorded(
    "outrider:leader",
    "1 for the server that leads; two for the seconds in which a deposed leader's counters have not been read again.",
    unit=Unit.BOOLEAN,
    labels=_INSTANCE,
    present=Presence.LEADER_ONLY,
)
LEADER_SIGNALS = _recorded("outrider:leader_signals", "Servers that prove a live leader; 0 when there is none.")
LEADERLESS_SECONDS = _recorded(
    "outrider:leaderless_seconds",
    "How long at least those servers have been without a leader that answer and say themselves that they have none.",
    unit=Unit.SECONDS,
    present=Presence.WHEN_CONFIGURED,
)
ELECTIONS = _recorded(
    "outrider:elections",
    "Elections won within `windows.events`, counted by births and growth of a series that lives for 60 s.",
    present=Presence.AFTER_FIRST_EVENT,
)
LEASE_LOSSES = _recorded(
    "outrider:lease_losses",
    "Times a leader lost its lease within `windows.events`, counted like the elections.",
    present=Presence.AFTER_FIRST_EVENT,
)

# Voters.

FAILURE_TOLERANCE = _recorded(
    "outrider:failure_tolerance",
    "Voters that may still be lost, as the live leader counts them; absent without a live leader.",
    present=Presence.LEADER_ONLY,
)
VOTERS_HEALTHY = _recorded(
    "outrider:voters_healthy",
    "Voters the live leader hears, itself included; absent without a live leader.",
    present=Presence.LEADER_ONLY,
)
VOTERS_QUORUM = _recorded(
    "outrider:voters_quorum",
    "The majority the cluster itself works with; smaller than that of the expected servers once voters were removed.",
    present=Presence.LEADER_ONLY,
)
AUTOPILOT_HEALTHY = _recorded(
    "outrider:autopilot_healthy",
    "1 while autopilot on the live leader calls every server healthy; absent without a live leader.",
    unit=Unit.BOOLEAN,
    present=Presence.LEADER_ONLY,
)
SERVER_LEFT = _recorded(
    "outrider:server_left",
    "1 for each server that is gone since a graceful leave, until it answers again.",
    unit=Unit.BOOLEAN,
    labels=_INSTANCE,
    present=Presence.WHEN_CONFIGURED,
)

# How Raft works.

COMMIT_MILLISECONDS = _recorded(
    "outrider:commit_milliseconds",
    "Mean time from dispatch to commit on the live leader; absent while nothing is written.",
    unit=Unit.MILLISECONDS,
    present=Presence.LEADER_ONLY,
)
CONTACT_MILLISECONDS = _recorded(
    "outrider:contact_milliseconds",
    "Mean age of the live leader's last contact with its voters.",
    unit=Unit.MILLISECONDS,
    present=Presence.LEADER_ONLY,
)
RAFT_BUSY_RATIO = _recorded(
    "outrider:raft_busy_ratio",
    "Busy share of the busier of a server's two Raft threads.",
    unit=Unit.RATIO,
    labels=_INSTANCE,
    present=Presence.WHEN_CONFIGURED,
)
RAFT_LAG_ENTRIES = _recorded(
    "outrider:raft_lag_entries",
    "Entries that the log held two scrapes and ten seconds ago, and a server has not applied yet.",
    unit=Unit.INDEX,
    labels=_INSTANCE,
    present=Presence.WHEN_CONFIGURED,
)

# Gossip.

SERVERS_GONE = _recorded("outrider:servers_gone", "Times a server's scrapes began to fail within `windows.events`.")

# Clients.

CLIENTS_TARGETED = _recorded("outrider:clients_targeted", "Clients that Prometheus scrapes.")
CLIENTS_DOWN = _recorded("outrider:clients_down", "Clients whose last scrape failed.")
CLIENT_SILENT = _recorded(
    "outrider:client_silent",
    "1 for each client whose last scrape failed; nothing for those that answer.",
    unit=Unit.BOOLEAN,
    labels=_INSTANCE,
    present=Presence.AFTER_FIRST_EVENT,
)
CLIENTS_GONE = _recorded(
    "outrider:clients_gone",
    "Times a client's scrapes began to fail within `windows.events`, and those that failed throughout.",
)
HEARTBEATS_ACTIVE = _recorded(
    "outrider:heartbeats_active",
    "Clients whose heartbeat the live leader waits for; absent without a live leader.",
    present=Presence.LEADER_ONLY,
)
CLIENTS_UNHEARD = _recorded(
    "outrider:clients_unheard",
    "Clients that answer scrapes beyond those whose heartbeat the leader waits for; negative where not all are scraped.",
    present=Presence.LEADER_ONLY,
)
HEARTBEATS_MISSED = _recorded(
    "outrider:heartbeats_missed",
    "Clients that missed their heartbeat within `windows.recent`, counted by births and growth.",
    present=Presence.AFTER_FIRST_EVENT,
)
NODES_DRAINING = _recorded(
    "outrider:nodes_draining",
    "Clients that are draining, from our agent or exporter.",
    present=Presence.WHEN_CONFIGURED,
)
CLIENTS_CONNECTED = _recorded(
    "outrider:clients_connected",
    "Clients of ours that have a connection to a server; native ones do not say so.",
)

# The scheduler, as the live leader counts: what is 0 elsewhere.

EVALUATIONS_READY = _recorded(
    "outrider:evaluations_ready", "Evaluations that wait for a worker.", present=Presence.WHEN_CONFIGURED
)
EVALUATIONS_UNACKED = _recorded(
    "outrider:evaluations_unacked", "Evaluations that workers hold.", present=Presence.WHEN_CONFIGURED
)
EVALUATIONS_BLOCKED = _recorded(
    "outrider:evaluations_blocked", "Evaluations that wait for capacity.", present=Presence.WHEN_CONFIGURED
)
PLAN_QUEUE = _recorded("outrider:plan_queue", "Plans that wait to be applied.", present=Presence.WHEN_CONFIGURED)
SCHEDULING_MILLISECONDS = _recorded(
    "outrider:scheduling_milliseconds",
    "Mean time of one scheduling, by scheduler; absent while nothing is scheduled.",
    unit=Unit.MILLISECONDS,
    labels=("cluster", "region", "scheduler"),
    present=Presence.AFTER_FIRST_EVENT,
)

RECORDED = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
"""In the order of this file."""


KNOWN = CATALOGUE.with_(RECORDED)
"""What a rule or panel may use: every metric of the catalogue, and what our recording rules write."""

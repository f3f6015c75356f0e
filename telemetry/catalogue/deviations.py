"""Where Outrider's agent differs from a Nomad in series with Nomad's names; what it does not export says so itself."""

import math
from dataclasses import dataclass

from telemetry.catalogue import broker, client, heartbeat, leader, memberlist, raft, rpc, serf, state, worker
from telemetry.catalogue.metric import Metric


@dataclass(frozen=True, slots=True)
class Deviation:
    """*metrics* behave otherwise: *nomad* is what a Nomad does, *outrider* what our agent does, and why."""

    metrics: tuple[Metric, ...]
    nomad: str
    outrider: str
    alone_seconds: float = 0.0
    """For how long at a time our agent says them where a Nomad does not, at most."""


AFTER_A_START = Deviation(
    (raft.APPLIED_INDEX, raft.LAST_INDEX, heartbeat.ACTIVE),
    "says them for the first time 5 to 10 s after it was started",
    "says them from the first collection on: nothing is gained by waiting",
    alone_seconds=12.0,
)
NOTHING_TO_APPLY = Deviation(
    (raft.THREAD_FSM_SATURATION,),
    "says nothing while there is nothing to apply, so that it is gone 60 s after the last leader",
    "goes on saying 0, which tells a thread that is idle from one that hangs",
    alone_seconds=math.inf,
)
NO_LONGER_BLOCKED = Deviation(
    (broker.BLOCKED_CPU, broker.BLOCKED_MEMORY, broker.BLOCKED_JOB_CPU, broker.BLOCKED_JOB_MEMORY),
    "goes on for a while saying 0 for what is no longer blocked",
    "stops saying it, so that the series is gone after 60 s like any other",
)
SNAPSHOT_INDEX = Deviation(
    (state.SNAPSHOT_INDEX,),
    "refreshes it every 10 s",
    "refreshes it at each collection, as all gauges of a server",
)
PEERS_TWICE = Deviation(
    (raft.REPLICATION_HEARTBEAT, raft.REPLICATION_APPEND_ENTRIES_RPC, raft.REPLICATION_APPEND_ENTRIES_LOGS),
    "gives each twice, with the label `peer_id` and with the id in the name",
    "gives each once, with the label: a name for each peer can be neither recorded nor alerted on",
)
NO_CORE_SCHEDULER = Deviation(
    (broker.SCHEDULER_READY, broker.SCHEDULER_UNACKED, worker.INVOKE_SCHEDULER),
    "has them for the scheduler `_core`, too, by which it tidies up after itself",
    "has no such scheduler, so no series of its name",
)
SOONER = Deviation(
    (serf.MEMBER_FAILED, memberlist.NODE_INSTANCES),
    "calls a dead server failed after 37 to 43 s, and counts its members at an exchange about once a minute",
    'calls it failed after 5 to 7 s and counts twice a minute, unless `gossip_timings = "wan"` gives it a Nomad\'s pace',
)
SIZE = Deviation(
    (memberlist.SIZE_LOCAL,),
    "says a wrong number, over two billion",
    "says the bytes of the state that it sends",
)
HOOKS = Deviation(
    (
        client.ALLOC_HOOK_PRERUN_ELAPSED,
        client.ALLOC_HOOK_PRERUN_SUCCESS,
        client.TASK_HOOK_PRESTART_ELAPSED,
        client.TASK_HOOK_PRESTART_SUCCESS,
    ),
    "measures 14 hooks around an allocation and 13 around a task",
    "has one of each, `alloc_dir` and `task_dir`; that of a task again at each restart",
)
RECONCILED = Deviation(
    (leader.RECONCILE, leader.RECONCILE_MEMBER),
    "compares all members at the start of a leadership and each minute, and one when it changes",
    "compares all of them five times a second, so that a server that leaves need not wait",
)
KNOWN_MEMBERS = Deviation(
    (serf.SNAPSHOT_APPEND_LINE,),
    "appends a line to the file of known members, and in time with each clock of gossip",
    "writes the file anew when a member comes or goes, synced to disk",
)
RAFT_CONNECTIONS = Deviation(
    (rpc.RPC_RAFT_HANDOFF,),
    "counts the connections of its one port that turn out to carry Raft",
    "counts those that its Raft port took from a server of the group",
)

DEVIATIONS = (
    AFTER_A_START,
    NOTHING_TO_APPLY,
    NO_LONGER_BLOCKED,
    SNAPSHOT_INDEX,
    PEERS_TWICE,
    NO_CORE_SCHEDULER,
    SOONER,
    SIZE,
    HOOKS,
    RECONCILED,
    KNOWN_MEMBERS,
    RAFT_CONNECTIONS,
)
"""All that are known, in the order of the document."""

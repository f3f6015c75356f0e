"""Raft: consensus among the servers, under the names hashicorp/raft gives its metrics.

The first half is exported by every server that runs Raft; the BoltDB statistics at the end belong to the log store of
a real Nomad alone.
"""

from telemetry.catalogue.metric import Absent, Kind, Metric, Presence, Role, Unit

_RAFT_GO = "hashicorp/raft raft.go"
_REPLICATION_GO = "hashicorp/raft replication.go"
_TRANSPORT_GO = "hashicorp/raft net_transport.go"


def _metric(
    name: str,
    kind: Kind,
    unit: Unit,
    present: Presence,
    meaning: str,
    source: str = _RAFT_GO,
    *,
    labels: tuple[str, ...] = (),
    key: str = "",
    absent: Absent | None = None,
) -> Metric:
    return Metric(
        name=name,
        kind=kind,
        unit=unit,
        labels=labels,
        exporter=Role.SERVER,
        present=present,
        meaning=meaning,
        source=source,
        key=key,
        absent=absent,
    )


def _event(name: str, meaning: str, key: str = "") -> Metric:
    return _metric(name, Kind.COUNTER, Unit.COUNT, Presence.AFTER_FIRST_EVENT, meaning, key=key)


def _timer(name: str, present: Presence, meaning: str, source: str = _RAFT_GO, labels: tuple[str, ...] = ()) -> Metric:
    return _metric(name, Kind.SAMPLE, Unit.MILLISECONDS, present, meaning, source, labels=labels)


# Elections and leadership: events that are born at 1 and gone 60 s later.

STATE_LEADER = _event("nomad_raft_state_leader", "Times this server became the leader.")
STATE_CANDIDATE = _event(
    "nomad_raft_state_candidate",
    "Times this server stood for election; goes on growing for as long as there is no quorum.",
)
STATE_FOLLOWER = _event("nomad_raft_state_follower", "Times this server became a follower, its start included.")
TRANSITION_HEARTBEAT_TIMEOUT = _event(
    "nomad_raft_transition_heartbeat_timeout",
    "Times this follower heard no leader for so long that it gave up on it.",
    key="nomad.raft.transition.heartbeat_timeout",
)
TRANSITION_LEADER_LEASE_TIMEOUT = _event(
    "nomad_raft_transition_leader_lease_timeout",
    "Times this leader stepped down because no quorum answered within its lease.",
    key="nomad.raft.transition.leader_lease_timeout",
)
PEERS = _metric(
    "nomad_raft_peers",
    Kind.GAUGE,
    Unit.COUNT,
    Presence.AFTER_FIRST_EVENT,
    "Servers in the Raft configuration, dead ones included; set only when a leader loads or changes it.",
)
CANDIDATE_ELECT_SELF = _timer(
    "nomad_raft_candidate_electSelf",
    Presence.AFTER_FIRST_EVENT,
    "Asking the others for their votes, own vote included.",
)
CANDIDATE_PRE_ELECT_SELF = _timer(
    "nomad_raft_candidate_preElectSelf",
    Presence.AFTER_FIRST_EVENT,
    "Asking the others whether they would vote, before the term is raised; repeats without a quorum.",
)
RPC_REQUEST_VOTE = _timer(
    "nomad_raft_rpc_requestVote", Presence.AFTER_FIRST_EVENT, "Answering another server's request for a vote."
)

# What the leader does.

LEADER_LAST_CONTACT = _timer(
    "nomad_raft_leader_lastContact",
    Presence.LEADER_ONLY,
    "At each lease check, one sample per voting follower: time since the leader last had contact with it.",
    "hashicorp/raft raft.go:1070",
)
LEADER_DISPATCH_LOG = _timer(
    "nomad_raft_leader_dispatchLog", Presence.LEADER_ONLY, "Writing a batch of new entries to the leader's own log."
)
LEADER_DISPATCH_NUM_LOGS = _metric(
    "nomad_raft_leader_dispatchNumLogs",
    Kind.GAUGE,
    Unit.COUNT,
    Presence.LEADER_ONLY,
    "Entries in the batch that was written last.",
)
LEADER_OLDEST_LOG_AGE = _metric(
    "nomad_raft_leader_oldestLogAge",
    Kind.GAUGE,
    Unit.MILLISECONDS,
    Presence.LEADER_ONLY,
    "Age of the oldest entry that the leader's log still holds.",
    "hashicorp/raft log.go",
)
APPLY = _event("nomad_raft_apply", "Writes that were handed to Raft on the leader.")
BARRIER = _event("nomad_raft_barrier", "Barriers that were handed to Raft on the leader.")
COMMIT_TIME = _timer(
    "nomad_raft_commitTime",
    Presence.LEADER_ONLY,
    "From the dispatch of an entry on the leader to its commit by a quorum.",
)
COMMIT_NUM_LOGS = _metric(
    "nomad_raft_commitNumLogs",
    Kind.GAUGE,
    Unit.COUNT,
    Presence.LEADER_ONLY,
    "Entries that the last step of the commit index covered.",
)
REPLICATION_APPEND_ENTRIES_RPC = _timer(
    "nomad_raft_replication_appendEntries_rpc",
    Presence.LEADER_ONLY,
    "A call that carries entries to one follower, from sending to its answer.",
    _REPLICATION_GO,
    ("peer_id",),
)
REPLICATION_APPEND_ENTRIES_LOGS = _metric(
    "nomad_raft_replication_appendEntries_logs",
    Kind.COUNTER,
    Unit.COUNT,
    Presence.LEADER_ONLY,
    "Entries sent to one follower.",
    _REPLICATION_GO,
    labels=("peer_id",),
)
REPLICATION_HEARTBEAT = _timer(
    "nomad_raft_replication_heartbeat",
    Presence.LEADER_ONLY,
    "A heartbeat to one follower, from sending to its answer.",
    _REPLICATION_GO,
    ("peer_id",),
)

# What a follower does.

RPC_PROCESS_HEARTBEAT = _timer(
    "nomad_raft_rpc_processHeartbeat",
    Presence.FOLLOWER_ONLY,
    "Handling a heartbeat of the leader; a rate of 0 says that no leader is heard.",
)
RPC_APPEND_ENTRIES = _timer(
    "nomad_raft_rpc_appendEntries", Presence.FOLLOWER_ONLY, "Handling a call of the leader that may carry entries."
)
RPC_APPEND_ENTRIES_STORE_LOGS = _timer(
    "nomad_raft_rpc_appendEntries_storeLogs", Presence.FOLLOWER_ONLY, "The part of it that writes entries to the log."
)
RPC_APPEND_ENTRIES_PROCESS_LOGS = _timer(
    "nomad_raft_rpc_appendEntries_processLogs", Presence.FOLLOWER_ONLY, "The part of it that applies what is committed."
)

# Every server.

APPLIED_INDEX = _metric(
    "nomad_raft_appliedIndex",
    Kind.GAUGE,
    Unit.INDEX,
    Presence.ALWAYS,
    "Index of the last entry applied to the state; float32, so in steps of more than 1 above 16.7 million. A Nomad "
    "refreshes it every 10 s.",
)
LAST_INDEX = _metric(
    "nomad_raft_lastIndex",
    Kind.GAUGE,
    Unit.INDEX,
    Presence.ALWAYS,
    "Index of the last entry in the log; float32, so in steps of more than 1 above 16.7 million. A Nomad refreshes "
    "it every 10 s.",
)
FSM_APPLY = _timer(
    "nomad_raft_fsm_apply",
    Presence.AFTER_FIRST_EVENT,
    "Applying a batch of committed entries to the state.",
    "hashicorp/raft fsm.go",
)
FSM_ENQUEUE = _timer(
    "nomad_raft_fsm_enqueue", Presence.AFTER_FIRST_EVENT, "Waiting for room in the queue of committed entries."
)
THREAD_MAIN_SATURATION = _metric(
    "nomad_raft_thread_main_saturation",
    Kind.SAMPLE,
    Unit.RATIO,
    Presence.ALWAYS,
    "Share of the last second in which the thread that runs Raft was busy.",
)
THREAD_FSM_SATURATION = _metric(
    "nomad_raft_thread_fsm_saturation",
    Kind.SAMPLE,
    Unit.RATIO,
    Presence.AFTER_FIRST_EVENT,
    "Share of the last second in which the thread that applies entries was busy; a Nomad without a leader, which has "
    "nothing to apply, stops saying it.",
    "hashicorp/raft fsm.go",
)

# Snapshots. Each series is there for 60 s after one was taken, restored or received.


def _snapshot(
    name: str, meaning: str, source: str = "hashicorp/raft snapshot.go", *, absent: Absent | None = None
) -> Metric:
    return _metric(name, Kind.SAMPLE, Unit.MILLISECONDS, Presence.AFTER_FIRST_EVENT, meaning, source, absent=absent)


SNAPSHOT_TAKE_SNAPSHOT = _snapshot(
    "nomad_raft_snapshot_takeSnapshot",
    "The whole of taking a snapshot and compacting the log; also when it failed.",
)
SNAPSHOT_CREATE = _snapshot("nomad_raft_snapshot_create", "Beginning the file of a snapshot.", absent=Absent.SNAPSHOT)
SNAPSHOT_PERSIST = _snapshot(
    "nomad_raft_snapshot_persist", "Encoding the state and writing it to the file of a snapshot; also when it failed."
)
FSM_SNAPSHOT = _snapshot(
    "nomad_raft_fsm_snapshot",
    "Freezing the state for a snapshot; nothing is applied meanwhile.",
    "hashicorp/raft fsm.go",
)
FSM_RESTORE = _snapshot(
    "nomad_raft_fsm_restore",
    "Loading the state from a snapshot, at the start or from the leader.",
    "hashicorp/raft fsm.go",
)
FSM_LAST_RESTORE_DURATION = _metric(
    "nomad_raft_fsm_lastRestoreDuration",
    Kind.GAUGE,
    Unit.MILLISECONDS,
    Presence.AFTER_FIRST_EVENT,
    "How long the last load from a snapshot took, in whole milliseconds; set once, so gone 60 s after it.",
    "hashicorp/raft fsm.go",
)
RPC_INSTALL_SNAPSHOT = _snapshot(
    "nomad_raft_rpc_installSnapshot", "On a follower, receiving and loading a snapshot of the leader.", _RAFT_GO
)

# The transport, of which our agent measures a part, and BoltDB under a Nomad's log.


def _transport(name: str, meaning: str, labels: tuple[str, ...] = (), absent: Absent | None = None) -> Metric:
    return _metric(
        name,
        Kind.SAMPLE,
        Unit.MILLISECONDS,
        Presence.FOLLOWER_ONLY,
        meaning,
        _TRANSPORT_GO,
        labels=labels,
        absent=absent,
    )


def _bolt(name: str, kind: Kind, unit: Unit, meaning: str) -> Metric:
    source = "hashicorp/raft-boltdb bolt_store.go"
    return _metric(name, kind, unit, Presence.WHEN_CONFIGURED, meaning, source, absent=Absent.BOLTDB)


NET_GET_RPC_TYPE = _transport(
    "nomad_raft_net_getRPCType", "Waiting for and reading the first byte of a Raft call.", absent=Absent.TRANSPORT
)
NET_RPC_DECODE = _transport("nomad_raft_net_rpcDecode", "Decoding a Raft call.", ("rpcType",))
NET_RPC_ENQUEUE = _transport(
    "nomad_raft_net_rpcEnqueue", "Handing a Raft call to the main thread.", ("rpcType",), Absent.TRANSPORT
)
NET_RPC_RESPOND = _transport(
    "nomad_raft_net_rpcRespond", "From a decoded Raft call to its answer, which is not sent yet.", ("rpcType",)
)

BOLTDB_FREE_PAGE_BYTES = _bolt("nomad_raft_boltdb_freePageBytes", Kind.GAUGE, Unit.BYTES, "Bytes in free pages.")
BOLTDB_FREELIST_BYTES = _bolt("nomad_raft_boltdb_freelistBytes", Kind.GAUGE, Unit.BYTES, "Bytes that list free pages.")
BOLTDB_NUM_FREE_PAGES = _bolt("nomad_raft_boltdb_numFreePages", Kind.GAUGE, Unit.COUNT, "Free pages of the log store.")
BOLTDB_NUM_PENDING_PAGES = _bolt(
    "nomad_raft_boltdb_numPendingPages", Kind.GAUGE, Unit.COUNT, "Pages that become free when readers end."
)
BOLTDB_OPEN_READ_TXN = _bolt(
    "nomad_raft_boltdb_openReadTxn", Kind.GAUGE, Unit.COUNT, "Read transactions that are open now."
)
BOLTDB_TOTAL_READ_TXN = _bolt(
    "nomad_raft_boltdb_totalReadTxn", Kind.COUNTER, Unit.COUNT, "Read transactions that were begun."
)
BOLTDB_GET_LOG = _bolt("nomad_raft_boltdb_getLog", Kind.SAMPLE, Unit.MILLISECONDS, "Reading one entry.")
BOLTDB_STORE_LOGS = _bolt(
    "nomad_raft_boltdb_storeLogs", Kind.SAMPLE, Unit.MILLISECONDS, "Writing one batch of entries."
)
BOLTDB_LOG_BATCH_SIZE = _bolt("nomad_raft_boltdb_logBatchSize", Kind.SAMPLE, Unit.BYTES, "Size of a written batch.")
BOLTDB_LOG_SIZE = _bolt("nomad_raft_boltdb_logSize", Kind.SAMPLE, Unit.BYTES, "Size of a written entry.")
BOLTDB_LOGS_PER_BATCH = _bolt("nomad_raft_boltdb_logsPerBatch", Kind.SAMPLE, Unit.COUNT, "Entries in a written batch.")
BOLTDB_WRITE_CAPACITY = _bolt(
    "nomad_raft_boltdb_writeCapacity",
    Kind.SAMPLE,
    Unit.COUNT,
    "Batches a second that could be written, by the last one.",
)
BOLTDB_TXSTATS_CURSOR_COUNT = _bolt(
    "nomad_raft_boltdb_txstats_cursorCount", Kind.COUNTER, Unit.COUNT, "Cursors that transactions made."
)
BOLTDB_TXSTATS_NODE_COUNT = _bolt(
    "nomad_raft_boltdb_txstats_nodeCount", Kind.COUNTER, Unit.COUNT, "Tree nodes that transactions allocated."
)
BOLTDB_TXSTATS_NODE_DEREF = _bolt(
    "nomad_raft_boltdb_txstats_nodeDeref", Kind.COUNTER, Unit.COUNT, "Tree nodes that were copied off the mapped file."
)
BOLTDB_TXSTATS_PAGE_ALLOC = _bolt(
    "nomad_raft_boltdb_txstats_pageAlloc", Kind.GAUGE, Unit.BYTES, "Bytes of pages that transactions allocated."
)
BOLTDB_TXSTATS_PAGE_COUNT = _bolt(
    "nomad_raft_boltdb_txstats_pageCount", Kind.GAUGE, Unit.COUNT, "Pages that transactions allocated."
)
BOLTDB_TXSTATS_REBALANCE = _bolt(
    "nomad_raft_boltdb_txstats_rebalance", Kind.COUNTER, Unit.COUNT, "Tree nodes that were merged again."
)
BOLTDB_TXSTATS_REBALANCE_TIME = _bolt(
    "nomad_raft_boltdb_txstats_rebalanceTime", Kind.SAMPLE, Unit.MILLISECONDS, "Time spent merging tree nodes."
)
BOLTDB_TXSTATS_SPILL = _bolt(
    "nomad_raft_boltdb_txstats_spill", Kind.COUNTER, Unit.COUNT, "Tree nodes that were moved to pages."
)
BOLTDB_TXSTATS_SPILL_TIME = _bolt(
    "nomad_raft_boltdb_txstats_spillTime", Kind.SAMPLE, Unit.MILLISECONDS, "Time spent moving tree nodes to pages."
)
BOLTDB_TXSTATS_SPLIT = _bolt("nomad_raft_boltdb_txstats_split", Kind.COUNTER, Unit.COUNT, "Tree nodes that were split.")
BOLTDB_TXSTATS_WRITE = _bolt(
    "nomad_raft_boltdb_txstats_write", Kind.COUNTER, Unit.COUNT, "Writes to the file that transactions made."
)
BOLTDB_TXSTATS_WRITE_TIME = _bolt(
    "nomad_raft_boltdb_txstats_writeTime", Kind.SAMPLE, Unit.MILLISECONDS, "Time spent writing to the file."
)

"""What one server holds: the log, the snapshots and the state machine, around the state that pysyncobj keeps.

Loading and bringing them together at the start, applying what is committed, compaction, durability, the status. What
the servers say to each other is in `pysyncobj_engine`.

pysyncobj's own tick, message handler, journal, serializer, transport and pickle are never reached. `PRIVATES` lists
what is used of its inside; a test fails when one is gone.
"""

import logging
import math
import random
from collections import deque
from collections.abc import Callable

import pysyncobj.syncobj
from pysyncobj import SyncObj, SyncObjConf

from agent.consensus.codec import BATCH_BYTES_MAX, CodecError, CommandKind
from agent.consensus.configuration import (
    Configuration,
    Configurations,
    ConfiguredServer,
    configurations_in,
    decode_configuration,
    encode_configuration,
)
from agent.consensus.engine_parts import Compaction, Links, Proposal, Timing
from agent.consensus.healing import Healing
from agent.consensus.identity import decode_identity
from agent.consensus.pysyncobj_adapters import LinkAdapter, LogAdapter, PeerNode, SnapshotAdapter
from agent.consensus.quorum import has_quorum, majority
from agent.consensus.raft_log import LogEntry, RaftLog
from agent.consensus.read_rounds import ReadRounds
from agent.consensus.replicator import (
    FIRST_INDEX,
    Fsm,
    Observer,
    Peer,
    PeerStatus,
    RaftState,
    RaftTotals,
    ReplicatorStatus,
    Standing,
)
from agent.consensus.snapshot_store import Snapshot, SnapshotStore, WriteState
from agent.consensus.wal import REMEDY
from agent.errors import ConfigError, NotLeader, UnknownOutcome
from telemetry.catalogue import raft
from telemetry.catalogue.metric import Metric
from telemetry.clock import Clock
from telemetry.recorder import Recorder

PRIVATES = (
    "connectedNodes",
    "lastResponseTime",
    "newAppendEntriesTime",
    "onBecomeLeader",
    "otherNodes",
    "raftCommitIndex",
    "raftCurrentTerm",
    "raftElectionDeadline",
    "raftLastApplied",
    "raftLeader",
    "raftLog",
    "raftMatchIndex",
    "raftNextIndex",
    "raftState",
    "readonlyNodes",
    "sendAppendEntries",
    "serializer",
    "setCurrentTerm",
    "setState",
    "votedForNodeId",
)
"""What this file uses of `SyncObj`'s name-mangled inside, without the `_SyncObj__`."""

_STATES = (RaftState.FOLLOWER, RaftState.CANDIDATE, RaftState.LEADER)
"""By pysyncobj's number."""

_TOTALS = (
    "applied",
    "apply_failures",
    "elections",
    "elections_won",
    "lease_losses",
    "read_rounds",
    "reads",
    "snapshots_written",
    "snapshots_installed",
    "stale_replies",
)

_SNAPSHOT_RETRY_SECONDS = 30.0
"""After a snapshot could not be written (a full disk), the log grows for this long before the next attempt."""

_RECOVERY_SECONDS = 60.0
"""For the snapshot of an outage recovery."""

_APPLY_BUDGET_SECONDS = 0.05
"""Applying stops here until the next step, so that a long replay holds up no heartbeat."""


class Core(SyncObj):  # type: ignore[misc] # pysyncobj has no types
    """The part of an engine that concerns this server alone.

    Loads log and snapshot when it is made; raises ConfigError when they are damaged. *nodes* are the addresses of the
    other voters that the group begins with, until the log says otherwise; with *joining* there is no group yet, and
    this server waits for one to take it in. Everything but `submit`, `run_soon` and `oldest_log_age_seconds` belongs to
    one thread.
    """

    def __init__(
        self,
        me: Peer,
        nodes: tuple[str, ...],
        *,
        timing: Timing,
        compaction: Compaction,
        log: RaftLog,
        snapshots: SnapshotStore,
        links: Links,
        fsm: Fsm,
        observer: Observer,
        recorder: Recorder,
        clock: Clock,
        rng: random.Random,
        logger: logging.Logger,
        joining: bool = False,
    ) -> None:
        self._me, self._timing, self._compaction = me, timing, compaction
        self._log, self._snapshots, self._links = log, snapshots, links
        self._fsm, self._observer, self._recorder = fsm, observer, recorder
        self._clock, self._rng, self._logger = clock, rng, logger
        self._healing = Healing(log, clock, logger)
        self._queue: deque[Proposal] = deque()
        self._tasks: deque[Callable[[], None]] = deque()
        self._waiting: dict[int, Proposal] = {}
        self._reads = ReadRounds()
        self._begin_with(nodes, joining=joining)
        self._dispatched: deque[tuple[int, float]] = deque()
        self._connected: set[str] = set()
        self._reason = "started"
        self._last_heard_at: float | None = None
        self._committed_at = self._snapshot_at = clock.monotonic()
        self._store_seconds = 0.0
        self._stored = 0
        self._snapshot_forced = False
        self._snapshot_paused_until = -math.inf
        self._snapshot_begun_at = self._snapshot_frozen_at = self._snapshot_written_at = -math.inf
        self.fsm_seconds = 0.0
        self.totals: dict[str, float] = dict.fromkeys(_TOTALS, 0.0)
        # pysyncobj reads its clock as a global of its module. One clock a process: every engine in it has the same.
        pysyncobj.syncobj.monotonicTime = clock.monotonic
        conf = SyncObjConf(
            autoTick=False,
            appendEntriesPeriod=timing.append_seconds,
            appendEntriesBatchSizeBytes=BATCH_BYTES_MAX,
            raftMinTimeout=timing.election_min_seconds,
            raftMaxTimeout=timing.election_max_seconds,
            leaderFallbackTimeout=timing.lease_seconds,
            connectionTimeout=3 * timing.election_max_seconds,
            commandsWaitLeader=False,
            useFork=False,
            onStateChanged=self._on_state_changed,
        )
        super().__init__(
            PeerNode(me.server_id),
            [PeerNode(node) for node in nodes],
            conf,
            transport=LinkAdapter(links, clock, self._reads, self._on_full),
        )
        # Its journal is not crash-safe and its serializer is pickle: ours take their place before anything is read.
        self._SyncObj__raftLog = LogAdapter(log)
        self._SyncObj__serializer = SnapshotAdapter(snapshots)
        self._SyncObj__raftCurrentTerm = max(log.term, log.entries[-1][2])
        self._SyncObj__votedForNodeId = log.voted_for if log.term == self._SyncObj__raftCurrentTerm else None
        snapshots.cluster_id = log.cluster_id
        self._restore(snapshots.load())
        links.identify(log.cluster_id)
        if self._configurations.newest_index:
            self._configure()

    def _begin_with(self, nodes: tuple[str, ...], *, joining: bool) -> None:
        me = self._me
        own = ConfiguredServer(me.server_id, me.name, me.raft_address, me.rpc_address, voter=True)
        # Of the others only the address is known.
        self._configured = {node: ConfiguredServer("", "", node, "", voter=True) for node in nodes}
        self._configurations = Configurations(Configuration(() if joining else (own, *self._configured.values())))
        self._standing = Standing.NONE if joining else Standing.VOTER
        self._parting: dict[str, tuple[int, float]] = {}
        """By node, servers that are told of their removal: the index of its entry, and until when."""
        self._kept = {PeerNode(node) for node in nodes}

    def announce(self) -> None:
        """Tell that this server begins as a follower; called once, before the first step."""
        self._recorder.add(raft.STATE_FOLLOWER)
        self._observer.state_changed(RaftState.FOLLOWER, RaftState.FOLLOWER, self.term, "started")

    # What others may know.

    @property
    def state(self) -> RaftState:
        """The state of this server."""
        return _STATES[self._SyncObj__raftState]

    @property
    def term(self) -> int:
        """The newest term this server has seen."""
        return int(self._SyncObj__raftCurrentTerm)

    @property
    def commit_index(self) -> int:
        """The last index this server knows to be committed."""
        return int(self._SyncObj__raftCommitIndex)

    @property
    def applied_index(self) -> int:
        """The last index in the state machine."""
        return int(self._SyncObj__raftLastApplied)

    @property
    def last_index(self) -> int:
        """The last index in the log."""
        return self._log.entries[-1][1]

    @property
    def queue_depth(self) -> int:
        """Proposals that have not entered the log."""
        return len(self._queue)

    def peer_of(self, node: str) -> Peer:
        """Return what is known of *node*: from its hello, else from the configuration, else its address alone."""
        hello = self._links.identity(node)
        if hello is None or not self._is_itself(node):
            known = self._configured.get(node)
            return Peer("", node, node, "") if known is None or not known.server_id else known.peer
        return Peer(hello.server_id, hello.name, hello.raft_address, hello.rpc_address)

    def _is_itself(self, node: str) -> bool:
        """Tell whether *node* is the server that the configuration means: another may have taken its address."""
        hello, known = self._links.identity(node), self._configured.get(node)
        return hello is None or known is None or known.server_id in {"", hello.server_id}

    def status(self, tick_lateness_seconds: float) -> ReplicatorStatus:
        """Return one look at everything."""
        now = self._clock.monotonic()
        leading = self.state is RaftState.LEADER
        leader = self._SyncObj__raftLeader
        heard = None if self._last_heard_at is None else now - self._last_heard_at
        contacts = self._SyncObj__lastResponseTime if leading else {}
        voters = self._SyncObj__otherNodes
        nodes = sorted(voters | self._learners(), key=lambda node: str(node.id))
        recent = sum(now - contacts[node] <= self._timing.lease_seconds for node in voters if node in contacts)
        return ReplicatorStatus(
            state=self.state,
            term=self.term,
            leader=None if leader is None else self._me if leading else self.peer_of(leader.id),
            last_index=self.last_index,
            commit_index=self.commit_index,
            applied_index=self.applied_index,
            last_term=self._log.entries[-1][2],
            snapshot_index=self._snapshots.index,
            last_contact_seconds=0.0 if leading else heard,
            peers=tuple(
                PeerStatus(
                    peer=self.peer_of(node.id),
                    voter=node in voters,
                    connected=node.id in self._connected,
                    last_contact_seconds=now - contacts[node] if node in contacts else None,
                    match_index=self._SyncObj__raftMatchIndex.get(node) if leading else None,
                )
                for node in nodes
            ),
            tick_lateness_seconds=tick_lateness_seconds,
            has_quorum=has_quorum(len(voters) + 1, recent + 1) if leading else leader is not None,
            taken_at_seconds=now,
            snapshot_age_seconds=now - self._snapshot_at,
            log_bytes=self._log.disk_bytes,
            totals=RaftTotals(int(self.totals["elections_won"]), int(self.totals["lease_losses"])),
            standing=self._standing,
            configuration_index=self._configurations.newest_index,
            cluster_id=self._log.cluster_id,
        )

    # What others may ask.

    def submit(self, proposal: Proposal) -> None:
        """Queue *proposal* for the next step; from any thread."""
        was_empty = not self._queue
        self._queue.append(proposal)
        if was_empty:
            self._links.wake()

    def run_soon(self, task: Callable[[], None]) -> None:
        """Run *task* in the next step; from any thread. It must return at once and not raise."""
        self._tasks.append(task)
        self._links.wake()

    def oldest_log_age_seconds(self) -> float:
        """Seconds since the oldest entry in the log was written; from any thread."""
        return self._log.oldest_age_seconds()

    def force_snapshot(self) -> None:
        """Begin a snapshot at the next step, whatever the threshold says."""
        self._snapshot_forced = True
        self._links.wake()

    def fail_proposals(self) -> None:
        """Answer everything that waits: what entered the log may still be carried out by others."""
        for proposal in self._waiting.values():
            proposal.finish(UnknownOutcome("the leadership was lost before the write was committed"))
        self._waiting.clear()
        self._dispatched.clear()
        self._reads.fail(NotLeader())

    def close(self) -> None:
        """Make the log durable and close it."""
        self.fail_proposals()
        while self._queue:
            self._queue.popleft().finish(NotLeader())
        self._log.close()

    def _on_full(self, node: PeerNode) -> None:
        self._SyncObj__connectedNodes.discard(node)

    def _on_state_changed(self, old: int, new: int) -> None:
        if _STATES[new] is RaftState.LEADER:
            self._recorder.add(raft.STATE_LEADER)
        elif _STATES[new] is RaftState.FOLLOWER:
            self._recorder.add(raft.STATE_FOLLOWER)
        if _STATES[old] is RaftState.LEADER:
            self.fail_proposals()
            self._last_heard_at = self._majority_heard_at()
        self._observer.state_changed(_STATES[old], _STATES[new], self.term, self._reason)

    def _majority_heard_at(self) -> float:
        """Return when this leader last heard a majority: until then there was a leader to be heard, itself."""
        voters = self._SyncObj__otherNodes
        contacts = sorted((at for node, at in self._SyncObj__lastResponseTime.items() if node in voters), reverse=True)
        needed = majority(len(voters) + 1) - 1
        return contacts[needed - 1] if 0 < needed <= len(contacts) else self._clock.monotonic()

    def _install(self, snapshot: Snapshot) -> None:
        if snapshot.index <= self.applied_index:
            return
        self._load(snapshot)
        first = self._log.entries[0][1]
        if not (first <= snapshot.index <= self.last_index and self._entry(snapshot.index)[2] == snapshot.term):
            self._log.reset(snapshot.index, snapshot.term)
            self._configurations.truncate_from(1)
        # else: entries after it were answered for and stay.
        if snapshot.configuration:
            self._configurations.restart(snapshot.index, decode_configuration(snapshot.configuration))
        self._identify(snapshot.cluster_id)
        self._configure()
        self._SyncObj__raftLastApplied = snapshot.index
        self._SyncObj__raftCommitIndex = max(self.commit_index, snapshot.index)
        self.totals["snapshots_installed"] += 1
        self._snapshot_at = self._clock.monotonic()
        self._logger.info("raft: installed a snapshot index=%d term=%d", snapshot.index, snapshot.term)

    def _load(self, snapshot: Snapshot) -> None:
        began = self._clock.monotonic()
        self._fsm.load(snapshot.state)
        took = self._observe_since(raft.FSM_RESTORE, began)
        self._recorder.set(raft.FSM_LAST_RESTORE_DURATION, float(int(took)))

    def _leader_rpc_address(self) -> str:
        leader = self._SyncObj__raftLeader
        return "" if leader is None else self.peer_of(leader.id).rpc_address

    # The log.

    def _entry(self, index: int) -> LogEntry:
        return self._log.entries[index - self._log.entries[0][1]]

    def _restore(self, snapshot: Snapshot | None) -> None:
        """Bring state machine, log and snapshot together as they were left."""
        self._healing.require_snapshot(there=snapshot is not None)
        first = self._log.entries[0][1]
        covered = FIRST_INDEX if snapshot is None else snapshot.index
        if first > covered:
            raise ConfigError(
                f"{self._log.begins_at}: the Raft log begins at entry {first} but the snapshot ends at {covered}: "
                f"entries are missing; {REMEDY}"
            )
        if snapshot is not None:
            written = self._snapshots.written_at()
            if written is not None:
                # The only time that survives a restart is the file's; a clock that went back makes no future.
                self._snapshot_at -= max(0.0, self._clock.wall() - written)
            try:
                self._load(snapshot)
            except ValueError as error:
                raise ConfigError(f"the Raft snapshot of index {snapshot.index} cannot be loaded: {error}") from error
            if snapshot.index > self.last_index or self._entry(snapshot.index)[2] != snapshot.term:
                self._log.reset(snapshot.index, snapshot.term)
            self._identify(snapshot.cluster_id)
        self._restore_configurations(snapshot)
        self._SyncObj__raftLastApplied = self._SyncObj__raftCommitIndex = covered
        if snapshot is not None:
            self._healing.vouched(snapshot.index, snapshot.term)
            self._healing.settle()

    def _restore_configurations(self, snapshot: Snapshot | None) -> None:
        try:
            if snapshot is not None and snapshot.configuration:
                self._configurations.restart(snapshot.index, decode_configuration(snapshot.configuration))
            for index, configuration in configurations_in(self._log.entries):
                if index > self._configurations.newest_index:
                    self._configurations.append(index, configuration)
        except CodecError as error:
            raise ConfigError(
                f"the Raft log or snapshot holds damage: {error}; "
                "restore this server's data directory or remove it and rejoin"
            ) from error

    def recover(self, configuration: Configuration) -> None:
        """Make *configuration* the group's on an operator's word, before the first step; raises ConfigError.

        The whole log counts as committed, and becomes a snapshot that holds the configuration: an entry of its own
        could stand where another server has a different one of the same term. Source: hashicorp/raft, RecoverCluster.
        """
        self._SyncObj__raftCommitIndex = self.last_index
        while self._apply_committed():
            pass
        index, term = self.last_index, self._entry(self.last_index)[2]
        encoded = encode_configuration(configuration)
        self._snapshots.begin_write(index, term, self._fsm.dump(), lambda: None, encoded)
        self._snapshots.wait(_RECOVERY_SECONDS)
        state, _, error = self._snapshots.poll_write()
        if state is not WriteState.DONE:
            raise ConfigError(f"the servers of peers.json cannot be written into a snapshot: {error or 'no end of it'}")
        self._log.reset(index, term)
        self._configurations = Configurations(configuration)
        self._configurations.restart(index, configuration)
        self._configure()
        self._healing.accept_loss()
        self._logger.warning("raft: recovered by peers.json index=%d servers=%d", index, len(configuration.servers))

    def require_peers(self) -> None:
        """Raise ConfigError when the end of the log is lost and no other server votes: nobody could heal this one."""
        if self._standing is Standing.VOTER and not self._SyncObj__otherNodes:
            self._healing.require_peers()

    # The configuration.

    def _learners(self) -> set[PeerNode]:
        """The nodes of the configuration that do not vote."""
        return {PeerNode(node) for node, server in self._configured.items() if not server.voter}

    def _node_of(self, server: ConfiguredServer) -> str:
        """Return the address that *server* is dialled at: the one there is a link to, else the one it advertises."""
        if server.server_id:
            for node in sorted(str(node.id) for node in self._kept):
                hello = self._links.identity(node)
                if hello is not None and hello.server_id == server.server_id:
                    return node
        return server.raft_address

    def _configure(self) -> None:
        """Bring nodes and links into line with the newest configuration."""
        newest = self._configurations.newest
        own = newest.of(self._me)
        self._configured = {self._node_of(server): server for server in newest.servers if server != own}
        self._standing = Standing.NONE if own is None else Standing.VOTER if own.voter else Standing.NONVOTER
        self._SyncObj__otherNodes = {PeerNode(node) for node, server in self._configured.items() if server.voter}
        # To pysyncobj a read-only node is one that is sent appends and has no vote.
        self._SyncObj__readonlyNodes = self._learners() | {PeerNode(node) for node in self._parting}
        self._keep({PeerNode(node) for node in self._remembered()})

    def _remembered(self) -> set[str]:
        """The nodes whose links and bookkeeping are kept: the leader too, which an old configuration may not name."""
        leader = self._SyncObj__raftLeader
        speaking = set() if leader is None or self.state is RaftState.LEADER else {str(leader.id)}
        return {*self._configured, *self._parting, *speaking}

    def _keep(self, after: set[PeerNode]) -> None:
        """Forget nodes that went, begin with those that came, and dial all that there are."""
        before, self._kept = self._kept, after
        for node in before - after:
            for known in (
                self._SyncObj__raftNextIndex, self._SyncObj__raftMatchIndex, self._SyncObj__lastResponseTime
            ):  # fmt: skip
                known.pop(node, None)
            self._SyncObj__connectedNodes.discard(node)
            self._snapshots.cancel(str(node.id))
        for node in after - before:
            self._SyncObj__raftNextIndex[node] = self.last_index + 1
            self._SyncObj__raftMatchIndex[node] = 0
            self._SyncObj__lastResponseTime[node] = self._clock.monotonic()
        self._links.keep({str(node.id) for node in after})

    def _apply_committed(self) -> bool:
        first, began = self.applied_index, self._clock.monotonic()
        if first >= self.commit_index:
            return False
        self._recorder.observe(raft.FSM_ENQUEUE, (began - self._committed_at) * 1000)
        index = first
        while index < self.commit_index:
            index += 1
            command, _, _ = self._entry(index)
            result = self._apply(index, command)
            self._SyncObj__raftLastApplied = index
            proposal = self._waiting.pop(index, None)
            if proposal is not None:
                proposal.finish(result)
            if index % 64 == 0 and self._clock.monotonic() - began > _APPLY_BUDGET_SECONDS:
                break
        self.totals["applied"] += index - first
        self.fsm_seconds += self._clock.monotonic() - began
        self._observe_since(raft.FSM_APPLY, began)
        if self.state is not RaftState.LEADER:
            self._observe_since(raft.RPC_APPEND_ENTRIES_PROCESS_LOGS, began)
        return True

    def _apply(self, index: int, command: bytes) -> bytes:
        if command[0] == CommandKind.IDENTITY:
            self._take_identity(index, command)
        if command[0] != CommandKind.REGULAR:
            return b""
        try:
            return self._fsm.apply(index, command[1:])
        except Exception:
            # The root of the state machine: what escapes here would stop every server at the same entry, for good.
            self.totals["apply_failures"] += 1
            self._logger.exception("raft: the state machine failed index=%d", index)
            return b""

    def _take_identity(self, index: int, command: bytes) -> None:
        try:
            self._identify(decode_identity(command))
        except CodecError as error:
            self._logger.error("raft: ignored an id of the cluster index=%d reason=%r", index, str(error))  # noqa: TRY400

    def _identify(self, cluster_id: str) -> None:
        """Take *cluster_id* on, unless it is empty or one is known: only what is committed gives one, once and for good."""
        if cluster_id and not self._log.cluster_id:
            self._log.identify(cluster_id)
            self._snapshots.cluster_id = cluster_id
            self._links.identify(cluster_id)
            self._logger.info("raft: the id of the cluster is known cluster_id=%s", cluster_id)

    def _compact_log(self) -> None:
        state, index, error = self._snapshots.poll_write()
        if state is WriteState.WRITING:
            return
        if state is WriteState.DONE:
            self.totals["snapshots_written"] += 1
            self._snapshot_at = self._clock.monotonic()
            self._log.compact_to(max(self._log.entries[0][1], index - self._compaction.trailing))
            self._configurations.compact_to(self._log.entries[0][1])
        elif state is WriteState.FAILED:
            self._snapshot_paused_until = self._clock.monotonic() + _SNAPSHOT_RETRY_SECONDS
            self._logger.warning("raft: cannot write a snapshot index=%d error=%r", index, str(error))
        if state is not WriteState.IDLE:
            took = self._snapshot_written_at - self._snapshot_frozen_at
            self._recorder.observe(raft.SNAPSHOT_PERSIST, took * 1000)
            self._observe_since(raft.SNAPSHOT_TAKE_SNAPSHOT, self._snapshot_begun_at)
        due = self.applied_index - max(self._snapshots.index, FIRST_INDEX) >= self._compaction.threshold
        if self._snapshot_forced or (due and self._clock.monotonic() >= self._snapshot_paused_until):
            self._snapshot_forced = False
            self._snapshot_begun_at = self._clock.monotonic()
            dump = self._fsm.dump()
            self._observe_since(raft.FSM_SNAPSHOT, self._snapshot_begun_at)
            self._snapshot_frozen_at = self._clock.monotonic()
            index = self.applied_index
            changed_at, configuration = self._configurations.at(index)
            encoded = encode_configuration(configuration) if changed_at else b""
            self._snapshots.begin_write(index, self._entry(index)[2], dump, self._on_snapshot_written, encoded)

    def _on_snapshot_written(self) -> None:
        """Note the time, on the writer's thread, and let the Raft thread look at the outcome."""
        self._snapshot_written_at = self._clock.monotonic()
        self._links.wake()

    def _sync_log(self) -> None:
        began = self._clock.monotonic()
        self._log.sync()
        if self._stored == 0:
            return
        took = (self._store_seconds + self._clock.monotonic() - began) * 1000
        if self.state is RaftState.LEADER:
            self._recorder.observe(raft.LEADER_DISPATCH_LOG, took)
            self._recorder.set(raft.LEADER_DISPATCH_NUM_LOGS, self._stored)
        else:
            self._recorder.observe(raft.RPC_APPEND_ENTRIES_STORE_LOGS, took)
        self._stored, self._store_seconds = 0, 0.0

    def _observe_since(self, metric: Metric, began: float) -> float:
        """Observe, and return, the milliseconds since *began*."""
        took = (self._clock.monotonic() - began) * 1000
        self._recorder.observe(metric, took)
        return took

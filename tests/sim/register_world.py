"""Servers whose disks lose power and clients that write and read registers, in virtual time: what `make sim` runs.

Around the real engine, log, snapshots and state machine there is one seed: it decides the network, the disks, the
faults and the clients. Beside what `RaftWorld` checks, after every step of a server:

- its term never goes back, and in a term it votes for one server only, across restarts; a leader has a majority's votes;
- an entry of one index and term is the same everywhere, and so is the one before it (log matching);
- a leader that has not heard a majority for the time of its lease leads no more;
- a leader commits only what a majority holds, and counts only entries of its own term;
- what a leader counts as stored by another server, that one keeps on its disk, unless it follows a newer term;
- a majority is one of those who vote by the leader's log, and that changes by the rules of `configured`;
- what a process has applied, and the snapshot of a server, never go back;
- what one server knows to be committed is the same on all, for good, and each new leader has it.

A server whose last record is damaged is recovering: what it held counts as held until it is healed, since it lets nobody
be elected that lacks it. In the end every server of the group holds the same state, none is recovering, and what the clients saw is
explained by one order of their calls. A read is as strict as a write, whether it waited behind a barrier or for a round
that confirms it.
"""

import hashlib
import threading
from collections import Counter, defaultdict
from contextlib import contextmanager
from types import SimpleNamespace

from agent.consensus import pysyncobj_core, snapshot_store
from agent.consensus.codec import CommandKind, VoteReply
from agent.consensus.engine_parts import Compaction, Proposal
from agent.consensus.pysyncobj_adapters import PeerNode
from agent.consensus.quorum import majority
from agent.consensus.replicator import RaftState
from agent.consensus.snapshot_store import SnapshotStore
from agent.consensus.wal import FileLog
from agent.consensus.wal_format import RECORD_HEADER_BYTES, RecordKind
from agent.endpoints.replicated import ReplicatedState
from agent.state import fsm
from tests.sim.configured import Watch, is_configuration, voters_of
from tests.sim.raft_world import RaftWorld, Server
from tests.sim.sim_disk import Disk, DiskPath, File, PowerLost, last_record, on_disks

SEGMENT_BYTES = 2_000
BATCH_BYTES = 700
"""Small appends, so that what a leader has to say takes several."""


class _NoLoop:
    """Who would be told of changes."""

    def is_closed(self):
        return True


class DiskServer(Server):
    """A server with a disk; power may go in the middle of any write to it."""

    def __init__(self, world, name):
        super().__init__(world, name)
        self.disk = Disk(name)
        self.promised = (0, None)
        self.barrier_term = 0
        self.commit_seen = self.applied_seen = self.snapshot_seen = 0
        self.status = None
        self.lost, self.damaged = None, False
        """The entry that was in its damaged last record, and whether it has not started since."""
        self.has_power = False
        self.leads_since = 0.0
        self.joined = {}
        """When each that votes by this server's log came to."""
        self._joined_by = None
        self.configured = Watch(world, name)

    def damage_last(self, rng):
        """Damage the last record on the disk, in one byte or in its whole header; False when there is none to damage."""
        for name in sorted((name for name in self.disk.files if name.endswith(".wal")), reverse=True):
            content = bytearray(self.disk.files[name].data)
            last, record = last_record(bytes(content))
            if record is not None:
                if rng.random() < 0.7:
                    content[rng.randrange(last, record.end)] ^= rng.randint(1, 255)
                else:
                    content[last : last + RECORD_HEADER_BYTES] = rng.randbytes(RECORD_HEADER_BYTES)
                self.disk.files[name] = File(content)
                self.lost = (record.index, record.term) if record.kind == RecordKind.ENTRY else None
                return True
        return False

    def recovering(self):
        """Say whether it lacks what it held, or will once it starts."""
        return self.damaged or self.log.damage is not None

    def boot(self):
        self.boots += 1
        self.damaged = False
        self.replicated = ReplicatedState(_NoLoop(), self.world.clock, self.recorder)
        folder = DiskPath(self.disk)
        self.log = FileLog(folder, self.world.clock, SEGMENT_BYTES)
        self.snapshots = SnapshotStore(folder / "snapshot")
        before = self.log.entries[0]
        for entry in self.log.entries[1:]:
            self.world.stored(self.name, entry, before[2])
            before = entry
        append = self.log.append

        def watched(*entry):
            self.world.stored(self.name, entry, self.log.entries[-1][2])
            if is_configuration(entry[0]) and self.engine.state is RaftState.LEADER:
                self.configured.appended_by_leader(self, entry[2])
            append(*entry)

        self.log.append = watched
        self.engine = self.make_engine(self, self, self.recorder)
        self.barrier_term, self.commit_seen, self.applied_seen = 0, self.engine.commit_index, 0
        self.status = self.engine.status(0.0)
        self.engine.announce()
        self.looked_at()

    def turn(self):
        self.world.acting = self
        with self.world.power(self):
            super().turn()
            self.looked_at()
            if self.engine.state is RaftState.LEADER:
                self.status = self.engine.status(0.0)  # what `surely_leads` goes by
                self.world.check_quorum(self)

    def looked_at(self):
        """Let the world see term, vote, servers and what is committed."""
        engine = self.engine
        self.world.voted(self, engine.term, engine._SyncObj__votedForNodeId)
        self.configured.look(self)
        newest = engine._configurations.newest
        if newest is not self._joined_by:
            now = self.world.clock.monotonic()
            self._joined_by, self.joined = newest, {name: self.joined.get(name, now) for name in voters_of(self)}
        if engine.state is RaftState.LEADER:
            self.world.check_counted(self)
        first = self.log.entries[0][1]
        for index in range(max(self.commit_seen, first) + 1, engine.commit_index + 1):
            self.world.commits(self.name, self.log.entries[index - first])
            if engine.state is RaftState.LEADER:
                self.world.check_stored(self, index, self.log.entries[index - first][2])
        if engine.state is RaftState.LEADER and engine.commit_index > max(self.commit_seen, first):
            term = self.log.entries[engine.commit_index - first][2]
            assert term == engine.term, f"{self.name} counted an entry of term {term} as leader of {engine.term}"
        self.commit_seen = max(self.commit_seen, engine.commit_index)
        assert engine.applied_index >= self.applied_seen, f"{self.name} went back from the state of {self.applied_seen}"
        assert self.snapshots.index >= self.snapshot_seen, (
            f"{self.name} went back from its snapshot {self.snapshot_seen}"
        )
        self.applied_seen, self.snapshot_seen = engine.applied_index, self.snapshots.index

    def holds(self, index, term):
        """Say whether an entry is in this log, as it is or was last, or covered."""
        first, last = self.log.entries[0][1], self.log.entries[-1][1]
        if self.recovering() and self.lost == (index, term):
            return True  # it lets nobody be elected without it
        return index <= first or (index <= last and self.log.entries[index - first][2] == term)

    def surely_leads(self):
        """As `ServerAgent`: duties taken up behind a barrier, a quorum, and a status younger than the lease."""
        leads = self.engine.state is RaftState.LEADER and self.barrier_term == self.engine.term
        age = self.world.clock.monotonic() - self.status.taken_at_seconds
        return leads and self.status.has_quorum and age <= self.world.timing.lease_seconds

    # The state machine and the observer.

    def apply(self, index, command):
        self.world.applied(self.name, index, command)
        return self.replicated.apply(index, command)

    def dump(self):
        return self.replicated.dump()

    def load(self, data):
        self.replicated.load(data)

    def state_changed(self, old, new, term, reason):
        super().state_changed(old, new, term, reason)
        if new is RaftState.LEADER:
            self.leads_since = self.world.clock.monotonic()
            self.world.check_elected(self)
            self.engine.submit(Proposal(CommandKind.NO_OP, b"", lambda result: self._barrier_passed(term, result)))

    def _barrier_passed(self, term, result):
        if isinstance(result, bytes):
            self.barrier_term = term

    def die(self):
        """Lose the process, and without power what the disk had not made durable."""
        for proposal in list(self.engine._waiting.values()):
            proposal.cancel()
        self.engine, self.step_at, self.disk.fuse = None, None, None
        if not self.has_power:
            self.disk.crash(self.world.rng)


class _SnapshotThread:
    """The thread of a snapshot's writer: it is done some time later, if its process still lives and runs."""

    def __init__(self, world, target):
        self._world, self._target, self._server = world, target, world.acting
        self._boot, self._done = self._server.boots, False

    def start(self):
        self._world._later(self._world.rng.choice((0.001, 0.02, 0.4)), self._run)

    def is_alive(self):
        return not self._done

    def _run(self):
        server = self._server
        if server.engine is None or server.boots != self._boot:
            return
        if server.name in self._world.paused:
            self._world._later(0.05, self._run)
            return
        with self._world.power(server):
            self._target()
            self._done = True


class RegisterWorld(RaftWorld):
    """The group, its network, its disks. Enter `simulated` around it."""

    make_server = DiskServer
    step_delays = (0.0, 0.001, 0.008, 0.03)
    """A thread that is late, or waits for its disk, leaves what it took unsynced for longer than an answer is on its way."""

    def __init__(self, seed, size=3, loss=0.0, reorder=False, joiners=0):
        self.entries, self.committed, self.counts = {}, {}, Counter()
        self.committed_by = {}
        """By index, the term in which it was first seen to be committed."""
        self.votes, self.heard = defaultdict(set), defaultdict(float)
        self.acting = None
        self.blackout = False
        """Whether everybody loses power with the next one whose fuse goes."""
        self.written_to = "s1"
        """Whom bursts of writes are for, while it leads."""
        self.mended = False
        """Whether nothing more shall go wrong."""
        self.digest = hashlib.sha256()
        super().__init__(seed, size, loss, reorder, Compaction(25, 4), joiners)

    # Faults.

    @contextmanager
    def power(self, server):
        """End *server* where its power goes."""
        try:
            yield
        except PowerLost:
            self.counts["power lost in a write"] += 1
            down = self.names if self.blackout else [server.name]
            self.blackout = False
            for name in down:
                if self.servers[name].engine is not None:
                    self.crash(name)

    def kill(self, name):
        """End the process alone: what it had handed to the system stays."""
        self.servers[name].has_power = True
        self.crash(name)
        self.servers[name].has_power = False

    def damage(self, name):
        """Take the power of a server, and damage the last record of its log; of fewer than half at one time."""
        recovering = [other for other in self.names if other == name or self.servers[other].recovering()]
        if len(recovering) < majority(len(self.names)):
            self.crash(name)
            self.servers[name].damaged = self.servers[name].damage_last(self.rng)
            self.counts["last records damaged"] += self.servers[name].damaged

    def reconnect(self, source, destination):
        """Close a connection; it is dialled again."""
        self._disconnect(source, destination, told=True)
        self._later(self.rng.uniform(0.3, 0.5), self._connect)

    # Asking.

    def ask(self, name, kind, command, answer):
        """Give *command* to the log of a server; *answer* is called with what comes of it."""
        self.servers[name].engine.submit(Proposal(kind, command, answer))

    def change(self, name, change):
        """Ask the server *name* for the configuration that *change* makes of its own."""
        engine = self.servers[name].engine

        def finish(result):
            self.counts["changes" if isinstance(result, bytes) else "changes without effect"] += 1

        self.counts["changes asked for"] += 1
        engine.run_soon(lambda: engine.reconfigure(change, finish))

    def group(self):
        """Return the servers that the leader's log names, none while nobody leads."""
        leader = self.leader()
        newest = leader.engine._configurations.newest.servers if leader is not None else ()
        return [self.servers[member.raft_address] for member in newest]

    def check_same_state(self):
        """Assert that every server of the group holds the same state."""
        states = {server.name: fsm.dump(server.replicated.state) for server in self.group()}
        assert len(set(states.values())) == 1, f"states differ at {[s.engine.applied_index for s in self.group()]}"

    # Called by the servers.

    def post(self, source, destination, message):
        if isinstance(message, VoteReply) and message.granted:
            self.votes[message.term, destination].add(source)
            if self.reorder and self.rng.random() < 0.5:
                super().post(source, destination, message)
        return super().post(source, destination, message)

    def check_stored(self, server, index, term):
        """Assert that a majority holds what a leader takes for committed, in its log or behind a snapshot."""
        voters = voters_of(server)
        holders = [name for name in voters if self.servers[name].holds(index, term)]
        assert len(holders) >= majority(len(voters)), (
            f"{server.name} committed {index}, which of {voters} only {holders} hold"
        )

    def check_counted(self, server):
        """Assert that each server that is not recovering holds what a leader takes it to have stored."""
        first, term, matches = server.log.entries[0][1], server.engine.term, server.engine._SyncObj__raftMatchIndex
        for name in server.joined:
            index, other = matches.get(PeerNode(name), 0), self.servers[name]
            if index > first and other.engine is not None and other.promised[0] <= term and not other.recovering():
                kept = other.holds(index, server.log.entries[index - first][2]) and (
                    index <= max(other.log.entries[0][1], other.log.durable_index)
                )
                assert kept, (
                    f"{server.name}, leader of {term}, counts {index} as stored by {name}, which does not keep it"
                )

    def check_quorum(self, server):
        """Assert that a leader heard a majority within its lease, by what came in over the network."""
        others = [name for name in server.joined if name != server.name]
        if not others:
            return
        heard = sorted(
            (max(server.leads_since, server.joined[name], self.heard[server.name, name]) for name in others),
            reverse=True,
        )
        silent = self.clock.monotonic() - heard[majority(len(others) + 1) - 2]
        assert silent <= self.timing.lease_seconds + 0.05, (
            f"{server.name} leads after {silent:.2f} s without a majority"
        )

    def stored(self, name, entry, term_before):
        command, index, term = entry
        known = self.entries.setdefault((index, term), (command, term_before))
        assert known == (command, term_before), (
            f"{name} holds another entry {index} of term {term}, or another before it"
        )

    def voted(self, server, term, vote):
        before, voted = server.promised
        assert term >= before, f"{server.name} went back from term {before} to {term}"
        assert term > before or voted in {None, vote}, f"{server.name} voted in term {term} for {voted} and {vote}"
        server.promised = (term, vote)

    def commits(self, name, entry):
        command, index, term = entry
        self.committed_by.setdefault(index, self.servers[name].engine.term)
        known = self.committed.setdefault(index, (command, term))
        assert known == (command, term), f"{name} committed another entry {index}: of term {term}, not {known[1]}"

    def check_elected(self, server):
        """Assert that a new leader has the votes of a majority, and every entry that was committed in earlier terms.

        Votes that were late may make one the leader of a term that is over: it commits nothing.
        """
        voters = voters_of(server)
        votes = ({server.name} | self.votes[server.engine.term, server.name]) & set(voters)
        assert len(votes) >= majority(len(voters)), f"{server.name} leads by the votes of {sorted(votes)} of {voters}"
        first, last = server.log.entries[0][1], server.log.entries[-1][1]
        for index, (_, term) in self.committed.items():
            if index > first and self.committed_by[index] < server.engine.term:
                held = server.log.entries[index - first][2] if index <= last else None
                assert held == term, f"{server.name} leads without entry {index} of term {term} that was committed"

    # The network.

    def _deliver(self, source, destination, epoch, body):
        server = self.servers[destination]
        self.digest.update(f"{self.clock.monotonic():.9f} {source} {destination} ".encode() + body)
        with self.power(server):
            super()._deliver(source, destination, epoch, body)
            if server.engine is not None:
                server.looked_at()
                if destination not in self.paused:
                    self.heard[destination, source] = self.clock.monotonic()
        if self.reorder and destination not in self.paused and self.rng.random() < 0.15:
            self._later(
                self.rng.choice((0.001, 0.02, 0.7, 1.5, 3.0)), lambda: self._deliver(source, destination, epoch, body)
            )


@contextmanager
def simulated(world_of):
    """Yield the world that *world_of* makes, whose disks and threads stand for the real ones until it is left."""
    made = []
    threads = SimpleNamespace(Lock=threading.Lock, Thread=lambda target, **_: _SnapshotThread(made[0], target))
    before = snapshot_store.threading, pysyncobj_core.BATCH_BYTES_MAX
    with on_disks():
        snapshot_store.threading, pysyncobj_core.BATCH_BYTES_MAX = threads, BATCH_BYTES
        try:
            made.append(world_of())
            yield made[0]
        finally:
            snapshot_store.threading, pysyncobj_core.BATCH_BYTES_MAX = before

"""A replicated group under simulated time, network and disks: the real engine, codec and log, nothing else real.

One seed decides everything. Servers crash with the loss of whatever they had not made durable, links are cut in one
direction or both, lose, delay and reorder. What must hold at every moment is checked at every moment:

- at most one leader in a term;
- every server applies the same command at the same index;
- what was answered for is applied by every server in the end, once, at the index it was answered with.
"""

import heapq
import logging
import random
from collections import defaultdict

from agent.consensus.codec import CommandKind, Hello, decode_message, encode_frame
from agent.consensus.engine_parts import Compaction, Proposal, Timing
from agent.consensus.greeting import hello_of
from agent.consensus.pysyncobj_engine import Engine
from agent.consensus.replicator import Peer, RaftState
from agent.consensus.snapshot_store import SnapshotStore, WriteState
from agent.consensus.wal import MemoryLog
from telemetry.clock import ManualClock


class SimLog(MemoryLog):
    """A log on a simulated disk: what was not synced is gone with a crash."""

    def __init__(self, clock):
        super().__init__(clock)
        self._kept = (list(self.entries), list(self._appended_ms))

    @property
    def durable_index(self):
        return self._durable if hasattr(self, "_durable") else self.entries[-1][1]

    def sync(self):
        self._kept = (list(self.entries), list(self._appended_ms))
        self._durable = self.entries[-1][1]

    def truncate_from(self, index):
        super().truncate_from(index)
        self._durable = min(self.durable_index, index - 1)

    def reset(self, index, term):
        super().reset(index, term)
        self.sync()

    def crash(self):
        self.entries[:], self._appended_ms = list(self._kept[0]), list(self._kept[1])
        self._durable = self.entries[-1][1]


class SimSnapshots(SnapshotStore):
    """Snapshots on a simulated disk, written at once instead of on a thread."""

    def __init__(self):
        super().__init__(None)
        self._done = False

    def load(self):
        from agent.consensus.snapshot_store import decode_snapshot

        self._incoming, self._outgoing, self._done = None, {}, False
        return None if self._blob is None else decode_snapshot(self._blob)

    def begin_write(self, index, term, dump, finished, configuration=b""):
        from agent.consensus.snapshot_store import Snapshot, encode_snapshot

        self._writing, self._done = index, True
        self._keep(index, encode_snapshot(Snapshot(index, term, dump(), configuration, self.cluster_id)))
        finished()

    def poll_write(self):
        if not self._done:
            return WriteState.IDLE, 0, None
        self._done = False
        return WriteState.DONE, self._writing, None


class CountingRecorder:
    """Keeps what was recorded, by metric name."""

    def __init__(self):
        self.counts = defaultdict(float)
        self.gauges = {}

    def add(self, metric, amount=1.0, labels=(), expansion=""):
        self.counts[metric.name] += amount

    def set(self, metric, value, labels=(), expansion=""):
        self.gauges[metric.name] = value

    def observe(self, metric, value, labels=(), expansion=""):
        assert value >= 0, f"{metric.name} observed {value}"
        self.counts[metric.name] += 1


class Server:
    """One server: what survives a crash, and the engine that does not. It is its own state machine and observer."""

    def __init__(self, world, name):
        self.world, self.name = world, name
        self.log, self.snapshots = SimLog(world.clock), SimSnapshots()
        self.recorder = CountingRecorder()
        self.transitions = []
        self.boots = 0
        self.engine = None
        self.commands = []
        self.step_at = None

    # What the engine needs of a transport.

    def send(self, node, message):
        return self.world.post(self.name, node, message)

    def backlog(self, node):
        return 0

    def identity(self, node) -> Hello:
        return hello_of(f"id-{node}", node, (node, node), "global")

    def keep(self, nodes):
        """Nothing to do: every server of the world is connected to every other."""

    def identify(self, cluster_id):
        self.identified = cluster_id

    def wake(self):
        self.step_at = self.world.clock.monotonic()

    # The state machine: a list of (index, command).

    def apply(self, index, command):
        self.world.applied(self.name, index, command)
        self.commands.append((index, command))
        return str(index).encode()

    def dump(self):
        frozen = tuple(self.commands)
        return lambda: b"\n".join(b"%d %s" % pair for pair in frozen)

    def load(self, data):
        lines = [line.split(b" ", 1) for line in data.split(b"\n") if line]
        self.commands = [(int(index), command) for index, command in lines]

    # The observer.

    def state_changed(self, old, new, term, reason):
        self.transitions.append((round(self.world.clock.monotonic(), 3), old, new, term, reason))
        if new is RaftState.LEADER:
            self.world.leader_elected(self.name, term)

    def leader_changed(self, leader):
        """Nothing to check: who leads is checked at each election."""

    # Life.

    def boot(self):
        self.boots += 1
        self.commands = []
        self.engine = self.make_engine(self, self, self.recorder)
        self.engine.announce()

    def make_engine(self, fsm, observer, recorder):
        joining = self.name not in self.world.founders
        return Engine(
            Peer(f"id-{self.name}", self.name, self.name, self.name),
            () if joining else tuple(name for name in self.world.founders if name != self.name),
            timing=self.world.timing,
            compaction=self.world.compaction,
            log=self.log,
            snapshots=self.snapshots,
            links=self,
            fsm=fsm,
            observer=observer,
            recorder=recorder,
            clock=self.world.clock,
            rng=random.Random(f"{self.world.seed}:{self.name}:{self.boots}"),
            logger=logging.getLogger("raft-world"),
            joining=joining,
        )

    def die(self):
        """Lose what a process loses when it is killed."""
        for proposal in list(self.engine._waiting.values()):
            proposal.cancel()
        self.engine, self.step_at = None, None
        self.log.crash()

    def due(self):
        deadline = self.engine.next_deadline()
        return deadline if self.step_at is None else min(deadline, self.step_at)

    def turn(self):
        """Do what is due now."""
        self.step_at = None
        self.engine.step()


class RaftWorld:
    """The group, its network and its clock."""

    make_server = Server
    timing = Timing()
    step_delays = (0.0, 0.001)
    """Seconds from a message to the step that follows."""

    def __init__(self, seed, size=3, loss=0.0, reorder=False, compaction=None, joiners=0):
        """*size* servers form the group; *joiners* more are there and wait to be taken in."""
        print(f"raft world: seed={seed} size={size} loss={loss} reorder={reorder} joiners={joiners}")
        self.seed, self.loss, self.reorder = seed, loss, reorder
        self.rng = random.Random(f"world:{seed}")
        self.clock = ManualClock()
        self.compaction = compaction or Compaction()
        self.names = [f"s{number + 1}" for number in range(size + joiners)]
        self.founders = self.names[:size]
        self.cut = set()
        self.delays = {}
        self.paused = set()
        self.leaders = {}
        self.history = {}
        self.acked = {}
        self.refused = []
        self._queue, self._sequence = [], 0
        self._links, self._last_due, self._epoch = {}, {}, defaultdict(int)
        self._up = set()
        self.servers = {name: self.make_server(self, name) for name in self.names}
        for name in self.names:
            self.start(name)

    # Faults.

    def start(self, name):
        server = self.servers[name]
        server.boot()
        server.step_at = self.clock.monotonic()
        self._later(self.rng.uniform(0.3, 0.5), self._connect)

    def crash(self, name):
        """Kill -9: connections close where no cut hides it, what was not durable is gone."""
        self.servers[name].die()
        self.paused.discard(name)
        for other in self.names:
            self._disconnect(name, other, told=False)
            self._disconnect(other, name, told=(other, name) not in self.cut)
            live = self.servers[other].engine
            if live is not None and other != name and (name, other) not in self.cut:
                live.on_silent(name)
                self.servers[other].wake()

    def sever(self, source, destination):
        """Drop all that *source* sends to *destination*."""
        self.cut.add((source, destination))

    def isolate(self, name):
        for other in self.names:
            if other != name:
                self.sever(name, other)
                self.sever(other, name)

    def heal(self):
        """Mend every link; what was cut gets new connections, as after TCP gave the old ones up."""
        for source, destination in sorted(self.cut):
            self._disconnect(source, destination, told=True)
        self.cut.clear()
        self._later(self.rng.uniform(0.3, 0.5), self._connect)

    def pause(self, name):
        """SIGSTOP: messages wait, time goes on."""
        self.paused.add(name)

    def resume(self, name):
        self.paused.discard(name)

    # Asking.

    def leader(self):
        """The leader of the newest term among the servers that run, None when there is none."""
        leading = [s for s in self.servers.values() if s.engine is not None and s.engine.state is RaftState.LEADER]
        return max(leading, key=lambda s: s.engine.term, default=None)

    def propose(self, name, command):
        server = self.servers[name]

        def finish(result):
            if isinstance(result, bytes):
                self.acked[command] = int(result)
            else:
                self.refused.append((command, result))

        server.engine.submit(Proposal(CommandKind.REGULAR, command, finish))

    def reconfigure(self, name, change):
        """Ask the server *name* for the configuration that *change* makes; return the list its outcome goes to."""
        server, outcome = self.servers[name], []
        server.engine.run_soon(lambda: server.engine.reconfigure(change, outcome.append))
        return outcome

    def check_converged(self, group=None):
        """Assert that every server, or those of *group*, applied every write that was answered for, once."""
        for server in (self.servers[name] for name in group or self.names):
            applied = dict(server.commands)
            assert len(applied) == len(server.commands), f"{server.name} applied an index twice"
            for command, index in self.acked.items():
                assert applied.get(index) == command, f"{server.name} lost {command!r} at {index}"

    # Time.

    def run(self, seconds):
        """Let *seconds* pass."""
        end = self.clock.monotonic() + seconds
        while True:
            actor, due = self._next_turn()
            message_due = self._queue[0][0] if self._queue else float("inf")
            now = max(self.clock.monotonic(), min(due, message_due))
            if now > end:
                break
            self.clock.advance(now - self.clock.monotonic())
            if message_due <= due:
                _, _, action = heapq.heappop(self._queue)
                action()
            else:
                actor.turn()
        self.clock.advance(max(0.0, end - self.clock.monotonic()))

    def run_until(self, condition, within):
        """Let time pass until *condition* holds and return the seconds it took; fails after *within*."""
        began = self.clock.monotonic()
        while not condition():
            assert self.clock.monotonic() - began <= within, f"not within {within} s"
            self.run(0.01)
        return self.clock.monotonic() - began

    # Called by the servers.

    def post(self, source, destination, message):
        if (source, destination) not in self._up:
            return False
        body = encode_frame(message)[4:]
        if (source, destination) not in self._links:
            self._links[source, destination] = random.Random(f"{self.seed}:{source}>{destination}")
        link = self._links[source, destination]
        due = self.clock.monotonic() + 0.0005 + link.random() * 0.01 + self.delays.get((source, destination), 0.0)
        lost = link.random() < self.loss
        if not self.reorder:
            due = max(due, self._last_due.get((source, destination), 0.0) + 1e-6)
        self._last_due[source, destination] = due
        epoch = self._epoch[source, destination]
        if not lost and (source, destination) not in self.cut:
            self._at(due, lambda: self._deliver(source, destination, epoch, body))
        return True

    def leader_elected(self, name, term):
        assert self.leaders.setdefault(term, name) == name, f"two leaders in term {term}: {self.leaders[term]}, {name}"

    def applied(self, name, index, command):
        assert self.history.setdefault(index, command) == command, f"{name} applied another command at {index}"

    # The network.

    def _deliver(self, source, destination, epoch, body):
        server = self.servers[destination]
        if server.engine is None or (source, destination) in self.cut:
            return
        if epoch != self._epoch[source, destination] and not self.reorder:
            return  # a connection since replaced: its unread bytes are dropped
        if destination in self.paused:
            self._hold(destination, lambda: self._deliver(source, destination, epoch, body))
            return
        server.engine.on_message(source, decode_message(body))
        # Often several messages are read before the next step.
        soon = self.clock.monotonic() + self.rng.choice(self.step_delays)
        server.step_at = soon if server.step_at is None else min(server.step_at, soon)

    def _hold(self, destination, action):
        """Keep a message until *destination* runs again."""
        self._later(0.05, action)

    def _connect(self):
        for source in self.names:
            for destination in self.names:
                pair = (source, destination)
                ends = (self.servers[source].engine, self.servers[destination].engine)
                if source == destination or None in ends or pair in self._up or pair in self.cut:
                    continue
                self._up.add(pair)
                self._epoch[pair] += 1
                self.servers[source].engine.on_connected(destination)

    def _disconnect(self, source, destination, *, told):
        if (source, destination) not in self._up:
            return
        self._up.discard((source, destination))
        self._epoch[source, destination] += 1
        engine = self.servers[source].engine
        if told and engine is not None:
            engine.on_disconnected(destination)

    def _actors(self):
        """Yield whoever may have something to do, in an order that never varies."""
        return (s for s in self.servers.values() if s.engine is not None and s.name not in self.paused)

    def _next_turn(self):
        first, earliest = None, float("inf")
        for actor in self._actors():
            due = actor.due()
            if due < earliest:
                first, earliest = actor, due
        return first, earliest

    def _later(self, seconds, action):
        self._at(self.clock.monotonic() + seconds, action)

    def _at(self, due, action):
        self._sequence += 1
        heapq.heappush(self._queue, (due, self._sequence, action))

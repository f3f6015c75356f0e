"""A whole cluster in virtual time: real server agents and clients on a simulated network, and what a scrape of each says.

One seed decides everything, as in `RaftWorld`, which keeps what must hold for the replicated log. The world has no
processes, threads or sockets: time passes in `run`, and a minute of three servers costs about a second.
"""

import tempfile
from collections import defaultdict
from enum import Enum
from pathlib import Path

from agent.consensus.engine_parts import Timing
from tests.sim.raft_world import RaftWorld
from tests.sim.sim_agents import ClusterClient, ClusterServer
from tests.sim.sim_wire import LATENCY_SECONDS


class Pace(Enum):
    """How long elections take: the Raft times of every server, and the multiplier they are told."""

    QUICK = (Timing(), 1)
    """Ours by default: a killed leader is replaced in 0.1 to 0.3 s, a silent one in 1 s."""
    SLOW = (Timing().scaled(4), 4)
    """Ours with `raft_multiplier = 4`."""
    NOMAD = (Timing(election_min_seconds=2.0, election_max_seconds=4.0, hurry_seconds=(2.0, 4.0)), 4)
    """As a real Nomad was seen: contacts several times a second, a lease of half a second, fail-overs of 2 to 4 s,
    and no hurry when a connection is closed."""

    def __init__(self, timing, multiplier):
        self.timing, self.multiplier = timing, multiplier

    @property
    def election_seconds(self):
        """How long a follower waits for its leader at most."""
        return self.timing.election_max_seconds


class ClusterWorld(RaftWorld):
    """Servers s1, s2 ... and clients c1, c2 ..."""

    make_server = ClusterServer

    def __init__(self, seed, size=3, clients=2, pace=Pace.QUICK):
        self.timing, self.raft_multiplier = pace.timing, pace.multiplier
        self.clients = {}
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        self._calls = []
        self._held = defaultdict(list)
        self._cut_at, self._paused_at = {}, {}
        super().__init__(seed, size)
        self.clients = {f"c{number + 1}": ClusterClient(self, f"c{number + 1}") for number in range(clients)}
        for client in self.clients.values():
            client.start()

    @property
    def now(self):
        return self.clock.monotonic()

    @property
    def agents(self):
        """Every agent by name, servers first."""
        return {**self.servers, **self.clients}

    # Faults.

    def start(self, name):
        if name in self.clients:
            self.clients[name].start()
        else:
            super().start(name)

    def crash(self, name):
        if name in self.clients:
            self.clients[name].die()
        else:
            super().crash(name)
        self.paused.discard(name)
        self._paused_at.pop(name, None)
        self._held.pop(name, None)
        for call in [call for call in self._calls if call.target == name]:
            if (name, call.source) not in self.cut:
                call.lose()

    def pause(self, name):
        super().pause(name)
        self._paused_at[name] = self.now

    def resume(self, name):
        super().resume(name)
        self._paused_at.pop(name, None)
        for action in self._held.pop(name, []):
            self._later(0.0, action)

    def sever(self, source, destination):
        super().sever(source, destination)
        self._cut_at.setdefault((source, destination), self.now)

    def isolate(self, name):
        """Cut *name*, a server or a client, from all others."""
        for other in self.agents:
            if other != name:
                self.sever(name, other)
                self.sever(other, name)

    def heal(self):
        super().heal()
        self._cut_at.clear()

    def transfer(self):
        """Ask the leader to hand its lead over."""
        leader = self.leader()
        leader.spawn(leader.replicator.transfer_leadership())

    # Asking.

    def scrape(self, name):
        """Return what a scrape of *name* brings now, or None where there is no process or it is stopped."""
        agent = self.agents[name]
        return None if agent.gone or name in self.paused else agent.registry.exposition()

    def leads(self):
        """Return the server that leads and has taken up its duties, or None."""
        leader = self.leader()
        return leader if leader is not None and leader.agent.duties.established else None

    def check_no_bug(self):
        """Assert that no task, call or sampler of a running agent failed by a bug."""
        for agent in self.agents.values():
            if agent.gone:
                continue
            failures = [
                line
                for line in agent.registry.exposition().decode().splitlines()
                if line.startswith("outrider_task_failures_total") and not line.endswith(" 0")
            ]
            assert not failures, f"{agent.name}: {failures}"
            assert agent.listener is None or agent.listener.bugs == 0, f"{agent.name}: a call failed by a bug"

    def close(self):
        """End every process, so that no task outlives the world."""
        for agent in self.agents.values():
            if not agent.gone:
                agent.die()
        self._folder.cleanup()

    # Called by the wires.

    def answers(self, name):
        """Say whether a process of that name accepts connections."""
        agent = self.agents.get(name)
        return agent is not None and agent.listener is not None

    def silent_seconds(self, source, target):
        """Return for how long nothing has come through between two processes, 0 where it does."""
        since = [self._cut_at[pair] for pair in ((source, target), (target, source)) if pair in self._cut_at]
        if target in self._paused_at:
            since.append(self._paused_at[target])
        return self.now - min(since) if since else 0.0

    def carry(self, call):
        self._calls.append(call)
        self._later(LATENCY_SECONDS, lambda: self._arrive(call))

    def forget(self, call):
        if call in self._calls:
            self._calls.remove(call)

    def _arrive(self, call):
        if (call.source, call.target) in self.cut:
            return
        target = self.agents[call.target]
        if call.target in self.paused:
            self._hold(call.target, lambda: self._arrive(call))
        elif target.listener is None:
            call.lose()
        else:
            target.spawn(target.listener.serve(call, lambda outcome: self._answer(call, outcome)))

    def _answer(self, call, outcome):
        if (call.target, call.source) not in self.cut:
            self._later(LATENCY_SECONDS, lambda: call.answer(outcome))

    # The network of RaftWorld.

    def _hold(self, destination, action):
        self._held[destination].append(action)

    def _actors(self):
        yield from super()._actors()
        yield from (c for c in self.clients.values() if not c.gone and c.name not in self.paused)

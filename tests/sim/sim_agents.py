"""The agents of a simulated cluster: the real server and the real client, each in a loop of its own.

Everything between the wire and the registry is the agent's own: of a server `ServerAgent` with its duties, endpoints
and workers, the replicator with its engine, the observer, autopilot's rounds; of a client `ClientAgent` with its
heartbeats and its watch for work. Simulated are clock, network, the disks of servers, the host of a client, and the
figures of a process (descriptors, memory), which are constants.
"""

import asyncio
import logging
import random

from agent.client.identity import Identity
from agent.client.servers import ServerPool
from agent.client.settings import ClientSettings
from agent.config.schema import AgentConfig, ServerConfig
from agent.consensus.pysyncobj_replicator import PysyncobjReplicator, RaftSettings
from agent.consensus.replicator import Peer
from agent.model.base import NodeID
from agent.model.node import Node
from agent.node import ClientAgent
from agent.observe import Observed, ServerObserver
from agent.server import Outside, ServerAgent, ServerIdentity
from telemetry.catalogue import external, outrider, runtime
from telemetry.registry import Registry, Sampled
from tests.sim.raft_world import Server
from tests.sim.sim_wire import SimListener, SimWire
from tests.sim.virtual_loop import VirtualLoop

COLLECTION_SECONDS = 1.0
VERSION = "0.1.0"


class Agent:
    """A process: a loop and a registry from its start to its death."""

    loop = registry = listener = None
    boots = 0

    @property
    def gone(self):
        return self.loop is None

    def begin(self):
        """Start the process anew."""
        self.boots += 1
        self.rng = random.Random(f"{self.world.seed}:{self.name}:agent:{self.boots}")
        self.loop = VirtualLoop(self.world.clock)
        self.registry = Registry(self.world.clock)
        self.registry.register_sampler(self._sample, "agent")
        self.registry.register_sampler(self.registry.stats, "registry")
        self._began, self._collections = self.world.clock.wall(), 0
        self.loop.create_task(self._main(), name=f"{self.name} main")
        self.loop.turn()

    def end(self):
        """Die: whatever was under way is gone, and nothing of it is heard any more."""
        loop, self.loop, self.listener = self.loop, None, None
        loop.end()
        self.registry = None

    def spawn(self, coroutine):
        """Run *coroutine* in the process."""
        self.loop.create_task(coroutine, name=f"{self.name} spawned")
        self.loop.turn()

    async def _collect(self, collectors):
        """Emit what is due at each collection interval, as `agent.process` does; processes start at their own time."""
        await asyncio.sleep(self.rng.uniform(0, COLLECTION_SECONDS))
        while True:
            for collect in collectors:
                pending = collect()
                if pending is not None:
                    await pending
            await asyncio.sleep(COLLECTION_SECONDS)

    def _record_runtime(self):
        """Set the figures of a process at rest: what was made and freed grows at each collection, as a Nomad's does."""
        self._collections += 1
        self.registry.set(runtime.NUM_GOROUTINES, 40.0)
        self.registry.set(runtime.HEAP_OBJECTS, 400_000.0 + self._collections % 7)
        self.registry.set(runtime.ALLOC_BYTES, 6e7 + 1024 * (self._collections % 7))
        self.registry.set(runtime.MALLOC_COUNT, 500_000.0 + 1_000 * self._collections)
        self.registry.set(runtime.FREE_COUNT, 100_000.0 + 1_000 * self._collections)

    def _sample(self):
        age = self.world.clock.wall() - self._began
        yield Sampled(outrider.AGENT_INFO, 1.0, (VERSION, self.role, self.name, "dc1"))
        yield Sampled(external.PROCESS_START_TIME_SECONDS, self._began)
        yield Sampled(external.PROCESS_CPU_SECONDS_TOTAL, round(1.0 + 0.02 * age, 6))
        yield Sampled(external.PROCESS_RESIDENT_MEMORY_BYTES, 8e7)
        yield Sampled(external.PROCESS_OPEN_FDS, 40.0)
        yield Sampled(external.PROCESS_MAX_FDS, 1_048_576.0)


class SimReplicator(PysyncobjReplicator):
    """The replicator without its thread and sockets: the world gives it its turns."""

    def __init__(self, server, fsm, observer):
        me = Peer(f"id-{server.name}", server.name, f"{server.name}:4649", f"{server.name}:4647")
        super().__init__(
            RaftSettings(me=me, bind_address=f"{server.name}:4649"),
            _WatchedFsm(server, fsm),
            _WatchedObserver(server, observer),
            server.registry,
            server.world.clock,
            logging.getLogger("sim.raft"),
        )
        self._server = server
        self.due_at = float("-inf")

    def start(self):
        self._engine = self._server.make_engine(self._fsm, self._observer, self._recorder)
        self._status = self._engine.status(0.0)
        self._busy_since = self._clock.monotonic()
        self._engine.announce()
        self._server.engine = self._engine

    def stop(self):
        self._stopping.set()

    def turn(self):
        self._wake(self.due_at)
        self.due_at = self._turn(self._engine)


class _WatchedFsm:
    """Lets the world compare what each server applies."""

    def __init__(self, server, fsm):
        self._server, self._fsm = server, fsm
        self.dump, self.load = fsm.dump, fsm.load

    def apply(self, index, command):
        self._server.world.applied(self._server.name, index, command)
        return self._fsm.apply(index, command)


class _WatchedObserver:
    """Lets the world see who is elected."""

    def __init__(self, server, observer):
        self._server, self._observer = server, observer
        self.leader_changed = observer.leader_changed

    def state_changed(self, old, new, term, reason):
        self._server.state_changed(old, new, term, reason)
        self._observer.state_changed(old, new, term, reason)


class ClusterServer(Agent, Server):
    """A server of a cluster; its log outlives the process."""

    role = "server"

    def boot(self):
        self.begin()
        assert self.engine is not None, f"{self.name} did not start"

    def die(self):
        self.replicator.stop()
        Agent.end(self)
        Server.die(self)

    def due(self):
        return min(self._raft_due(), self.loop.next_deadline())

    def turn(self):
        if self._raft_due() <= self.world.clock.monotonic():
            self.step_at = None
            self.replicator.turn()
        self.loop.turn()

    def _raft_due(self):
        return self.replicator.due_at if self.step_at is None else min(self.replicator.due_at, self.step_at)

    async def _main(self):
        world, name = self.world, self.name
        config = AgentConfig(
            name=name,
            # One worker, whatever machine this runs on; each asks for work twice a second.
            server=ServerConfig(enabled=True, num_schedulers=1, raft_multiplier=world.raft_multiplier),
        )
        identity = ServerIdentity(Peer(f"id-{name}", name, name, name), f"{name}:4648", VERSION)
        outside = Outside(SimWire(world, self), self._listen, self.rng)
        self.agent = ServerAgent(config, identity, self._replicate, world.clock, self.registry, outside)
        await self.agent.start()
        agent, multiplier = self.agent, float(world.raft_multiplier)
        observed = Observed(
            self.name,
            status=agent.status,
            state=lambda: agent.replicated.state,
            duties=agent.duties,
            workers=agent.workers,
            raft_multiplier=multiplier,
        )
        observer = ServerObserver(observed, world.clock, self.registry)
        self.registry.register_sampler(observer.sample, "server")
        await self._collect([observer.collect, agent.health.collect, agent.replicator.collect, self._record_runtime])

    def _replicate(self, fsm, observer):
        self.replicator = SimReplicator(self, fsm, observer)
        return self.replicator

    def _listen(self, dispatcher):
        return SimListener(dispatcher, self.registry, self)


class ClusterClient(Agent):
    """A client of a cluster; what it keeps in its state directory outlives the process."""

    role = "client"

    def __init__(self, world, name):
        self.world, self.name = world, name

    def start(self):
        self.begin()

    def die(self):
        self.end()

    def due(self):
        return self.loop.next_deadline()

    def turn(self):
        self.loop.turn()

    async def _main(self):
        world, logger = self.world, logging.getLogger("sim.client")
        pool = ServerPool(tuple(world.names), SimWire(world, self), world.clock, self.rng, logger)
        settings = ClientSettings(
            node_name=self.name, alloc_dir=world.folder / self.name / "alloc", state_dir=world.folder / self.name
        )
        self.agent = SimClient(settings, pool, self.registry, world.clock, logger, self.rng)
        await self.agent.start()
        if (sampler := getattr(self.agent, "sample", None)) is not None:
            self.registry.register_sampler(sampler, "client")
        await self._collect([self.agent.collect, self._record_runtime])


class SimClient(ClientAgent):
    """The client agent on no host in particular, so that every machine simulates the same."""

    def _prepare(self):
        name = self._settings.node_name
        return Identity(NodeID(f"node-{name}"), f"secret-{name}")

    def _fingerprint(self, who):
        return Node(id=who.node_id, name=self._settings.node_name, secret_id=who.secret_id)

"""A server: the replicated state, the leader's duties, the endpoints and the workers, wired.

Threads: the event loop owns everything but the Raft thread (inside the replicator) and the pool in which schedulers
run. The Raft thread writes the state and calls back only through `call_soon_threadsafe`.
"""

import asyncio
import logging
import os
import random
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from agent.config.schema import AgentConfig
from agent.consensus.engine_parts import Timing
from agent.consensus.replicator import Fsm, Observer, Peer, RaftState, Replicator, ReplicatorStatus, Standing
from agent.endpoints.alloc import AllocEndpoint
from agent.endpoints.context import Context
from agent.endpoints.dispatch import Dispatch, Remote
from agent.endpoints.evaluation import EvalEndpoint
from agent.endpoints.health import HealthWatch, others
from agent.endpoints.job import JobEndpoint
from agent.endpoints.names import NamesEndpoint
from agent.endpoints.node import NodeEndpoint
from agent.endpoints.operator import Group, OperatorEndpoint
from agent.endpoints.replicated import ReplicatedState
from agent.endpoints.snapshots import SnapshotEndpoint
from agent.errors import OutriderError, RequestRefused
from agent.gossip.service import Gossip
from agent.leader.duties import LeaderDuties
from agent.leader.heartbeats import HeartbeatSettings
from agent.leader.surroundings import Surroundings
from agent.members import Member, gossip_body, member_body, regions_of
from agent.membership import Membership
from agent.model.autopilot import initial_config
from agent.model.command import AnyCommand, Result, decode_result, encode
from agent.rpc.caller import Dispatcher
from agent.rpc.client import RpcClient
from agent.rpc.service import RpcServer
from agent.state.store import Changes
from agent.tasks import Tasks
from agent.tls.contexts import TlsKeeper
from agent.worker import Worker, WorkerSurroundings
from telemetry.clock import Clock
from telemetry.recorder import Recorder

PROPOSE_SECONDS = 5.0
"""Deadline of a write: several elections."""

RESTORE_SECONDS = 60.0
"""Deadline of the write that puts a restored state in place: every server decodes it meanwhile."""

BARRIER_SECONDS = 30.0
"""Deadline of the barrier with which a leader begins; Nomad's `barrierWriteTimeout` is 2 minutes."""

READ_LEASES = 2.0
"""How many leases a read waits to be confirmed: for the round that is out and for its own."""

RETRY_ESTABLISH_SECONDS = 0.2
"""Pause before a leader whose barrier failed tries again."""

RPC_STOP_GRACE_SECONDS = 0.2

LEAVE_RAFT_SECONDS = 3.0
"""How long a server that leaves waits until the leader has removed it; a Nomad's was out of Raft after 1.4 s."""

LEAVE_LOOK_SECONDS = 0.1

HAND_OVER_SECONDS = 3.0
"""Several elections: whoever was asked to take over and did not in this time is not going to."""

MakeReplicator = Callable[[Fsm, Observer], Replicator]


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """Who this server is; `serf_address` is host:port, kept for gossip and shown to clients of the API."""

    peer: Peer
    serf_address: str
    version: str


class Listener(Protocol):
    """Takes calls of other processes from `start` to `stop`."""

    async def start(self) -> None:
        """Listen; raises ConfigError when the address cannot be had."""

    async def stop(self, grace_seconds: float) -> None:
        """Refuse new calls, give those in flight *grace_seconds*, then cancel them."""


class Connections(Remote, Protocol):
    """Carries calls to other servers until it is closed."""

    async def close(self) -> None:
        """Close all connections; calls in flight fail."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What a server meets outside of its process: the wire both ways, and chance. A simulation brings its own."""

    remote: Connections
    listen: Callable[[Dispatcher], Listener]
    rng: random.Random


class ServerAgent:
    """One server. `start` and `stop` belong to the event loop that was running at construction."""

    def __init__(
        self,
        config: AgentConfig,
        identity: ServerIdentity,
        make_replicator: MakeReplicator,
        clock: Clock,
        recorder: Recorder,
        outside: Outside | None = None,
        tls: TlsKeeper | None = None,
        gossip: Gossip | None = None,
    ) -> None:
        """Wire the parts; *outside* is gRPC, with *tls* or plain, and the system's randomness where none is given.

        Without *gossip* the servers of the Raft configuration are the members.
        """
        outside = outside or _outside(config, recorder, tls)
        self._loop = asyncio.get_running_loop()
        self._config = config
        self._identity = identity
        self._clock = clock
        self._recorder = recorder
        self.gossip = gossip
        self._logger = logging.getLogger("nomad")
        self._rng = outside.rng
        self._tasks = Tasks(self._logger, recorder)
        self._lead_changed = asyncio.Event()
        self._leads_in: int | None = None
        self._deposed = asyncio.Event()
        self._leader_news = asyncio.Event()
        self._established_in: int | None = None
        self._restored = False
        self._lease_seconds = Timing().scaled(float(config.server.raft_multiplier)).lease_seconds
        self._established = asyncio.Event()
        self.replicated = ReplicatedState(self._loop, clock, recorder)
        self.replicator = make_replicator(self.replicated, _LoopObserver(self._loop, self._on_state, self._on_leader))
        self.duties = LeaderDuties(self._surroundings(), _heartbeat_settings(config), initial_config(config.autopilot))
        self.replicated.listen(self.duties.on_changes)
        self.replicated.listen(self._on_changes)
        self.health = HealthWatch(
            identity.peer,
            self.replicator.status,
            clock,
            recorder,
            identity.version,
            config.region,
            float(config.server.raft_multiplier),
            self._serf_status,
            lambda: self.replicated.state.autopilot,
        )
        self._membership = self._make_membership()
        self._remote = outside.remote
        self.context = self._context()
        self.caller = Dispatch(self.context, self._handlers(), self._remote, identity.peer.rpc_address)
        self._rpc = outside.listen(self.caller)
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scheduler")
        self.workers = self._make_workers()

    # --- life -----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen, join the group and begin to work; raises ConfigError when a port or the data cannot be used."""
        await self._rpc.start()
        if self.gossip is not None:
            await self.gossip.start()
        await self._loop.run_in_executor(None, self.replicator.start)
        self._tasks.spawn("server-leadership", self._leadership_loop, restart=True)
        if self._membership is not None:
            self._tasks.spawn("server-membership", self._membership.run, restart=True)
        schedulers = self._config.server.enabled_schedulers
        listed = ", ".join(f'"{name}"' for name in schedulers)
        self._logger.info("starting scheduling worker(s): num_workers=%d schedulers=[%s]", len(self.workers), listed)
        for number, worker in enumerate(self.workers, start=1):
            self._tasks.spawn(f"worker: {number}", worker.run, restart=True)
        self._logger.info("started scheduling worker(s): num_workers=%d schedulers=[%s]", len(self.workers), listed)

    async def stop(self) -> None:
        """Lay down the lead, stop listening and close the log; safe to call after a failed start."""
        await self._tasks.cancel()
        if self.gossip is not None:
            await self.gossip.stop()
        await self.duties.revoke()
        await self._loop.run_in_executor(None, self.replicator.stop)
        await self._rpc.stop(RPC_STOP_GRACE_SECONDS)
        await self._remote.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def until_established(self, timeout_seconds: float) -> None:
        """Return once this server has taken up the leader's duties; raises TimeoutError."""
        async with asyncio.timeout(timeout_seconds):
            await self._established.wait()

    async def leave(self) -> None:
        """Tell the members, hand the lead over, and return once both is done and the leader took this server's vote.

        Has no deadline of its own, but for the vote: without a leader nobody takes it.
        """
        if self._membership is not None:
            self._membership.leave()
        told = asyncio.create_task(self.gossip.leave(), name="gossip: leave") if self.gossip is not None else None
        try:
            await self._hand_over()
        finally:
            if told is not None:
                await told
        for _ in range(round(LEAVE_RAFT_SECONDS / LEAVE_LOOK_SECONDS)):
            status = self.status()
            if self._membership is None or status.standing is Standing.NONE or not status.peers:
                return
            await asyncio.sleep(LEAVE_LOOK_SECONDS)

    async def _hand_over(self) -> None:
        if self._leads_in is None:
            return
        if not await self.replicator.transfer_leadership():
            self._logger.warning("leadership not handed over: no follower has the whole log")
            return
        # The successor may need this server's vote: with one of three dead nobody else could give it.
        await self._deposed.wait()

    async def _hand_over_surely(self) -> None:
        """Return once this server leads no more and has laid down the duties; raises RequestRefused when it cannot."""
        if self._leads_in is not None and not await self.replicator.transfer_leadership():
            raise RequestRefused("the leadership cannot be handed over: no follower has the whole log; try again")
        for _ in range(round(HAND_OVER_SECONDS / LEAVE_LOOK_SECONDS)):
            # Until then a request that is passed on would come back here: the duties outlast the lead by a moment.
            if self._leads_in is None and not self.duties.established:
                return
            await asyncio.sleep(LEAVE_LOOK_SECONDS)
        raise RequestRefused("the leadership was not taken over by another server; try again")

    async def _remove_peer(self, text: str, timeout_seconds: float) -> None:
        """Remove the server with the id or address *text*, and keep it out until it has been away."""
        named = [e.peer for e in self.status().peers if text in {e.peer.server_id, e.peer.rpc_address}]
        if self._membership is not None:
            for peer in named:
                self._membership.send_away(peer.server_id)
        await self.replicator.remove_server(text, timeout_seconds)

    # --- what others ask ------------------------------------------------------------------------------------------

    @property
    def peer(self) -> Peer:
        """This server as the others know it."""
        return self._identity.peer

    def status(self) -> ReplicatorStatus:
        """Return how this server stands in the group."""
        return self.replicator.status()

    def servers(self) -> list[str]:
        """Return the gRPC addresses of all servers that are known, this one first."""
        peers = [self._identity.peer, *(entry.peer for entry in others(self.status(), self._identity.peer))]
        return [peer.rpc_address for peer in peers if peer.rpc_address]

    def members(self) -> list[dict[str, Any]]:
        """Return the servers as `GET /v1/agent/members` shows them, by name; those of other regions too.

        A voter that gossip never knew is shown by whether Raft is connected to it: gossip may not pass to it.
        """
        bodies = [] if self.gossip is None else [gossip_body(view) for view in self.gossip.members()]
        known = set() if self.gossip is None else self.gossip.known_ids()
        addresses = {f"{body['Tags'].get('rpc_addr')}:{body['Tags'].get('port')}" for body in bodies}
        own = self._identity.peer
        peers = [(own, True), *((entry.peer, entry.connected) for entry in others(self.status(), own))]
        bodies += [
            member_body(self._member(peer, alive=alive))
            for peer, alive in peers
            if peer.server_id not in known and peer.rpc_address not in addresses
        ]
        return sorted(bodies, key=lambda body: str(body["Name"]))

    def regions(self) -> list[str]:
        """Return the regions of which a server is known."""
        return regions_of(self.members(), self._config.region)

    async def propose(self, command: AnyCommand, timeout_seconds: float = PROPOSE_SECONDS) -> Result:
        """Replicate *command*; raises RequestRefused when the state machine refused it, else as the replicator does."""
        result = decode_result(await self.replicator.propose(encode(command), timeout_seconds))
        if result.error:
            raise RequestRefused(result.error, result.status or 500)
        return result

    # --- wiring ---------------------------------------------------------------------------------------------------

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            propose=self.propose,
            barrier=lambda: self.replicator.barrier(BARRIER_SECONDS),
            state=lambda: self.replicated.state,
            wait_for_index=self.replicated.wait_for_index,
            new_id=_new_id,
            clock=self._clock,
            recorder=self._recorder,
            logger=self._logger,
            rng=self._rng,
        )

    def _context(self) -> Context:
        return Context(
            replicated=self.replicated,
            duties=self.duties,
            propose=self.propose,
            status=self.replicator.status,
            server_addresses=self.servers,
            leads=self._surely_leads,
            confirm_read=lambda: self.replicator.confirm_read(READ_LEASES * self._lease_seconds),
            leader_news=self._leader_news,
            new_id=_new_id,
            clock=self._clock,
            recorder=self._recorder,
            logger=self._logger,
            name=self._config.name,
            region=self._config.region,
            datacenter=self._config.datacenter,
        )

    def _handlers(self) -> "dict[Any, Any]":
        context = self.context
        return {
            **NodeEndpoint(context).handlers(),
            **JobEndpoint(context).handlers(),
            **AllocEndpoint(context).handlers(),
            **EvalEndpoint(context).handlers(),
            **NamesEndpoint(context).handlers(),
            **self._operator(context).handlers(),
            **SnapshotEndpoint(context, lambda command: self.propose(command, RESTORE_SECONDS)).handlers(),
        }

    def _operator(self, context: Context) -> OperatorEndpoint:
        group = Group(
            lambda: self.caller, self._hand_over_surely, self._remove_peer, self.replicator.transfer_leadership
        )
        return OperatorEndpoint(context, self._identity.peer, self.health.response, self.members, group)

    def _make_membership(self) -> Membership | None:
        if self.gossip is None:
            return None
        return Membership(
            self._identity.peer, self._config.region, self.gossip, self.replicator, self.health,
            lambda: self.duties.established, lambda: self.replicated.state.autopilot,
            self._clock, self._recorder, logging.getLogger("nomad.autopilot"),
        )  # fmt: skip

    def _make_workers(self) -> list[Worker]:
        count = self._config.server.num_schedulers
        around = WorkerSurroundings(
            caller=self.caller,
            state=lambda: self.replicated.state,
            wait_for_index=self.replicated.wait_for_index,
            new_id=_new_id,
            clock=self._clock,
            recorder=self._recorder,
            logger=logging.getLogger("worker"),
            region=self._config.region,
            schedulers=self._config.server.enabled_schedulers,
        )
        workers = count if count is not None else os.cpu_count() or 1
        return [Worker(around, self._pool, random.Random(self._rng.getrandbits(64))) for _ in range(workers)]

    # --- leadership -----------------------------------------------------------------------------------------------

    def _surely_leads(self) -> bool:
        """Tell whether this server may take itself for the leader; what is read then is still to be confirmed.

        The duties alone do not say so: a process that was stopped and continued has them for a moment although
        another leads. A server alone has nobody who could.
        """
        if not self.duties.established:
            return False
        status = self.status()
        if not status.peers:
            return True
        age = self._clock.monotonic() - status.taken_at_seconds
        return status.has_quorum and age <= self._lease_seconds

    def _on_state(self, old: RaftState, new: RaftState, term: int, reason: str) -> None:
        logger = logging.getLogger("nomad.raft")
        logger.info("entering %s state: term=%d reason=%r from=%s", new.value, term, reason, old.value)
        # The status of the Raft thread is up to one tick older than this news.
        if new is RaftState.LEADER:
            self._leads_in = term
            self._deposed.clear()
        else:
            self._leads_in = None
            self._deposed.set()
        self._lead_changed.set()

    def _on_leader(self, leader: Peer | None) -> None:
        self._leader_news.set()  # wakes all that wait now
        self._leader_news.clear()
        logger = logging.getLogger("nomad.raft")
        if leader is None:
            logger.warning("no leader known")
        else:
            logger.info("leader known: leader=%s addr=%s", self._name(leader), leader.rpc_address)

    async def _leadership_loop(self) -> None:
        """Take up the duties when this server is elected and lay them down when it is deposed, one after the other."""
        while True:
            self._lead_changed.clear()
            if self._established_in not in {None, self._leads_in}:
                # Also when it leads again in a later term: another may have led between.
                self._logger.warning("cluster leadership lost")
                await self._lay_down()
            elif self._restored and self._established_in is not None:
                # What the leader keeps in memory is of another state.
                self._logger.info("leadership is taken up anew: a snapshot was restored")
                await self._lay_down()
            self._restored = False
            if self._leads_in is not None and self._established_in is None:
                await self._establish(self._leads_in)
            if self._leads_in == self._established_in:
                await self._lead_changed.wait()

    async def _lay_down(self) -> None:
        self._established.clear()
        self._established_in = None
        await self.duties.revoke()

    def _on_changes(self, changes: Changes) -> None:
        """Begin anew with a restored state: the leader its duties, every server a log without the way there."""
        if changes.restored:
            self._logger.info("restored a snapshot: index=%d", changes.index)
            self._restored = True
            self._lead_changed.set()
            self._tasks.spawn("snapshot-after-restore", self._snapshot_after_restore)

    async def _snapshot_after_restore(self) -> None:
        try:
            await self.replicator.snapshot()
        except OutriderError as error:
            self._logger.warning("no snapshot of the log after a restore: reason=%s", error)

    async def _establish(self, term: int) -> None:
        self._logger.info("cluster leadership acquired: term=%d", term)
        try:
            await self.duties.establish()
            self._established_in = term
            self._established.set()
        except OutriderError as error:
            self._logger.warning("leadership not established: reason=%s", error)
            await self.duties.revoke()
            await asyncio.sleep(RETRY_ESTABLISH_SECONDS)

    def _name(self, peer: Peer) -> str:
        return f"{peer.name or peer.raft_address}.{self._config.region}"

    def _serf_status(self, peer: Peer) -> str:
        """What gossip says of *peer*; empty where it does not know it."""
        views = self.gossip.members() if self.gossip is not None else []
        return next((view.status.value for view in views if view.tags.get("id") == peer.server_id), "")

    def _member(self, peer: Peer, *, alive: bool) -> Member:
        serf = self._identity.serf_address if peer == self._identity.peer else _serf_of(peer.rpc_address)
        return Member(
            peer=peer, serf_address=serf, alive=alive, region=self._config.region, datacenter=self._config.datacenter,
            version=self._identity.version, expect=self._config.server.bootstrap_expect,
        )  # fmt: skip


class _LoopObserver:
    """Carries what the Raft thread observes over to the event loop; implements `consensus.replicator.Observer`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_state: Callable[[RaftState, RaftState, int, str], None],
        on_leader: Callable[[Peer | None], None],
    ) -> None:
        self._loop = loop
        self._on_state = on_state
        self._on_leader = on_leader

    def state_changed(self, old: RaftState, new: RaftState, term: int, reason: str) -> None:
        """Pass a transition on."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._on_state, old, new, term, reason)

    def leader_changed(self, leader: Peer | None) -> None:
        """Pass a change of leader on."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._on_leader, leader)


def _outside(config: AgentConfig, recorder: Recorder, tls: TlsKeeper | None) -> Outside:
    logger = logging.getLogger("nomad.rpc")

    def listen(dispatcher: Dispatcher) -> Listener:
        return RpcServer(config.addresses.rpc, config.ports.rpc, dispatcher, recorder, logger, tls)

    return Outside(RpcClient(recorder, logger, tls), listen, random.Random(os.urandom(16)))


def _heartbeat_settings(config: AgentConfig) -> HeartbeatSettings:
    return HeartbeatSettings(
        min_heartbeat_ttl_seconds=config.server.min_heartbeat_ttl_seconds,
        max_heartbeats_per_second=config.server.max_heartbeats_per_second,
        heartbeat_grace_seconds=config.server.heartbeat_grace_seconds,
        failover_heartbeat_ttl_seconds=config.server.failover_heartbeat_ttl_seconds,
    )


def _new_id() -> str:
    return str(uuid.uuid4())


def _serf_of(rpc_address: str) -> str:
    """The gossip address beside an RPC address, by Nomad's adjacency of ports (4647, 4648)."""
    host, _, port = rpc_address.rpartition(":")
    return f"{host}:{int(port) + 1}" if port.isdigit() else ""

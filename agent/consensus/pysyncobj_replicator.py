"""The replicated log as the rest of a server sees it: the engine in a thread of its own, behind `Replicator`.

Everything about Raft happens in one thread, so that a busy event loop cannot cost the leadership. Proposals go in
through a queue; their results are handed to the event loops in batches, one wake-up a loop and step.
"""

import asyncio
import logging
import math
import os
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from agent.consensus.calls import timed_decoder
from agent.consensus.codec import COMMAND_BYTES_MAX, CommandKind
from agent.consensus.configuration import Configuration
from agent.consensus.engine_parts import POLL_SECONDS_MAX, Compaction, Proposal, RecentWorst, Timing
from agent.consensus.greeting import hello_of
from agent.consensus.pysyncobj_engine import Engine
from agent.consensus.raft_log import RaftLog
from agent.consensus.recovery import FILE, read_peers
from agent.consensus.replicator import Fsm, Observer, Peer, RaftState, ReplicatorStatus
from agent.consensus.resolver import split_address
from agent.consensus.snapshot_store import SnapshotStore
from agent.consensus.transport import TcpTransport, TransportSettings
from agent.consensus.wal import FileLog, MemoryLog, sync_folder
from agent.errors import ConfigError, NotLeader, OutriderError, Overloaded, RequestRefused, UnknownOutcome
from agent.tls.contexts import TlsKeeper
from telemetry.catalogue import raft, rpc
from telemetry.clock import Clock
from telemetry.recorder import Recorder

QUEUE_MAX = 16_384
"""Proposals that may wait for the Raft thread; above it callers are told to come back later."""

_STOP_SECONDS = 2.0
_SATURATION_SECONDS = 1.0
"""Saturation is reported for each second. Source: hashicorp/raft saturation.go."""

_LATENESS_PERIOD_SECONDS = 15.0
"""The longest interval of scrapes that is shipped: a late tick shows in at least one of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RaftSettings:
    """What one server's Raft is configured with; raises ConfigError for values that cannot work.

    *peers* are the addresses (host:port) to dial the other voters at, this server not among them. *data_dir* None
    keeps everything in memory. *raft_multiplier* stretches all times, 1 to 10. Without *tls* all is plain text.
    *peers* are those the group begins with: once its servers changed, the log tells who they are. With *joining* this
    server waits for a group to take it in.
    """

    me: Peer
    bind_address: str
    peers: tuple[str, ...] = ()
    data_dir: Path | None = None
    raft_multiplier: float = 1.0
    region: str = "global"
    compaction: Compaction = field(default_factory=Compaction)
    timing: Timing = field(default_factory=Timing)
    tls: TlsKeeper | None = None
    joining: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.raft_multiplier <= 10:
            raise ConfigError(f"raft_multiplier = {self.raft_multiplier} is not between 0 and 10")
        for address in (self.bind_address, *self.peers):
            try:
                split_address(address)
            except ValueError as error:
                raise ConfigError(f"Raft address {error}; write it as 10.0.0.1:4649") from error
        if len(set(self.peers)) != len(self.peers):
            raise ConfigError(f"a Raft peer stands twice in {', '.join(self.peers)}; name each other server once")
        if self.me.raft_address in self.peers:
            raise ConfigError(f"{self.me.raft_address} is this server itself; name only the others as Raft peers")


class PysyncobjReplicator:
    """One server's replicated log; see `Replicator` for what each method promises.

    *on_failure* is called from the Raft thread when it cannot go on (the disk failed, a bug): the process should stop.
    """

    def __init__(
        self,
        settings: RaftSettings,
        fsm: Fsm,
        observer: Observer,
        recorder: Recorder,
        clock: Clock,
        logger: logging.Logger,
        on_failure: Callable[[str], None] | None = None,
    ) -> None:
        self._settings, self._fsm, self._observer = settings, fsm, observer
        self._recorder, self._clock, self._log = recorder, clock, logger
        self._on_failure = on_failure
        self._engine: Engine | None = None
        self._transport: TcpTransport | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._failure = ""
        self._status: ReplicatorStatus | None = None
        self._finished: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[bytes], bytes | OutriderError]]] = {}
        self._lateness = RecentWorst(_LATENESS_PERIOD_SECONDS)
        self._busy_since = 0.0
        self._busy_seconds = 0.0
        self._fsm_seconds_before = 0.0
        self._ticks = 0

    @property
    def bound_port(self) -> int:
        """The port that is listened on; useful when port 0 was asked for."""
        return self._transport.bound_port if self._transport else 0

    def start(self) -> None:
        """Load what is on disk, listen and begin; raises ConfigError when disk or address cannot be used."""
        settings = self._settings
        rng = random.Random(int.from_bytes(os.urandom(8)))
        hello = hello_of(
            settings.me.server_id,
            settings.me.name,
            (settings.me.raft_address, settings.me.rpc_address),
            settings.region,
        )
        multiplier = settings.raft_multiplier
        transport = TcpTransport(
            TransportSettings(
                hello,
                settings.bind_address,
                settings.peers,
                (0.3 * multiplier, 0.5 * multiplier),
                settings.tls,
                decode=timed_decoder(self._clock, self._recorder),
                taken=lambda: self._recorder.add(rpc.RPC_RAFT_HANDOFF),
            ),
            self._clock,
            rng,
            self._log,
        )
        log: RaftLog | None = None
        try:
            log, snapshots = self._open()
            engine = Engine(
                settings.me,
                settings.peers,
                timing=settings.timing.scaled(multiplier),
                compaction=settings.compaction,
                log=log,
                snapshots=snapshots,
                links=transport,
                fsm=self._fsm,
                observer=self._observer,
                recorder=self._recorder,
                clock=self._clock,
                rng=rng,
                logger=self._log,
                joining=settings.joining,
            )
            self._recover(engine)
            engine.require_peers()
            transport.bind(engine, engine.admits)
        except BaseException:
            transport.close()
            if log is not None:
                log.close()
            raise
        self._engine, self._transport = engine, transport
        self._status = engine.status(0.0)
        self._thread = threading.Thread(target=self._run, name="raft", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the Raft thread and close the files; idempotent, waits at most two seconds."""
        self._stopping.set()
        if self._transport is not None:
            self._transport.wake()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_STOP_SECONDS)

    async def propose(self, command: bytes, timeout_seconds: float) -> bytes:
        """Replicate *command* and return what `Fsm.apply` returned for it on this server.

        Raises as `Replicator.propose`, and RequestRefused when the command is longer than 512 KiB.
        """
        if len(command) > COMMAND_BYTES_MAX:
            raise RequestRefused(f"a command of {len(command)} bytes is above the limit of {COMMAND_BYTES_MAX}", 413)
        return await self._submit(CommandKind.REGULAR, command, timeout_seconds)

    async def barrier(self, timeout_seconds: float) -> None:
        """Return once every command committed before the call is applied here; raises as `propose`."""
        await self._submit(CommandKind.NO_OP, b"", timeout_seconds)

    async def confirm_read(self, timeout_seconds: float) -> None:
        """Return once a read that began before the call may be answered from the state; raises as `Replicator` says."""
        engine = self._running()
        if engine.state is not RaftState.LEADER:
            raise self._not_leader()
        if engine.reads_waiting >= QUEUE_MAX:
            raise Overloaded(f"{QUEUE_MAX} reads wait for the Raft thread already")
        future, finish = self._outcome()
        engine.confirm_read(finish)
        try:
            async with asyncio.timeout(timeout_seconds):
                await future
        except TimeoutError:
            raise self._not_leader() from None

    def status(self) -> ReplicatorStatus:
        """Return the newest status; cheap, from any thread, at most one tick old."""
        if self._status is None:
            raise RuntimeError("the replicator was not started")
        return self._status

    async def snapshot(self) -> int:
        """Write a snapshot now and return the index it covers; raises UnknownOutcome when it takes over 60 s."""
        engine = self._running()
        wanted = engine.applied_index
        engine.force_snapshot()
        for _ in range(1200):
            if self.status().snapshot_index >= wanted:
                return self.status().snapshot_index
            await asyncio.sleep(0.05)
        raise UnknownOutcome(f"the snapshot of index {wanted} was not finished within 60 s")

    async def transfer_leadership(self, server_id: str = "") -> bool:
        """Ask a follower that has the whole log, with *server_id* that one, to take over; False as `Replicator` says.

        Best effort: True says that it was asked. Proposals in flight may end in UnknownOutcome.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bool] = loop.create_future()

        def ask() -> None:
            asked = self._running().transfer_leadership(server_id)
            loop.call_soon_threadsafe(_resolve, answer, asked)

        self._running().run_soon(ask)
        return await asyncio.wait_for(answer, _STOP_SECONDS)

    async def add_server(self, peer: Peer, *, voter: bool, timeout_seconds: float) -> None:
        """Take *peer* into the group, or change its vote; raises as `Replicator.add_server`."""
        await self._reconfigure(lambda configuration: configuration.with_server(peer, voter=voter), timeout_seconds)

    async def remove_server(self, text: str, timeout_seconds: float) -> None:
        """Take the server with the id or address *text* out of the group; raises as `Replicator.remove_server`."""
        await self._reconfigure(
            lambda configuration: configuration.without(configuration.find(text).peer), timeout_seconds
        )

    async def _reconfigure(self, change: Callable[[Configuration], Configuration], timeout_seconds: float) -> None:
        engine = self._running()
        future, finish = self._outcome()
        engine.run_soon(lambda: engine.reconfigure(change, finish))
        try:
            async with asyncio.timeout(timeout_seconds):
                await future
        except TimeoutError:
            raise UnknownOutcome(
                f"the change of the servers was not committed within {timeout_seconds:.1f} s"
            ) from None

    def counters(self) -> Mapping[str, float]:
        """Return the engine's running totals for debugging; keys are stable within a release."""
        engine, transport = self._running(), self._transport
        assert transport is not None
        return {**engine.totals, **transport.counters, "ticks": self._ticks, "queue_depth": engine.queue_depth}

    def collect(self) -> None:
        """Emit the gauges that are due at each collection interval."""
        status = self.status()
        self._recorder.set(raft.APPLIED_INDEX, status.applied_index)
        self._recorder.set(raft.LAST_INDEX, status.last_index)
        if status.state is RaftState.LEADER and self._engine is not None:
            self._recorder.set(raft.LEADER_OLDEST_LOG_AGE, self._engine.oldest_log_age_seconds() * 1000)

    async def _submit(self, kind: CommandKind, command: bytes, timeout_seconds: float) -> bytes:
        engine = self._running()
        # Not the status, which is up to a tick old: a server that was just told of its election must be able to write.
        if engine.state is not RaftState.LEADER:
            raise self._not_leader()
        if engine.queue_depth >= QUEUE_MAX:
            raise Overloaded(f"{QUEUE_MAX} writes wait for the Raft thread already")
        future, finish = self._outcome()
        proposal = Proposal(kind, command, finish)
        engine.submit(proposal)
        try:
            async with asyncio.timeout(timeout_seconds):
                return await future
        except TimeoutError:
            if proposal.cancel():
                raise Overloaded(f"the Raft thread did not take the write within {timeout_seconds:.1f} s") from None
            raise UnknownOutcome(f"the write was not committed within {timeout_seconds:.1f} s") from None
        except asyncio.CancelledError:
            proposal.cancel()
            raise

    def _outcome(self) -> tuple[asyncio.Future[bytes], Callable[[bytes | OutriderError], None]]:
        """Return a future of this loop, and what the Raft thread is to call with the outcome."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bytes] = loop.create_future()

        def finish(result: bytes | OutriderError) -> None:
            self._finished.setdefault(loop, []).append((future, result))

        return future, finish

    def _not_leader(self) -> NotLeader:
        leader = self.status().leader
        return NotLeader(leader.rpc_address if leader else "")

    def _running(self) -> Engine:
        if self._failure:
            raise NotLeader
        if self._engine is None or self._stopping.is_set():
            raise NotLeader
        return self._engine

    def _open(self) -> tuple[RaftLog, SnapshotStore]:
        folder = self._settings.data_dir
        if folder is None:
            return MemoryLog(self._clock), SnapshotStore(None)
        try:
            log = FileLog(folder / "raft", self._clock, logger=self._log)
            return log, SnapshotStore(folder / "raft" / "snapshot")
        except OSError as error:
            raise ConfigError(f"{folder / 'raft'}: the Raft log cannot be opened: {error}") from error

    def _recover(self, engine: Engine) -> None:
        """Carry out the operator's word on who the servers are, if there is one, and remove it."""
        if self._settings.data_dir is None:
            return
        path = self._settings.data_dir / "raft" / FILE
        configuration = read_peers(path, self._settings.me)
        if configuration is not None:
            engine.recover(configuration)
            path.unlink()
            sync_folder(path.parent)

    # In the Raft thread.

    def _run(self) -> None:
        engine, transport = self._engine, self._transport
        assert engine is not None
        assert transport is not None
        try:
            self._busy_since = self._clock.monotonic()
            engine.announce()
            while not self._stopping.is_set():
                self._tick(engine, transport)
        except OSError as error:
            # What was not written was not acknowledged; a disk that failed once is not trusted for the next write.
            self._failure = f"a write failed, probably of the log in {self._settings.data_dir}: {error}"
            self._log.error("raft: %s", self._failure)
        except Exception as error:  # noqa: BLE001 - the root of the thread
            # Whatever it is (a failed disk, a bug), going on could break a promise.
            self._failure = repr(error)
            self._log.exception("raft: the Raft thread stopped")
        finally:
            self._end(engine, transport)
        if self._failure and self._on_failure is not None:
            self._on_failure(self._failure)

    def _tick(self, engine: Engine, transport: TcpTransport) -> None:
        due = min(self._turn(engine), transport.next_deadline())
        transport.poll(max(0.0, due - self._clock.monotonic()))
        self._wake(due)

    def _turn(self, engine: Engine) -> float:
        """Do what is due in the engine, hand its results out, and return when the next turn is due."""
        began = self._clock.monotonic()
        engine.step()
        self._ticks += 1
        self._status = engine.status(self._lateness.value)
        self._deliver()
        now = self._clock.monotonic()
        self._busy_seconds += now - began
        self._report_saturation(engine, now)
        return min(engine.next_deadline(), now + POLL_SECONDS_MAX)

    def _wake(self, due: float) -> None:
        """Measure how late a turn begins that was to begin at *due*."""
        woken = self._clock.monotonic()
        # Also when it was due already: a step that hangs in a write to disk delays what comes after it.
        self._lateness.see(max(0.0, woken - due) if due > -math.inf else 0.0, woken)

    def _report_saturation(self, engine: Engine, now: float) -> None:
        period = now - self._busy_since
        if period < _SATURATION_SECONDS:
            return
        applying = engine.fsm_seconds - self._fsm_seconds_before
        self._recorder.observe(raft.THREAD_MAIN_SATURATION, min(1.0, self._busy_seconds / period))
        self._recorder.observe(raft.THREAD_FSM_SATURATION, min(1.0, applying / period))
        self._busy_since, self._busy_seconds, self._fsm_seconds_before = now, 0.0, engine.fsm_seconds

    def _deliver(self) -> None:
        if not self._finished:
            return
        finished, self._finished = self._finished, {}
        for loop, results in finished.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_settle, results)

    def _end(self, engine: Engine, transport: TcpTransport) -> None:
        try:
            engine.close()
        except OSError as error:
            if not self._failure:
                self._log.error("raft: the log could not be closed: %s", error)
        transport.close()
        if self._status is not None:
            self._status = replace(self._status, state=RaftState.FOLLOWER, leader=None, has_quorum=False)
        self._deliver()


def _resolve(answer: asyncio.Future[bool], value: bool) -> None:
    if not answer.done():
        answer.set_result(value)


def _settle(results: list[tuple[asyncio.Future[bytes], bytes | OutriderError]]) -> None:
    for future, result in results:
        if future.done():
            continue
        if isinstance(result, bytes):
            future.set_result(result)
        else:
            future.set_exception(result)

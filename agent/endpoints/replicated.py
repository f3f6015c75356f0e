"""The state under the replicated log: written by the Raft thread, read by everybody, watched from the event loop."""

import asyncio
from collections import deque
from collections.abc import Callable

from agent.endpoints.preparation import Preparation
from agent.model.command import RestoreSnapshot, decode, encode_result
from agent.state import fsm
from agent.state.store import Changes, State, Table
from telemetry.catalogue import fsm as fsm_metrics
from telemetry.catalogue.metric import Metric
from telemetry.clock import Clock
from telemetry.recorder import Recorder

_PREFIX = "nomad_nomad_fsm_"

_APPLY_METRICS: dict[str, Metric] = {
    metric.name.removeprefix(_PREFIX): metric for metric in vars(fsm_metrics).values() if isinstance(metric, Metric)
}


class ReplicatedState:
    """The state machine that the replicator feeds, and the place where its changes become known.

    `apply`, `dump` and `load` belong to the Raft thread; everything else to the event loop, except `state`, which
    is one reference to an immutable value and may be read anywhere.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock, recorder: Recorder) -> None:
        self._loop = loop
        self._clock = clock
        self._recorder = recorder
        self._state = State()
        self._changes: deque[Changes] = deque()
        self._wakeup_pending = False
        self._changed = asyncio.Event()
        self._listeners: list[Callable[[Changes], None]] = []
        self._preparation = Preparation()

    @property
    def state(self) -> State:
        """The newest applied state."""
        return self._state

    def listen(self, listener: Callable[[Changes], None]) -> None:
        """Call *listener* on the event loop with every change, in the order of the log."""
        self._listeners.append(listener)

    def apply(self, index: int, command: bytes) -> bytes:
        """Carry out one committed command and return its encoded result. Source: consensus.replicator.Fsm."""
        started = self._clock.monotonic()
        index += self._state.index_offset
        prepared = None
        try:
            decoded = decode(command)
        except ValueError:
            applied, kind = fsm.apply_bytes(self._state, index, command), ""
        else:
            if isinstance(decoded, RestoreSnapshot):
                prepared = self._preparation.take(self._state.staged)
            applied, kind = fsm.apply(self._state, index, decoded, prepared), decoded.kind
        self._state = applied.state
        self._preparation.see(applied.state.staged)
        metric = _APPLY_METRICS.get(kind)
        if metric is not None:
            self._recorder.observe(metric, (self._clock.monotonic() - started) * 1000)
        self._announce(applied.changes)
        return encode_result(applied.result)

    def dump(self) -> Callable[[], bytes]:
        """Freeze the state and return what encodes it, on any thread."""
        state = self._state
        return lambda: fsm.dump(state)

    def load(self, data: bytes) -> None:
        """Replace the state by a dumped one; raises ValueError on damaged data."""
        self._state = fsm.load(data)
        self._announce(Changes(index=self._state.index, tables=frozenset(Table)))

    async def wait_for_index(self, index: int, timeout_seconds: float) -> bool:
        """Return True once everything up to *index* is applied here, False when that took too long."""
        deadline = self._clock.monotonic() + timeout_seconds
        while self._state.index < index:
            remaining = deadline - self._clock.monotonic()
            if remaining <= 0 or not await self._wait_changed(remaining):
                return self._state.index >= index
        return True

    async def until_prepared(self, restore_id: str) -> None:
        """Return once a staged snapshot is decoded, so that putting it in place takes no time."""
        await self._preparation.until_ready(restore_id)

    async def wait_for_tables(self, tables: tuple[Table, ...], index: int, timeout_seconds: float) -> None:
        """Return once one of *tables* has changed past *index*, or the time is over."""
        deadline = self._clock.monotonic() + timeout_seconds
        while self._state.table_index(*tables) <= index:
            remaining = deadline - self._clock.monotonic()
            if remaining <= 0 or not await self._wait_changed(remaining):
                return

    async def _wait_changed(self, timeout_seconds: float) -> bool:
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def _announce(self, changes: Changes) -> None:
        self._changes.append(changes)
        if not self._wakeup_pending and not self._loop.is_closed():
            # One wake-up for a burst of commands: waking the loop costs more than applying one of them.
            self._wakeup_pending = True
            self._loop.call_soon_threadsafe(self._publish)

    def _publish(self) -> None:
        self._wakeup_pending = False
        while self._changes:
            changes = self._changes.popleft()
            for listener in self._listeners:
                listener(changes)
        self._changed.set()
        self._changed.clear()

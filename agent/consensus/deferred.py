"""A replicator whose peers are not known yet: a follower without a leader until it is told them. Shell."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from agent.consensus.replicator import Peer, RaftState, Replicator, ReplicatorStatus, Standing
from agent.errors import NotLeader
from telemetry.clock import Clock

_NOTHING = ReplicatorStatus(
    state=RaftState.FOLLOWER, term=0, leader=None, last_index=0, commit_index=0, applied_index=0, last_term=0,
    snapshot_index=0, last_contact_seconds=None, peers=(), tick_lateness_seconds=0.0, has_quorum=False,
    taken_at_seconds=0.0, standing=Standing.NONE,
)  # fmt: skip


class DeferredReplicator:
    """Implements `Replicator`; everything goes to the real one once `form` has made it."""

    def __init__(self, clock: Clock, make: Callable[[tuple[str, ...] | None], Replicator]) -> None:
        self._clock = clock
        self._make = make
        self._inner: Replicator | None = None
        self._stopped = False

    def form(self, peers: tuple[str, ...] | None) -> None:
        """Begin with the Raft addresses *peers* of the others; None waits to be taken into a group that there is.

        Raises ConfigError as `start`. Blocks for the disk.
        """
        inner = self._make(peers)
        if not self._stopped:
            inner.start()
            self._inner = inner
            if self._stopped:  # meanwhile, by the event loop
                inner.stop()

    def start(self) -> None:
        """Wait for `form`."""

    def stop(self) -> None:
        """Stop the real one, or never make it."""
        self._stopped = True
        if self._inner is not None:
            self._inner.stop()

    async def propose(self, command: bytes, timeout_seconds: float) -> bytes:
        """Replicate *command*; raises NotLeader while there is no group."""
        return await self._formed().propose(command, timeout_seconds)

    async def barrier(self, timeout_seconds: float) -> None:
        """Wait for what was committed; raises NotLeader while there is no group."""
        await self._formed().barrier(timeout_seconds)

    async def confirm_read(self, timeout_seconds: float) -> None:
        """Confirm that this server leads; raises NotLeader while there is no group."""
        await self._formed().confirm_read(timeout_seconds)

    def status(self) -> ReplicatorStatus:
        """Return the newest status; that of a follower without a leader while there is no group."""
        if self._inner is None:
            return replace(_NOTHING, taken_at_seconds=self._clock.monotonic())
        return self._inner.status()

    async def snapshot(self) -> int:
        """Write a snapshot; raises NotLeader while there is no group."""
        return await self._formed().snapshot()

    async def transfer_leadership(self, server_id: str = "") -> bool:
        """Hand the lead over; there is none while there is no group."""
        return self._inner is not None and await self._inner.transfer_leadership(server_id)

    async def add_server(self, peer: Peer, *, voter: bool, timeout_seconds: float) -> None:
        """Take *peer* into the group; raises NotLeader while there is none."""
        await self._formed().add_server(peer, voter=voter, timeout_seconds=timeout_seconds)

    async def remove_server(self, text: str, timeout_seconds: float) -> None:
        """Take a server out of the group; raises NotLeader while there is none."""
        await self._formed().remove_server(text, timeout_seconds)

    def collect(self) -> None:
        """Emit the gauges; none while there is no group."""
        if self._inner is not None:
            self._inner.collect()

    def counters(self) -> Mapping[str, float]:
        """Return the engine's totals."""
        return {} if self._inner is None else self._inner.counters()

    def _formed(self) -> Replicator:
        if self._inner is None:
            raise NotLeader
        return self._inner

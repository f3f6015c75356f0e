"""What the Raft engine is made of besides itself: its times, its proposals, and what it needs of a transport.

Pure, but for the lock that a proposal is claimed with.
"""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum, auto
from threading import Lock
from typing import Protocol

from agent.consensus.codec import CommandKind, Hello, Message
from agent.errors import OutriderError


@dataclass(frozen=True, slots=True)
class Timing:
    """The times of a group, in seconds; each server of a group has the same."""

    append_seconds: float = 0.1
    election_min_seconds: float = 0.5
    election_max_seconds: float = 1.0
    lease_seconds: float = 0.5
    """A leader that a majority has not answered for so long steps down: never longer than the election minimum."""
    hurry_seconds: tuple[float, float] = (0.05, 0.25)
    """The election timeout of a follower whose leader closed its connection."""

    def scaled(self, multiplier: float) -> "Timing":
        """Return these times multiplied, for slow networks (Nomad's raft_multiplier)."""
        return Timing(
            self.append_seconds * multiplier,
            self.election_min_seconds * multiplier,
            self.election_max_seconds * multiplier,
            self.lease_seconds * multiplier,
            (self.hurry_seconds[0] * multiplier, self.hurry_seconds[1] * multiplier),
        )


@dataclass(frozen=True, slots=True)
class Compaction:
    """When the log is cut: a snapshot once *threshold* entries were applied since the last; *trailing* stay."""

    threshold: int = 8_192
    trailing: int = 1_024

    def __post_init__(self) -> None:
        if self.threshold < 1 or self.trailing < 1:
            raise ValueError(f"threshold={self.threshold} and trailing={self.trailing} are at least 1")


class RecentWorst:
    """The largest of what was seen in the last one to two periods: a peak shows however seldom somebody looks.

    Times are of the caller's monotonic clock. Not thread-safe.
    """

    def __init__(self, period_seconds: float) -> None:
        self._period_seconds = period_seconds
        self._until = -math.inf
        self._now = 0.0
        self._before = 0.0

    def see(self, value: float, now: float) -> None:
        """Take a value, not negative, that was measured *now*."""
        if now >= self._until:
            # After a pause of more than a period, what was current is too old to be the period before.
            self._before = self._now if now < self._until + self._period_seconds else 0.0
            self._now = 0.0
            self._until = now + self._period_seconds
        self._now = max(self._now, value)

    @property
    def value(self) -> float:
        """The largest value; 0 when there was none."""
        return max(self._now, self._before)


POLL_SECONDS_MAX = 0.25
"""The longest a Raft thread waits, so that its status is never older unless it hangs."""


class Links(Protocol):
    """What the engine needs of a transport. A node is the address it is dialled at."""

    def send(self, node: str, message: Message) -> bool:
        """Send a message if the node is connected; it may still be lost."""

    def backlog(self, node: str) -> int:
        """Return the bytes that the node has not taken yet."""

    def identity(self, node: str) -> Hello | None:
        """Return what the node said of itself."""

    def keep(self, nodes: Collection[str]) -> None:
        """Dial *nodes* and no others from now on."""

    def identify(self, cluster_id: str) -> None:
        """Tell others this id of the cluster from now on, and have nothing to do with servers that tell another."""

    def wake(self) -> None:
        """Make the thread that steps look again; from any thread."""


class _ProposalState(Enum):
    QUEUED = auto()
    ENTERED = auto()
    CANCELLED = auto()


class Proposal:
    """A command on its way into the log. *finish* is called once, from the Raft thread, unless it was cancelled."""

    __slots__ = ("_lock", "_state", "command", "finish")

    def __init__(self, kind: CommandKind, command: bytes, finish: Callable[[bytes | OutriderError], None]) -> None:
        self.command = bytes([kind]) + command
        self.finish = finish
        self._state = _ProposalState.QUEUED
        self._lock = Lock()

    def enter(self) -> bool:
        """Claim it for the log; False when it was cancelled before."""
        with self._lock:
            if self._state is _ProposalState.CANCELLED:
                return False
            self._state = _ProposalState.ENTERED
            return True

    def cancel(self) -> bool:
        """Withdraw it; False when it has entered the log, so that its outcome is unknown."""
        with self._lock:
            if self._state is _ProposalState.ENTERED:
                return False
            self._state = _ProposalState.CANCELLED
            return True

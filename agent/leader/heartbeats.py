"""Deadlines by which clients must renew; kept only by the leader. Source: Nomad, nomad/heartbeat.go.

Heartbeats do not go through Raft: only a missed one, and its return, change the state.
"""

import heapq
import random
from collections.abc import Iterable
from dataclasses import dataclass

from agent.model.base import NodeID


@dataclass(frozen=True, slots=True)
class HeartbeatSettings:
    """Nomad's `server` keys of the same names. Raises ValueError when a value is out of range."""

    min_heartbeat_ttl_seconds: float = 10.0
    max_heartbeats_per_second: float = 50.0
    heartbeat_grace_seconds: float = 10.0
    failover_heartbeat_ttl_seconds: float = 300.0

    def __post_init__(self) -> None:
        if self.max_heartbeats_per_second <= 0:
            raise ValueError(f"max_heartbeats_per_second is {self.max_heartbeats_per_second}, must be above 0")
        if self.min_heartbeat_ttl_seconds <= 0:
            raise ValueError(f"min_heartbeat_ttl is {self.min_heartbeat_ttl_seconds} s, must be above 0")
        if self.heartbeat_grace_seconds < 0:
            raise ValueError(f"heartbeat_grace is {self.heartbeat_grace_seconds} s, must not be negative")


class Heartbeats:
    """Deadlines by which clients must renew. Not thread-safe.

    Pure: time comes in as *now*, seconds of the caller's monotonic clock; jitter comes from the caller's generator.
    """

    def __init__(self, settings: HeartbeatSettings, rng: random.Random) -> None:
        self._settings = settings
        self._rng = rng
        self._deadlines: dict[NodeID, float] = {}
        self._heap: list[tuple[float, NodeID]] = []

    def __len__(self) -> int:
        return len(self._deadlines)

    def begin(self, node_ids: Iterable[NodeID], now: float) -> None:
        """Start over at an election: every known client gets the fail-over time to find its new leader."""
        self._deadlines.clear()
        self._heap.clear()
        for node_id in sorted(node_ids):
            self._set(node_id, now + self._settings.failover_heartbeat_ttl_seconds)

    def clear(self) -> None:
        """Forget everything: this server leads no more."""
        self._deadlines.clear()
        self._heap.clear()

    def renew(self, node_id: NodeID, now: float) -> float:
        """Move the deadline of *node_id* and return its time to live, in seconds.

        The time to live grows with the number of clients, so that all renewals together stay below
        `max_heartbeats_per_second`; jitter of up to as much again spreads them. The deadline lies a grace behind it.
        """
        clients = len(self._deadlines) + (node_id not in self._deadlines)
        ttl = max(clients / self._settings.max_heartbeats_per_second, self._settings.min_heartbeat_ttl_seconds)
        ttl += self._rng.random() * ttl
        self._set(node_id, now + ttl + self._settings.heartbeat_grace_seconds)
        return ttl

    def forget(self, node_id: NodeID) -> None:
        """Stop waiting for a client that said it leaves or was removed."""
        self._deadlines.pop(node_id, None)

    def expire(self, now: float) -> list[NodeID]:
        """Remove and return every client whose deadline has passed, earliest first."""
        lost = []
        while self._heap and self._heap[0][0] <= now:
            deadline, node_id = heapq.heappop(self._heap)
            if self._deadlines.get(node_id) == deadline:
                del self._deadlines[node_id]
                lost.append(node_id)
        return lost

    def next_deadline(self) -> float | None:
        """Return when `expire` next removes a client, or None without clients."""
        while self._heap and self._deadlines.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def check_invariants(self) -> None:
        """Assert that every client has its deadline in the heap."""
        queued = {(node_id, deadline) for deadline, node_id in self._heap}
        assert all(item in queued for item in self._deadlines.items()), "a client can never expire"

    def _set(self, node_id: NodeID, deadline: float) -> None:
        self._deadlines[node_id] = deadline
        heapq.heappush(self._heap, (deadline, node_id))

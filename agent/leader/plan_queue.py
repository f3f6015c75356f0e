"""Plans on their way to the leader's single planner, by priority, oldest first. Source: Nomad, nomad/plan_queue.go."""

import heapq
from dataclasses import dataclass
from typing import Generic, TypeVar

from agent.errors import NotLeader, Overloaded
from agent.model.plan import Plan

DEPTH_MAX = 4096
"""More plans than workers can be waiting for means that something submits without waiting for its answer."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PendingPlan(Generic[T]):
    """A plan, when it came (seconds, monotonic), and whatever its submitter waits on."""

    plan: Plan
    enqueued_at: float
    answer: T


class PlanQueue(Generic[T]):
    """A priority queue. Not thread-safe; pure."""

    def __init__(self) -> None:
        self._enabled = False
        self._sequence = 0
        self._heap: list[tuple[int, int, PendingPlan[T]]] = []

    def enable(self) -> None:
        """Begin to take plans."""
        self._enabled = True

    def disable(self) -> list[PendingPlan[T]]:
        """Refuse plans from now on, and return those that were waiting, for their submitters to be told."""
        self._enabled = False
        waiting = [entry[2] for entry in sorted(self._heap, key=lambda entry: entry[:2])]
        self._heap.clear()
        return waiting

    def enqueue(self, plan: Plan, answer: T, now: float) -> None:
        """Take a plan; raises NotLeader while disabled and Overloaded when the queue is full."""
        if not self._enabled:
            raise NotLeader
        if len(self._heap) >= DEPTH_MAX:
            raise Overloaded(f"the plan queue holds {DEPTH_MAX} plans")
        self._sequence += 1
        heapq.heappush(self._heap, (-plan.priority, self._sequence, PendingPlan(plan, now, answer)))

    def dequeue(self) -> PendingPlan[T] | None:
        """Return the plan of highest priority, or None."""
        return heapq.heappop(self._heap)[2] if self._heap else None

    @property
    def depth(self) -> int:
        """How many plans wait."""
        return len(self._heap)

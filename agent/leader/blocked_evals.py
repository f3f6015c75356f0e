"""Evaluations that found no place for all their allocations, kept by the leader until capacity may have come.

Source: Nomad, nomad/blocked_evals.go. Every change that frees or adds capacity wakes all of them; telling apart which
node class a change helps comes with the full scheduler.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

from agent.model.base import JobKey
from agent.model.evaluation import Evaluation

Place = tuple[str, str, str]
"""Data center, node class and node pool."""


@dataclass(frozen=True, slots=True)
class BlockedStats:
    """How many evaluations are blocked; `escaped` are those whose constraints escape node classes."""

    blocked: int
    escaped: int
    quota_limit: int
    by_job: dict[JobKey, tuple[int, int]]
    """MHz and MB that the blocked evaluations of a job ask for."""
    by_place: dict[Place, tuple[int, int]]
    """The same by place. An evaluation counts whole in each place that had no room: Nomad, blocked_evals_stats.go."""


class BlockedEvals:
    """At most one blocked evaluation for each job. Not thread-safe; pure."""

    def __init__(self) -> None:
        self._enabled = False
        self._by_job: dict[JobKey, Evaluation] = {}
        self._unblock_index = 0

    def enable(self) -> None:
        """Begin to take evaluations."""
        self._enabled = True

    def disable(self) -> None:
        """Forget everything."""
        self._enabled = False
        self._by_job.clear()
        self._unblock_index = 0

    def block(self, evaluation: Evaluation) -> tuple[Evaluation | None, Evaluation | None]:
        """Keep *evaluation*; return (the older one of the same job to cancel, the one to run at once).

        An evaluation whose snapshot is older than the last change of capacity missed that change: it is given
        straight back to be run again, and not kept.
        """
        if not self._enabled:
            return None, None
        older = self._by_job.get(evaluation.job_key)
        if older is not None and older.id == evaluation.id:
            older = None
        if evaluation.snapshot_index < self._unblock_index:
            self._by_job.pop(evaluation.job_key, None)
            return older, evaluation
        self._by_job[evaluation.job_key] = evaluation
        return older, None

    def untrack(self, key: JobKey) -> None:
        """Forget the blocked evaluation of a job that was placed or stopped."""
        self._by_job.pop(key, None)

    def unblock(self, index: int) -> list[Evaluation]:
        """Give out everything, because capacity changed at *index*; in the order in which they were made."""
        self._unblock_index = max(self._unblock_index, index)
        woken = sorted(self._by_job.values(), key=lambda evaluation: (evaluation.create_index, evaluation.id))
        self._by_job.clear()
        return woken

    def stats(self) -> BlockedStats:
        """Count what is kept."""
        evaluations = self._by_job.values()
        return BlockedStats(
            blocked=len(self._by_job),
            escaped=sum(evaluation.escaped_computed_class for evaluation in evaluations),
            quota_limit=sum(bool(evaluation.quota_limit_reached) for evaluation in evaluations),
            by_job={key: _asked(self._by_job[key]) for key in sorted(self._by_job)},
            by_place=_asked_by_place(evaluations),
        )


def _asked(evaluation: Evaluation) -> tuple[int, int]:
    asked = [
        resources
        for metric in (evaluation.failed_tg_allocs or {}).values()
        for resources in (metric.resources_exhausted or {}).values()
    ]
    return sum(resources.cpu for resources in asked), sum(resources.memory_mb for resources in asked)


def _asked_by_place(evaluations: Iterable[Evaluation]) -> dict[Place, tuple[int, int]]:
    found: dict[Place, tuple[int, int]] = {}
    for evaluation in evaluations:
        cpu_mhz, memory_mb = _asked(evaluation)
        for place in _places(evaluation):
            before = found.get(place, (0, 0))
            found[place] = (before[0] + cpu_mhz, before[1] + memory_mb)
    return dict(sorted(found.items()))


def _places(evaluation: Evaluation) -> Iterator[Place]:
    """Yield where *evaluation* found no room; a group for which no class was full stands under the empty class."""
    metrics = (evaluation.failed_tg_allocs or {}).values()
    datacenters = {name for metric in metrics for name in metric.nodes_available or ()}
    classes = {name for metric in metrics for name in metric.class_exhausted or ("",)}
    return product(datacenters, classes, {metric.node_pool for metric in metrics})

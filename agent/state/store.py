"""The state of a cluster: every table as a persistent map, so that keeping a snapshot costs one reference.

A `State` never changes; `agent.state.fsm.apply` returns the next one. Lists come sorted by id unless they say
otherwise. Nothing here waits: the shell wakes blocking queries from the `Changes` that `apply` returns.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from immutables import Map

from agent.model.alloc import Allocation
from agent.model.autopilot import AutopilotConfig
from agent.model.base import AllocID, EvalID, JobKey, NodeID
from agent.model.evaluation import Evaluation
from agent.model.job import Job, JobSummary
from agent.model.node import Node
from agent.state.usage import NOTHING, Usage

JOB_VERSIONS_MAX = 6
"""As many versions of a job as Nomad keeps. Source: Nomad, `job_tracked_versions`."""

REQUESTS_MAX = 4096
"""Results kept for repeated requests: minutes of writes at some hundred a second, well over any retry deadline."""

T = TypeVar("T")
Ids = Map[str, bool]
"""A persistent set of ids."""

NO_IDS: Ids = Map()


class Table(StrEnum):
    """What a blocking query may wait for; each table has the index of its last change."""

    NODES = "nodes"
    JOBS = "jobs"
    JOB_SUMMARIES = "job_summary"
    EVALS = "evals"
    ALLOCS = "allocs"


@dataclass(frozen=True, slots=True)
class Staged:
    """The part of a snapshot that has come in, before it becomes the state. `at` is when the last piece was proposed.

    All pieces together will be `packed_bytes`, and unpack to `state_bytes`.
    """

    restore_id: str
    at: int
    packed_bytes: int
    state_bytes: int
    size_bytes: int = 0
    pieces: tuple[bytes, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether all pieces are there."""
        return self.size_bytes == self.packed_bytes


@dataclass(frozen=True, slots=True)
class State:
    """Everything the servers agree on, as of `index`.

    The fields are for `agent.state` alone; everyone else reads through the methods.
    """

    index: int = 0
    """The last applied index: the log's, plus `index_offset`."""
    table_indexes: Map[Table, int] = field(default_factory=Map)
    nodes_by_id: Map[str, Node] = field(default_factory=Map)
    jobs_by_key: Map[JobKey, Job] = field(default_factory=Map)
    versions_by_key: Map[JobKey, tuple[Job, ...]] = field(default_factory=Map)
    """Newest first, at most JOB_VERSIONS_MAX; the first is the current specification."""
    summaries_by_key: Map[JobKey, JobSummary] = field(default_factory=Map)
    evals_by_id: Map[str, Evaluation] = field(default_factory=Map)
    allocs_by_id: Map[str, Allocation] = field(default_factory=Map)
    node_allocs: Map[str, Ids] = field(default_factory=Map)
    job_allocs: Map[JobKey, Ids] = field(default_factory=Map)
    eval_allocs: Map[str, Ids] = field(default_factory=Map)
    job_evals: Map[JobKey, Ids] = field(default_factory=Map)
    live_allocs: Map[JobKey, int] = field(default_factory=Map)
    """How many allocations of a job are not terminal; absent for none. Keeps the status of a job O(1)."""
    open_evals: Map[JobKey, int] = field(default_factory=Map)
    """How many evaluations of a job are not terminal; absent for none."""
    node_usage: Map[str, Usage] = field(default_factory=Map)
    """What the non-terminal allocations of a node take; absent for nothing. Keeps a fit O(1)."""
    autopilot: AutopilotConfig = field(default_factory=AutopilotConfig)
    results: Map[str, bytes] = field(default_factory=Map)
    """The encoded result of each of the last REQUESTS_MAX requests."""
    request_order: Map[int, str] = field(default_factory=Map)
    requests_seen: int = 0
    index_offset: int = 0
    """By how much indexes are ahead of the log's: a restored state may have come from a cluster that had gone further."""
    restored_at: int = 0
    """The index at which an operator's snapshot took the place of the state; 0 when none did."""
    staged: Staged | None = None

    def table_index(self, *tables: Table) -> int:
        """Return the index of the last change of any of *tables*, 0 when there was none."""
        return max((self.table_indexes.get(table, 0) for table in tables), default=0)

    def node(self, node_id: str) -> Node | None:
        """Return one node, or None."""
        return self.nodes_by_id.get(node_id)

    def nodes(self, prefix: str = "") -> list[Node]:
        """Return the nodes whose id begins with *prefix*."""
        return _sorted(self.nodes_by_id, prefix)

    def usage(self, node_id: str) -> Usage:
        """Return what the non-terminal allocations of a node take."""
        return self.node_usage.get(node_id, NOTHING)

    def job(self, namespace: str, job_id: str) -> Job | None:
        """Return the current version of a job, stopped or not, or None."""
        return self.jobs_by_key.get((namespace, job_id))

    def jobs(self, namespace: str | None = None) -> list[Job]:
        """Return the jobs of *namespace*, or of all with None, sorted by namespace and id."""
        return [job for key, job in sorted(self.jobs_by_key.items(), key=_first) if namespace in {None, key[0]}]

    def job_versions(self, namespace: str, job_id: str) -> tuple[Job, ...]:
        """Return the kept versions of a job as they were registered, newest first."""
        return self.versions_by_key.get((namespace, job_id), ())

    def job_version(self, namespace: str, job_id: str, version: int) -> Job | None:
        """Return one version of a job, or None when it is not kept."""
        return next((job for job in self.job_versions(namespace, job_id) if job.version == version), None)

    def job_summary(self, namespace: str, job_id: str) -> JobSummary | None:
        """Return the counts of a job's allocations, or None when there is no such job."""
        return self.summaries_by_key.get((namespace, job_id))

    def alloc(self, alloc_id: str) -> Allocation | None:
        """Return one allocation, or None."""
        return self.allocs_by_id.get(alloc_id)

    def allocs(self, prefix: str = "") -> list[Allocation]:
        """Return the allocations whose id begins with *prefix*."""
        return _sorted(self.allocs_by_id, prefix)

    def allocs_by_node(self, node_id: str) -> list[Allocation]:
        """Return all allocations of a node, terminal ones too."""
        return self._allocs_of(self.node_allocs.get(node_id, NO_IDS))

    def allocs_by_job(self, namespace: str, job_id: str) -> list[Allocation]:
        """Return all allocations of a job, of every version and status."""
        return self._allocs_of(self.job_allocs.get((namespace, job_id), NO_IDS))

    def allocs_by_eval(self, eval_id: str) -> list[Allocation]:
        """Return the allocations last placed or updated by an evaluation."""
        return self._allocs_of(self.eval_allocs.get(eval_id, NO_IDS))

    def eval(self, eval_id: str) -> Evaluation | None:
        """Return one evaluation, or None."""
        return self.evals_by_id.get(eval_id)

    def evals(self, prefix: str = "") -> list[Evaluation]:
        """Return the evaluations whose id begins with *prefix*."""
        return _sorted(self.evals_by_id, prefix)

    def evals_by_job(self, namespace: str, job_id: str) -> list[Evaluation]:
        """Return all evaluations of a job."""
        return [self.evals_by_id[id_] for id_ in sorted(self.job_evals.get((namespace, job_id), NO_IDS))]

    def result_of(self, request_id: str) -> bytes | None:
        """Return the encoded result of a request that was applied lately, or None."""
        return self.results.get(request_id) if request_id else None

    def check_invariants(self) -> None:
        """Raise AssertionError when an index, a counter or a summary contradicts the tables."""
        from agent.state.invariants import check  # noqa: PLC0415  # a check for tests: it need not be loaded to serve

        check(self)

    def _allocs_of(self, ids: Ids) -> list[Allocation]:
        by_id = self.allocs_by_id
        return [by_id[id_] for id_ in sorted(ids)]


@dataclass(frozen=True, slots=True)
class Changes:
    """What one command changed, each id once, in the order of the changes; what was removed is named too."""

    index: int
    tables: frozenset[Table] = frozenset()
    nodes: tuple[NodeID, ...] = ()
    jobs: tuple[JobKey, ...] = ()
    evals: tuple[EvalID, ...] = ()
    allocs: tuple[AllocID, ...] = ()
    restored: bool = False
    """Everything was replaced by an older state; the other fields name none of it."""


def _first(item: tuple[JobKey, Job]) -> JobKey:
    return item[0]


def _sorted(table: Map[str, T], prefix: str) -> list[T]:
    ids: Iterable[str] = table if not prefix else (id_ for id_ in table if id_.startswith(prefix))
    return [table[id_] for id_ in sorted(ids)]

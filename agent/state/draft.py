"""The next state while one command is being applied: the only mutable thing in `agent.state`.

A draft keeps every index, counter and summary in step with the tables, so that the commands only say what they put
or remove. It lives for one command: `finish()` gives the new state and what changed, and a refused command drops it.
"""

from typing import Any, TypeVar

import msgspec
from immutables import Map
from immutables._protocols import MapMutation  # the type of Map.mutate(); the package exports it nowhere else

from agent.model.alloc import Allocation, ClientStatus
from agent.model.base import AllocID, EvalID, JobKey, NodeID
from agent.model.evaluation import Evaluation
from agent.model.job import GroupSummary, Job, JobStatus, JobSummary, JobType
from agent.model.node import Node
from agent.state.store import JOB_VERSIONS_MAX, REQUESTS_MAX, Changes, Ids, State, Table
from agent.state.usage import NOTHING, Usage, alloc_usage

K = TypeVar("K")

_SUMMARY_FIELD: dict[str, str] = {
    ClientStatus.PENDING: "starting",
    ClientStatus.RUNNING: "running",
    ClientStatus.COMPLETE: "complete",
    ClientStatus.FAILED: "failed",
    ClientStatus.LOST: "lost",
    ClientStatus.UNKNOWN: "unknown",
}
LIVE_FIELDS = frozenset({"starting", "running", "unknown"})
"""Counts that fall when an allocation is removed; the others remember what garbage collection took, as Nomad's do."""


def summary_field(client_status: str) -> str:
    """Return the name of the count in a GroupSummary for a client status; an unheard-of status counts as unknown."""
    return _SUMMARY_FIELD.get(client_status, "unknown")


class Draft:
    """Tables under change. Reads see what was put before."""

    def __init__(self, state: State, index: int, at: int) -> None:
        self.state = state
        self.index = index
        self.at = at
        self.nodes = state.nodes_by_id.mutate()
        self.jobs = state.jobs_by_key.mutate()
        self.versions = state.versions_by_key.mutate()
        self.summaries = state.summaries_by_key.mutate()
        self.evals = state.evals_by_id.mutate()
        self.allocs = state.allocs_by_id.mutate()
        self.node_allocs = state.node_allocs.mutate()
        self.job_allocs = state.job_allocs.mutate()
        self.eval_allocs = state.eval_allocs.mutate()
        self.job_evals = state.job_evals.mutate()
        self.live_allocs = state.live_allocs.mutate()
        self.open_evals = state.open_evals.mutate()
        self.usage = state.node_usage.mutate()
        self.autopilot = state.autopilot
        self._tables: set[Table] = set()
        # Dictionaries, for they keep the order of the changes.
        self._nodes: dict[NodeID, None] = {}
        self._jobs: dict[JobKey, None] = {}
        self._evals: dict[EvalID, None] = {}
        self._allocs: dict[AllocID, None] = {}
        self._to_settle: dict[JobKey, bool] = {}

    # --- nodes

    def put_node(self, node: Node) -> None:
        """Insert or replace a node; its modify index is this command's."""
        self.nodes[node.id] = msgspec.structs.replace(node, modify_index=self.index)
        self._nodes[node.id] = None
        self._tables.add(Table.NODES)

    # --- jobs

    def put_job(self, job: Job, *, new_version: bool) -> None:
        """Insert or replace a job, remember it as a version if it is one, and see that it has a summary."""
        key = job.key
        kept = self.versions.get(key, ())
        self.jobs[key] = job
        self.versions[key] = (job, *(kept[: JOB_VERSIONS_MAX - 1] if new_version else kept[1:]))
        self._jobs[key] = None
        self._tables.add(Table.JOBS)
        self._settle(key)
        self._see_summary(job)

    def remove_job(self, key: JobKey) -> None:
        """Remove a job with its versions and summary; evaluations and allocations stay until they are collected."""
        del self.jobs[key]
        del self.versions[key]
        del self.summaries[key]
        self._jobs[key] = None
        self._tables.update((Table.JOBS, Table.JOB_SUMMARIES))

    # --- evaluations

    def put_eval(self, evaluation: Evaluation) -> None:
        """Insert or replace an evaluation, with what follows: queued counts, and blocked ones that it makes needless."""
        old = self.evals.get(evaluation.id)
        new = msgspec.structs.replace(
            evaluation, create_index=old.create_index if old else self.index, modify_index=self.index
        )
        self._store_eval(old, new)
        if new.queued_allocations:
            self._set_queued(new.job_key, new.queued_allocations)
        if new.status == "complete" and not new.failed_tg_allocs:
            self._cancel_blocked(new)

    def touch_eval(self, eval_id: str) -> None:
        """Move the modify index of an evaluation whose plan was committed, so that its next reader waits for it.

        The evaluation is not named among the changes: there is nothing to do about it.
        """
        old = self.evals.get(eval_id)
        if old is not None:
            self.evals[eval_id] = msgspec.structs.replace(old, modify_index=self.index)
            self._tables.add(Table.EVALS)

    def remove_eval(self, eval_id: str) -> None:
        """Remove an evaluation if it is there."""
        old = self.evals.get(eval_id)
        if old is not None:
            self._store_eval(old, None)

    # --- allocations

    def put_alloc(self, alloc: Allocation) -> None:
        """Insert or replace an allocation as it is given."""
        self._store_alloc(self.allocs.get(alloc.id), alloc)

    def remove_alloc(self, alloc_id: str) -> None:
        """Remove an allocation if it is there."""
        old = self.allocs.get(alloc_id)
        if old is not None:
            self._store_alloc(old, None)

    # --- the end

    def finish(self, request_id: str, result: bytes) -> tuple[State, Changes]:
        """Settle the statuses of the touched jobs and return the new state with what changed; the draft is then spent."""
        for key, collected in self._to_settle.items():
            self._settle_status(key, collected=collected)
        state = self.state
        changes = Changes(
            self.index, frozenset(self._tables),
            tuple(self._nodes), tuple(self._jobs), tuple(self._evals), tuple(self._allocs),
        )  # fmt: skip
        indexes = state.table_indexes
        for table in sorted(self._tables):
            indexes = indexes.set(table, self.index)
        results, order, seen = remember(state, request_id, result)
        return State(
            index=self.index, table_indexes=indexes, nodes_by_id=self.nodes.finish(), jobs_by_key=self.jobs.finish(),
            versions_by_key=self.versions.finish(), summaries_by_key=self.summaries.finish(),
            evals_by_id=self.evals.finish(), allocs_by_id=self.allocs.finish(), node_allocs=self.node_allocs.finish(),
            job_allocs=self.job_allocs.finish(), eval_allocs=self.eval_allocs.finish(),
            job_evals=self.job_evals.finish(), live_allocs=self.live_allocs.finish(),
            open_evals=self.open_evals.finish(), node_usage=self.usage.finish(),
            autopilot=self.autopilot, results=results,
            request_order=order, requests_seen=seen, index_offset=state.index_offset,
            restored_at=state.restored_at, staged=state.staged,
        ), changes  # fmt: skip

    # --- below: what keeps indexes and counters in step

    def _store_eval(self, old: Evaluation | None, new: Evaluation | None) -> None:
        either = new or old
        assert either is not None
        old_key, new_key = old.job_key if old else None, new.job_key if new else None
        _move(self.job_evals, old_key, new_key, either.id)
        if old is not None and not old.terminal:
            _add(self.open_evals, old.job_key, -1)
        if new is not None and not new.terminal:
            _add(self.open_evals, new.job_key, 1)
        if new is not None:
            self.evals[new.id] = new
        else:
            del self.evals[either.id]
        self._evals[either.id] = None
        self._tables.add(Table.EVALS)
        self._settle(either.job_key, collected=new is None)
        if old_key is not None and new_key is not None and old_key != new_key:
            self._settle(old_key)

    def _store_alloc(self, old: Allocation | None, new: Allocation | None) -> None:
        either = new or old
        assert either is not None
        old_job, new_job = _job_key(old), _job_key(new)
        _move(self.node_allocs, str(old.node_id) if old else None, str(new.node_id) if new else None, either.id)
        _move(self.job_allocs, old_job, new_job, either.id)
        _move(self.eval_allocs, str(old.eval_id) if old else None, str(new.eval_id) if new else None, either.id)
        if old is not None and not old.terminal:
            self._take(old, -1)
        if new is not None and not new.terminal:
            self._take(new, 1)
        self._count(old, new)
        if new is not None:
            self.allocs[new.id] = new
        else:
            del self.allocs[either.id]
        self._allocs[either.id] = None
        self._tables.add(Table.ALLOCS)
        for key in (old_job, new_job):
            if key is not None:
                self._settle(key, collected=new is None)

    def _take(self, alloc: Allocation, sign: int) -> None:
        """Add (1) or remove (-1) a live allocation from the counters of its node and job."""
        _add(self.live_allocs, (alloc.namespace, alloc.job_id), sign)
        before, share = self.usage.get(alloc.node_id, NOTHING), alloc_usage(alloc)
        after = before.plus(share) if sign > 0 else before.minus(share)
        if after == NOTHING:
            self.usage.pop(alloc.node_id, None)
        else:
            self.usage[alloc.node_id] = after

    def _count(self, old: Allocation | None, new: Allocation | None) -> None:
        """Move an allocation from one count of its group's summary to another."""
        was = (old.namespace, old.job_id, old.task_group, summary_field(old.client_status)) if old else None
        now = (new.namespace, new.job_id, new.task_group, summary_field(new.client_status)) if new else None
        if was == now:
            return
        if was is not None and (now is not None or was[3] in LIVE_FIELDS):
            self._bump((was[0], was[1]), was[2], was[3], -1)
        if now is not None:
            self._bump((now[0], now[1]), now[2], now[3], 1)
            if was is None:
                self._bump((now[0], now[1]), now[2], "queued", -1)

    def _bump(self, key: JobKey, group: str, count: str, by: int) -> None:
        summary = self.summaries.get(key)
        if summary is None:
            return
        counts = summary.summary.get(group, GroupSummary())
        changes: Any = {count: max(0, getattr(counts, count) + by)}
        after = msgspec.structs.replace(counts, **changes)
        if after != counts or group not in summary.summary:
            self._put_summary(key, summary, {**summary.summary, group: after})

    def _set_queued(self, key: JobKey, queued: dict[str, int]) -> None:
        summary = self.summaries.get(key)
        if summary is None:
            return
        groups = dict(summary.summary)
        for group, waiting in queued.items():
            groups[group] = msgspec.structs.replace(groups.get(group, GroupSummary()), queued=waiting)
        if groups != summary.summary:
            self._put_summary(key, summary, groups)

    def _see_summary(self, job: Job) -> None:
        """Create the summary of a new job from the allocations that are left of an earlier one; add new groups."""
        summary = self.summaries.get(job.key)
        if summary is None:
            blank = JobSummary(job_id=job.id, namespace=job.namespace, create_index=self.index)
            self._put_summary(job.key, blank, {group.name: GroupSummary() for group in job.task_groups})
            for alloc_id in self.job_allocs.get(job.key, ()):
                alloc = self.allocs[alloc_id]
                self._bump(job.key, alloc.task_group, summary_field(alloc.client_status), 1)
            return
        groups = {group.name: GroupSummary() for group in job.task_groups} | summary.summary
        if groups.keys() != summary.summary.keys():
            self._put_summary(job.key, summary, groups)

    def _put_summary(self, key: JobKey, summary: JobSummary, groups: dict[str, GroupSummary]) -> None:
        self.summaries[key] = msgspec.structs.replace(summary, summary=groups, modify_index=self.index)
        self._tables.add(Table.JOB_SUMMARIES)

    def _cancel_blocked(self, done: Evaluation) -> None:
        """Cancel the blocked evaluations of a job that has just found all its places. Source: Nomad, state store."""
        for eval_id in sorted(self.job_evals.get(done.job_key, ())):
            blocked = self.evals[eval_id]
            if blocked.status == "blocked" and blocked.id != done.id:
                self._store_eval(
                    blocked,
                    msgspec.structs.replace(
                        blocked,
                        status="canceled",
                        status_description=f'evaluation "{done.id}" successful',
                        modify_index=self.index,
                        modify_time=self.at,
                    ),
                )

    def _settle(self, key: JobKey, *, collected: bool = False) -> None:
        self._to_settle[key] = self._to_settle.get(key, False) or collected

    def _settle_status(self, key: JobKey, *, collected: bool) -> None:
        job = self.jobs.get(key)
        if job is None:
            return
        status = self._status(job, collected=collected)
        if status != job.status:
            self.jobs[key] = after = msgspec.structs.replace(job, status=status, modify_index=self.index)
            self.versions[key] = (after, *self.versions[key][1:])
            self._jobs[key] = None
            self._tables.add(Table.JOBS)

    def _status(self, job: Job, *, collected: bool) -> str:
        """Return what has become of a job.

        With a live allocation it runs. Without one, a service that somebody has looked at once runs until it is
        stopped, even while none of it could be placed; a batch job is pending while an evaluation is open, and dead
        after that. System, periodic and parameterized jobs run until they are stopped.
        Source: Nomad 2.0.5, where the unplaceable service turned from pending to running with the end of its first
        evaluation, and stayed so.
        """
        if job.type == JobType.SYSTEM or job.periodic is not None or job.parameterized_job is not None:
            return JobStatus.DEAD if job.stop else JobStatus.RUNNING
        if self.live_allocs.get(job.key, 0):
            return JobStatus.RUNNING
        waiting, known = self.open_evals.get(job.key, 0), len(self.job_evals.get(job.key, ()))
        looked_at = collected or known > waiting or job.key in self.job_allocs
        if job.type == JobType.SERVICE and not job.stop:
            return JobStatus.RUNNING if looked_at else JobStatus.PENDING
        if waiting or not looked_at:
            return JobStatus.PENDING
        return JobStatus.DEAD


def remember(state: State, request_id: str, result: bytes) -> tuple[Map[str, bytes], Map[int, str], int]:
    """Return the results, their order and their number with one more; the oldest falls out when they are too many."""
    results, order, seen = state.results, state.request_order, state.requests_seen
    if not request_id:
        return results, order, seen
    results, order = results.set(request_id, result), order.set(seen, request_id)
    oldest = seen - REQUESTS_MAX
    if oldest >= 0:
        results, order = results.delete(order[oldest]), order.delete(oldest)
    return results, order, seen + 1


def index_allocs(
    allocs: list[Allocation],
) -> tuple[Map[str, Ids], Map[JobKey, Ids], Map[str, Ids], Map[JobKey, int], Map[str, Usage]]:
    """Return the indexes and counters of *allocs*: by node, by job, by evaluation, live by job, usage by node."""
    by_node: dict[str, dict[str, bool]] = {}
    by_job: dict[JobKey, dict[str, bool]] = {}
    by_eval: dict[str, dict[str, bool]] = {}
    live: dict[JobKey, int] = {}
    usage: dict[str, Usage] = {}
    for alloc in allocs:
        key = (alloc.namespace, alloc.job_id)
        by_node.setdefault(alloc.node_id, {})[alloc.id] = True
        by_job.setdefault(key, {})[alloc.id] = True
        by_eval.setdefault(alloc.eval_id, {})[alloc.id] = True
        if not alloc.terminal:
            live[key] = live.get(key, 0) + 1
            usage[alloc.node_id] = usage.get(alloc.node_id, NOTHING).plus(alloc_usage(alloc))
    used = Map({node: use for node, use in usage.items() if use != NOTHING})
    return _frozen(by_node), _frozen(by_job), _frozen(by_eval), Map(live), used


def index_evals(evals: list[Evaluation]) -> tuple[Map[JobKey, Ids], Map[JobKey, int]]:
    """Return the index of *evals* by job, and how many of them are open by job."""
    by_job: dict[JobKey, dict[str, bool]] = {}
    waiting: dict[JobKey, int] = {}
    for evaluation in evals:
        by_job.setdefault(evaluation.job_key, {})[evaluation.id] = True
        if not evaluation.terminal:
            waiting[evaluation.job_key] = waiting.get(evaluation.job_key, 0) + 1
    return _frozen(by_job), Map(waiting)


def _frozen(index: dict[K, dict[str, bool]]) -> Map[K, Ids]:
    return Map({key: Map(ids) for key, ids in index.items()})


def _job_key(alloc: Allocation | None) -> JobKey | None:
    return (alloc.namespace, alloc.job_id) if alloc else None


def _move(index: MapMutation[K, Ids], old: K | None, new: K | None, id_: str) -> None:
    """Move *id_* from the entry *old* of an index to the entry *new*; None stands for nowhere."""
    if old == new:
        return
    if old is not None:
        rest = index[old].delete(id_)
        if rest:
            index[old] = rest
        else:
            del index[old]
    if new is not None:
        index[new] = index.get(new, Map()).set(id_, True)


def _add(counters: MapMutation[JobKey, int], key: JobKey, by: int) -> None:
    value = counters.get(key, 0) + by
    if value:
        counters[key] = value
    else:
        counters.pop(key, None)

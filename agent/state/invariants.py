"""What must always be true of a state: for tests, and for anyone who doubts a snapshot."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TypeVar

from agent.model.base import JobKey
from agent.state.draft import LIVE_FIELDS, summary_field
from agent.state.store import JOB_VERSIONS_MAX, REQUESTS_MAX, Ids, State
from agent.state.usage import NOTHING, Usage, alloc_usage

K = TypeVar("K")

_ENDED = ("complete", "failed", "lost")


def check(state: State) -> None:
    """Raise AssertionError that names the first index, counter or summary that contradicts the tables."""
    allocs, evals = list(state.allocs_by_id.values()), list(state.evals_by_id.values())
    _same(state.node_allocs, ((alloc.node_id, alloc.id) for alloc in allocs), "allocations by node")
    _same(state.job_allocs, (((alloc.namespace, alloc.job_id), alloc.id) for alloc in allocs), "allocations by job")
    _same(state.eval_allocs, ((alloc.eval_id, alloc.id) for alloc in allocs), "allocations by evaluation")
    _same(state.job_evals, ((item.job_key, item.id) for item in evals), "evaluations by job")
    live = Counter((alloc.namespace, alloc.job_id) for alloc in allocs if not alloc.terminal)
    assert dict(state.live_allocs) == dict(live), "live allocations by job"
    waiting = Counter(item.job_key for item in evals if not item.terminal)
    assert dict(state.open_evals) == dict(waiting), "open evaluations by job"
    _check_usage(state)
    _check_jobs(state)
    _check_summaries(state)
    _check_requests(state)
    for table, index in state.table_indexes.items():
        assert 0 < index <= state.index, f"index of {table}: {index} with the state at {state.index}"


def _same(index: Mapping[K, Ids], wanted: Iterable[tuple[K, str]], name: str) -> None:
    expected: dict[K, set[str]] = {}
    for key, id_ in wanted:
        expected.setdefault(key, set()).add(id_)
    assert {key: set(ids) for key, ids in index.items()} == expected, name


def _check_usage(state: State) -> None:
    usage: dict[str, Usage] = {}
    for alloc in state.allocs_by_id.values():
        if not alloc.terminal:
            usage[alloc.node_id] = usage.get(alloc.node_id, NOTHING).plus(alloc_usage(alloc))
    found = dict(state.node_usage)
    assert found == {node: use for node, use in usage.items() if use != NOTHING}, "usage of nodes"


def _check_jobs(state: State) -> None:
    assert set(state.jobs_by_key) == set(state.versions_by_key), "jobs and their versions"
    assert set(state.jobs_by_key) == set(state.summaries_by_key), "jobs and their summaries"
    for key, versions in state.versions_by_key.items():
        assert 1 <= len(versions) <= JOB_VERSIONS_MAX, f"number of versions of {key}"
        assert versions[0] == state.jobs_by_key[key], f"the newest version of {key} is the job"
        numbers = [job.version for job in versions]
        assert numbers == list(range(numbers[0], numbers[0] - len(numbers), -1)), f"versions of {key}: {numbers}"


def _check_summaries(state: State) -> None:
    counts: Counter[tuple[JobKey, str, str]] = Counter()
    for alloc in state.allocs_by_id.values():
        counts[(alloc.namespace, alloc.job_id), alloc.task_group, summary_field(alloc.client_status)] += 1
    for key, summary in state.summaries_by_key.items():
        groups = set(summary.summary) | {group for job, group, _ in counts if job == key}
        for group in sorted(groups):
            found = summary.summary.get(group)
            assert found is not None, f"summary of {key} lacks {group}"
            for name in sorted(LIVE_FIELDS):
                assert getattr(found, name) == counts[key, group, name], f"summary of {key} {group}: {name}"
            for name in _ENDED:
                assert getattr(found, name) >= counts[key, group, name], f"summary of {key} {group}: {name}"


def _check_requests(state: State) -> None:
    assert len(state.results) == len(state.request_order) <= REQUESTS_MAX, "number of remembered requests"
    assert set(state.results) == set(state.request_order.values()), "remembered requests and their order"
    last = state.requests_seen
    assert set(state.request_order) == set(range(last - len(state.results), last)), "order of remembered requests"

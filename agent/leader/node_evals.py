"""Evaluations that the leader makes itself: after a change of a node, and after one that no worker finished. Pure."""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from agent.leader.eval_broker import DELIVERY_LIMIT
from agent.model.alloc import Allocation
from agent.model.base import EvalID, JobID, JobKey
from agent.model.evaluation import EvalStatus, Evaluation, Trigger
from agent.model.job import JobType
from agent.model.node import Node
from agent.state.store import State


def evals_for_node(state: State, node: Node, new_id: Callable[[], str], now_ns: int) -> list[Evaluation]:
    """Return an evaluation for each job that has an allocation on *node*, by namespace and id of the job.

    *now_ns* is Unix nanoseconds. Source: Nomad, nomad/node_endpoint.go, createNodeEvals.
    """
    jobs: dict[JobKey, tuple[str, int]] = {}
    for alloc in state.allocs_by_node(node.id):
        job = state.job(alloc.namespace, alloc.job_id) or alloc.job
        if job is not None and not alloc.client_terminal:
            jobs.setdefault(job.key, (job.type, job.priority))
    for job in state.jobs():
        if job.type in {JobType.SYSTEM, JobType.SYSBATCH} and not job.stop:
            jobs.setdefault(job.key, (job.type, job.priority))
    made = _evals(jobs, Trigger.NODE_UPDATE, new_id, now_ns)
    return [msgspec.structs.replace(each, node_id=node.id, node_modify_index=node.modify_index) for each in made]


def evals_for_migration(
    state: State, allocs: Iterable[Allocation], new_id: Callable[[], str], now_ns: int
) -> list[Evaluation]:
    """Return an evaluation for each job of *allocs*, which a drain moves, by namespace and id of the job.

    *now_ns* is Unix nanoseconds. Source: Nomad, nomad/drainer/drainer.go, drainAllocs.
    """
    jobs: dict[JobKey, tuple[str, int]] = {}
    for alloc in allocs:
        job = state.job(alloc.namespace, alloc.job_id) or alloc.job
        if job is not None:
            jobs[job.key] = (job.type, job.priority)
    return _evals(jobs, Trigger.NODE_DRAIN, new_id, now_ns)


def _evals(
    jobs: Mapping[JobKey, tuple[str, int]], trigger: Trigger, new_id: Callable[[], str], now_ns: int
) -> list[Evaluation]:
    """Return an evaluation for each of *jobs*, which have a type and a priority, by namespace and id."""
    return [
        Evaluation(
            id=EvalID(new_id()),
            namespace=namespace,
            job_id=JobID(job_id),
            type=kind,
            priority=priority,
            triggered_by=trigger,
            create_time=now_ns,
            modify_time=now_ns,
        )
        for (namespace, job_id), (kind, priority) in sorted(jobs.items())
    ]


def failed_evals(evaluation: Evaluation, new_id: str, now_ns: int, wait_seconds: float) -> list[Evaluation]:
    """Return *evaluation* as failed, and one of id *new_id* that tries again after *wait_seconds*.

    *now_ns* is Unix nanoseconds. Source: Nomad, nomad/leader.go, reapFailedEvaluations.
    """
    follow_up = Evaluation(
        id=EvalID(new_id),
        namespace=evaluation.namespace,
        job_id=evaluation.job_id,
        type=evaluation.type,
        priority=evaluation.priority,
        triggered_by=Trigger.FAILED_FOLLOW_UP,
        status=EvalStatus.PENDING,
        wait_until=now_ns + int(wait_seconds * 1e9),
        previous_eval=evaluation.id,
        create_time=now_ns,
        modify_time=now_ns,
    )
    failed = msgspec.structs.replace(
        evaluation,
        status=EvalStatus.FAILED,
        status_description=f"evaluation reached delivery limit ({DELIVERY_LIMIT})",
        next_eval=follow_up.id,
        modify_time=now_ns,
    )
    return [failed, follow_up]

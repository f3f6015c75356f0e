"""What is wanted of a system job: one allocation of each group on every node that may run it.

A node that no longer may has its allocation stopped; one that is gone has it lost, and nothing takes its place. A
sysbatch allocation that has ended has done its work. Source: Nomad, scheduler/scheduler_system.go.
"""

from collections.abc import Mapping, Sequence

from agent.model.alloc import Allocation, ClientStatus, DesiredStatus
from agent.model.evaluation import Evaluation, Trigger
from agent.model.job import Job, JobType, TaskGroup
from agent.model.node import Node
from agent.scheduler import updates
from agent.scheduler.feasible import GroupNeeds
from agent.scheduler.reconcile import LOST, NOT_NEEDED, UPDATING, GroupChanges, Place, Stop, node_gone, stop_all
from agent.state.store import State

NOT_ALLOWED = "alloc not needed as node is tainted"


def reconcile(
    state: State,
    evaluation: Evaluation,
    job: Job | None,
    nodes: Sequence[Node],
    needs: Mapping[str, GroupNeeds],
    now_ns: int,
) -> dict[str, GroupChanges]:
    """Return what to do about each group, by name. *nodes* are the ready ones in the job's pool and datacenters."""
    by_group: dict[str, list[Allocation]] = {}
    for alloc in state.allocs_by_job(evaluation.namespace, evaluation.job_id):
        by_group.setdefault(alloc.task_group, []).append(alloc)
    groups = {} if job is None or job.stop else {group.name: group for group in job.task_groups}
    changes = {}
    for name in sorted({*by_group, *groups}):
        allocs, group = by_group.get(name, []), groups.get(name)
        if group is None or job is None:
            changes[name] = stop_all(state, allocs)
        else:
            wanted: dict[str, Node] = {
                node.id: node for node in nodes if group.count > 0 and not needs[name].obstacle(node)
            }
            changes[name] = _group(state, evaluation, job, group, allocs, wanted, now_ns)
    return changes


def _group(
    state: State,
    evaluation: Evaluation,
    job: Job,
    group: TaskGroup,
    allocs: Sequence[Allocation],
    wanted: Mapping[str, Node],
    now_ns: int,
) -> GroupChanges:
    changes = GroupChanges()
    served: set[str] = set()
    stale: list[Allocation] = []
    unsettled = 0
    for alloc in sorted(allocs, key=lambda alloc: (alloc.terminal, alloc.create_index, alloc.id)):
        if alloc.terminal:
            if _holds_its_node(alloc, evaluation, job):
                served.add(alloc.node_id)
                changes.ignore += 1
        elif node_gone(state, alloc.node_id):
            changes.stop.append(Stop(alloc, LOST, lost=True))
        elif alloc.node_id in served or alloc.desired_transition.migrate or not _may_stay(state, alloc, wanted):
            changes.stop.append(Stop(alloc, NOT_NEEDED if alloc.node_id in served else NOT_ALLOWED))
        else:
            served.add(alloc.node_id)
            match updates.needed(alloc, job, group):
                case updates.Update.IN_PLACE:
                    changes.in_place.append(alloc)
                case updates.Update.DESTRUCTIVE:
                    stale.append(alloc)
                case updates.Update.NONE:
                    changes.ignore += 1
                    unsettled += alloc.client_status != ClientStatus.RUNNING
    name = f"{job.name or job.id}.{group.name}[0]"
    changes.place = [Place(group, name, node=node) for id_, node in sorted(wanted.items()) if id_ not in served]
    _roll(changes, group, stale, unsettled, wanted, now_ns)
    return changes


def _holds_its_node(alloc: Allocation, evaluation: Evaluation, job: Job) -> bool:
    """Tell whether an ended allocation stands for its node, so that no other one is placed there.

    In a sysbatch job it has done its work for this version. In a system job one that failed is not replaced because
    it failed, or a broken task would be placed again and again; a new version or a change of nodes tries once more.
    What a drain stopped was killed: its work is not done.
    """
    if alloc.desired_status != DesiredStatus.RUN and alloc.desired_transition.migrate:
        return False
    same_version = alloc.job is not None and alloc.job.job_modify_index == job.job_modify_index
    if alloc.client_status not in {ClientStatus.COMPLETE, ClientStatus.FAILED} or not same_version:
        return False
    if job.type == JobType.SYSBATCH:
        return True
    failed = alloc.client_status == ClientStatus.FAILED and alloc.desired_status == "run"
    return failed and evaluation.triggered_by == Trigger.ALLOC_FAILURE


def _may_stay(state: State, alloc: Allocation, wanted: Mapping[str, Node]) -> bool:
    """Tell whether a live allocation stays: on a wanted node, or on one that takes no new work.

    The latter may drain: then the leader says when system jobs have to go, which is last.
    """
    node = state.node(alloc.node_id)
    return alloc.node_id in wanted or (node is not None and not node.ready)


def _roll(
    changes: GroupChanges,
    group: TaskGroup,
    stale: list[Allocation],
    unsettled: int,
    wanted: Mapping[str, Node],
    now_ns: int,
) -> None:
    """Replace stale allocations on their own nodes, at most `max_parallel` at a time."""
    limit = updates.max_parallel(group)
    room = len(stale) if limit == 0 else max(0, limit - unsettled)
    placeable = [alloc for alloc in stale if alloc.node_id in wanted]
    for alloc in placeable[:room]:
        changes.destructive.append(
            Place(group, alloc.name, previous=alloc, stop=Stop(alloc, UPDATING), node=wanted[alloc.node_id])
        )
    changes.ignore += len(stale) - len(changes.destructive)
    if placeable[room:]:
        changes.next_update_at = now_ns + updates.min_healthy_ns(group)

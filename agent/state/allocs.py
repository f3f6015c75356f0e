"""Commands about allocations: what the leader accepted of a plan, and what a client tells.

The servers own what is wanted of an allocation and the client owns what became of it; each command writes only its
own half. `alloc_modify_index` moves with the servers' half alone: by it a client knows what to fetch.
Source: Nomad, state store, upsertAllocsImpl and nestedUpdateAllocFromClient.
"""

import msgspec

from agent.model.alloc import Allocation, ClientStatus
from agent.model.base import JobKey
from agent.model.command import ApplyPlanResults, UpdateAllocDesiredTransition, UpdateAllocsFromClient
from agent.model.job import Job
from agent.state.draft import Draft

_SET_BY_SERVERS = frozenset({ClientStatus.LOST, ClientStatus.UNKNOWN})


def apply_plan(draft: Draft, command: ApplyPlanResults) -> None:
    """Insert or update the allocations of a plan.

    A placement whose job has been purged meanwhile is left out: nothing would ever stop it.
    """
    for alloc in command.updated:
        old = draft.allocs.get(alloc.id)
        if old is None:
            _place(draft, command, alloc)
        else:
            draft.put_alloc(_updated(draft, command, old, alloc))
    draft.touch_eval(command.eval_id)


def update_from_client(draft: Draft, command: UpdateAllocsFromClient) -> None:
    """Copy the client's half of known allocations and insert the evaluations that come with them.

    An end is final: a report that comes late does not bring an ended allocation back to life.
    """
    touched: dict[str, None] = {}
    for update in command.allocs:
        old = draft.allocs.get(update.id)
        if old is None or (old.client_terminal and not update.client_terminal):
            continue
        draft.put_alloc(
            msgspec.structs.replace(
                old,
                client_status=update.client_status,
                client_description=update.client_description,
                task_states=update.task_states,
                deployment_status=update.deployment_status or old.deployment_status,
                modify_index=draft.index,
                modify_time=update.modify_time or draft.at,
            )
        )
        touched[old.node_id] = None
    for node_id in touched:
        node = draft.nodes.get(node_id)
        if node is not None:
            # Not a change of the node: neither its modify index nor the table's moves, as on Nomad.
            draft.nodes[node_id] = msgspec.structs.replace(node, last_alloc_update_index=draft.index)
    for evaluation in command.evals:
        draft.put_eval(evaluation)


def update_desired_transition(draft: Draft, command: UpdateAllocDesiredTransition) -> None:
    """Mark live allocations for migration and insert the evaluations that carry it out.

    The client has nothing to do about a mark, so `alloc_modify_index` stays.
    Source: Nomad, state store, nestedUpdateAllocDesiredTransition.
    """
    for alloc_id in command.migrate:
        old = draft.allocs.get(alloc_id)
        if old is not None and not old.terminal:
            marked = msgspec.structs.replace(old.desired_transition, migrate=True)
            draft.put_alloc(
                msgspec.structs.replace(old, desired_transition=marked, modify_index=draft.index, modify_time=draft.at)
            )
    for evaluation in command.evals:
        draft.put_eval(evaluation)


def _place(draft: Draft, command: ApplyPlanResults, alloc: Allocation) -> None:
    job = alloc.job or _job_at(draft, (alloc.namespace, alloc.job_id), command.snapshot_index)
    if job is None:
        return
    draft.put_alloc(
        msgspec.structs.replace(
            alloc,
            job=job,
            create_index=draft.index,
            modify_index=draft.index,
            alloc_modify_index=draft.index,
            create_time=alloc.create_time or draft.at,
            modify_time=alloc.modify_time or draft.at,
        )
    )
    before = draft.allocs.get(alloc.previous_allocation)
    if before is not None:
        draft.put_alloc(msgspec.structs.replace(before, next_allocation=alloc.id, modify_index=draft.index))


def _updated(draft: Draft, command: ApplyPlanResults, old: Allocation, new: Allocation) -> Allocation:
    """Return *new* with the client's half, the age and where nothing else is said the job of *old*."""
    from_servers = new.client_status in _SET_BY_SERVERS
    job = new.job or old.job
    in_place = new.eval_id == command.eval_id and not new.terminal and not old.terminal
    if new.job is None and in_place:
        job = _job_at(draft, (new.namespace, new.job_id), command.snapshot_index) or old.job
    return msgspec.structs.replace(
        new,
        job=job,
        client_status=new.client_status if from_servers and not old.client_terminal else old.client_status,
        client_description=new.client_description if from_servers else old.client_description,
        task_states=old.task_states,
        deployment_status=new.deployment_status or old.deployment_status,
        next_allocation=new.next_allocation or old.next_allocation,
        create_index=old.create_index,
        create_time=old.create_time,
        modify_index=draft.index,
        alloc_modify_index=draft.index,
        modify_time=new.modify_time or draft.at,
    )


def _job_at(draft: Draft, key: JobKey, snapshot_index: int) -> Job | None:
    """Return the version of a job that a plan made at *snapshot_index* saw, 0 for the newest.

    A version that is no longer kept gives way to the newest: its own evaluation will put that right.
    """
    current = draft.jobs.get(key)
    if current is None or snapshot_index == 0:
        return current
    seen = (job for job in draft.versions.get(key, ()) if job.job_modify_index <= snapshot_index)
    return next(seen, current)

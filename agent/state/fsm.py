"""The state machine: one command of the log takes a state to the next.

`apply` is total and deterministic. It reads no clock and draws no random number: ids and times come with the command.
A command that cannot be carried out is a refusal, recorded as its result like any other, so that all servers agree on
it. A request that was applied already gives its first result again and changes nothing.
"""

from dataclasses import dataclass, replace
from typing import assert_never

import msgspec

from agent.model.command import (
    AnyCommand,
    ApplyPlanResults,
    CompleteNodeDrains,
    DeleteEvals,
    DeregisterJob,
    Noop,
    RegisterJob,
    RegisterNode,
    RestoreSnapshot,
    Result,
    StageSnapshot,
    UpdateAllocDesiredTransition,
    UpdateAllocsFromClient,
    UpdateAutopilot,
    UpdateEvals,
    UpdateNodeDrain,
    UpdateNodeEligibility,
    UpdateNodeStatus,
    decode,
    decode_result,
    encode_result,
)
from agent.state import allocs, drains, jobs, nodes, restore
from agent.state.draft import Draft, remember
from agent.state.snapshot import dump, load
from agent.state.store import Changes, State, Table

__all__ = ["Applied", "apply", "apply_bytes", "dump", "load"]

REFUSED_STATUS = 500
"""The HTTP status of a refusal that Nomad gives no other for."""

CHANGED_STATUS = 412
"""The status of a change that was asked for on the condition of an index, and came too late."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The state after a command, what the proposer is told, and what changed."""

    state: State
    result: Result
    changes: Changes


def apply(state: State, index: int, command: AnyCommand, prepared: State | None = None) -> Applied:
    """Return what *command* makes of *state* at *index* of the log, which must be above `state.index`.

    *prepared* is what a staged snapshot decodes to, where that was done before `RestoreSnapshot` came.

    An index that is not above changes nothing, not even the memory of requests: the entry was applied before.
    """
    if index <= state.index:
        error = f"index {index} is not after {state.index}: the entry was applied before"
        return Applied(state, Result(index=state.index, error=error, status=REFUSED_STATUS), Changes(state.index))
    state = restore.without_abandoned(state, command.at)
    known = state.result_of(command.request_id)
    if known is not None:
        return Applied(_moved(state, index, "", b""), decode_result(known), Changes(index))
    if isinstance(command, StageSnapshot | RestoreSnapshot):
        return _restore(state, index, command, prepared)
    draft = Draft(state, index, command.at)
    result = _carry_out(draft, command)
    encoded = encode_result(result)
    if result.error:
        return Applied(_moved(state, index, command.request_id, encoded), result, Changes(index))
    after, changes = draft.finish(command.request_id, encoded)
    return Applied(after, result, changes)


def apply_bytes(state: State, index: int, data: bytes) -> Applied:
    """Return what the encoded command in *data* makes of *state*; what cannot be decoded is a refusal."""
    try:
        command = decode(data)
    except ValueError as error:
        if index <= state.index:
            return apply(state, index, Noop(request_id="", at=0))
        refusal = Result(index=index, error=str(error), status=REFUSED_STATUS)
        return Applied(_moved(state, index, "", b""), refusal, Changes(index))
    return apply(state, index, command)


def _restore(state: State, index: int, command: StageSnapshot | RestoreSnapshot, prepared: State | None) -> Applied:
    try:
        if isinstance(command, StageSnapshot):
            after, changes = restore.stage(state, command), Changes(index)
        else:
            after = restore.restored(state, index, command, prepared)
            changes = Changes(after.index, frozenset(Table), restored=True)
    except restore.RestoreError as error:
        after, changes = state, Changes(index)
        result = Result(index=index, error=str(error), status=error.status)
    else:
        index = changes.index
        result = Result(index=index)
    return Applied(_moved(after, index, command.request_id, encode_result(result)), result, changes)


def _carry_out(draft: Draft, command: AnyCommand) -> Result:
    match command:
        case RegisterNode():
            return nodes.register(draft, command)
        case UpdateNodeStatus():
            return nodes.update_status(draft, command)
        case UpdateNodeEligibility():
            return nodes.update_eligibility(draft, command)
        case UpdateNodeDrain():
            return drains.update(draft, command)
        case CompleteNodeDrains():
            drains.complete(draft, command)
        case RegisterJob():
            return jobs.register(draft, command)
        case DeregisterJob():
            return jobs.deregister(draft, command)
        case UpdateEvals():
            for evaluation in command.evals:
                draft.put_eval(evaluation)
        case ApplyPlanResults():
            if 0 < command.snapshot_index < draft.state.restored_at:
                return Result(
                    index=draft.index, error="the plan was made before a snapshot was restored", status=REFUSED_STATUS
                )
            allocs.apply_plan(draft, command)
        case UpdateAllocDesiredTransition():
            allocs.update_desired_transition(draft, command)
        case UpdateAllocsFromClient():
            allocs.update_from_client(draft, command)
        case DeleteEvals():
            for eval_id in command.eval_ids:
                draft.remove_eval(eval_id)
            for alloc_id in command.alloc_ids:
                draft.remove_alloc(alloc_id)
        case UpdateAutopilot():
            return _update_autopilot(draft, command)
        case Noop() | StageSnapshot() | RestoreSnapshot():  # the latter two replace the state instead of changing it
            pass
        case _:
            assert_never(command)
    return Result(index=draft.index)


def _update_autopilot(draft: Draft, command: UpdateAutopilot) -> Result:
    known = draft.autopilot
    if command.check_index not in {None, known.modify_index}:
        error = f"autopilot was last changed at index {known.modify_index}, not at {command.check_index}"
        return Result(index=draft.index, error=error, status=CHANGED_STATUS)
    created = known.create_index or draft.index
    draft.autopilot = msgspec.structs.replace(command.config, create_index=created, modify_index=draft.index)
    return Result(index=draft.index)


def _moved(state: State, index: int, request_id: str, result: bytes) -> State:
    """Return *state* at *index* with nothing changed but the memory of requests."""
    results, order, seen = remember(state, request_id, result)
    return replace(state, index=index, results=results, request_order=order, requests_seen=seen)

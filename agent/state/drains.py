"""Commands about drains of nodes. Source: Nomad, state store, updateNodeDrainImpl; nomad/node_endpoint.go, UpdateDrain."""

import msgspec

from agent.model.command import CompleteNodeDrains, Result, UpdateNodeDrain
from agent.model.node import (
    NO_TIME,
    DrainMetadata,
    DrainSpec,
    DrainStatus,
    DrainStrategy,
    Eligibility,
    Node,
    NodeEvent,
)
from agent.model.times import rfc3339_nanoseconds, unix_nanoseconds
from agent.state.draft import Draft
from agent.state.nodes import rfc3339, with_event

NODE_NOT_FOUND = "node not found"
SUBSYSTEM = "Drain"
DRAIN_SET = "Node drain strategy set"
DRAIN_UPDATED = "Node drain strategy updated"
DRAIN_DISABLED = "Node drain disabled"
DRAIN_COMPLETE = "Node drain complete"
DEADLINE_REACHED = "deadline_reached"
"""The detail of a completion that the deadline brought about; Nomad's word."""

_SECOND_NS = 1_000_000_000


def update(draft: Draft, command: UpdateNodeDrain) -> Result:
    """Begin a drain, change it, or end it; a known node that did not drain may still become eligible."""
    old = draft.nodes.get(command.node_id)
    if old is None:
        return Result(index=draft.index, error=NODE_NOT_FOUND, status=404)
    if command.spec is not None:
        _begin(draft, old, command.spec, command.meta)
    else:
        _end(draft, old, command)
    for evaluation in command.evals:
        draft.put_eval(msgspec.structs.replace(evaluation, node_modify_index=draft.index))
    return Result(index=draft.index)


def complete(draft: Draft, command: CompleteNodeDrains) -> None:
    """End each drain that is still the one the leader saw; its node stays ineligible."""
    for node_id, seen in sorted(command.drains.items()):
        old = draft.nodes.get(node_id)
        if old is None or old.drain_strategy != seen:
            continue
        late = deadline_passed(seen, draft.at)
        event = _event(draft, DRAIN_COMPLETE, {DEADLINE_REACHED: "true"} if late else None)
        draft.put_node(_over(draft, old, DrainStatus.COMPLETE, event, None))


def deadline_passed(strategy: DrainStrategy, now_ns: int) -> bool:
    """Tell whether whatever is left must go now: the drain is forced, or its deadline is over."""
    return strategy.deadline < 0 or (strategy.force_deadline != NO_TIME and force_deadline_ns(strategy) <= now_ns)


def force_deadline_ns(strategy: DrainStrategy) -> int:
    """Return when whatever is left must go, Unix nanoseconds; 0 when there is no such moment."""
    return unix_nanoseconds(strategy.force_deadline)


def _begin(draft: Draft, old: Node, spec: DrainSpec, meta: dict[str, str] | None) -> None:
    now, before = rfc3339_nanoseconds(draft.at), old.drain_strategy
    strategy = DrainStrategy(
        deadline=spec.deadline,
        ignore_system_jobs=spec.ignore_system_jobs,
        force_deadline=rfc3339_nanoseconds(draft.at + spec.deadline) if spec.deadline > 0 else NO_TIME,
        started_at=now if before is None else before.started_at,
    )
    if before is None or old.last_drain is None:
        last = DrainMetadata(meta=meta, started_at=now, status=DrainStatus.DRAINING, updated_at=now)
    else:
        last = _last(draft, old.last_drain, DrainStatus.DRAINING, meta)
    event = _event(draft, DRAIN_SET if before is None else DRAIN_UPDATED)
    draft.put_node(
        msgspec.structs.replace(
            old,
            drain=True,
            drain_strategy=strategy,
            last_drain=last,
            scheduling_eligibility=Eligibility.INELIGIBLE.value,
            status_updated_at=draft.at // _SECOND_NS,
            events=with_event(old, event),
        )
    )


def _end(draft: Draft, old: Node, command: UpdateNodeDrain) -> None:
    node = old
    if old.drain_strategy is not None:
        node = _over(draft, old, DrainStatus.CANCELED, _event(draft, DRAIN_DISABLED), command.meta)
    if command.mark_eligible:
        node = msgspec.structs.replace(node, scheduling_eligibility=Eligibility.ELIGIBLE.value)
    if node != old:
        draft.put_node(msgspec.structs.replace(node, status_updated_at=draft.at // _SECOND_NS))


def _over(draft: Draft, old: Node, status: DrainStatus, event: NodeEvent, meta: dict[str, str] | None) -> Node:
    """Return *old* as it is after its drain."""
    last = old.last_drain or DrainMetadata(started_at=rfc3339_nanoseconds(draft.at))
    return msgspec.structs.replace(
        old,
        drain=False,
        drain_strategy=None,
        last_drain=_last(draft, last, status, meta),
        status_updated_at=draft.at // _SECOND_NS,
        events=with_event(old, event),
    )


def _last(draft: Draft, last: DrainMetadata, status: DrainStatus, meta: dict[str, str] | None) -> DrainMetadata:
    return msgspec.structs.replace(
        last, status=status, updated_at=rfc3339_nanoseconds(draft.at), meta=last.meta if meta is None else meta
    )


def _event(draft: Draft, message: str, details: dict[str, str] | None = None) -> NodeEvent:
    return NodeEvent(
        message=message,
        subsystem=SUBSYSTEM,
        timestamp=rfc3339(draft.at),
        details=details,
        create_index=draft.index,
    )

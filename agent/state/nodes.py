"""Commands about nodes. Source: Nomad, state store, upsertNodeTxn and updateNodeStatusTxn."""

from datetime import UTC, datetime, timedelta

import msgspec

from agent.model.command import RegisterNode, Result, UpdateNodeEligibility, UpdateNodeStatus
from agent.model.node import NODE_EVENTS_MAX, Eligibility, Node, NodeEvent, NodeStatus
from agent.state.draft import Draft

DRAINING = "can not set node's scheduling eligibility to eligible while it is draining"

ELIGIBILITY_EVENTS = {
    Eligibility.ELIGIBLE: "Node marked as eligible for scheduling",
    Eligibility.INELIGIBLE: "Node marked as ineligible for scheduling",
}
"""What a node's events say of it; Nomad's words."""

_UNRESPONSIVE = frozenset({NodeStatus.DOWN, NodeStatus.DISCONNECTED})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND_NS = 1_000_000_000


def register(draft: Draft, command: RegisterNode) -> Result:
    """Insert a node, or take over what changed of it.

    What operators and servers decided about a known node stays: eligibility, drain and its events.
    """
    old, new = draft.nodes.get(command.node.id), command.node
    at_seconds = command.at // _SECOND_NS
    if old is None:
        event = NodeEvent(message="Node registered", timestamp=rfc3339(command.at))
        draft.put_node(
            msgspec.structs.replace(new, create_index=draft.index, status_updated_at=at_seconds, events=[event])
        )
        return Result(index=draft.index)
    events = old.events
    if old.status == NodeStatus.DOWN and new.status != NodeStatus.DOWN:
        events = with_event(old, _event(draft, "Node re-registered"))
    draft.put_node(
        msgspec.structs.replace(
            new,
            create_index=old.create_index,
            status_updated_at=at_seconds,
            events=events,
            drain=old.drain,
            drain_strategy=old.drain_strategy,
            last_drain=old.last_drain,
            scheduling_eligibility=old.scheduling_eligibility,
            last_alloc_update_index=old.last_alloc_update_index,
            last_missed_heartbeat_index=_missed(draft, old, new.status),
        )
    )
    return Result(index=draft.index)


def update_status(draft: Draft, command: UpdateNodeStatus) -> Result:
    """Set the status of a known node, remember why, and insert the evaluations that come with it."""
    old = draft.nodes.get(command.node_id)
    if old is None:
        return Result(index=draft.index, error="node not found", status=404)
    event = command.event or _event_of(old.status, command.status)
    events = old.events
    if event is not None:
        timestamp = event.timestamp or rfc3339(draft.at)
        events = with_event(old, msgspec.structs.replace(event, create_index=draft.index, timestamp=timestamp))
    draft.put_node(
        msgspec.structs.replace(
            old,
            status=command.status,
            status_updated_at=draft.at // _SECOND_NS,
            events=events,
            last_missed_heartbeat_index=_missed(draft, old, command.status),
        )
    )
    for evaluation in command.evals:
        draft.put_eval(msgspec.structs.replace(evaluation, node_modify_index=draft.index))
    return Result(index=draft.index)


def update_eligibility(draft: Draft, command: UpdateNodeEligibility) -> Result:
    """Let new work onto a known node or keep it off, remember why, and insert the evaluations that come with it.

    Source: Nomad, state store, updateNodeEligibilityImpl.
    """
    old = draft.nodes.get(command.node_id)
    if old is None:
        return Result(index=draft.index, error="node not found", status=500)
    if old.drain_strategy is not None and command.eligibility == Eligibility.ELIGIBLE:
        return Result(index=draft.index, error=DRAINING, status=500)
    event = command.event or NodeEvent(message=ELIGIBILITY_EVENTS[command.eligibility])
    timestamp = event.timestamp or rfc3339(draft.at)
    event = msgspec.structs.replace(event, create_index=draft.index, timestamp=timestamp)
    draft.put_node(
        msgspec.structs.replace(
            old,
            scheduling_eligibility=command.eligibility.value,
            status_updated_at=draft.at // _SECOND_NS,
            events=with_event(old, event),
        )
    )
    for evaluation in command.evals:
        draft.put_eval(msgspec.structs.replace(evaluation, node_modify_index=draft.index))
    return Result(index=draft.index)


def rfc3339(at: int) -> str:
    """Return *at*, in Unix nanoseconds, as Nomad prints the time of an event: UTC, whole seconds."""
    moment = _EPOCH + timedelta(seconds=at // _SECOND_NS)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _event_of(before: str, after: str) -> NodeEvent | None:
    if before == NodeStatus.DOWN and after == NodeStatus.READY:
        return NodeEvent(message="Node reregistered by heartbeat")
    if before not in _UNRESPONSIVE and after in _UNRESPONSIVE:
        return NodeEvent(message="Node heartbeat missed")
    return None


def _event(draft: Draft, message: str) -> NodeEvent:
    return NodeEvent(message=message, timestamp=rfc3339(draft.at), create_index=draft.index)


def with_event(node: Node, event: NodeEvent) -> list[NodeEvent]:
    """Return the events of *node* with one more; the oldest fall out."""
    return [*node.events, event][-NODE_EVENTS_MAX:]


def _missed(draft: Draft, old: Node, status: str) -> int:
    """Return the index at which a node was last lost: this one if it is being lost now, 0 once it is ready."""
    if status == NodeStatus.READY:
        return 0
    if old.status not in _UNRESPONSIVE and status in _UNRESPONSIVE:
        return draft.index
    return old.last_missed_heartbeat_index

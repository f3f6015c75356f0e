"""When a failed allocation is replaced elsewhere, by its group's policy. Times are Unix nanoseconds.

Source: Nomad, structs.go, Allocation.NextRescheduleTime and RescheduleTracker; job specification, reschedule.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agent.model.alloc import Allocation
from agent.model.job import ReschedulePolicy

EVENTS_KEPT = 5
"""Former attempts that an allocation remembers when their number is not limited."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The next attempt of a failed allocation: when, and after what delay."""

    at: int
    delay: int


def next_attempt(alloc: Allocation, policy: ReschedulePolicy | None) -> Attempt | None:
    """Return when *alloc*, which failed, is to be replaced, or None when its policy has no more attempts."""
    if policy is None or (not policy.unlimited and (policy.attempts <= 0 or policy.interval <= 0)):
        return None
    failed_at = ended_at(alloc)
    events = past_events(alloc)
    if not policy.unlimited:
        recent = [event for event in events if failed_at - event["RescheduleTime"] < policy.interval]
        if len(recent) >= policy.attempts:
            return None
    delay = _delay(policy, events, failed_at)
    return Attempt(failed_at + delay, delay)


def tracker_after(alloc: Allocation, attempt: Attempt, now_ns: int, policy: ReschedulePolicy) -> dict[str, Any]:
    """Return the tracker of the allocation that replaces *alloc* at *now_ns*."""
    event = {
        "RescheduleTime": now_ns,
        "PrevAllocID": alloc.id,
        "PrevNodeID": alloc.node_id,
        "Delay": attempt.delay,
    }
    events = past_events(alloc)
    if policy.unlimited:
        kept = events[-(EVENTS_KEPT - 1) :]
    else:
        kept = [past for past in events if now_ns - past["RescheduleTime"] < policy.interval]
    return {"Events": [*kept, event], "LastReschedule": "ok"}


def past_events(alloc: Allocation) -> list[dict[str, Any]]:
    """Return the former attempts of *alloc*, oldest first; what has not Nomad's shape is passed over."""
    tracker = alloc.reschedule_tracker
    events = tracker.get("Events") if isinstance(tracker, dict) else None
    return [
        event
        for event in events or []
        if isinstance(event, dict)
        and isinstance(event.get("RescheduleTime"), int)
        and isinstance(event.get("Delay"), int)
    ]


def failed_nodes(alloc: Allocation) -> frozenset[str]:
    """Return the nodes on which *alloc* or one before it failed."""
    former = (event.get("PrevNodeID") for event in past_events(alloc))
    return frozenset({alloc.node_id, *(node for node in former if isinstance(node, str))})


def ended_at(alloc: Allocation) -> int:
    """Return when the last task of *alloc* ended, or when it was last changed if no task says so."""
    ends = [_nanoseconds(state.finished_at) for state in (alloc.task_states or {}).values()]
    return max((end for end in ends if end), default=0) or alloc.modify_time


def _delay(policy: ReschedulePolicy, events: list[dict[str, Any]], failed_at: int) -> int:
    if not events or policy.delay_function not in {"exponential", "fibonacci"}:
        return policy.delay
    last = int(events[-1]["Delay"])
    if policy.delay_function == "exponential":
        delay = last * 2
    else:
        delay = last + int(events[-2]["Delay"]) if len(events) > 1 else last
    if policy.max_delay and delay > policy.max_delay:
        # An allocation that lived longer than the longest delay begins anew.
        lived = failed_at - int(events[-1]["RescheduleTime"])
        return policy.delay if lived > policy.max_delay else policy.max_delay
    return delay


def _nanoseconds(text: str | None) -> int:
    """Return an RFC 3339 time in Unix nanoseconds, to the microsecond; 0 for none or one that cannot be read."""
    if not text:
        return 0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return 0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1_000_000) * 1000

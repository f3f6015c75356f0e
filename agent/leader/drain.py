"""What to do next about clients that drain. Pure: from the state alone, so that a new leader goes on where the last was.

A service gives up as many allocations at a time as its `migrate` block lets, the next once a replacement runs; batch
work is let finish; system jobs go when nothing else is left. At the deadline everything goes at once. A drain is
complete when no task is left on the client, ignored system jobs apart; Nomad's is when the last ones are told to stop.
Source: Nomad, nomad/drainer, handleTaskGroup and handleMigratedAllocs.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from agent.model.alloc import Allocation, ClientStatus
from agent.model.base import JobKey, NodeID
from agent.model.job import JobType, TaskGroup
from agent.model.node import DrainStrategy, Node
from agent.state.drains import deadline_passed, force_deadline_ns
from agent.state.store import State

MIGRATIONS_AT_ONCE = 500
"""Allocations marked by one command; the next step takes those that are left."""

_UNTIL_THE_DEADLINE = frozenset({JobType.BATCH, JobType.SYSBATCH})


@dataclass(frozen=True, slots=True)
class DrainStep:
    """What is due: allocations to mark for migration, drains that are complete, and when to look again at the latest.

    `next_deadline_ns` is Unix nanoseconds, None when no drain has a deadline ahead.
    """

    migrate: tuple[Allocation, ...] = ()
    complete: dict[NodeID, DrainStrategy] = field(default_factory=dict)
    next_deadline_ns: int | None = None


def draining_nodes(state: State) -> list[NodeID]:
    """Return the nodes that drain, by id."""
    return [node.id for node in state.nodes() if node.drain_strategy is not None]


def next_step(state: State, node_ids: Iterable[NodeID], now_ns: int) -> DrainStep:
    """Return what is due at *now_ns* about those of *node_ids* that drain."""
    at_once: dict[str, Allocation] = {}
    by_group: dict[tuple[JobKey, str], list[Allocation]] = {}
    complete: dict[NodeID, DrainStrategy] = {}
    deadlines: list[int] = []
    for node, strategy in _draining(state, node_ids):
        left = [alloc for alloc in state.allocs_by_node(node.id) if _counts(alloc, strategy)]
        unmarked = [alloc for alloc in left if not alloc.terminal and not alloc.desired_transition.migrate]
        if not left:
            complete[node.id] = strategy
        elif deadline_passed(strategy, now_ns) or all(_is_system(alloc) for alloc in left):
            at_once.update((alloc.id, alloc) for alloc in unmarked)
        else:
            for alloc in unmarked:
                if _type_of(alloc) == JobType.SERVICE:
                    by_group.setdefault(((alloc.namespace, alloc.job_id), alloc.task_group), []).append(alloc)
        if force_deadline_ns(strategy) > now_ns:
            deadlines.append(force_deadline_ns(strategy))
    for (key, name), allocs in sorted(by_group.items()):
        at_once.update((alloc.id, alloc) for alloc in _in_turn(state, key, name, allocs, at_once.keys()))
    return DrainStep(tuple(at_once.values())[:MIGRATIONS_AT_ONCE], complete, min(deadlines, default=None))


def _draining(state: State, node_ids: Iterable[NodeID]) -> Iterator[tuple[Node, DrainStrategy]]:
    for node_id in sorted(node_ids):
        node = state.node(node_id)
        if node is not None and node.drain_strategy is not None:
            yield node, node.drain_strategy


def _counts(alloc: Allocation, strategy: DrainStrategy) -> bool:
    """Tell whether the drain waits for *alloc*: its tasks may still run, and it is not to be ignored."""
    return not alloc.client_terminal and not (strategy.ignore_system_jobs and _is_system(alloc))


def _in_turn(
    state: State, key: JobKey, name: str, drainable: Sequence[Allocation], leaving: Iterable[str]
) -> list[Allocation]:
    """Return those of a group's *drainable* allocations that may go now, while those of ids *leaving* go anyway.

    What does not run serves nobody and goes at once. Of the running, the group keeps its count less `max_parallel`.
    """
    job = state.job(*key)
    group = job.group(name) if job is not None and not job.stop else None
    if group is None:
        return []  # Its own evaluation stops it.
    idle = [alloc for alloc in drainable if alloc.client_status != ClientStatus.RUNNING]
    running = [alloc for alloc in drainable if alloc.client_status == ClientStatus.RUNNING]
    gone = set(leaving)
    healthy = sum(
        alloc.task_group == name and alloc.id not in gone and _serves(alloc) for alloc in state.allocs_by_job(*key)
    )
    room = max(0, healthy - (group.count - _max_parallel(group)))
    return [*idle, *running[:room]]


def _serves(alloc: Allocation) -> bool:
    return alloc.client_status == ClientStatus.RUNNING and not alloc.terminal and not alloc.desired_transition.migrate


def _max_parallel(group: TaskGroup) -> int:
    """Return how many allocations of a group may move at a time: what its `migrate` block says, or 1."""
    value = group.migrate.get("MaxParallel") if isinstance(group.migrate, dict) else None
    return value if isinstance(value, int) and value > 0 else 1


def _is_system(alloc: Allocation) -> bool:
    return _type_of(alloc) == JobType.SYSTEM


def _type_of(alloc: Allocation) -> str:
    return alloc.job.type if alloc.job is not None else JobType.SERVICE

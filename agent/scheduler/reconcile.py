"""What is wanted of a service or batch job against what is there, group by group: what to place, stop and change.

Pure: it decides what should happen and leaves where to `placement`. Source: Nomad, scheduler/reconcile.go; measured
evaluations of a failing, an unplaceable and a finished job.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from agent.model.alloc import Allocation, ClientStatus, DesiredStatus
from agent.model.evaluation import Evaluation
from agent.model.job import SECOND_NS, Job, JobType, TaskGroup
from agent.model.node import Node, NodeStatus
from agent.scheduler import reschedule, updates
from agent.state.store import State

NOT_NEEDED = "alloc not needed due to job update"
LOST = "alloc is lost since its node is down"
UPDATING = "alloc is being updated due to job update"
MIGRATING = "alloc is being migrated"
RESCHEDULED = "alloc was rescheduled because it failed"

RESCHEDULE_WINDOW_NS = 1 * SECOND_NS
"""An attempt that is due within this time is made now."""


@dataclass(frozen=True, slots=True)
class Stop:
    """An allocation to stop; `lost` when its client cannot be told."""

    alloc: Allocation
    description: str
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """An allocation to place. `stop` is that of the one it replaces, and waits until there is a place."""

    group: TaskGroup
    name: str
    previous: Allocation | None = None
    stop: Stop | None = None
    attempt: reschedule.Attempt | None = None
    """Set when `previous` failed and this is its next attempt."""
    node: Node | None = None
    """The only node that will do, for a system job."""


@dataclass(frozen=True, slots=True)
class Later:
    """A failed allocation whose next attempt is at `at`, Unix nanoseconds."""

    alloc: Allocation
    at: int


@dataclass(slots=True)
class GroupChanges:
    """What to do about one group; each list in the order of the names."""

    place: list[Place] = field(default_factory=list)
    destructive: list[Place] = field(default_factory=list)
    in_place: list[Allocation] = field(default_factory=list)
    stop: list[Stop] = field(default_factory=list)
    later: list[Later] = field(default_factory=list)
    """Counted in `ignore` too: until then they stay as they are."""
    ignore: int = 0
    migrate: int = 0
    reschedule_now: int = 0
    next_update_at: int = 0
    """Unix nanoseconds when more of a rolling update is due, 0 for never."""


def reconcile(state: State, evaluation: Evaluation, job: Job | None, now_ns: int) -> dict[str, GroupChanges]:
    """Return what to do about each group of a job and each group that it no longer has, by name.

    A job that is gone or stopped has all its live allocations stopped.
    """
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
            changes[name] = _Group(state, evaluation, job, group, now_ns).changes(allocs)
    return changes


def stop_all(state: State, allocs: Sequence[Allocation]) -> GroupChanges:
    """Return what stops all live allocations; those on nodes that are gone are lost."""
    changes = GroupChanges()
    for alloc in allocs:
        if not alloc.terminal:
            changes.stop.append(stop_of(state, alloc, NOT_NEEDED))
    return changes


def stop_of(state: State, alloc: Allocation, description: str) -> Stop:
    """Return the stop of a live allocation, as lost if its node is gone."""
    return Stop(alloc, LOST, lost=True) if node_gone(state, alloc.node_id) else Stop(alloc, description)


def node_gone(state: State, node_id: str) -> bool:
    """Tell whether nothing runs on a node any more, as far as the servers know."""
    node = state.node(node_id)
    return node is None or node.status in {NodeStatus.DOWN, NodeStatus.DISCONNECTED}


def index_of(name: str) -> int:
    """Return the number in a name such as "web.app[3]", or -1 when there is none."""
    head, bracket, tail = name.rpartition("[")
    digits = tail[:-1]
    return int(digits) if head and bracket and tail.endswith("]") and digits.isdecimal() else -1


class _Group:
    """The reconciliation of one group that is wanted."""

    def __init__(self, state: State, evaluation: Evaluation, job: Job, group: TaskGroup, now_ns: int) -> None:
        self._state = state
        self._evaluation = evaluation
        self._job = job
        self._group = group
        self._now_ns = now_ns
        self._batch = job.type == JobType.BATCH
        self._changes = GroupChanges()
        self._used: set[int] = set()
        """Numbers of names that are taken."""
        self._lowest_free = 0

    def changes(self, allocs: Sequence[Allocation]) -> GroupChanges:
        """Return what to do about *allocs*, all there are of this group."""
        standing: list[Allocation] = []
        orphans: list[Place] = []
        for alloc in allocs:
            place = self._sort(alloc, standing)
            if place is not None:
                orphans.append(place)
        kept = self._keep(standing)
        wanted = self._group.count - len(kept)
        # Whoever lost its place is served first and keeps its name; what the count no longer asks for only ends.
        served = 0
        for place in sorted(orphans, key=lambda place: (index_of(place.name), place.name)):
            if served < wanted and index_of(place.name) not in self._used:
                served += 1
                self._serve(place)
            elif place.stop is not None:
                self._changes.stop.append(Stop(place.stop.alloc, NOT_NEEDED))
        for _ in range(wanted - served):
            self._changes.place.append(Place(self._group, self._free_name()))
        self._update(kept)
        return self._changes

    def _sort(self, alloc: Allocation, standing: list[Allocation]) -> Place | None:
        """Add *alloc* to *standing* if it holds its name, or return its replacement if it needs one."""
        if self._batch and alloc.terminal and self._older(alloc):
            return None  # A new version of a batch job runs from the beginning.
        if alloc.desired_status != DesiredStatus.RUN:
            # A batch allocation that had already done its work when it was stopped has still done it.
            # One that was stopped to be moved was killed: its work is not done.
            moved = alloc.desired_transition.migrate
            if self._batch and alloc.client_status == ClientStatus.COMPLETE and not moved:
                standing.append(alloc)
            return None
        match alloc.client_status:
            case ClientStatus.COMPLETE:
                if self._batch:
                    standing.append(alloc)
                return None
            case ClientStatus.LOST:
                return None
            case ClientStatus.FAILED:
                return self._failed(alloc, standing)
            case _:
                return self._live(alloc, standing)

    def _older(self, alloc: Allocation) -> bool:
        job = self._job
        return alloc.job is None or (alloc.job.create_index, alloc.job.version) < (job.create_index, job.version)

    def _live(self, alloc: Allocation, standing: list[Allocation]) -> Place | None:
        if node_gone(self._state, alloc.node_id):
            if self._group.prevent_reschedule_on_lost:
                standing.append(alloc)
                return None
            self._changes.stop.append(Stop(alloc, LOST, lost=True))
            return Place(self._group, alloc.name, previous=alloc)
        if alloc.desired_transition.migrate:
            return Place(self._group, alloc.name, previous=alloc, stop=Stop(alloc, MIGRATING))
        standing.append(alloc)
        return None

    def _failed(self, alloc: Allocation, standing: list[Allocation]) -> Place | None:
        """Decide about a failed allocation: replaced already, due now, due later, or left as it is."""
        if alloc.next_allocation:
            return None
        attempt = reschedule.next_attempt(alloc, self._group.reschedule_policy)
        if attempt is None:
            standing.append(alloc)
            return None
        follow_up = self._state.eval(alloc.followup_eval_id) if alloc.followup_eval_id else None
        called = follow_up is not None and follow_up.id == self._evaluation.id
        if called or attempt.at - self._now_ns <= RESCHEDULE_WINDOW_NS:
            return Place(self._group, alloc.name, previous=alloc, stop=Stop(alloc, RESCHEDULED), attempt=attempt)
        if follow_up is None or follow_up.terminal:
            self._changes.later.append(Later(alloc, attempt.at))
        standing.append(alloc)
        return None

    def _keep(self, standing: list[Allocation]) -> list[Allocation]:
        """Return those that stay: at most the count, one for each name, lowest numbers first; stop the others."""
        kept: list[Allocation] = []
        for alloc in sorted(standing, key=_precedence):
            number = index_of(alloc.name)
            if len(kept) < self._group.count and (number < 0 or number not in self._used):
                self._used.add(number)
                kept.append(alloc)
            elif not alloc.terminal:
                self._changes.stop.append(stop_of(self._state, alloc, NOT_NEEDED))
        return kept

    def _serve(self, place: Place) -> None:
        self._used.add(index_of(place.name))
        if place.attempt is not None:
            self._changes.reschedule_now += 1
        elif place.stop is not None:
            # A drain does not wait for room: what must leave stops, and what finds no place is left blocked.
            self._changes.migrate += 1
            self._changes.stop.append(place.stop)
            place = replace(place, stop=None)
        self._changes.place.append(place)

    def _free_name(self) -> str:
        # Numbers are only ever taken, so the search goes on where the last one ended.
        while self._lowest_free in self._used:
            self._lowest_free += 1
        self._used.add(self._lowest_free)
        return f"{self._job.name or self._job.id}.{self._group.name}[{self._lowest_free}]"

    def _update(self, kept: list[Allocation]) -> None:
        """Sort the kept allocations by what the newest version of the job asks of them."""
        changes = self._changes
        unsettled = changes.reschedule_now
        stale: list[Allocation] = []
        for alloc in kept:
            if alloc.terminal or node_gone(self._state, alloc.node_id):
                changes.ignore += 1
                unsettled += alloc.client_status == ClientStatus.FAILED and not self._older(alloc)
                continue
            match updates.needed(alloc, self._job, self._group):
                case updates.Update.IN_PLACE:
                    changes.in_place.append(alloc)
                case updates.Update.DESTRUCTIVE:
                    stale.append(alloc)
                case updates.Update.NONE:
                    changes.ignore += 1
                    unsettled += alloc.client_status != ClientStatus.RUNNING
        self._roll(stale, unsettled)

    def _roll(self, stale: list[Allocation], unsettled: int) -> None:
        """Replace as many stale allocations as `max_parallel` lets; ask to come back for the others.

        Those of the new version that do not run yet count against the limit, so that a version that never starts
        stops its own roll-out.
        """
        limit = updates.max_parallel(self._group)
        room = len(stale) if self._batch or limit == 0 else max(0, limit - unsettled)
        for alloc in stale[:room]:
            self._changes.destructive.append(Place(self._group, alloc.name, previous=alloc, stop=Stop(alloc, UPDATING)))
        if stale[room:]:
            self._changes.ignore += len(stale) - room
            self._changes.next_update_at = self._now_ns + updates.min_healthy_ns(self._group)


def _precedence(alloc: Allocation) -> tuple[int, bool, int, str]:
    """Order allocations of a group: by number; of one number those that live first, then the oldest."""
    return (index_of(alloc.name), alloc.terminal, alloc.create_index, alloc.id)

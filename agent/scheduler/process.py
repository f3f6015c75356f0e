"""One evaluation on one snapshot: the plan it leads to, and what is to be written about it.

`process` is pure: the time, the random numbers and new ids are handed in, and the same input gives the same outcome.
The caller submits `Outcome.plan` if it is not empty. When all of it was committed, or when there was none, it writes
`Outcome.evals`, in their order. When the leader left out a part, it calls `process` again on a state that has
`PlanResult.refresh_index`; after the last attempt it writes `Outcome.evals_if_refused` instead.

Schedulers: service and batch by `reconcile`, system and sysbatch by `system`. Affinities and spreads are not looked
at: they are preferences. What a job demands and this scheduler cannot judge fails the evaluation with a sentence.
Source: Nomad, scheduler/generic_sched.go.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec

from agent.model.alloc import Allocation, AllocMetric, ClientStatus, DesiredStatus, DesiredTransition
from agent.model.base import AllocID, EvalID, NodeID
from agent.model.evaluation import EvalStatus, Evaluation, Trigger
from agent.model.job import SECOND_NS, JobType
from agent.model.node import Node
from agent.model.plan import Plan
from agent.scheduler import reschedule, system
from agent.scheduler.feasible import unscheduled_operand
from agent.scheduler.placement import GroupAsk, Placer
from agent.scheduler.reconcile import UPDATING, GroupChanges, Later, Place, Stop, reconcile
from agent.state.store import State

BLOCKED_DESCRIPTION = "created to place remaining allocations"
CONFLICT_DESCRIPTION = "created due to placement conflicts"
LATER_DESCRIPTION = "created for delayed rescheduling"
ROLLING_UPDATE = "rolling-update"
ROLLING_DESCRIPTION = "created for a rolling update"

FOLLOW_UP_WINDOW_NS = 5 * SECOND_NS
"""Failed allocations that are due within this time of each other share one evaluation, as on Nomad."""

_ONE_A_NODE = frozenset({JobType.SYSTEM, JobType.SYSBATCH})
_SCHEDULED = frozenset({JobType.SERVICE, JobType.BATCH, *_ONE_A_NODE})

NewId = Callable[[], str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an evaluation. `plan` has no token yet."""

    plan: Plan
    evals: list[Evaluation]
    """To write once the plan is committed: evaluations that follow, then the processed one."""
    evals_if_refused: list[Evaluation] = field(default_factory=list)
    """To write instead when the last attempt was refused in part; empty unless asked for."""


def process(
    evaluation: Evaluation,
    state: State,
    now_ns: int,
    rng: random.Random,
    new_id: NewId,
    *,
    last_attempt: bool = False,
) -> Outcome:
    """Return what *evaluation* leads to on *state* at *now_ns*, Unix nanoseconds.

    Only with *last_attempt* the outcome says what to write if its plan is refused as well.
    """
    refusal = _refusal(evaluation, state)
    if refusal:
        failed = _ended(evaluation, state, now_ns, EvalStatus.FAILED, refusal)
        return Outcome(_plan(evaluation, state), [failed])
    return _Scheduling(evaluation, state, now_ns, rng, new_id).outcome(last_attempt=last_attempt)


def _refusal(evaluation: Evaluation, state: State) -> str:
    """Return why *evaluation* cannot be processed at all, or ""."""
    if evaluation.type not in _SCHEDULED:
        return f'no scheduler for evaluations of type "{evaluation.type}"'
    job = state.job(evaluation.namespace, evaluation.job_id)
    operand = unscheduled_operand(job) if job is not None and not job.stop else ""
    return f'constraint operand "{operand}" is not supported by this scheduler' if operand else ""


class _Scheduling:
    """The work on one evaluation: collects the plan and the evaluations that follow."""

    def __init__(self, evaluation: Evaluation, state: State, now_ns: int, rng: random.Random, new_id: NewId) -> None:
        self._evaluation = evaluation
        self._state = state
        self._now_ns = now_ns
        self._new_id = new_id
        job = state.job(evaluation.namespace, evaluation.job_id)
        if job is not None and (job.periodic is not None or job.parameterized_job is not None):
            job = None  # It is a template: only its children have allocations.
        self._job = job
        self._rng = rng
        self._asks = {group.name: GroupAsk.of(job, group) for group in job.task_groups} if job else {}
        self._updates: dict[NodeID, list[Allocation]] = {}
        self._placements: dict[NodeID, list[Allocation]] = {}
        self._failed: dict[str, AllocMetric] = {}
        self._queued: dict[str, int] = dict.fromkeys(self._asks, 0)
        self._annotations: dict[str, dict[str, int]] = {}
        self._follow_ups: list[Evaluation] = []

    def outcome(self, *, last_attempt: bool) -> Outcome:
        """Carry out what reconciliation asks for and return the outcome."""
        changes = self._reconciled()
        # All stops first: what they free may be what the placements need.
        for name, change in changes.items():
            self._annotations[name] = _annotation(change)
            for stop in change.stop:
                self._stop(stop)
        for change in changes.values():
            for alloc in change.in_place:
                self._update_in_place(alloc)
            for place in change.destructive:
                self._place(place)
            for place in change.place:
                self._place(place)
        self._postpone([later for change in changes.values() for later in change.later])
        self._roll_on([change.next_update_at for change in changes.values() if change.next_update_at])
        return self._finished(last_attempt=last_attempt)

    @cached_property
    def _placer(self) -> Placer | None:
        """None for a job that is gone or stopped. Made on demand: often there is nothing to place or stop.

        Reading all nodes is then the greater part of the work.
        """
        job = self._job
        return Placer(self._state, job, self._rng) if job is not None and not job.stop else None

    def _reconciled(self) -> dict[str, GroupChanges]:
        if self._evaluation.type in _ONE_A_NODE:
            nodes = self._placer.nodes if self._placer else []
            needs = {name: ask.needs for name, ask in self._asks.items()}
            return system.reconcile(self._state, self._evaluation, self._job, nodes, needs, self._now_ns)
        return reconcile(self._state, self._evaluation, self._job, self._now_ns)

    def _stop(self, stop: Stop) -> None:
        alloc = stop.alloc
        if self._placer is not None and not alloc.terminal:
            self._placer.free(alloc)
        self._updates.setdefault(alloc.node_id, []).append(self._stopped(stop))

    def _stopped(self, stop: Stop) -> Allocation:
        return msgspec.structs.replace(
            stop.alloc,
            job=None,
            desired_status=DesiredStatus.STOP,
            desired_description=stop.description,
            client_status=ClientStatus.LOST if stop.lost else stop.alloc.client_status,
            # Whether it was stopped to be moved is still asked: of a batch allocation it means that its work is not done.
            desired_transition=DesiredTransition(migrate=stop.alloc.desired_transition.migrate),
            modify_time=self._now_ns,
        )

    def _update_in_place(self, alloc: Allocation) -> None:
        """Give an allocation its job's new version where it is, or elsewhere when the node can no longer take it."""
        ask, node = self._asks[alloc.task_group], self._state.node(alloc.node_id)
        assert self._placer is not None
        self._placer.free(alloc)
        # A node that takes no new work, such as an ineligible one, keeps what it has.
        covered = node is not None and self._placer.covers(node)
        found = self._placer.find_on(node, ask) if node is not None and covered else None
        if found is None or found.node is None:
            self._placer.restore(alloc)
            elsewhere = node if self._evaluation.type in _ONE_A_NODE else None
            self._place(Place(ask.group, alloc.name, previous=alloc, stop=Stop(alloc, UPDATING), node=elsewhere))
            return
        self._placer.take(alloc.node_id, ask)
        updated = msgspec.structs.replace(
            alloc,
            job=None,
            eval_id=self._evaluation.id,
            resources=ask.total,
            task_resources=ask.task_resources,
            shared_resources=ask.shared,
            metrics=found.metric,
            modify_time=self._now_ns,
        )
        self._placements.setdefault(alloc.node_id, []).append(updated)

    def _place(self, place: Place) -> None:
        """Find a place, and only then stop what it replaces: an old allocation is better than none."""
        assert self._placer is not None
        name, ask, previous = place.group.name, self._asks[place.group.name], place.previous
        failure = self._failed.get(name)
        if failure is not None and place.node is None:
            # What one of the group could not find, the next cannot either.
            self._failed[name] = msgspec.structs.replace(failure, coalesced_failures=failure.coalesced_failures + 1)
            self._queued[name] += 1
            return
        frees = place.stop is not None and not place.stop.alloc.terminal
        if place.stop is not None and frees:
            self._placer.free(place.stop.alloc)
        if place.node is not None:
            found = self._placer.find_on(place.node, ask)
        else:
            penalty = reschedule.failed_nodes(previous) if previous is not None and place.attempt else frozenset[str]()
            found = self._placer.find(ask, place.group.count, penalty)
        if found.node is None:
            if place.stop is not None and frees:
                self._placer.restore(place.stop.alloc)
            self._not_placed(name, found.metric)
            return
        if place.stop is not None:
            stopped = self._stopped(place.stop)
            self._updates.setdefault(stopped.node_id, []).append(stopped)
        self._placer.take(found.node.id, ask)
        alloc = self._allocation(place, ask, found.node, found.metric)
        self._placements.setdefault(found.node.id, []).append(alloc)

    def _not_placed(self, name: str, metric: AllocMetric) -> None:
        self._queued[name] += 1
        known = self._failed.get(name)
        if known is None:
            self._failed[name] = metric
        else:
            self._failed[name] = msgspec.structs.replace(known, coalesced_failures=known.coalesced_failures + 1)

    def _allocation(self, place: Place, ask: GroupAsk, node: Node, metric: AllocMetric) -> Allocation:
        previous, tracker = place.previous, None
        if previous is not None:
            tracker = previous.reschedule_tracker
            policy = place.group.reschedule_policy
            if place.attempt is not None and policy is not None:
                tracker = reschedule.tracker_after(previous, place.attempt, self._now_ns, policy)
        return Allocation(
            id=AllocID(self._new_id()),
            name=place.name,
            eval_id=self._evaluation.id,
            node_id=node.id,
            node_name=node.name,
            job_id=self._evaluation.job_id,
            namespace=self._evaluation.namespace,
            task_group=place.group.name,
            resources=ask.total,
            task_resources=ask.task_resources,
            shared_resources=ask.shared,
            metrics=metric,
            previous_allocation=previous.id if previous is not None else "",
            reschedule_tracker=tracker,
            create_time=self._now_ns,
            modify_time=self._now_ns,
        )

    def _postpone(self, later: Iterable[Later]) -> None:
        """Create evaluations for the failed allocations that are due later, and note them on the allocations."""
        batch: Evaluation | None = None
        until = 0
        for item in sorted(later, key=lambda item: (item.at, item.alloc.id)):
            if batch is None or item.at > until:
                batch = self._follow_up(Trigger.ALLOC_RESCHEDULE, LATER_DESCRIPTION, item.at)
                until = item.at + FOLLOW_UP_WINDOW_NS
            noted = msgspec.structs.replace(item.alloc, job=None, followup_eval_id=batch.id, modify_time=self._now_ns)
            self._placements.setdefault(item.alloc.node_id, []).append(noted)

    def _roll_on(self, due: list[int]) -> None:
        if due:
            self._follow_up(ROLLING_UPDATE, ROLLING_DESCRIPTION, min(due))

    def _follow_up(self, trigger: str, description: str, at: int) -> Evaluation:
        created = msgspec.structs.replace(self._successor(trigger, description), wait_until=at)
        self._follow_ups.append(created)
        return created

    def _successor(self, trigger: str, description: str) -> Evaluation:
        evaluation = self._evaluation
        return Evaluation(
            id=EvalID(self._new_id()),
            namespace=evaluation.namespace,
            job_id=evaluation.job_id,
            type=evaluation.type,
            priority=evaluation.priority,
            triggered_by=trigger,
            status=EvalStatus.PENDING,
            status_description=description,
            job_modify_index=self._job.job_modify_index if self._job else 0,
            previous_eval=evaluation.id,
            snapshot_index=self._state.index,
            create_time=self._now_ns,
            modify_time=self._now_ns,
        )

    def _finished(self, *, last_attempt: bool) -> Outcome:
        known = self._state.eval(self._evaluation.id)
        was_blocked = known is not None and known.status == EvalStatus.BLOCKED
        done = msgspec.structs.replace(
            _ended(self._evaluation, self._state, self._now_ns, EvalStatus.COMPLETE, ""),
            failed_tg_allocs=self._failed or None,
            queued_allocations=self._queued,
            next_eval=self._follow_ups[0].id if self._follow_ups else "",
            plan_annotations={"DesiredTGUpdates": self._annotations, "PreemptedAllocs": None},
        )
        created = list(self._follow_ups)
        if self._failed and was_blocked:
            # It goes on waiting under its own id, as it did.
            done = msgspec.structs.replace(done, status=EvalStatus.BLOCKED, status_description=BLOCKED_DESCRIPTION)
        elif self._failed:
            blocked = msgspec.structs.replace(
                self._successor(Trigger.QUEUED_ALLOCS, BLOCKED_DESCRIPTION),
                status=EvalStatus.BLOCKED,
                failed_tg_allocs=self._failed,
            )
            created.append(blocked)
            done = msgspec.structs.replace(done, blocked_eval=blocked.id)
        plan = msgspec.structs.replace(
            _plan(self._evaluation, self._state), node_update=self._updates, node_allocation=self._placements
        )
        return Outcome(plan, [*created, done], self._given_up() if last_attempt and not plan.empty else [])

    def _given_up(self) -> list[Evaluation]:
        """Return what to write when other plans kept taking the room: a failure, and one that waits for more room."""
        blocked = msgspec.structs.replace(
            self._successor(Trigger.MAX_PLANS, CONFLICT_DESCRIPTION), status=EvalStatus.BLOCKED
        )
        description = "maximum attempts reached: other plans took the room each time"
        failed = _ended(self._evaluation, self._state, self._now_ns, EvalStatus.FAILED, description)
        return [blocked, msgspec.structs.replace(failed, blocked_eval=blocked.id)]


def _annotation(change: GroupChanges) -> dict[str, int]:
    """Return the counts that an operator sees of what was wanted for a group."""
    return {
        "Ignore": change.ignore,
        "Place": len(change.place) - change.migrate,
        "Migrate": change.migrate,
        "Stop": len(change.stop) - change.migrate + change.reschedule_now,
        "InPlaceUpdate": len(change.in_place),
        "DestructiveUpdate": len(change.destructive),
        "Canary": 0,
        "Preemptions": 0,
        "Disconnect": 0,
        "Reconnect": 0,
        "RescheduleNow": 0,
        "RescheduleLater": len(change.later),
    }


def _plan(evaluation: Evaluation, state: State) -> Plan:
    return Plan(eval_id=evaluation.id, eval_token="", priority=evaluation.priority, snapshot_index=state.index)


def _ended(evaluation: Evaluation, state: State, now_ns: int, status: str, description: str) -> Evaluation:
    changes: Any = {
        "status": status,
        "status_description": description,
        "snapshot_index": state.index,
        "modify_time": now_ns,
    }
    return msgspec.structs.replace(evaluation, **changes)

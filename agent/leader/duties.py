"""Everything only the leader does, switched on and off as one. Source: Nomad, nomad/leader.go.

The parts (broker, blocked evaluations, plan queue, heartbeats) are pure; this shell owns them on the event loop, feeds
them what the log applied, and carries out what comes due.
"""

import asyncio
import functools
from collections.abc import Iterable

import msgspec

from agent.errors import NotLeader, OutriderError, Overloaded, UnknownOutcome
from agent.leader.autopilot import DEFAULTS as AUTOPILOT_DEFAULTS
from agent.leader.blocked_evals import BlockedEvals
from agent.leader.drainer import Drainer
from agent.leader.eval_broker import FAILED_QUEUE, EvalBroker
from agent.leader.heartbeats import Heartbeats, HeartbeatSettings
from agent.leader.node_evals import evals_for_node, failed_evals
from agent.leader.plan_apply import evaluate_plan
from agent.leader.plan_queue import PlanQueue
from agent.leader.surroundings import Surroundings
from agent.model.autopilot import AutopilotConfig
from agent.model.base import JobKey, NodeID
from agent.model.command import ApplyPlanResults, UpdateAutopilot, UpdateEvals, UpdateNodeStatus
from agent.model.evaluation import EvalStatus, Evaluation
from agent.model.node import NodeEvent, NodeStatus
from agent.model.plan import Plan, PlanResult
from agent.model.times import rfc3339_seconds
from agent.state.store import Changes, State
from agent.tasks import Tasks
from telemetry.catalogue import heartbeat as heartbeat_metrics
from telemetry.catalogue import leader as leader_metrics
from telemetry.catalogue import plan as plan_metrics
from telemetry.catalogue.metric import Metric

RECONCILE_SECONDS = 60.0
"""How often the leader makes sure of its lead with a barrier, as Nomad's reconcile interval."""

IDLE_SECONDS = 1.0
"""The longest sleep of a loop whose parts have no deadline."""

FOLLOW_UP_SECONDS_MIN = 60.0
FOLLOW_UP_SECONDS_SPREAD = 540.0
"""An evaluation that was given up is tried again after 1 to 10 minutes, as Nomad's failed-follow-up."""

PLAN_INDEX_SECONDS = 5.0
"""How long the leader's own state may take to become as new as a plan's: longer, and its scheduler plans anew."""

INVALIDATIONS_AT_ONCE = 64
"""Missed heartbeats written at the same time; a rack that dies is hundreds of them."""


class LeaderDuties:
    """The leader's memory and loops. Belongs to one event loop; `established` says whether they run."""

    def __init__(
        self,
        around: Surroundings,
        heartbeat_settings: HeartbeatSettings,
        autopilot: AutopilotConfig = AUTOPILOT_DEFAULTS,
    ) -> None:
        """Prepare; *autopilot* is what a cluster begins with that has no settings of it yet."""
        self._around = around
        self._autopilot = autopilot
        self._tasks = Tasks(around.logger, around.recorder)
        self.broker = EvalBroker(around.new_id)
        self.blocked = BlockedEvals()
        self.plans: PlanQueue[asyncio.Future[PlanResult]] = PlanQueue()
        self.heartbeats = Heartbeats(heartbeat_settings, around.rng)
        self._drainer = Drainer(around)
        self.work_ready = asyncio.Event()
        self._plan_ready = asyncio.Event()
        self._due_changed = asyncio.Event()
        self.established = False
        self.evaluations_failed = 0
        """Evaluations given up since the server started; kept when the lead is lost, so that it only grows."""

    async def establish(self) -> None:
        """Take up all duties: after a barrier, so that everything the last leader committed is known here.

        Raises what a write raises when the lead is lost meanwhile; then nothing was taken up.
        """
        started = self._now()
        await self._barrier()
        await self._give_autopilot_settings()
        state = self._around.state()
        self.broker.enable()
        self.blocked.enable()
        self.plans.enable()
        self._restore(state)
        self.heartbeats.begin((node.id for node in state.nodes() if node.status != NodeStatus.DOWN), self._now())
        self.established = True
        for name, loop in (
            ("heartbeats", self._heartbeat_loop),
            ("broker", self._broker_loop),
            ("plan-applier", self._plan_loop),
            ("drainer", self._drainer.run),
            ("barrier", self._barrier_loop),
        ):
            self._tasks.spawn(f"leader-{name}", loop, restart=True)
        self._took(leader_metrics.ESTABLISH_LEADERSHIP, started)

    async def _give_autopilot_settings(self) -> None:
        """Write what the configuration says into a state that has no settings; later an operator changes them there.

        Source: Nomad, nomad/leader.go, getOrCreateAutopilotConfig.
        """
        if self._around.state().autopilot.create_index:
            return
        command = UpdateAutopilot(
            request_id=self._around.new_id(), at=self._wall_ns(), config=self._autopilot, check_index=0
        )
        await self._around.propose(command)

    async def revoke(self) -> None:
        """Lay down all duties and forget; plans that were waiting are told that this server leads no more."""
        started = self._now()
        was_established = self.established
        self._forget()
        await self._tasks.cancel()
        if was_established:
            self._took(leader_metrics.REVOKE_LEADERSHIP, started)

    def _forget(self) -> None:
        self.established = False
        self.broker.disable()
        self.blocked.disable()
        for pending in self.plans.disable():
            _answer(pending.answer, NotLeader())
        self.heartbeats.clear()

    def on_changes(self, changes: Changes) -> None:
        """Feed what the log applied to broker and blocked evaluations; does nothing on a server that does not lead."""
        if changes.restored:
            # Whoever leads takes up all duties anew; until then nobody gets work that the restored state may not know.
            self._forget()
        if not self.broker.enabled:
            return
        state = self._around.state()
        for eval_id in changes.evals:
            evaluation = state.eval(eval_id)
            if evaluation is not None:
                self._track(evaluation)
        if self._capacity_changed(changes, state):
            self._unblock(changes.index)
        self._drainer.on_changes(changes)

    async def submit_plan(self, plan: Plan) -> PlanResult:
        """Queue *plan* and return what of it was committed; raises NotLeader or Overloaded."""
        answer: asyncio.Future[PlanResult] = asyncio.get_running_loop().create_future()
        self.plans.enqueue(plan, answer, self._now())
        self._plan_ready.set()
        return await answer

    def renew_heartbeat(self, node_id: NodeID) -> float:
        """Move a client's deadline and return its time to live, in seconds; raises NotLeader without the lead."""
        if not self.established:
            # Laid down while the request was under way: a deadline kept here would be nobody's.
            raise NotLeader
        ttl = self.heartbeats.renew(node_id, self._now())
        self._due_changed.set()
        return ttl

    def _track(self, evaluation: Evaluation) -> None:
        match evaluation.status:
            case EvalStatus.PENDING:
                wall_ns = int(self._around.clock.wall() * 1e9)
                delay = max(0.0, (evaluation.wait_until - wall_ns) / 1e9) if evaluation.wait_until else 0.0
                self.broker.enqueue(evaluation, self._now(), delay)
                self.work_ready.set()
                self._due_changed.set()
            case EvalStatus.BLOCKED:
                older, missed = self.blocked.block(evaluation)
                if older is not None:
                    self._tasks.spawn("leader-cancel-evaluation", functools.partial(self._cancel_evals, [older]))
                if missed is not None:
                    self._requeue([missed])
            case EvalStatus.COMPLETE:
                if not evaluation.blocked_eval:
                    self._untrack_blocked(evaluation.job_key)
            case _:
                pass

    def _untrack_blocked(self, key: JobKey) -> None:
        job = self._around.state().job(*key)
        if job is None or job.stop:
            self.blocked.untrack(key)

    def _restore(self, state: State) -> None:
        for evaluation in state.evals():
            if not evaluation.terminal:
                self._track(evaluation)

    @staticmethod
    def _capacity_changed(changes: Changes, state: State) -> bool:
        nodes = (state.node(node_id) for node_id in changes.nodes)
        if any(node is not None and node.ready for node in nodes):
            return True
        allocs = (state.alloc(alloc_id) for alloc_id in changes.allocs)
        return any(alloc is not None and alloc.terminal for alloc in allocs)

    def _unblock(self, index: int) -> None:
        self._requeue(self.blocked.unblock(index))

    def _requeue(self, evaluations: Iterable[Evaluation]) -> None:
        for evaluation in evaluations:
            ready = msgspec.structs.replace(evaluation, status=EvalStatus.PENDING)
            self.broker.enqueue(ready, self._now())
            self.work_ready.set()

    async def cancel_superseded(self, evaluations: Iterable[Evaluation]) -> None:
        """Write that *evaluations* were cancelled because a newer one of their job does their work."""
        superseded = list(evaluations)
        if superseded:
            await self._cancel_evals(superseded)

    async def _cancel_evals(self, evaluations: list[Evaluation]) -> None:
        canceled = [
            msgspec.structs.replace(
                evaluation,
                status=EvalStatus.CANCELED,
                status_description="canceled after more recent eval was processed",
            )
            for evaluation in evaluations
        ]
        try:
            await self._around.propose(
                UpdateEvals(request_id=self._around.new_id(), at=self._wall_ns(), evals=canceled)
            )
        except OutriderError as error:
            self._around.logger.warning("evaluations not cancelled: count=%d reason=%s", len(canceled), error)

    # --- loops ----------------------------------------------------------------------------------------------------

    async def _heartbeat_loop(self) -> None:
        while True:
            lost = self.heartbeats.expire(self._now())
            for start in range(0, len(lost), INVALIDATIONS_AT_ONCE):
                batch = lost[start : start + INVALIDATIONS_AT_ONCE]
                await asyncio.gather(*(self._invalidate(node_id) for node_id in batch))
            await self._sleep_until(self.heartbeats.next_deadline())

    async def _invalidate(self, node_id: NodeID) -> None:
        started = self._now()
        state = self._around.state()
        node = state.node(node_id)
        if node is None or node.status == NodeStatus.DOWN:
            return
        self._around.logger.warning("node TTL expired: node_id=%s", node_id)
        wall_ns = self._wall_ns()
        event = NodeEvent(message="Node heartbeat missed", timestamp=rfc3339_seconds(self._around.clock.wall()))
        command = UpdateNodeStatus(
            request_id=self._around.new_id(), at=wall_ns, node_id=node_id, status=NodeStatus.DOWN, event=event,
            evals=evals_for_node(state, node, self._around.new_id, wall_ns),
        )  # fmt: skip
        try:
            await self._around.propose(command)
        except OutriderError as error:
            # Without the lead the next leader finds out; while leading it must not be forgotten.
            self._around.logger.error("node not marked down: node_id=%s reason=%s", node_id, error)  # noqa: TRY400
            if self.established:
                self.heartbeats.renew(node_id, self._now())
            return
        self._took(heartbeat_metrics.INVALIDATE, started)

    async def _broker_loop(self) -> None:
        while True:
            self.broker.tick(self._now())
            if self.broker.stats().ready:
                self.work_ready.set()
            await self._give_up_failed()
            await self._sleep_until(self.broker.next_deadline())

    async def _give_up_failed(self) -> None:
        """End the evaluations that no worker could finish, each with one that tries again later.

        Without it the job of such an evaluation would be held by it for good. Source: Nomad, nomad/leader.go,
        reapFailedEvaluations.
        """
        while (delivery := self.broker.dequeue([FAILED_QUEUE], self._now())) is not None:
            evaluation = delivery.evaluation
            stored = self._around.state().eval(evaluation.id)
            try:
                if stored is not None and not stored.terminal:  # else only its acknowledgement was lost
                    await self._fail(evaluation)
            except OutriderError as error:
                self._around.logger.warning("evaluation not given up: eval=%s reason=%s", evaluation.id, error)
                self.broker.nack(evaluation.id, delivery.token, self._now())
                return
            await self.cancel_superseded(self.broker.ack(evaluation.id, delivery.token, self._now()).superseded)

    async def _fail(self, evaluation: Evaluation) -> None:
        self._around.logger.warning("evaluation given up: eval=%s job=%s", evaluation.id, evaluation.job_id)
        wait_seconds = FOLLOW_UP_SECONDS_MIN + self._around.rng.random() * FOLLOW_UP_SECONDS_SPREAD
        now_ns = self._wall_ns()
        evals = failed_evals(evaluation, self._around.new_id(), now_ns, wait_seconds)
        await self._around.propose(UpdateEvals(request_id=self._around.new_id(), at=now_ns, evals=evals))
        self.evaluations_failed += 1

    async def _plan_loop(self) -> None:
        while True:
            pending = self.plans.dequeue()
            if pending is None:
                self._plan_ready.clear()
                await self._plan_ready.wait()
                continue
            try:
                _answer(pending.answer, await self._apply_plan(pending.plan))
            except OutriderError as error:
                _answer(pending.answer, error)
            finally:
                # A lost lead cancels this loop in the middle of a write: its worker must not wait for ever.
                _answer(pending.answer, UnknownOutcome("the plan was not finished: its leader stopped or failed"))

    async def _apply_plan(self, plan: Plan) -> PlanResult:
        started = self._now()
        # A scheduler on another server may know more than the leader has applied.
        if not await self._around.wait_for_index(plan.snapshot_index, PLAN_INDEX_SECONDS):
            raise Overloaded(f"index {plan.snapshot_index} was not applied within {PLAN_INDEX_SECONDS:g} s")
        self._took(plan_metrics.WAIT_FOR_INDEX, started)
        started = self._now()
        result = evaluate_plan(self._around.state(), plan)
        self._took(plan_metrics.EVALUATE, started)
        for node_id in result.rejected_nodes:
            self._around.recorder.add(plan_metrics.NODE_REJECTED, labels=(node_id,))
        updated = [
            alloc
            for group in (result.node_update, result.node_allocation)
            for allocs in group.values()
            for alloc in allocs
        ]
        if not updated:
            return result
        started = self._now()
        command = ApplyPlanResults(
            request_id=self._around.new_id(),
            at=self._wall_ns(),
            eval_id=plan.eval_id,
            snapshot_index=plan.snapshot_index,
            updated=updated,
        )
        applied = await self._around.propose(command)
        self._took(plan_metrics.APPLY, started)
        return msgspec.structs.replace(result, alloc_index=applied.index)

    async def _barrier_loop(self) -> None:
        while True:
            await asyncio.sleep(RECONCILE_SECONDS)
            try:
                await self._barrier()
            except OutriderError as error:
                self._around.logger.warning("leader barrier failed: reason=%s", error)

    async def _barrier(self) -> None:
        started = self._now()
        await self._around.barrier()
        self._took(leader_metrics.BARRIER, started)

    async def _sleep_until(self, deadline: float | None) -> None:
        pause = IDLE_SECONDS if deadline is None else min(IDLE_SECONDS, max(0.01, deadline - self._now()))
        self._due_changed.clear()
        try:
            async with asyncio.timeout(pause):
                await self._due_changed.wait()
        except TimeoutError:
            return

    def _now(self) -> float:
        return self._around.clock.monotonic()

    def _wall_ns(self) -> int:
        return int(self._around.clock.wall() * 1e9)

    def _took(self, metric: Metric, started: float) -> None:
        self._around.recorder.observe(metric, (self._now() - started) * 1000)


def _answer(waiting: asyncio.Future[PlanResult], outcome: PlanResult | OutriderError) -> None:
    """Tell *outcome* to whoever still waits and was told nothing yet."""
    if waiting.done():
        return
    if isinstance(outcome, PlanResult):
        waiting.set_result(outcome)
    else:
        waiting.set_exception(outcome)

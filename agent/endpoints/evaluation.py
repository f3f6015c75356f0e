"""Evaluations and plans: how workers get work and hand in what they made of it.

Source: nomad/eval_endpoint.go, nomad/plan_endpoint.go.
"""

import asyncio

from agent.endpoints.context import Context, Handlers
from agent.endpoints.job import ALL_NAMESPACES
from agent.errors import NotLeader, RequestRefused
from agent.leader.eval_broker import Acknowledged, Delivery, StaleTokenError
from agent.model.alloc import AllocStub
from agent.model.command import UpdateEvals
from agent.model.evaluation import Evaluation
from agent.rpc import methods as m
from agent.state.store import State, Table
from telemetry.catalogue import broker as metrics
from telemetry.catalogue import outrider
from telemetry.catalogue import plan as plan_metrics

DEQUEUE_TIMEOUT_SECONDS_MAX = 5.0
"""However long a worker wants to wait; it asks again anyway."""


class EvalEndpoint:
    """`Eval.*` and `Plan.*`."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def handlers(self) -> Handlers:
        """Return what answers which method."""
        return {
            m.EVAL_GET_EVAL: self.get_eval,
            m.EVAL_LIST: self.list_evals,
            m.EVAL_COUNT: self.count,
            m.EVAL_ALLOCATIONS: self.allocations,
            m.EVAL_DEQUEUE: self.dequeue,
            m.EVAL_ACK: self.ack,
            m.EVAL_NACK: self.nack,
            m.EVAL_UPDATE: self.update,
            m.EVAL_CREATE: self.update,
            m.EVAL_REBLOCK: self.update,
            m.PLAN_SUBMIT: self.submit_plan,
        }

    async def get_eval(self, request: m.EvalSpecificRequest) -> m.EvalResponse:
        """Return one evaluation."""
        return await self._context.read(
            request, (Table.EVALS,), lambda state: m.EvalResponse(eval=state.eval(request.eval_id))
        )

    async def list_evals(self, request: m.Request) -> m.EvalListResponse:
        """Return the evaluations of a namespace, or of all with "*"."""
        return await self._context.read(
            request,
            (Table.EVALS,),
            lambda state: m.EvalListResponse(evals=_listed(state, request)),
        )

    async def count(self, request: m.Request) -> m.CountResponse:
        """Return how many evaluations `list_evals` would return."""
        return await self._context.read(
            request, (Table.EVALS,), lambda state: m.CountResponse(count=len(_listed(state, request)))
        )

    async def allocations(self, request: m.EvalSpecificRequest) -> m.AllocListResponse:
        """Return the allocations that an evaluation placed or changed last."""
        return await self._context.read(
            request,
            (Table.ALLOCS,),
            lambda state: m.AllocListResponse(
                allocs=[AllocStub.of(alloc) for alloc in state.allocs_by_eval(request.eval_id)]
            ),
        )

    async def dequeue(self, request: m.EvalDequeueRequest) -> m.EvalDequeueResponse:
        """Give a worker its next evaluation, or none when there was none in time."""
        duties, clock = self._context.duties, self._context.clock
        deadline = clock.monotonic() + min(request.timeout_seconds, DEQUEUE_TIMEOUT_SECONDS_MAX)
        while True:
            self._assert_leader()
            delivery = duties.broker.dequeue(request.schedulers, clock.monotonic())
            if delivery is not None:
                return self._delivered(delivery)
            duties.work_ready.clear()
            try:
                async with asyncio.timeout(deadline - clock.monotonic()):
                    await duties.work_ready.wait()
            except TimeoutError:
                return self._context.fresh(m.EvalDequeueResponse(), self._context.state.index)

    async def ack(self, request: m.EvalAckRequest) -> m.Response:
        """Finish an evaluation; raises RequestRefused when it is another worker's by now."""
        self._assert_leader()
        duties = self._context.duties
        try:
            done = duties.broker.ack(request.eval_id, request.token, self._context.clock.monotonic())
        except StaleTokenError as error:
            raise RequestRefused(str(error)) from error
        self._record(done)
        duties.work_ready.set()
        await duties.cancel_superseded(done.superseded)
        return self._context.fresh(m.Response(), self._context.state.index)

    async def nack(self, request: m.EvalAckRequest) -> m.Response:
        """Take an evaluation back for another worker; raises RequestRefused when it is another's by now."""
        self._assert_leader()
        try:
            self._context.duties.broker.nack(request.eval_id, request.token, self._context.clock.monotonic())
        except StaleTokenError as error:
            raise RequestRefused(str(error)) from error
        return self._context.fresh(m.Response(), self._context.state.index)

    async def update(self, request: m.EvalUpdateRequest) -> m.Response:
        """Write evaluations for the worker that holds the token."""
        self._assert_outstanding(request.eval_token)
        context = self._context
        result = await context.propose(
            UpdateEvals(request_id=context.new_id(), at=context.now_ns(), evals=request.evals)
        )
        return context.fresh(m.Response(), result.index)

    async def submit_plan(self, request: m.PlanSubmitRequest) -> m.PlanSubmitResponse:
        """Check a plan and commit what fits; raises RequestRefused when its evaluation is another worker's by now."""
        self._assert_leader()
        plan, context = request.plan, self._context
        if context.duties.broker.token(plan.eval_id) != plan.eval_token:
            raise RequestRefused(f"plan for evaluation {plan.eval_id} comes with an outdated token")
        context.duties.broker.touch(plan.eval_id, plan.eval_token, context.clock.monotonic())
        started = context.clock.monotonic()
        result = await context.duties.submit_plan(plan)
        took = context.clock.monotonic() - started
        context.recorder.observe(plan_metrics.SUBMIT, took * 1000)
        context.recorder.observe(outrider.PLAN_DURATION_SECONDS, took, (context.name,))
        return context.fresh(m.PlanSubmitResponse(result=result), max(result.alloc_index, context.state.index))

    def _delivered(self, delivery: Delivery) -> m.EvalDequeueResponse:
        evaluation = delivery.evaluation
        self._context.recorder.observe(metrics.WAIT_TIME, delivery.waited_seconds * 1000, _labels(evaluation))
        # What the job's last plan wrote must be known to the scheduler, or it places the same group twice.
        newest = max(evaluation.modify_index, evaluation.snapshot_index, self._job_index(evaluation))
        response = m.EvalDequeueResponse(eval=evaluation, token=delivery.token, wait_index=newest)
        return self._context.fresh(response, self._context.state.index)

    def _job_index(self, evaluation: Evaluation) -> int:
        state = self._context.state
        allocs = state.allocs_by_job(evaluation.namespace, evaluation.job_id)
        job = state.job(evaluation.namespace, evaluation.job_id)
        return max([job.modify_index if job else 0, *(alloc.modify_index for alloc in allocs)])

    def _record(self, done: Acknowledged) -> None:
        labels, observe = _labels(done.evaluation), self._context.recorder.observe
        observe(metrics.PROCESS_TIME, done.process_seconds * 1000, labels)
        observe(metrics.RESPONSE_TIME, done.response_seconds * 1000, labels)
        ours = (self._context.name, done.evaluation.type)
        observe(outrider.EVALUATION_DURATION_SECONDS, done.response_seconds, ours)

    def _assert_leader(self) -> None:
        if not self._context.duties.established:
            leader = self._context.status().leader
            raise NotLeader(leader.rpc_address if leader else "")

    def _assert_outstanding(self, token: str) -> None:
        self._assert_leader()
        if not self._context.duties.broker.is_outstanding(token):
            raise RequestRefused("no evaluation is outstanding under this token")


def _labels(evaluation: Evaluation) -> tuple[str, str, str, str]:
    return (evaluation.type, evaluation.job_id, evaluation.namespace, evaluation.triggered_by)


def _listed(state: State, request: m.Request) -> list[Evaluation]:
    return [
        evaluation
        for evaluation in state.evals(request.prefix)
        if request.namespace in {ALL_NAMESPACES, evaluation.namespace}
    ]

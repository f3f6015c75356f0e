"""A scheduling worker: takes an evaluation, runs its scheduler off the loop, hands in the plan, and acknowledges.

Workers run on every server and ask the leader for work, so that all servers schedule. Source: Nomad, nomad/worker.go.
"""

import asyncio
import functools
import logging
import random
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import msgspec

from agent.errors import NoClusterLeader, OutriderError
from agent.model.evaluation import EvalStatus, Evaluation
from agent.model.plan import Plan, PlanResult
from agent.rpc import methods as m
from agent.rpc.caller import Caller
from agent.scheduler.process import Outcome, process
from agent.state.store import State
from telemetry.catalogue import outrider
from telemetry.catalogue import worker as metrics
from telemetry.catalogue.metric import Metric
from telemetry.clock import Clock
from telemetry.recorder import Recorder

DEQUEUE_SECONDS = 0.5
"""How long one question for work waits at the leader, as in Nomad: an idle worker is heard twice a second."""

BACKOFF_SECONDS = 1.0
"""Pause after the leader could not be asked."""

INDEX_WAIT_SECONDS = 5.0
"""How long a worker waits for its own state to become as new as its evaluation. Nomad's `raftSyncLimit`."""

RPC_SECONDS = 10.0
"""Deadline of a worker's own calls: they commit through Raft."""

PLAN_ATTEMPTS_MAX = 5
"""How often a scheduler plans again after a part of its plan was refused. Nomad's `maxServiceScheduleAttempts`."""


class _IndexTooOldError(OutriderError):
    """This server lags too far behind to schedule."""


class _SchedulerFailedError(OutriderError):
    """A bug in a scheduler; the evaluation is given back, and given up by the leader when it comes up again."""


@dataclass(frozen=True, slots=True)
class WorkerSurroundings:
    """What a worker needs of its server."""

    caller: Caller
    state: Callable[[], State]
    wait_for_index: Callable[[int, float], Awaitable[bool]]
    new_id: Callable[[], str]
    clock: Clock
    recorder: Recorder
    logger: logging.Logger
    region: str
    schedulers: tuple[str, ...]


class Worker:
    """One worker; `busy` while it holds an evaluation."""

    def __init__(self, around: WorkerSurroundings, pool: ThreadPoolExecutor, rng: random.Random) -> None:
        self._around = around
        self._pool = pool
        self._rng = rng
        self.busy = False

    async def run(self) -> None:
        """Take evaluations until cancelled; an evaluation that is lost on the way is given out again by its leader."""
        while True:
            try:
                await self._one()
            except NoClusterLeader:
                await asyncio.sleep(BACKOFF_SECONDS * self._rng.uniform(0.5, 1.0))
            except OutriderError as error:
                self._around.logger.warning("evaluation not processed: reason=%s", error)
                await asyncio.sleep(BACKOFF_SECONDS * self._rng.uniform(0.5, 1.0))
            finally:
                self.busy = False

    async def _one(self) -> None:
        request = m.EvalDequeueRequest(
            region=self._around.region, schedulers=list(self._around.schedulers), timeout_seconds=DEQUEUE_SECONDS
        )
        started = self._now()
        answer = await self._around.caller.call(m.EVAL_DEQUEUE, request, DEQUEUE_SECONDS + RPC_SECONDS)
        self._took(metrics.DEQUEUE_EVAL, started)
        if answer.eval is None:
            return
        self.busy = True
        try:
            await self._process(answer.eval, answer.token, answer.wait_index)
        except OutriderError:
            await self._give_back(answer.eval, answer.token)
            raise
        await self._finish(m.EVAL_ACK, answer.eval, answer.token)

    async def _give_back(self, evaluation: Evaluation, token: str) -> None:
        try:
            await self._finish(m.EVAL_NACK, evaluation, token)
        except OutriderError as error:
            # The leader takes it back by itself when its time is over; what went wrong before is what matters.
            self._around.logger.debug("evaluation not given back: eval=%s reason=%s", evaluation.id, error)

    async def _process(self, evaluation: Evaluation, token: str, wait_index: int) -> None:
        await self._catch_up(wait_index)
        started = self._now()
        evals = await self._plan(evaluation, token)
        self._took(metrics.INVOKE_SCHEDULER, started, evaluation.type)
        await self._write(evaluation, evals, token)

    async def _plan(self, evaluation: Evaluation, token: str) -> list[Evaluation]:
        """Schedule until the leader takes the whole plan, and return the evaluations to write."""
        attempt = 0
        while True:
            attempt += 1
            last_attempt = attempt == PLAN_ATTEMPTS_MAX
            outcome = await self._schedule(evaluation, last_attempt=last_attempt)
            if outcome.plan.empty:
                return outcome.evals
            result = await self._submit(outcome.plan, evaluation, token)
            if not result.refresh_index:
                return outcome.evals
            if last_attempt:
                return outcome.evals_if_refused
            await self._catch_up(result.refresh_index)

    async def _schedule(self, evaluation: Evaluation, *, last_attempt: bool) -> Outcome:
        state, now_ns = self._around.state(), int(self._around.clock.wall() * 1e9)
        rng = random.Random(self._rng.getrandbits(64))
        run = functools.partial(process, evaluation, state, now_ns, rng, self._around.new_id, last_attempt=last_attempt)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, run)
        except Exception as error:  # the root of the work in the pool: a bug there must not cost the worker
            self._around.recorder.add(outrider.TASK_FAILURES_TOTAL, 1.0, ("scheduler",))
            self._around.logger.exception("scheduler failed: eval=%s job=%s", evaluation.id, evaluation.job_id)
            raise _SchedulerFailedError(f"the scheduler failed: {error!r}") from error

    async def _submit(self, plan: Plan, evaluation: Evaluation, token: str) -> PlanResult:
        started = self._now()
        stamped = msgspec.structs.replace(plan, eval_id=evaluation.id, eval_token=token, priority=evaluation.priority)
        request = m.PlanSubmitRequest(region=self._around.region, plan=stamped)
        answer = await self._around.caller.call(m.PLAN_SUBMIT, request, RPC_SECONDS)
        self._took(metrics.SUBMIT_PLAN, started)
        return answer.result

    async def _write(self, evaluation: Evaluation, evals: list[Evaluation], token: str) -> None:
        """Hand in what became of the evaluation; those that follow it first, so that none is lost when the rest fails."""
        following = [entry for entry in evals if entry.id != evaluation.id]
        if following:
            started = self._now()
            await self._update(m.EVAL_CREATE, following, token)
            self._took(metrics.CREATE_EVAL, started)
        for entry in evals:
            if entry.id != evaluation.id:
                continue
            started = self._now()
            blocked = entry.status == EvalStatus.BLOCKED
            await self._update(m.EVAL_REBLOCK if blocked else m.EVAL_UPDATE, [entry], token)
            self._took(metrics.REBLOCK_EVAL if blocked else metrics.UPDATE_EVAL, started)

    async def _update(
        self, method: m.Method[m.EvalUpdateRequest, m.Response], evals: list[Evaluation], token: str
    ) -> None:
        request = m.EvalUpdateRequest(region=self._around.region, evals=evals, eval_token=token)
        await self._around.caller.call(method, request, RPC_SECONDS)

    async def _finish(self, method: m.Method[m.EvalAckRequest, m.Response], evaluation: Evaluation, token: str) -> None:
        started = self._now()
        request = m.EvalAckRequest(region=self._around.region, eval_id=evaluation.id, token=token)
        await self._around.caller.call(method, request, RPC_SECONDS)
        self._took(metrics.SEND_ACK, started)

    async def _catch_up(self, index: int) -> None:
        started = self._now()
        if not await self._around.wait_for_index(index, INDEX_WAIT_SECONDS):
            raise _IndexTooOldError(f"index {index} was not applied here within {INDEX_WAIT_SECONDS:g} s")
        self._took(metrics.WAIT_FOR_INDEX, started)

    def _now(self) -> float:
        return self._around.clock.monotonic()

    def _took(self, metric: Metric, started: float, expansion: str = "") -> None:
        self._around.recorder.observe(metric, (self._now() - started) * 1000, (), expansion)

"""The script in the place of a scheduling worker, over the servers' own RPC: what no operator can ask for."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, TypeVar

import msgspec

from agent.errors import OutriderError
from agent.model.evaluation import Evaluation
from agent.model.plan import Plan
from agent.rpc import methods as m
from agent.rpc.client import RpcClient
from telemetry.recorder import NullRecorder
from tests.telemetry.life.life import Life

AHEAD_SECONDS = 2.5
"""A worker asks for half a second at most, and who has waited for longest gets the next evaluation."""
ASKED_SECONDS = 5.0
"""As long as a server lets a worker wait at most."""
CALL_SECONDS = 15.0
AT_ONCE = 64
REGION = "global"
T = TypeVar("T")


class Worker:
    """Asks the leader as a worker does; each call is counted as the script's."""

    def __init__(self, life: Life) -> None:
        self._life = life
        leader = next(agent for agent in life.cluster.settings.agents if agent.name == life.leader)
        self._address = f"127.0.0.1:{leader.rpc}"

    def take(self, scheduler: str, cause: Callable[[], None]) -> tuple[Evaluation, str] | None:
        """Return the evaluation that *cause* makes, and its token; None when another worker got it.

        Raises RequestRefused where *cause* does.
        """
        return self._taken(scheduler, lambda client: asyncio.to_thread(cause), 0.0)

    def give_back_and_take(self, found: tuple[Evaluation, str], delay: float) -> tuple[Evaluation, str] | None:
        """Give *found* back, which then waits for *delay* seconds, and take it again; the agents are looked at meanwhile.

        Returns None when another worker got it. Raises RequestRefused where it was the script's no more.
        """
        return self._taken(found[0].type, lambda client: self._nack(client, *found), delay)

    def give_back(self, found: tuple[Evaluation, str]) -> None:
        """Say that the evaluation could not be worked on. Raises RequestRefused where it was the script's no more."""
        asyncio.run(_with_client(lambda client: self._nack(client, *found)))

    async def _nack(self, client: RpcClient, evaluation: Evaluation, token: str) -> None:
        request = m.EvalAckRequest(region=REGION, eval_id=evaluation.id, token=token)
        self._life.held[evaluation.type] -= 1
        began = self._life.clock.monotonic()
        try:
            await client.call(self._address, m.EVAL_NACK, request, CALL_SECONDS)
        finally:
            # One that is refused was made, and counted, too.
            self._life.did("Eval.Nack", self._life.clock.monotonic() - began)

    def _taken(
        self, scheduler: str, cause: Callable[[RpcClient], Awaitable[None]], delay: float
    ) -> tuple[Evaluation, str] | None:
        """Ask for work before *cause*, and until what it makes is there, *delay* seconds after it."""

        async def run(client: RpcClient) -> tuple[Evaluation, str] | None:
            await client.call(self._address, m.STATUS_PING, m.Request(region=REGION), CALL_SECONDS)
            self._life.did("Status.Ping")
            asking = Asking(lambda: self._dequeue(client, scheduler))
            try:
                await asyncio.sleep(AHEAD_SECONDS)
                await cause(client)
                watching = asyncio.create_task(asyncio.to_thread(self._life.watch, delay))
                await asking.wait(delay + ASKED_SECONDS)
                await watching
            finally:
                found = await asking.end()
                self._life.did("Eval.Dequeue", asking.seconds, times=asking.answered, unsure=asking.unsure)
            return found

        found = asyncio.run(_with_client(run))
        if found is not None:
            self._life.did(f"taken: {found[0].job_id}")
            self._life.held[scheduler] += 1
        return found

    async def _dequeue(self, client: RpcClient, scheduler: str) -> tuple[Evaluation, str] | None:
        request = m.EvalDequeueRequest(region=REGION, schedulers=[scheduler], timeout_seconds=ASKED_SECONDS)
        answer = await client.call(self._address, m.EVAL_DEQUEUE, request, CALL_SECONDS)
        return None if answer.eval is None else (answer.eval, answer.token)

    def submit_too_much(self, evaluation: Evaluation, token: str, alloc_id: str) -> list[str]:
        """Submit a plan that puts a second, huge *alloc_id* on its client, and return the clients that were refused."""

        async def run(client: RpcClient) -> list[str]:
            asked = m.AllocSpecificRequest(region=REGION, alloc_id=alloc_id)
            began = self._life.clock.monotonic()
            found = (await client.call(self._address, m.ALLOC_GET_ALLOC, asked, 10.0)).alloc
            self._life.did("Alloc.GetAlloc", self._life.clock.monotonic() - began, "rpc")
            assert found is not None
            tasks = {
                name: msgspec.structs.replace(each, memory_mb=10_000_000) for name, each in found.task_resources.items()
            }
            total = msgspec.structs.replace(found.resources, memory_mb=10_000_000)
            huge = msgspec.structs.replace(
                found, id=alloc_id[:-12] + "0" * 12, task_resources=tasks, resources=total, eval_id=evaluation.id
            )
            plan = Plan(
                eval_id=evaluation.id,
                eval_token=token,
                priority=50,
                snapshot_index=0,
                node_allocation={found.node_id: [huge]},
            )
            request = m.PlanSubmitRequest(region=REGION, plan=plan)
            answer = await client.call(self._address, m.PLAN_SUBMIT, request, 10.0)
            return list(answer.result.rejected_nodes)

        return self._call("Plan.Submit", run)

    def register_again(self, node_id: str, times: int) -> None:
        """Register the client *node_id* as it is, *times* times: each is an entry of the log, and changes nothing.

        On a busy machine some may not be written in time; those that were are counted.
        """

        async def run(client: RpcClient) -> None:
            asked = m.NodeSpecificRequest(region=REGION, node_id=node_id)
            began = self._life.clock.monotonic()
            node = (await client.call(self._address, m.NODE_GET_NODE, asked, 10.0)).node
            self._life.did("Node.GetNode", self._life.clock.monotonic() - began, "rpc")
            assert node is not None
            request = m.NodeRegisterRequest(region=REGION, node=node)
            for _ in range(times // AT_ONCE):
                calls = (client.call(self._address, m.NODE_REGISTER, request, 30.0) for _ in range(AT_ONCE))
                answers = await asyncio.gather(*calls, return_exceptions=True)
                written = [answer for answer in answers if isinstance(answer, m.NodeUpdateResponse)]
                self._life.did("Node.Register", times=len(written), unsure=len(answers) - len(written))

        self._call("bulk", run)

    def _call(self, name: str, run: Callable[[RpcClient], Awaitable[T]]) -> T:
        began = self._life.clock.monotonic()
        answer = asyncio.run(_with_client(run))
        self._life.did(name, self._life.clock.monotonic() - began)
        return answer


class Asking(Generic[T]):
    """Asks again and again for work, twice at a time and half a wait apart, so that one of the two has waited for long.

    `answered` and `seconds` count the questions and the time until their answers, `unsure` those without one.
    """

    def __init__(self, ask: Callable[[], Awaitable[T | None]]) -> None:
        self.answered = 0
        self.unsure = 0
        self.seconds = 0.0
        self._ask = ask
        self._found: list[T] = []
        self._enough = asyncio.Event()
        self._tasks = [asyncio.create_task(self._again(ahead)) for ahead in (0.0, ASKED_SECONDS / 2)]

    async def wait(self, seconds: float) -> None:
        """Wait until work is there, *seconds* at most."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._enough.wait(), seconds)

    async def end(self) -> T | None:
        """Ask no more, wait for what was asked, and return the work; None when none came."""
        self._enough.set()
        await asyncio.gather(*self._tasks)
        return self._found[0] if self._found else None

    async def _again(self, ahead: float) -> None:
        loop = asyncio.get_running_loop()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._enough.wait(), ahead)
        while not self._enough.is_set():
            began = loop.time()
            try:
                found = await self._ask()
            except OutriderError:
                # The leader is slow, or leads no more.
                self.unsure += 1
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self.answered += 1
            self.seconds += loop.time() - began
            if found is not None:
                self._found.append(found)
                self._enough.set()


RETRY_SECONDS = 0.2


async def _with_client(run: Callable[[RpcClient], Awaitable[T]]) -> T:
    client = RpcClient(NullRecorder(), logging.getLogger("life"))
    try:
        return await run(client)
    finally:
        await client.close()

"""The script in the place of a scheduling worker, over the servers' own RPC: what no operator can ask for."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from agent.model.evaluation import Evaluation
from agent.model.plan import Plan
from agent.rpc import methods as m
from agent.rpc.client import RpcClient
from telemetry.recorder import NullRecorder
from tests.telemetry.life.life import Life

AHEAD_SECONDS = 2.5
"""A worker asks for half a second at most, and who has waited for longest gets the next evaluation."""
AT_ONCE = 64
REGION = "global"
T = TypeVar("T")


class Worker:
    """Asks the leader as a worker does; each call is counted as the script's."""

    def __init__(self, life: Life) -> None:
        self._life = life
        leader = next(agent for agent in life.cluster.settings.agents if agent.name == life.leader)
        self._address = f"127.0.0.1:{leader.rpc}"

    def take(self, scheduler: str, cause: Callable[[], None] | None = None) -> tuple[Evaluation, str] | None:
        """Return the evaluation that *cause* makes, or that comes by itself, and its token; None when another got it."""

        async def run(client: RpcClient) -> tuple[Evaluation, str] | None:
            request = m.EvalDequeueRequest(region=REGION, schedulers=[scheduler], timeout_seconds=5.0)
            await client.call(self._address, m.STATUS_PING, m.Request(region=REGION), 15.0)
            self._life.did("Status.Ping")
            asked = asyncio.create_task(client.call(self._address, m.EVAL_DEQUEUE, request, 15.0))
            await asyncio.sleep(AHEAD_SECONDS)
            if cause is not None:
                await asyncio.to_thread(cause)
            answer = await asked
            if answer.eval is None:
                return None
            self._life.did(f"taken: {answer.eval.job_id}")
            return answer.eval, answer.token

        found = self._call("Eval.Dequeue", run)
        self._life.held[scheduler] += found is not None
        return found

    def give_back(self, evaluation: Evaluation, token: str) -> None:
        """Say that the evaluation could not be worked on."""
        request = m.EvalAckRequest(region=REGION, eval_id=evaluation.id, token=token)
        self._life.held[evaluation.type] -= 1
        self._call("Eval.Nack", lambda client: client.call(self._address, m.EVAL_NACK, request, 10.0))

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

        async def whole() -> T:
            client = RpcClient(NullRecorder(), logging.getLogger("life"))
            try:
                return await run(client)
            finally:
                await client.close()

        answer = asyncio.run(whole())
        self._life.did(name, self._life.clock.monotonic() - began)
        return answer

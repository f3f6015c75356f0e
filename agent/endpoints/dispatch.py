"""Who answers a request: this server, or its leader. Source: Nomad, nomad/rpc.go, forward.

A request that only the leader may answer waits up to the hold time for a leader to be there, because an election is
no reason to bother the caller.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

import msgspec

from agent.consensus.replicator import Peer
from agent.endpoints.context import Context, Handlers
from agent.errors import NoClusterLeader, NotLeader, OutriderError, RequestRefused, Unreachable
from agent.rpc import methods as m
from agent.rpc.methods import Access, Method, Request, Response
from telemetry.catalogue import rpc as metrics
from telemetry.catalogue.metric import Metric

HOLD_SECONDS = 5.0
"""How long a request waits for a leader. Nomad's `rpc_hold_timeout`."""

LOOK_SECONDS = 1.0
"""Between two looks at who leads while a read is away, as the status may be a tick older than the news of it."""

CALL_SECONDS_MIN = 0.1
"""The least time a call gets to be answered, however late it is made."""

RETRY_SECONDS = 0.05
"""Between two looks for a leader; an election takes half a second and more."""

RPC_TIMEOUT_SECONDS = 10.0
"""The deadline of a call that came over the wire, besides the wait it asks for; callers have their own."""

Q = TypeVar("Q", bound=Request)
R = TypeVar("R", bound=Response)

_LATENCY: dict[str, Metric] = {
    m.NODE_REGISTER.name: metrics.CLIENT_REGISTER,
    m.NODE_UPDATE_STATUS.name: metrics.CLIENT_UPDATE_STATUS,
    m.NODE_UPDATE_ELIGIBILITY.name: metrics.CLIENT_UPDATE_ELIGIBILITY,
    m.NODE_UPDATE_DRAIN.name: metrics.CLIENT_UPDATE_DRAIN,
    m.NODE_UPDATE_ALLOC.name: metrics.CLIENT_UPDATE_ALLOC,
    m.NODE_GET_CLIENT_ALLOCS.name: metrics.CLIENT_GET_CLIENT_ALLOCS,
    m.NODE_GET_ALLOCS.name: metrics.CLIENT_GET_ALLOCS,
    m.NODE_GET_NODE.name: metrics.CLIENT_GET_NODE,
    m.NODE_LIST.name: metrics.CLIENT_LIST,
    m.ALLOC_GET_ALLOC.name: metrics.ALLOC_GET_ALLOC,
    m.ALLOC_GET_ALLOCS.name: metrics.ALLOC_GET_ALLOCS,
    m.ALLOC_LIST.name: metrics.ALLOC_LIST,
    m.EVAL_DEQUEUE.name: metrics.EVAL_DEQUEUE,
    m.EVAL_ACK.name: metrics.EVAL_ACK,
    m.EVAL_NACK.name: metrics.EVAL_NACK,
    m.EVAL_CREATE.name: metrics.EVAL_CREATE,
    m.EVAL_UPDATE.name: metrics.EVAL_UPDATE,
    m.EVAL_REBLOCK.name: metrics.EVAL_REBLOCK,
    m.EVAL_GET_EVAL.name: metrics.EVAL_GET_EVAL,
    m.EVAL_LIST.name: metrics.EVAL_LIST,
    m.EVAL_COUNT.name: metrics.EVAL_COUNT,
    m.EVAL_ALLOCATIONS.name: metrics.EVAL_ALLOCATIONS,
    m.JOB_REGISTER.name: metrics.JOB_REGISTER,
    m.JOB_DEREGISTER.name: metrics.JOB_DEREGISTER,
    m.JOB_GET_JOB.name: metrics.JOB_GET_JOB,
    m.JOB_LIST.name: metrics.JOB_LIST,
    m.JOB_SUMMARY.name: metrics.JOB_SUMMARY_GET_JOB_SUMMARY,
    m.JOB_ALLOCATIONS.name: metrics.JOB_ALLOCATIONS,
    m.JOB_EVALUATIONS.name: metrics.JOB_EVALUATIONS,
    m.JOB_GET_JOB_VERSIONS.name: metrics.JOB_GET_JOB_VERSIONS,
    m.JOB_VALIDATE.name: metrics.JOB_VALIDATE,
    m.JOB_SCALE_STATUS.name: metrics.JOB_SCALE_STATUS,
    m.NODE_POOL_LIST.name: metrics.NODE_POOL_LIST,
    m.NAMESPACE_LIST.name: metrics.NAMESPACE_LIST_NAMESPACE,
    m.SEARCH_PREFIX.name: metrics.SEARCH_PREFIX_SEARCH,
}


class Remote(Protocol):
    """Carries a call to another server."""

    def call(self, address: str, method: Method[Q, R], request: Q, timeout_seconds: float) -> Coroutine[Any, Any, R]:
        """Return the answer of the server at *address*."""


class Dispatch:
    """Answers requests here or passes them on; implements `rpc.caller.Caller` and `rpc.caller.Dispatcher`."""

    def __init__(self, context: Context, handlers: Handlers, remote: Remote, own_address: str) -> None:
        self._context = context
        self._handlers = {method.name: handler for method, handler in handlers.items()}
        self._remote = remote
        self._own_address = own_address

    async def dispatch(self, method: Method[Any, Any], request: Request, peer: str) -> Response:
        """Answer a request that came over the wire from *peer*."""
        del peer
        answer: Response = await self.call(method, request, RPC_TIMEOUT_SECONDS)
        return answer

    async def call(self, method: Method[Q, R], request: Q, timeout_seconds: float) -> R:
        """Answer *request*, or have the leader answer it; raises as `rpc.caller.Caller.call`."""
        if request.region != self._context.region:
            raise RequestRefused("No path to region")
        if not _wants_leader(method, request):
            return await self._here(method, request)
        return await self._at_leader(method, request, timeout_seconds)

    async def _at_leader(self, method: Method[Q, R], request: Q, timeout_seconds: float) -> R:
        clock = self._context.clock
        deadline = clock.monotonic() + timeout_seconds
        wait_until = clock.monotonic() + request.max_query_time_seconds
        give_up: float | None = None
        last: OutriderError
        while True:
            remaining = max(CALL_SECONDS_MIN, deadline - clock.monotonic())
            try:
                return await self._once(method, request, remaining)
            except NoClusterLeader as error:
                last = error
            except (NotLeader, Unreachable) as error:
                if request.forwarded:
                    raise
                last = error
            # From the first failure, as a blocking query may have waited long before its leader was lost.
            give_up = give_up or clock.monotonic() + min(HOLD_SECONDS, timeout_seconds)
            if clock.monotonic() + RETRY_SECONDS >= give_up:
                raise NoClusterLeader from last
            await asyncio.sleep(RETRY_SECONDS)
            # Whoever is asked next waits for news only as long as is left.
            left = max(0.0, wait_until - clock.monotonic())
            request = msgspec.structs.replace(request, max_query_time_seconds=left)

    async def _once(self, method: Method[Q, R], request: Q, remaining_seconds: float) -> R:
        if self._context.leads():
            return await self._as_leader(method, request)
        leader = self._context.status().leader
        if leader is None or not leader.rpc_address or leader.rpc_address == self._own_address:
            raise NoClusterLeader
        if request.forwarded:
            raise NotLeader(leader.rpc_address)
        onward = msgspec.structs.replace(request, forwarded=True)
        call = self._remote.call(leader.rpc_address, method, onward, remaining_seconds)
        # A write under way is never given up for another: it may be carried out, and would be twice.
        return await (self._while_it_leads(leader, call) if method.access is Access.READ else call)

    async def _as_leader(self, method: Method[Q, R], request: Q) -> R:
        """Answer as the leader; raises NotLeader for a read of which it does not know that it leads.

        A blocking query is confirmed once: news that comes later is committed, and newer than what was there when it
        was asked. That there is no news is confirmed again, for it is as old as the wait.
        """
        if method.access is not Access.READ or request.allow_stale:
            return await self._here(method, request)
        await self._context.confirm_read()
        answer: R = await self._here(method, request)
        if 0 < answer.index <= request.min_query_index:
            await self._context.confirm_read()
            answer = await self._handler(method)(msgspec.structs.replace(request, min_query_index=0))
        return answer

    async def _while_it_leads(self, leader: Peer, call: Coroutine[Any, Any, R]) -> R:
        """Return what *call* does; raises Unreachable once *leader*, which may be paused, leads no more."""
        answer = asyncio.create_task(call, name="dispatch: forwarded read")
        try:
            while not answer.done():
                news = asyncio.create_task(self._context.leader_news.wait(), name="dispatch: leader news")
                await asyncio.wait({answer, news}, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                news.cancel()
                if not answer.done() and self._context.status().leader != leader:
                    raise Unreachable(f"{leader.rpc_address} leads no more")
            return answer.result()
        finally:
            answer.cancel()

    async def _here(self, method: Method[Q, R], request: Q) -> R:
        metric = _LATENCY.get(method.name)
        started = self._context.clock.monotonic()
        try:
            answer = await self._handler(method)(request)
        finally:
            if metric is not None:
                elapsed = self._context.clock.monotonic() - started
                self._context.recorder.observe(metric, elapsed * 1000)
        return answer

    def _handler(self, method: Method[Q, R]) -> Callable[[Q], Awaitable[R]]:
        handler: Callable[[Q], Awaitable[Any]] = self._handlers[method.name]
        return handler


def _wants_leader(method: Method[Any, Any], request: Request) -> bool:
    match method.access:
        case Access.LOCAL:
            return False
        case Access.READ:
            return not request.allow_stale or method is m.OPERATOR_SERVER_HEALTH
        case _:
            return True

"""The RPC network of the simulated agents: real requests and the real server's end, over links that can be cut.

As gRPC behaves with the agent's settings: a process that is gone refuses at once; one that is paused or cut off lets a
call wait to its deadline, and once its connection has been silent for as long as the keepalive allows, there is no
connection to send anything over. A call that was sent and not answered is told apart from one that was not sent.
"""

import asyncio
import logging

from agent.errors import UnknownOutcome, Unreachable
from agent.rpc import wire
from agent.rpc.client import _CHANGES, PING_INTERVAL_SECONDS, PING_TIMEOUT_SECONDS, _lost, waiting_seconds
from agent.rpc.methods import METHODS
from agent.rpc.service import RpcServer

LATENCY_SECONDS = 0.001

KEEPALIVE_SECONDS = PING_INTERVAL_SECONDS + PING_TIMEOUT_SECONDS
"""A ping after some silence and the time for its answer, as `agent.rpc.client` configures gRPC."""

CONNECT_SECONDS = 1.0
"""How long one attempt to connect takes when nobody answers: gRPC's minimum back-off as the agent sets it."""


class Call:
    """A request under way; *answered* is the caller's future: bytes, or the error to raise."""

    def __init__(self, source, target, method, data, loop):
        self.source, self.target, self.method, self.data = source, target, method, data
        self._loop = loop
        self.answered = loop.create_future()

    def answer(self, outcome):
        self._loop.call_soon_threadsafe(self._set, outcome)

    def lose(self):
        """Say that the connection broke after the request was sent."""
        self.answer(lost(self.method, self.target))

    def _set(self, outcome):
        if not self.answered.done():
            self.answered.set_result(outcome)


class SimWire:
    """What one process calls others with; stands where `agent.rpc.client.RpcClient` does."""

    def __init__(self, world, process):
        self._world, self._process = world, process

    async def call(self, address, method, request, timeout_seconds):
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        target = address.partition(":")[0]
        await self._connect(target, timeout_seconds)
        call = Call(self._process.name, target, method, wire.encode(request), loop)
        self._world.carry(call)
        try:
            async with asyncio.timeout_at(deadline + waiting_seconds(request)):
                outcome = await call.answered
        except TimeoutError as error:
            raise lost(method, address) from error
        finally:
            self._world.forget(call)
        if isinstance(outcome, Exception):
            raise outcome
        return wire.decode(method.response, outcome)

    def is_connected(self, address):
        target = address.partition(":")[0]
        silent = self._world.silent_seconds(self._process.name, target)
        # A connection whose far side fell silent is there until its keepalive is not answered.
        return not self._process.gone and silent < KEEPALIVE_SECONDS and (self._world.answers(target) or silent > 0)

    async def close(self):
        """Nothing is open: connections are the world's."""

    async def _connect(self, target, timeout_seconds):
        source = self._process.name
        silent = self._world.silent_seconds(source, target)
        if self._process.gone or (not self._world.answers(target) and not silent):
            await asyncio.sleep(LATENCY_SECONDS)
            raise Unreachable(f"{target}: connection refused")
        if silent >= KEEPALIVE_SECONDS or not self._world.answers(target):
            await asyncio.sleep(min(CONNECT_SECONDS, timeout_seconds))
            raise Unreachable(f"{target}: no connection")


class SimListener:
    """Where calls of others arrive: the handlers of the real `RpcServer`, without its port."""

    def __init__(self, dispatcher, recorder, process):
        self._server = RpcServer("", 0, dispatcher, recorder, logging.getLogger("sim.rpc"))
        self._process = process
        self._handlers = {name: self._server._handler(method) for name, method in METHODS.items()}

    async def start(self):
        self._process.listener = self

    async def stop(self, grace_seconds):
        self._process.listener = None

    @property
    def bugs(self):
        """How many calls failed by a bug."""
        return self._server.stats()["errors"]

    async def serve(self, call, respond):
        """Carry *call* out and hand its answer to *respond*."""
        try:
            respond(await self._handlers[call.method.name](call.data, _Context(call.source)))
        except _AbortedError as aborted:
            body = next((value for key, value in aborted.metadata if key == wire.ERROR_KEY), None)
            bug = _lost(call.method, f"{call.target}: {call.method.name}: internal error")
            respond(bug if body is None else wire.decode_error(body))


class _AbortedError(Exception):
    def __init__(self, metadata):
        super().__init__("aborted")
        self.metadata = metadata


class _Context:
    """What a handler asks of gRPC."""

    def __init__(self, peer):
        self._peer = peer

    def peer(self):
        return f"ipv4:{self._peer}"

    async def abort(self, code, message, metadata):
        raise _AbortedError(metadata)


def lost(method, address):
    """Return what a request without an answer means to its caller: of a write nobody knows whether it was done."""
    text = f"{address}: {method.name}: no answer"
    return UnknownOutcome(text) if method.access in _CHANGES else Unreachable(text)

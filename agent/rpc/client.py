"""The caller's end of the wire: one call to one address, with a deadline and an honest failure.

A call is sent only over a connection that is ready, so that "could not be reached" (nothing was done there) and
"the answer is lost" (something may have been done) are told apart by what happened and not by the text of an error.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Coroutine
from typing import Any, TypeVar

import grpc
import grpc.aio

from agent.errors import Overloaded, RequestRefused, UnknownOutcome, Unreachable
from agent.rpc import wire
from agent.rpc.credentials import NAME_OPTION, channel_credentials
from agent.rpc.look import TlsRefused, look
from agent.rpc.methods import Access, EvalDequeueRequest, Method, Request, Response
from agent.tls.contexts import Tls, TlsKeeper
from agent.tls.refusals import Refusals
from telemetry.recorder import Recorder

Q = TypeVar("Q", bound=Request)
R = TypeVar("R", bound=Response)

CHANNELS_MAX = 64
"""Addresses with an open channel; the one unused for longest is closed first. A cluster has a handful of servers."""

CLOSE_GRACE_SECONDS = 30.0
"""What calls still in flight on a channel that is closed for another get."""

RENEW_GRACE_SECONDS = 330.0
"""What calls get that are in flight when certificates are renewed: the longest blocking query, with its jitter."""

LOOK_SECONDS = 3.0
"""How long finding out about a server's certificate may take."""

EXPLAIN_SECONDS = 10.0
"""How often at most it is found out why there is no connection to a server."""

WAIT_JITTER = 1 / 16
"""Part of a blocking query's wait that a server may add. Source: Nomad, nomad/rpc.go, JitterFraction."""

PING_INTERVAL_SECONDS = 2.0
"""After so long a silence of a server it is asked whether it is there, by gRPC's own ping."""

PING_TIMEOUT_SECONDS = 3.0
"""How long the answer to a ping may take. A server that is paused counts as connected for the sum of both at most: no
longer than Prometheus takes to miss it, for alerts weigh the one against the other."""

_OPTIONS = (
    ("grpc.max_receive_message_length", wire.MESSAGE_SIZE_MAX),
    ("grpc.max_send_message_length", wire.MESSAGE_SIZE_MAX),
    # Fail-over takes tenths of a second: gRPC's own back-off (1 s growing to 120 s) would hide a server that is back.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # gRPC takes its "minimum back-off" for the time one attempt to connect may take: a stopped process still accepts.
    ("grpc.min_reconnect_backoff_ms", 1_000),
    # A connection on which nothing comes back is given up, also when only a blocking query waits on it.
    ("grpc.keepalive_time_ms", int(PING_INTERVAL_SECONDS * 1_000)),
    ("grpc.keepalive_timeout_ms", int(PING_TIMEOUT_SECONDS * 1_000)),
    # Without it the ping waits 60 s for its answer, and for ever while calls go on being made (grpcio 1.85, measured).
    ("grpc.http2.ping_timeout_ms", int(PING_TIMEOUT_SECONDS * 1_000)),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.client_idle_timeout_ms", 600_000),
    # Each client its own connections: a shared pool would share one's back-off with all in the process.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
)

_CHANGES = frozenset({Access.WRITE, Access.LEADER_LOCAL})
"""What may have changed something although its answer is lost; a dequeue does, too."""


class RpcClient:
    """Connections to servers by address (host:port); belongs to one event loop."""

    def __init__(self, recorder: Recorder, logger: logging.Logger, tls: TlsKeeper | None = None) -> None:
        """Call nobody yet; without *tls* in plain text, with it only servers that prove to be one."""
        self._recorder = recorder
        self._logger = logger
        self._tls = tls
        self._refusals = Refusals("rpc: no connection to", logger)
        self._explained: dict[str, float] = {}
        if tls is not None:
            tls.on_change(self.renew)
        self._channels: OrderedDict[str, grpc.aio.Channel] = OrderedDict()
        self._background: set[asyncio.Task[None]] = set()

    def stats(self) -> dict[str, int]:
        """Return `channels`: addresses with an open channel."""
        return {"channels": len(self._channels)}

    def is_connected(self, address: str) -> bool:
        """Say whether a connection to *address* is ready; one whose far side fell silent is until its keepalive."""
        channel = self._channels.get(address)
        return channel is not None and channel.get_state() is grpc.ChannelConnectivity.READY

    async def call(self, address: str, method: Method[Q, R], request: Q, timeout_seconds: float) -> R:
        """Return the answer of the server at *address*.

        *timeout_seconds* covers connecting and answering, on top of what the request itself asks the server to wait.
        Raises what the far side raised; Unreachable when no connection could be had, or when a read was not answered;
        UnknownOutcome when a write was sent and not answered; Overloaded and RequestRefused when the far side's gRPC
        refused the call before anything was done.
        """
        data = wire.encode(request)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        channel = await self._channel(address, deadline)
        try:
            await _connected(channel, address, method, deadline)
        except Unreachable:
            self._explain(address)
            raise
        invoke = channel.unary_unary(wire.path_of(method.name))
        left = max(deadline - loop.time(), 0.001) + waiting_seconds(request)
        try:
            answer = await invoke(data, timeout=left)
        except grpc.aio.AioRpcError as error:
            raise _translated(error, address, method) from error
        try:
            return wire.decode(method.response, answer)
        except RequestRefused as error:
            raise _lost(method, f"{address}: {method.name}: {error}") from error

    async def close(self) -> None:
        """Close all connections; calls in flight fail."""
        for task in self._background:
            task.cancel()
        channels, self._channels = self._channels, OrderedDict()
        for channel in channels.values():
            await channel.close(grace=None)

    def renew(self) -> None:
        """Use new certificates: calls in flight end on the connections they have, the next ones find new ones ready."""
        renewed, self._channels = self._channels, OrderedDict()
        for address, channel in renewed.items():
            self._retire(address, channel, RENEW_GRACE_SECONDS)
            self._spawn(self._prepare(address), f"rpc-renew-{address}")

    async def _prepare(self, address: str) -> None:
        """Begin to connect to *address*."""
        try:
            channel = await self._channel(address, asyncio.get_running_loop().time() + LOOK_SECONDS)
        except Unreachable:
            return  # the next call says so
        channel.get_state(try_to_connect=True)

    async def _channel(self, address: str, deadline: float) -> "grpc.aio.Channel":
        """Return the channel to *address*, a new one where there is none; raises Unreachable as `look` does."""
        channel = self._channels.get(address)
        if channel is None and self._tls is not None and not self._tls.current.settings.verify_server_hostname:
            name = await self._name_of(address, self._tls.current, deadline)
            channel = self._channels.get(address) or self._open(address, name)
        elif channel is None:
            channel = self._open(address, self._tls.current.server_name if self._tls is not None else "")
        self._channels.move_to_end(address)
        return channel

    async def _name_of(self, address: str, tls: Tls, deadline: float) -> str:
        """Return whatever name the server at *address* has: gRPC wants one to compare with."""
        loop = asyncio.get_running_loop()
        try:
            return await look(address, tls, max(deadline - loop.time(), 0.001))
        except TlsRefused as error:
            self._refusals.tell(loop.time(), address, error.reason)
            raise

    def _open(self, address: str, server_name: str) -> "grpc.aio.Channel":
        if self._tls is None:
            channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        else:
            credentials = channel_credentials(self._tls.current)
            channel = grpc.aio.secure_channel(address, credentials, options=(*_OPTIONS, (NAME_OPTION, server_name)))
        self._channels[address] = channel
        if len(self._channels) > CHANNELS_MAX:
            self._retire(*self._channels.popitem(last=False), CLOSE_GRACE_SECONDS)
        return channel

    def _explain(self, address: str) -> None:
        """Find out why there is no connection, and say so where certificates are the reason: gRPC does not."""
        if self._tls is None:
            return
        now = asyncio.get_running_loop().time()
        if now - self._explained.get(address, -EXPLAIN_SECONDS) < EXPLAIN_SECONDS:
            return
        if len(self._explained) > CHANNELS_MAX:
            self._explained.clear()
        self._explained[address] = now
        if not self._tls.current.settings.verify_server_hostname:
            # The server may have another name by now.
            channel = self._channels.pop(address, None)
            if channel is not None:
                self._retire(address, channel, CLOSE_GRACE_SECONDS)
        self._spawn(self._look_why(address, self._tls.current), f"rpc-look-{address}")

    async def _look_why(self, address: str, tls: Tls) -> None:
        try:
            await look(address, tls, LOOK_SECONDS)
        except TlsRefused as error:
            self._refusals.tell(asyncio.get_running_loop().time(), address, error.reason)
        except Unreachable:
            return  # nothing to do with certificates: whoever called is told

    def _retire(self, address: str, channel: "grpc.aio.Channel", grace_seconds: float) -> None:
        self._spawn(channel.close(grace=grace_seconds), f"rpc-close-{address}")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


async def _connected(channel: "grpc.aio.Channel", address: str, method: Method[Any, Any], deadline: float) -> None:
    """Wait until *channel* is ready; raises Unreachable as soon as an attempt has failed, or at *deadline*."""
    state = channel.get_state(try_to_connect=True)
    if state is grpc.ChannelConnectivity.READY:
        return
    try:
        async with asyncio.timeout_at(deadline):
            while state is not grpc.ChannelConnectivity.READY:
                if state in {grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN}:
                    raise Unreachable(f"{address}: no connection for {method.name}")
                await channel.wait_for_state_change(state)
                state = channel.get_state(try_to_connect=True)
    except TimeoutError as error:
        raise Unreachable(f"{address}: not connected within the deadline of {method.name}") from error


def _translated(error: "grpc.aio.AioRpcError", address: str, method: Method[Any, Any]) -> Exception:
    """Return what *error*, which came after the call was sent, means to the caller."""
    body = next((value for key, value in error.trailing_metadata() or () if key == wire.ERROR_KEY), None)
    if isinstance(body, bytes):
        return wire.decode_error(body)
    text = f"{address}: {method.name}: {error.details() or error.code().name.lower()}"
    match error.code():
        case grpc.StatusCode.UNIMPLEMENTED:
            return RequestRefused(f"{address}: unknown method {method.name}", 501)
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return Overloaded(text)
        case grpc.StatusCode.INTERNAL:
            return _lost(method, text)
        case _:
            return UnknownOutcome(text) if method.access in _CHANGES else Unreachable(text)


def _lost(method: Method[Any, Any], text: str) -> Exception:
    """Return what a bug at the far side means: asking another server would only meet it again."""
    return UnknownOutcome(text) if method.access in _CHANGES else RequestRefused(text, 500)


def waiting_seconds(request: Request) -> float:
    """Return how long *request* itself asks the server to wait before it answers, jitter included."""
    if isinstance(request, EvalDequeueRequest):
        return request.timeout_seconds
    if request.min_query_index > 0:
        return request.max_query_time_seconds * (1 + WAIT_JITTER)
    return 0.0

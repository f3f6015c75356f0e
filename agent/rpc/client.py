"""The caller's end of the wire: one call to one address, with a deadline and an honest failure.

A call is sent only over a connection that is ready, so that "could not be reached" (nothing was done there) and
"the answer is lost" (something may have been done) are told apart by what happened and not by the text of an error.
"""

import asyncio
import logging
from collections import OrderedDict
from typing import Any, TypeVar

import grpc
import grpc.aio

from agent.errors import Overloaded, RequestRefused, UnknownOutcome, Unreachable
from agent.rpc import wire
from agent.rpc.methods import Access, EvalDequeueRequest, Method, Request, Response
from telemetry.recorder import Recorder

Q = TypeVar("Q", bound=Request)
R = TypeVar("R", bound=Response)

CHANNELS_MAX = 64
"""Addresses with an open channel; the one unused for longest is closed first. A cluster has a handful of servers."""

CLOSE_GRACE_SECONDS = 30.0
"""What calls still in flight on a channel that is closed for another get."""

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

    def __init__(
        self, recorder: Recorder, logger: logging.Logger, credentials: grpc.ChannelCredentials | None = None
    ) -> None:
        self._recorder = recorder
        self._logger = logger
        self._credentials = credentials
        self._channels: OrderedDict[str, grpc.aio.Channel] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()

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
        channel = self._channel(address)
        await _connected(channel, address, method, deadline)
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
        for task in self._closing:
            task.cancel()
        channels, self._channels = self._channels, OrderedDict()
        for channel in channels.values():
            await channel.close(grace=None)

    def _channel(self, address: str) -> "grpc.aio.Channel":
        channel = self._channels.get(address)
        if channel is None:
            if self._credentials is None:
                channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
            else:
                channel = grpc.aio.secure_channel(address, self._credentials, options=_OPTIONS)
            self._channels[address] = channel
            if len(self._channels) > CHANNELS_MAX:
                self._retire(*self._channels.popitem(last=False))
        self._channels.move_to_end(address)
        return channel

    def _retire(self, address: str, channel: "grpc.aio.Channel") -> None:
        task = asyncio.create_task(channel.close(grace=CLOSE_GRACE_SECONDS), name=f"rpc-close-{address}")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


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

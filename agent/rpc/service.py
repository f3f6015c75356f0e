"""The server's end of the wire: takes calls over gRPC and hands them to a dispatcher.

One generic handler serves every method in `METHODS`; there are no generated stubs. How long a call took is measured
where it is carried out, not here. With TLS, who calls is known from the handshake, and whether it may call what it calls
is decided before the call is decoded.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import grpc
import grpc.aio

from agent.errors import ConfigError, OutriderError, RequestRefused
from agent.rpc import wire
from agent.rpc.caller import Dispatcher
from agent.rpc.credentials import names_of_peer, refusal, server_credentials
from agent.rpc.methods import METHODS, Access, Method
from agent.tls.contexts import TlsKeeper
from agent.tls.identity import is_server
from agent.tls.refusals import Refusals
from telemetry.catalogue import rpc as catalogue
from telemetry.catalogue.metric import Metric
from telemetry.recorder import Recorder

CALLS_MAX = 16_384
"""Calls in flight, blocking queries among them; one more is answered RESOURCE_EXHAUSTED, which callers see as Overloaded."""

PING_INTERVAL_MIN_MS = 1_000
"""Peers may ping this often without being taken for an attack; callers do so every 2 s."""

_OPTIONS = (
    ("grpc.max_receive_message_length", wire.MESSAGE_SIZE_MAX),
    ("grpc.max_send_message_length", wire.MESSAGE_SIZE_MAX),
    # Two agents on one port must be an error: with SO_REUSEPORT each would get half of the calls.
    ("grpc.so_reuseport", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", PING_INTERVAL_MIN_MS),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", PING_INTERVAL_MIN_MS),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_time_ms", 15_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)

_RATES: dict[str, Metric] = {
    "Alloc.List": catalogue.RPC_ALLOC_LIST,
    "Alloc.GetAlloc": catalogue.RPC_ALLOC_READ,
    "Alloc.GetAllocs": catalogue.RPC_ALLOC_READ,
    "Eval.List": catalogue.RPC_EVAL_LIST,
    "Eval.Count": catalogue.RPC_EVAL_LIST,
    "Eval.Allocations": catalogue.RPC_EVAL_LIST,
    "Eval.GetEval": catalogue.RPC_EVAL_READ,
    "Eval.Dequeue": catalogue.RPC_EVAL_WRITE,
    "Eval.Ack": catalogue.RPC_EVAL_WRITE,
    "Eval.Nack": catalogue.RPC_EVAL_WRITE,
    "Eval.Update": catalogue.RPC_EVAL_WRITE,
    "Eval.Create": catalogue.RPC_EVAL_WRITE,
    "Eval.Reblock": catalogue.RPC_EVAL_WRITE,
    "Job.List": catalogue.RPC_JOB_LIST,
    "Job.GetJob": catalogue.RPC_JOB_READ,
    "Job.Summary": catalogue.RPC_JOB_READ,
    "Job.Allocations": catalogue.RPC_JOB_LIST,
    "Job.Evaluations": catalogue.RPC_JOB_LIST,
    "Job.GetJobVersions": catalogue.RPC_JOB_READ,
    "Job.Validate": catalogue.RPC_JOB_READ,
    "Job.ScaleStatus": catalogue.RPC_JOB_READ,
    "Job.Register": catalogue.RPC_JOB_WRITE,
    "Job.Deregister": catalogue.RPC_JOB_WRITE,
    "Namespace.ListNamespaces": catalogue.RPC_NAMESPACE_LIST,
    "NodePool.List": catalogue.RPC_NODE_POOL_LIST,
    "Search.PrefixSearch": catalogue.RPC_SEARCH_LIST,
    "Node.List": catalogue.RPC_NODE_LIST,
    "Node.GetNode": catalogue.RPC_NODE_READ,
    "Node.GetAllocs": catalogue.RPC_NODE_LIST,
    "Node.GetClientAllocs": catalogue.RPC_NODE_LIST,
    "Node.Register": catalogue.RPC_NODE_WRITE,
    "Node.UpdateStatus": catalogue.RPC_NODE_WRITE,
    "Node.UpdateAlloc": catalogue.RPC_NODE_WRITE,
    "Node.UpdateDrain": catalogue.RPC_NODE_WRITE,
    "Node.UpdateEligibility": catalogue.RPC_NODE_WRITE,
    "Operator.AutopilotGetConfiguration": catalogue.RPC_OPERATOR_READ,
    "Operator.RaftGetConfiguration": catalogue.RPC_OPERATOR_READ,
    "Operator.ServerHealth": catalogue.RPC_OPERATOR_READ,
    "Operator.SnapshotSave": catalogue.RPC_OPERATOR_READ,
    "Operator.AutopilotSetConfiguration": catalogue.RPC_OPERATOR_WRITE,
    "Operator.RaftRemovePeer": catalogue.RPC_OPERATOR_WRITE,
    "Operator.SnapshotStage": catalogue.RPC_OPERATOR_WRITE,
    "Operator.SnapshotRestore": catalogue.RPC_OPERATOR_WRITE,
    "Operator.TransferLeadershipToPeer": catalogue.RPC_OPERATOR_WRITE,
    "Plan.Submit": catalogue.RPC_PLAN_WRITE,
    "Status.Leader": catalogue.RPC_STATUS_READ,
    "Status.Ping": catalogue.RPC_STATUS_READ,
    "Status.Peers": catalogue.RPC_STATUS_LIST,
    "Status.Members": catalogue.RPC_STATUS_LIST,
}
"""Which rate a call belongs to: each call has one. Source: Nomad, nomad/*_endpoint.go, MeasureRPCRate."""

_Handler = Callable[[bytes, Any], Awaitable[bytes]]


class RpcServer:
    """Listens for calls on one port; start() and stop() belong to one event loop."""

    def __init__(
        self,
        bind_host: str,
        port: int,
        dispatcher: Dispatcher,
        recorder: Recorder,
        logger: logging.Logger,
        tls: TlsKeeper | None = None,
    ) -> None:
        """Prepare to listen on *bind_host* and *port* (0: one that is free); without *tls* in plain text."""
        self._bind_host = bind_host
        self._port = port
        self._dispatcher = dispatcher
        self._recorder = recorder
        self._logger = logger
        self._tls = tls
        self._refusals = Refusals("rpc: refused a call from", logger)
        self._server: grpc.aio.Server | None = None
        self._errors = 0

    @property
    def port(self) -> int:
        """The port that is listened on; before start() the one that was asked for."""
        return self._port

    def stats(self) -> dict[str, int]:
        """Return `errors`: calls that failed by a bug, since the start."""
        return {"errors": self._errors}

    async def start(self) -> None:
        """Listen; raises ConfigError when the address cannot be had."""
        server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=CALLS_MAX)
        server.add_generic_rpc_handlers((_Methods(self._handler),))
        address = join_host_port(self._bind_host, self._port)
        try:
            if self._tls is None:
                self._port = server.add_insecure_port(address)
            else:
                self._port = server.add_secure_port(address, server_credentials(self._tls))
        except RuntimeError as error:
            raise ConfigError(
                f"ports.rpc: cannot listen on {address}; another process may hold it: choose another port or stop that process"
            ) from error
        await server.start()
        self._server = server

    async def stop(self, grace_seconds: float) -> None:
        """Refuse new calls, give those in flight *grace_seconds*, then cancel them."""
        if self._server is not None:
            await self._server.stop(grace_seconds)
            self._server = None

    def _handler(self, method: Method[Any, Any]) -> _Handler:
        rate = _RATES.get(method.name)

        async def handle(data: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
            self._recorder.add(catalogue.RPC_REQUEST)
            if method.access is Access.READ:
                self._recorder.add(catalogue.RPC_QUERY)
            if rate is not None:
                self._recorder.add(rate)
            try:
                names = names_of_peer(context.auth_context()) if self._tls is not None else ()
                self._admit(method, names, context.peer())
                request = wire.decode(method.request, data)
                if request.forwarded:
                    self._admit_forwarded(names, context.peer())
                response = await self._dispatcher.dispatch(method, request, peer_of(context.peer()))
                return wire.encode(response)
            except OutriderError as error:
                code, body = wire.encode_error(error)
                await _abort(context, code, str(error), ((wire.ERROR_KEY, body),))
            except Exception:  # the root of a call: a bug must not take the server down, nor be taken for an answer
                self._errors += 1
                self._logger.exception("rpc failed: method=%s peer=%s", method.name, context.peer())
                message = f"{method.name}: internal error, see the server's log"
                await _abort(context, grpc.StatusCode.INTERNAL, message, ())

        return handle

    def _admit(self, method: Method[Any, Any], names: tuple[str, ...], peer: str) -> None:
        """Raise RequestRefused (403) when a caller with a certificate for *names* may not call *method*."""
        if self._tls is not None:
            self._refuse(refusal(self._tls.current, names, method), peer)

    def _admit_forwarded(self, names: tuple[str, ...], peer: str) -> None:
        """Only a server passes on what another asked."""
        if self._tls is None or not self._tls.current.settings.verify_server_hostname:
            return
        if not is_server(names, self._tls.current.region):
            self._refuse("it forwards a request, and its certificate is no server's", peer)

    def _refuse(self, reason: str, peer: str) -> None:
        if reason:
            self._refusals.tell(asyncio.get_running_loop().time(), peer_of(peer), reason)
            raise RequestRefused(f"Permission denied: {reason}", 403)


class _Methods(grpc.GenericRpcHandler):  # type: ignore[misc] # grpc ships no types
    """Finds the handler of a path among `METHODS`; anything else is UNIMPLEMENTED."""

    def __init__(self, make: Callable[[Method[Any, Any]], _Handler]) -> None:
        self._handlers = {
            wire.path_of(method.name): grpc.unary_unary_rpc_method_handler(make(method)) for method in METHODS.values()
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """Return the handler, or None."""
        return self._handlers.get(handler_call_details.method)


async def _abort(
    context: Any, code: grpc.StatusCode, message: str, metadata: tuple[tuple[str, bytes], ...]
) -> NoReturn:
    await context.abort(code, message[: wire.ERROR_TEXT_MAX], metadata)
    raise AssertionError("abort raises")


def peer_of(peer: str) -> str:
    """Return host:port of gRPC's *peer*, which looks like `ipv4:127.0.0.1:5000` or `ipv6:%5B::1%5D:5000`."""
    return peer.partition(":")[2].replace("%5B", "[").replace("%5D", "]")


def join_host_port(host: str, port: int) -> str:
    """Return `host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

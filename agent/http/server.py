"""The HTTP server of an agent: listens, routes, and turns answers and errors into what Nomad would send."""

import asyncio
import errno
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from agent.errors import ConfigError, OutriderError, RequestRefused
from agent.http import (
    agent,
    allocations,
    autopilot,
    evaluations,
    jobs,
    metrics,
    names,
    nodes,
    operator,
    pages,
    snapshots,
    status,
)
from agent.http.api import AgentApi
from agent.http.failures import INVALID_METHOD, failure_reply
from agent.http.guard import Door, HttpLimits
from agent.http.reply import JSON, Handler, Reply, Route, indented, text_reply
from agent.tls.contexts import TlsKeeper
from agent.tls.refusals import Refusals
from telemetry.recorder import Recorder

ROUTES: tuple[Route, ...] = (
    *agent.ROUTES, *status.ROUTES, *names.ROUTES, *nodes.ROUTES, *jobs.ROUTES, *allocations.ROUTES, *evaluations.ROUTES,
    *operator.ROUTES, *autopilot.ROUTES, *snapshots.ROUTES, *metrics.ROUTES, *pages.ROUTES,
)  # fmt: skip

GZIP_BYTES_MIN = 1024
"""Below this a compressed body saves less than it costs."""

STOP_TIMEOUT_SECONDS = 2.0
"""For requests under way when the server stops; blocking queries are cut off."""

_Next = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HttpServer:
    """Serves /v1 of one agent on one address.

    `start` raises ConfigError when the address cannot be listened on. With *tls* every connection is TLS. `port` is the port in use, for a server that
    asked for port 0.
    """

    def __init__(
        self,
        api: AgentApi,
        host: str,
        port: int,
        recorder: Recorder,
        logger: logging.Logger,
        *,
        limits: HttpLimits | None = None,
        tls: TlsKeeper | None = None,
    ) -> None:
        self._api = api
        self._host = host
        self._wanted_port = port
        self._recorder = recorder
        self._logger = logger
        self._limits = limits or HttpLimits()
        self._tls = tls
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None
        self._door: Door | None = None
        self._writes: set[asyncio.Task[Reply]] = set()
        self._blocking: set[asyncio.Task[Any]] = set()

    @property
    def port(self) -> int:
        """The port in use; the one asked for when the server is not started."""
        if self._listener is None or not self._listener.sockets:
            return self._wanted_port
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return self._door.connections if self._door is not None else 0

    def emit(self) -> None:
        """Write this server's gauges to the recorder; for the collection loop."""
        if self._door is not None:
            self._door.emit()

    async def start(self) -> None:
        """Listen. Raises ConfigError that names the address and the remedy."""
        runner = web.AppRunner(
            self._application(),
            handle_signals=False,
            access_log=None,
            logger=_ServerLog(self._logger),
            keepalive_timeout=self._limits.keepalive_timeout_seconds,
            # A blocking query whose reader is gone must not wait out its five minutes; writes are shielded below.
            handler_cancellation=True,
            shutdown_timeout=STOP_TIMEOUT_SECONDS,
        )
        await runner.setup()
        server = runner.server
        assert server is not None, "the runner was set up"
        self._door = Door(server, self._limits, self._recorder, self._logger, self._tls)
        try:
            self._listener = await asyncio.get_running_loop().create_server(
                self._door, self._host, self._wanted_port, reuse_address=True
            )
        except OSError as error:
            await runner.cleanup()
            raise ConfigError(self._listen_message(error)) from error
        self._runner = runner
        self._door.emit()

    async def stop(self) -> None:
        """Stop listening, give requests under way a moment, and close every connection. Harmless when not started."""
        if self._listener is not None:
            self._listener.close()
        if self._door is not None:
            self._door.close()
        for task in self._blocking:
            task.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._writes:
            await asyncio.wait(self._writes, timeout=STOP_TIMEOUT_SECONDS)
        self._listener = self._runner = None

    def _listen_message(self, error: OSError) -> str:
        address = f"{self._host}:{self._wanted_port}"
        match error.errno:
            case errno.EADDRINUSE:
                return (
                    f"HTTP address {address} is already in use; stop the process that has it, or choose another port "
                    "with ports { http = ... } in the configuration"
                )
            case errno.EACCES:
                return f"HTTP address {address}: this user may not listen there; choose a port above 1023"
            case _:
                return f"HTTP address {address}: cannot listen: {error.strerror or error}; check bind_addr and ports"

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._answer], client_max_size=self._limits.body_bytes_max)
        for route in ROUTES:
            application.router.add_route("*", route.path, self._endpoint(route))
        application.on_response_prepare.append(_hide_software)
        return application

    def _endpoint(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Return what aiohttp calls for *route*."""

        async def endpoint(request: web.Request) -> web.StreamResponse:
            handler = route.handlers.get(request.method)
            if handler is None:
                raise RequestRefused(INVALID_METHOD, 405)
            _refuse_foreign_page(request)
            reply = await self._carry_out(handler, request)
            return _response(request, reply)

        return endpoint

    async def _carry_out(self, handler: Handler, request: web.Request) -> Reply:
        """Run *handler*; a write goes on when its sender hangs up, as its outcome is under way already."""
        if request.method == "GET":
            return await self._read(handler, request)
        task = asyncio.ensure_future(handler(self._api, request))
        self._writes.add(task)
        task.add_done_callback(self._write_done)
        return await asyncio.shield(task)

    async def _read(self, handler: Handler, request: web.Request) -> Reply:
        """Run a read; one that blocks is remembered, so that stopping need not wait for it."""
        task = asyncio.current_task()
        if task is None or "index" not in request.query:
            return await handler(self._api, request)
        self._blocking.add(task)
        try:
            return await handler(self._api, request)
        finally:
            self._blocking.discard(task)

    def _write_done(self, task: asyncio.Task[Reply]) -> None:
        self._writes.discard(task)
        if not task.cancelled():
            # Read, so that asyncio does not complain when nobody is left to be told.
            task.exception()

    @web.middleware
    async def _answer(self, request: web.Request, handler: _Next) -> web.StreamResponse:
        """Be the root of every request: whatever is raised becomes an answer."""
        assert self._door is not None, "requests come in through the door"
        self._door.request_began(request.transport)
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            response = await self._guarded(request, handler)
        finally:
            self._door.request_ended(request.transport)
        milliseconds = (loop.time() - began) * 1000
        self._logger.debug(
            "request complete: method=%s path=%s status=%d duration=%.3fms",
            request.method, request.rel_url.path, response.status, milliseconds,
        )  # fmt: skip
        return response

    async def _guarded(self, request: web.Request, handler: _Next) -> web.StreamResponse:
        try:
            return await handler(request)
        except OutriderError as error:
            return _response(request, failure_reply(error))
        except web.HTTPNotFound:
            return _response(request, Reply(b"", 404, ""))
        except web.HTTPRequestEntityTooLarge:
            limit = self._limits.body_bytes_max
            return _response(request, text_reply(f"the body is larger than {limit} bytes", 413))
        except web.HTTPException as error:
            return _response(request, text_reply(error.reason, error.status))
        except web.RequestPayloadError as error:
            # Bytes that are not in the Content-Encoding or the chunks that their headers promised.
            return _response(request, text_reply(f"the body cannot be read: {_first_line(error)}", 400))
        except Exception:
            self._logger.exception("request failed: method=%s path=%s", request.method, request.rel_url.path)
            return _response(request, text_reply("internal error; the agent's log has the details", 500))


def _refuse_foreign_page(request: web.Request) -> None:
    """Refuse a write that a browser sends for a page of another origin: it could run a job on this machine."""
    origin = request.headers.get("Origin")
    if request.method != "GET" and origin is not None and urlsplit(origin).netloc != request.host:
        raise RequestRefused("a page of another origin may not write here", 403)


def _response(request: web.Request, reply: Reply) -> web.Response:
    """Put *reply* into aiohttp's words: pretty when asked, compressed when that pays."""
    if reply.parts is not None:
        return web.Response(
            body=reply.parts, status=reply.status, headers={"Content-Type": reply.content_type, **reply.headers}
        )
    body = reply.body
    if reply.content_type == JSON and request.query.get("pretty", "false") not in {"false", "0"}:
        body = indented(body)
    headers = {"Vary": "Accept-Encoding", **reply.headers}
    if reply.content_type:
        headers["Content-Type"] = reply.content_type
    response = web.Response(body=body, status=reply.status, headers=headers)
    if len(body) >= GZIP_BYTES_MIN and "gzip" in request.headers.get("Accept-Encoding", ""):
        response.enable_compression(web.ContentCoding.gzip)
    return response


def _first_line(error: Exception) -> str:
    """Return what *error* says in one line; aiohttp's own say a status first, and the reason in a line of its own."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in lines if line and not line.endswith("message:")), type(error).__name__)


class _ServerLog(logging.LoggerAdapter[logging.Logger]):
    """What aiohttp logs. Bytes that are no HTTP are no bug: a line a minute for each host and kind, without a traceback."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__(logger)
        self._refusals = Refusals("http: refused a request from", logger)

    def exception(self, msg: object, *args: object, exc_info: Any = True, **options: Any) -> None:
        """Log an error of aiohttp's own; its second argument is the host that asked."""
        error = exc_info if isinstance(exc_info, BaseException) else sys.exception()
        if isinstance(error, web.RequestPayloadError):
            return  # raised once more where the rest of a body is thrown away; its sender was told
        if isinstance(error, HttpProcessingError):
            reason = f"it is no HTTP: {type(error).__name__}"
            self._refusals.tell(asyncio.get_running_loop().time(), f"{args[0]}:*", reason)
            return
        super().exception(msg, *args, exc_info=exc_info, **options)


async def _hide_software(_request: web.Request, response: web.StreamResponse) -> None:
    """Leave out what aiohttp says of itself, and the type it gives to an empty body."""
    response.headers.pop("Server", None)
    if response.headers.get("Content-Type") == "application/octet-stream":
        response.headers.pop("Content-Type")

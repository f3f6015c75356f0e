"""The door of the HTTP API: counts connections, refuses too many, and drops those that never send a request.

aiohttp bounds neither. A connection that dribbles a header byte by byte would else stay as long as it likes; of the next
request on the same connection it would for as long as one without any. TLS begins behind the door, so that who never
finishes a handshake is counted and dropped as well.
Source: Nomad, command/agent/http.go (connlimit) and `limits.http_max_conns_per_client`.
"""

import asyncio
import logging
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from agent.tls.contexts import TlsKeeper
from agent.tls.reasons import reason_of
from agent.tls.refusals import Refusals
from telemetry.catalogue.http import CONNECTIONS
from telemetry.recorder import Recorder

_TOO_MANY = b"Your IP is issuing too many concurrent connections, please rate limit your calls\n"
_REFUSAL = (
    b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    + f"Content-Length: {len(_TOO_MANY)}\r\n\r\n".encode()
    + _TOO_MANY
)

SHUTDOWN_SECONDS = 2.0
"""What the far side of a TLS connection gets to say goodbye; asyncio would wait for half a minute."""


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Bounds on what strangers may cost. 0 connections a client means no such bound, as in Nomad's configuration."""

    connections_per_client_max: int = 100
    connections_max: int = 1000
    header_timeout_seconds: float = 10.0
    body_bytes_max: int = 4 * 1024 * 1024
    keepalive_timeout_seconds: float = 75.0


class Door:
    """Makes the protocol of each new connection, and knows all that are open."""

    def __init__(
        self,
        inner: Callable[[], asyncio.Protocol],
        limits: HttpLimits,
        recorder: Recorder,
        logger: logging.Logger,
        tls: TlsKeeper | None = None,
    ) -> None:
        """*tls* is asked at each connection; without it there is none."""
        self._inner = inner
        self.limits = limits
        self._recorder = recorder
        self._refusals = Refusals("http: refused a connection from", logger)
        self._tls = tls
        self._open: dict[asyncio.BaseTransport, GuardedConnection] = {}
        self._per_client: Counter[str] = Counter()
        self._handshakes: set[asyncio.Task[None]] = set()

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol for one connection; what asyncio calls at each accept."""
        return GuardedConnection(self, self._inner())

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._open)

    @property
    def tls_context(self) -> ssl.SSLContext | None:
        """What the next connection is secured with; None for plain text."""
        return self._tls.current.https_server if self._tls is not None else None

    def close(self) -> None:
        """Drop the connections that are in their handshake; the others are aiohttp's to close."""
        for task in self._handshakes:
            task.cancel()

    def handshake_began(self, task: "asyncio.Task[None]") -> None:
        """Keep *task* until it is done."""
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    def secured(self, plain: asyncio.BaseTransport, transport: asyncio.BaseTransport) -> None:
        """Know the connection on *plain* by *transport* from now on, as aiohttp does."""
        self._open[transport] = self._open.pop(plain)

    def refused(self, address: str, reason: str) -> None:
        """Tell that a handshake with *address* failed."""
        self._refusals.tell(asyncio.get_running_loop().time(), address, reason)

    def enter(self, connection: "GuardedConnection", transport: asyncio.BaseTransport, client: str) -> bool:
        """Admit *connection* from *client*, or return False when there are too many."""
        per_client = self.limits.connections_per_client_max
        if len(self._open) >= self.limits.connections_max or 0 < per_client <= self._per_client[client]:
            return False
        self._open[transport] = connection
        self._per_client[client] += 1
        self.emit()
        return True

    def leave(self, transport: asyncio.BaseTransport, client: str) -> None:
        """Forget a connection that was admitted."""
        del self._open[transport]
        self._per_client[client] -= 1
        if not self._per_client[client]:
            del self._per_client[client]
        self.emit()

    def request_began(self, transport: asyncio.BaseTransport | None) -> None:
        """Note that a whole header arrived on *transport*."""
        connection = self._open.get(transport) if transport is not None else None
        if connection is not None:
            connection.stop_header_timer()

    def request_ended(self, transport: asyncio.BaseTransport | None) -> None:
        """Note that the request on *transport* has its answer, so that what comes next is another header."""
        connection = self._open.get(transport) if transport is not None else None
        if connection is not None:
            connection.await_header()

    def emit(self) -> None:
        """Write the number of open connections to the recorder; the series expires unless this is called again."""
        self._recorder.set(CONNECTIONS, float(self.connections))


class GuardedConnection(asyncio.Protocol):
    """One connection: everything is passed to aiohttp's own protocol, once it is admitted and, with TLS, known."""

    def __init__(self, door: Door, inner: asyncio.Protocol) -> None:
        self._door = door
        self._inner = inner
        self._transport: asyncio.BaseTransport | None = None
        self._client = ""
        self._timer: asyncio.TimerHandle | None = None
        self._is_begun = False
        self._awaits_header = False
        self._early = b""
        """What asyncio decrypts before it says that the handshake is over."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the connection, or refuse it and close."""
        assert isinstance(transport, asyncio.Transport)
        peer = transport.get_extra_info("peername")
        self._client = str(peer[0]) if peer else ""
        context = self._door.tls_context
        if not self._door.enter(self, transport, self._client):
            if context is None:
                transport.write(_REFUSAL)
            transport.close()
            return
        self._transport = transport
        loop = asyncio.get_running_loop()
        self._start_header_timer()
        if context is None:
            self._begin(transport)
            return
        address = f"{self._client}:{peer[1]}" if peer else "unknown"
        self._door.handshake_began(loop.create_task(self._shake_hands(transport, context, address), name="http-tls"))

    async def _shake_hands(self, plain: asyncio.Transport, context: ssl.SSLContext, address: str) -> None:
        """Put TLS on *plain*, or close it and tell why."""
        loop = asyncio.get_running_loop()
        reason = "it closed the connection during the handshake"
        secured: asyncio.Transport | None = None
        try:
            secured = await loop.start_tls(
                plain,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=self._door.limits.header_timeout_seconds,
                ssl_shutdown_timeout=SHUTDOWN_SECONDS,
            )
        except OSError as error:  # TLS said no, the peer went away, or time is up
            reason = reason_of(error)
        finally:
            if secured is None and self._transport is not None:
                self._leave()
        if secured is None:
            plain.abort()
            self._door.refused(address, reason)
        elif self._transport is not None:
            self._door.secured(plain, secured)
            self._transport = secured
            self._begin(secured)

    def _begin(self, transport: asyncio.Transport) -> None:
        self._is_begun = True
        self._inner.connection_made(transport)
        if self._early:
            early, self._early = self._early, b""
            self._inner.data_received(early)

    def _leave(self) -> None:
        assert self._transport is not None
        self.stop_header_timer()
        self._door.leave(self._transport, self._client)
        self._transport = None

    def _start_header_timer(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._door.limits.header_timeout_seconds, self._header_is_late)

    def _header_is_late(self) -> None:
        transport = self._transport
        assert isinstance(transport, asyncio.Transport), "a connection that is gone has no timer"
        if transport.get_write_buffer_size():
            # The answer before is still on its way to a client that reads slowly.
            self._start_header_timer()
        else:
            transport.close()

    def await_header(self) -> None:
        """Give the next header the same time, from its first byte on."""
        self._awaits_header = True

    def stop_header_timer(self) -> None:
        """Let the connection live: its request has arrived."""
        self._awaits_header = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, if it was admitted."""
        if self._transport is None:
            return
        self._leave()
        if self._is_begun:
            self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass on what came."""
        if self._transport is None:
            return
        if self._awaits_header and self._timer is None:
            self._awaits_header = False
            self._start_header_timer()
        if self._is_begun:
            self._inner.data_received(data)
        else:
            self._early += data

    def eof_received(self) -> bool | None:
        """Pass on the end of what the client sends."""
        return self._inner.eof_received() if self._transport is not None and self._is_begun else None

    def pause_writing(self) -> None:
        """Pass on that the client reads slowly."""
        if self._transport is not None and self._is_begun:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that the client reads again."""
        if self._transport is not None and self._is_begun:
            self._inner.resume_writing()

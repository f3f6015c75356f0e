"""The door of the HTTP API: counts connections, refuses too many, and drops those that never send a request.

aiohttp bounds neither. A connection that dribbles a header byte by byte would else stay as long as it likes.
Source: Nomad, command/agent/http.go (connlimit) and `limits.http_max_conns_per_client`.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from telemetry.catalogue.http import CONNECTIONS
from telemetry.recorder import Recorder

_TOO_MANY = b"Your IP is issuing too many concurrent connections, please rate limit your calls\n"
_REFUSAL = (
    b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    + f"Content-Length: {len(_TOO_MANY)}\r\n\r\n".encode()
    + _TOO_MANY
)


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

    def __init__(self, inner: Callable[[], asyncio.Protocol], limits: HttpLimits, recorder: Recorder) -> None:
        self._inner = inner
        self.limits = limits
        self._recorder = recorder
        self._open: dict[asyncio.BaseTransport, GuardedConnection] = {}
        self._per_client: Counter[str] = Counter()

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol for one connection; what asyncio calls at each accept."""
        return GuardedConnection(self, self._inner())

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._open)

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

    def emit(self) -> None:
        """Write the number of open connections to the recorder; the series expires unless this is called again."""
        self._recorder.set(CONNECTIONS, float(self.connections))


class GuardedConnection(asyncio.Protocol):
    """One connection: everything is passed to aiohttp's own protocol, once it is admitted."""

    def __init__(self, door: Door, inner: asyncio.Protocol) -> None:
        self._door = door
        self._inner = inner
        self._transport: asyncio.BaseTransport | None = None
        self._client = ""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the connection, or refuse it and close."""
        peer = transport.get_extra_info("peername")
        self._client = str(peer[0]) if peer else ""
        if not self._door.enter(self, transport, self._client):
            if isinstance(transport, asyncio.WriteTransport):
                transport.write(_REFUSAL)
            transport.close()
            return
        self._transport = transport
        seconds = self._door.limits.header_timeout_seconds
        self._timer = asyncio.get_running_loop().call_later(seconds, transport.close)
        self._inner.connection_made(transport)

    def stop_header_timer(self) -> None:
        """Let the connection live: its first request has arrived."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, if it was admitted."""
        if self._transport is None:
            return
        self.stop_header_timer()
        self._door.leave(self._transport, self._client)
        self._transport = None
        self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass on what came."""
        if self._transport is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass on the end of what the client sends."""
        return self._inner.eof_received() if self._transport is not None else None

    def pause_writing(self) -> None:
        """Pass on that the client reads slowly."""
        if self._transport is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that the client reads again."""
        if self._transport is not None:
            self._inner.resume_writing()

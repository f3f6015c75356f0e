"""The HTTP server of our small services: a thread for each connection, not too many of them, and none for long.

A client that sends its request byte by byte would else keep a thread for as long as it likes, as the time limit of a
socket begins anew with every byte; a few such clients would keep everybody else out.
"""

import io
import socket
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from telemetry.clock import Clock, SystemClock
from telemetry.timed_reader import TimedReader

REQUEST_SECONDS = 10.0
"""Within which a request has to be there, whole."""

ROOM_SECONDS = 0.5
"""How long the end of a connection that is closed for another may take."""


class BoundedServer(ThreadingHTTPServer):
    """Serves at most *connections_max* connections at once, each request sent within *request_seconds*.

    When there are too many, the one is closed whose header has been awaited for longest; where all sent theirs, the
    newest one is.
    """

    daemon_threads = True

    def __init__(
        self,
        address: tuple[str, int],
        handler: "type[BoundedHandler]",
        *,
        connections_max: int,
        request_seconds: float = REQUEST_SECONDS,
    ) -> None:
        self.request_seconds = request_seconds
        self._slots = threading.BoundedSemaphore(connections_max)
        self._awaited: dict[socket.socket, None] = {}
        self._changing = threading.Lock()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for the connection when a slot is free."""
        if self._slots.acquire(blocking=False) or (
            self._close_longest_awaited() and self._slots.acquire(timeout=ROOM_SECONDS)
        ):
            with self._changing:
                self._awaited[request] = None
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve the connection and free its slot."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.header_came(request)
            self._slots.release()

    def header_came(self, connection: socket.socket) -> None:
        """Note that *connection* is awaited no more."""
        with self._changing:
            self._awaited.pop(connection, None)

    def _close_longest_awaited(self) -> bool:
        """End the connection whose header has been awaited for longest; return False where none is."""
        with self._changing:
            connection = next(iter(self._awaited), None)
            if connection is None:
                return False
            del self._awaited[connection]
            # Its own thread, which waits for it, closes it. The other side may have gone a moment ago.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            return True


class BoundedHandler(BaseHTTPRequestHandler):
    """A handler of one request, whose bytes come within the server's `request_seconds`, and whose answer is taken in `timeout`."""

    timeout = REQUEST_SECONDS
    clock: Clock = SystemClock()

    def setup(self) -> None:
        """Begin to wait for the request."""
        super().setup()
        seconds = cast("BoundedServer", self.server).request_seconds
        self.rfile.close()
        self.rfile = io.BufferedReader(
            TimedReader(self.connection, seconds, self.clock, "the request did not come in time")
        )

    def parse_request(self) -> bool:
        """Read the header; return False where it is none, which has been answered then."""
        is_one = super().parse_request()
        cast("BoundedServer", self.server).header_came(self.connection)
        return is_one

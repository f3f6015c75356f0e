"""The HTTP server of our small services: a thread for each connection, and not too many of them."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class BoundedServer(ThreadingHTTPServer):
    """Serves at most *connections_max* connections at once; further ones are closed."""

    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], *, connections_max: int
    ) -> None:
        self._slots = threading.BoundedSemaphore(connections_max)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for the connection when a slot is free."""
        if self._slots.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve the connection and free its slot."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

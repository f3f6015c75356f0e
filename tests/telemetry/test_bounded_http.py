"""The server of our small services gives nobody more than his time, and has room for who comes while others dawdle."""

import socket
import threading
from contextlib import ExitStack, closing, suppress

import pytest

from telemetry.bounded_http import BoundedHandler, BoundedServer

REQUEST = b"GET / HTTP/1.0\r\n\r\n"


class Handler(BoundedHandler):
    """Answers with the length of the body that it was sent."""

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.end_headers()
        self.server.release.wait(10)
        self.wfile.write(b" " * self.server.padding + str(len(body)).encode())

    def log_message(self, *args):
        pass


@pytest.fixture
def serve():
    """
    A function from bounds to a server that runs; what it answers waits for its event `release`.
    """
    with ExitStack() as stack:

        def start(**bounds):
            server = BoundedServer(("127.0.0.1", 0), Handler, **bounds)
            server.padding = 0
            server.release = threading.Event()
            server.release.set()
            thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            stack.callback(server.release.set)
            return server

        yield start


def connected(server):
    return socket.create_connection(server.server_address, 10)


def answer(server):
    """Return the answer to a request that comes at once; b"" where there is none."""
    with closing(connected(server)) as sock:
        sock.sendall(REQUEST)
        return rest(sock)


def rest(sock):
    """Return what comes until the other side ends it; raises TimeoutError where it does not within 10 s."""
    parts = []
    with suppress(ConnectionError):
        while part := sock.recv(4096):
            parts.append(part)
    return b"".join(parts)


def trickle(sock, data, over, pause_seconds=0.02):
    """Send *data* byte by byte, for ever its last byte, until *over* or nobody takes them; return how many were taken."""
    sent = 0
    with suppress(OSError):
        while not over.wait(pause_seconds):
            sock.sendall(data[min(sent, len(data) - 1) :][:1])
            sent += 1
    return sent


@pytest.mark.parametrize(
    "data",
    [b"G", b"GET / HTTP/1.0\r\nX-Slow: a", b"GET / HTTP/1.0\r\nContent-Length: 100000\r\n\r\na"],
    ids=["the request line", "the header", "the body"],
)
def test_a_request_that_trickles_is_dropped_when_its_time_is_up(serve, data):
    """
    Bytes that keep coming do not make the time begin anew; whoever asks at once has an answer meanwhile.
    """
    server = serve(connections_max=2, request_seconds=0.5)
    over = threading.Event()
    with closing(connected(server)) as slow:
        sender = threading.Thread(target=trickle, args=(slow, data, over))
        sender.start()
        try:
            assert answer(server).endswith(b"0")
            assert b"" == rest(slow)
        finally:
            over.set()
            sender.join()


def test_who_dawdles_makes_room(serve):
    """
    When all connections are taken by such that have sent no header, the oldest of them is closed for a new one.
    """
    server = serve(connections_max=2, request_seconds=60.0)
    with closing(connected(server)) as oldest, closing(connected(server)) as newer:
        for sock in (oldest, newer):
            sock.sendall(b"GET / HTTP/1.0\r\n")

        assert answer(server).endswith(b"0")

        assert b"" == rest(oldest)
        newer.sendall(b"\r\n")
        assert rest(newer).endswith(b"0")


def test_who_is_gone_already_makes_room_too(serve):
    """
    The oldest connection may have been reset a moment ago, its place not yet free: the new one is answered all the same.
    """
    server = serve(connections_max=1)
    assert server._slots.acquire(blocking=False)
    with closing(socket.socket()) as gone:
        server._awaited[gone] = None
        freed = threading.Timer(0.1, server._slots.release)
        freed.start()

        assert answer(server).endswith(b"0")

        freed.join()


def test_who_is_being_answered_is_not_closed_for_another(serve):
    """
    A connection that sent its header keeps its place; the new one is closed.
    """
    server = serve(connections_max=1)
    server.release.clear()
    with closing(connected(server)) as first:
        first.sendall(REQUEST)
        assert first.recv(4096).startswith(b"HTTP/1.0 200")

        assert b"" == answer(server)

        server.release.set()
        assert rest(first).endswith(b"0")


def test_an_answer_has_its_own_time(serve):
    """
    What was left of the time of the request bounds the request alone: a long answer may be taken slowly.
    """
    server = serve(connections_max=1, request_seconds=0.5)
    server.padding = 20_000_000
    with closing(connected(server)) as sock:
        sock.sendall(REQUEST)
        threading.Event().wait(1.0)

        assert rest(sock).endswith(b"0")

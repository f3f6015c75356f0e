"""A server on loopback that says to whoever asks what a test wants, in parts, as slowly as it wants."""

import socket
import threading
from contextlib import contextmanager, suppress


@contextmanager
def speaking(*parts, pause_seconds=0.0):
    """Answer one request with these *parts*, a pause behind each, and yield the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        over = threading.Event()

        def speak():
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.recv(4096)
                for part in parts:
                    connection.sendall(part)
                    over.wait(pause_seconds)

        thread = threading.Thread(target=speak, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        over.set()
        thread.join()


def letters(data):
    """Return *data* as single bytes."""
    return [bytes([each]) for each in data]


TRICKLING = {
    "the status line": (b"", b"HTTP/1.1 200 OK\r\n" * 20),
    "the header": (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 90),
    "the body": (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b" " * 1_000),
    "the length of a chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1", b";" * 1_000),
    "what follows the last chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-A: b\r\n" * 200),
}
"""What trickles of an answer, to what comes before it at once and what comes byte by byte."""

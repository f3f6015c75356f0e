"""A connection as the transport sees it, plain or TLS: what it cannot do at once is a BlockingIOError."""

import contextlib
import ssl
from typing import Protocol

_RECORD_BYTES = 16 * 1024
"""The most that one record of TLS carries, and so what one read gives."""


class Stream(Protocol):
    """A connected socket that never waits; `socket.socket` is one."""

    def fileno(self) -> int:
        """Return the descriptor that a selector watches."""

    def recv(self, size: int, /) -> bytes:
        """Return what has come, nothing at the end; raises BlockingIOError, and OSError when it is broken."""

    def send(self, data: bytes | bytearray, /) -> int:
        """Return how much of *data* was taken; raises as `recv`. What is not taken must be sent next, unchanged."""

    def close(self) -> None:
        """Close it."""


class TlsStream:
    """A socket after its handshake; belongs to one thread.

    Nothing says goodbye in TLS: frames have lengths, so a connection that ends early is seen without it.
    """

    def __init__(self, secured: ssl.SSLSocket) -> None:
        self._secured = secured
        self.wants_write = False
        """Reading goes on once there is room to write: the far side changed its key and wants it answered."""

    def fileno(self) -> int:
        """Return the descriptor that a selector watches."""
        return self._secured.fileno()

    def recv(self, size: int, /) -> bytes:
        """Return what has come, at most a record more than *size*.

        No byte that is decrypted stays behind: the selector sees only what the kernel has.
        """
        self.wants_write = False
        parts: list[bytes] = []
        got = 0
        while True:
            try:
                part = self._secured.recv(_RECORD_BYTES)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
                self.wants_write = isinstance(error, ssl.SSLWantWriteError)
                if not parts:
                    raise BlockingIOError from None
                break
            parts.append(part)
            got += len(part)
            if not self._secured.pending() and (len(part) < _RECORD_BYTES or got >= size):
                break
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def send(self, data: bytes | bytearray, /) -> int:
        """Return how much of *data* was taken: TLS takes a record at a time."""
        sent = 0
        with memoryview(data) as view:
            while sent < len(view):
                with view[sent:] as rest:
                    try:
                        sent += self._secured.send(rest)
                    except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                        break
        if data and not sent:
            raise BlockingIOError
        return sent

    def close(self) -> None:
        """Close it."""
        with contextlib.suppress(OSError):
            self._secured.close()

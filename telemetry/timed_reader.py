"""The bytes of a socket within a time for all of them.

The time limit of a socket begins anew with every byte, so that whoever trickles one each few seconds would hold the other
side for as long as it likes.
"""

import io
import socket
from typing import Any

from telemetry.clock import Clock


class TimedReader(io.RawIOBase):
    """What comes over *sock* until *seconds* from now, None for ever; reads raise TimeoutError, saying *late*, after it.

    Between two reads the time limit of the socket is its own: what is sent has its own time.
    """

    def __init__(self, sock: socket.socket, seconds: float | None, clock: Clock, late: str) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._clock = clock
        self._deadline = None if seconds is None else clock.monotonic() + seconds
        self._late = late

    def wait_as_usual(self) -> None:
        """Give what is still to come the time limit of the socket, anew with every byte."""
        self._deadline = None

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read what has come into *buffer* and return how many bytes; 0 at the end. Raises TimeoutError."""
        if self._deadline is None:
            return self._raw.readinto(buffer)
        left = self._deadline - self._clock.monotonic()
        if left <= 0:
            raise TimeoutError(self._late)
        usual = self._sock.gettimeout()
        self._sock.settimeout(left)
        try:
            return self._raw.readinto(buffer)
        finally:
            self._sock.settimeout(usual)

    def close(self) -> None:
        """Close this end; the socket goes when nothing else holds it."""
        self._raw.close()
        super().close()

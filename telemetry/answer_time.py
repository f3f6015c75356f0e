"""Connections whose answers begin in time: the whole of the status line and the header, not each byte of it.

The time limit that requests hands to a socket begins anew with every byte, so that whoever trickles one each few seconds
would hold its caller for as long as it likes. Bodies are their reader's to bound.
"""

import http.client
import io
import socket
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from telemetry.clock import Clock, SystemClock

_CLOCK: Clock = SystemClock()


class _Reader(io.RawIOBase):
    """What comes over a socket; until `end_of_header` all of it within the socket's time limit."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._limit = sock.gettimeout()
        self._deadline = None if self._limit is None else _CLOCK.monotonic() + self._limit

    def end_of_header(self) -> None:
        """Have the time limit begin anew with each byte from now on, as usual."""
        if self._deadline is not None:
            self._deadline = None
            self._sock.settimeout(self._limit)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._deadline is not None:
            left = self._deadline - _CLOCK.monotonic()
            if left <= 0:
                raise TimeoutError("the header of the answer did not come in time")
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    """An answer whose header comes within the time limit of its socket."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp.close()
        self._reader = _Reader(sock)
        self.fp = io.BufferedReader(self._reader)

    def begin(self) -> None:
        """Read the status line and the header. Raises TimeoutError."""
        super().begin()
        self._reader.end_of_header()


class _Connection(HTTPConnection):
    response_class = _Answer


class _SecuredConnection(HTTPSConnection):
    response_class = _Answer


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecuredPool(HTTPSConnectionPool):
    ConnectionCls = _SecuredConnection


class TimelyAdapter(HTTPAdapter):
    """Requests' adapter over such connections; with *server_name* certificates are checked against that name."""

    def __init__(self, server_name: str = "") -> None:
        self._server_name = server_name
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools, with the name for SNI and for the check, which stays OpenSSL's."""
        if self._server_name:
            kwargs["server_hostname"] = self._server_name
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecuredPool}


def use_in(session: requests.Session, server_name: str = "") -> None:
    """Have *session* make its requests over such connections."""
    session.mount("http://", TimelyAdapter())
    session.mount("https://", TimelyAdapter(server_name))

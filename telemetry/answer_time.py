"""Answers that come in time and are not too large: status line, header and body together, not each byte of them.

The time limit that requests hands to a socket begins anew with every byte, so that whoever trickles one each few seconds
would hold its caller for as long as it likes.
"""

import http.client
import io
import socket
from typing import Any, cast

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from telemetry.clock import Clock, SystemClock
from telemetry.timed_reader import TimedReader

PART_BYTES = 64 * 1024
"""How much of a body is read at once."""

_CLOCK: Clock = SystemClock()


class AnswerTooLarge(Exception):
    """A body has more bytes than its reader takes; the message has the most."""


class _Answer(http.client.HTTPResponse):
    """An answer that comes within the time limit of its socket, whole."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp.close()
        self.reader = TimedReader(sock, sock.gettimeout(), _CLOCK, "the answer did not come in time")
        self.fp = io.BufferedReader(self.reader)


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


def within(seconds: float) -> Any:
    """Return what requests takes as `timeout` for all of a request in *seconds*: connection, request and answer."""
    return urllib3.Timeout(total=seconds)


def take_slowly(answer: requests.Response) -> None:
    """Let the body of *answer*, whose header is there, come as slowly as it likes: its time begins anew with every byte."""
    cast("_Answer", answer.raw._original_response).reader.wait_as_usual()  # noqa: SLF001 - the only way there


def body_of(answer: requests.Response, bytes_max: int) -> bytes:
    """Return the body of a streamed *answer*, unpacked.

    Raises AnswerTooLarge for more than *bytes_max*, and what requests and urllib3 raise where it does not come.
    """
    parts: list[bytes] = []
    size = 0
    while part := answer.raw.read1(PART_BYTES, decode_content=True):
        parts.append(part)
        size += len(part)
        if size > bytes_max:
            raise AnswerTooLarge(f"the answer is larger than {bytes_max} bytes")
    return b"".join(parts)

"""How bytes reach a receiver: UDP, a Unix socket of datagrams, or TCP. Each call may block for a second or two."""

import contextlib
import socket
from collections.abc import Iterator
from typing import Protocol

from telemetry.sinks.address import UNIX, split_address

TIMEOUT_SECONDS = 2.0
"""How long a connection may take to be made or to accept bytes; a sink is a thread of its own and bears it."""


class Channel(Protocol):
    """A connected way to one receiver; every method raises OSError when the receiver cannot be reached."""

    def send(self, packet: bytes) -> None:
        """Send one packet."""

    def close(self) -> None:
        """Give the connection up."""


class Connect(Protocol):
    """Makes a channel."""

    def __call__(self) -> Channel:
        """Resolve the address anew and connect. Raises OSError."""


class _Sock:
    """A channel over a connected socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def send(self, packet: bytes) -> None:
        self._sock.sendall(packet)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.close()


def datagrams(address: str) -> Channel:
    """Return a channel that sends each packet as a datagram to "host:port" or "unix:///path". Raises OSError."""
    if address.startswith(UNIX):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        target: tuple[str, int] | str = address.removeprefix(UNIX)
    else:
        family, target = resolve(address)
        sock = socket.socket(family, socket.SOCK_DGRAM)
    return _connected(sock, target)


def stream(address: str) -> Channel:
    """Return a channel that writes to a TCP connection to "host:port". Raises OSError."""
    with _names_as_os_errors():
        return _Sock(socket.create_connection(split_address(address), TIMEOUT_SECONDS))


def resolve(address: str) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """Return family and IP address of "host:port" for datagrams. Raises OSError when the name is unknown."""
    host, port = split_address(address)
    with _names_as_os_errors():
        family, *_, found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    return family, (str(found[0]), port)


@contextlib.contextmanager
def _names_as_os_errors() -> Iterator[None]:
    """Make of a name that no resolver can be asked for, such as `a..b`, one that none knows."""
    try:
        yield
    except UnicodeError as error:
        raise OSError(f"no name of a host: {error}") from error


def _connected(sock: socket.socket, target: tuple[str, int] | str) -> Channel:
    try:
        sock.settimeout(TIMEOUT_SECONDS)
        sock.connect(target)
    except OSError:
        sock.close()
        raise
    return _Sock(sock)

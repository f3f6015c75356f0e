"""Blocks of ports on loopback for clusters that start and end beside each other."""

import socket
import threading

from compose.local_settings import LOOPBACK, PORT_MAX

BLOCK = 250
"""Ports for one cluster of at most five servers, eight clients and a second region of three, with all relays."""


class NoPorts(Exception):
    """No block is free; the message names where was looked and the option to look elsewhere."""


class PortBlocks:
    """Hands out blocks of `BLOCK` free ports, from *first* on; safe to use from several threads."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._lock = threading.Lock()
        self._lent: set[int] = set()

    def take(self) -> int:
        """Return the first port of a block of which nothing is used now; raises NoPorts when there is none."""
        with self._lock:
            for base in range(self._first, PORT_MAX - BLOCK + 1, BLOCK):
                if base not in self._lent and all(_is_free(port) for port in range(base, base + BLOCK)):
                    self._lent.add(base)
                    return base
        raise NoPorts(f"no {BLOCK} free ports in a row from {self._first} on: choose another start with --port-base")

    def give_back(self, base: int) -> None:
        """Take back the block that begins at *base*."""
        with self._lock:
            self._lent.discard(base)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the programs do: without it the remains of closed connections would look like a holder.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True

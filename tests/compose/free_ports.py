"""Ports of loopback for a cluster under test."""

import socket

from tests.ports import lane

SPAN = 100
"""Ports a cluster of five agents and its three watchers fits into."""


def is_free(port: int) -> bool:
    """Tell whether nobody listens on *port* of loopback now."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_base(first: int = 21_000) -> int:
    """Return a port from which a whole cluster fits, not below *first* in the range of this process."""
    for base in range(lane(first), lane(first) + 10_000, 2 * SPAN):
        ports = [base + 10 * agent + offset for agent in range(5) for offset in range(4)]
        ports += [base + 90, base + 93, base + 95]
        if all(is_free(port) for port in ports):
            return base
    raise AssertionError("no free ports")

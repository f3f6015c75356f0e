"""Ports for tests that run beside each other: each process of a run has a range of its own."""

import os

_RANGE = 10_000


def lane(port: int) -> int:
    """Return the port that this process uses where the first of a run uses *port*, from 20,000 to 32,767."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    if number > 1:
        raise ValueError(f"worker {number}: there are ports for two processes, run with -n 2")
    return port - _RANGE * number

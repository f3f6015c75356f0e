"""When the next heartbeat is due: arithmetic alone. Source: Nomad, client/client.go, getHeartbeatRetryIntv."""

import random

RENEW_EARLIEST = 0.75
RENEW_LATEST = 0.95
"""A heartbeat is sent in this part of the time to live. Nomad sends it at the very end and leans on the grace
period; the twentieth that is left here covers a slow call where an operator set a short grace."""

RETRY_MIN_SECONDS = 0.25
RETRY_MAX_SECONDS = 5.0

REGISTER_RETRY_MAX_SECONDS = 15.0
"""Between attempts to register. Source: Nomad, registerRetryIntv."""


def after_success(ttl_seconds: float, rng: random.Random) -> float:
    """Return the seconds until the next heartbeat, once the servers granted *ttl_seconds*."""
    return ttl_seconds * rng.uniform(RENEW_EARLIEST, RENEW_LATEST)


def after_failure(failures: int, left_seconds: float, rng: random.Random) -> float:
    """Return the seconds until the next try.

    *failures* in a row, at least 1, lengthen it; *left_seconds* until the servers call the node down shorten it, so
    that there are several tries left before. Half of it is chance, lest all clients come at once after a fail-over.
    """
    grown = RETRY_MIN_SECONDS * (1 << min(failures - 1, 8))
    ceiling = max(RETRY_MIN_SECONDS, left_seconds / 4) if left_seconds > 0 else RETRY_MAX_SECONDS
    return min(grown, ceiling, RETRY_MAX_SECONDS) * rng.uniform(0.5, 1.0)


def before_register(failures: int, rng: random.Random) -> float:
    """Return the seconds until the next try to register, after *failures* in a row."""
    return min(RETRY_MIN_SECONDS * (1 << min(failures - 1, 8)), REGISTER_RETRY_MAX_SECONDS) * rng.uniform(0.5, 1.0)

"""The clocks of the program: the only file that imports time.

Everything else is handed a clock, so that a test or a simulation can hand over another one.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """What parts need of time."""

    def monotonic(self) -> float:
        """Return seconds that never go back; only differences have a meaning."""

    def wall(self) -> float:
        """Return seconds since the Unix epoch, as the host believes."""


class SystemClock:
    """The clock of the running machine."""

    __slots__ = ()

    def monotonic(self) -> float:
        """Return seconds that never go back; only differences have a meaning."""
        return time.monotonic()

    def wall(self) -> float:
        """Return seconds since the Unix epoch, as the host believes."""
        return time.time()


class ManualClock:
    """A clock that stands still until it is moved; for tests and simulations."""

    __slots__ = ("_now",)

    def __init__(self, now: float = 1_000.0) -> None:
        self._now = now

    def monotonic(self) -> float:
        """Return the seconds this clock was moved to."""
        return self._now

    def wall(self) -> float:
        """Return the same seconds as `monotonic`."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move forward by *seconds*, which is not negative."""
        if seconds < 0:
            raise ValueError(f"a clock does not go back: {seconds}")
        self._now += seconds

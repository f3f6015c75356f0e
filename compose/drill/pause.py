"""Waiting that can be broken off: an interrupted drill must not wait for its clusters to resolve."""

import threading
from collections.abc import Callable
from typing import TypeVar

from telemetry.clock import Clock

POLL_SECONDS = 0.2

_T = TypeVar("_T")


class Stopped(Exception):
    """The drill was told to stop; whoever sees it cleans up and passes it on."""


class Pause:
    """Lets seconds pass, for any number of threads, until `stop` ends every wait with Stopped."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stopped = threading.Event()

    def __call__(self, seconds: float) -> None:
        """Return after *seconds*; raise Stopped when the drill is told to stop before or meanwhile."""
        if self._stopped.wait(max(seconds, 0.0)):
            raise Stopped

    def until(self, ask: Callable[[], _T], seconds: float) -> _T | None:
        """Return the first answer of *ask* that is true, asked again and again; None when there is none in *seconds*."""
        deadline = self._clock.monotonic() + seconds
        while not (answer := ask()):
            if self._clock.monotonic() >= deadline:
                return None
            self(POLL_SECONDS)
        return answer

    def stop(self) -> None:
        """End every wait, present and future."""
        self._stopped.set()

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

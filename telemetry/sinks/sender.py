"""A sink: takes values from any thread without waiting, and a thread of its own writes them to the receiver.

Values wait in a bounded queue until the next turn, 0.1 s at most. When the queue is full, or while the receiver cannot
be reached, values are lost and counted; after a failure the next attempt is 5 s later, with the name resolved anew.
Each change between reachable and not is one line in the log.

Source: go-metrics statsd.go and statsite.go (flushMetrics, pushMetric), which lose values silently.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

from telemetry.sinks.channel import Channel, Connect
from telemetry.sinks.lines import Line, Series, can_be_said, packets

FLUSH_SECONDS = 0.1
"""Source: go-metrics flushInterval."""

RETRY_TURNS = 50
"""5 s of turns. Source: go-metrics, the wait after an error."""

QUEUE_MAX = 65_536
"""A leader of 5,000 jobs sets 35,000 gauges at one collection. go-metrics keeps 4,096, but its sender runs beside those
who record; here it needs the interpreter that they hold."""

PROOF_TURNS = 2
"""Turns that must go well before a receiver is called reachable again: a datagram to nobody, and bytes to a connection that
was ended, are taken by the kernel, which says so only at the next."""

CLOSE_SECONDS = 1.0
"""How long what is left may take to be sent when the agent stops."""


class Sink(Protocol):
    """Takes the values of series as they are recorded."""

    def line(self, series: Series) -> Line:
        """Return what stands around each value of *series*."""

    def push(self, line: Line, value: float) -> None:
        """Take one value; never waits."""


class Sender:
    """One receiver. `push` may be called by any thread; `turn` belongs to the thread that `start` makes."""

    def __init__(
        self, name: str, connect: Connect, line: Callable[[Series], Line], logger: logging.Logger | None = None
    ) -> None:
        self.name = name
        self._connect = connect
        self._line = line
        self._logger = logger or logging.getLogger(f"telemetry.{name}")
        self._queue: deque[tuple[Line, float]] = deque()
        self._channel: Channel | None = None
        self._pause = 0
        self._reachable = True
        self._turns_well = 0
        self._dropped = 0
        # Re-entrant, as a finalizer may record something in the middle of it.
        self._counting = threading.RLock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def line(self, series: Series) -> Line:
        """Return what stands around each value of *series*."""
        return self._line(series)

    def push(self, line: Line, value: float) -> None:
        """Take one value; without waiting: a value that finds the queue full is lost and counted."""
        if len(self._queue) < QUEUE_MAX:
            self._queue.append((line, value))
        else:
            self._lose(1)

    def start(self) -> None:
        """Begin to send."""
        self._thread = threading.Thread(target=self._run, name=f"sink-{self.name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Send what is left, for a second at most, and stop."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)

    @property
    def dropped(self) -> int:
        """How many values were lost."""
        return self._dropped

    def turn(self) -> None:
        """Send what waits, or lose it while the receiver cannot be reached."""
        waiting = [self._queue.popleft() for _ in range(len(self._queue))]
        if self._pause:
            self._pause -= 1
            self._lose(len(waiting))
            return
        unsent = len(waiting)
        try:
            if self._channel is None:
                self._channel = self._connect()
            texts = [line.text(value) for line, value in waiting if can_be_said(value)]
            unsent = len(texts)
            for packet, lines in packets(texts):
                self._channel.send(packet)
                unsent -= lines
        except OSError as error:
            self._lose(unsent)
            self._failed(error)
            return
        self._turns_well += bool(texts)
        if not self._reachable and self._turns_well >= PROOF_TURNS:
            self._reachable = True
            self._logger.info("telemetry is sent again: sink=%s", self.name)

    def _run(self) -> None:
        while not self._stopping.wait(FLUSH_SECONDS):
            self._turn_whatever_comes()
        self._turn_whatever_comes()
        if self._channel is not None:
            self._channel.close()

    def _turn_whatever_comes(self) -> None:
        try:
            self.turn()
        except Exception:  # the root of the thread: a sink that died would look like one that has nothing to say
            self._logger.exception("sink failed, tried again in 5 s", extra={"sink": self.name})
            self._pause = RETRY_TURNS

    def _failed(self, error: OSError) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        self._pause = RETRY_TURNS
        self._turns_well = 0
        if self._reachable:
            self._reachable = False
            self._logger.warning(
                "telemetry is lost, the receiver cannot be reached; tried again every 5 s: sink=%s reason=%s",
                self.name, error,
            )  # fmt: skip

    def _lose(self, many: int) -> None:
        if many:
            with self._counting:
                self._dropped += many

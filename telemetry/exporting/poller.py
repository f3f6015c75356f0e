"""The threads of an exporter: one for each server, and one each for autopilot and for lists.

So a server that hangs costs nobody else's freshness, and a slow list costs no word about the leader.
"""

import logging
import threading
from typing import Protocol

from telemetry.clock import Clock
from telemetry.exporting.board import Board
from telemetry.exporting.journal import Journal
from telemetry.exporting.readers import AutopilotReader, ListsReader, Reading, ServerReader
from telemetry.exporting.settings import ExporterSettings

log = logging.getLogger(__name__)

FAILED_PAUSE_SECONDS = 1.0


class _Reader(Protocol):
    """What a thread does again and again."""

    task: str

    def step(self) -> float:
        """Read what is due; return the seconds until something is."""

    def close(self) -> None:
        """Close the connections."""


class Poller:
    """Starts and ends the readers. Used from one thread at a time."""

    def __init__(self, board: Board, clock: Clock) -> None:
        self._board = board
        self._clock = clock
        self._journal = Journal()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def watch(self, settings: ExporterSettings) -> None:
        """Read the servers of *settings* from now on, and no others."""
        self.stop()
        self._stop = threading.Event()
        self._board.watch(settings, self._clock.monotonic())
        reading = Reading(self._board, self._journal, self._clock, self._stop)
        named: list[tuple[str, _Reader]] = [
            *((f"server {server.name}", ServerReader(server, settings, reading)) for server in settings.servers),
            ("autopilot", AutopilotReader(settings, reading)),
            ("lists", ListsReader(settings, reading)),
        ]
        self._threads = [
            threading.Thread(target=self._run, args=(reader, self._stop), name=name, daemon=True)
            for name, reader in named
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let every reader end after the read it is at; waits for none, as a server may hang."""
        self._stop.set()

    @property
    def is_alive(self) -> bool:
        """Whether every reader runs."""
        return bool(self._threads) and all(thread.is_alive() for thread in self._threads)

    def _run(self, reader: _Reader, stop: threading.Event) -> None:
        pause = 0.0
        while not stop.wait(pause):
            try:
                pause = reader.step()
            except Exception:
                # The root of the task: it goes on, and says so where it is looked for.
                log.exception("task failed task=%s", reader.task)
                self._board.task_failed(reader.task)
                pause = FAILED_PAUSE_SECONDS
        reader.close()

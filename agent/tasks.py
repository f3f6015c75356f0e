"""Named asyncio tasks whose failure is never silent: the one place where any exception is caught.

Each task is logged with its name when it fails, counted in outrider_task_failures_total, and not restarted: what
must go on after an error handles that error itself.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from telemetry.catalogue import outrider
from telemetry.recorder import Recorder


class Tasks:
    """The tasks of one part of the agent, ended together. Belongs to one event loop."""

    def __init__(self, logger: logging.Logger, recorder: Recorder) -> None:
        self._logger = logger
        self._recorder = recorder
        self._running: set[asyncio.Task[None]] = set()

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run *work* under *name* until it ends or `cancel` is called."""
        task = asyncio.create_task(self._guarded(name, work), name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def cancel(self) -> None:
        """Cancel all tasks and wait for their end; safe to call twice, and from one of the tasks."""
        others = [task for task in self._running if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _guarded(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except asyncio.CancelledError:
            raise
        except Exception:
            self._logger.exception("task failed: task=%s", name)
            self._recorder.add(outrider.TASK_FAILURES_TOTAL, 1.0, (name,))

"""Long-lived asyncio tasks with names: a failure is logged at the root, counted, and the task begun again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from telemetry.catalogue import outrider
from telemetry.recorder import Recorder

PAUSE_SECONDS = 1.0
"""Between a failure and the next try: a task that fails at once must not fill the log."""

STOP_SECONDS = 5.0
"""How long cancelled tasks get to end."""


class Supervisor:
    """Owns tasks; belongs to one event loop."""

    def __init__(self, logger: logging.Logger, recorder: Recorder) -> None:
        self._logger = logger
        self._recorder = recorder
        self._tasks: set[asyncio.Task[None]] = set()
        self.failures = 0
        """Failures at the root of a task since the start; each is a bug."""

    def spawn(self, name: str, run: Callable[[], Awaitable[None]], *, restart: bool = False) -> "asyncio.Task[None]":
        """Run *run* as a task called *name*; with *restart* again after each failure.

        Failures are counted under what stands before the first colon of *name*; after it may stand which one it is.
        """
        self._recorder.add(outrider.TASK_FAILURES_TOTAL, 0.0, (_kind(name),))
        task = asyncio.create_task(self._guard(name, run, restart=restart), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self) -> None:
        """Cancel all tasks and wait for them, for STOP_SECONDS at most."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=STOP_SECONDS)
            for task in late:
                self._logger.warning("task does not end: task=%s", task.get_name())

    async def _guard(self, name: str, run: Callable[[], Awaitable[None]], *, restart: bool) -> None:
        while True:
            try:
                await run()
            except Exception:  # the root of a task
                self.failures += 1
                self._recorder.add(outrider.TASK_FAILURES_TOTAL, 1.0, (_kind(name),))
                self._logger.exception("task failed: task=%s restart=%s", name, restart)
                if not restart:
                    return
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return


def _kind(name: str) -> str:
    return name.partition(":")[0]

"""Named asyncio tasks whose failure is never silent: their root is the one place where any exception is caught.

Source of the shape: supervision as in Erlang's one_for_one, with a pause instead of a limit of restarts.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from telemetry.catalogue import outrider
from telemetry.recorder import Recorder

PAUSE_SECONDS = 1.0
"""Between a failure and the next try: a task that fails at once must not fill the log."""

STOP_SECONDS = 5.0
"""How long cancelled tasks get to end."""


class Tasks:
    """The tasks of one part of the agent, ended together. Belongs to one event loop."""

    def __init__(self, logger: logging.Logger, recorder: Recorder) -> None:
        self._logger = logger
        self._recorder = recorder
        self._running: set[asyncio.Task[None]] = set()
        self.failures = 0
        """Failures at the root of a task since the start; each is a bug."""

    def spawn(self, name: str, run: Callable[[], Awaitable[None]], *, restart: bool = False) -> "asyncio.Task[None]":
        """Run *run* as a task called *name* until it ends or `cancel` is called; with *restart* again after a failure.

        Failures are logged with *name* and counted in outrider_task_failures_total under what stands before the first
        colon of it; after the colon may stand which one of many it is.
        """
        self._recorder.add(outrider.TASK_FAILURES_TOTAL, 0.0, (_kind(name),))
        task = asyncio.create_task(self._guarded(name, run, restart=restart), name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def cancel(self) -> None:
        """Cancel all tasks and wait for their end, for STOP_SECONDS at most.

        Safe to call twice, and from one of the tasks, which is then left alone.
        """
        others = [task for task in self._running if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        if others:
            _, late = await asyncio.wait(others, timeout=STOP_SECONDS)
            for task in late:
                self._logger.warning("task does not end: task=%s", task.get_name())

    async def _guarded(self, name: str, run: Callable[[], Awaitable[None]], *, restart: bool) -> None:
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

"""An event loop in virtual time: it runs what is due when it is told to, and never waits.

Enough of an event loop for what the agent does inside of one process: tasks, timers, futures, and functions for a pool
of threads, which run at once. One loop stands for one process: a process that is stopped is a loop nobody turns.
"""

import asyncio
import heapq
import logging
from asyncio import events
from collections import deque

_HANDLES_A_TURN_MAX = 100_000
"""More than this at one moment is a task that never waits for anything."""


class VirtualLoop(asyncio.AbstractEventLoop):
    """Turned by a simulation, at the time of its clock."""

    def __init__(self, clock):
        self._clock = clock
        self._ready = deque()
        self._timers = []
        self._sequence = 0
        self._closed = False
        self._tasks = []

    # What a simulation asks.

    def next_deadline(self):
        """Return when there is something to do, on the clock's time."""
        if self._ready:
            return float("-inf")
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else float("inf")

    def turn(self):
        """Run everything that is due now, and what follows from it at once."""
        outer = events._get_running_loop()
        events._set_running_loop(self)
        try:
            self._run_due()
        finally:
            events._set_running_loop(outer)

    def end(self):
        """Cancel every task, let each see it, and run nothing more."""
        for task in self._tasks:
            task.cancel()
        self.turn()
        self._closed = True

    def _run_due(self):
        for _ in range(_HANDLES_A_TURN_MAX):
            while self._timers and self._timers[0][0] <= self._clock.monotonic():
                self._ready.append(heapq.heappop(self._timers)[2])
            if not self._ready:
                return
            handle = self._ready.popleft()
            if not handle.cancelled():
                handle._run()
        raise AssertionError(f"a task does not wait for anything: {self._ready[0]}")

    # What asyncio asks.

    def time(self):
        return self._clock.monotonic()

    def call_soon(self, callback, *args, context=None):
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(self, delay, callback, *args, context=None):
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(self, when, callback, *args, context=None):
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._sequence += 1
        heapq.heappush(self._timers, (when, self._sequence, handle))
        return handle

    def _timer_handle_cancelled(self, handle):
        """Asked by each timer that is cancelled; it is dropped when its time comes."""

    def create_future(self):
        return asyncio.Future(loop=self)

    def create_task(self, coro, *, name=None, context=None):
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks = [known for known in self._tasks if not known.done()]
        self._tasks.append(task)
        return task

    def run_in_executor(self, executor, func, *args):
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it is the caller's, who waits for the future
            future.set_exception(error)
        return future

    def call_exception_handler(self, context):
        logging.getLogger("virtual-loop").error("%s", context)

    def get_debug(self):
        return False

    def is_running(self):
        return events._get_running_loop() is self

    def is_closed(self):
        return self._closed

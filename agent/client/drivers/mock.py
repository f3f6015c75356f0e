"""A driver that runs nothing: tasks last and end as their configuration says. For tests and load.

Its tasks live in the agent; one that is killed takes them along. Source: Nomad, drivers/mock.
"""

import asyncio
import itertools
from collections.abc import Sequence

import msgspec

from agent.client.drivers.base import DriverError, ExitResult, TaskHandle, TaskSpec, TaskUsage
from agent.config.units import parse_duration
from agent.model.node import DriverInfo

NAME = "mock_driver"


class MockConfig(msgspec.Struct, frozen=True):
    """How a task behaves; durations as Nomad writes them, an empty `run_for` lasts until it is killed."""

    run_for: str | int = ""
    exit_code: int = 0
    exit_signal: int = 0
    start_error: str = ""
    start_error_recoverable: bool = False
    start_block_for: str | int = "0s"
    kill_after: str | int = "0s"


class MockDriver:
    """A `Driver` without processes."""

    name = NAME

    def __init__(self) -> None:
        self._pids = itertools.count(1)
        self._running: dict[int, tuple[MockConfig, asyncio.Future[ExitResult]]] = {}

    def fingerprint(self, now_text: str) -> DriverInfo:
        """Return that it is well."""
        return DriverInfo(
            attributes={"driver.mock_driver": "true"},
            detected=True,
            healthy=True,
            health_description="Healthy",
            update_time=now_text,
        )

    async def start(self, spec: TaskSpec) -> TaskHandle:
        """Begin a task that runs nothing; raises DriverError as configured."""
        try:
            config = msgspec.convert(spec.config, MockConfig)
            block = parse_duration(config.start_block_for)
            run_for = parse_duration(config.run_for) if config.run_for else None
        except (msgspec.ValidationError, ValueError) as error:
            raise DriverError(f"config of task {spec.name!r}: {error}", recoverable=False) from error
        if block:
            await asyncio.sleep(block)
        if config.start_error:
            raise DriverError(config.start_error, recoverable=config.start_error_recoverable)
        loop = asyncio.get_running_loop()
        pid = next(self._pids)
        ended: asyncio.Future[ExitResult] = loop.create_future()
        self._running[pid] = (config, ended)
        if run_for is not None:
            loop.call_later(run_for, _end, ended, ExitResult(config.exit_code, config.exit_signal))
        return TaskHandle(driver=NAME, task_id=spec.task_id, pid=pid)

    async def wait(self, handle: TaskHandle) -> ExitResult:
        """Return how the task ended; one from an earlier agent ended unseen."""
        running = self._running.get(handle.pid)
        if running is None:
            return ExitResult(known=False)
        result = await running[1]
        self._running.pop(handle.pid, None)
        return result

    def signal(self, handle: TaskHandle, number: int) -> None:
        """End the task by signal *number*, after its `kill_after`."""
        running = self._running.get(handle.pid)
        if running is not None:
            config, ended = running
            delay = parse_duration(config.kill_after)
            asyncio.get_running_loop().call_later(delay, _end, ended, ExitResult(128 + number, number))

    def find(self, handle: TaskHandle) -> TaskHandle | None:
        """Return *handle* if it runs in this agent."""
        return handle if handle.pid in self._running else None

    def usages(self, handles: Sequence[TaskHandle]) -> dict[str, TaskUsage]:
        """Return that the tasks that run use nothing."""
        return {handle.task_id: TaskUsage() for handle in handles if handle.pid in self._running}


def _end(ended: "asyncio.Future[ExitResult]", result: ExitResult) -> None:
    if not ended.done():
        ended.set_result(result)

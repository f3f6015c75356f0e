"""What every task driver offers, and the values that pass between it and the runner."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec

from agent.errors import OutriderError
from agent.model.node import DriverInfo


class DriverError(OutriderError):
    """A task could not be started; the message is shown to the operator in the task's events.

    `recoverable` says whether another try may succeed; a wrong configuration will not.
    """

    def __init__(self, message: str, *, recoverable: bool = True) -> None:
        super().__init__(message)
        self.recoverable = recoverable


class TaskHandle(msgspec.Struct, frozen=True):
    """What finds a running task again, also from another process; `started_ticks` tells a reused pid apart."""

    driver: str
    task_id: str
    pid: int = 0
    started_ticks: int = 0
    """The kernel's start time of the process, in ticks since the host was started."""
    status_file: str = ""
    """Where the driver may keep what it knows of this one run of the task."""


@dataclass(frozen=True, slots=True)
class ExitResult:
    """How a task ended. `known` is False when nobody saw it: the code is then 0 and means nothing."""

    exit_code: int = 0
    signal: int = 0
    known: bool = True
    oom_killed: bool = False

    @property
    def successful(self) -> bool:
        """Whether the task ended well, as far as is known."""
        return self.known and self.exit_code == 0 and self.signal == 0


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """Everything a driver needs to start a task: all words are interpolated, all paths exist."""

    task_id: str
    name: str
    config: Mapping[str, Any]
    env: Mapping[str, str]
    user: str
    task_dir: Path
    status_file: Path
    stdout: Path
    stderr: Path


@dataclass(frozen=True, slots=True)
class TaskUsage:
    """What the processes of a task have used: CPU seconds since the start, bytes now."""

    user_seconds: float = 0.0
    system_seconds: float = 0.0
    rss_bytes: int = 0
    swap_bytes: int = 0


class Driver(Protocol):
    """Runs tasks; every method belongs to the event loop except `fingerprint` and `usages`."""

    name: str

    def fingerprint(self, now_text: str) -> DriverInfo:
        """Return whether the driver can run tasks here; *now_text* is RFC 3339."""

    async def start(self, spec: TaskSpec) -> TaskHandle:
        """Start a task and return its handle; raises DriverError."""

    async def wait(self, handle: TaskHandle) -> ExitResult:
        """Return how the task ended, as soon as it has; nothing of it is left running then. Never raises on purpose."""

    def signal(self, handle: TaskHandle, number: int) -> None:
        """Send a signal to all processes of the task; nothing happens when it has ended."""

    def find(self, handle: TaskHandle) -> TaskHandle | None:
        """Return the handle of a task that an earlier agent started, as it is now; None when it was never started."""

    def usages(self, handles: Sequence[TaskHandle]) -> dict[str, TaskUsage]:
        """Return what the tasks use, by task id; those that have ended are left out. May block shortly."""

"""Runs a command as a session of its own, without isolation; off unless the operator enabled it.

The command runs below a few lines of shell, which write the pid and, at the end, the exit code to a file of the
agent's. So an agent that was killed between starting a task and writing that down, or while the task ended, learns
both when it is back: a task is never lost and never started twice. The session is what signals go to; what a task
moves into a session of its own escapes them, for which Nomad uses cgroups. A signal in the first milliseconds, before
the command has taken over from the shell, may be lost; the time to end by itself is then waited for in vain.
Source: Nomad, drivers/rawexec; the shell stands for Nomad's executor process.
"""

import asyncio
import contextlib
import logging
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import msgspec

from agent.client.drivers.base import DriverError, ExitResult, TaskHandle, TaskSpec, TaskUsage
from agent.client.proc import environ_of, stat_of, usage_by_session
from agent.model.node import DriverInfo

NAME = "raw_exec"

SHELL = "/bin/sh"

# Standard input is the status file: a descriptor needs no directory that the task's user may write to. The traps keep
# the shell alive through the signals that end the task; a trapped signal has its default again in the task itself.
# The shell's own messages ("Terminated") do not belong into the task's stderr, "not found" does: hence the parentheses,
# for a shell redirects a plain command before it forks, and its own messages with it.
WRAPPER = """exec 3>&0 4>&2 0</dev/null 2>/dev/null
trap : HUP INT QUIT USR1 USR2 ALRM TERM
echo "pid $$" >&3
( exec "$@" 2>&4 3>&- 4>&- )
code=$?
echo "exit $code" >&3
exit $code
"""

EXIT_POLL_SECONDS = 0.2
"""Between looks at a task on a kernel without pidfd (before 5.3)."""

LOG_MODE = 0o640


class RawExecConfig(msgspec.Struct, frozen=True):
    """The driver's part of a task."""

    command: str
    args: list[str] = []
    work_dir: str = ""


class Status(msgspec.Struct, frozen=True):
    """What the status file of one run says."""

    pid: int = 0
    exit_code: int | None = None


class RawExec:
    """A `Driver` for plain processes."""

    name = NAME

    def __init__(self, logger: logging.Logger, *, enabled: bool) -> None:
        """With *enabled* False nothing new is started; tasks from before are still looked after."""
        self._logger = logger
        self._enabled = enabled
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def fingerprint(self, now_text: str) -> DriverInfo:
        """Return whether commands may be run here."""
        if not self._enabled:
            return DriverInfo(detected=False, health_description="disabled", update_time=now_text)
        if not Path(SHELL).exists():
            return DriverInfo(detected=False, health_description=f"{SHELL} is missing", update_time=now_text)
        return DriverInfo(
            attributes={"driver.raw_exec": "true"},
            detected=True,
            healthy=True,
            health_description="Healthy",
            update_time=now_text,
        )

    async def start(self, spec: TaskSpec) -> TaskHandle:
        """Start the command of *spec*; raises DriverError when it cannot be."""
        if not self._enabled:
            raise DriverError('the raw_exec driver is disabled: enable it with plugin "raw_exec"', recoverable=False)
        try:
            config = msgspec.convert(spec.config, RawExecConfig)
        except msgspec.ValidationError as error:
            raise DriverError(f"config of task {spec.name!r}: {error}", recoverable=False) from error
        work_dir = config.work_dir or str(spec.task_dir)
        command = _found(config.command, spec.env.get("PATH", os.defpath), work_dir)
        # Forking a process with much memory takes milliseconds: not on the event loop.
        child = await asyncio.to_thread(_spawn, spec, [command, *config.args], work_dir)
        self._children[child.pid] = child
        stat = stat_of(child.pid)
        return TaskHandle(
            driver=NAME,
            task_id=spec.task_id,
            pid=child.pid,
            started_ticks=stat.started_ticks if stat else 0,
            status_file=str(spec.status_file),
        )

    async def wait(self, handle: TaskHandle) -> ExitResult:
        """Return how the task ended; what it left running in its session is killed."""
        if handle.pid:
            await self._ended(handle)
            self._sweep(handle)
        code = self._reap(handle.pid) if handle.pid else None
        status = read_status(Path(handle.status_file)) if handle.status_file else Status()
        if status.exit_code is not None:
            return exit_result(status.exit_code)
        if code is None:
            return ExitResult(known=False)
        return ExitResult(exit_code=128 - code, signal=-code) if code < 0 else exit_result(code)

    def signal(self, handle: TaskHandle, number: int) -> None:
        """Send signal *number* to the task's whole group, if it is still that task."""
        if handle.pid and self._same(handle):
            _signal_group(handle.pid, number)

    def find(self, handle: TaskHandle) -> TaskHandle | None:
        """Return the handle of a run from before, alive or ended; None when it never began.

        A handle without a pid, of a run that was about to begin when the agent was killed, gets it from the status
        file, if the process that has that pid is this task's.
        """
        if handle.pid:
            return handle
        status = read_status(Path(handle.status_file))
        if not status.pid:
            return None
        stat = stat_of(status.pid)
        ours = stat is not None and handle.task_id.startswith(f"{environ_of(status.pid).get('NOMAD_ALLOC_ID')}/")
        return msgspec.structs.replace(handle, pid=status.pid, started_ticks=stat.started_ticks if stat and ours else 0)

    def usages(self, handles: Sequence[TaskHandle]) -> dict[str, TaskUsage]:
        """Return what the sessions of *handles* use."""
        found = usage_by_session({handle.pid for handle in handles if handle.pid and self._same(handle)})
        return {handle.task_id: found[handle.pid] for handle in handles if handle.pid in found}

    def _same(self, handle: TaskHandle) -> bool:
        """Return whether the pid is still the task's: numbers come round, start times do not."""
        stat = stat_of(handle.pid)
        return stat is not None and stat.started_ticks == handle.started_ticks

    async def _ended(self, handle: TaskHandle) -> None:
        """Return as soon as the task's shell has ended."""
        try:
            descriptor = os.pidfd_open(handle.pid)
        except ProcessLookupError:
            return
        except OSError as error:
            self._logger.debug("no pidfd, polling: pid=%d reason=%s", handle.pid, error)
            while self._alive(handle):  # noqa: ASYNC110 - such a kernel has no event to wait for
                await asyncio.sleep(EXIT_POLL_SECONDS)
            return
        try:
            # Only now is it certain whose process the descriptor holds.
            if self._alive(handle):
                await _readable(descriptor)
        finally:
            os.close(descriptor)

    def _alive(self, handle: TaskHandle) -> bool:
        stat = stat_of(handle.pid)
        return stat is not None and stat.started_ticks == handle.started_ticks and stat.state not in {"Z", "X"}

    def _sweep(self, handle: TaskHandle) -> None:
        """Kill what the ended task left in its group.

        While the group has a member, the kernel gives its number to nobody else; a process that has the number and
        is not the task's shell therefore says that the group is gone.
        """
        if stat_of(handle.pid) is None or self._same(handle):
            _signal_group(handle.pid, signal.SIGKILL)

    def _reap(self, pid: int) -> int | None:
        """Return the exit code of the shell (negative: a signal), None where it is not a child of this process."""
        child = self._children.pop(pid, None)
        try:
            reaped, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return None
        if reaped == 0:
            return None
        code = os.waitstatus_to_exitcode(status)
        if child is not None:
            child.returncode = code
        return code


def read_status(path: Path) -> Status:
    """Return what the status file *path* says; a line that is cut off does not count."""
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return Status()
    values = {}
    for line in text.splitlines(keepends=True):
        word, _, number = line.partition(" ")
        if line.endswith("\n") and number.strip().isdigit():
            values[word] = int(number)
    return Status(values.get("pid", 0), values.get("exit"))


def exit_result(code: int) -> ExitResult:
    """Return the result of a shell's exit *code*: 128 and more stand for the signal that ended the task."""
    number = code - 128
    return ExitResult(exit_code=code, signal=number if 0 < number < signal.NSIG else 0)


def _found(command: str, path: str, work_dir: str) -> str:
    """Return the full path of *command*; raises DriverError when it is none that can be run."""
    where = os.path.join(work_dir, command) if os.sep in command else command  # noqa: PTH118 - an absolute one stays
    found = shutil.which(where, path=path)
    if found is None:
        raise DriverError(f"command {command!r} is not found or not executable")
    return found


def _spawn(spec: TaskSpec, command: list[str], work_dir: str) -> subprocess.Popen[bytes]:
    """Start the shell; raises DriverError."""
    with contextlib.ExitStack() as stack:
        try:
            status = stack.enter_context(_opened(spec.status_file, os.O_RDWR | os.O_APPEND | os.O_TRUNC))
            stdout = stack.enter_context(_opened(spec.stdout, os.O_WRONLY | os.O_APPEND))
            stderr = stack.enter_context(_opened(spec.stderr, os.O_WRONLY | os.O_APPEND))
            return subprocess.Popen(
                [SHELL, "-c", WRAPPER, "task", *command],
                stdin=status,
                stdout=stdout,
                stderr=stderr,
                env=dict(spec.env),
                cwd=work_dir,
                start_new_session=True,
                **_identity(spec.user),
            )
        except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
            raise DriverError(f"cannot start {command[0]!r}: {error}") from error


def _identity(user: str) -> dict[str, Any]:
    """Return what makes a process *user*'s, groups and all; nothing when the agent already is that user."""
    if not user:
        return {}
    entry = pwd.getpwnam(user)
    if entry.pw_uid == os.geteuid():
        return {}
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": os.getgrouplist(user, entry.pw_gid)}


def _opened(path: Path, flags: int) -> IO[bytes]:
    descriptor = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, LOG_MODE)
    return os.fdopen(descriptor, "r+b" if flags & os.O_RDWR else "wb", buffering=0)


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)

"""Detached processes that outlive the command that started them, and the file that remembers them.

A process is only ever signalled when the process id still belongs to the process that was started: its start time
is remembered beside the id and compared, because ids are used again.
"""

import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from pathlib import Path

import msgspec
import psutil

from telemetry.clock import Clock

TERM_SECONDS = 8.0
"""How long a process may take to end after SIGTERM before it is killed."""
KILL_SECONDS = 5.0
POLL_SECONDS = 0.05
_START_TOLERANCE_SECONDS = 2.0
"""Start times are counted from the boot, whose own time moves with the wall clock; no id comes back this soon."""
_AGENT_VARIABLES = "OUTRIDER_AGENT_"
"""Variables that an agent takes for flags: those of the user's shell would change every agent of the cluster alike."""

Sleep = Callable[[float], object]
"""Waits that many seconds; handed in, so that a test need not wait."""


class Running(Enum):
    """What a remembered process does now; the value is the word on the screen."""

    RUNNING = "running"
    PAUSED = "paused"
    DEAD = "dead"


class Started(msgspec.Struct, frozen=True):
    """A process that was started: what is needed to find it again, to show it and to start it anew.

    `started` is its start time in Unix seconds, as the system counts it; `environment` is what was added to that of
    the command which started it.
    """

    name: str
    command: tuple[str, ...]
    log: str
    pid: int
    started: float
    environment: dict[str, str] = {}


class ProcessTable:
    """The processes of one folder: started detached, with a log each, remembered in *folder*/state.json.

    One writer: whoever holds the folder's lock. The table holds no state of its own that another command would
    need, apart from the handles of its own children, which it must reap.
    """

    def __init__(self, folder: Path, clock: Clock, sleep: Sleep) -> None:
        self._folder = folder
        self._clock = clock
        self._sleep = sleep
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._started = {process.name: process for process in _read_state(folder)}

    @property
    def names(self) -> tuple[str, ...]:
        """The remembered processes in the order of their first start."""
        return tuple(self._started)

    def get(self, name: str) -> Started:
        """Return what is remembered of *name*; raises KeyError for a name that was never started."""
        return self._started[name]

    def start(self, name: str, command: Iterable[str], environment: Mapping[str, str] | None = None) -> Started:
        """Start *command* in a session of its own, append its output to logs/*name*.log, and remember it."""
        log = self._folder / "logs" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        arguments, added = tuple(command), dict(environment or {})
        with log.open("ab") as output:
            child = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={key: value for key, value in os.environ.items() if not key.startswith(_AGENT_VARIABLES)} | added,
            )
        self._children[child.pid] = child
        try:
            born = psutil.Process(child.pid).create_time()
        except psutil.NoSuchProcess:
            born = self._clock.wall()
        started = Started(name, arguments, str(log), child.pid, born, added)
        self._started[name] = started
        self._write_state()
        return started

    def restart(self, name: str) -> Started:
        """End *name* if it lives and start it again with the command and the environment it had."""
        self.stop([name])
        before = self.get(name)
        return self.start(name, before.command, before.environment)

    def state(self, name: str) -> Running:
        """Return what *name* does now; a process that ended but was not reaped by its parent is dead."""
        process = self._find(name)
        if process is None:
            return Running.DEAD
        try:
            status = process.status()
        except psutil.NoSuchProcess:
            return Running.DEAD
        if status in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}:
            return Running.DEAD
        return Running.PAUSED if status == psutil.STATUS_STOPPED else Running.RUNNING

    def signal(self, name: str, number: signal.Signals) -> bool:
        """Send a signal to *name* and tell whether it was alive to receive it."""
        process = self._find(name)
        if process is None:
            return False
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            return False
        return True

    def stop(self, names: Iterable[str]) -> None:
        """End the processes: SIGTERM to all at once, SIGKILL to those alive after `TERM_SECONDS`."""
        wanted = [name for name in names if self.state(name) is not Running.DEAD]
        for name in wanted:
            self.signal(name, signal.SIGTERM)
            # A paused process takes SIGTERM only once it goes on.
            self.signal(name, signal.SIGCONT)
        for name in self._wait_dead(wanted, TERM_SECONDS):
            self.signal(name, signal.SIGKILL)
        self._wait_dead(wanted, KILL_SECONDS)

    def forget(self) -> None:
        """Forget every process; the state file goes with them."""
        self._started.clear()
        (self._folder / "state.json").unlink(missing_ok=True)

    def last_lines(self, name: str, count: int) -> list[str]:
        """Return the last *count* lines of the log of *name*."""
        try:
            text = Path(self.get(name).log).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        return text.splitlines()[-count:]

    def exit_status(self, name: str) -> int | None:
        """Return how a child of this very command ended, negative for a signal; None for others and living ones."""
        child = self._children.get(self.get(name).pid)
        return None if child is None else child.poll()

    def _wait_dead(self, names: Iterable[str], seconds: float) -> list[str]:
        """Wait until all *names* are dead, at most *seconds*, and return those still alive."""
        deadline = self._clock.monotonic() + seconds
        alive = list(names)
        while alive := [name for name in alive if self.state(name) is not Running.DEAD]:
            if self._clock.monotonic() >= deadline:
                break
            self._sleep(POLL_SECONDS)
        return alive

    def _find(self, name: str) -> psutil.Process | None:
        """Return the living process behind *name*, or None when its id now belongs to another or to nobody."""
        started = self._started.get(name)
        if started is None:
            return None
        child = self._children.get(started.pid)
        if child is not None and child.poll() is not None:
            return None
        try:
            process = psutil.Process(started.pid)
            is_same = abs(process.create_time() - started.started) <= _START_TOLERANCE_SECONDS
        except psutil.NoSuchProcess:
            return None
        return process if is_same else None

    def _write_state(self) -> None:
        """Replace the state file in one step, so that a killed command leaves the old or the new one."""
        path = self._folder / "state.json"
        scratch = path.with_suffix(".tmp")
        scratch.write_bytes(msgspec.json.format(msgspec.json.encode(list(self._started.values()))) + b"\n")
        scratch.replace(path)


def _read_state(folder: Path) -> list[Started]:
    """Return what an earlier command remembered; nothing where there is no file or one that cannot be read."""
    try:
        return msgspec.json.decode((folder / "state.json").read_bytes(), type=list[Started])
    except (FileNotFoundError, msgspec.MsgspecError):
        return []

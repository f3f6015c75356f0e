"""The folder in which an agent keeps its state: made, proved to be writable, and held by one agent at a time."""

import fcntl
import os
import shutil
import tempfile
import uuid
from pathlib import Path

from agent.errors import ConfigError

LOCK_NAME = "agent.lock"
"""Holds the process id of the agent that uses the folder. The lock is the kernel's and ends with the process; the file
stays."""


class DataDir:
    """An agent's folder, locked until `close`; without a configured one a temporary one that `close` removes."""

    def __init__(self, configured: Path | None) -> None:
        """Take *configured*; raises ConfigError when it cannot be written or another agent has it."""
        self.temporary = configured is None
        self._lock: int | None = None
        if configured is None:
            self.path = Path(tempfile.mkdtemp(prefix="outrider-dev-"))
            return
        self.path = configured
        try:
            configured.mkdir(parents=True, exist_ok=True)
            # Not inherited by tasks: they outlive the agent and must not keep the next one out.
            self._lock = os.open(configured / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._take(self._lock)
        except OSError as error:
            self.close()
            raise ConfigError(
                f'data_dir = "{configured}": {error.strerror or error}; make it a folder that this user can write'
            ) from error

    def server_id(self) -> str:
        """Return this server's id, made at its first start and kept here; raises ConfigError on a damaged file."""
        if self.temporary:
            return str(uuid.uuid4())
        from agent.client.files import write_atomically  # noqa: PLC0415 - only where there is a disk

        path = self.path / "server" / "node-id"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                write_atomically(path, str(uuid.uuid4()).encode(), durable=True)
            text = path.read_text(encoding="ascii", errors="replace").strip()
        except OSError as error:
            raise ConfigError(
                f"{path}: {error.strerror or error}; make it readable and writable for this user"
            ) from error
        try:
            return str(uuid.UUID(text))
        except ValueError as error:
            raise ConfigError(f"{path}: {text[:40]!r} is no UUID; restore the file") from error

    def close(self) -> None:
        """Let the folder go; harmless when done already."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        if self.temporary:
            shutil.rmtree(self.path, ignore_errors=True)

    def _take(self, lock: int) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(lock, 20, 0).decode("ascii", "replace").strip()
            self.close()
            raise ConfigError(
                f'data_dir = "{self.path}": another agent uses it (process {holder or "unknown"}); stop that agent or '
                "choose another data_dir"
            ) from error
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)

"""The folders in which an agent keeps its state: made, proved to be writable, and held by one agent at a time.

A server's own state (its id, the Raft log, gossip's files) lies in `server` below data_dir, or in server.data_dir where
that is set. Source: Nomad's `convertServerConfig`.
"""

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

ID_NAME = "node-id"
"""The server's id, in its folder."""


class DataDir:
    """An agent's folder, locked until `close`; without a configured one a temporary one that `close` removes."""

    def __init__(self, configured: Path | None, server: Path | None = None, *, serves: bool = False) -> None:
        """Take *configured*, and with *serves* the server's folder, too: *server*, None for `server` below it.

        Raises ConfigError when one cannot be written, another agent has it, or a server's state lies where it is no
        longer looked for.
        """
        self._locks: list[int] = []
        self._temporary = configured is None
        self.path = Path(tempfile.mkdtemp(prefix="outrider-dev-")) if configured is None else configured
        self.server: Path | None = None
        """The server's own folder; None for one that keeps nothing on the disk, or no server."""
        try:
            if configured is not None:
                self._take(configured, "data_dir")
            if serves and server is not None:
                self._take_server(server)
            elif serves and configured is not None:
                self.server = configured / "server"
                self._take(self.server, "data_dir/server")
        except ConfigError:
            self.close()
            raise

    def server_id(self) -> str:
        """Return this server's id, made at its first start and kept here; raises ConfigError on a damaged file."""
        if self.server is None:
            return str(uuid.uuid4())
        from agent.client.files import write_atomically  # noqa: PLC0415 - only where there is a disk

        path = self.server / ID_NAME
        try:
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
        """Let the folders go; harmless when done already."""
        while self._locks:
            os.close(self._locks.pop())
        if self._temporary:
            shutil.rmtree(self.path, ignore_errors=True)

    def _take_server(self, folder: Path) -> None:
        """Take server.data_dir; one that is empty while the former place is not would be a new server in silence."""
        self._take(folder, "server.data_dir")
        former = self.path / "server"
        if (former / ID_NAME).exists() and not (folder / ID_NAME).exists():
            raise ConfigError(
                f'server.data_dir = "{folder}": this server\'s state is in {former}: move what is there, or remove it '
                "if this server is to begin anew"
            )
        self.server = folder

    def _take(self, folder: Path, key: str) -> None:
        """Make *folder*, which is the value of *key*, and lock it."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Not inherited by tasks: they outlive the agent and must not keep the next one out.
            lock = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(
                f'{key} = "{folder}": {error.strerror or error}; make it a folder that this user can write'
            ) from error
        if any(os.path.sameopenfile(lock, own) for own in self._locks):
            os.close(lock)  # both are one folder
            return
        self._locks.append(lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(lock, 20, 0).decode("ascii", "replace").strip()
            raise ConfigError(
                f'{key} = "{folder}": another agent uses it (process {holder or "unknown"}); stop that agent or '
                f"choose another {key}"
            ) from error
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)

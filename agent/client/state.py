"""What a client must know again after a restart: its allocations and how far their tasks got, one file each.

A record is written before what it announces is done (see `task_runner`), so that a client killed at any moment finds
every task it started. Files are replaced whole; they are not flushed to the disk one by one, because after a loss of
power the tasks are gone anyway.
"""

import logging
from pathlib import Path

import msgspec

from agent.client.files import write_atomically
from agent.client.task_runner import TaskLife
from agent.model.alloc import Allocation
from agent.model.base import AllocID

VERSION = 1

_SUFFIX = ".msgpack"


class AllocRecord(msgspec.Struct, frozen=True):
    """An allocation as the servers gave it, and the lives of its tasks by name."""

    version: int
    alloc: Allocation
    tasks: dict[str, TaskLife]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(AllocRecord)


class StateStore:
    """The records below one directory, which is made when it is missing."""

    def __init__(self, state_dir: Path, logger: logging.Logger) -> None:
        self._records = state_dir / "allocs"
        self._status = state_dir / "tasks"
        self._logger = logger
        for directory in (self._records, self._status):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def save(self, alloc: Allocation, tasks: dict[str, TaskLife]) -> None:
        """Keep how *alloc* stands; raises OSError."""
        data = _ENCODER.encode(AllocRecord(VERSION, alloc, tasks))
        write_atomically(self._path(alloc.id), data)

    def load(self) -> list[AllocRecord]:
        """Return all records, by id; one that cannot be read is named in the log and kept for the operator to look at."""
        records = []
        for path in sorted(self._records.glob(f"*{_SUFFIX}")):
            try:
                record = _DECODER.decode(path.read_bytes())
            except (OSError, msgspec.MsgspecError) as error:
                self._logger.error("state of an allocation is unreadable: file=%s reason=%s", path, error)  # noqa: TRY400 - the reason says it all
                path.rename(path.with_suffix(".damaged"))
                continue
            if record.version != VERSION:
                self._logger.error("state of an allocation has version %d: file=%s", record.version, path)
                continue
            records.append(record)
        return records

    def remove(self, alloc_id: AllocID) -> None:
        """Forget an allocation."""
        self._path(alloc_id).unlink(missing_ok=True)
        for path in self._status.glob(f"{alloc_id}.*"):
            path.unlink(missing_ok=True)

    def status_file(self, alloc_id: AllocID, task: str, run: int) -> Path:
        """Return where a driver may keep what it knows of the *run*-th run of *task*."""
        return self._status / f"{alloc_id}.{task}.{run}"

    def forget_run(self, status_file: str) -> None:
        """Remove the file of one run, once its end is recorded."""
        if status_file:
            Path(status_file).unlink(missing_ok=True)

    def _path(self, alloc_id: AllocID) -> Path:
        return self._records / f"{alloc_id}{_SUFFIX}"

"""Keeps the logs of tasks within the sizes their jobs allow.

Tasks write their files themselves, so that nothing stands between a task and its log when the agent is gone. A file
that has grown too large is therefore copied and emptied in place: what a task writes in that moment may be lost.
`<task>.stdout.0` is always the one being written, `.1` the newest of the older ones; Nomad, whose own process writes
the logs, counts upwards.
"""

import contextlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

LOOK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class TaskLog:
    """One log file, whose name ends with ".0", and what it may take: bytes a file, files together."""

    path: Path
    file_bytes_max: int
    files_max: int


def rotate_all(logs: Iterable[TaskLog]) -> None:
    """Rotate every one that has grown too large; blocks while it copies. A file that is gone is passed over."""
    for log in logs:
        with contextlib.suppress(FileNotFoundError):
            if log.path.stat().st_size > log.file_bytes_max:
                rotate(log)


def rotate(log: TaskLog) -> None:
    """Move the older files up by one, the oldest out, and the content of the newest aside; raises OSError."""
    if log.files_max > 1:
        _numbered(log.path, log.files_max - 1).unlink(missing_ok=True)
    for number in range(log.files_max - 2, 0, -1):
        if (older := _numbered(log.path, number)).exists():
            older.rename(_numbered(log.path, number + 1))
    if log.files_max > 1:
        shutil.copyfile(log.path, _numbered(log.path, 1), follow_symlinks=False)
    with log.path.open("r+b") as file:
        file.truncate(0)


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name.removesuffix('.0')}.{number}")

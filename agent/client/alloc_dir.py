"""The directories of an allocation and its tasks. Source: Nomad, client/allocdir.

<alloc_dir>/<alloc id>/alloc/{data,logs,tmp}      shared by the tasks
<alloc_dir>/<alloc id>/<task>/{local,secrets,tmp} of one task
"""

import os
import pwd
import shutil
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from agent.model.base import AllocID

SHARED = ("data", "logs", "tmp")
SHARED_DIR = "alloc"


class Hook(Enum):
    """A part of the start that is measured, in Nomad's word."""

    ALLOC_DIR = "alloc_dir"
    TASK_DIR = "task_dir"


@dataclass(frozen=True, slots=True)
class AllocDir:
    """The directories of one allocation; nothing is made before it is asked for."""

    root: Path

    @classmethod
    def of(cls, alloc_dir: Path, alloc_id: AllocID) -> "AllocDir":
        """Return the directories of *alloc_id* below the client's *alloc_dir*."""
        return cls(alloc_dir / alloc_id)

    @property
    def shared(self) -> Path:
        """What all tasks see as NOMAD_ALLOC_DIR."""
        return self.root / SHARED_DIR

    def task(self, name: str) -> Path:
        """The directory of the task *name*."""
        return self.root / name

    def local(self, name: str) -> Path:
        """What the task sees as NOMAD_TASK_DIR."""
        return self.task(name) / "local"

    def secrets(self, name: str) -> Path:
        """What the task sees as NOMAD_SECRETS_DIR."""
        return self.task(name) / "secrets"

    def log(self, name: str, stream: str) -> Path:
        """Where *stream*, stdout or stderr, of the task *name* goes."""
        return self.shared / "logs" / f"{name}.{stream}.0"

    def build_shared(self) -> None:
        """Make the directories that the tasks share; raises OSError."""
        for name in SHARED:
            (self.shared / name).mkdir(parents=True, exist_ok=True)

    def build(self, task: str, user: str) -> None:
        """Make the directories of *task* beside the shared ones, belonging to *user*; raises OSError and KeyError.

        Raises ValueError when the task's name would leave the allocation's directory or meet the shared one.
        """
        if task in {"", ".", "..", SHARED_DIR} or "/" in task or "\0" in task:
            raise ValueError(f"a task cannot be called {task!r}")
        owned = [self.task(task), self.local(task), self.secrets(task), self.task(task) / "tmp"]
        for path in owned:
            path.mkdir(exist_ok=True, mode=0o700 if path == self.secrets(task) else 0o755)
        if user and pwd.getpwnam(user).pw_uid != os.geteuid():
            for path in [*owned, self.shared / "data", self.shared / "tmp"]:
                shutil.chown(path, user)

    def destroy(self) -> None:
        """Remove everything; what cannot be removed stays, without an error."""
        shutil.rmtree(self.root, ignore_errors=True)

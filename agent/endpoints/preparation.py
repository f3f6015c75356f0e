"""Decoding a staged snapshot beside the Raft thread, so that the entry that puts it in place costs next to nothing.

20,000 allocations take a second or two to decode: done while the entry is applied, on all servers at once, the leader
would hear nobody for longer than its lease, and lose it.
"""

import asyncio
import threading

from agent.state import restore
from agent.state.store import Staged, State


class Preparation:
    """What one staged snapshot decodes to. All but `until_ready` belongs to the Raft thread."""

    def __init__(self) -> None:
        self._job: _Job | None = None

    def see(self, staged: Staged | None) -> None:
        """Begin to decode *staged* once all of it is there; forget what is staged no more."""
        if self._job is not None and self._job.staged is not staged:
            # By identity: pieces that were sent anew under the same id may be others.
            self._job = None
        if staged is not None and staged.complete and self._job is None:
            self._job = _Job(staged)

    def take(self, staged: Staged | None) -> State | None:
        """Return the state in *staged* once it is decoded; None when that was not begun, or it is damaged."""
        job, self._job = self._job, None
        if job is None or job.staged is not staged:
            return None
        job.thread.join()
        return job.found

    async def until_ready(self, restore_id: str) -> None:
        """Return once *restore_id* is decoded, or is not being decoded."""
        job = self._job
        if job is not None and job.staged.restore_id == restore_id:
            await asyncio.to_thread(job.thread.join)


class _Job:
    def __init__(self, staged: Staged) -> None:
        self.staged = staged
        self.found: State | None = None
        self.thread = threading.Thread(target=self._decode, args=(staged,), name="restore", daemon=True)
        self.thread.start()

    def _decode(self, staged: Staged) -> None:
        try:
            self.found = restore.decode(staged)
        except ValueError:
            # Told by whoever applies the entry: it finds the same damage, and records why.
            self.found = None

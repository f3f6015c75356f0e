"""Snapshots for operators: the state handed out in parts, and a saved one taken in piece by piece and put in place.

A part of a file is asked for at a time, as one answer carries 8 MiB at most: the server that made the file keeps it
for a while, because the state has gone on when the next part is asked for.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agent.endpoints.context import Context, Handlers
from agent.errors import Overloaded, RequestRefused
from agent.model.command import AnyCommand, RestoreSnapshot, Result, StageSnapshot
from agent.rpc import methods as m
from agent.state.archive import ArchiveError, write_archive

PART_BYTES = 4 * 1024 * 1024
"""Of one answer."""

KEPT_MAX = 2
"""Files that are being fetched at the same time."""

KEPT_SECONDS = 60.0
"""How long the next part of a file may be waited for."""


@dataclass(slots=True)
class _Kept:
    file: bytes
    sha256: str
    until: float


class SnapshotEndpoint:
    """`Operator.Snapshot*`."""

    def __init__(self, context: Context, put_in_place: Callable[[AnyCommand], Awaitable[Result]]) -> None:
        """Answer for the server behind *context*; *put_in_place* proposes as it does, with a deadline for large states."""
        self._context = context
        self._put_in_place = put_in_place
        self._kept: dict[str, _Kept] = {}
        self._making = 0

    def handlers(self) -> Handlers:
        """Return what answers which method."""
        return {
            m.OPERATOR_SNAPSHOT_SAVE: self.save,
            m.OPERATOR_SNAPSHOT_STAGE: self.stage,
            m.OPERATOR_SNAPSHOT_RESTORE: self.restore,
        }

    async def save(self, request: m.SnapshotSaveRequest) -> m.SnapshotSaveResponse:
        """Make a file of the state and return its beginning, or return more of one that was made."""
        now = self._context.clock.monotonic()
        for id_ in [id_ for id_, kept in self._kept.items() if kept.until < now]:
            del self._kept[id_]
        id_ = request.snapshot_id or await self._make()
        kept = self._kept.get(id_)
        if kept is None or not 0 <= request.offset <= len(kept.file):
            raise RequestRefused("this server does not hold that snapshot any more; save again", 409)
        kept.until = self._context.clock.monotonic() + KEPT_SECONDS
        data = kept.file[request.offset : request.offset + PART_BYTES]
        if request.offset + len(data) == len(kept.file):
            del self._kept[id_]
        response = m.SnapshotSaveResponse(snapshot_id=id_, size_bytes=len(kept.file), sha256=kept.sha256, data=data)
        return self._context.fresh(response, self._context.state.index)

    async def _make(self) -> str:
        if len(self._kept) + self._making >= KEPT_MAX:
            raise Overloaded(f"{KEPT_MAX} snapshots are being fetched from this server already")
        context = self._context
        state, term, at_seconds = context.state, context.status().term, context.clock.wall()
        self._making += 1
        try:
            file = await asyncio.to_thread(write_archive, state, term, at_seconds)
        except ArchiveError as error:
            raise RequestRefused(str(error), 413) from error
        finally:
            self._making -= 1
        id_ = context.new_id()
        self._kept[id_] = _Kept(file, hashlib.sha256(file).hexdigest(), context.clock.monotonic() + KEPT_SECONDS)
        return id_

    async def stage(self, request: m.SnapshotStageRequest) -> m.Response:
        """Put a piece into the log."""
        context = self._context
        result = await context.propose(
            StageSnapshot(
                request_id=context.new_id(),
                at=context.now_ns(),
                restore_id=request.restore_id,
                packed_bytes=request.packed_bytes,
                state_bytes=request.state_bytes,
                offset=request.offset,
                data=request.data,
            )
        )
        return context.fresh(m.Response(), result.index)

    async def restore(self, request: m.SnapshotRestoreRequest) -> m.Response:
        """Let the staged pieces be the state of all servers."""
        context = self._context
        # The others began at the same time: none of them has to decode while it should hear its leader.
        await context.replicated.until_prepared(request.restore_id)
        command = RestoreSnapshot(request_id=context.new_id(), at=context.now_ns(), restore_id=request.restore_id)
        result = await self._put_in_place(command)
        context.logger.warning("the state was replaced by an operator's snapshot: index=%d", result.index)
        return context.fresh(m.Response(), result.index)

"""An operator's snapshot takes the place of the state: pieces of it are staged through the log, then one entry swaps.

Why through the log and not beside it: whoever applies the entry `RestoreSnapshot` has applied all its pieces before, so
every server has the restored state from the same index on, however it got there (the log, a later snapshot of a server
that was down, a replay after a crash). Until that entry is committed there is only the old state, after it only the new
one. Terms, votes and the members of the group are the log's and stay.

Pure. Indexes never go back: where the snapshot is of a cluster that had gone further, all later indexes move ahead.
"""

import zlib
from dataclasses import replace

import msgspec
from immutables import Map

from agent.model.alloc import Allocation
from agent.model.command import RestoreSnapshot, StageSnapshot
from agent.state.snapshot import load
from agent.state.store import Staged, State, Table

PIECE_BYTES_MAX = 256 * 1024
"""Of one entry of the log: a longer one holds up heartbeats."""

PACKED_BYTES_MAX = 64 * 1024 * 1024
"""Of a packed state: every server holds it in memory, in its log and staged, until its next snapshot."""

STATE_BYTES_MAX = 256 * 1024 * 1024
"""Of an unpacked state; what claims or unpacks to more is refused. 20,000 allocations take 18 MB, packed a seventh."""

ABANDONED_NS = 600 * 1_000_000_000
"""Staged pieces are forgotten when none followed for so long, by the times that commands carry."""

_LEVEL = 1


class RestoreError(ValueError):
    """The command cannot be carried out; `status` is the HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def pack(dumped: bytes) -> bytes:
    """Return a dumped state compressed, as it is staged."""
    return zlib.compress(dumped, _LEVEL)


def without_abandoned(state: State, at: int) -> State:
    """Return *state* without staged pieces that nobody has added to for long before *at*, in Unix nanoseconds."""
    if state.staged is None or at - state.staged.at <= ABANDONED_NS:
        return state
    return replace(state, staged=None)


def stage(state: State, command: StageSnapshot) -> State:
    """Return *state* with one more piece; raises RestoreError when it does not follow what is there."""
    size = len(command.data)
    if not 0 < size <= PIECE_BYTES_MAX:
        raise RestoreError(f"a piece of {size} bytes; between 1 and {PIECE_BYTES_MAX} are allowed", 400)
    before = state.staged
    if command.offset == 0:
        before = Staged(command.restore_id, command.at, 0, ())
    if before is None or before.restore_id != command.restore_id:
        raise RestoreError("another restore began meanwhile; nothing was restored: try again", 409)
    if before.size_bytes != command.offset:
        raise RestoreError(f"a piece at {command.offset} does not follow {before.size_bytes} bytes", 409)
    if before.size_bytes + size > PACKED_BYTES_MAX:
        raise RestoreError(f"the snapshot is larger than {PACKED_BYTES_MAX} bytes", 413)
    staged = Staged(command.restore_id, command.at, before.size_bytes + size, (*before.pieces, command.data))
    return replace(state, staged=staged)


def restored(state: State, index: int, command: RestoreSnapshot) -> State:
    """Return the staged state in place of *state*, at *index* or after where it stood; raises RestoreError.

    All tables count as changed, so that everybody who waits for a change looks again. Servers' halves of allocations
    count as changed, so that clients fetch them again. The memory of requests stays this cluster's.
    """
    staged = state.staged
    if staged is None or staged.restore_id != command.restore_id:
        raise RestoreError("another restore began meanwhile; nothing was restored: try again", 409)
    if staged.size_bytes != command.packed_bytes:
        raise RestoreError(f"{staged.size_bytes} of {command.packed_bytes} bytes are staged", 409)
    try:
        found = load(_unpack(b"".join(staged.pieces), command.state_bytes))
    except ValueError as error:
        raise RestoreError(f"nothing was restored: {error}", 400) from error
    after = max(index, found.index + 1)
    return replace(
        found,
        index=after,
        table_indexes=Map(dict.fromkeys(Table, after)),
        allocs_by_id=Map({id_: _touched(alloc, after) for id_, alloc in found.allocs_by_id.items()}),
        results=state.results,
        request_order=state.request_order,
        requests_seen=state.requests_seen,
        index_offset=state.index_offset + after - index,
        restored_at=after,
        staged=None,
    )


def _touched(alloc: Allocation, index: int) -> Allocation:
    if alloc.client_terminal:
        return alloc
    return msgspec.structs.replace(alloc, modify_index=index, alloc_modify_index=index)


def _unpack(packed: bytes, size: int) -> bytes:
    """Return the *size* bytes in *packed*; raises ValueError. Never unpacks more than that and one byte."""
    if not 0 < size <= STATE_BYTES_MAX:
        raise ValueError(f"a state of {size} bytes is not between 1 and {STATE_BYTES_MAX}")
    unpacker = zlib.decompressobj()
    try:
        state = unpacker.decompress(packed, size + 1)
    except zlib.error as error:
        raise ValueError(f"it cannot be unpacked: {error}") from error
    if len(state) != size or not unpacker.eof or unpacker.unused_data:
        raise ValueError(f"it unpacks to something else than the {size} bytes it states")
    return state

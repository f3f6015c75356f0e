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
    size, allowed = len(command.data), min(PIECE_BYTES_MAX, command.packed_bytes - command.offset)
    if command.packed_bytes > PACKED_BYTES_MAX or command.state_bytes > STATE_BYTES_MAX:
        raise RestoreError(f"the snapshot is larger than {STATE_BYTES_MAX} bytes, or {PACKED_BYTES_MAX} packed", 413)
    if not 0 < size <= allowed:
        raise RestoreError(f"a piece of {size} bytes at {command.offset}; between 1 and {allowed} are allowed", 400)
    before = state.staged
    if command.offset == 0:
        before = Staged(command.restore_id, command.at, command.packed_bytes, command.state_bytes)
    if before is None or before.restore_id != command.restore_id:
        raise RestoreError("another restore began meanwhile; nothing was restored: try again", 409)
    if before.size_bytes != command.offset:
        raise RestoreError(f"a piece at {command.offset} does not follow {before.size_bytes} bytes", 409)
    staged = replace(before, at=command.at, size_bytes=before.size_bytes + size, pieces=(*before.pieces, command.data))
    return replace(state, staged=staged)


def decode(staged: Staged) -> State:
    """Return the state in *staged*; raises ValueError when it is damaged, or is not what it says to be."""
    return load(_unpack(b"".join(staged.pieces), staged.state_bytes))


def restored(state: State, index: int, command: RestoreSnapshot, prepared: State | None = None) -> State:
    """Return the staged state in place of *state*, at *index* or after where it stood; raises RestoreError.

    *prepared* is what `decode` gave for what is staged, where somebody had the time.

    All tables count as changed, so that everybody who waits for a change looks again. Servers' halves of allocations
    count as changed, so that clients fetch them again. The memory of requests stays this cluster's.
    """
    staged = state.staged
    if staged is None or staged.restore_id != command.restore_id:
        raise RestoreError("another restore began meanwhile; nothing was restored: try again", 409)
    if not staged.complete:
        raise RestoreError(f"{staged.size_bytes} of {staged.packed_bytes} bytes are staged", 409)
    try:
        found = prepared or decode(staged)
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

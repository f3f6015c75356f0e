"""The file of `outrider operator snapshot`: a gzipped tar as Nomad's, with the state in our own encoding. Pure.

Members: `meta.json` (what and when), `state.bin` (`agent.state.snapshot`), `SHA256SUMS` over both. Reading bounds what
it unpacks before it unpacks it, takes nothing but these three plain files, and checks everything that it hands out.

Source: Nomad, helper/snapshot/archive.go, for names and order; POSIX ustar for the tar.
"""

import hashlib
import io
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated

import msgspec

from agent.state import snapshot
from agent.state.restore import STATE_BYTES_MAX
from agent.state.store import State

ARCHIVE_BYTES_MAX = 128 * 1024 * 1024
"""Of the file; one of a state of 20,000 allocations has 2 MB."""

_META, _STATE, _SUMS = "meta.json", "state.bin", "SHA256SUMS"
_SMALL_BYTES_MAX = 64 * 1024
_LIMITS = {_META: _SMALL_BYTES_MAX, _STATE: STATE_BYTES_MAX, _SUMS: _SMALL_BYTES_MAX}
_BLOCK = 512
_UNPACKED_BYTES_MAX = STATE_BYTES_MAX + 16 * _SMALL_BYTES_MAX
_STEP = 1024 * 1024
_HELPING = 64 * 1024
_GZIP_WINDOW = 31
_LEVEL = 1
_MEMBER_MODE = 0o600


class ArchiveError(ValueError):
    """Bytes that are not an undamaged snapshot of ours; the message says which damage it is."""


class Meta(msgspec.Struct, frozen=True, rename="pascal"):
    """What a snapshot is of; the fields are a Nomad's. `size` is the length of the state in bytes."""

    version: int = 1
    id: str = msgspec.field(name="ID", default="")
    index: Annotated[int, msgspec.Meta(ge=0, le=2**62)] = 0
    term: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Archive:
    """An undamaged snapshot; `dumped` is the state as `agent.state.snapshot` has it."""

    meta: Meta
    state: State
    dumped: bytes


def write_archive(state: State, term: int, at_seconds: float) -> bytes:
    """Return the file of *state*, saved in *term* at *at_seconds* (Unix); raises ArchiveError for one too large."""
    dumped = snapshot.dump(replace(state, staged=None))
    if len(dumped) > STATE_BYTES_MAX:
        raise ArchiveError(f"the state has {len(dumped)} bytes, and no more than {STATE_BYTES_MAX} could be restored")
    meta = Meta(id=f"{term}-{state.index}-{int(at_seconds * 1000)}", index=state.index, term=term, size=len(dumped))
    members = {_META: msgspec.json.encode(meta) + b"\n", _STATE: dumped}
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in members.items())
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.USTAR_FORMAT, compresslevel=_LEVEL) as tar:
        for name, data in {**members, _SUMS: sums.encode()}.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(data), _MEMBER_MODE, int(at_seconds)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def read_archive(data: bytes) -> Archive:
    """Return what the file *data* holds; raises ArchiveError unless all of it is whole and can be loaded."""
    if len(data) > ARCHIVE_BYTES_MAX:
        raise ArchiveError(f"it is larger than {ARCHIVE_BYTES_MAX} bytes")
    members = dict(_members(data))
    missing = [name for name in _LIMITS if name not in members]
    if missing:
        raise ArchiveError(f"{' and '.join(missing)} missing: it is no snapshot, or cut short")
    _check_sums(members)
    try:
        meta = msgspec.json.decode(members[_META], type=Meta)
    except msgspec.MsgspecError as error:
        raise ArchiveError(f"{_META} is not what a snapshot says of itself: {error}") from error
    dumped = members[_STATE]
    if meta.size != len(dumped):
        raise ArchiveError(f"{_META} speaks of {meta.size} bytes of state, and there are {len(dumped)}")
    if not dumped.startswith(snapshot.MAGIC):
        raise ArchiveError(
            f"it is the snapshot of a Nomad (index {meta.index}), whose state Outrider cannot read: restore it with "
            "nomad operator snapshot restore on a Nomad"
        )
    try:
        state = snapshot.load(dumped)
    except ValueError as error:
        raise ArchiveError(f"{_STATE}: {error}") from error
    if state.index != meta.index:
        raise ArchiveError(f"{_META} speaks of index {meta.index}, and the state stands at {state.index}")
    return Archive(meta, state, dumped)


def _members(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each member of the tar; raises ArchiveError."""
    tar = _unpack(data)
    at, seen = 0, set()
    while any(header := bytes(tar[at : at + _BLOCK])):
        name, size = _header(header, at)
        end = at + _BLOCK + size
        if name in seen or end > len(tar):
            raise ArchiveError(f"offset {at}: {name} " + ("stands twice" if name in seen else "is cut short"))
        seen.add(name)
        yield name, bytes(memoryview(tar)[at + _BLOCK : end])
        at = end + -size % _BLOCK
    if tar.count(0, at) != len(tar) - at:
        raise ArchiveError(f"offset {at}: something follows its end")


def _header(header: bytes, at: int) -> tuple[str, int]:
    """Return name and size of the member with *header*; raises ArchiveError."""
    try:
        info = tarfile.TarInfo.frombuf(header, "ascii", "strict")
    except (tarfile.HeaderError, UnicodeDecodeError) as error:
        raise ArchiveError(f"offset {at}: it is no tar, or damaged: {error}") from error
    limit = _LIMITS.get(info.name)
    if limit is None or not info.isreg():
        raise ArchiveError(f"offset {at}: {info.name[:100]!r} is none of {', '.join(_LIMITS)}")
    if not 0 <= info.size <= limit:
        raise ArchiveError(f"offset {at}: {info.name} of {info.size} bytes is above the limit of {limit}")
    return info.name, info.size


def _unpack(data: bytes) -> bytearray:
    """Return what *data* unpacks to, in steps that end at the limit; raises ArchiveError."""
    if not data:
        raise ArchiveError("it is empty")
    unpacker = zlib.decompressobj(_GZIP_WINDOW)
    out, fed = bytearray(), 0
    while fed < len(data) and not unpacker.eof:
        # In small helpings: zlib hands back what it has not taken as a copy.
        rest = data[fed : fed + _HELPING]
        fed += len(rest)
        while rest and not unpacker.eof:
            try:
                out += unpacker.decompress(rest, _STEP)
            except zlib.error as error:
                raise ArchiveError(f"it is no gzip, or damaged: {error}") from error
            rest = unpacker.unconsumed_tail
            if len(out) > _UNPACKED_BYTES_MAX:
                raise ArchiveError(f"it unpacks to more than {_UNPACKED_BYTES_MAX} bytes")
    if not unpacker.eof:
        raise ArchiveError("it is cut short")
    following = len(unpacker.unused_data) + len(data) - fed
    if following:
        raise ArchiveError(f"{following} bytes follow its end")
    return out


def _check_sums(members: dict[str, bytes]) -> None:
    """Compare SHA256SUMS with the other members; raises ArchiveError."""
    stated = members[_SUMS].decode("ascii", "replace").splitlines()
    for name in (_META, _STATE):
        if f"{hashlib.sha256(members[name]).hexdigest()}  {name}" not in stated:
            raise ArchiveError(f"{name} does not match its checksum in {_SUMS}")

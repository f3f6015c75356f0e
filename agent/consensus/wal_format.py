"""The bytes of the durable log: segments, records, and what may have become of the last of them. Pure.

A segment is a header followed by records::

    header: magic 8 | version u32 | sequence u64 | from version 2 on the id of the cluster 16 | crc32 u32
    record: marker 4 | crc32 u32 | length u32 | kind u8 | index u64 | term u64 | wall milliseconds u64 | payload

all big-endian; the checksum of a record covers everything after itself, that of a header everything before. A segment
that was begun before the id of the cluster was known has version 1.

Behind the last whole record there may be bytes that are none. Either a crash cut a write short that nobody was answered
for (a tear: the record ends early, or in zeros), or a record was whole once and is damaged now. `judge_tail` tells them
apart, and says of damage how many records it can have been.
"""

import struct
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, IntEnum, auto
from itertools import islice

import msgspec

from agent.consensus.codec import COMMAND_BYTES_MAX

SECTOR_BYTES = 512
"""What a disk writes whole. Where only the length of a file was written, it reads as zeros."""

_SEGMENT_MAGIC = b"ORAFTLOG"
_SEGMENT_VERSION = 1
_SEGMENT_VERSION_WITH_CLUSTER = 2
_SEGMENT_HEADER = struct.Struct(">8sIQ")
_CRC = struct.Struct(">I")
_CLUSTER_BYTES = 16
CLUSTER_AT = _SEGMENT_HEADER.size
"""Where the id of the cluster stands in a segment that has it."""

SEGMENT_HEADER_BYTES = _SEGMENT_HEADER.size + _CRC.size
"""Of a segment without the id of its cluster."""

SEGMENT_HEADER_BYTES_MAX = SEGMENT_HEADER_BYTES + _CLUSTER_BYTES
RECORD_MARKER = b"\xd7\x0c\xa5\x1e"
_RECORD_BODY = struct.Struct(">IBQQQ")
_LENGTH = struct.Struct(">I")
_BODY_AT = len(RECORD_MARKER) + _CRC.size
RECORD_HEADER_BYTES = _BODY_AT + _RECORD_BODY.size
_RECORD_PAYLOAD_MAX = 64 * 1024 * 1024
_ENTRY_BYTES_MIN = RECORD_HEADER_BYTES + 1
"""A command has a byte at least, that of its kind."""

_ENTRY_BYTES_MAX = RECORD_HEADER_BYTES + COMMAND_BYTES_MAX + 1

_ZEROS_MIN = 8
"""Fewer zeros than these at the end of a record may be its own, or a byte that was damaged."""

_ENDS_MAX = 16
"""Markers behind a damaged record that are tried as its end: what it holds may be full of them."""

_DAMAGE_MAGIC = b"ORAFTDMG"
_VOTE_MAGIC = b"ORAFTVOT"
VOTE_BODY_AT = len(_VOTE_MAGIC) + _CRC.size


class RecordKind(IntEnum):
    """What a record says."""

    ENTRY = 1
    TRUNCATE = 2
    """Entries from this index on are gone."""
    RESET = 3
    """The log begins anew with this index and term: a snapshot covers everything up to it."""


@dataclass(frozen=True, slots=True)
class Record:
    """One whole record; *end* is the offset of the next."""

    kind: int
    index: int
    term: int
    wall_ms: int
    payload: bytes
    end: int


class Damage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """That the end of a log was damaged and cut off, and what it may have held.

    `file`, `offset` and `cut_bytes` say where. Entries up to `kept_index` were left, none for 0. What is lost had
    indexes up to `lost_index` and terms up to `term`. `single`: it was one record.
    """

    file: str
    offset: int
    cut_bytes: int
    kept_index: int
    lost_index: int
    term: int
    single: bool


class Vote(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The newest term that a server has seen, whom it voted for in it, and its cluster; an empty id is not known yet."""

    term: int
    voted_for: str | None
    cluster_id: str = ""


@dataclass(frozen=True, slots=True)
class SegmentHead:
    """The header of a segment; its records begin at the offset *size_bytes*."""

    sequence: int
    cluster_id: str
    size_bytes: int


class TailKind(Enum):
    """What follows the last whole record."""

    TORN = auto()
    """A write that a crash cut short: nobody was answered for it."""
    DAMAGED = auto()
    """The last record, which may have been answered for."""
    SEVERAL = auto()
    """Certainly more than one record that was whole once."""


@dataclass(frozen=True, slots=True)
class Tail:
    """Its kind, and the most records that it can have been: 1 where its header or its checksum says so."""

    kind: TailKind
    records_max: int


def segment_header(sequence: int, cluster_id: str = "") -> bytes:
    """Return the header of the segment *sequence* of the cluster *cluster_id*, a UUID, empty while it is not known."""
    version = _SEGMENT_VERSION_WITH_CLUSTER if cluster_id else _SEGMENT_VERSION
    header = _SEGMENT_HEADER.pack(_SEGMENT_MAGIC, version, sequence)
    if cluster_id:
        header += uuid.UUID(cluster_id).bytes
    return header + _CRC.pack(zlib.crc32(header))


def read_segment_header(data: bytes) -> SegmentHead | None:
    """Return the header of the segment that begins with *data*, None when that is no undamaged one."""
    if len(data) < SEGMENT_HEADER_BYTES:
        return None
    _, version, sequence = _SEGMENT_HEADER.unpack_from(data)
    cluster_id = ""
    if version == _SEGMENT_VERSION_WITH_CLUSTER and len(data) >= SEGMENT_HEADER_BYTES_MAX:
        cluster_id = str(uuid.UUID(bytes=data[CLUSTER_AT : CLUSTER_AT + _CLUSTER_BYTES]))
    header = segment_header(sequence, cluster_id)
    return SegmentHead(sequence, cluster_id, len(header)) if data.startswith(header) else None


def pack_record(kind: RecordKind, index: int, term: int, wall_ms: int, payload: bytes) -> bytes:
    """Return the bytes of a record."""
    body = _RECORD_BODY.pack(len(payload), kind, index, term, wall_ms) + payload
    return RECORD_MARKER + _CRC.pack(zlib.crc32(body)) + body


def read_record(data: bytes, offset: int) -> Record | None:
    """Return the record at *offset*, or None when no whole and undamaged one begins there."""
    body = offset + _BODY_AT
    if len(data) < offset + RECORD_HEADER_BYTES or data[offset : offset + len(RECORD_MARKER)] != RECORD_MARKER:
        return None
    (checksum,) = _CRC.unpack_from(data, offset + len(RECORD_MARKER))
    length, kind, index, term, wall_ms = _RECORD_BODY.unpack_from(data, body)
    end: int = offset + RECORD_HEADER_BYTES + length
    if length > _RECORD_PAYLOAD_MAX or end > len(data) or zlib.crc32(memoryview(data)[body:end]) != checksum:
        return None
    return Record(kind, index, term, wall_ms, data[end - length : end], end)


def find_record(data: bytes, offset: int) -> bool:
    """Tell whether an undamaged record begins anywhere from *offset* on."""
    return any(read_record(data, found) is not None for found in _markers(data, offset))


def holds_nothing(segment: bytes) -> bool:
    """Tell whether there is nothing behind the header of *segment*, or a tear alone."""
    head = read_segment_header(segment)
    begin = SEGMENT_HEADER_BYTES if head is None else head.size_bytes
    if len(segment) <= begin:
        return True
    # Not the other way round: to look for a record in a long segment takes longer than to read the first.
    return (
        read_record(segment, begin) is None
        and judge_tail(segment, begin).kind is TailKind.TORN
        and not find_record(segment, begin)
    )


def judge_tail(data: bytes, offset: int) -> Tail:
    """Tell what the bytes from *offset* on are, in which no undamaged record begins.

    Zeros to the end are a tear, and so is a record that is shorter than it states. Whatever else may be one is taken for
    damage: a server that believes the end of its log lost heals, one that forgets what it answered for does not.
    """
    size = len(data) - offset
    if _is_torn(data, offset):
        return Tail(TailKind.TORN, 0)
    end = _end_of_damaged(data, offset)
    if end is not None and (end == len(data) or _is_torn(data, end)):
        return Tail(TailKind.DAMAGED, 1)
    several = end is not None or size > _ENTRY_BYTES_MAX
    return Tail(TailKind.SEVERAL if several else TailKind.DAMAGED, max(1, size // _ENTRY_BYTES_MIN))


def encode_vote(vote: Vote) -> bytes:
    """Return the bytes of the file that keeps *vote*: as before there were ids while that of the cluster is not known."""
    fields: tuple[int | str | None, ...] = (vote.term, vote.voted_for)
    body = msgspec.msgpack.encode((*fields, vote.cluster_id) if vote.cluster_id else fields)
    return _sealed(_VOTE_MAGIC, body)


def decode_vote(content: bytes) -> Vote:
    """Return what the file with *content* keeps; raises ValueError when it is damaged."""
    try:
        vote = msgspec.msgpack.decode(_unsealed(_VOTE_MAGIC, content), type=Vote)
        return (
            vote if not vote.cluster_id else msgspec.structs.replace(vote, cluster_id=str(uuid.UUID(vote.cluster_id)))
        )
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from error


def encode_damage(damage: Damage) -> bytes:
    """Return the bytes by which *damage* outlives the process."""
    return _sealed(_DAMAGE_MAGIC, msgspec.msgpack.encode(damage))


def decode_damage(content: bytes) -> Damage:
    """Return the damage that *content* tells of; raises ValueError when it is damaged itself."""
    try:
        return msgspec.msgpack.decode(_unsealed(_DAMAGE_MAGIC, content), type=Damage)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from error


def _sealed(magic: bytes, body: bytes) -> bytes:
    return magic + _CRC.pack(zlib.crc32(body)) + body


def _unsealed(magic: bytes, content: bytes) -> bytes:
    """Return what `_sealed` was given; raises ValueError."""
    body = content[len(magic) + _CRC.size :]
    if content != _sealed(magic, body):
        raise ValueError("the checksum does not match")
    return body


def _markers(data: bytes, offset: int) -> Iterator[int]:
    found = data.find(RECORD_MARKER, offset)
    while found >= 0:
        yield found
        found = data.find(RECORD_MARKER, found + 1)


def _zeros_from(data: bytes, offset: int) -> int:
    """Return where zeros begin that a crash may have left in place of a write: at *offset* or a sector, to the end.

    Returns the length of *data* when there are none.
    """
    begin = max(offset, len(data.rstrip(b"\0")))
    if begin > offset:
        begin += -begin % SECTOR_BYTES
        if len(data) - begin < _ZEROS_MIN:
            return len(data)
    return min(begin, len(data))


def _end_of_damaged(data: bytes, offset: int) -> int | None:
    """Return where the damaged record at *offset* ends by its own word; None when it says nothing that fits.

    The length alone is wrong, and the checksum fits another one; or its length leads to the end, to another record or to
    zeros.
    """
    if len(data) < offset + RECORD_HEADER_BYTES:
        return None
    body = offset + _BODY_AT
    (checksum,) = _CRC.unpack_from(data, offset + len(RECORD_MARKER))
    behind_length = memoryview(data)[body + _LENGTH.size :]
    for end in (*islice(_markers(data, offset + RECORD_HEADER_BYTES), _ENDS_MAX), len(data)):
        known = zlib.crc32(_LENGTH.pack(end - offset - RECORD_HEADER_BYTES))
        if zlib.crc32(behind_length[: end - body - _LENGTH.size], known) == checksum:
            return end
    (length,) = _LENGTH.unpack_from(data, body)
    stated: int = offset + RECORD_HEADER_BYTES + length
    if length <= _RECORD_PAYLOAD_MAX and stated <= len(data):
        after = data[stated : stated + len(RECORD_MARKER)]
        if RECORD_MARKER.startswith(after) or not any(data[stated:]):
            return stated
    return None


def _is_torn(data: bytes, offset: int) -> bool:
    """Tell whether what begins at *offset* may be a write that a crash cut short: early, or by zeros."""
    zeros, end = _zeros_from(data, offset), _end_of_damaged(data, offset)
    if end is None:
        return zeros < len(data) or _ends_early(data, offset)
    return zeros < end


def _ends_early(data: bytes, offset: int) -> bool:
    """Tell whether what begins at *offset* is the beginning of a record, and no more of it is there."""
    marker = data[offset : offset + len(RECORD_MARKER)]
    if not RECORD_MARKER.startswith(marker):
        return False
    if len(data) < offset + RECORD_HEADER_BYTES:
        return True
    (length,) = _LENGTH.unpack_from(data, offset + _BODY_AT)
    present = len(data) - offset - RECORD_HEADER_BYTES
    return bool(present < length <= _RECORD_PAYLOAD_MAX)

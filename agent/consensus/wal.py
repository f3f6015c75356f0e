"""The durable log of a server: entries, current term and vote, on disk or in memory.

What counts is on disk before it is answered for: `sync` before an acknowledgement, `set_term_and_vote` before it
returns. Nothing is ever rewritten in place: entries are appended to segments, a truncation is a record of its own,
compaction only deletes whole old segments, and the vote file is replaced by a rename.

A segment is a header followed by records::

    header: magic 8 | version u32 | sequence u64 | crc32 u32
    record: marker 4 | crc32 u32 | length u32 | kind u8 | index u64 | term u64 | wall milliseconds u64 | payload

all big-endian; the checksum covers everything after itself. A record at the very end of the newest segment that is cut
short, or has sectors of zeros, is a torn write that nobody was answered for, and is dropped. Whatever else fails its
checksum, or does so anywhere else, is damage to what may have been answered for: the start stops with a `ConfigError`
that names file and offset.

Not here: snapshots (`snapshot_store`), and which entries may be dropped (the engine).
"""

import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Protocol

import msgspec

from agent.consensus.codec import CommandKind
from agent.errors import ConfigError
from telemetry.clock import Clock

LogEntry = tuple[bytes, int, int]
"""(command, index, term)"""

SEGMENT_BYTES = 16 * 1024 * 1024
"""A segment is closed beyond this; compaction frees space in steps of it."""

_WRITE_BEHIND_BYTES = 1024 * 1024
_SEGMENT_MAGIC = b"ORAFTLOG"
_SEGMENT_VERSION = 1
_SEGMENT_HEADER = struct.Struct(">8sIQ")
_CRC = struct.Struct(">I")
_SEGMENT_HEADER_BYTES = _SEGMENT_HEADER.size + _CRC.size
_RECORD_MARKER = b"\xd7\x0c\xa5\x1e"
_RECORD_BODY = struct.Struct(">IBQQQ")
_RECORD_HEADER_BYTES = len(_RECORD_MARKER) + _CRC.size + _RECORD_BODY.size
_RECORD_PAYLOAD_MAX = 64 * 1024 * 1024
_VOTE_MAGIC = b"ORAFTVOT"

_SECTOR_BYTES = 512
"""What a disk writes whole. Where only the length of a file was written, it reads as zeros."""


class RecordKind(IntEnum):
    """What a record says."""

    ENTRY = 1
    TRUNCATE = 2
    """Entries from this index on are gone."""
    RESET = 3
    """The log begins anew with this index and term: a snapshot covers everything up to it."""


class RaftLog(Protocol):
    """What the engine needs of a log. Never empty: the first entry may be a mere mark of index and term."""

    entries: list[LogEntry]
    """In order, without gaps; owned by the log, read by the engine."""

    @property
    def term(self) -> int:
        """The newest term this server has seen."""

    @property
    def voted_for(self) -> str | None:
        """The server id this server voted for in `term`."""

    @property
    def durable_index(self) -> int:
        """The last index that survives a crash."""

    @property
    def disk_bytes(self) -> int:
        """Bytes of the log's files; 0 for a log in memory."""

    def append(self, command: bytes, index: int, term: int) -> None:
        """Add the entry that follows the last one; durable after `sync`."""

    def truncate_from(self, index: int) -> None:
        """Drop entries from *index* on; durable after `sync`."""

    def compact_to(self, index: int) -> None:
        """Forget entries before *index*, which stays; a snapshot must cover them."""

    def reset(self, index: int, term: int) -> None:
        """Forget everything and begin after (*index*, *term*), durably; a snapshot must cover them."""

    def sync(self) -> None:
        """Make everything appended and truncated durable; one write and one fdatasync for all of it."""

    def set_term_and_vote(self, term: int, voted_for: str | None) -> None:
        """Record the term and the vote in it; durable on return."""

    def oldest_age_seconds(self) -> float:
        """Seconds since the oldest entry was appended."""

    def close(self) -> None:
        """Make everything durable and close the files; idempotent."""


def mark(index: int, term: int) -> LogEntry:
    """Return the entry that stands at the front of a log in place of what a snapshot covers."""
    return (bytes([CommandKind.NO_OP]), index, term)


class MemoryLog:
    """A log that is gone with the process, for -dev and for simulations."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._term = 0
        self._voted_for: str | None = None
        self._appended_ms = [_wall_ms(clock)]
        self.entries: list[LogEntry] = [mark(1, 0)]

    @property
    def term(self) -> int:
        """The newest term this server has seen."""
        return self._term

    @property
    def voted_for(self) -> str | None:
        """The server id this server voted for in `term`."""
        return self._voted_for

    @property
    def durable_index(self) -> int:
        """The last index: memory is as durable as the process."""
        return self.entries[-1][1]

    @property
    def disk_bytes(self) -> int:
        """Nothing."""
        return 0

    def append(self, command: bytes, index: int, term: int) -> None:
        """Add the entry that follows the last one."""
        if index != self.entries[-1][1] + 1:
            raise ValueError(f"entry {index} does not follow {self.entries[-1][1]}")
        self.entries.append((command, index, term))
        self._appended_ms.append(_wall_ms(self._clock))

    def truncate_from(self, index: int) -> None:
        """Drop entries from *index* on."""
        keep = index - self.entries[0][1]
        if keep < 1:
            raise ValueError(f"cannot drop entry {index}: the log begins at {self.entries[0][1]}")
        del self.entries[keep:]
        del self._appended_ms[keep:]

    def compact_to(self, index: int) -> None:
        """Forget entries before *index*."""
        drop = min(index, self.entries[-1][1]) - self.entries[0][1]
        if drop > 0:
            del self.entries[:drop]
            del self._appended_ms[:drop]

    def reset(self, index: int, term: int) -> None:
        """Forget everything and begin after (*index*, *term*)."""
        self.entries[:] = [mark(index, term)]
        self._appended_ms = [_wall_ms(self._clock)]

    def sync(self) -> None:
        """Do nothing."""

    def set_term_and_vote(self, term: int, voted_for: str | None) -> None:
        """Keep the term and the vote in it."""
        self._term, self._voted_for = term, voted_for

    def oldest_age_seconds(self) -> float:
        """Seconds since the oldest entry was appended."""
        return max(0.0, self._clock.wall() - self._appended_ms[0] / 1000)

    def close(self) -> None:
        """Do nothing."""


@dataclass(slots=True)
class _Segment:
    sequence: int
    path: Path
    last_index: int
    """The highest index any record of it touches; 0 when it holds none."""
    size_bytes: int
    """Of the file, once nothing more is written to it."""


class FileLog(MemoryLog):
    """The log on disk, with all of its entries in memory as well.

    One process owns *folder*. Raises ConfigError when what it finds there is damaged. An OSError from `sync` means
    that nobody knows what is on the disk (Linux drops dirty pages after a failed fsync): the process must stop.
    """

    def __init__(self, folder: Path, clock: Clock, segment_bytes: int = SEGMENT_BYTES) -> None:
        super().__init__(clock)
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._pending = bytearray()
        self._unsynced = False
        self._file = -1
        self._file_bytes = 0
        self._durable_index = 0
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._term, self._voted_for = _load_vote(folder / "vote")
        self._segments: list[_Segment] = []
        begun = self._load()
        if self._segments:
            newest = self._segments[-1]
            self._file = os.open(newest.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            self._file_bytes = newest.size_bytes
        else:
            self._begin_segment(1)
        if not begun:
            self._write(RecordKind.RESET, *self.entries[0][1:], b"")
            self._unsynced = True
            self.sync()
        self._durable_index = self.entries[-1][1]

    @property
    def durable_index(self) -> int:
        """The last index that survives a crash."""
        return self._durable_index

    @property
    def disk_bytes(self) -> int:
        """Bytes of all segments, as far as they were handed to the system."""
        return sum(segment.size_bytes for segment in self._segments[:-1]) + self._file_bytes

    def append(self, command: bytes, index: int, term: int) -> None:
        """Add the entry that follows the last one; durable after `sync`."""
        super().append(command, index, term)
        self._write(RecordKind.ENTRY, index, term, command)
        self._unsynced = True
        if len(self._pending) >= _WRITE_BEHIND_BYTES:
            self._flush()

    def truncate_from(self, index: int) -> None:
        """Drop entries from *index* on; durable after `sync`."""
        super().truncate_from(index)
        self._durable_index = min(self._durable_index, index - 1)
        self._write(RecordKind.TRUNCATE, index, 0, b"")
        self._unsynced = True

    def compact_to(self, index: int) -> None:
        """Forget entries before *index* and delete the segments that hold nothing else.

        After a crash in between, or at a restart, the log may begin earlier than *index*: those entries are
        covered by the snapshot twice, which harms nothing.
        """
        super().compact_to(index)
        while len(self._segments) > 1 and self._segments[0].last_index < self.entries[0][1]:
            self._segments.pop(0).path.unlink()

    def reset(self, index: int, term: int) -> None:
        """Begin a segment whose first record says so, and only then delete the older ones."""
        self._flush()
        super().reset(index, term)
        older = self._segments[:]
        self._begin_segment(older[-1].sequence + 1)
        self._write(RecordKind.RESET, index, term, b"")
        self._unsynced = True
        self.sync()
        for segment in older:
            self._segments.remove(segment)
            segment.path.unlink()

    def sync(self) -> None:
        """Make everything appended and truncated durable; one write and one fdatasync for all of it."""
        if not self._unsynced:
            return
        self._flush()
        os.fdatasync(self._file)
        self._unsynced = False
        self._durable_index = self.entries[-1][1]
        if self._file_bytes >= self._segment_bytes:
            self._begin_segment(self._segments[-1].sequence + 1)

    def set_term_and_vote(self, term: int, voted_for: str | None) -> None:
        """Replace the vote file, durably."""
        body = msgspec.msgpack.encode([term, voted_for])
        replace_durably(self._folder / "vote", _VOTE_MAGIC + _CRC.pack(zlib.crc32(body)) + body)
        super().set_term_and_vote(term, voted_for)

    def close(self) -> None:
        """Make everything durable and close the file; idempotent."""
        if self._file < 0:
            return
        try:
            self.sync()
        finally:
            os.close(self._file)
            self._file = -1

    def _write(self, kind: RecordKind, index: int, term: int, payload: bytes) -> None:
        body = _RECORD_BODY.pack(len(payload), kind, index, term, self._appended_ms[-1]) + payload
        self._pending += _RECORD_MARKER + _CRC.pack(zlib.crc32(body)) + body
        self._segments[-1].last_index = max(self._segments[-1].last_index, index)

    def _flush(self) -> None:
        view = memoryview(self._pending)
        while view:
            written = os.write(self._file, view)
            self._file_bytes += written
            view = view[written:]
        view.release()
        self._pending = bytearray()

    def _begin_segment(self, sequence: int) -> None:
        if self._file >= 0:
            os.fdatasync(self._file)
            os.close(self._file)
            self._file = -1
            self._segments[-1].size_bytes = self._file_bytes
        path = self._folder / f"log-{sequence:020d}.wal"
        # The header comes by rename, so that a segment without a whole header is damage, never a crash.
        replace_durably(path, _segment_header(sequence))
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._file_bytes = _SEGMENT_HEADER_BYTES
        self._segments.append(_Segment(sequence, path, 0, 0))

    def _load(self) -> bool:
        """Read all segments; False when there is none, or only one without a record in a log that never promised."""
        for leftover in self._folder.glob("*.wal.tmp"):
            leftover.unlink()
        segments = self._segments
        paths = sorted(self._folder.glob("log-*.wal"))
        replay = _Replay(self)
        for number, path in enumerate(paths):
            expected = segments[-1].sequence + 1 if segments else None
            segment = _Segment(_read_sequence(path, expected), path, 0, 0)
            _read_records(path, newest=number == len(paths) - 1, replay=replay.take, segment=segment)
            segment.size_bytes = path.stat().st_size
            segments.append(segment)
        if segments and not replay.started and (segments[-1].sequence > 1 or self._term > 0):
            raise ConfigError(
                f"{paths[0]}: offset {_SEGMENT_HEADER_BYTES}: the Raft log holds no record to begin with; "
                "restore this server's data directory or remove it and rejoin"
            )
        # The first start of all may have been cut short before its first record.
        return replay.started

    def _replace_entries(self, entries: list[LogEntry], appended_ms: list[int]) -> None:
        self.entries[:] = entries
        self._appended_ms = appended_ms


class _Replay:
    """Rebuilds the entries from the records, in order."""

    def __init__(self, log: FileLog) -> None:
        self._log = log
        self.started = False

    def take(self, where: str, kind: int, index: int, term: int, wall_ms: int, payload: bytes) -> None:
        log = self._log
        last = log.entries[-1][1]
        match kind:
            case RecordKind.ENTRY if not self.started:
                # Older segments were deleted by compaction: the log begins here.
                log._replace_entries([(payload, index, term)], [wall_ms])  # noqa: SLF001 - one class in two
            case RecordKind.ENTRY if index == last + 1:
                log.entries.append((payload, index, term))
                log._appended_ms.append(wall_ms)  # noqa: SLF001 - one class in two
            case RecordKind.TRUNCATE if not self.started or index <= log.entries[0][1]:
                # What it dropped began in segments that compaction has deleted since: the log begins after it.
                self.started = False
                return
            case RecordKind.TRUNCATE if index <= last:
                MemoryLog.truncate_from(log, index)
            case RecordKind.RESET:
                log._replace_entries([mark(index, term)], [wall_ms])  # noqa: SLF001 - one class in two
            case _:
                raise ConfigError(
                    f"{where}: record kind={kind} index={index} does not follow index {last}; "
                    "the Raft log is damaged: restore this server's data directory or remove it and rejoin"
                )
        self.started = True


def replace_durably(path: Path, content: bytes) -> None:
    """Put *content* in place of *path*, so that after a crash either the old or the new file is there, whole."""
    temporary = path.with_name(path.name + ".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames and new names in *folder* durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _wall_ms(clock: Clock) -> int:
    return max(0, int(clock.wall() * 1000))


def _segment_header(sequence: int) -> bytes:
    header = _SEGMENT_HEADER.pack(_SEGMENT_MAGIC, _SEGMENT_VERSION, sequence)
    return header + _CRC.pack(zlib.crc32(header))


def _read_sequence(path: Path, expected: int | None) -> int:
    with path.open("rb") as file:
        header = file.read(_SEGMENT_HEADER_BYTES)
    if len(header) < _SEGMENT_HEADER_BYTES or header != _segment_header(_SEGMENT_HEADER.unpack_from(header)[2]):
        raise ConfigError(f"{path}: offset 0: not the header of a Raft log segment; restore the data directory")
    sequence: int = _SEGMENT_HEADER.unpack_from(header)[2]
    if expected is not None and sequence != expected:
        raise ConfigError(
            f"{path}: segment {sequence} follows {expected - 1}: one is missing; restore the data directory"
        )
    return sequence


def _read_records(
    path: Path, *, newest: bool, replay: Callable[[str, int, int, int, int, bytes], None], segment: _Segment
) -> None:
    data = path.read_bytes()
    offset = _SEGMENT_HEADER_BYTES
    while offset < len(data):
        end = _record_end(data, offset)
        if end is None:
            followed = not newest or _find_record(data, offset + 1)
            if followed or not _is_torn(data, offset):
                raise ConfigError(
                    f"{path}: offset {offset}: a record of the Raft log is damaged"
                    f"{' and others follow it' if followed else ' that was whole once'}; "
                    "restore this server's data directory or remove it and rejoin"
                )
            os.truncate(path, offset)
            # Durable before anything follows: of a next write a crash may leave what was here before, then zeros.
            _sync_file(path)
            return
        length, kind, index, term, wall_ms = _RECORD_BODY.unpack_from(data, offset + len(_RECORD_MARKER) + _CRC.size)
        payload = data[end - length : end]
        replay(f"{path}: offset {offset}", kind, index, term, wall_ms, payload)
        segment.last_index = max(segment.last_index, index)
        offset = end


def _record_end(data: bytes, offset: int) -> int | None:
    """Return where the record at *offset* ends, or None when no whole and undamaged one begins there."""
    body = offset + len(_RECORD_MARKER) + _CRC.size
    if len(data) < offset + _RECORD_HEADER_BYTES or data[offset : offset + len(_RECORD_MARKER)] != _RECORD_MARKER:
        return None
    (checksum,) = _CRC.unpack_from(data, offset + len(_RECORD_MARKER))
    (length,) = _CRC.unpack_from(data, body)
    end: int = offset + _RECORD_HEADER_BYTES + length
    if length > _RECORD_PAYLOAD_MAX or end > len(data) or zlib.crc32(memoryview(data)[body:end]) != checksum:
        return None
    return end


def _is_torn(data: bytes, offset: int) -> bool:
    """Tell whether what begins at *offset*, the last of its file, may be a write that a crash cut short.

    It ends early, or a sector of it is zeros. Anything else was whole once, and damaged later.
    """
    sector = offset
    while sector < len(data):
        after = min(len(data), sector - sector % _SECTOR_BYTES + _SECTOR_BYTES)
        if not any(data[sector:after]):
            return True
        sector = after
    marker = data[offset : offset + len(_RECORD_MARKER)]
    if not _RECORD_MARKER.startswith(marker):
        return False
    present = len(data) - offset - _RECORD_HEADER_BYTES
    if present < 0:
        return True
    body = offset + len(_RECORD_MARKER) + _CRC.size
    (length,) = _CRC.unpack_from(data, body)
    if length <= present or length > _RECORD_PAYLOAD_MAX:
        return False
    # Longer than what is there: cut short, unless the length alone is wrong.
    rest = zlib.crc32(memoryview(data)[body + _CRC.size :], zlib.crc32(_CRC.pack(present)))
    return data[offset + len(_RECORD_MARKER) : body] != _CRC.pack(rest)


def _find_record(data: bytes, offset: int) -> bool:
    """Tell whether an undamaged record begins anywhere from *offset* on."""
    found = data.find(_RECORD_MARKER, offset)
    while found >= 0:
        if _record_end(data, found) is not None:
            return True
        found = data.find(_RECORD_MARKER, found + 1)
    return False


def _load_vote(path: Path) -> tuple[int, str | None]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return 0, None
    body = content[len(_VOTE_MAGIC) + _CRC.size :]
    try:
        if content[: -len(body)] != _VOTE_MAGIC + _CRC.pack(zlib.crc32(body)):
            raise ConfigError(
                f"{path}: offset 0: the file of term and vote is damaged; "
                "restore this server's data directory or remove it and rejoin"
            )
        term, voted_for = msgspec.msgpack.decode(body, type=tuple[int, str | None])
    except msgspec.DecodeError as error:
        raise ConfigError(
            f"{path}: offset {len(_VOTE_MAGIC) + _CRC.size}: the file of term and vote is damaged ({error}); "
            "restore this server's data directory or remove it and rejoin"
        ) from error
    return term, voted_for

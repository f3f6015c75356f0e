"""The durable log of a server: entries, current term and vote, on disk or in memory.

What counts is on disk before it is answered for: `sync` before an acknowledgement, `set_term_and_vote` before it
returns. Nothing is ever rewritten in place: entries are appended to segments, a truncation is a record of its own,
compaction only deletes whole old segments, and the vote file is replaced by a rename. `wal_format` has the bytes.

What a start makes of the last bytes of the newest segment, when they are no whole record:

- a torn write, which nobody was answered for, is cut off, and the log says so;
- a damaged last record, which may have been answered for, is cut off too, and `damage` remembers that in a file of its
  own, written before the cut: until `heal` this server must not vote (`healing`).

Damage anywhere else, a missing segment, a term or vote that cannot be this log's, and a segment or vote file of another
cluster stop the start with a `ConfigError` that names file and offset. The id of the cluster is in the vote file, in the
header of each segment that was begun since it is known, and in the entry that gave it (`identity`).

Not here: snapshots (`snapshot_store`), and which entries may be dropped (the engine).
"""

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agent.consensus.codec import CodecError, CommandKind
from agent.consensus.identity import decode_identity
from agent.consensus.raft_log import LogEntry
from agent.consensus.wal_format import (
    CLUSTER_AT,
    SEGMENT_HEADER_BYTES,
    SEGMENT_HEADER_BYTES_MAX,
    Damage,
    Record,
    RecordKind,
    SegmentHead,
    Tail,
    TailKind,
    Vote,
    decode_damage,
    decode_vote,
    encode_damage,
    encode_vote,
    find_record,
    holds_nothing,
    judge_tail,
    pack_record,
    read_record,
    read_segment_header,
    segment_header,
)
from agent.errors import ConfigError
from telemetry.clock import Clock

SEGMENT_BYTES = 16 * 1024 * 1024
"""A segment is closed beyond this; compaction frees space in steps of it."""

REMEDY = "restore this server's data directory or remove it and rejoin"

_WRITE_BEHIND_BYTES = 1024 * 1024
_DAMAGE_FILE = "recovering"


def mark(index: int, term: int) -> LogEntry:
    """Return the entry that stands at the front of a log in place of what a snapshot covers."""
    return (bytes([CommandKind.NO_OP]), index, term)


class MemoryLog:
    """A log that is gone with the process, for -dev and for simulations."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._term = 0
        self._voted_for: str | None = None
        self._cluster_id = ""
        self._appended_ms = [_wall_ms(clock)]
        self.entries: list[LogEntry] = [mark(1, 0)]
        self.damage: Damage | None = None
        self.begins_at = "memory"

    @property
    def term(self) -> int:
        """The newest term this server has seen."""
        return self._term

    @property
    def voted_for(self) -> str | None:
        """The server id this server voted for in `term`."""
        return self._voted_for

    @property
    def cluster_id(self) -> str:
        """The id of the cluster that this log is of; empty while it is not known."""
        return self._cluster_id

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

    def identify(self, cluster_id: str) -> None:
        """Keep the id of the cluster."""
        self._cluster_id = cluster_id

    def heal(self) -> None:
        """Forget `damage`."""
        self.damage = None

    def oldest_age_seconds(self) -> float:
        """Seconds since the oldest entry was appended."""
        return max(0.0, self._clock.wall() - self._appended_ms[0] / 1000)

    def close(self) -> None:
        """Do nothing."""


@dataclass(slots=True)
class _Segment:
    sequence: int
    path: Path
    begin: int
    """The offset of its first record."""
    last_index: int
    """The highest index any record of it touches; 0 when it holds none."""
    size_bytes: int
    """Of the file, once nothing more is written to it."""


class FileLog(MemoryLog):
    """The log on disk, with all of its entries in memory as well.

    One process owns *folder*. Raises ConfigError when what it finds there is damaged, but for the last record: what is
    cut off is a warning on *logger*. An OSError from `sync` means that nobody knows what is on the disk (Linux drops
    dirty pages after a failed fsync): the process must stop.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        segment_bytes: int = SEGMENT_BYTES,
        logger: logging.Logger = logging.getLogger(__name__),  # noqa: B008 - the same one however often it is asked for
    ) -> None:
        super().__init__(clock)
        self._folder, self._logger = folder, logger
        self._segment_bytes = segment_bytes
        self._pending = bytearray()
        self._unsynced = False
        self._file = -1
        self._file_bytes = 0
        self._durable_index = 0
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        vote = _load_vote(folder / "vote")
        self._term, self._voted_for, self._cluster_id = vote.term, vote.voted_for, vote.cluster_id
        self.damage = _load_damage(folder)
        self._segments: list[_Segment] = []
        begun = self._load()
        self._check_term(self.entries[-1][2])
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
        replace_durably(self._folder / "vote", encode_vote(Vote(term, voted_for, self._cluster_id)))
        super().set_term_and_vote(term, voted_for)

    def identify(self, cluster_id: str) -> None:
        """Put the id into the vote file, and begin a segment: all that follow have it in their headers."""
        self.sync()
        replace_durably(self._folder / "vote", encode_vote(Vote(self._term, self._voted_for, cluster_id)))
        super().identify(cluster_id)
        self._begin_segment(self._segments[-1].sequence + 1)

    def heal(self) -> None:
        """Forget `damage`, after all else is durable."""
        if self.damage is None:
            return
        self.sync()
        (self._folder / _DAMAGE_FILE).unlink()
        sync_folder(self._folder)
        super().heal()

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
        self._pending += pack_record(kind, index, term, self._appended_ms[-1], payload)
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
        path, header = self._folder / _name_of(sequence), segment_header(sequence, self._cluster_id)
        # The header comes by rename, so that a segment without a whole header is damage, never a crash.
        replace_durably(path, header)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._file_bytes = len(header)
        self._segments.append(_Segment(sequence, path, len(header), 0, 0))

    def _load(self) -> bool:
        """Read all segments; False when there is none, or only one without a record in a log that never promised."""
        for pattern in ("*.wal.tmp", f"{_DAMAGE_FILE}.tmp"):
            for leftover in self._folder.glob(pattern):
                leftover.unlink()
        segments = self._segments
        paths = sorted(self._folder.glob("log-*.wal"))
        self.begins_at = f"{paths[0] if paths else self._folder}: offset {SEGMENT_HEADER_BYTES}"
        # A segment is begun as soon as one is full: the last record may stand before it.
        last = len(paths) - 1
        while last > 0 and holds_nothing(paths[last].read_bytes()):
            last -= 1
        replay = _Replay(self)
        for number, path in enumerate(paths):
            head = _read_head(path, segments[-1].sequence + 1 if segments else None)
            if head.cluster_id:
                self._require_same(head.cluster_id, f"{path}: offset {CLUSTER_AT}")
            segment = _Segment(head.sequence, path, head.size_bytes, 0, 0)
            self._read_records(segment, replay, last=number >= last, newest=number == len(paths) - 1)
            segment.size_bytes = path.stat().st_size
            segments.append(segment)
        emptied = self.damage is not None and self.damage.kept_index == 0
        if segments and not replay.started and not emptied and (segments[-1].sequence > 1 or self._term > 0):
            raise _no_record(segments[0])
        for where, given in replay.identities.values():
            self._require_same(given, where, among=replay.identities.values())
        # The first start of all may have been cut short before its first record.
        return replay.started

    def _read_records(self, segment: _Segment, replay: "_Replay", *, last: bool, newest: bool) -> None:
        data = segment.path.read_bytes()
        offset = segment.begin
        while offset < len(data):
            record = read_record(data, offset)
            if record is None:
                tail = judge_tail(data, offset) if last and not find_record(data, offset + 1) else None
                if tail is None or tail.kind is TailKind.SEVERAL or (tail.kind is TailKind.TORN and not newest):
                    raise ConfigError(
                        f"{segment.path}: offset {offset}: a record of the Raft log is damaged"
                        f"{' and others follow it' if tail is None else ' that was whole once'}; {REMEDY}"
                    )
                self._cut(segment, offset, len(data) - offset, tail, replay)
                return
            replay.take(f"{segment.path}: offset {offset}", record)
            segment.last_index = max(segment.last_index, record.index)
            offset = record.end

    def _cut(self, segment: _Segment, offset: int, cut_bytes: int, tail: Tail, replay: "_Replay") -> None:
        """Cut *cut_bytes* off the end of *segment*, and say so; of damage the mark comes first."""
        kept, torn = self.entries[-1][1], tail.kind is TailKind.TORN
        if not torn:
            self._mark_damage(segment, offset, cut_bytes, tail, replay)
        os.truncate(segment.path, offset)
        # Durable before anything follows: of a next write a crash may leave what was here before, then zeros.
        _sync_file(segment.path)
        self._logger.warning(
            "raft: cut %s off the log file=%s offset=%d bytes=%d last_index=%d",
            "a torn write, which nobody was answered for," if torn else "its damaged last record",
            segment.path,
            offset,
            cut_bytes,
            kept,
        )

    def _mark_damage(self, segment: _Segment, offset: int, cut_bytes: int, tail: Tail, replay: "_Replay") -> None:
        """Write down what the damage may have held, durably, and together with what was lost before."""
        if replay.started:
            kept = self.entries[-1][1]
            self._check_term(max(1, self.entries[-1][2]))
        else:
            # Alone in its log, a record can only be the one by which a log begins.
            if self._segments or offset != segment.begin or tail.records_max != 1:
                raise _no_record(segment)
            if segment.sequence == 1 and self._term == 0:
                return  # the first start of all: nothing was promised
            kept = 0
        damage = Damage(
            str(segment.path), offset, cut_bytes, kept, kept + tail.records_max, self._term, tail.records_max == 1
        )
        before = self.damage
        if before is not None:
            again = (before.file, before.offset) == (damage.file, offset)
            damage = msgspec.structs.replace(
                damage,
                lost_index=max(damage.lost_index, before.lost_index),
                term=max(damage.term, before.term),
                single=damage.single and before.single and again,
            )
        replace_durably(
            self._folder / _DAMAGE_FILE, encode_damage(msgspec.structs.replace(damage, file=_name_of(segment.sequence)))
        )
        self.damage = damage

    def _require_same(self, cluster_id: str, where: str, among: Iterable[tuple[str, str]] = ()) -> None:
        """Raise ConfigError when the *cluster_id* that stands at *where* is not that of the vote file.

        While that has none, an entry may have another's: *among* are all entries that give one, with their places.
        """
        vote = f"{self._folder / 'vote'}: offset 0"
        known = self._cluster_id
        if not known and among:
            vote, known = next(iter(among))
        if cluster_id != known:
            raise ConfigError(
                f"{where}: the Raft log is of cluster {cluster_id} here, and of {known or 'a cluster without an id'} by "
                f"{vote}: one of the two was copied from another cluster; {REMEDY}"
            )

    def _check_term(self, least: int) -> None:
        """Raise ConfigError when the term on disk is below *least*, which this server has seen.

        Whom it voted for since, nobody else knows, nor in which terms: to withhold the vote up to *least* is not enough.
        """
        if self._term < least:
            path = self._folder / "vote"
            says = f"says term {self._term}" if self._term else "is missing"
            raise ConfigError(
                f"{path}: offset 0: the file of term and vote {says}, but the Raft log has seen term {least}, and a vote "
                f"since could be given twice; {REMEDY}"
            )

    def _replace_entries(self, entries: list[LogEntry], appended_ms: list[int]) -> None:
        self.entries[:] = entries
        self._appended_ms = appended_ms


class _Replay:
    """Rebuilds the entries from the records, in order."""

    def __init__(self, log: FileLog) -> None:
        self._log = log
        self.started = False
        self.identities: dict[int, tuple[str, str]] = {}
        """By index, entries that give the cluster its id: their places, and the ids."""

    def take(self, where: str, record: Record) -> None:
        log = self._log
        last = log.entries[-1][1]
        kind, index, term = record.kind, record.index, record.term
        wall_ms, payload = record.wall_ms, record.payload
        self._note_identity(where, record)
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
                    f"the Raft log is damaged: {REMEDY}"
                )
        self.started = True

    def _note_identity(self, where: str, record: Record) -> None:
        """Keep what an entry says of the cluster's id until its entry is dropped."""
        if record.kind != RecordKind.ENTRY:
            kept = 0 if record.kind == RecordKind.RESET else record.index
            self.identities = {index: said for index, said in self.identities.items() if index < kept}
        elif record.payload[:1] == bytes([CommandKind.IDENTITY]):
            try:
                self.identities[record.index] = (where, decode_identity(record.payload))
            except CodecError as error:
                raise ConfigError(f"{where}: the Raft log holds damage: {error}; {REMEDY}") from error


def cluster_of(folder: Path) -> str:
    """Return the id of the cluster that the log in *folder* is of, empty where none is known; raises ConfigError."""
    return _load_vote(folder / "vote").cluster_id


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


def _name_of(sequence: int) -> str:
    return f"log-{sequence:020d}.wal"


def _no_record(segment: _Segment) -> ConfigError:
    return ConfigError(f"{segment.path}: offset {segment.begin}: the Raft log holds no record to begin with; {REMEDY}")


def _read_head(path: Path, expected: int | None) -> SegmentHead:
    with path.open("rb") as file:
        head = read_segment_header(file.read(SEGMENT_HEADER_BYTES_MAX))
    if head is None:
        raise ConfigError(f"{path}: offset 0: not the header of a Raft log segment; restore the data directory")
    if expected is not None and head.sequence != expected:
        raise ConfigError(
            f"{path}: offset 0: segment {head.sequence} follows {expected - 1}: one is missing; "
            "restore the data directory"
        )
    return head


def _load_damage(folder: Path) -> Damage | None:
    path = folder / _DAMAGE_FILE
    try:
        damage = decode_damage(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ConfigError(
            f"{path}: offset 0: the note of what the Raft log lost is damaged ({error}); {REMEDY}"
        ) from error
    return msgspec.structs.replace(damage, file=str(folder / damage.file))


def _load_vote(path: Path) -> Vote:
    try:
        return decode_vote(path.read_bytes())
    except FileNotFoundError:
        return Vote(0, None)
    except ValueError as error:
        raise ConfigError(f"{path}: offset 0: the file of term and vote is damaged ({error}); {REMEDY}") from error

"""Snapshots of the state machine: written beside the Raft thread, checked when read, sent to followers in pieces.

A snapshot is one blob, on disk or in memory::

    magic 8 | version u32 | index u64 | term u64 | length of the state u64 | crc32 of the rest u32 | gzip of the state

From version 2 on the state is preceded by the Raft configuration that was in force, with its length in 4 bytes, which
count as state. In version 3 the id of the cluster, 16 bytes, stands before that, and the configuration may be empty. While
the cluster has no id, a group whose servers never changed writes version 1.

It replaces the former one by a rename, so a crash leaves one of the two, whole. A damaged one raises `ConfigError` at
the start and `SnapshotError` when it came over the network; it never becomes the state.
"""

import struct
import threading
import uuid
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from agent.consensus.identity import difference
from agent.consensus.wal import replace_durably
from agent.errors import ConfigError

PIECE_BYTES = 256 * 1024
"""What one message carries of a snapshot."""

STATE_BYTES_MAX = 1024 * 1024 * 1024
"""A snapshot that says it unpacks to more is refused before a byte is unpacked."""

_MAGIC = b"ORAFTSNP"
_VERSION = 1
_VERSION_WITH_CONFIGURATION = 2
_VERSION_WITH_CLUSTER = 3
_CLUSTER_BYTES = 16
_HEADER = struct.Struct(">8sIQQQ")
_CRC = struct.Struct(">I")
_LENGTH = struct.Struct(">I")
_HEADER_BYTES = _HEADER.size + _CRC.size
# Level 1: on a state of 20,000 allocations 55 ms, a fifteenth of level 9, for files a third larger.
_GZIP_LEVEL = 1
_GZIP_WINDOW = 31


class SnapshotError(ValueError):
    """A blob that is not an undamaged snapshot."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state after the entry at *index*, which has *term*.

    `configuration` is the encoded Raft configuration there; empty while it is that of the bootstrap. `cluster_id` is
    empty in one that was made before the cluster had an id.
    """

    index: int
    term: int
    state: bytes
    configuration: bytes = b""
    cluster_id: str = ""


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """Return the blob of *snapshot*."""
    compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    prefix, version = b"", _VERSION
    if snapshot.configuration or snapshot.cluster_id:
        prefix = _LENGTH.pack(len(snapshot.configuration)) + snapshot.configuration
        version = _VERSION_WITH_CONFIGURATION
    if snapshot.cluster_id:
        prefix = uuid.UUID(snapshot.cluster_id).bytes + prefix
        version = _VERSION_WITH_CLUSTER
    packed = compressor.compress(prefix) + compressor.compress(snapshot.state) + compressor.flush()
    header = _HEADER.pack(_MAGIC, version, snapshot.index, snapshot.term, len(prefix) + len(snapshot.state))
    return header + _CRC.pack(zlib.crc32(packed, zlib.crc32(header))) + packed


def decode_snapshot(blob: bytes) -> Snapshot:
    """Return the snapshot in *blob*; raises SnapshotError. Never unpacks more than the header says."""
    if len(blob) < _HEADER_BYTES:
        raise SnapshotError(f"only {len(blob)} bytes, a header alone has {_HEADER_BYTES}")
    magic, version, index, term, length = _HEADER.unpack_from(blob)
    if magic != _MAGIC or not _VERSION <= version <= _VERSION_WITH_CLUSTER:
        raise SnapshotError("not a snapshot of this version")
    packed = memoryview(blob)[_HEADER_BYTES:]
    if _CRC.unpack_from(blob, _HEADER.size)[0] != zlib.crc32(packed, zlib.crc32(blob[: _HEADER.size])):
        raise SnapshotError("the checksum does not match")
    if length > STATE_BYTES_MAX:
        raise SnapshotError(f"a state of {length} bytes is above the limit {STATE_BYTES_MAX}")
    unpacker = zlib.decompressobj(_GZIP_WINDOW)
    try:
        state = unpacker.decompress(packed, length + 1)
    except zlib.error as error:
        raise SnapshotError(f"cannot be unpacked: {error}") from error
    if len(state) != length or not unpacker.eof:
        raise SnapshotError(f"unpacks to something else than the {length} bytes it states")
    if version == _VERSION:
        return Snapshot(index, term, state)
    at = _CLUSTER_BYTES if version == _VERSION_WITH_CLUSTER else 0
    begin = at + _LENGTH.size
    end = begin + (_LENGTH.unpack_from(state, at)[0] if len(state) >= begin else 0)
    if len(state) < begin or end > len(state) or (end == begin and not at):
        raise SnapshotError("holds no whole Raft configuration")
    cluster_id = str(uuid.UUID(bytes=state[:at])) if at else ""
    return Snapshot(index, term, state[end:], state[begin:end], cluster_id)


class WriteState(Enum):
    """How far the writing of a snapshot is."""

    IDLE = auto()
    WRITING = auto()
    DONE = auto()
    FAILED = auto()


class SnapshotStore:
    """The newest snapshot of a server, and the pieces of it on their way out and in.

    All methods belong to the Raft thread; only the writer started by `begin_write` runs beside it. *path* None keeps
    the blob in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._blob: bytes | None = None
        self._index = 0
        self._lock = threading.Lock()
        self._writing = 0
        self._writer: threading.Thread | None = None
        self._write_error: OSError | None = None
        self._outgoing: dict[str, tuple[bytes, int]] = {}
        self._incoming: bytearray | None = None
        self.cluster_id = ""
        """The id of the cluster, once it is known: a snapshot of another is refused."""

    @property
    def index(self) -> int:
        """The index the newest snapshot covers; 0 when there is none."""
        return self._index

    def load(self) -> Snapshot | None:
        """Return the snapshot on disk, None when there is none; raises ConfigError when it is damaged or of another cluster."""
        if self._path is None:
            return None
        try:
            blob = self._path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            snapshot = decode_snapshot(blob)
        except SnapshotError as error:
            raise ConfigError(
                f"{self._path}: offset 0: the Raft snapshot is damaged ({error}); "
                "restore this server's data directory or remove it and rejoin"
            ) from error
        if difference(self.cluster_id, snapshot.cluster_id):
            raise ConfigError(
                f"{self._path}: offset 0: the Raft snapshot is of cluster {snapshot.cluster_id}, and the Raft log beside "
                f"it of cluster {self.cluster_id}: one of the two was copied from another cluster; "
                "restore this server's data directory or remove it and rejoin"
            )
        self._index = snapshot.index
        return snapshot

    def written_at(self) -> float | None:
        """Return when the snapshot on disk was written, in Unix seconds; None when there is none or it is in memory."""
        try:
            return None if self._path is None else self._path.stat().st_mtime
        except FileNotFoundError:
            return None

    def begin_write(
        self,
        index: int,
        term: int,
        dump: Callable[[], bytes],
        finished: Callable[[], None],
        configuration: bytes = b"",
    ) -> None:
        """Encode and write a snapshot on a thread of its own, which calls *finished* at its end.

        It says that it is of `cluster_id`.

        Never by fork: a fork of a process with threads may deadlock the child, and copies its memory.
        """
        cluster_id = self.cluster_id

        def write() -> None:
            try:
                self._keep(index, encode_snapshot(Snapshot(index, term, dump(), configuration, cluster_id)))
            except OSError as error:
                self._write_error = error
            finished()

        self._write_error = None
        self._writing = index
        self._writer = threading.Thread(target=write, name="raft-snapshot", daemon=True)
        self._writer.start()

    def poll_write(self) -> tuple[WriteState, int, OSError | None]:
        """Return the state of the writer, its index and its error; DONE and FAILED are told once."""
        if self._writer is None:
            return WriteState.IDLE, 0, None
        if self._writer.is_alive():
            return WriteState.WRITING, self._writing, None
        self._writer = None
        if self._write_error is not None:
            return WriteState.FAILED, self._writing, self._write_error
        return WriteState.DONE, self._writing, None

    def wait(self, timeout_seconds: float) -> None:
        """Wait for the writer, at most *timeout_seconds*."""
        if self._writer is not None:
            self._writer.join(timeout_seconds)

    def next_piece(self, receiver: str) -> tuple[bytes, bool, bool]:
        """Return (data, first, last) of the transfer to *receiver*, which begins when none runs.

        Raises LookupError when there is no snapshot.
        """
        blob, sent = self._outgoing.get(receiver, (b"", 0))
        if not blob:
            blob = self._read()
        data = blob[sent : sent + PIECE_BYTES]
        last = sent + len(data) == len(blob)
        if last:
            self._outgoing.pop(receiver, None)
        else:
            self._outgoing[receiver] = (blob, sent + len(data))
        return data, sent == 0, last

    def cancel(self, receiver: str) -> None:
        """Forget the transfer to *receiver*; the next one begins anew."""
        self._outgoing.pop(receiver, None)

    def receive(self, data: bytes, *, first: bool, last: bool) -> Snapshot | None:
        """Take a piece and return the snapshot once it is whole and stored; raises SnapshotError.

        A piece without its beginning is ignored: the transfer was begun before this server (re)started.
        """
        if first:
            self._incoming = bytearray()
        if self._incoming is None:
            return None
        self._incoming += data
        if len(self._incoming) > STATE_BYTES_MAX:
            self._incoming = None
            raise SnapshotError(f"more than {STATE_BYTES_MAX} bytes")
        if not last:
            return None
        blob, self._incoming = bytes(self._incoming), None
        snapshot = decode_snapshot(blob)
        if difference(self.cluster_id, snapshot.cluster_id):
            raise SnapshotError(f"it is of cluster {snapshot.cluster_id}, this server of cluster {self.cluster_id}")
        self._keep(snapshot.index, blob)
        return snapshot

    def _keep(self, index: int, blob: bytes) -> None:
        with self._lock:
            if index < self._index:
                return  # a newer one arrived from the leader while this one was written
            if self._path is None:
                self._blob = blob
            else:
                replace_durably(self._path, blob)
            self._index = index

    def _read(self) -> bytes:
        if self._path is not None:
            return self._path.read_bytes()
        if self._blob is None:
            raise LookupError("there is no snapshot to send")
        return self._blob

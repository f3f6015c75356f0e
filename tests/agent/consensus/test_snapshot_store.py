"""Snapshots: whole, checked and bounded, on disk and on their way."""

import struct
import threading
import zlib

import pytest

from agent.consensus import snapshot_store
from agent.consensus.snapshot_store import (
    Snapshot,
    SnapshotError,
    SnapshotStore,
    WriteState,
    decode_snapshot,
    encode_snapshot,
)
from agent.errors import ConfigError

SNAPSHOT = Snapshot(42, 7, b"state " * 1000)


def written(path):
    store, done = SnapshotStore(path), threading.Event()
    store.begin_write(SNAPSHOT.index, SNAPSHOT.term, lambda: SNAPSHOT.state, done.set)
    store.wait(10)
    assert done.is_set()
    assert WriteState.DONE is store.poll_write()[0]
    return store


def test_a_written_snapshot_is_loaded_again(tmp_path):
    """What was written on the writer's thread is what the next start loads."""
    written(tmp_path / "snapshot")

    again = SnapshotStore(tmp_path / "snapshot")

    assert SNAPSHOT == again.load()
    assert 42 == again.index


def test_any_flipped_byte_stops_the_start(tmp_path):
    """A damaged snapshot names its file; it is never taken for no snapshot."""
    path = tmp_path / "snapshot"
    blob = encode_snapshot(Snapshot(1, 1, b"abc"))

    for at in range(len(blob)):
        damaged = bytearray(blob)
        damaged[at] ^= 0x01
        path.write_bytes(damaged)
        with pytest.raises(ConfigError, match="snapshot is damaged"):
            SnapshotStore(path).load()


@pytest.mark.parametrize("length", [0, 1, 5_999, 2**60])
def test_a_snapshot_never_unpacks_to_more_than_it_states(length):
    """A lying length is refused, and nothing above the limit is unpacked at all."""
    packed = encode_snapshot(SNAPSHOT)[snapshot_store._HEADER_BYTES :]
    header = snapshot_store._HEADER.pack(snapshot_store._MAGIC, 1, 42, 7, length)

    with pytest.raises(SnapshotError):
        decode_snapshot(header + struct.pack(">I", zlib.crc32(packed, zlib.crc32(header))) + packed)


def test_a_transfer_arrives_whole(tmp_path, monkeypatch):
    """Pieces put together are the snapshot, and the receiver has it on disk."""
    monkeypatch.setattr(snapshot_store, "PIECE_BYTES", 16)
    sender, receiver = written(None), SnapshotStore(tmp_path / "received")

    got, pieces = None, 0
    while got is None:
        data, first, last = sender.next_piece("r")
        got = receiver.receive(data, first=first, last=last)
        pieces += 1

    assert pieces > 1
    assert SNAPSHOT == got
    assert SNAPSHOT == SnapshotStore(tmp_path / "received").load()


def test_a_damaged_transfer_leaves_what_was_there(tmp_path):
    """A transfer that fails its checksum is an error, and the former snapshot stays."""
    store = written(tmp_path / "snapshot")

    with pytest.raises(SnapshotError):
        store.receive(b"not a snapshot" * 10, first=True, last=True)

    assert SNAPSHOT == SnapshotStore(tmp_path / "snapshot").load()


def test_pieces_without_their_beginning_are_ignored():
    """A receiver that restarted in the middle waits for a new transfer."""
    assert SnapshotStore(None).receive(b"tail", first=False, last=True) is None


def test_an_older_snapshot_never_replaces_a_newer_one(tmp_path):
    """A writer that ends after a newer snapshot was installed is too late."""
    store = SnapshotStore(tmp_path / "snapshot")
    newer = encode_snapshot(Snapshot(100, 8, b"new"))
    store.receive(newer, first=True, last=True)

    store.begin_write(42, 7, lambda: b"old", lambda: None)
    store.wait(10)

    assert 100 == store.index
    assert Snapshot(100, 8, b"new") == SnapshotStore(tmp_path / "snapshot").load()

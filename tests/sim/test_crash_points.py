"""The disk of a server, cut, torn and damaged at many points; whole by `make crash-points`."""

import os
from random import Random

import pytest

from agent.consensus import wal
from agent.consensus.snapshot_store import SnapshotStore
from agent.consensus.wal import FileLog, MemoryLog
from agent.errors import ConfigError
from tests.sim.crash_points import Life, crash_points, reopen
from tests.sim.sim_disk import Disk, DiskPath, PowerLost, on_disks

STEPS = 24


def test_nothing_promised_is_lost_at_any_sampled_point():
    """A loss of power is always recovered from, damage always refused with file and offset; thousands of points."""
    tally = crash_points(STEPS, seed=2, every=9)

    print(tally.counts)
    assert [] == tally.failures
    assert tally.counts["crash"].keys() == {"recovered"}
    assert tally.counts["damage"].keys() == {"refused"}
    assert all(counts.total() >= 1_000 for counts in tally.counts.values())


def synced_without_fsync(log):
    log._flush()
    log._unsynced, log._durable_index = False, log.entries[-1][1]


def vote_in_memory(log, term, voted_for):
    MemoryLog.set_term_and_vote(log, term, voted_for)


def in_place(path, content):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(descriptor, content)
    os.fsync(descriptor)
    os.close(descriptor)


@pytest.mark.parametrize(
    ("owner", "name", "wrong"),
    [
        (FileLog, "sync", synced_without_fsync),
        (FileLog, "set_term_and_vote", vote_in_memory),
        (FileLog, "truncate_from", MemoryLog.truncate_from),
        (wal, "sync_folder", lambda folder: None),
        (wal, "_is_torn", lambda data, offset: True),
        (wal, "_is_torn", lambda data, offset: False),
        (wal, "_find_record", lambda data, offset: False),
        (SnapshotStore, "_keep", lambda store, index, blob: setattr(store, "_index", index)),
    ],
    ids=[
        "acknowledged before it is synced",
        "a vote that is not written",
        "a truncation that is not written",
        "names that are not synced",
        "damage taken for a torn write",
        "a torn write taken for damage",
        "damage in the middle taken for the end",
        "a log compacted without its snapshot",
    ],
)
def test_a_wrong_log_is_found(monkeypatch, owner, name, wrong):
    """Each way to break a promise shows at some point; few show that an end is told from a middle by its successors."""
    monkeypatch.setattr(owner, name, wrong)
    every = 11 if name == "_find_record" else 37

    try:
        failures = crash_points(STEPS, seed=2, every=every).failures
    except ConfigError as error:
        failures = [f"a restart refused what it wrote itself: {error}"]

    assert failures


def test_the_disk_in_memory_is_one(tmp_path):
    """A life written to files of the system leaves what it leaves on the disk in memory, and is opened alike."""
    lives = []
    disk = Disk()
    for folder in (tmp_path, DiskPath(disk)):
        with on_disks():
            life = Life(folder, Random(5))
            life.start()
            for _ in range(STEPS):
                life.step()
            life.log.sync()
            lives.append((life.commands, reopen(folder)))

    assert lives[0] == lives[1]
    assert disk.survivors(names=False, data=False) == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_a_loss_of_power_takes_what_is_not_synced():
    """Of a write a part may be left, of a new name nothing, and whoever was writing is unwound."""
    disk = Disk()
    with on_disks():
        descriptor = wal.os.open(DiskPath(disk, "a"), os.O_WRONLY | os.O_CREAT)
        wal.os.write(descriptor, b"kept")
        wal.os.fsync(descriptor)
        wal.sync_folder(DiskPath(disk))
        disk.fuse = 3
        with pytest.raises(PowerLost):
            wal.os.write(descriptor, b"lost?")

    left = set()
    for seed in range(40):
        copy = Disk("copy", {"a": b"kept"})
        copy.files["a"].data += b"los"
        copy.create("b")
        copy.crash(Random(seed))
        left.add(tuple(sorted((name, bytes(file.data)) for name, file in copy.files.items())))

    assert b"keptlos" == disk.files["a"].data
    assert {"a": b"kept"} == disk.survivors(names=False, data=False)
    contents = {dict(each)["a"] for each in left}
    assert {b"kept", b"keptl", b"keptlo", b"keptlos", b"kept\0\0\0"} <= contents
    assert {1, 2} == {len(each) for each in left}

"""The disk of a server, cut, torn and damaged at many points; whole by `make crash-points`."""

import os
from random import Random

import pytest

from agent.consensus import wal
from agent.consensus.healing import Healing
from agent.consensus.pysyncobj_engine import Engine
from agent.consensus.snapshot_store import SnapshotStore
from agent.consensus.wal import FileLog, MemoryLog
from agent.consensus.wal_format import Damage, Tail, TailKind
from agent.errors import ConfigError
from tests.sim.crash_points import Life, crash_points, reopen
from tests.sim.sim_disk import Disk, DiskPath, PowerLost, on_disks

STEPS = 24


def test_nothing_promised_is_lost_at_any_sampled_point():
    """A loss of power is recovered from, damage refused with file and offset, that of the last record healed by peers."""
    tally = crash_points(STEPS, seed=3, every=9)

    print(tally.counts)
    assert [] == tally.failures
    assert tally.counts["crash"].keys() == {"recovered"}
    assert tally.counts["damage"].keys() == {"refused"}
    assert "healed" in tally.counts["last record"]
    assert {"recovering", "recovered"} == tally.counts["healing"].keys()
    assert all(tally.counts[kind].total() >= 1_000 for kind in ("crash", "damage"))


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


def noted_in_memory(log, segment, offset, cut_bytes, tail, replay):
    kept = log.entries[-1][1]
    log.damage = Damage(str(segment.path), offset, cut_bytes, kept, kept + 1, log.term, True)


def healed_before_it_is_synced(healing, index, term):
    log = healing._log
    if log.damage is not None and index >= log.damage.lost_index:
        (log._folder / "recovering").unlink()
        wal.sync_folder(log._folder)
        log.damage = None


@pytest.mark.parametrize(
    ("owner", "name", "wrong"),
    [
        (FileLog, "sync", synced_without_fsync),
        (FileLog, "set_term_and_vote", vote_in_memory),
        (FileLog, "truncate_from", MemoryLog.truncate_from),
        (wal, "sync_folder", lambda folder: None),
        (wal, "judge_tail", lambda data, offset: Tail(TailKind.TORN, 0)),
        (wal, "judge_tail", lambda data, offset: Tail(TailKind.DAMAGED, 1)),
        (wal, "find_record", lambda data, offset: False),
        (FileLog, "_mark_damage", noted_in_memory),
        (Healing, "vouched", healed_before_it_is_synced),
        (Healing, "settle", lambda healing: None),
        (Engine, "_withholds_vote", lambda engine: False),
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
        "damage that only the process knows of",
        "healed before what came is synced",
        "never healed",
        "a vote by a log that lost its end",
        "a log compacted without its snapshot",
    ],
)
def test_a_wrong_log_is_found(monkeypatch, owner, name, wrong):
    """Each way to break a promise shows at some point; few show that an end is told from a middle by its successors."""
    monkeypatch.setattr(owner, name, wrong)
    every = 11 if name == "find_record" else 37

    try:
        failures = crash_points(STEPS, seed=3, every=every).failures
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

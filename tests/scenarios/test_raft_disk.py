"""What a server's disk did to its log once, and must not again."""

import pytest

from agent.consensus.wal import FileLog, mark
from agent.consensus.wal_format import RECORD_MARKER, SEGMENT_HEADER_BYTES, Damage
from agent.errors import ConfigError
from telemetry.clock import ManualClock
from tests.sim.sim_disk import Disk, DiskPath, on_disks


def test_a_first_start_that_is_cut_short_can_be_repeated(tmp_path):
    """
    A server that was killed between its log's header and its first record would never start again.
    """
    FileLog(tmp_path, ManualClock()).close()
    (segment,) = tmp_path.glob("log-*.wal")
    segment.write_bytes(segment.read_bytes()[:SEGMENT_HEADER_BYTES])

    again = FileLog(tmp_path, ManualClock())
    again.set_term_and_vote(1, None)
    again.append(b"\x00first", 2, 1)
    again.close()

    assert [mark(1, 0), (b"\x00first", 2, 1)] == FileLog(tmp_path, ManualClock()).entries


def test_an_emptied_log_of_a_server_that_voted_is_refused(tmp_path):
    """
    A log without records is new only where nothing was ever promised.
    """
    log = FileLog(tmp_path, ManualClock())
    log.set_term_and_vote(3, "id-2")
    log.close()
    (segment,) = tmp_path.glob("log-*.wal")
    segment.write_bytes(segment.read_bytes()[:SEGMENT_HEADER_BYTES])

    with pytest.raises(ConfigError, match=r"log-0+1\.wal: offset 24: .*no record to begin with.*rejoin"):
        FileLog(tmp_path, ManualClock())


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_damage_to_the_last_record_is_cut_and_remembered(tmp_path, caplog, mask):
    """
    The newest entry, acknowledged and damaged later, was dropped in silence as if a crash had cut its write.
    """
    log = FileLog(tmp_path, ManualClock())
    log.set_term_and_vote(1, "id-2")
    log.append(b"\x00first", 2, 1)
    log.append(b"\x00acknowledged", 3, 1)
    log.close()
    (segment,) = tmp_path.glob("log-*.wal")
    whole = segment.read_bytes()
    last = whole.rindex(RECORD_MARKER)

    for at in range(last, len(whole)):
        segment.write_bytes(whole[:at] + bytes([whole[at] ^ mask]) + whole[at + 1 :])
        caplog.clear()
        damage = Damage(str(segment), last, len(whole) - last, 2, 3, 1, True)
        for _ in range(2):
            again = FileLog(tmp_path, ManualClock())
            again.close()
            assert (damage, [mark(1, 0), (b"\x00first", 2, 1)]) == (again.damage, again.entries)
        (said,) = [record.getMessage() for record in caplog.records]
        place = f"file={segment} offset={last} bytes={len(whole) - last} last_index=2"
        assert f"raft: cut its damaged last record off the log {place}" == said
        assert whole[:last] == segment.read_bytes()
        again.heal()
        assert FileLog(tmp_path, ManualClock()).damage is None


@pytest.mark.parametrize("zeros_from", [0, 1])
def test_a_write_of_which_sectors_are_missing_is_dropped(tmp_path, zeros_from):
    """
    A crash may leave the length of a write and zeros in its place, at once or from a later sector on.
    """
    log = FileLog(tmp_path, ManualClock())
    log.set_term_and_vote(1, None)
    log.append(b"\x00first", 2, 1)
    log.sync()
    (segment,) = tmp_path.glob("log-*.wal")
    synced = len(segment.read_bytes())
    log.append(b"\x00" + b"x" * 2_000, 3, 1)
    log.close()
    whole = segment.read_bytes()
    begin = synced if zeros_from == 0 else 1_024
    segment.write_bytes(whole[:begin] + bytes(len(whole) - begin))

    assert [mark(1, 0), (b"\x00first", 2, 1)] == FileLog(tmp_path, ManualClock()).entries


def test_a_torn_end_is_cut_for_good_before_anything_follows():
    """
    A second crash left the first bytes of a torn record, then zeros of the next one: neither torn nor whole, and refused.
    """
    with on_disks():
        disk = Disk()
        FileLog(DiskPath(disk), ManualClock()).close()
        (name,) = disk.survivors(names=True, data=True)
        whole = disk.survivors(names=True, data=True)[name]
        disk = Disk("disk", {name: whole + RECORD_MARKER[:2]})
        log = FileLog(DiskPath(disk), ManualClock())
        log.append(b"\x00next", 2, 1)
        log._flush()
        left = disk.survivors(names=True, data=False, zeros=True)

        again = FileLog(DiskPath(Disk("disk", left)), ManualClock())

    assert whole == left[name].rstrip(b"\0")[: len(whole)]
    assert [mark(1, 0)] == again.entries

"""The durable log: what is synced survives, what is torn is dropped and said, what is damaged stops the start.

What becomes of a damaged last record is in `test_healing`.
"""

import logging

import pytest

from agent.consensus import wal
from agent.consensus.wal import FileLog, MemoryLog, mark
from agent.consensus.wal_format import RECORD_MARKER, SEGMENT_HEADER_BYTES, Damage
from agent.errors import ConfigError
from telemetry.clock import ManualClock


def filled(folder, count=5, segment_bytes=wal.SEGMENT_BYTES):
    log = FileLog(folder, ManualClock(), segment_bytes)
    log.set_term_and_vote(9, None)
    for index in range(2, 2 + count):
        log.append(b"\x00command-%d" % index, index, 1)
        log.sync()
    return log


def segment(folder):
    return max(folder.glob("log-*.wal"))


def reopened(folder):
    log = FileLog(folder, ManualClock())
    log.close()
    return log


def test_entries_term_and_vote_survive(tmp_path):
    """A log that is opened again holds the same entries, term and vote."""
    log = filled(tmp_path)
    log.set_term_and_vote(7, "server-a")
    log.close()

    again = reopened(tmp_path)

    assert log.entries == again.entries
    assert (7, "server-a") == (again.term, again.voted_for)
    assert 6 == again.durable_index


def test_what_was_not_synced_is_gone_after_a_kill(tmp_path):
    """Only `sync` promises; the durable index says how far."""
    log = filled(tmp_path)
    log.append(b"\x00unsynced", 7, 1)

    assert 6 == log.durable_index
    assert 6 == reopened(tmp_path).entries[-1][1]
    log.close()


def test_a_record_cut_anywhere_is_dropped(tmp_path):
    """Whatever byte of the last record the crash came at, the log loads all before it and goes on from there."""
    log = filled(tmp_path, count=3)
    entries = list(log.entries)
    log.close()
    whole = segment(tmp_path).read_bytes()
    last = whole.rindex(RECORD_MARKER)

    for end in range(last, len(whole)):
        segment(tmp_path).write_bytes(whole[:end])
        again = FileLog(tmp_path, ManualClock())
        assert entries[:-1] == again.entries, f"cut at {end}"
        again.append(b"\x00after", 4, 2)
        again.close()
        assert [*entries[:-1], (b"\x00after", 4, 2)] == reopened(tmp_path).entries


def test_a_tear_is_one_line_of_the_log(tmp_path, caplog):
    """It names file, offset, bytes and what is left; a whole log says nothing."""
    filled(tmp_path, count=3).close()
    whole = segment(tmp_path).read_bytes()
    last = whole.rindex(RECORD_MARKER)
    segment(tmp_path).write_bytes(whole[:-5])

    FileLog(tmp_path, ManualClock(), logger=logging.getLogger("tear")).close()
    reopened(tmp_path)

    place = f"file={segment(tmp_path)} offset={last} bytes={len(whole) - 5 - last} last_index=3"
    (line,) = caplog.records
    assert ("tear", "WARNING") == (line.name, line.levelname)
    assert f"raft: cut a torn write, which nobody was answered for, off the log {place}" == line.getMessage()


@pytest.mark.parametrize("torn", [b"", RECORD_MARKER + b"?", bytes(60)], ids=["nothing", "a part", "zeros"])
def test_damage_behind_a_full_segment_is_the_last_record(tmp_path, torn):
    """A new segment was begun and has nothing yet, or a tear; cut short, the full one is damage: it was synced before."""
    filled(tmp_path, count=2, segment_bytes=150).close()
    full, empty = sorted(tmp_path.glob("log-*.wal"))
    whole = full.read_bytes()
    last = whole.rindex(RECORD_MARKER)
    empty.write_bytes(empty.read_bytes() + torn)
    full.write_bytes(whole[:-1])
    with pytest.raises(ConfigError, match=f"{full.name}: offset {last}: .*that was whole once"):
        FileLog(tmp_path, ManualClock())
    full.write_bytes(whole[:-1] + b"?")

    again = reopened(tmp_path)

    assert Damage(str(full), last, len(whole) - last, 2, 3, 9, True) == again.damage
    assert (2, 9) == (again.entries[-1][1], again.term)
    assert whole[:last] == full.read_bytes()
    assert SEGMENT_HEADER_BYTES == empty.stat().st_size


def test_damage_upon_damage_keeps_the_most_that_may_be_lost(tmp_path):
    """Before it is healed of the first, the last of what is left is damaged too: two records are lost, not one."""
    filled(tmp_path, count=4).close()

    for _ in range(2):
        path = segment(tmp_path)
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        reopened(tmp_path)

    damage = reopened(tmp_path).damage
    assert (3, 5, False) == (damage.kept_index, damage.lost_index, damage.single)


def test_a_damaged_note_of_damage_stops_the_start(tmp_path):
    """Without it a server would vote by what is left."""
    filled(tmp_path).close()
    path = segment(tmp_path)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    reopened(tmp_path)
    (tmp_path / "recovering").write_bytes(b"?")

    with pytest.raises(ConfigError, match=r"recovering: offset 0: .* is damaged .*restore"):
        FileLog(tmp_path, ManualClock())


@pytest.mark.parametrize("vote", [None, 6], ids=["no file", "an older file"])
@pytest.mark.parametrize("last", ["whole", "damaged"])
def test_a_vote_that_is_missing_beside_a_log_stops_the_start(tmp_path, vote, last):
    """A log with entries had a term, and maybe a vote: which, nobody knows; nothing is cut or noted before."""
    log = filled(tmp_path, count=0)
    if vote is not None:
        log.set_term_and_vote(vote, None)
    kept = (tmp_path / "vote").read_bytes()
    for index in (2, 3):
        log.append(b"\x00", index, 8)
    log.set_term_and_vote(9, "id-2")
    log.close()
    path = segment(tmp_path)
    if last == "damaged":
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    content = path.read_bytes()
    (tmp_path / "vote").write_bytes(kept) if vote is not None else (tmp_path / "vote").unlink()

    says = "is missing" if vote is None else "says term 6"
    with pytest.raises(
        ConfigError, match=f"vote: offset 0: the file of term and vote {says}, .* seen term 8, .*; restore"
    ):
        FileLog(tmp_path, ManualClock())
    assert content == path.read_bytes()
    assert not (tmp_path / "recovering").exists()


def test_a_flipped_byte_in_the_middle_stops_the_start(tmp_path):
    """Damage before intact records names file and offset, whichever byte of the record it is."""
    filled(tmp_path, count=3).close()
    path = segment(tmp_path)
    whole = path.read_bytes()
    starts = [at for at in range(len(whole)) if whole.startswith(RECORD_MARKER, at)]
    begin, end = starts[1], starts[2]

    for at in range(begin, end):
        damaged = bytearray(whole)
        damaged[at] ^= 0x40
        path.write_bytes(damaged)
        with pytest.raises(ConfigError, match=rf"{path.name}: offset {begin}: .*damaged"):
            FileLog(tmp_path, ManualClock())


def test_damage_in_an_older_segment_stops_the_start(tmp_path):
    """A torn end is only believed of the newest segment."""
    filled(tmp_path, count=6, segment_bytes=150).close()
    oldest = min(tmp_path.glob("log-*.wal"))
    oldest.write_bytes(oldest.read_bytes()[:-1])

    with pytest.raises(ConfigError, match=f"{oldest.name}: offset"):
        FileLog(tmp_path, ManualClock())


def test_a_missing_segment_stops_the_start(tmp_path):
    """A gap between segments is noticed."""
    filled(tmp_path, count=12, segment_bytes=150).close()
    sorted(tmp_path.glob("log-*.wal"))[1].unlink()

    with pytest.raises(ConfigError, match="one is missing"):
        FileLog(tmp_path, ManualClock())


@pytest.mark.parametrize("content", [b"", b"short", b"ORAFTVOT\x00\x00\x00\x00\x92\x01\xc0"])
def test_a_damaged_vote_stops_the_start(tmp_path, content):
    """A server that forgot its vote could vote twice, so it does not start."""
    filled(tmp_path).close()
    (tmp_path / "vote").write_bytes(content)

    with pytest.raises(ConfigError, match="term and vote is damaged"):
        FileLog(tmp_path, ManualClock())


def test_truncated_entries_stay_gone(tmp_path):
    """A truncation and what was written after it are replayed in order."""
    log = filled(tmp_path)
    log.truncate_from(4)
    log.append(b"\x00other", 4, 2)
    log.close()

    assert [mark(1, 0), (b"\x00command-2", 2, 1), (b"\x00command-3", 3, 1), (b"\x00other", 4, 2)] == reopened(
        tmp_path
    ).entries


def test_compaction_deletes_whole_segments_and_keeps_the_rest(tmp_path):
    """After compaction the log begins at or before the asked index, and nothing after it is lost."""
    log = filled(tmp_path, count=40, segment_bytes=500)
    before = len(list(tmp_path.glob("log-*.wal")))
    entries = list(log.entries)

    log.compact_to(30)
    log.close()

    again = reopened(tmp_path)
    assert before > len(list(tmp_path.glob("log-*.wal")))
    assert 30 == log.entries[0][1]
    assert again.entries[0][1] <= 30
    assert entries[-len(again.entries) :] == again.entries


def test_compaction_survives_a_truncation_below_the_first_kept_entry(tmp_path):
    """A truncation that reaches into deleted segments does not make the rest unreadable."""
    log = filled(tmp_path, count=5, segment_bytes=150)
    log.truncate_from(4)
    for index in range(4, 20):
        log.append(b"\x00again-%d" % index, index, 2)
        log.sync()
    log.compact_to(6)
    entries = list(log.entries)
    log.close()

    again = reopened(tmp_path)

    assert entries == again.entries[-len(entries) :]
    assert all(later[1] == earlier[1] + 1 for earlier, later in zip(again.entries, again.entries[1:], strict=False))


def test_a_reset_log_begins_after_the_snapshot(tmp_path):
    """A reset leaves one mark, on disk as in memory, and entries go on from it."""
    log = filled(tmp_path)
    log.reset(100, 9)
    log.append(b"\x00next", 101, 9)
    log.close()

    assert [mark(100, 9), (b"\x00next", 101, 9)] == reopened(tmp_path).entries
    assert 1 == len(list(tmp_path.glob("log-*.wal")))


def test_gaps_are_refused():
    """An entry that does not follow the last one is a bug, found before it is written."""
    log = MemoryLog(ManualClock())

    with pytest.raises(ValueError, match="does not follow"):
        log.append(b"\x00", 3, 1)


def test_nothing_on_disk_is_a_pickle(tmp_path):
    """No file of the log begins as a pickle does or holds the end mark of one behind such a beginning."""
    log = filled(tmp_path)
    log.set_term_and_vote(1, "a")
    log.close()

    for path in tmp_path.iterdir():
        assert path.read_bytes()[:1] not in {b"\x80", b"("}, path.name


def test_the_age_of_the_oldest_entry_survives(tmp_path):
    """The age is counted from when the entry was written, not from when the log was opened."""
    clock = ManualClock(5_000.0)
    log = FileLog(tmp_path, clock)
    log.close()
    clock.advance(60)

    again = FileLog(tmp_path, clock)
    again.close()

    assert 60 == pytest.approx(again.oldest_age_seconds())

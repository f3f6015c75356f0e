"""What is made of the bytes behind the last whole record: a tear, the damaged last record, or more than that."""

import zlib
from types import SimpleNamespace

import pytest

from agent.consensus import wal_format
from agent.consensus.codec import COMMAND_BYTES_MAX
from agent.consensus.wal_format import (
    RECORD_HEADER_BYTES,
    RECORD_MARKER,
    SECTOR_BYTES,
    Damage,
    RecordKind,
    Tail,
    TailKind,
    decode_damage,
    encode_damage,
    judge_tail,
    pack_record,
    read_record,
)

TORN = Tail(TailKind.TORN, 0)
LAST = Tail(TailKind.DAMAGED, 1)
BEFORE = 40
"""Bytes before the record: it begins in the middle of a sector."""


def record(payload=b"\x00command", index=7):
    return pack_record(RecordKind.ENTRY, index, 3, 1_000, payload)


def judged(tail):
    data = b"x" * BEFORE + tail
    assert read_record(data, BEFORE) is None
    return judge_tail(data, BEFORE)


def flipped(data, at, mask=0x40):
    return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]


def test_a_record_that_ends_early_is_torn():
    """Wherever it was cut."""
    whole = record()

    assert {TORN} == {judged(whole[:end]) for end in range(1, len(whole))}


@pytest.mark.parametrize("size", [3, RECORD_HEADER_BYTES, 2_000], ids=["less than a header", "a header", "sectors"])
def test_zeros_are_torn(size):
    """Of a write only the length came through."""
    assert TORN == judged(bytes(size))


def test_zeros_from_a_sector_on_are_torn():
    """Some sectors of a write came through; what is zeros in the middle, or but a few, is damage."""
    whole = record(b"\x00" + b"x" * 2_000)
    begin = 2 * SECTOR_BYTES - BEFORE

    assert TORN == judged(whole[:begin] + bytes(len(whole) - begin))
    assert LAST == judged(whole[:begin] + bytes(SECTOR_BYTES) + whole[begin + SECTOR_BYTES :])
    short = record(b"\x00" + b"x" * (begin - RECORD_HEADER_BYTES))
    assert LAST == judged(short[:begin] + b"\0")


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_a_byte_that_is_wrong_is_the_last_record_damaged(mask):
    """Whichever byte it is, of its marker, checksum and length too, it is known to be one record."""
    whole = record()

    assert {LAST} == {judged(flipped(whole, at, mask)) for at in range(len(whole))}


@pytest.mark.parametrize("behind", [b"\0" * 700, record()[:20], record()[:2]], ids=["zeros", "a part", "half a marker"])
def test_a_tear_behind_a_damaged_record_hides_nothing(behind):
    """The damaged one may have been answered for, whatever a crash left behind it."""
    whole = record()

    assert {LAST} == {judged(flipped(whole, at) + behind) for at in range(len(whole)) if at not in range(8, 12)}


def test_a_wrong_length_before_a_part_of_a_record_is_told_by_the_checksum():
    """The checksum fits where the next one begins."""
    whole = record()

    assert {LAST} == {judged(flipped(whole, at) + record()[:20]) for at in range(8, 12)}


def test_two_damaged_records_are_more_than_the_last():
    """Damage before the last record stays damage before the last record."""
    assert TailKind.SEVERAL is judged(flipped(record(), 30) + flipped(record(index=8), 30)).kind


def test_a_lost_header_leaves_open_how_many_records_there_were():
    """As many as the shortest ones would be; more bytes than any record has are several."""
    payload = b"\x00" + b"x" * 200
    lost = b"\xff" * RECORD_HEADER_BYTES

    assert Tail(TailKind.DAMAGED, (RECORD_HEADER_BYTES + 201) // (RECORD_HEADER_BYTES + 1)) == judged(lost + payload)
    assert Tail(TailKind.DAMAGED, 1) == judged(b"\xff" * 5)
    assert TailKind.SEVERAL is judged(lost + b"x" * (COMMAND_BYTES_MAX + 2)).kind


def test_a_record_full_of_markers_is_judged_at_once(monkeypatch):
    """Each could be the end of a damaged one; a few are tried, not a hundred thousand checksums of half a megabyte."""
    checksums = []

    def counted(*data):
        checksums.append(data)
        return zlib.crc32(*data)

    tail = flipped(record(RECORD_MARKER * (COMMAND_BYTES_MAX // len(RECORD_MARKER))), 9, 0x04)
    monkeypatch.setattr(wal_format, "zlib", SimpleNamespace(crc32=counted))

    assert LAST == judged(tail)
    assert len(checksums) < 100


def test_what_was_lost_outlives_the_process_undamaged():
    """Every byte of the note is under its checksum."""
    damage = Damage("log-1.wal", 90, 50, 6, 7, 3, True)
    encoded = encode_damage(damage)

    assert damage == decode_damage(encoded)
    for at in range(len(encoded)):
        with pytest.raises(ValueError, match="checksum"):
            decode_damage(flipped(encoded, at))
    with pytest.raises(ValueError, match="checksum"):
        decode_damage(b"")

"""The file of a snapshot: a round trip, and every damage told with one sentence before anything is done."""

import gzip
import hashlib
import io
import json
import random
import subprocess
import tarfile
import zlib

import pytest

from agent.model.base import JobID, NodeID
from agent.model.command import RegisterJob, RegisterNode
from agent.model.job import Job, TaskGroup
from agent.model.node import Node
from agent.state import archive, snapshot
from agent.state.archive import ArchiveError, read_archive, write_archive
from agent.state.fsm import apply, dump
from agent.state.store import State

AT_SECONDS = 1_795_375_511.25


def some_state():
    state = State()
    for number in range(20):
        job = Job(id=JobID(f"job-{number}"), task_groups=[TaskGroup(name="app", count=number)])
        state = apply(state, state.index + 1, RegisterJob(request_id=f"j{number}", at=number, job=job)).state
        node = Node(id=NodeID(f"node-{number}"))
        state = apply(state, state.index + 1, RegisterNode(request_id=f"n{number}", at=number, node=node)).state
    return state


def tar_of(members, file_format=tarfile.USTAR_FORMAT):
    """Return a gzipped tar of (TarInfo or name, content)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=file_format) as tar:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def members_of(state_bytes, **meta):
    """Return the members of a snapshot with this state, whatever it is, and right checksums."""
    fields = {"Version": 1, "ID": "2-40-1", "Index": 40, "Term": 2, "Size": len(state_bytes)} | meta
    told = json.dumps(fields).encode()
    sums = "".join(
        f"{hashlib.sha256(content).hexdigest()}  {name}\n"
        for name, content in (("meta.json", told), ("state.bin", state_bytes))
    )
    return [("meta.json", told), ("state.bin", state_bytes), ("SHA256SUMS", sums.encode())]


def test_a_saved_state_is_read_as_it_was():
    """
    State, index, term and size come back; whoever looks at the file sees Nomad's fields.
    """
    state = some_state()

    found = read_archive(write_archive(state, 7, AT_SECONDS))

    assert (state, dump(state)) == (found.state, found.dumped)
    meta = found.meta
    assert (1, "7-40-1795375511250", 40, 7) == (meta.version, meta.id, meta.index, meta.term)
    assert len(found.dumped) == meta.size


def test_tools_of_the_system_read_it(tmp_path):
    """
    The three members come in a Nomad's order, and sha256sum agrees with what is written.
    """
    file = tmp_path / "a.snap"
    file.write_bytes(write_archive(some_state(), 7, AT_SECONDS))

    listed = subprocess.run(["tar", "xvzf", file], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    checked = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert ["meta.json", "state.bin", "SHA256SUMS"] == listed.split()
    assert "meta.json: OK\nstate.bin: OK\n" == checked.stdout


def test_a_byte_changed_anywhere_is_noticed():
    """
    At every twentieth offset and at 200 chosen by chance it is an error, but for what says nothing of the content: the
    time in the header, and bits that fill a byte up.
    """
    state = some_state()
    whole = write_archive(state, 7, AT_SECONDS)
    seed = random.SystemRandom().getrandbits(32)
    print(f"replay: seed={seed}")
    rng = random.Random(seed)
    noticed = 0

    for at in [*range(0, len(whole), 20), *(rng.randrange(len(whole)) for _ in range(200))]:
        damaged = bytearray(whole)
        damaged[at] ^= 1 << rng.randrange(8)
        try:
            found = read_archive(bytes(damaged))
        except ArchiveError:
            noticed += 1
        else:
            assert (state, 7, 40) == (found.state, found.meta.term, found.meta.index), f"offset {at}"
    assert noticed > len(whole) // 20 + 180


def test_a_file_cut_short_anywhere_is_noticed():
    """
    Every length is tried at steps of 13 bytes, and the last ten.
    """
    whole = write_archive(some_state(), 7, AT_SECONDS)

    for length in [*range(0, len(whole), 13), *range(len(whole) - 10, len(whole))]:
        with pytest.raises(ArchiveError):
            read_archive(whole[:length])


def renamed(members, name, other):
    return [(other if name == found else found, content) for found, content in members]


def link(name):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return info


GOOD = members_of(dump(State(index=40)))


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (b"", "it is empty"),
        (b"not a snapshot", "it is no gzip, or damaged"),
        (gzip.compress(b"not a tar" * 100), "offset 0: it is no tar, or damaged"),
        (gzip.compress(b""), "meta.json and state.bin and SHA256SUMS missing"),
        (tar_of([]), "meta.json and state.bin and SHA256SUMS missing"),
        (tar_of(GOOD[:2]), "SHA256SUMS missing"),
        (tar_of(GOOD[1:]), "meta.json missing"),
        (tar_of([*GOOD, GOOD[0]]), "meta.json stands twice"),
        (tar_of(renamed(GOOD, "state.bin", "../state.bin")), "'../state.bin' is none of meta.json, state.bin"),
        (tar_of([*GOOD, (link("extra"), b"")]), "'extra' is none of"),
        (tar_of([(link("meta.json"), b""), *GOOD[1:]]), "'meta.json' is none of"),
        (tar_of(renamed(GOOD, "meta.json", "m" * 120), tarfile.PAX_FORMAT), "is none of"),
        (tar_of([("meta.json", bytes(65_537)), *GOOD[1:]]), "meta.json of 65537 bytes is above the limit of 65536"),
        (tar_of([GOOD[0], ("state.bin", b"other"), GOOD[2]]), "state.bin does not match its checksum"),
        (tar_of([("meta.json", b"{}"), *GOOD[1:]]), "meta.json does not match its checksum"),
        (tar_of([*GOOD[:2], ("SHA256SUMS", b"")]), "meta.json does not match its checksum"),
        (tar_of([*GOOD[:2], ("SHA256SUMS", b"\xff\xfe  x  y\n")]), "meta.json does not match its checksum"),
        (tar_of(members_of(dump(State(index=40)), Size=3)), "speaks of 3 bytes of state"),
        (tar_of(members_of(dump(State(index=41)))), "speaks of index 40, and the state stands at 41"),
        (tar_of(members_of(dump(State(index=40)), Index="x")), "meta.json is not what a snapshot says of itself"),
        (tar_of(members_of(dump(State(index=40)), Index=-1)), "meta.json is not what a snapshot says of itself"),
        (tar_of(members_of(b"ORST\x09rest")), "state.bin: damaged snapshot|state.bin: snapshot version 9"),
        (tar_of(GOOD) + b"x", "1 bytes follow its end"),
        (tar_of(GOOD) + bytes(200_000), "200000 bytes follow its end"),
        (gzip.compress(gzip.decompress(tar_of(GOOD)) + b"x"), "something follows its end"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # a packed file holds the time of its packing
)
def test_what_is_no_whole_snapshot_is_refused_with_its_reason(file, message):
    """
    Foreign files, missing, double and strange members, links and names that lead elsewhere, sums and sizes that lie.
    """
    with pytest.raises(ArchiveError, match=message):
        read_archive(file)


def test_a_nomads_snapshot_is_told_as_such():
    """
    Its tar and sums are whole; its state begins with the header of Nomad's own encoding.
    """
    told = {"Peers": "wA==", "Configuration": {"Servers": []}, "ConfigurationIndex": 1, "Index": 1234}
    file = tar_of(members_of(b"\x82\xa9TimeTable\xc0" + bytes(50), **told))

    with pytest.raises(ArchiveError, match=r"the snapshot of a Nomad \(index 1234\), whose state Outrider cannot read"):
        read_archive(file)


def test_a_snapshot_of_many_helpings_is_read_as_a_small_one():
    """
    Megabytes that do not compress, and megabytes of zeros after the end, which a tar may have.
    """
    noise = snapshot.MAGIC + random.Random(1).randbytes(1024 * 1024)
    padded = gzip.compress(gzip.decompress(tar_of(GOOD)) + bytes(4 * 1024 * 1024))

    with pytest.raises(ArchiveError, match=r"state\.bin: snapshot version"):
        read_archive(tar_of(members_of(noise)))
    assert State(index=40) == read_archive(padded).state


def test_a_bomb_is_given_up_at_the_limit(monkeypatch):
    """
    What unpacks to more than the limit is refused after as much, whether one member claims it or the rest is padding.
    """
    monkeypatch.setattr(archive, "_UNPACKED_BYTES_MAX", 4 * 1024 * 1024)
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join([*(compressor.compress(bytes(1024 * 1024)) for _ in range(64)), compressor.flush()])

    with pytest.raises(ArchiveError, match="unpacks to more than 4194304 bytes"):
        read_archive(bomb)


def test_a_state_that_could_not_be_restored_is_not_saved(monkeypatch):
    """
    The same limit both ways, so that nobody finds out when it is needed.
    """
    monkeypatch.setattr(archive, "STATE_BYTES_MAX", 50)

    with pytest.raises(ArchiveError, match="no more than 50 could be restored"):
        write_archive(some_state(), 7, AT_SECONDS)


def test_a_file_above_the_limit_is_not_looked_into(monkeypatch):
    """
    Its size alone is the reason.
    """
    monkeypatch.setattr(archive, "ARCHIVE_BYTES_MAX", 100)

    with pytest.raises(ArchiveError, match="larger than 100 bytes"):
        read_archive(write_archive(some_state(), 7, AT_SECONDS))

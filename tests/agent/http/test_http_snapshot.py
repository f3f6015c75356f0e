"""Snapshots over HTTP: the file with its checksum, and what is refused before any server hears of it."""

import base64
import hashlib

import pytest

from agent.errors import NoClusterLeader, UnknownOutcome
from agent.http import snapshots as module
from agent.rpc import methods as m
from agent.state.archive import write_archive
from agent.state.restore import pack
from agent.state.snapshot import dump
from agent.state.store import State

PATH = "/v1/operator/snapshot"
FILE = write_archive(State(index=40), 7, 1_795_375_511.0)


class Server:
    """Hands out FILE in parts of 100 bytes, and takes what is staged."""

    def __init__(self, agent):
        self.asked, self.staged, self.fails = [], [], {}
        agent.caller.call = self.call

    async def call(self, method, request, timeout_seconds):
        self.asked.append((method.name, request))
        if method.name in self.fails:
            raise self.fails[method.name]
        match method:
            case m.OPERATOR_SNAPSHOT_SAVE:
                sha256 = hashlib.sha256(FILE).hexdigest()
                data = FILE[request.offset : request.offset + 100]
                return m.SnapshotSaveResponse(snapshot_id="s", size_bytes=len(FILE), sha256=sha256, data=data)
            case m.OPERATOR_SNAPSHOT_STAGE:
                self.staged.append((request.offset, request.data))
        return m.Response(index=41)


@pytest.fixture
def server(agent):
    return Server(agent)


def test_a_snapshot_comes_whole_with_its_checksum(ask, server):
    """
    Parts are put together, length and Digest are known before the first byte, and nothing is compressed again.
    """
    found = ask("GET", PATH + "?stale", headers={"Accept-Encoding": "gzip"})

    assert (200, FILE) == (found.status, found.body)
    digest = base64.b64encode(hashlib.sha256(FILE).digest()).decode()
    assert (f"sha-256={digest}", str(len(FILE))) == (found.headers["Digest"], found.headers["Content-Length"])
    assert "Content-Encoding" not in found.headers
    assert -(-len(FILE) // 100) == len(server.asked)
    assert {True} == {request.allow_stale for _, request in server.asked}
    assert {"", "s"} == {request.snapshot_id for _, request in server.asked}


def test_without_a_leader_a_snapshot_is_refused_as_every_read(ask, server):
    """
    Before anything was sent: the status is 500.
    """
    server.fails[m.OPERATOR_SNAPSHOT_SAVE.name] = NoClusterLeader()

    found = ask("GET", PATH)

    assert (500, "No cluster leader") == (found.status, found.text)


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_whole_file_is_staged_and_put_in_place(ask, server, method, monkeypatch):
    """
    Piece by piece, then one request that swaps; the answer is empty and says the index.
    """
    monkeypatch.setattr(module, "PIECE_BYTES_MAX", 50)
    dumped = dump(State(index=40))
    packed = pack(dumped)

    found = ask(method, PATH, data=FILE)

    assert (200, b"", "41") == (found.status, found.body, found.headers["X-Nomad-Index"])
    assert packed == b"".join(data for _, data in server.staged)
    assert list(range(0, len(packed), 50)) == [offset for offset, _ in server.staged]
    assert m.OPERATOR_SNAPSHOT_RESTORE.name == server.asked[-1][0]
    staged = [request for _, request in server.asked[:-1]]
    assert {(len(packed), len(dumped))} == {(piece.packed_bytes, piece.state_bytes) for piece in staged}
    assert 1 == len({request.restore_id for _, request in server.asked})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "it is empty"),
        (b"junk", "it is no gzip"),
        (FILE[:-20], "it is cut short"),
        (FILE[:200] + bytes(20) + FILE[220:], "damaged"),
    ],
)
def test_a_damaged_file_is_refused_before_any_server_hears_of_it(ask, server, body, message):
    """
    With 400 and one sentence.
    """
    found = ask("PUT", PATH, data=body)

    assert 400 == found.status
    assert "the snapshot cannot be restored, and nothing was changed: " in found.text
    assert message in found.text
    assert [] == server.asked


def test_a_body_above_the_limit_is_refused_while_it_comes(ask, server, monkeypatch):
    """
    A snapshot may be larger than other bodies, but not of any size.
    """
    monkeypatch.setattr(module, "ARCHIVE_BYTES_MAX", 6_000_000)

    above = ask("PUT", PATH, data=bytes(6_000_001))
    below = ask("PUT", PATH, data=bytes(5_000_000))

    assert (413, 400) == (above.status, below.status)
    assert [] == server.asked


def test_a_state_that_no_server_would_take_is_refused_here(ask, server, monkeypatch):
    """
    With 413, before a piece of it is sent.
    """
    monkeypatch.setattr(module, "PACKED_BYTES_MAX", 10)

    found = ask("PUT", PATH, data=FILE)

    assert (413, []) == (found.status, server.asked)
    assert "larger than 10 bytes when packed" in found.text


def test_what_was_lost_on_the_way_is_told_apart(ask, server):
    """
    A lost piece restored nothing; a lost swap may have.
    """
    server.fails[m.OPERATOR_SNAPSHOT_STAGE.name] = UnknownOutcome("gone")
    piece = ask("PUT", PATH, data=FILE)
    server.fails = {m.OPERATOR_SNAPSHOT_RESTORE.name: UnknownOutcome("gone")}
    swap = ask("PUT", PATH, data=FILE)

    assert "nothing was restored, try again" in piece.text
    assert "may or may not have been restored" in swap.text
    assert (500, 500) == (piece.status, swap.status)


def test_one_restore_at_a_time_at_an_agent(ask, server):
    """
    Each holds its file in memory: a second one is told to wait; after the first all is as before.
    """
    with module._alone():
        second = ask("PUT", PATH, data=FILE)
    third = ask("PUT", PATH, data=FILE)

    assert (429, 200) == (second.status, third.status)


def test_other_methods_are_refused(ask, server):
    """
    As everywhere.
    """
    assert 405 == ask("DELETE", PATH).status

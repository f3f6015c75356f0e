"""The commands that save the state of the servers, restore it and look into a saved one."""

import base64
import hashlib
import stat
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from agent.cli.operator_commands import operator
from agent.state.archive import write_archive
from agent.state.store import State

FILE = write_archive(State(index=40), 7, 1_795_375_511.0)


def names(folder):
    return [path.name for path in folder.iterdir()]


class Snapshots(BaseHTTPRequestHandler):
    """Serves FILE, or what a test put in its place, and keeps what it is sent."""

    def do_GET(self):
        server = self.server
        server.seen.append(self.path)
        digest = base64.b64encode(hashlib.sha256(FILE).digest()).decode()
        self.send_response(server.status)
        self.send_header("Digest", server.digest or f"sha-256={digest}")
        self.send_header("Content-Length", str(len(FILE)))
        self.end_headers()
        self.wfile.write(server.body)

    def do_PUT(self):
        self.server.taken.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(self.server.body if self.server.status != 200 else b"")

    def log_message(self, *args):
        pass


@pytest.fixture
def snapshots(tmp_path, monkeypatch):
    """A server of snapshots; the commands run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Snapshots)
    server.body, server.status, server.digest, server.seen, server.taken = FILE, 200, "", [], []
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def snapshot(run, snapshots):
    return lambda *args: run(operator, "snapshot", *args, address=snapshots.url)


def test_save_writes_a_file_that_only_its_owner_reads(snapshot, snapshots, tmp_path):
    """
    The secrets of all nodes are in it; -stale is passed on.
    """
    plain = snapshot("save", "a.snap")
    stale = snapshot("save", "-stale", "b.snap")

    assert (0, "State file written to a.snap\n") == (plain.exit_code, plain.output)
    assert ["/v1/operator/snapshot", "/v1/operator/snapshot?stale="] == snapshots.seen
    assert FILE == (tmp_path / "a.snap").read_bytes() == (tmp_path / "b.snap").read_bytes()
    assert 0o600 == stat.S_IMODE((tmp_path / "a.snap").stat().st_mode)
    assert 0 == stale.exit_code


def test_save_names_the_file_by_date_and_seconds(snapshot, tmp_path):
    """
    As a Nomad's command does.
    """
    result = snapshot("save")

    (file,) = names(tmp_path)
    assert file.startswith("nomad-state-202611")
    assert file.endswith("-1795375627.snap")
    assert f"State file written to {file}\n" == result.output


def test_save_overwrites_nothing(snapshot, snapshots, tmp_path):
    """
    Neither a file nor a link; no server is asked.
    """
    (tmp_path / "a.snap").write_text("mine")
    (tmp_path / "b.snap").symlink_to("nowhere")

    for name in ("a.snap", "b.snap"):
        result = snapshot("save", name)
        assert (1, f'Destination file already exists: "{name}"\n') == (result.exit_code, result.output)

    assert ("mine", []) == ((tmp_path / "a.snap").read_text(), snapshots.seen)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (FILE[:-7], "7 more expected"),
        (FILE[:-7] + b"damaged", "the answer does not match its checksum"),
    ],
)
def test_save_keeps_nothing_that_is_not_whole(snapshot, snapshots, tmp_path, body, message):
    """
    Length and checksum are compared, and what came is removed.
    """
    snapshots.body = body

    result = snapshot("save", "a.snap")

    assert 1 == result.exit_code
    assert message in result.output
    assert [] == names(tmp_path)


@pytest.mark.parametrize("digest", ["sha-256=not base64", "md5=AAAA", "nonsense"])
def test_save_trusts_no_other_checksum(snapshot, snapshots, tmp_path, digest):
    """
    One that it cannot compare is none.
    """
    snapshots.digest = digest

    result = snapshot("save", "a.snap")

    assert f"the answer does not match its checksum ({digest})" in result.output
    assert (1, []) == (result.exit_code, names(tmp_path))


def test_save_says_why_the_server_refused(snapshot, snapshots, tmp_path):
    """
    Nothing stays behind.
    """
    snapshots.status, snapshots.body = 500, b"No cluster leader".ljust(len(FILE))

    result = snapshot("save", "a.snap")

    assert "Failed to get snapshot file: Unexpected response code: 500 (No cluster leader)\n" == result.output
    assert (1, []) == (result.exit_code, names(tmp_path))


def test_save_where_nothing_can_be_written_says_so(snapshot, snapshots):
    """
    Before a server is asked.
    """
    result = snapshot("save", "nowhere/a.snap")

    assert 1 == result.exit_code
    assert "Failed to create file: [Errno 2] No such file or directory" in result.output
    assert [] == snapshots.seen


def test_restore_sends_the_file_as_it_is(snapshot, snapshots, tmp_path):
    """
    Byte by byte, and says that it is done.
    """
    (tmp_path / "a.snap").write_bytes(FILE)

    result = snapshot("restore", "a.snap")

    assert (0, "Snapshot Restored\n") == (result.exit_code, result.output)
    assert [FILE] == snapshots.taken


def test_restore_says_what_is_wrong(snapshot, snapshots, tmp_path):
    """
    With the server's sentence; a file that is not there is told without asking one.
    """
    (tmp_path / "a.snap").write_bytes(b"junk")
    snapshots.status, snapshots.body = 400, b"it is no gzip"

    refused = snapshot("restore", "a.snap")
    missing = snapshot("restore", "b.snap")

    assert "Failed to restore snapshot: Unexpected response code: 400 (it is no gzip)\n" == refused.output
    assert "Error opening snapshot file: [Errno 2] No such file or directory: 'b.snap'\n" == missing.output
    assert (1, 1) == (refused.exit_code, missing.exit_code)


def test_inspect_shows_what_a_file_is_of(snapshot, snapshots, tmp_path):
    """
    Nomad's five lines, without asking a server.
    """
    (tmp_path / "a.snap").write_bytes(FILE)

    lines = snapshot("inspect", "a.snap").output.splitlines()

    assert ["ID       7-40-1795375511000", "Index    40", "Term     7", "Version  1"] == [lines[0], *lines[2:]]
    assert lines[1].startswith("Size     ")
    assert [] == snapshots.seen


def test_inspect_names_the_file_and_its_damage(snapshot, tmp_path):
    """
    The same sentences as a restore.
    """
    (tmp_path / "a.snap").write_bytes(FILE[:100])

    result = snapshot("inspect", "a.snap")

    assert (1, "Error verifying snapshot: a.snap: it is cut short\n") == (result.exit_code, result.output)

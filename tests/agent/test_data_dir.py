"""An agent's folders: where a server's own state lies, and who may use them."""

import os

import pytest

from agent.data_dir import LOCK_NAME, DataDir
from agent.errors import ConfigError


@pytest.fixture
def take():
    """Take folders, and let them all go at the end."""
    taken = []

    def one(*arguments, **options):
        taken.append(DataDir(*arguments, **options))
        return taken[-1]

    yield one
    for each in taken:
        each.close()


def test_a_server_keeps_its_state_below_data_dir(take, tmp_path):
    """Its id stands there, and the next start finds it."""
    first = take(tmp_path, serves=True)
    own = first.server_id()
    first.close()

    assert tmp_path / "server" == first.server
    assert own == (tmp_path / "server/node-id").read_text() == take(tmp_path, serves=True).server_id()


def test_a_folder_of_its_own_takes_the_place_of_it(take, tmp_path):
    """As on a Nomad: nothing of the server stands below data_dir."""
    folder = take(tmp_path / "data", tmp_path / "fast/disk", serves=True)

    assert tmp_path / "fast/disk" == folder.server
    assert folder.server_id() == (tmp_path / "fast/disk/node-id").read_text()
    assert [LOCK_NAME] == [path.name for path in (tmp_path / "data").iterdir()]


def test_a_client_needs_no_folder_of_a_server(take, tmp_path):
    """Not even where its file names one that could not be made."""
    folder = take(tmp_path, tmp_path / LOCK_NAME / "server", serves=False)

    assert folder.server is None
    assert [LOCK_NAME] == [path.name for path in tmp_path.iterdir()]


def test_without_data_dir_a_server_keeps_nothing(take, tmp_path):
    """Under -dev each start is a new server, unless it is told where to keep its state."""
    assert take(None, serves=True).server is None
    assert take(None, serves=True).server_id() != take(None, serves=True).server_id()
    kept = take(None, tmp_path, serves=True)
    own = kept.server_id()
    kept.close()
    assert not kept.path.exists()
    assert own == take(None, tmp_path, serves=True).server_id()


@pytest.mark.parametrize(
    ("data_dir", "server"),
    [("b", "a/server"), ("b", "c"), ("a", None), ("c", None)],
    ids=["default-place", "named-place", "data-dir", "data-dir-at-a-named-place"],
)
def test_no_two_agents_share_a_folder(take, tmp_path, data_dir, server):
    """However each came to it; the one that has it is named, and what to do."""
    take(tmp_path / "a", serves=True)
    take(tmp_path / "d", tmp_path / "c", serves=True)

    with pytest.raises(ConfigError, match=rf"data_dir = .*another agent uses it \(process {os.getpid()}\); stop that"):
        take(tmp_path / data_dir, server and tmp_path / server, serves=True)

    # What it had taken before is free again.
    take(tmp_path / "b", serves=True)


def test_both_may_be_one_folder(take, tmp_path):
    """An agent does not lock itself out."""
    assert tmp_path == take(tmp_path, tmp_path, serves=True).server
    with pytest.raises(ConfigError, match="another agent uses it"):
        take(tmp_path, serves=True)


def test_state_at_the_former_place_stops_the_start(take, tmp_path):
    """A server would begin anew in silence; once it is moved, it is the same server."""
    folder = take(tmp_path / "data", serves=True)
    own = folder.server_id()
    folder.close()
    moved = tmp_path / "moved"

    with pytest.raises(ConfigError) as caught:
        take(tmp_path / "data", moved, serves=True)

    assert str(caught.value) == (
        f'server.data_dir = "{moved}": this server\'s state is in {tmp_path}/data/server: move what is there, or remove '
        "it if this server is to begin anew"
    )
    (tmp_path / "data/server/node-id").rename(moved / "node-id")
    assert own == take(tmp_path / "data", moved, serves=True).server_id()


def test_a_folder_that_cannot_be_made_is_named(take, tmp_path):
    """With its key, and what to do."""
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match=r'server.data_dir = "\S+/file": File exists; make it a folder'):
        take(tmp_path / "data", tmp_path / "file", serves=True)

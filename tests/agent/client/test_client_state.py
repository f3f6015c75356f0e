"""Files of a client: identity, records, directories."""

import logging
import uuid

import pytest

from agent.client.alloc_dir import AllocDir
from agent.client.drivers.base import TaskHandle
from agent.client.files import write_atomically
from agent.client.identity import load_or_make
from agent.client.state import StateStore
from agent.client.task_runner import Phase, TaskLife
from agent.errors import ConfigError
from agent.model.alloc import TaskEvent, TaskStateInfo
from tests.agent.client.leader import allocation

LOGGER = logging.getLogger("test.state")


def test_an_identity_is_made_once(tmp_path):
    """
    Node id and secret are made at the first start and kept, readable by their owner alone.
    """
    first = load_or_make(tmp_path / "client")
    second = load_or_make(tmp_path / "client")

    assert first == second
    assert first.node_id != first.secret_id
    assert str(uuid.UUID(first.node_id)) == first.node_id
    assert 0o600 == (tmp_path / "client" / "secret-id").stat().st_mode & 0o777


def test_a_damaged_identity_is_an_error_and_not_a_new_node(tmp_path):
    """
    A client does not silently become another node when its file is damaged.
    """
    load_or_make(tmp_path)
    (tmp_path / "client-id").write_text("not a uuid")

    with pytest.raises(ConfigError, match=r"client-id: 'not a uuid' is no UUID"):
        load_or_make(tmp_path)


def test_a_directory_that_is_a_file_is_a_configuration_error(tmp_path):
    """
    The error names the key, the path and the remedy.
    """
    (tmp_path / "client").write_text("")

    with pytest.raises(ConfigError, match=r"client\.state_dir: cannot use .*client"):
        load_or_make(tmp_path / "client")


def test_records_come_back_as_they_were(tmp_path):
    """
    An allocation and the lives of its tasks survive, handles and events among them.
    """
    alloc = allocation("n1", {"command": "sleep"})
    handle = TaskHandle("raw_exec", "a/main/1", 77, 123, "/x")
    info = TaskStateInfo(state="running", restarts=1, events=[TaskEvent(type="Started", time=5)])
    lives = {"main": TaskLife(phase=Phase.RUNNING, handle=handle, info=info)}

    StateStore(tmp_path, LOGGER).save(alloc, lives)
    records = StateStore(tmp_path, LOGGER).load()

    assert [(alloc, lives)] == [(record.alloc, record.tasks) for record in records]


def test_a_damaged_record_is_set_aside_and_named(tmp_path, caplog):
    """
    One unreadable record does not keep the others from coming back.
    """
    store = StateStore(tmp_path, LOGGER)
    good = allocation("n1", {})
    store.save(good, {})
    (tmp_path / "allocs" / "bad.msgpack").write_bytes(b"\xc1")

    assert [good.id] == [record.alloc.id for record in store.load()]
    assert "bad.msgpack" in caplog.text
    assert (tmp_path / "allocs" / "bad.damaged").exists()


def test_a_removed_allocation_leaves_nothing(tmp_path):
    """
    Record and status files go together.
    """
    store = StateStore(tmp_path, LOGGER)
    alloc = allocation("n1", {})
    store.save(alloc, {})
    store.status_file(alloc.id, "main", 0).touch()

    store.remove(alloc.id)

    assert [] == [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_file_is_replaced_whole(tmp_path):
    """
    A replaced file has the new content, its mode, and nothing is left beside it.
    """
    path = tmp_path / "file"

    write_atomically(path, b"old")
    write_atomically(path, b"new", durable=True)

    assert b"new" == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


def test_directories_of_a_task_are_nomads(tmp_path):
    """
    A task gets its own local, secrets and tmp beside what the allocation shares.
    """
    directory = AllocDir.of(tmp_path, "a1")

    directory.build_shared()
    directory.build("main", "")
    directory.build("other", "")

    names = {str(path.relative_to(tmp_path / "a1")) for path in (tmp_path / "a1").rglob("*")}
    assert {"alloc", "alloc/data", "alloc/logs", "alloc/tmp"} <= names
    assert {"main", "main/local", "main/secrets", "main/tmp", "other/local"} <= names
    assert 0o700 == directory.secrets("main").stat().st_mode & 0o777
    directory.destroy()
    assert not (tmp_path / "a1").exists()


@pytest.mark.parametrize("name", ["..", ".", "", "alloc", "../../etc", "a/b", "a\0b"])
def test_a_task_cannot_leave_its_allocation(tmp_path, name):
    """
    Names that would lead elsewhere are refused before anything is made.
    """
    with pytest.raises(ValueError, match="cannot be called"):
        AllocDir.of(tmp_path, "a1").build(name, "")

    assert [] == list(tmp_path.iterdir())

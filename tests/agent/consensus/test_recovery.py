"""Outage recovery by peers.json: what is taken, what is refused, and that it is gone afterwards."""

import json
import logging

import pytest

from agent.consensus.configuration import ConfiguredServer
from agent.consensus.pysyncobj_replicator import PysyncobjReplicator, RaftSettings
from agent.consensus.recovery import read_peers
from agent.consensus.replicator import Peer
from agent.errors import ConfigError
from telemetry.clock import SystemClock
from telemetry.recorder import NullRecorder

ME = Peer("id-a", "a", "127.0.0.1:4649", "127.0.0.1:4647")
OWN = {"id": "id-a", "address": "127.0.0.1:4649"}


@pytest.fixture
def read(tmp_path):
    """Write what is given as peers.json, and read it."""

    def one(content):
        path = tmp_path / "peers.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return read_peers(path, ME)

    return one


def test_no_file_is_no_recovery(tmp_path):
    """The usual start."""
    assert read_peers(tmp_path / "peers.json", ME) is None


def test_servers_are_those_of_the_file(read):
    """By id, so that every server makes the same of it in whatever order they stand."""
    other = {"id": "id-0", "address": "10.0.0.2:4649", "non_voter": True}

    expected = (
        ConfiguredServer("id-0", "", "10.0.0.2:4649", "", voter=False),
        ConfiguredServer("id-a", "", "127.0.0.1:4649", "", voter=True),
    )
    assert expected == read([OWN, other]).servers == read([other, OWN]).servers


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "cannot be read"),
        ('["10.0.0.1:4649"]', "cannot be read"),
        ([{**OWN, "voter": True}], "cannot be read"),
        ([], "it names no server that votes"),
        ([{**OWN, "non_voter": True}], "it names no server that votes"),
        ([{"id": "", "address": "10.0.0.2:4649"}, OWN], "is no id of a server: that stands in node-id, beside raft"),
        ([OWN, {"id": "b", "address": "10.0.0.2"}], "write host:port of the server's Raft"),
        ([OWN, {"id": "b", "address": OWN["address"]}], "the address 127.0.0.1:4649 stands there twice"),
        ([OWN, {**OWN, "address": "10.0.0.2:4649"}], "the id id-a stands there twice"),
        ([{"id": "b", "address": "10.0.0.2:4649"}], "does not name this server, id-a at 127.0.0.1:4649"),
        ([{**OWN, "address": "127.0.0.1:4647"}], "at 127.0.0.1:4647, but its Raft is at 127.0.0.1:4649"),
    ],
)
def test_a_damaged_file_is_one_clear_error(read, content, reason):
    """It names the file, what is wrong, and what to do; the address of the RPC is told from Raft's."""
    with pytest.raises(ConfigError, match=r"peers\.json.* or remove it") as caught:
        read(content)

    assert reason in str(caught.value)


class Machine:
    """A state machine and an observer with nothing to say."""

    def apply(self, index, command):
        return b""

    def dump(self):
        return lambda: b""

    def load(self, data):
        """Nothing to load."""

    def state_changed(self, old, new, term, reason):
        """Nothing."""

    def leader_changed(self, leader):
        """Nothing."""


def test_a_start_carries_the_file_out_once(tmp_path):
    """A server of a dead group of three is alone afterwards, and stays so; a damaged file stops the start and stays."""

    def start():
        settings = RaftSettings(
            me=ME, bind_address="127.0.0.1:0", peers=("127.0.0.1:1", "127.0.0.1:2"), data_dir=tmp_path
        )
        machine = Machine()
        replicator = PysyncobjReplicator(
            settings, machine, machine, NullRecorder(), SystemClock(), logging.getLogger("raft-test")
        )
        replicator.start()
        replicator.stop()
        return replicator._engine

    assert 3 == len(start()._configurations.newest.voters)
    path = tmp_path / "raft" / "peers.json"
    path.write_text("[")
    with pytest.raises(ConfigError, match="cannot be read"):
        start()
    assert path.exists()

    path.write_text(json.dumps([OWN]))
    assert ["id-a"] == [server.server_id for server in start()._configurations.newest.voters]
    assert not path.exists()
    assert ["id-a"] == [server.server_id for server in start()._configurations.newest.voters]

"""Clusters told apart by their ids, as real processes: a server of one that joins another, and files that were mixed up."""

import re
import shutil
import signal

import pytest

from agent.consensus.snapshot_store import decode_snapshot
from tests.integration.agents import batch_job, server_agents
from tests.integration.watch import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

_KNOWN = re.compile(r"the id of the cluster is known.* cluster_id=([0-9a-f-]{36})")


def _cluster_of(agent):
    wait_until(lambda: _KNOWN.search(agent.text()), 10, f"{agent.name} knows its cluster")
    return _KNOWN.search(agent.text()).group(1)


@pytest.fixture
def two(tmp_path):
    """Two clusters of one server each, that know their ids and have a job each."""
    agents = []
    for name in ("north", "south"):
        (tmp_path / name).mkdir()
        (agent,) = server_agents(tmp_path / name, 1)
        agent.name = name
        config = agent.file.read_text().replace('name = "s1"', f'name = "{name}"')
        agent.file.write_text(config.replace("server {", "server { raft_snapshot_threshold = 1"))
        agents.append(agent)
    try:
        for agent in agents:
            agent.start()
        for agent in agents:
            agent.ready().leads()
            assert 200 == agent.put("/v1/jobs", batch_job(f"of-{agent.name}")).status_code
        yield agents
    finally:
        for agent in agents:
            agent.close()


def _jobs(agent):
    return [job["ID"] for job in agent.get("/v1/jobs?stale").json()]


def _snapshot_has_id(agent):
    path = agent.folder / "data-s1/server/raft/snapshot"
    return path.exists() and bool(decode_snapshot(path.read_bytes()).cluster_id)


def _stop(agent):
    agent.kill(signal.SIGTERM)
    agent.wait(20)


def test_a_server_of_another_cluster_is_not_taken_in_and_keeps_its_log(two):
    """Restarted with the wrong retry_join it finds the other's servers: both logs say whose it is, and nothing mixes."""
    north, south = two
    ids = [_cluster_of(agent) for agent in two]
    assert ids[0] != ids[1]
    _stop(south)
    mistaken = south.file.read_text().replace("retry_join = []", f'retry_join = ["127.0.0.1:{north.ports.serf}"]')
    south.file.write_text(mistaken.replace("bootstrap_expect = 1", "bootstrap_expect = 2"))

    south.start().ready()

    refusal = f"is of cluster {ids[1]}, this server of cluster {ids[0]}: to move a server, stop it and remove its data"
    wait_until(lambda: refusal in north.text(), 30, "the other cluster says so")
    wait_until(lambda: f"is of cluster {ids[0]}" in south.text(), 30, "and so does the server")
    servers = north.get("/v1/operator/raft/configuration").json()["Servers"]
    assert ["north.global"] == [server["Node"] for server in servers]
    assert (["of-north"], ["of-south"]) == (_jobs(north), _jobs(south))
    # By Raft's dialling and listening side, and by autopilot, each once.
    assert north.text().count(refusal) <= 3


@pytest.mark.parametrize("name", ["vote", "snapshot", "log-00000000000000000002.wal"])
def test_a_file_of_another_cluster_stops_the_start(two, name):
    """The start ends with one error that names the file, the offset and what to do; with its own file it starts again."""
    north, south = two
    for agent in two:
        _cluster_of(agent)
        assert 200 == agent.put("/v1/jobs", batch_job("another")).status_code
        wait_until(lambda: _snapshot_has_id(agent), 20, "a snapshot of a cluster with an id")  # noqa: B023 - called at once
        _stop(agent)
    own, foreign = (agent.folder / "data-s1/server/raft" / name for agent in (south, north))
    assert foreign.exists()
    kept = own.with_name("kept")
    shutil.copy(own, kept)
    shutil.copy(foreign, own)

    south.start()
    assert 1 == south.wait(20)

    said = south.errors() + south.text()
    assert re.search(
        rf"{name}: offset \d+: .*was copied from another cluster; restore this server's data directory", said
    )
    shutil.copy(kept, own)
    kept.unlink()
    south.start()
    south.leads()
    assert "of-south" in _jobs(south)

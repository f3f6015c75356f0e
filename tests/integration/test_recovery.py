"""Outage recovery by peers.json, as real processes: a group that lost its quorum goes on with the servers that are left."""

import json
import re
import shutil
import signal

import pytest

from agent.consensus.wal import cluster_of
from tests.integration.agents import Agent, batch_job, server_agents
from tests.integration.watch import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


@pytest.fixture
def group(tmp_path):
    """Return a function that starts servers of one group whose state lies in server.data_dir; it knows its id."""
    agents = []

    def begin(name, count):
        folder = tmp_path / name
        folder.mkdir()
        mine = server_agents(folder, count)
        agents.extend(mine)
        for agent in mine:
            config = agent.file.read_text()
            agent.file.write_text(config.replace("server {", f'server {{ data_dir = "{_state(agent)}"'))
            agent.start()
        for agent in mine:
            agent.ready().leads()
            wait_until(lambda: cluster_of(_state(agent) / "raft"), 20, "the id of the cluster")  # noqa: B023 - at once
        assert 200 == mine[0].put("/v1/jobs", batch_job(f"of-{name}")).status_code
        return mine

    yield begin
    for agent in agents:
        agent.close()


def _state(agent):
    """Return the folder of a server's own state."""
    return agent.folder / f"state-{agent.name}"


def _write_peers(agents):
    """Say on each of *agents*, which have ended, that these are the servers of the group."""
    peers = [
        {"id": (_state(agent) / "node-id").read_text(), "address": f"127.0.0.1:{agent.ports.raft}"} for agent in agents
    ]
    for agent in agents:
        (_state(agent) / "raft/peers.json").write_text(json.dumps(peers))


def _end(agents):
    for agent in agents:
        agent.kill(signal.SIGKILL)
        agent.wait()


def _servers(agent):
    return {server["Node"] for server in agent.get("/v1/operator/raft/configuration").json()["Servers"]}


def _jobs(agent):
    return [job["ID"] for job in agent.get("/v1/jobs?stale").json()]


def test_a_recovered_group_is_the_same_cluster(group):
    """Two of three are left, with the state and the id of before; the third is taken in when it comes back."""
    agents = group("north", 3)
    cluster_id = cluster_of(_state(agents[0]) / "raft")
    kept = agents[:2]
    _end(agents)
    _write_peers(kept)

    for agent in kept:
        agent.start()
    for agent in kept:
        agent.ready().leads()
        assert not (_state(agent) / "raft/peers.json").exists()
        # Nothing of a server's own stands at the usual place.
        assert not (agent.folder / f"data-{agent.name}/server").exists()

    assert 200 == kept[0].put("/v1/jobs", batch_job("afterwards")).status_code
    wait_until(lambda: [{"of-north", "afterwards"}] * 2 == [set(_jobs(agent)) for agent in kept], 10, "both have it")
    assert {"s1.global", "s2.global"} == _servers(kept[0])
    agents[2].start().ready().leads()
    wait_until(lambda: len(_servers(kept[0])) == 3, 20, "the third is taken in")
    assert [cluster_id] * 3 == [cluster_of(_state(agent) / "raft") for agent in agents]


@pytest.mark.parametrize("what", ["snapshot-and-log", "all"])
def test_a_recovery_with_another_clusters_files_is_refused(group, what):
    """With its own vote file it does not start; as a whole the other's, the servers that it meets refuse it by its id."""
    ours, (theirs,) = group("north", 2), group("south", 1)
    ids = [cluster_of(_state(agent) / "raft") for agent in (ours[0], theirs)]
    _end([*ours, theirs])
    mistaken = ours[1]
    own, foreign = (_state(agent) / "raft" for agent in (mistaken, theirs))
    for path in own.iterdir():
        if what == "all" or path.name != "vote":
            path.unlink()
    for path in foreign.iterdir():
        if what == "all" or path.name != "vote":
            shutil.copy(path, own)
    _write_peers(ours)

    for agent in ours:
        agent.start()

    if what == "all":
        for agent, own_id, other_id in ((ours[0], *ids), (mistaken, *reversed(ids))):
            refusal = f"is of cluster {other_id}, this server of cluster {own_id}: to move a server, stop it and remove"
            wait_until(lambda: refusal in agent.text(), 30, f"{agent.name} says so")  # noqa: B023 - called at once
        assert (["of-north"], ["of-south"]) == (_jobs(ours[0]), _jobs(mistaken))
    else:
        assert 1 == mistaken.wait(20)
        said = mistaken.errors() + mistaken.text()
        assert re.search(
            rf"{own}/\S+: offset \d+: .* of cluster {ids[1]} .*{ids[0]}.*; restore this server's data", said
        )
        assert (own / "peers.json").exists()


def test_a_folder_of_state_belongs_to_one_agent(group, tmp_path):
    """Another agent with a data_dir of its own is refused while the first lives, and names it."""
    (agent,) = group("north", 1)
    config = agent.file.read_text().replace("data-s1", "data-other")
    other = Agent(tmp_path, "other", config, agent.ports)

    other.start()

    assert 1 == other.wait(20)
    (line,) = other.errors().strip().splitlines()
    assert f'server.data_dir = "{_state(agent)}": another agent uses it (process {agent.process.pid})' in line
    assert "choose another server.data_dir" in line

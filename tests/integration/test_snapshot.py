"""A snapshot on three servers: saved, restored while one is down, and the leader killed right after."""

import signal
import subprocess

import pytest

from compose.local_settings import default_agent_command
from tests.integration.agents import batch_job, leader_of, server_agents
from tests.integration.watch import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Three servers of one cluster, with a leader."""
    agents = server_agents(tmp_path_factory.mktemp("servers"), 3)
    try:
        for agent in agents:
            agent.start()
        for agent in agents:
            agent.ready(90)
        for agent in agents:
            agent.leads(90)
        yield agents
    finally:
        for agent in agents:
            agent.close()


def snapshot(agent, *words):
    """Run a command as an operator would, against *agent*."""
    command = [*default_agent_command(), "operator", "snapshot", *words, f"-address={agent.url('')}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout, done.stderr


def jobs(agent):
    """Return what *agent* itself has: its jobs by name, and the index of their table."""
    answer = agent.get("/v1/jobs?stale")
    return sorted(job["ID"] for job in answer.json()), int(answer.headers["X-Nomad-Index"])


def register(agent, *names):
    for name in names:
        assert 200 == agent.put("/v1/jobs", batch_job(name)).status_code


def test_a_damaged_file_changes_nothing_anywhere(servers, tmp_path):
    """
    The servers have what they had, down to the index.
    """
    leader = wait_until(lambda: leader_of(servers), 20, "a leader")[1]
    register(leader, "kept-1")
    file = tmp_path / "a.snap"
    assert 0 == snapshot(leader, "save", str(file))[0]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    done = {"complete"}
    wait_until(
        lambda: {found["Status"] for found in leader.get("/v1/evaluations").json()} == done, 20, "evaluations end"
    )
    wait_until(lambda: len({str(jobs(agent)) for agent in servers}) == 1, 20, "agreement")
    before = jobs(leader)

    code, out, errors = snapshot(leader, "restore", str(file))

    assert (1, "") == (code, out)
    assert "nothing was changed" in errors
    assert {str(before)} == {str(jobs(agent)) for agent in servers}


def test_every_server_has_the_restored_state_whatever_dies(servers, tmp_path):
    """
    Asked of a follower, with the other follower down. The leader is killed with -9 as soon as the command has returned:
    the next leader has the restored state, and so have the killed one and the one that was down when they are back.
    """
    file = str(tmp_path / "a.snap")
    leader = wait_until(lambda: leader_of(servers), 20, "a leader")[1]
    follower, down = (agent for agent in servers if agent is not leader)
    register(leader, "kept-1", "kept-2")
    assert (0, f"State file written to {file}\n", "") == snapshot(follower, "save", file)
    down.kill(signal.SIGKILL)
    down.wait()
    register(leader, *(f"later-{number}" for number in range(5)))
    _, before = jobs(leader)

    restored = snapshot(follower, "restore", file)
    leader.kill(signal.SIGKILL)
    leader.wait()

    assert (0, "Snapshot Restored\n", "") == restored
    down.start().ready(90).leads(90)
    found, index = wait_until(lambda: jobs(down)[1] > before and jobs(down), 20, "the one that was down catches up")[1]
    assert ["kept-1", "kept-2"] == found
    leader.start().ready(90).leads(90)
    register(follower, "next")
    wait_until(lambda: {str(jobs(agent)[0]) for agent in servers} == {"['kept-1', 'kept-2', 'next']"}, 20, "agreement")
    assert {True} == {jobs(agent)[1] > index > before for agent in servers}

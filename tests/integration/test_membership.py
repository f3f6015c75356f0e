"""Servers that leave, come back, die and are removed, as real processes: who votes, by command and by API."""

import json
import signal
import subprocess

import pytest
import requests

from compose.local_settings import default_agent_command
from tests.integration.agents import batch_job, leader_of, server_agents
from tests.integration.watch import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

SETTINGS = "leave_on_interrupt = true\n"


def _outrider(agent, *arguments):
    environment = {"NOMAD_ADDR": agent.url(""), "PATH": "/usr/bin:/bin"}
    command = [*default_agent_command(), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)


def _peers(agent):
    """Return which servers the Raft configuration has, and whether each votes, as *agent* says it."""
    try:
        answer = agent.get("/v1/operator/raft/configuration")
    except requests.RequestException:
        return {}
    return {} if answer.status_code != 200 else {p["Node"]: p["Voter"] for p in answer.json()["Servers"]}


def _id(agent):
    return agent.get("/v1/agent/self").json()["member"]["Tags"]["id"]


def test_servers_leave_come_back_and_are_removed(tmp_path):
    """A leave of one of three leaves two voters; it comes back and votes again; a dead one is removed by command."""
    agents = server_agents(tmp_path, 3, SETTINGS)
    try:
        for agent in agents:
            agent.start()
        for agent in agents:
            agent.ready().leads()
        _, leader = wait_until(lambda: leader_of(agents), 20, "a leader")
        wait_until(lambda: _peers(leader) == dict.fromkeys(("s1.global", "s2.global", "s3.global"), True), 20, "three")
        leaves, stays = (agent for agent in agents if agent is not leader)

        leaves.kill(signal.SIGINT)
        assert 0 == leaves.wait(20)
        wait_until(lambda: len(_peers(leader)) == 2, 10, "two voters are left")
        assert 200 == leader.put("/v1/jobs", batch_job("after-a-leave")).status_code

        leaves.start().ready()
        wait_until(lambda: f"{leaves.name}.global" in _peers(leader), 20, "it is taken in")
        assert _peers(leader)[f"{leaves.name}.global"] is False
        wait_until(lambda: list(_peers(leader).values()) == [True] * 3, 40, "it votes again")

        gone = _id(stays)
        stays.kill()
        stays.wait()
        removed = _outrider(leader, "operator", "raft", "remove-peer", "-peer-id", gone)
        again = _outrider(leader, "operator", "raft", "remove-peer", "-peer-id", gone)
        listed = json.loads(_outrider(leader, "operator", "raft", "list-peers", "-json").stdout)["Servers"]

        assert (0, f'Removed peer with id "{gone}"\n') == (removed.returncode, removed.stdout)
        assert 1 == again.returncode
        assert f'id "{gone}" was not found in the Raft configuration' in again.stderr
        assert {leader.name, leaves.name} == {server["Node"].removesuffix(".global") for server in listed}
        assert 2 == leader.metric("nomad_raft_peers")
    finally:
        for agent in agents:
            agent.close()


def test_a_new_cluster_begins_with_the_autopilot_block(tmp_path):
    """The block counts once; what an operator sets afterwards outlives a restart with the same file."""
    block = 'autopilot {\n last_contact_threshold = "350ms"\n min_quorum = 1\n cleanup_dead_servers = false\n}\n'
    (agent,) = server_agents(tmp_path, 1, block)
    try:
        agent.start().ready().leads()
        body = agent.get("/v1/operator/autopilot/configuration").json()
        assert ("350ms", 1, False) == (body["LastContactThreshold"], body["MinQuorum"], body["CleanupDeadServers"])
        assert ("10s", 250) == (body["ServerStabilizationTime"], body["MaxTrailingLogs"])
        assert body["CreateIndex"] == body["ModifyIndex"] > 0
        assert 0 == _outrider(agent, "operator", "autopilot", "set-config", "-max-trailing-logs=99").returncode

        agent.kill(signal.SIGTERM)
        agent.wait(20)
        agent.start().leads()

        again = agent.get("/v1/operator/autopilot/configuration").json()
        assert {**body, "MaxTrailingLogs": 99, "ModifyIndex": again["ModifyIndex"]} == again
        assert again["ModifyIndex"] > body["ModifyIndex"]
    finally:
        agent.close()

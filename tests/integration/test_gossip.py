"""Gossip between real server processes: deaths, leaves, keys, and the commands that change who is a member."""

import signal
import subprocess
import time

import pytest

from compose.local_settings import default_agent_command
from tests.integration.agents import ADVERTISE, Agent, Ports, server_agents
from tests.integration.watch import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

LEAVES = "leave_on_interrupt = true\n"
KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
OTHER_KEY = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="


def _outrider(agent, *arguments):
    command = [*default_agent_command(), *arguments]
    environment = {"NOMAD_ADDR": agent.url(""), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)


def _members(agent):
    """
    The members as *agent* lists them: status by name.
    """
    return {member["Name"]: member["Status"] for member in agent.get("/v1/agent/members").json()["Members"]}


def _all_see(agents, name, status):
    return all(_members(agent).get(name) == status for agent in agents)


def _seconds_until(condition, limit, what):
    began = time.monotonic()
    wait_until(condition, limit, what)
    return time.monotonic() - began


@pytest.fixture
def three(tmp_path):
    """Three servers that know each other; they leave on SIGINT, and gossip is encrypted."""
    agents = server_agents(tmp_path, 3, LEAVES + f'server {{ encrypt = "{KEY}" }}\n')
    try:
        for agent in agents:
            agent.start()
        for agent in agents:
            agent.ready().leads()
        names = [f"{agent.name}.global" for agent in agents]
        wait_until(lambda: all(_all_see(agents, name, "alive") for name in names), 15, "all know each other")
        yield agents
    finally:
        for agent in agents:
            agent.close()


def test_a_killed_server_has_failed_within_eight_seconds_and_a_leaving_one_left_within_one(three):
    """
    The two are told apart by the commands, by the members and by the series of a Nomad, and a return is seen.
    """
    first, second, third = three
    second.kill(signal.SIGKILL)
    took = _seconds_until(lambda: _all_see([first, third], "s2.global", "failed"), 12, "s2 has failed")
    print(f"killed: failed after {took:.1f} s")
    assert took <= 8.0
    assert " failed " in _outrider(first, "server", "members").stdout
    assert first.metric("nomad_serf_member_failed") == 1
    assert first.metric("nomad_serf_member_left") is None

    second.start().ready()
    took = _seconds_until(lambda: _all_see([first, third], "s2.global", "alive"), 15, "s2 is back")
    print(f"started again: alive after {took:.1f} s")

    second.kill(signal.SIGINT)
    took = _seconds_until(lambda: _all_see([first, third], "s2.global", "left"), 5, "s2 has left")
    print(f"SIGINT: left after {took:.2f} s")
    assert took <= 1.0
    assert 0 == second.wait()
    assert first.metric("nomad_serf_member_left") == 1
    assert _all_see([first, third], "s2.global", "left")


def test_force_leave_and_prune_by_command(three):
    """
    A failed server is made to have left, and forgotten, on every server; who lives stays.
    """
    first, second, third = three
    second.kill(signal.SIGKILL)
    wait_until(lambda: _all_see([first, third], "s2.global", "failed"), 12, "s2 has failed")

    assert 0 == _outrider(first, "server", "force-leave", "s2.global").returncode
    wait_until(lambda: _all_see([first, third], "s2.global", "left"), 5, "s2 counts as left")
    assert 0 == _outrider(third, "server", "force-leave", "-prune", "s2.global").returncode
    wait_until(lambda: "s2.global" not in {**_members(first), **_members(third)}, 5, "s2 is forgotten")
    assert 0 == _outrider(first, "server", "force-leave", "nobody.global").returncode

    assert 0 == _outrider(first, "server", "force-leave", "s3.global").returncode
    wait_until(lambda: _members(first).get("s3.global") == "alive", 5, "s3 objects")


def test_the_keyring_is_changed_on_all_servers_and_kept(three):
    """
    Generate, install, use, remove and list work by command; a server that starts again has the new key.
    """
    first, second, third = three
    new = _outrider(first, "operator", "gossip", "keyring", "generate").stdout.strip()
    for operation, key in (("install", new), ("use", new), ("remove", KEY)):
        finished = _outrider(first, "operator", "gossip", "keyring", operation, key)
        assert 0 == finished.returncode, finished.stderr
    listed = _outrider(third, "operator", "gossip", "keyring", "list").stdout
    assert new in listed
    assert "3/3" in listed
    assert KEY not in listed
    refused = _outrider(first, "operator", "gossip", "keyring", "remove", new)
    assert 1 == refused.returncode
    assert "primary" in refused.stderr

    second.kill(signal.SIGKILL)
    second.wait()
    second.start().ready()
    wait_until(lambda: _all_see([first, third], "s2.global", "alive"), 15, "s2 is back with the new key")


def test_a_server_with_another_key_is_refused_with_one_line(three, tmp_path):
    """
    It knows nobody, nobody knows it, and both logs say why, once.
    """
    ports = Ports.free()
    stranger = Agent(
        tmp_path, "stranger",
        f'name = "stranger"\nbind_addr = "127.0.0.1"\n{ports}{ADVERTISE}data_dir = "{tmp_path}/stranger-data"\n'
        f'server {{ enabled = true bootstrap_expect = 1 encrypt = "{OTHER_KEY}" }}\n', ports,
    )  # fmt: skip
    try:
        stranger.start().ready()
        address = f"127.0.0.1:{three[0].ports.serf}"
        for _ in range(3):
            finished = _outrider(stranger, "server", "join", address)
            assert 1 == finished.returncode
            assert "same encrypt" in finished.stderr
        assert {"stranger.global": "alive"} == _members(stranger)
        assert "stranger.global" not in _members(three[0])
        said = [line for line in three[0].text().splitlines() if "gossip refused" in line]
        assert 1 == len(said), said
        assert "No installed keys" in said[0]
    finally:
        stranger.close()


def test_a_server_of_another_region_is_joined_by_command(three, tmp_path):
    """
    `server join` makes two regions know each other: members and regions list both.
    """
    ports = Ports.free()
    far = Agent(
        tmp_path, "far",
        f'name = "far"\nregion = "west"\nbind_addr = "127.0.0.1"\n{ports}{ADVERTISE}data_dir = "{tmp_path}/far-data"\n'
        f'server {{ enabled = true bootstrap_expect = 1 encrypt = "{KEY}" }}\n', ports,
    )  # fmt: skip
    try:
        far.start().ready().leads()
        joined = _outrider(far, "server", "join", f"127.0.0.1:{three[1].ports.serf}")
        assert "Joined 1 servers successfully" in joined.stdout, joined.stderr
        wait_until(lambda: _all_see(three, "far.west", "alive"), 10, "the region is known")
        assert ["global", "west"] == three[2].get("/v1/regions").json() == far.get("/v1/regions").json()
        assert {"s1.global", "s2.global", "s3.global", "far.west"} == set(_members(far))
    finally:
        far.close()


def test_three_servers_that_know_one_address_bootstrap_and_come_back(tmp_path):
    """
    With bootstrap_expect and one address they find each other, elect a leader, and after a restart need nobody's word.
    """
    ports = [Ports.free() for _ in range(3)]
    agents = [
        Agent(
            tmp_path, f"b{number}",
            f'name = "b{number}"\nbind_addr = "127.0.0.1"\n{own}{ADVERTISE}data_dir = "{tmp_path}/data-b{number}"\n'
            'telemetry { prometheus_metrics = true }\nserver { enabled = true bootstrap_expect = 3 server_join { '
            f'retry_join = ["127.0.0.1:{ports[0].serf}"] retry_interval = "1s" }} }}\n', own,
        )
        for number, own in enumerate(ports, start=1)
    ]  # fmt: skip
    try:
        for agent in agents[:2]:
            agent.start().ready()
        wait_until(lambda: "2 of 3 servers are there" in agents[0].text(), 15, "the third is waited for")
        assert 500 == agents[1].get("/v1/status/leader").status_code
        agents[2].start().ready()
        for agent in agents:
            agent.leads()
        assert 3 == len(agents[1].get("/v1/status/peers").json())

        agents[0].kill(signal.SIGKILL)
        agents[0].wait()
        agents[1].leads()
        agents[0].start().ready().leads()
        assert 3 == len(agents[0].get("/v1/status/peers").json())
    finally:
        for agent in agents:
            agent.close()


def test_a_voter_that_gossip_does_not_reach_is_shown_by_its_raft_connection(tmp_path):
    """
    Where only gossip is shut out, members still lists every configured server, alive while Raft hears it.
    """
    agents = server_agents(tmp_path, 3)
    agents[2].file.write_text(agents[2].file.read_text() + 'server { gossip_label = "elsewhere" }\n')
    try:
        for agent in agents:
            agent.start()
        for agent in agents:
            agent.ready().leads()
        wait_until(lambda: _all_see(agents[:2], "s3.global", "alive"), 15, "s3 is shown")
        assert {"s1.global", "s2.global", "s3.global"} == set(_members(agents[0])) == set(_members(agents[2]))
        agents[2].kill(signal.SIGKILL)
        wait_until(lambda: _all_see(agents[:2], "s3.global", "failed"), 10, "s3 is shown as failed")
        assert agents[0].metric("nomad_serf_member_failed") is None
    finally:
        for agent in agents:
            agent.close()

"""One agent as an operator finds it: its start, its refusals, its signals."""

import os
import signal
import socket
import threading
import time

import psutil
import pytest
import requests

from tests.figures import record
from tests.integration.agents import ADVERTISE, STARTED, Agent, Ports, batch_job, dev_agent, leader_of, server_agents
from tests.integration.watch import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

STOP_SECONDS_MAX = 2.0


@pytest.fixture
def running(tmp_path):
    """Take agents in, and end them after the test."""
    agents = []

    def take(*given):
        agents.extend(given)
        return given[0] if len(given) == 1 else given

    yield take
    for agent in agents:
        agent.close()


def listening(ports):
    """Return which of an agent's ports accept a connection."""
    found = []
    for port in (ports.http, ports.rpc, ports.raft):
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                found.append(port)
    return found


def refused(agent, seconds=60):
    """Start *agent*, which must end by itself with 1 and one sentence; return the sentence."""
    agent.start()

    assert 1 == agent.wait(seconds)
    assert STARTED not in agent.text()
    assert "Traceback" not in agent.text() + agent.errors()
    assert agent.errors().startswith("==> Error: ")
    return agent.errors().removeprefix("==> Error: ").strip()


def test_a_dev_agent_tells_what_it_is_and_leads(running, tmp_path):
    """
    The banner's lines are Nomad's, in its order, before the first line of the log.
    """
    agent = running(dev_agent(tmp_path)).start().ready().leads()
    lines = agent.text().splitlines()

    wanted = ["==> Loaded configuration from", "==> Starting Outrider agent...", "==> Outrider agent configuration:"]
    places = [next(at for at, line in enumerate(lines) if line.startswith(text)) for text in wanted]
    started = next(at for at, line in enumerate(lines) if STARTED in line)
    first_log = next(at for at, line in enumerate(lines) if "[INFO]" in line or "[WARN]" in line)
    assert sorted(places) == places
    assert places[-1] < started < first_log
    assert f"HTTP: 127.0.0.1:{agent.ports.http}" in agent.text()
    assert "" == agent.errors()


def test_flags_take_one_dash_or_two(running, tmp_path):
    """
    -dev and --dev are the same flag.
    """
    ports = Ports.free()
    agent = running(Agent(tmp_path, "dashes", str(ports), ports, "--dev", "--node=other")).start().ready()

    assert "other" == agent.get("/v1/agent/self").json()["config"]["NodeName"]


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("region = \n", ("bad.hcl:2",)),
        ('regoin = "x"\n', ("bad.hcl:2", "regoin", "region")),
        ('tls { tls_cipher_suites = "RC4" }\n', ("bad.hcl:2", "tls.tls_cipher_suites")),
        ("acl { enabled = true }\n", ("bad.hcl:2", "acl")),
        ('server { encrypt = "kI6kEXAMPLEkEXAMPLE=="}\n', ("bad.hcl:2", "encrypt")),
    ],
)  # fmt: skip
def test_a_bad_configuration_starts_nothing(tmp_path, extra, words):
    """
    One sentence a problem names file, line and key; nothing listens afterwards.
    """
    agent = dev_agent(tmp_path, extra, name="bad")

    said = refused(agent)

    assert 1 == len(said.splitlines()), said
    assert all(word in said for word in words), said
    assert [] == listening(agent.ports)


def test_keys_that_are_not_there_yet_are_one_warning(running, tmp_path):
    """
    A Nomad file with a vault block starts.
    """
    agent = running(dev_agent(tmp_path, 'vault { enabled = false address = "http://127.0.0.1:8200" }\n')).start()

    agent.ready()

    assert 1 == agent.text().count("WARNING"), agent.text()
    assert "vault" in agent.text()


@pytest.mark.parametrize("which", ["http", "rpc", "raft"])
def test_a_port_in_use_is_one_sentence(tmp_path, which):
    """
    It names the port and the way out; the other ports are free again.
    """
    agent = dev_agent(tmp_path)
    taken = getattr(agent.ports, which)
    with socket.create_server(("127.0.0.1", taken)):
        said = refused(agent)

        assert 1 == len(said.splitlines()), said
        assert str(taken) in said
        assert [taken] == listening(agent.ports)


def test_a_data_dir_belongs_to_one_agent(running, tmp_path):
    """
    A second agent on it says so and ends; the first goes on; after it the folder is free.
    """
    first, second = Ports.free(), Ports.free()
    config = 'bind_addr = "127.0.0.1"\n{}' + ADVERTISE + f'data_dir = "{tmp_path}/data"\n'
    config += "server {{ enabled = true bootstrap_expect = 1 }}\n".replace("{{", "{").replace("}}", "}")
    holder = running(Agent(tmp_path, "first", config.replace("{}", str(first)), first)).start().ready().leads()
    late = running(Agent(tmp_path, "second", config.replace("{}", str(second)), second))

    said = refused(late)

    assert f"process {holder.process.pid}" in said
    assert "data_dir" in said
    assert 200 == holder.get("/v1/status/leader").status_code
    holder.kill()
    holder.wait()
    late.start().ready().leads()


@pytest.mark.parametrize("kind", ["file", "read-only"])
def test_a_data_dir_that_cannot_be_used_is_one_sentence(tmp_path, kind):
    """
    It names the folder and what is wrong with it.
    """
    folder = tmp_path / "place"
    if kind == "file":
        folder.write_text("")
    elif os.geteuid() == 0:
        folder = "/proc/outrider"  # root may write anywhere but here
    else:
        folder.mkdir(mode=0o500)
    ports = Ports.free()
    config = f'bind_addr = "127.0.0.1"\n{ports}{ADVERTISE}data_dir = "{folder}"\nserver {{ enabled = true bootstrap_expect = 1 }}\n'

    said = refused(Agent(tmp_path, "nowhere", config, ports))

    assert str(folder) in said
    assert 1 == len(said.splitlines()), said


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 1), (signal.SIGQUIT, 1)], ids=str)
def test_signals_stop_at_once(running, tmp_path, number, code):
    """
    Also with open blocking queries and a running task; under -dev the task ends with its agent.
    """
    agent = running(dev_agent(tmp_path)).start().ready().leads()
    agent.put("/v1/jobs", batch_job("sleeper", 1, "/bin/sleep", "4711"))
    _, tasks = wait_until(lambda: _sleepers(agent), 20, "the task runs")
    waiting = [threading.Thread(target=_blocking_query, args=(agent,), daemon=True) for _ in range(3)]
    for thread in waiting:
        thread.start()
    threading.Event().wait(0.3)

    began = time.monotonic()
    agent.kill(number)
    received = agent.wait()
    took = time.monotonic() - began

    record(f"stop.{number.name}", took)
    assert code == received
    assert took < STOP_SECONDS_MAX
    assert [] == listening(agent.ports)
    gone, alive = psutil.wait_procs(tasks, 5)
    assert (len(tasks), []) == (len(gone), alive)


def _sleepers(agent):
    return [each for each in psutil.Process(agent.process.pid).children(recursive=True) if "4711" in each.cmdline()]


def _blocking_query(agent):
    index = agent.get("/v1/nodes").headers["X-Nomad-Index"]
    try:
        requests.get(agent.url(f"/v1/nodes?index={index}&wait=60s"), timeout=70)
    except requests.RequestException:
        return


def test_a_signal_during_the_start_ends_it(tmp_path):
    """
    Whenever it comes, nothing of the agent stays: not even the folder of -dev.
    """
    for delay in (0.3, 0.5, 0.7, 0.9, 1.1):
        agent = dev_agent(tmp_path, name=f"early-{delay}").start()
        threading.Event().wait(delay)
        agent.kill(signal.SIGTERM)

        agent.wait(5)

        assert "Traceback" not in agent.errors(), agent.errors()
        assert [] == listening(agent.ports)
    assert [] == list(tmp_path.glob("outrider-dev-*"))


def test_a_hangup_is_survived(running, tmp_path):
    """
    SIGHUP is logged, and nothing else happens.
    """
    agent = running(dev_agent(tmp_path)).start().ready()

    agent.kill(signal.SIGHUP)

    wait_until(lambda: "nothing to reload: tls is off" in agent.text(), 5, "the log says it")
    assert 200 == agent.get("/v1/status/leader").status_code


def test_a_leader_that_leaves_hands_over(running, tmp_path):
    """
    With leave_on_terminate the lead is another's before the old leader is gone; no follower's time-out elects it.
    """
    agents = running(*server_agents(tmp_path, 3, "leave_on_terminate = true\n"))
    for agent in agents:
        agent.start()
    for agent in agents:
        agent.ready().leads()
    _, leader = wait_until(lambda: leader_of(agents), 20, "a leader")
    rest = [agent for agent in agents if agent is not leader]

    began = time.monotonic()
    leader.kill(signal.SIGTERM)
    took, _ = wait_until(lambda: leader_of(rest), 10, "a successor")
    code = leader.wait()
    ended = time.monotonic() - began

    logs = "".join(agent.text().partition(STARTED)[2] for agent in rest)
    record("leave.successor", took)
    record("leave.ended", ended)
    assert 0 == code
    assert ended < STOP_SECONDS_MAX
    assert "reason='leadership transfer'" in logs
    assert took < 1.0


def test_tasks_survive_their_agent(running, tmp_path):
    """
    A server and client that is stopped leaves its tasks running and finds them again.
    """
    ports = Ports.free()
    config = (
        f'name = "both"\nbind_addr = "127.0.0.1"\n{ports}{ADVERTISE}data_dir = "{tmp_path}/data"\n'
        "server { enabled = true bootstrap_expect = 1 }\nclient { enabled = true }\n"
        'plugin "raw_exec" { config { enabled = true } }\n'
    )
    agent = running(Agent(tmp_path, "both", config, ports)).start().ready().leads()
    agent.put("/v1/jobs", batch_job("stays", 1, "/bin/sleep", "4712"))
    wait_until(lambda: _statuses(agent) == ["running"], 20, "the task runs")
    task = next(each for each in psutil.process_iter(["cmdline"]) if each.info["cmdline"] == ["/bin/sleep", "4712"])
    try:
        agent.kill(signal.SIGTERM)
        agent.wait()
        alive_between = task.is_running()
        agent.start().ready().leads()
        wait_until(lambda: _statuses(agent) == ["running"], 20, "the task is found again")

        assert alive_between
        assert task.is_running()
        assert 0 == agent.get("/v1/job/stays/allocations").json()[0]["TaskStates"]["t"]["Restarts"]
        agent._session.delete(agent.url("/v1/job/stays"), timeout=10)
        wait_until(lambda: not task.is_running(), 20, "the task ends with its job")
    finally:
        if task.is_running():
            task.kill()


def _statuses(agent):
    return [alloc["ClientStatus"] for alloc in agent.get("/v1/job/stays/allocations").json()]

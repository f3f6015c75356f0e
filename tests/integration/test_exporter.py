"""The exporter beside a real agent: what it says is what the agent says of itself, and a paused agent costs only its own."""

import signal
import subprocess

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from compose.local_settings import default_agent_command
from telemetry.catalogue import exporter, outrider
from tests.integration.agents import dev_agent
from tests.integration.watch import free_ports, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


@pytest.fixture
def agents(tmp_path):
    """Two clusters of one server each, as an exporter sees two servers."""
    found = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        found.append(dev_agent(folder, f'name = "{name}"\n', name=name).start().ready().leads())
    yield found
    for agent in found:
        agent.close()


@pytest.fixture
def scrape(tmp_path, agents):
    """Start the exporter as a process; return a function that gives its samples by name and labels."""
    port = free_ports(1)[0]
    servers = [word for agent in agents for word in ("-server", f"{agent.name}=127.0.0.1:{agent.ports.http}")]
    command = [*default_agent_command(), "exporter", *servers, "-listen", f"127.0.0.1:{port}", "-poll", "1s"]
    with (tmp_path / "exporter.log").open("wb") as log:
        process = subprocess.Popen([*command, "-timeout", "4s"], stdout=log, stderr=log)

    def scraped():
        try:
            text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
        except requests.ConnectionError:
            assert process.poll() is None, (tmp_path / "exporter.log").read_text()
            return {}
        return _samples(text)

    yield scraped
    process.terminate()
    assert 0 == process.wait(10)


def _samples(text):
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _of(samples, metric):
    return {dict(labels)["server"]: value for (name, labels), value in samples.items() if name == metric.name}


def test_it_says_what_the_agents_say_and_a_paused_one_costs_only_its_own(agents, scrape):
    """
    Both have a leader and the agents' own values; one that is paused says nothing but that it is not reached.
    """
    wait_until(lambda: 2 == len(_of(scrape(), outrider.RAFT_TERM)), 60, "both are read")
    # The lists are those of one server: the first, unless only the second had answered when they were read. For some
    # seconds after an election the health names no server.
    wait_until(lambda: {"first": 0.0} == _of(scrape(), outrider.NODES_DRAINING), 60, "the first one's nodes are read")
    wait_until(lambda: {"first": 1.0} == _of(scrape(), outrider.RAFT_VOTERS_HEALTHY), 60, "its autopilot is read")
    theirs = {}
    for agent in agents:
        theirs |= _samples(agent.get("/v1/metrics?format=prometheus").text)

    samples = scrape()

    assert {"first": 1.0, "second": 1.0} == _of(samples, outrider.SERVER_HAS_LEADER)
    for metric in (
        outrider.SERVER_HAS_LEADER,
        outrider.SERVER_IS_LEADER,
        outrider.RAFT_TERM,
        outrider.RAFT_VOTERS,
    ):
        assert _of(theirs, metric) == _of(samples, metric), metric.name

    agents[1].kill(signal.SIGSTOP)
    wait_until(lambda: 0.0 == _of(scrape(), exporter.SERVER_REACHABLE)["second"], 60, "the paused one is missed")
    paused = scrape()

    assert {"first": 1.0} == _of(paused, outrider.SERVER_HAS_LEADER)
    assert {"first": 1.0} == _of(paused, outrider.SERVER_IS_LEADER)
    assert {"first": 1.0, "second": 0.0} == _of(paused, exporter.SERVER_REACHABLE)

    agents[1].kill(signal.SIGCONT)
    wait_until(lambda: 2 == len(_of(scrape(), outrider.SERVER_IS_LEADER)), 60, "it is read again")

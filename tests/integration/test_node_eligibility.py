"""An operator takes a client out of scheduling and back: the command, the state, and what is scraped."""

import os
import re
import subprocess

import pytest

from compose.local_settings import default_agent_command
from tests.figures import record
from tests.integration.agents import dev_agent
from tests.integration.watch import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

CONFIG = """
server { min_heartbeat_ttl = "1s" }
telemetry { prometheus_metrics = true collection_interval = "1s" disable_hostname = true }
"""


def outrider(agent, *arguments):
    """Run a command against *agent* and return what it printed."""
    environment = {**os.environ, "NOMAD_ADDR": agent.url("")}
    command = [*default_agent_command(), "node", *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert 0 == finished.returncode, finished.stderr
    return finished.stdout


def series(agent):
    """Return the eligibility that the client's own series carry, and that of the clients the server counts."""
    text = agent.get("/v1/metrics?format=prometheus").text
    own = r'^nomad_client_allocations_running\{.*node_scheduling_eligibility="(\w+)",node_status="ready"\}'
    counted = r'^outrider_nodes\{eligibility="(\w+)",server="dev",status="ready"\} 1$'
    return set(re.findall(own, text, re.MULTILINE)), re.findall(counted, text, re.MULTILINE)


def test_a_client_is_taken_out_of_scheduling_and_back(tmp_path):
    """
    Command, list and the server's count agree at once, and the client's own series within a heartbeat or two.
    """
    agent = dev_agent(tmp_path, CONFIG, "-node=dev").start()
    try:
        agent.ready().leads()
        wait_until(lambda: series(agent)[0] == {"eligible"}, 30, "the client is ready")
        for flag, word in (("-disable", "ineligible"), ("-enable", "eligible")):
            said = outrider(agent, "eligibility", "-self", flag)
            assert f"scheduling eligibility set: {word} for scheduling" in said
            assert [word] == series(agent)[1]
            assert re.search(rf"\b{word}\b +ready", outrider(agent, "status"))
            if word == "ineligible":
                # The series with the former label stays for a minute, as on a Nomad.
                took, _ = wait_until(lambda: "ineligible" in series(agent)[0], 30, "the client knows")
    finally:
        agent.close()

    record("eligibility.label", took)

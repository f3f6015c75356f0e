"""A cluster of real processes for the tests that share one."""

import json
import os
import subprocess

import pytest
import requests

from compose.local import LocalCluster
from compose.local_settings import LocalSettings, default_agent_command
from tests.integration.watch import wait_until
from tests.ports import lane

PORT_BASE = lane(26_100)


class Driven:
    """A running cluster, with the command line and the API at hand."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.session = requests.Session()
        self.session.trust_env = False

    def url(self, name, path):
        """Return the address of *path* at the agent *name*."""
        port = next(agent.http for agent in self.cluster.settings.agents if agent.name == name)
        return f"http://127.0.0.1:{port}{path}"

    def get(self, name, path, **kwargs):
        """Ask an agent."""
        return self.session.get(self.url(name, path), timeout=10, **kwargs)

    def leader(self):
        """Return the leader, waiting for one."""
        return wait_until(self.cluster.leader, 15, "a leader")[1]

    def followers(self):
        """Return the names of the servers that do not lead."""
        leader = self.leader()
        return [agent.name for agent in self.cluster.settings.server_agents if agent.name != leader]

    def outrider(self, *arguments, at="server-1"):
        """Run `outrider` against an agent and return what it printed and its exit code."""
        environment = {**os.environ, "NOMAD_ADDR": self.url(at, "")}
        command = [*default_agent_command(), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)

    def run_job(self, id_, count, command, *arguments):
        """Register a job of one task and return the answer."""
        task = {
            "Name": "t",
            "Driver": "raw_exec",
            "Config": {"command": command, "args": list(arguments)},
            "Resources": {"CPU": 20, "MemoryMB": 16},
        }
        group = {
            "Name": "g",
            "Count": count,
            "Tasks": [task],
            "RestartPolicy": {"Attempts": 5, "Delay": 200_000_000, "Interval": 600_000_000_000, "Mode": "delay"},
        }
        body = json.dumps({"Job": {"ID": id_, "Type": "service", "TaskGroups": [group]}})
        return self.session.put(self.url("server-1", "/v1/jobs"), data=body, timeout=10)

    def running(self, id_):
        """Return the allocations of a job that run."""
        allocs = self.get("server-1", f"/v1/job/{id_}/allocations").json()
        return [alloc for alloc in allocs if alloc["ClientStatus"] == "running" and alloc["DesiredStatus"] == "run"]


@pytest.fixture(scope="module")
def driven(tmp_path_factory, prometheus_tools):
    settings = LocalSettings(
        directory=tmp_path_factory.mktemp("cluster"),
        tools=prometheus_tools,
        port_base=PORT_BASE,
        prometheus_port=PORT_BASE + 90,
        alertmanager_port=PORT_BASE + 93,
        receiver_port=PORT_BASE + 95,
        scrape_interval_seconds=1,
        evaluation_interval_seconds=1,
        group_wait_seconds=1,
        group_interval_seconds=2,
        resend_delay_seconds=1,
    )
    cluster = LocalCluster(settings)
    try:
        cluster.start()
        cluster.wait_ready(120)
        yield Driven(cluster)
    finally:
        cluster.stop()

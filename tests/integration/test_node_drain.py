"""An operator drains a client: real servers and clients, real tasks, the command as it is typed."""

import contextlib
import os
import re
import signal
import subprocess

import psutil
import pytest
import requests

from compose.local_settings import default_agent_command
from tests.figures import record
from tests.integration.agents import ADVERTISE, Agent, Ports, leader_of, server_agents
from tests.integration.watch import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

SLEEP_SECONDS = "4713"
"""By which the tasks of this file are known among the machine's processes."""
WAIT_SECONDS = 60
COUNT = 4


class Cluster:
    """Three servers and two clients, asked at whichever server answers."""

    def __init__(self, folder):
        self.servers = server_agents(folder, 3)
        addresses = ", ".join(f'"127.0.0.1:{agent.ports.rpc}"' for agent in self.servers)
        self.clients = [self._client(folder, name, addresses) for name in ("c1", "c2")]

    @staticmethod
    def _client(folder, name, servers):
        ports = Ports.free()
        config = (
            f'name = "{name}"\nbind_addr = "127.0.0.1"\nports {{ http = {ports.http} }}\n{ADVERTISE}'
            f'data_dir = "{folder}/data-{name}"\nclient {{ enabled = true servers = [{servers}] }}\n'
            'plugin "raw_exec" { config { enabled = true } }\n'
        )
        return Agent(folder, name, config, ports)

    def start(self):
        for agent in (*self.servers, *self.clients):
            agent.start()
        for agent in (*self.servers, *self.clients):
            agent.ready()
        wait_until(lambda: leader_of(self.servers), WAIT_SECONDS, "a leader")
        wait_until(lambda: len(self.ready()) == 2, WAIT_SECONDS, "both clients are ready")
        return self

    def get(self, path):
        """Return the JSON at *path* from the first server that gives it."""
        for agent in self.servers:
            with contextlib.suppress(requests.RequestException):
                if agent.process.poll() is None and (answer := agent.get(path)).status_code == 200:
                    return answer.json()
        raise AssertionError(f"no server answers {path}")

    def ready(self):
        return [node for node in self.get("/v1/nodes") if node["Status"] == "ready"]

    def node(self, name):
        """Return the whole of a node by its name."""
        (stub,) = [node for node in self.get("/v1/nodes") if node["Name"] == name]
        return self.get(f"/v1/node/{stub['ID']}")

    def put(self, path, body):
        leader = wait_until(lambda: leader_of(self.servers), WAIT_SECONDS, "a leader")[1]
        answer = leader.put(path, body)
        assert 200 == answer.status_code, answer.text
        return answer.json()

    def run(self, id_, count, kind="service"):
        """Register a job of *count* tasks that sleep, and wait until they run."""
        task = {
            "Name": "t", "Driver": "raw_exec", "Config": {"command": "/bin/sleep", "args": [SLEEP_SECONDS]},
            "Resources": {"CPU": 20, "MemoryMB": 16},
        }  # fmt: skip
        group = {"Name": "g", "Count": count, "Tasks": [task]}
        job = {"ID": id_, "Type": kind, "Datacenters": ["*"], "TaskGroups": [group]}
        self.put("/v1/jobs", {"Job": job})
        wait_until(lambda: len(self.running(id_)) == count, WAIT_SECONDS, f"{id_} runs")

    def allocs(self, id_):
        return self.get(f"/v1/job/{id_}/allocations")

    def running(self, id_):
        """Return the nodes on which a job's wanted allocations run."""
        return [
            alloc["NodeName"]
            for alloc in self.allocs(id_)
            if (alloc["DesiredStatus"], alloc["ClientStatus"]) == ("run", "running")
        ]

    def outrider(self, *arguments):
        """Run a command against a server that lives and return what it printed."""
        agent = next(agent for agent in self.servers if agent.process.poll() is None)
        environment = {**os.environ, "NOMAD_ADDR": agent.url("")}
        command = [*default_agent_command(), "node", *arguments]
        finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)
        assert 0 == finished.returncode, finished.stdout + finished.stderr
        return finished.stdout

    def draining(self):
        """Return how many clients drain, by each server that lives."""
        return {a.metric("outrider_nodes_draining") for a in self.servers if a.process.poll() is None}

    def close(self):
        for agent in (*self.servers, *self.clients):
            agent.close()
        for process in psutil.process_iter(["cmdline"]):
            if process.info["cmdline"] == ["/bin/sleep", SLEEP_SECONDS]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    made = Cluster(tmp_path_factory.mktemp("drain"))
    try:
        yield made.start()
    finally:
        made.close()


def test_a_drained_client_hands_its_work_over_and_stays_ineligible(cluster):
    """
    Although the leader dies in the middle: nothing is lost, and the drain is complete.
    """
    cluster.run("web", COUNT)
    drained = max(cluster.running("web"), key=cluster.running("web").count)
    other = {"c1": "c2", "c2": "c1"}[drained]
    node_id = cluster.node(drained)["ID"]

    cluster.outrider("drain", "-enable", "-detach", node_id)
    wait_until(
        lambda: any(alloc["DesiredStatus"] == "stop" for alloc in cluster.allocs("web")), WAIT_SECONDS, "one moves"
    )
    leader = leader_of(cluster.servers)
    leader.kill(signal.SIGKILL)
    leader.wait()
    took, _ = wait_until(lambda: not cluster.node(drained)["Drain"], WAIT_SECONDS, "the drain is complete")
    wait_until(lambda: cluster.running("web") == [other] * COUNT, WAIT_SECONDS, "all of it runs elsewhere")

    node = cluster.node(drained)
    assert (None, "complete", "ineligible", "ready") == (
        node["DrainStrategy"], node["LastDrain"]["Status"], node["SchedulingEligibility"], node["Status"],
    )  # fmt: skip
    assert ["Node drain strategy set", "Node drain complete"] == [
        event["Message"] for event in node["Events"] if event["Subsystem"] == "Drain"
    ]
    ended = [alloc for alloc in cluster.allocs("web") if alloc["DesiredStatus"] == "stop"]
    assert {("complete", drained)} == {(alloc["ClientStatus"], alloc["NodeName"]) for alloc in ended}
    assert re.search(rf"{node_id[:8]} .* false +ineligible +ready", cluster.outrider("status"))
    leader.start().ready().leads()
    cluster.outrider("eligibility", "-enable", node_id)
    record("drain.service_moved", took)


def test_a_drain_without_deadline_waits_for_endless_work_until_it_is_disabled(cluster):
    """
    Every server counts it as draining; forced, it ends within seconds, and the command follows that to its end.
    """
    cluster.run("endless", 1, "batch")
    (where,) = cluster.running("endless")
    node_id = cluster.node(where)["ID"]

    cluster.outrider("drain", "-enable", "-no-deadline", "-detach", node_id)
    wait_until(lambda: cluster.draining() == {1.0}, WAIT_SECONDS, "all servers count it")
    shown = cluster.outrider("status", node_id)
    wait_until(lambda: where not in cluster.running("web"), WAIT_SECONDS, "services have left")
    still = (cluster.node(where)["Drain"], cluster.running("endless"))
    cluster.outrider("drain", "-disable", node_id)
    wait_until(lambda: cluster.draining() == {0.0}, WAIT_SECONDS, "no server counts it")
    canceled = cluster.node(where)
    went_on = cluster.running("endless")
    said = cluster.outrider("drain", "-enable", "-force", node_id)

    assert "true; no deadline" in shown
    assert (True, [where]) == still
    assert ("canceled", "eligible", [where]) == (
        canceled["LastDrain"]["Status"], canceled["SchedulingEligibility"], went_on,
    )  # fmt: skip
    assert f"Drain complete for node {node_id}" in said
    assert f'All allocations on node "{node_id}" have stopped' in said
    assert cluster.node(where)["LastDrain"]["Status"] == "complete"
    wait_until(lambda: len(cluster.running("endless")) == 1, WAIT_SECONDS, "it runs elsewhere")
    assert [where] != cluster.running("endless")

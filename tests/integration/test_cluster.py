"""A cluster of real processes: jobs, the command line, and what is scraped against the catalogue."""

import os
import signal
import time
from collections import Counter

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from compose.local import tasks_below
from telemetry.catalogue import CATALOGUE, Presence, Role, find, outrider
from tests.integration.watch import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

HOUSEKEEPING = {"host", "quantile", "le"}


@pytest.fixture(scope="module")
def web(driven):
    """A job of two allocations that runs."""
    assert 200 == driven.run_job("web", 2, "/bin/sleep", "3600").status_code
    wait_until(lambda: len(driven.running("web")) == 2, 20, "two allocations run")
    return "web"


def test_every_command_of_the_operator_answers(driven, web):
    """
    The words are Nomad's, and so are the columns.
    """
    expected = {
        ("server", "members"): ("Name", "server-1.global", "alive"),
        ("node", "status"): ("Node Pool", "client-1", "ready"),
        ("status",): ("ID", "web", "running"),
        ("job", "status", web): ("Summary", "Allocations", "running"),
        ("operator", "raft", "list-peers"): ("Voter", "leader", "follower"),
        ("operator", "autopilot", "health"): ("Healthy: true", "FailureTolerance: 1"),
    }

    for command, words in expected.items():
        finished = driven.outrider(*command)

        assert 0 == finished.returncode, finished.stderr
        assert all(word in finished.stdout for word in words), finished.stdout


def test_a_follower_answers_as_the_leader_does(driven, web):
    """
    Requests to a follower are forwarded, reads and writes.
    """
    bodies = {
        name: driven.get(name, f"/v1/job/{web}").json() for name in ("server-1", "server-2", "server-3", "client-1")
    }
    written = driven.session.put(
        driven.url(driven.followers()[0], "/v1/jobs"), json={"Job": bodies["server-1"]}, timeout=10
    )

    assert all(body == bodies["server-1"] for body in bodies.values())
    assert 200 == written.status_code


def test_a_task_that_dies_is_started_again(driven, web):
    """
    The client restarts it within its policy, under the same allocation.
    """
    alloc = driven.running(web)[0]["ID"]
    pid = next(
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if process.info["cmdline"] == ["/bin/sleep", "3600"] and process.environ().get("NOMAD_ALLOC_ID") == alloc
    )

    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: _restarts(driven, alloc) >= 1, 20, "a restart")

    wait_until(lambda: alloc in [entry["ID"] for entry in driven.running(web)], 20, "the same allocation runs")


def _restarts(driven, alloc):
    states = driven.get("server-1", f"/v1/allocation/{alloc}").json()["TaskStates"] or {}
    return sum(state["Restarts"] for state in states.values())


def test_durations_count_what_a_job_brings(driven, web):
    """
    A job of one group is an evaluation, a plan and entries of the log; none took longer than all of it did.
    """
    leader, began = driven.leader(), time.monotonic()

    def measured():
        found = Counter()
        for family in _families(driven, leader):
            for sample in family.samples:
                if sample.labels.get("type", "service") == "service" and sample.labels.get("le", "+Inf") == "+Inf":
                    found[sample.name] += sample.value
        return found

    before = measured()
    assert 200 == driven.run_job("timed", 1, "/bin/sleep", "3600").status_code
    for metric in (
        outrider.EVALUATION_DURATION_SECONDS,
        outrider.PLAN_DURATION_SECONDS,
        outrider.RAFT_COMMIT_DURATION_SECONDS,
    ):
        wait_until(lambda name=f"{metric.name}_count": measured()[name] > before[name], 20, metric.name)
        after, took = measured(), time.monotonic() - began
        counted = after[f"{metric.name}_count"] - before[f"{metric.name}_count"]

        assert counted == after[f"{metric.name}_bucket"] - before[f"{metric.name}_bucket"]
        assert 0 < after[f"{metric.name}_sum"] - before[f"{metric.name}_sum"] < counted * took
    assert 0 == driven.outrider("job", "stop", "-purge", "timed").returncode


def test_every_sample_scraped_is_in_the_catalogue(driven, web):
    """
    No series that an agent exports is unknown, of another kind, or with labels of its own, and ours lack none.
    """
    problems = []
    for agent in driven.cluster.settings.agents:
        for family in _families(driven, agent.name):
            for sample in family.samples:
                problems += _problems(agent.name, family, sample)

    assert [] == sorted(set(problems))


def _families(driven, name):
    answer = driven.get(name, "/v1/metrics", params={"format": "prometheus"})
    assert 200 == answer.status_code
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return list(text_string_to_metric_families(answer.text))


def _entry(family, sample):
    # The parser gives every counter the suffix that Nomad's do not have.
    return find(sample.name) or (find(sample.name.removesuffix("_total")) if family.type == "counter" else None)


def _names(families):
    metrics = {_entry(family, sample).metric for family in families for sample in family.samples}
    return {name for metric in metrics for name in metric.names}


def _problems(agent, family, sample):
    entry = _entry(family, sample)
    if entry is None:
        return [f"{agent}: {sample.name} is not in the catalogue"]
    unknown = set(sample.labels) - set(entry.metric.labels) - HOUSEKEEPING
    wrong = [f"{agent}: {sample.name} has the labels {sorted(unknown)}"] if unknown else []
    if sample.name.startswith("outrider_") and set(sample.labels) != entry.labels:
        wrong.append(f"{agent}: {sample.name} has only the labels {sorted(sample.labels)}")
    if sample.labels.get("server", agent) != agent:
        wrong.append(f"{agent}: {sample.name} speaks of the server {sample.labels['server']}")
    if family.type != entry.metric.kind.value:
        wrong.append(f"{agent}: {sample.name} is a {family.type}, the catalogue says {entry.metric.kind.value}")
    return wrong


@pytest.mark.parametrize("role", [Role.SERVER, Role.CLIENT], ids=str)
def test_what_is_always_there_is_there(driven, web, role):
    """
    Each entry that the catalogue calls always present is scraped from every agent of its role.
    """
    agents = driven.cluster.settings.server_agents if role is Role.SERVER else driven.cluster.settings.client_agents
    promised = {
        name
        for metric in CATALOGUE
        if metric.exported and metric.present is Presence.ALWAYS and role in metric.exporter
        for name in metric.names
    }
    for agent in agents:
        assert set() == promised - _names(_families(driven, agent.name)), agent.name


def test_what_only_the_leader_says_is_said_by_it(driven, web):
    """
    Autopilot, dispatching and replication are on the leader.
    """
    promised = {
        name
        for metric in CATALOGUE
        if metric.exported and metric.present is Presence.LEADER_ONLY and metric.exporter is Role.SERVER
        for name in metric.names
    }

    def missing():
        return promised - _names(_families(driven, driven.leader()))

    wait_until(lambda: not missing(), 70, f"missing on the leader: {sorted(missing())}")


def test_prometheus_took_every_scrape(driven, web):
    """
    A real Prometheus parses all that is exposed, and every rule evaluates without an error.
    """
    base = f"http://127.0.0.1:{driven.cluster.settings.prometheus_port}/api/v1"
    targets = driven.session.get(f"{base}/targets", timeout=10).json()["data"]["activeTargets"]
    rules = driven.session.get(f"{base}/rules", timeout=10).json()["data"]["groups"]

    assert [] == [(target["scrapeUrl"], target["lastError"]) for target in targets if target["health"] != "up"]
    assert [] == [rule["name"] for group in rules for rule in group["rules"] if rule["health"] != "ok"]


def test_a_job_that_is_stopped_stops(driven, web):
    """
    Its tasks end on the clients.
    """
    before = _sleepers(driven)

    finished = driven.outrider("job", "stop", web)

    assert before, "its tasks are known by their folder"

    assert 0 == finished.returncode, finished.stderr + finished.stdout
    wait_until(lambda: not driven.running(web), 20, "nothing of it runs")
    wait_until(lambda: not _sleepers(driven), 20, "no task is left")


def _sleepers(driven):
    """Return the tasks that wait on the clients of this cluster; others on the machine may have some, too."""
    tasks = tasks_below(driven.cluster.settings.directory.absolute() / "data")
    return [task.pid for task in tasks if task.cmdline() == ["/bin/sleep", "3600"]]

"""The proof: a cluster of real processes, real Prometheus and Alertmanager, seven faults, and what a receiver got.

Shipped rules and holds; scrapes and evaluations every second, group_wait 1 s, group_interval 2 s. Nothing may arrive
that a step does not name.
"""

import shutil
import signal
import time

import pytest

from compose.drill.network import Network
from compose.links import Cut
from compose.local import LocalCluster
from compose.local_settings import LocalSettings
from tests.figures import record
from tests.integration.watch import Watch, wait_until
from tests.ports import lane

pytestmark = [pytest.mark.integration, pytest.mark.main_job, pytest.mark.timeout(1_200)]

PORT_BASE = lane(27_100)
RELAY_BASE = lane(27_300)
LOSS = ("NomadQuorumLost", "NomadNoLeader")

HEALTHY_SECONDS = 60
QUORUM_LOST_SECONDS_MAX = 10
LEADERLESS_SECONDS_MAX = 30
WARNING_SECONDS_MAX = 120
RESOLVED_SECONDS_MAX = 150
SETTLE_SECONDS = 25
"""After a step: longer than any hold of a page, so that what the step set off by mistake arrives within it."""


class Proof:
    """The cluster under proof, its watch, and the table that is printed."""

    def __init__(self, cluster, network):
        self.cluster = cluster
        self.network = network
        self.watch = Watch(cluster.record)

    def say(self, name, value, unit="s"):
        """Keep one line of the table."""
        record(f"main_job.{name}", value, unit)

    def leader(self):
        """Return the leader, waiting for one."""
        return wait_until(self.cluster.leader, 15, "a leader")[1]

    def arrived(self, moment):
        """Return what arrived since *moment* as a set of (alert, status)."""
        return {(got.alert, got.status) for got in self.watch.since(moment)}

    def expect_only(self, moment, allowed):
        """Fail when anything but *allowed*, a set of (alert, status), arrived since *moment*."""
        unexpected = self.arrived(moment) - allowed

        assert set() == unexpected, [str(got) for got in self.watch.since(moment)]


@pytest.fixture(scope="module")
def proof(tmp_path_factory, prometheus_tools):
    directory = tmp_path_factory.mktemp("main-job")

    def pids():
        return cluster.agent_pids()

    network = Network(LocalSettings(port_base=PORT_BASE), RELAY_BASE, pids)
    settings = LocalSettings(
        directory=directory,
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
        rpc_routes=network.routes.rpc,
    )
    cluster = LocalCluster(settings)
    with network:
        try:
            started = time.monotonic()
            cluster.start()
            cluster.wait_ready(120)
            Proof(cluster, network).say("up_to_watched_cluster", time.monotonic() - started)
            yield Proof(cluster, network)
        finally:
            cluster.stop()
    shutil.rmtree(directory, ignore_errors=True)


def test_the_main_job(proof):
    """
    Seven steps of faults bring exactly the notifications they should, in time.
    """
    healthy(proof)
    leader_killed_and_back(proof)
    dead = leader_left_dead(proof)
    quorum_lost_and_back(proof, dead)
    followers_paused(proof)
    servers_cut_from_each_other(proof)
    client_killed(proof)


def healthy(proof):
    """Step 1: nothing but Watchdog in a minute of health."""
    began = time.time()

    proof.watch.quiet(HEALTHY_SECONDS)

    proof.expect_only(0, set())
    assert proof.watch.watchdogs() >= 1
    proof.say("1_healthy_without_notification", time.time() - began)


def leader_killed_and_back(proof):
    """Step 2: a leader that is killed and back within ten seconds is nobody's business."""
    began, old = time.time(), proof.leader()
    proof.cluster.kill(old, signal.SIGKILL)

    elected, _ = wait_until(lambda: proof.cluster.leader() not in {None, old}, 10, "a new leader")
    proof.watch.quiet(max(0.0, 8 - (time.time() - began)))
    proof.cluster.restart(old)
    proof.watch.quiet(SETTLE_SECONDS)

    proof.expect_only(began, set())
    proof.say("2_new_leader", elected)


def leader_left_dead(proof):
    """Step 3: a leader that stays dead is one warning about the quorum at risk."""
    began, old = time.time(), proof.leader()
    proof.cluster.kill(old, signal.SIGKILL)

    warned = proof.watch.wait(["NomadQuorumAtRisk"], "firing", began, WARNING_SECONDS_MAX)
    proof.watch.quiet(10)

    assert "warning" == warned.severity
    firing = [got for got in proof.watch.since(began) if got.status == "firing"]
    assert ["NomadQuorumAtRisk"] == [got.alert for got in firing], [str(got) for got in firing]
    proof.say("3_quorum_at_risk_warning", warned.at - began)
    return old


def quorum_lost_and_back(proof, dead):
    """Step 4: the second loss is one page; both back, it is resolved."""
    began, second = time.time(), proof.leader()
    proof.cluster.kill(second, signal.SIGKILL)

    page = proof.watch.wait(["NomadQuorumLost"], "firing", began, QUORUM_LOST_SECONDS_MAX)
    proof.watch.quiet(5)
    pages = [got for got in proof.watch.since(began) if got.status == "firing"]
    restarted = time.time()
    proof.cluster.restart(dead)
    proof.cluster.restart(second)
    resolved = proof.watch.wait(["NomadQuorumLost"], "resolved", restarted, RESOLVED_SECONDS_MAX)
    proof.watch.wait(["NomadQuorumAtRisk"], "resolved", began, RESOLVED_SECONDS_MAX)
    proof.watch.quiet(SETTLE_SECONDS)

    assert "critical" == page.severity
    assert ["NomadQuorumLost"] == [got.alert for got in pages], [str(got) for got in pages]
    proof.expect_only(
        began,
        {("NomadQuorumLost", "firing"), ("NomadQuorumLost", "resolved"), ("NomadQuorumAtRisk", "resolved")},
    )
    proof.say("4_quorum_lost_page", page.at - began)
    proof.say("4_resolved_after_restart", resolved.at - restarted)


def followers_paused(proof):
    """Step 5: both followers stopped while every process lives."""
    leader = proof.leader()
    followers = [agent.name for agent in proof.cluster.settings.server_agents if agent.name != leader]
    began = time.time()
    for name in followers:
        proof.cluster.kill(name, signal.SIGSTOP)

    page = proof.watch.wait(LOSS, "firing", began, LEADERLESS_SECONDS_MAX)
    continued = time.time()
    for name in followers:
        proof.cluster.kill(name, signal.SIGCONT)
    resolved = proof.watch.wait([page.alert], "resolved", continued, RESOLVED_SECONDS_MAX)
    proof.watch.quiet(SETTLE_SECONDS)

    assert "critical" == page.severity
    proof.expect_only(began, {(page.alert, "firing"), (page.alert, "resolved")})
    proof.say(f"5_followers_paused_{page.alert}", page.at - began)
    proof.say("5_resolved", resolved.at - continued)


def servers_cut_from_each_other(proof):
    """Step 6: three servers that answer every scrape and cannot reach each other."""
    proof.leader()
    began = time.time()
    proof.network.cut_between_servers(Cut.REFUSE)

    page = proof.watch.wait(LOSS, "firing", began, LEADERLESS_SECONDS_MAX)
    healed = time.time()
    still_scraped = not proof.cluster.probes.missing_targets()
    proof.network.mend()
    resolved = proof.watch.wait([page.alert], "resolved", healed, RESOLVED_SECONDS_MAX)
    proof.watch.quiet(SETTLE_SECONDS)

    assert still_scraped, "Prometheus must reach all agents in this step"
    assert "critical" == page.severity
    proof.expect_only(began, {(page.alert, "firing"), (page.alert, "resolved")})
    proof.say(f"6_servers_cut_{page.alert}", page.at - began)
    proof.say("6_resolved", resolved.at - healed)


def client_killed(proof):
    """Step 7: a client that is gone."""
    began = time.time()
    proof.cluster.kill("client-2", signal.SIGKILL)

    warned = proof.watch.wait(["NomadClientDown"], "firing", began, WARNING_SECONDS_MAX)

    proof.expect_only(began, {("NomadClientDown", "firing")})
    proof.say("7_client_down", warned.at - began)
    total = len(proof.watch.all())
    proof.say("notifications", total, "count")

"""The faults under which the commands of runbooks must give their bad answers, and which pages each of them is about."""

import resource
import signal
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
import yaml

from compose.links import Cut
from tests.integration.agents import ADVERTISE, Agent
from tests.integration.runbook_bench import NOWHERE, SHOWN_SECONDS_MAX, STRANGER_PORTS
from tests.integration.watch import wait_until

DISK_SECONDS = 0.4
"""For each sync: slower than an alert allows, and quick enough for the leader to keep its lease."""
FLOOD_AT_ONCE = 16
SERIES_MANY = 51_000


@contextmanager
def unseen_and_stale(bench):
    """A client that Prometheus does not scrape dies, a server is scraped through a cache, one has few descriptors."""
    bench.put_job("wide", 3, cpu=bench.client_megahertz() * 6 // 10)
    # A follower: what the leader says has to arrive.
    cached = bench.followers()[0]
    bench.proxy.freeze(bench.agent_url(cached), 'version="', 'version="0.0.0-')
    bench.rebuild(servers=bench.servers(behind_proxy=cached), clients=bench.clients("client-1", "client-2"))
    bench.instances["cache"] = bench.proxy.url
    client = bench.cluster.pid("client-1")
    limits = resource.prlimit(client, resource.RLIMIT_NOFILE)
    resource.prlimit(client, resource.RLIMIT_NOFILE, (psutil.Process(client).num_fds() * 6 // 5, limits[1]))
    # Prometheus lets a target go up to five seconds later; until then it would miss the client itself.
    bench.until('absent(up{instance="client-3"})')
    bench.cluster.kill("client-3")
    try:
        yield
    finally:
        resource.prlimit(client, resource.RLIMIT_NOFILE, limits)
        bench.rebuild()


@contextmanager
def clients_dead(bench):
    """Two of three clients are dead, and what ran there finds no place."""
    bench.put_job("wide", 3, cpu=bench.client_megahertz() * 6 // 10)
    dead = ("client-2", "client-3")
    for name in dead:
        if bench.cluster.pid(name) is not None:
            bench.cluster.kill(name)
    bench.instances["client"] = bench.agent_url("client-3")
    try:
        yield
    finally:
        bench.drop_job("wide")
        for name in dead:
            bench.cluster.restart(name)


@contextmanager
def drain_stuck(bench):
    """A client drains without deadline: its batch task does not end, and what else ran there finds no place.

    The client learns that it is ineligible with a heartbeat, up to 20 s later.
    """
    bench.put_job("wide", 3, cpu=bench.client_megahertz() * 6 // 10)
    bench.put_job("endless", 1, kind="batch")
    wait_until(lambda: len(bench.nodes_of("wide")) == 3, SHOWN_SECONDS_MAX, "wide runs")
    wait_until(lambda: bench.nodes_of("endless"), SHOWN_SECONDS_MAX, "endless runs")
    (node_id,) = bench.nodes_of("endless")
    bench.drain(node_id, {"Deadline": 0})
    try:
        yield
    finally:
        bench.drain(node_id, None)
        for id_ in ("wide", "endless"):
            bench.drop_job(id_)


@contextmanager
def too_many_series(bench):
    """A server has very many series and answers late."""
    late = bench.followers()[0]
    bench.proxy.slow_down(bench.agent_url(late), 0.6, SERIES_MANY)
    bench.rebuild(servers=bench.servers(behind_proxy=late))
    bench.instances["slow"] = bench.proxy.url
    try:
        yield
    finally:
        bench.rebuild()


@contextmanager
def four_expected(bench):
    """The settings expect one server more than there is, an even number."""
    bench.rebuild(expected_servers=4)
    try:
        yield
    finally:
        bench.rebuild()


@contextmanager
def one_expected(bench):
    """The settings expect one server of three."""
    bench.rebuild(expected_servers=1)
    try:
        yield
    finally:
        bench.rebuild()


@contextmanager
def second_cluster(bench):
    """A server was bootstrapped alone, under the region's name."""
    config = (
        f'name = "stranger"\nbind_addr = "127.0.0.1"\n{STRANGER_PORTS}{ADVERTISE}data_dir = "{bench.directory}/stranger"\n'
        'telemetry { prometheus_metrics = true collection_interval = "1s" disable_hostname = true }\n'
        "server { enabled = true bootstrap_expect = 1 }\n"
    )
    stranger = Agent(bench.directory, "stranger", config, STRANGER_PORTS).start()
    try:
        stranger.ready().leads()
        target = {"name": "stranger", "address": f"127.0.0.1:{STRANGER_PORTS.http}"}
        bench.rebuild(expected_servers=3, servers=[*bench.servers(), target])
        yield
    finally:
        bench.rebuild()
        stranger.close()


@contextmanager
def metrics_off(bench):
    """A server lives whose metrics for Prometheus are off."""
    name = bench.followers()[0]
    bench.instances["server"] = bench.agent_url(name)
    bench.edit(name, "prometheus_metrics         = true", "prometheus_metrics         = false")
    try:
        yield
    finally:
        bench.edit(name, "prometheus_metrics         = false", "prometheus_metrics         = true")
        bench.recover()


@contextmanager
def no_targets(bench):
    """What discovers the servers for Prometheus finds none."""
    bench.instances["server"] = bench.agent_url("server-1")
    file = bench.config / "prometheus.yml"
    document = yaml.safe_load(file.read_text())
    (servers,) = (job for job in document["scrape_configs"] if job["job_name"] == "nomad-server")
    # The job stays: of one that is removed as a whole Prometheus keeps the last values for five minutes.
    servers["static_configs"] = []
    file.write_text(yaml.safe_dump(document))
    bench.reload("PROMETHEUS").raise_for_status()
    try:
        yield
    finally:
        bench.rebuild()
        bench.recover()


@contextmanager
def follower_dead(bench):
    """One server of three is dead."""
    leader, dead = bench.leader(), bench.followers()[0]
    bench.look_at(leader)
    bench.instances["server"] = bench.agent_url(dead)
    bench.cluster.kill(dead)
    try:
        yield
    finally:
        bench.cluster.restart(dead)
        bench.recover()


@contextmanager
def majority_dead(bench):
    """Two servers of three are dead."""
    bench.look_at(bench.leader())
    dead = bench.followers()
    for name in dead:
        bench.cluster.kill(name)
    try:
        yield
    finally:
        for name in dead:
            bench.cluster.restart(name)
        bench.recover()


@contextmanager
def follower_cut_off(bench):
    """A server answers scrapes and nobody else, while the others write."""
    bench.look_at(bench.leader())
    bench.network.isolate([bench.followers()[0]], Cut.REFUSE)
    try:
        with bench.flood(at_once=8):
            bench.until("outrider:raft_lag_entries > 1200")
        yield
    finally:
        bench.network.mend()
        bench.recover()


@contextmanager
def all_cut_off(bench):
    """Every server answers scrapes and none reaches another."""
    bench.network.cut_between_servers(Cut.REFUSE)
    try:
        yield
    finally:
        bench.network.mend()
        bench.recover()


@contextmanager
def leaders_fall(bench):
    """Three times a leader stands still for a moment, twice it is killed and started again."""
    for number in (signal.SIGSTOP, signal.SIGKILL, signal.SIGSTOP, signal.SIGKILL, signal.SIGSTOP):
        old = bench.leader()
        bench.cluster.kill(old, number)
        wait_until(lambda old=old: bench.cluster.leader() not in {None, old}, SHOWN_SECONDS_MAX, "another leader")
        if number is signal.SIGSTOP:
            bench.cluster.kill(old, signal.SIGCONT)
        else:
            bench.cluster.restart(old)
        bench.recover()
    yield


@contextmanager
def disks_slow(bench):
    """Every server's disk is slow, while jobs are registered without end; the clients stand still, so that none runs."""
    bench.look_at(bench.leader())
    clients = [agent.name for agent in bench.settings.client_agents if bench.cluster.pid(agent.name) is not None]
    for name in clients:
        bench.cluster.kill(name, signal.SIGSTOP)
    for agent in bench.settings.server_agents:
        (bench.disks / agent.name).write_text(str(DISK_SECONDS))
    try:
        with bench.flood(at_once=FLOOD_AT_ONCE, count=1):
            yield
    finally:
        for control in bench.disks.iterdir():
            control.unlink()
        # Dead, so that they never start what was placed there meanwhile.
        for name in clients:
            bench.cluster.kill(name)
        bench.recover()


@contextmanager
def rule_broken(bench):
    """A rule fails at each evaluation."""
    rule = {"record": "outrider:broken", "expr": "up * on () up"}
    file = bench.config / "rules" / "broken.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "broken", "rules": [rule]}]}))
    bench.reload("PROMETHEUS").raise_for_status()
    try:
        yield
    finally:
        file.unlink()
        bench.rebuild()


@contextmanager
def files_refused(bench):
    """Prometheus and Alertmanager were given files that are wrong."""
    for name, variable in (("prometheus.yml", "PROMETHEUS"), ("alertmanager.yml", "ALERTMANAGER")):
        file = bench.config / name
        file.write_text(file.read_text() + "\nno_such_field: 1\n")
        assert not bench.reload(variable).ok, f"{name} was taken"
    try:
        yield
    finally:
        bench.rebuild()
        bench.reload("ALERTMANAGER").raise_for_status()


@contextmanager
def other_prometheus_dead(bench):
    """The other Prometheus of a pair does not answer."""
    bench.rebuild(prometheus=[f"127.0.0.1:{bench.settings.prometheus_port}", NOWHERE])
    bench.instances["prometheus"] = f"http://{NOWHERE}"
    try:
        yield
    finally:
        bench.rebuild()


@contextmanager
def exporter_dead(bench):
    """The exporter beside the servers is killed."""
    bench.instances["exporter"] = bench.exporter_url
    bench.cluster.kill("exporter")
    try:
        yield
    finally:
        bench.cluster.restart("exporter")


@contextmanager
def nobody_notified(bench):
    """The receiver refused notifications, then Alertmanager died."""
    bench.cluster.kill("receiver")
    failed = "sum(increase(alertmanager_notifications_failed_total[5m])) > 0.5"
    for severity in ("critical", "warning"):
        bench.post_alert(severity)
    bench.until(failed)
    bench.cluster.kill("alertmanager")
    try:
        yield
    finally:
        bench.cluster.restart("receiver")
        bench.cluster.restart("alertmanager")


@contextmanager
def nothing_watches(bench):
    """Prometheus and Alertmanager are dead."""
    bench.cluster.kill("prometheus")
    bench.cluster.kill("alertmanager")
    try:
        yield
    finally:
        bench.cluster.restart("alertmanager")
        bench.cluster.restart("prometheus")


@dataclass(frozen=True)
class Fault:
    """Something that is done to the cluster for as long as a context lasts.

    *pages* are those whose alerts it sets off, each with the name of what $INSTANCE is. *good* are the commands, by
    page and title, that must not show it: they tell other causes apart.
    """

    make: Callable[[Any], Any]
    pages: dict[str, str]
    good: tuple[tuple[str, str], ...] = ()

    @property
    def name(self):
        """What the fault is called."""
        return self.make.__name__


FAULTS = (
    # Long before the slow disks: its hundreds of quick schedulings count for a minute in the mean.
    Fault(
        follower_cut_off,
        {"NomadServerUnhealthy": "", "NomadFollowerLagging": ""},
        good=(("NomadServerUnhealthy", "Who has no vote"),),
    ),
    Fault(
        unseen_and_stale,
        {
            "NomadHeartbeatsMissed": "",
            "NomadMetricsFrozen": "cache",
            "NomadVersionSkew": "",
            "NomadFileDescriptorsLow": "",
            "NomadEvaluationsBlocked": "",
        },
        good=(
            ("NomadHeartbeatsMissed", "How long since a client was heard (Outrider's agent)"),
            ("NomadVersionSkew", "How many builds of Go (a real Nomad)"),
        ),
    ),
    Fault(clients_dead, {"NomadManyClientsDown": "", "NomadClientDown": "client"}),
    Fault(drain_stuck, {"NomadDrainStuck": "", "NomadClientIneligible": ""}),
    Fault(too_many_series, {"NomadScrapeSlow": "slow"}),
    Fault(four_expected, {"NomadServerCountUnwise": "", "NomadClusterShrunk": ""}),
    Fault(one_expected, {"NomadExpectedServersOutdated": ""}),
    Fault(second_cluster, {"NomadTwoLeaders": ""}),
    Fault(
        metrics_off,
        {"NomadMetricsMissing": "server"},
        good=(("NomadMetricsMissing", "Whether they are targets at all"),),
    ),
    Fault(
        no_targets,
        {"NomadMetricsMissing": "server"},
        good=(
            ("NomadMetricsMissing", "What the server says when it is asked"),
            ("NomadMetricsMissing", "Why a scrape fails"),
        ),
    ),
    Fault(follower_dead, {"NomadQuorumAtRisk": "", "NomadServerDown": "server", "NomadFollowersSlow": ""}),
    Fault(majority_dead, {"NomadQuorumLost": ""}),
    Fault(all_cut_off, {"NomadNoLeader": ""}),
    Fault(leaders_fall, {"NomadLeaderFlapping": "", "NomadLeaseLost": ""}),
    Fault(
        disks_slow,
        {
            "NomadCommitSlow": "",
            "NomadRaftSaturated": "",
            "NomadSchedulingSlow": "",
            "NomadPlanQueueBacklog": "",
            "NomadEvaluationBacklog": "",
        },
    ),
    Fault(rule_broken, {"OutriderRulesFailing": ""}),
    Fault(files_refused, {"OutriderConfigRejected": ""}),
    Fault(other_prometheus_dead, {"OutriderPrometheusDown": "prometheus"}),
    Fault(exporter_dead, {"OutriderExporterDown": "exporter"}),
    Fault(
        nobody_notified,
        {"OutriderNotificationsFailing": "", "OutriderAlertmanagerDown": "", "Watchdog": ""},
        good=(("Watchdog", "Prometheus"), ("Watchdog", "Its rules")),
    ),
    Fault(nothing_watches, {"Watchdog": ""}),
)
"""In the order in which they are made."""

UNPROVEN = frozenset({"Watchdog"})
"""Pages whose alert is no condition: it matters when it stops."""

_NO_GOSSIP = "the agent has no gossip yet"
_NO_TLS = "the cluster of this proof speaks no TLS; tests/integration/test_tls.py lets certificates expire"

HEALTHY_ONLY = {
    "NomadCertificateAlmostExpired": _NO_TLS,
    "NomadCertificateExpiring": _NO_TLS,
    "NomadEvaluationsFailing": "a worker would have to fail on one evaluation three times, a minute each",
    "NomadEvaluationsStuck": "nothing may be finished for two minutes, half the time this proof has",
    "NomadHeartbeatsStretched": "takes 3,000 clients",
    "NomadMemberFailed": _NO_GOSSIP,
    "NomadMemberFlapping": _NO_GOSSIP,
    "NomadMembersDisagree": _NO_GOSSIP,
    "NomadPlanRejections": "the agent does not count rejected plans yet",
    "NomadRaftLogGrowing": "takes 40,000 entries without a snapshot",
}
"""Pages whose fault cannot be made here, with the reason: their commands are run on the healthy cluster alone."""

NEVER_BAD = {
    (
        "NomadHeartbeatsMissed",
        "How long since a client was heard (Outrider's agent)",
    ): "the client that died says nothing",
    ("NomadServerUnhealthy", "Who has no vote"): "the agent's servers all vote",
    ("NomadVersionSkew", "How many builds of Go (a real Nomad)"): "the agent is no Go",
}
"""Single commands that no fault here can make bad, with the reason."""

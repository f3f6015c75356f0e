"""What the catalogue says of Prometheus and Alertmanager, against every version of them on this machine."""

import contextlib
import subprocess
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from telemetry.catalogue import CATALOGUE, Kind, Presence, Role
from tests.integration.watch import free_ports, wait_until
from tests.tools import find

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

PROMETHEUS_YML = """
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
alerting: {alertmanagers: [{static_configs: [{targets: ['127.0.0.1:9']}]}]}
scrape_configs: [{job_name: self, static_configs: [{targets: ['127.0.0.1:PORT']}]}]
"""
RULES_YML = "groups: [{name: g, rules: [{record: a, expr: vector(1)}, {alert: B, expr: vector(1)}]}]\n"
ALERTMANAGER_YML = """
route: {receiver: r}
receivers: [{name: r, webhook_configs: [{url: 'http://127.0.0.1:9/'}]}]
"""


@contextlib.contextmanager
def running(folder, command, port):
    """Run a neighbour that listens on *port*, and yield how to fetch its series.

    Skips a Debian Alertmanager that was copied here without its templates, which it wants below /usr/share.
    """
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)

    def series():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return answer.read().decode()

    def answers():
        if process.poll() is not None:
            said = (folder / "log").read_text()
            if "/usr/share/prometheus/alertmanager/default.tmpl: no such file" in said:
                pytest.skip(f"{command[0]} has no templates here")
            pytest.fail(said[-2000:])
        with contextlib.suppress(OSError):
            return series()
        return ""

    try:
        wait_until(answers, 60, f"{command[0]} answers")
        yield series
    finally:
        process.terminate()
        process.wait(20)


def families(text):
    """Return by name the kind of each family and the labels that all of its samples have."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            _, labels = found.get(sample.name, (family.type, set(sample.labels)))
            found[sample.name] = (family.type, labels & set(sample.labels))
    return found


def wrong(prefix, found):
    """Return what the catalogue says of the series with *prefix* and is not so."""
    problems = []
    for metric in CATALOGUE:
        if metric.exporter is not Role.FOREIGN or not metric.name.startswith(prefix):
            continue
        kind, labels = found.get(metric.name, (None, set()))
        if kind is None:
            problems += [f"{metric.name} is not there"] if metric.present is Presence.ALWAYS else []
        elif kind != metric.kind.value:
            problems.append(f"{metric.name} is a {kind}")
        elif not set(metric.labels) <= labels:
            problems.append(f"{metric.name} has the labels {sorted(labels)}")
    return problems


@pytest.mark.parametrize("prometheus", find("prometheus"), ids=str)
def test_prometheus_says_what_the_catalogue_says(prometheus, tmp_path):
    """
    Each entry is there once rules are evaluated, of its kind and with its labels.
    """
    (port,) = free_ports(1)
    (tmp_path / "prometheus.yml").write_text(PROMETHEUS_YML.replace("PORT", str(port)))
    (tmp_path / "rules.yml").write_text(RULES_YML)
    command = [
        prometheus.path, "--config.file=prometheus.yml", "--storage.tsdb.path=db",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip

    with running(tmp_path, command, port) as series:
        wait_until(
            lambda: 'prometheus_rule_group_iterations_total{rule_group="rules.yml;g"} 2' in series(), 60, "rules"
        )
        wait_until(lambda: 'prometheus_target_scrape_pool_targets{scrape_job="self"} 1' in series(), 60, "a target")
        found = families(series())

    assert [] == wrong("prometheus_", found)


@pytest.mark.parametrize("clustered", [False, True], ids=["alone", "clustered"])
@pytest.mark.parametrize("alertmanager", find("alertmanager"), ids=str)
def test_alertmanager_says_what_the_catalogue_says(alertmanager, clustered, tmp_path):
    """
    Each entry is there, of its kind and with its labels; what belongs to a cluster where it listens for others.
    """
    port, gossip = free_ports(2)
    (tmp_path / "alertmanager.yml").write_text(ALERTMANAGER_YML)
    listen = f"127.0.0.1:{gossip}" if clustered else ""
    command = [
        alertmanager.path, "--config.file=alertmanager.yml", "--storage.path=data", f"--web.listen-address=127.0.0.1:{port}",
        f"--cluster.listen-address={listen}", *([f"--cluster.advertise-address={listen}"] if clustered else []),
    ]  # fmt: skip

    with running(tmp_path, command, port) as series:
        found = families(series())

    clusters = {metric.name for metric in CATALOGUE if metric.present is Presence.WHEN_CONFIGURED}
    assert [] == wrong("alertmanager_", found)
    assert clustered == bool(clusters & found.keys())
    assert Kind.GAUGE.value == found["alertmanager_cluster_enabled"][0]

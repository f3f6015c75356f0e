"""`outrider check` on a real cluster with a real Prometheus: healthy, and with two things set wrong."""

import json

import pytest
from click.testing import CliRunner

from compose.check.command import check_group
from compose.local import LocalCluster
from compose.local_settings import LocalSettings
from tests.compose.free_ports import free_base
from tests.integration.watch import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

OF_THE_MACHINE = {"commit-time", "disk", "round-trip"}
"""Latencies, which on a loaded machine are what they are."""


@pytest.fixture
def cluster(tmp_path, prometheus_tools):
    """
    Three servers and a client, watched.
    """
    base = free_base()
    settings = LocalSettings(
        directory=tmp_path / "cluster",
        tools=prometheus_tools,
        clients=1,
        port_base=base,
        prometheus_port=base + 90,
        alertmanager_port=base + 93,
        receiver_port=base + 95,
        scrape_interval_seconds=2,
        evaluation_interval_seconds=2,
    )
    running = LocalCluster(settings)
    try:
        running.start()
        running.wait_ready(120)
        yield running
    finally:
        running.stop()


def checked(cluster, file=None):
    """Return the findings of `outrider check`, those about the machine left out."""
    done = CliRunner().invoke(check_group, ["-f", str(file or cluster.settings.directory / "outrider.yaml"), "--json"])
    body = json.loads(done.stdout)
    findings = [each for each in body["findings"] if each["check"] not in OF_THE_MACHINE]
    assert (0 if not body["findings"] else 1) == done.exit_code
    return findings, body


def test_a_healthy_cluster_is_silent_and_what_is_set_wrong_is_told(cluster):
    """
    Nothing is found of a cluster that is well; a client's setting and a longer scrape interval are found, with place.
    """
    # A joined server has no vote before it is stable.
    wait_until(lambda: not checked(cluster)[0], 60, "nothing is found of a healthy cluster")
    _, body = checked(cluster)
    assert 4 == body["agents"]
    assert 50 < body["checked"]

    folder = cluster.settings.directory
    file = folder / "agents" / "client-1.hcl"
    text = file.read_text()
    file.write_text(text.replace("disable_hostname           = true", "disable_hostname           = false"))
    cluster.restart("client-1")
    faster = folder / "faster.yaml"
    settings = (folder / "outrider.yaml").read_text()
    faster.write_text(settings.replace("scrape_interval: 2s", "scrape_interval: 1s"))
    wait_until(lambda: _hosts(checked(cluster, faster)[0]), 60, "the client's setting is found")

    def two():
        findings, _ = checked(cluster, faster)
        return findings if {"hostname", "scrape-intervals"} == {each["check"] for each in findings} else None

    _, findings = wait_until(two, 60, "these two are found, and nothing else")
    assert 4 == sum(each["check"] == "scrape-intervals" for each in findings)
    [host] = _hosts(findings)
    assert host["place"].startswith("client-1 (")
    assert host["place"].endswith("telemetry.disable_hostname")


def _hosts(findings):
    return [each for each in findings if each["check"] == "hostname"]

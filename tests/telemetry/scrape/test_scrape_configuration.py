"""The scrape part of prometheus.yml."""

import re
from dataclasses import replace

import pytest

from telemetry.scrape.configuration import PEER_NAMES, prometheus_config, scrape_configs, target_files
from telemetry.scrape.description import ClusterDescription, Discovery, Region, Target

REGION = Region(
    name="global",
    expected_servers=3,
    servers=(Target(name="server-1", address="10.0.0.1:4646"), Target(name="server-2", address="10.0.0.2:4646")),
    clients=(Target(name="client-1", address="10.0.1.1:4646"),),
)
CLUSTER = ClusterDescription(cluster="demo", regions=(REGION,))


def test_servers_carry_the_labels_that_rules_use():
    """
    A server target has cluster, region, role and a name that an operator knows.
    """
    [servers, *_] = scrape_configs(CLUSTER)

    assert "nomad-server" == servers["job_name"]
    assert {
        "targets": ["10.0.0.1:4646"],
        "labels": {"cluster": "demo", "region": "global", "role": "server", "instance": "server-1"},
    } == servers["static_configs"][0]
    assert {"format": ["prometheus"]} == servers["params"]
    assert "/v1/metrics" == servers["metrics_path"]


def test_there_is_a_job_for_each_kind_of_target():
    """
    Servers, clients, Prometheus and Alertmanager are scraped, each in a job of its own.
    """
    jobs = [config["job_name"] for config in scrape_configs(CLUSTER)]

    assert ["nomad-server", "nomad-client", "prometheus", "alertmanager"] == jobs


def test_an_exporter_is_scraped_with_the_labels_of_its_region():
    """
    What it says of servers is joined by cluster and region, and its own role is neither server nor client.
    """
    watched = replace(REGION, exporters=(Target(name="exporter", address="10.0.0.9:4650"),))
    other = replace(REGION, name="far")

    [*_, exporters, _, _] = scrape_configs(ClusterDescription(cluster="demo", regions=(watched, other)))

    assert {
        "job_name": "outrider-exporter",
        "static_configs": [
            {
                "targets": ["10.0.0.9:4650"],
                "labels": {"cluster": "demo", "region": "global", "role": "exporter", "instance": "exporter"},
            }
        ],
    } == exporters


def test_nomads_job_label_gives_way():
    """
    Nomad's own `job` label becomes `exported_job` instead of hiding the scrape job.
    """
    [servers, *_] = scrape_configs(CLUSTER)

    assert servers["honor_labels"] is False


@pytest.mark.parametrize(
    ("name", "dropped"),
    [
        ("nomad_raft_replication_heartbeat_b54ee6ea_c10b_f6d4_9be7_b22702474b22", True),
        ("nomad_raft_replication_appendEntries_rpc_b54ee6ea_c10b_f6d4_9be7_b22702474b22_count", True),
        ("nomad_raft_replication_heartbeat", False),
        ("nomad_raft_leader_lastContact_count", False),
        ("nomad_raft_rpc_processHeartbeat_sum", False),
    ],
)
def test_names_that_hold_a_peer_are_dropped(name, dropped):
    """
    Only the metric names that contain a peer's id go.
    """
    assert dropped == bool(re.fullmatch(PEER_NAMES, name))


def test_the_timeout_fits_into_the_interval():
    """
    Prometheus refuses a timeout longer than the interval.
    """
    fast = ClusterDescription(cluster="demo", regions=(REGION,), scrape_interval_seconds=1.0)

    config = prometheus_config(fast, ["rules/*.yml"])

    assert "1s" == config["global"]["scrape_timeout"]


def test_targets_can_stand_in_files():
    """
    With file discovery, prometheus.yml names files and the files hold the targets.
    """
    by_file = ClusterDescription(cluster="demo", regions=(REGION,), discovery=Discovery.FILE)

    [servers, *_] = scrape_configs(by_file)
    files = target_files(by_file)

    [name] = servers["file_sd_configs"][0]["files"]
    assert ["10.0.0.1:4646"] == files[name][0]["targets"]
    assert {} == target_files(CLUSTER)


@pytest.mark.parametrize("address", ["10.0.0.1", ":4646", "10.0.0.1:", "10.0.0.1:x", "10.0.0.1:70000"])
def test_an_address_has_host_and_port(address):
    """
    An address without a usable port is refused.
    """
    with pytest.raises(ValueError, match="is not host:port"):
        Target(name="a", address=address)


@pytest.mark.parametrize(("expected", "quorum"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (7, 4)])
def test_the_majority_follows_from_the_expected_size(expected, quorum):
    """
    As many servers as make a majority are needed for a leader.
    """
    assert quorum == Region(name="r", expected_servers=expected, servers=REGION.servers).quorum

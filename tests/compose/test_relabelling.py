"""What becomes of targets as each discovery says them: promtool relabels them as Prometheus would."""

import json

import pytest

from alert_rules.render import to_yaml
from compose.settings import parse_settings
from telemetry.scrape.configuration import prometheus_config
from tests.tools import find_or_explain

PROMTOOLS, PROMTOOL_ABSENT = find_or_explain("promtool")

SETTINGS = """\
cluster: demo
region: eu
servers: [{name: server-1, address: "10.0.0.1:4646"}]
clients: [{name: client-1, address: "10.0.1.1:4646"}]
"""

CASES = {
    # discovery: (job, [address and meta labels of what is found], {instance: (address, datacenter)} of what is kept)
    "http": (
        "nomad-server",
        [
            ("10.0.0.2:4646", {"instance": "server-2", "datacenter": "dc1"}),
            ("10.0.0.1:4646", {"instance": "listed address under another name"}),
            ("10.9.9.9:4646", {"instance": "server-1"}),
        ],
        {"server-1": ("10.0.0.1:4646", None), "server-2": ("10.0.0.2:4646", "dc1")},
    ),
    "consul": (
        "nomad-server",
        [
            ("10.0.0.2:4646", {"__meta_consul_node": "server-2", "__meta_consul_dc": "dc1"}),
            ("10.9.9.9:4646", {"__meta_consul_node": "server-1", "__meta_consul_dc": "dc1"}),
        ],
        {"server-1": ("10.0.0.1:4646", None), "server-2": ("10.0.0.2:4646", "dc1")},
    ),
    "dns": (
        "nomad-server",
        [
            ("server-2.example.com:4646", {"__meta_dns_srv_record_target": "server-2.example.com."}),
            ("10.0.0.1:4646", {"__meta_dns_srv_record_target": "server-1.example.com."}),
        ],
        {"server-1": ("10.0.0.1:4646", None), "server-2.example.com": ("server-2.example.com:4646", None)},
    ),
    "nomad": (
        "nomad-client",
        [
            ("10.0.1.2:4646", {"__meta_nomad_service": "nomad-client", "__meta_nomad_dc": "dc2"}),
            ("10.0.1.1:4646", {"__meta_nomad_service": "nomad-client"}),
            ("10.0.1.2:8080", {"__meta_nomad_service": "web"}),
        ],
        {"client-1": ("10.0.1.1:4646", None), "10.0.1.2:4646": ("10.0.1.2:4646", "dc2")},
    ),
}


@pytest.mark.skipif(not PROMTOOLS, reason=PROMTOOL_ABSENT)
@pytest.mark.parametrize("promtool", PROMTOOLS, ids=str)
@pytest.mark.parametrize("discovery", CASES)
def test_what_is_found_is_labelled_and_gives_way_to_what_is_listed(promtool, discovery, tmp_path):
    """
    Each agent is one target with all labels; a listed name or address and foreign services are dropped.
    """
    name, found, kept = CASES[discovery]
    extra = f"discovery: {discovery}\n" + ("dns: {servers: a}\n" if discovery == "dns" else "")
    config = prometheus_config(parse_settings(SETTINGS + extra).description, [])
    [job] = [each for each in config["scrape_configs"] if each["job_name"] == name]
    # As the discovery itself would say it, which no Consul or Nomad is here to do.
    del job[f"{discovery}_sd_configs"]
    job["static_configs"] += [{"targets": [address], "labels": meta} for address, meta in found]
    path = tmp_path / "prometheus.yml"
    path.write_text(to_yaml(config | {"scrape_configs": [job]}))

    said = promtool.run("check", "service-discovery", "--timeout=2s", str(path), name)

    assert 0 == said.returncode, said.stdout + said.stderr
    targets = [each["labels"] for each in json.loads(said.stdout) if each.get("labels")]
    assert kept == {each["instance"]: (each["__address__"], each.get("datacenter")) for each in targets}
    assert len(kept) == len(targets)
    role = name.removeprefix("nomad-")
    expected = {(name, "demo", "eu", role)}
    assert expected == {(each["job"], each["cluster"], each["region"], each["role"]) for each in targets}

"""The scraping part of outrider.yaml: every discovery and way of access, as Prometheus takes it."""

import re
from pathlib import Path

import pytest

from alert_rules.render import to_yaml
from compose import generate
from compose.settings import parse_settings
from compose.yaml_reader import SettingsError
from telemetry.scrape.configuration import prometheus_config, scrape_configs
from tests.tools import find_or_explain

PAGE = (Path(__file__).parents[2] / "telemetry/scrape/SCRAPING.md").read_text(encoding="utf-8")
PROMTOOLS, PROMTOOL_ABSENT = find_or_explain("promtool")

LISTED = """\
cluster: demo
servers:
  - {name: server-1, address: "10.0.0.1:4646", datacenter: dc1}
  - {name: server-2, address: "10.0.0.2:4646"}
clients: [{name: client-1, address: "10.0.1.1:4646"}]
exporters: [{name: exporter-1, address: "127.0.0.1:4650"}]
"""
TWO_REGIONS = """\
cluster: demo
regions:
  - {name: eu, expected_servers: 3}
  - {name: us, expected_servers: 3, servers: [{name: us-1, address: "10.1.0.1:4646"}]}
"""
DISCOVERIES = {
    "static": "",
    "file": "discovery: file\n",
    "http": "discovery: http\nhttp: {url: 'https://sd.example.com/nomad?team=a', token_file: token, ca_file: ca.pem}\n",
    "dns": "discovery: dns\ndns: {servers: _nomad._tcp.example.com, clients: [a.example.com, b.example.com]}\n",
    "dns-a": "discovery: dns\ndns: {servers: nomad.example.com, type: A, port: 14646}\n",
    "consul": "discovery: consul\nconsul: {scheme: https, ca_file: ca.pem, token_file: token, prometheus: prometheus}\n",
    "nomad": "discovery: nomad\nnomad: {server: 'https://nomad:4646', ca_file: ca.pem, token_file: token}\n",
}
ACCESSES = {
    "plain": "",
    "tls": "scrape: {scheme: https, ca_file: ca.pem, server_name: '{role}.{region}.nomad', timeout: 4s}\n",
    "mutual": "scrape: {scheme: https, ca_file: ca.pem, cert_file: cert.pem, key_file: key.pem}\n",
    "bearer": "scrape: {token_file: token, size: {jobs: 100, tasks_per_client: 50}}\n",
}
HEADER = "prometheus_version: '2.55'\nscrape: {token_file: token, token_header: X-Nomad-Token}\n"


def job(text: str, name: str) -> dict:
    [config] = [each for each in scrape_configs(parse_settings(text).description) if each["job_name"] == name]
    return config


def write(folder: Path, text: str, without: str = "") -> str:
    """Write prometheus.yml alone, as the rules are checked elsewhere; *without* one kind of discovery."""
    config = prometheus_config(parse_settings(text).description, [])
    for each in config["scrape_configs"]:
        each.pop(without, None)
    folder.mkdir(exist_ok=True)
    for name in ("ca.pem", "cert.pem", "key.pem", "token"):
        (folder / name).write_text("a secret")
    (folder / "prometheus.yml").write_text(to_yaml(config))
    return str(folder / "prometheus.yml")


@pytest.mark.skipif(not PROMTOOLS, reason=PROMTOOL_ABSENT)
@pytest.mark.parametrize("promtool", PROMTOOLS, ids=str)
@pytest.mark.parametrize("access", ACCESSES)
@pytest.mark.parametrize("discovery", DISCOVERIES)
def test_prometheus_takes_every_discovery_with_every_access(promtool, discovery, access, tmp_path):
    """
    Promtool accepts the configuration, of one region and of several; one built without a discovery misses that alone.
    """
    listed = LISTED if access in {"plain", "tls"} or discovery in {"static", "file", "nomad"} else TWO_REGIONS
    text = listed + DISCOVERIES[discovery] + ACCESSES[access]

    said = promtool.run("check", "config", write(tmp_path, text))

    field = f"{discovery}_sd_configs"
    if f"field {field} not found" in said.stderr + said.stdout:
        # Debian builds Prometheus without Consul's and Nomad's libraries.
        assert field in {"consul_sd_configs", "nomad_sd_configs"}
        said = promtool.run("check", "config", write(tmp_path, text, without=field))
    assert 0 == said.returncode, said.stdout + said.stderr


@pytest.mark.skipif(not PROMTOOLS, reason=PROMTOOL_ABSENT)
def test_a_build_says_why_debians_prometheus_refuses_consul(tmp_path):
    """
    Whoever has a Prometheus without it reads what to take instead; with it, the file is good.
    """
    settings = parse_settings(LISTED + "discovery: consul\n")
    generate.build(settings, tmp_path)

    said = generate.check(settings, tmp_path)[0]

    has_consul = "consul_sd_configs not found" not in said.output
    assert has_consul == said.passed, said.output
    assert has_consul or said.output.endswith("take upstream's, or discovery http or file")


@pytest.mark.skipif(not PROMTOOLS, reason=PROMTOOL_ABSENT)
@pytest.mark.parametrize("promtool", PROMTOOLS, ids=str)
def test_a_header_of_ones_own_is_for_a_newer_prometheus(promtool, tmp_path):
    """
    Prometheus 2.42 refuses the file and one from 2.55 on takes it, as `prometheus_version` has it.
    """
    said = promtool.run("check", "config", write(tmp_path, LISTED + HEADER))

    is_new = tuple(map(int, promtool.version.split(".")[:2])) >= (2, 55)
    assert is_new == (said.returncode == 0), said.stdout + said.stderr


def test_what_is_found_gives_way_to_what_is_listed():
    """
    A listed server stays a target whatever Consul says, and is never scraped under a second name.
    """
    config = job(LISTED + DISCOVERIES["consul"], "nomad-server")

    assert [["10.0.0.1:4646"], ["10.0.0.2:4646"]] == [group["targets"] for group in config["static_configs"]]
    assert all("yes" == group["labels"]["__tmp_listed"] for group in config["static_configs"])
    drops = [rule for rule in config["relabel_configs"] if rule.get("action") == "drop"]
    assert [r";(?:10\.0\.0\.1:4646|10\.0\.0\.2:4646)", ";(?:server-1|server-2)"] == [rule["regex"] for rule in drops]


def test_a_nomad_in_consul_is_asked_for_by_its_http_entry():
    """
    A server is registered for http, rpc and serf; only http is scraped, whatever its health.
    """
    [consul] = job(LISTED + "discovery: consul\n", "nomad-server")["consul_sd_configs"]
    [clients] = job(LISTED + "discovery: consul\n", "nomad-client")["consul_sd_configs"]

    assert {"server": "127.0.0.1:8500", "services": ["nomad"], "tags": ["http"]} == consul
    assert ["nomad-client"] == clients["services"]


def test_every_discovery_gives_the_same_labels():
    """
    Cluster, region and role are constants; instance and datacenter come from where the target was found.
    """
    for discovery in ("dns", "consul", "nomad", "http"):
        rules = job(LISTED + DISCOVERIES[discovery], "nomad-client")["relabel_configs"]

        constants = {rule["target_label"]: rule["replacement"] for rule in rules if "replacement" in rule}
        assert {"cluster": "demo", "region": "global", "role": "client"} == constants
    renamed = {"dns": {"instance"}, "consul": {"instance", "datacenter"}, "nomad": {"datacenter"}, "http": set()}
    for discovery, labels in renamed.items():
        rules = job(LISTED + DISCOVERIES[discovery], "nomad-client")["relabel_configs"]
        assert labels == {rule["target_label"] for rule in rules if "source_labels" in rule and "target_label" in rule}


def test_regions_that_are_found_have_jobs_of_their_own_and_one_label_job():
    """
    A found target does not say its region, so each region is looked up apart; rules see one job.
    """
    configs = scrape_configs(parse_settings(TWO_REGIONS + DISCOVERIES["dns"]).description)

    servers = [config for config in configs if config["job_name"].startswith("nomad-server")]
    assert ["nomad-server-demo-eu", "nomad-server-demo-us"] == [config["job_name"] for config in servers]
    assert all({"target_label": "job", "replacement": "nomad-server"} in each["relabel_configs"] for each in servers)
    assert "static_configs" not in servers[0]


def test_a_region_may_be_found_in_its_own_way():
    """
    The section of a region replaces that of the whole file.
    """
    text = TWO_REGIONS.replace("name: us,", "name: us, consul: {server: 'us:8500', datacenter: us},")

    def asked(name: str) -> str:
        return job(text + "discovery: consul\n", name)["consul_sd_configs"][0]["server"]

    assert ("127.0.0.1:8500", "us:8500") == (asked("nomad-server-demo-eu"), asked("nomad-server-demo-us"))


def test_certificates_are_checked_by_role_and_region():
    """
    The name of a Nomad's certificate says both.
    """
    text = LISTED + ACCESSES["tls"]

    names = [job(text, name)["tls_config"]["server_name"] for name in ("nomad-server", "nomad-client")]

    assert ["server.global.nomad", "client.global.nomad"] == names
    assert "https" == job(text, "nomad-server")["scheme"]


def test_the_exporter_has_a_plain_job_of_its_own():
    """
    It is scraped at /metrics, without Nomad's parameters, with role exporter.
    """
    config = job(LISTED, "outrider-exporter")

    labels = {"cluster": "demo", "region": "global", "role": "exporter", "instance": "exporter-1"}
    assert {
        "job_name": "outrider-exporter",
        "static_configs": [{"targets": ["127.0.0.1:4650"], "labels": labels}],
    } == config


def test_watchers_can_be_found_in_consul():
    """
    With a service of their own they are looked up; else they are where the settings say.
    """
    config = job(LISTED + DISCOVERIES["consul"], "prometheus")

    assert ["prometheus"] == config["consul_sd_configs"][0]["services"]
    assert "static_configs" in job(LISTED + DISCOVERIES["consul"], "alertmanager")


def test_file_discovery_reads_what_is_found_beside_what_is_listed():
    """
    `outrider build` and `outrider discovery write` have files of their own, so neither empties the other's.
    """
    config = job(LISTED + DISCOVERIES["file"], "nomad-server")

    files = [each["files"] for each in config["file_sd_configs"]]
    assert [["targets/nomad-server.json"], ["targets/discovered/nomad-server.json"]] == files


def test_the_timeout_can_be_shorter_than_the_interval():
    """
    It stands in the global part.
    """
    config = prometheus_config(parse_settings(LISTED + "scrape: {timeout: 3s}\n").description, [])

    assert "3s" == config["global"]["scrape_timeout"]


@pytest.mark.parametrize(
    ("extra", "error"),
    [
        ("consul: {}\n", "o.yaml:7: consul is for `discovery: consul`, and discovery is static; change one of the two"),
        ("discovery: dns\ndns: {type: SRV}\n", "o.yaml:8: dns.servers and `clients` are missing; name the records"),
        ("discovery: dns\ndns: {servers: a, type: MX}\n", "o.yaml:8: dns.type is 'MX'; choose one of SRV, A, AAAA"),
        ("discovery: dns\ndns: {servers: a, port: 0}\n", "o.yaml:8: dns.port cannot be used: the port 0 is not"),
        ("discovery: http\nhttp: {url: here}\n", "o.yaml:8: http.url cannot be used: 'here' is no URL; write one"),
        ("discovery: nomad\nnomad: {server: here}\n", "o.yaml:8: nomad.server cannot be used: 'here' is no URL"),
        ("discovery: consul\nconsul: {server: 'http://a'}\n", "consul.server cannot be used: 'http://a' is not host"),
        ("discovery: consul\nconsul: {sever: a}\n", "o.yaml:8: consul.sever is not a known setting; did you mean"),
        (
            "discovery: consul\nconsul: {token: hunter2}\n",
            "o.yaml:8: consul.token does not belong here; put it into a file and name that in token_file",
        ),
        ("scrape: {timeout: 6s}\n", "o.yaml:7: scrape.timeout is 6s and scrape_interval 5s; Prometheus takes none"),
        ("scrape: {ca_file: a}\n", "o.yaml:7: scrape.ca_file cannot be used: certificates and server_name are for"),
        ("scrape: {scheme: https, cert_file: a}\n", "o.yaml:7: scrape.cert_file cannot be used: cert_file is 'a' and"),
        ("scrape: {scheme: ftp}\n", "o.yaml:7: scrape.scheme is 'ftp'; choose one of http, https"),
        ("scrape: {token_header: X}\n", "o.yaml:7: scrape.token_header cannot be used: token_header is 'X' without"),
        (
            "scrape: {token_file: a, token_header: X-Nomad-Token}\n",
            "which Prometheus sends from 2.55 on, and prometheus_version is 2.42; remove it (a Nomad takes",
        ),
        ("scrape: {size: {jobs: 0}}\n", "o.yaml:7: scrape.size.jobs is 0; it must be at least 1"),
        ("prometheus_version: new\n", "o.yaml:7: prometheus_version is 'new'; write one such as \"2.42\""),
        ("prometheus_version: 2.30\n", "o.yaml:7: prometheus_version is 2.30; the oldest that is supported is 2.42"),
    ],
)
def test_a_mistake_about_scraping_is_named_by_place_value_and_remedy(extra, error):
    """
    One sentence says file, line, field, value and what to write instead.
    """
    with pytest.raises(SettingsError) as said:
        parse_settings(LISTED + extra, "o.yaml")

    assert error in str(said.value)
    assert "hunter2" not in str(said.value)


def test_without_a_list_the_expected_size_is_asked_for():
    """
    What is found cannot say how many there should be.
    """
    with pytest.raises(SettingsError, match=r"o\.yaml:1: expected_servers is missing; without a list of servers"):
        parse_settings("cluster: demo\ndiscovery: consul\n", "o.yaml")


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
def test_every_example_of_the_page_is_accepted(example):
    """
    What SCRAPING.md shows can be pasted below a cluster and its servers.
    """
    assert parse_settings(example if "cluster:" in example else LISTED + example)

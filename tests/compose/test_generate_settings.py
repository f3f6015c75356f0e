"""outrider.yaml: what it means, and what is said of a mistake in it."""

import pytest

from compose.settings import load_settings, parse_settings
from compose.yaml_reader import SettingsError
from telemetry.scrape.description import Discovery

MINIMAL = """\
cluster: demo
servers:
  - name: server-1
    address: 127.0.0.1:4646
  - {name: server-2, address: "127.0.0.1:4656"}
  - {name: server-3, address: "127.0.0.1:4666"}
"""


def test_a_cluster_and_its_servers_are_enough():
    """
    Everything else has the shipped values.
    """
    settings = parse_settings(MINIMAL)

    [region] = settings.description.regions
    assert ("demo", "global", 3, 2) == (settings.cluster, region.name, region.expected_servers, region.quorum)
    times = settings.rules.times
    assert (5, 5, 5, 60, 14_400) == (
        times.scrape_interval_seconds,
        times.evaluation_interval_seconds,
        times.group_wait_seconds,
        times.group_interval_seconds,
        times.repeat_interval_seconds,
    )


def test_the_expected_size_can_differ_from_the_servers_listed():
    """
    A server that is not built yet can be expected.
    """
    settings = parse_settings(MINIMAL + "expected_servers: 5\n")

    assert 5 == settings.rules.regions[0].expected_servers


def test_an_exporter_belongs_to_its_region():
    """
    It is listed beside the servers; without one there is none.
    """
    [watched] = parse_settings(MINIMAL + 'exporters: [{name: e, address: "127.0.0.1:4650"}]\n').description.regions
    [other] = parse_settings(MINIMAL).description.regions

    assert ["127.0.0.1:4650"] == [target.address for target in watched.exporters]
    assert () == other.exporters


def test_several_regions_stand_in_a_list():
    """
    Each region has its own servers and expected size.
    """
    text = """\
cluster: demo
discovery: file
regions:
  - name: eu
    servers: [{name: a, address: "a:4646"}]
    clients: [{name: b, address: "b:4646"}]
  - name: us
    expected_servers: 3
    servers: [{name: a, address: "c:4646"}]
"""

    settings = parse_settings(text)

    assert [("eu", 1), ("us", 3)] == [(region.name, region.expected_servers) for region in settings.rules.regions]
    assert Discovery.FILE is settings.description.discovery


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "o.yaml:1: there are no settings; start with `cluster: NAME`"),
        ("cluster: [\n", "o.yaml:2: this is not YAML"),
        ("servers: []\n", "o.yaml:1: cluster is missing; write it here"),
        ("cluster: a\n", "o.yaml:1: servers is missing or empty; list each server with name and address"),
        (
            MINIMAL + "expected_server: 3\n",
            "o.yaml:7: expected_server is not a known setting; did you mean 'expected_servers'?",
        ),
        (MINIMAL + "scrape_interval: 5\n", 'o.yaml:7: scrape_interval is \'5\'; write a duration such as "5s" or "1m"'),
        (MINIMAL + "scrape_interval: 30s\n", "o.yaml:7: scrape_interval is 30s; the rules need at most 15s"),
        (MINIMAL + "group_wait: 0s\n", "o.yaml:7: group_wait is '0s'; it must be longer than 0s"),
        (
            MINIMAL + "repeat_interval: 30s\n",
            "o.yaml:7: repeat_interval is 30s and group_interval 60s; repeat no more often",
        ),
        (MINIMAL + "expected_servers: 0\n", "o.yaml:7: expected_servers is 0; it must be at least 1"),
        (
            MINIMAL + "expected_servers: three\n",
            "o.yaml:7: expected_servers is 'three'; write a whole number such as 3",
        ),
        (
            MINIMAL + "discovery: etcd\n",
            "o.yaml:7: discovery is 'etcd'; choose one of static, file, http, dns, consul, nomad",
        ),
        (MINIMAL + "prometheus: here\n", "o.yaml:7: prometheus is 'here'; write host:port, such as '127.0.0.1:9090'"),
        (MINIMAL + "cluster: b\n", "o.yaml:7: cluster stands twice; keep one"),
        (MINIMAL + "exporters: [{name: e, address: nowhere}]\n", "exporters[0].address is 'nowhere'; write host:port"),
        (MINIMAL + "regions: []\n", "stands beside `regions`; move it into one of the regions"),
        (MINIMAL + 'clients: [{name: server-1, address: "a:1"}]\n', "the name 'server-1' stands twice; rename one"),
        (MINIMAL + "clients:\n  - {name: c, address: a}\n", "o.yaml:8: clients[0].address is 'a'; write host:port"),
        (
            MINIMAL + "receivers:\n  - name: x\n",
            "o.yaml:8: receivers[0].name is 'x', a receiver that needs one of webhook, email",
        ),
        (
            MINIMAL + 'receivers:\n  - name: x\n    webhook: {url: "ftp://a"}\n',
            "o.yaml:9: receivers[0].webhook.url is 'ftp://a'",
        ),
        (
            MINIMAL + 'receivers:\n  - name: x\n    severities: [loud]\n    webhook: {url: "http://a"}\n',
            "o.yaml:9: receivers[0].severities is 'loud'; choose one of critical, warning",
        ),
        (
            MINIMAL + 'receivers:\n  - name: x\n    email: {to: a, from: b, smarthost: "c:25", password: hunter2}\n',
            "password does not belong here; put it into a file and name it in password_file",
        ),
        (MINIMAL + "links: 3\n", "o.yaml:7: links is not a group of fields; indent its fields below it"),
    ],
)
def test_a_mistake_is_named_by_place_value_and_remedy(text, error):
    """
    One sentence says file, line, field, value and what to write instead.
    """
    with pytest.raises(SettingsError) as said:
        parse_settings(text, "o.yaml")

    assert error in str(said.value)
    assert "hunter2" not in str(said.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    """
    The path and the remedy stand in the error.
    """
    with pytest.raises(SettingsError, match=r"o\.yaml: there is no such file; name another with -f"):
        load_settings(tmp_path / "o.yaml")

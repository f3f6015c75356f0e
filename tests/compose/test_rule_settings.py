"""The parts of outrider.yaml about rules, and what is said of a mistake in them."""

import pytest

from alert_rules.settings import Severity
from compose.generate import artefacts
from compose.settings import parse_settings
from compose.yaml_reader import SettingsError

SERVERS = """\
servers:
  - {name: server-1, address: "127.0.0.1:4646"}
  - {name: server-2, address: "127.0.0.1:4656"}
  - {name: server-3, address: "127.0.0.1:4666"}
"""
MINIMAL = "cluster: demo\n" + SERVERS


def test_numbers_holds_and_severities_are_read_in_their_units():
    """
    Durations, milliseconds, shares and counts stand as a person writes them.
    """
    text = """\
rules:
  NomadCommitSlow: {limit: 50ms, for: 5m, severity: critical}
  NomadRaftSaturated: {share: "70%"}
  NomadFileDescriptorsLow: {share: 0.9}
  NomadEvaluationBacklog: {evaluations: 500}
  NomadCertificateExpiring: {left: 30d, labels: {team: security}}
  NomadVersionSkew: {enabled: false}
"""

    choices = parse_settings(MINIMAL + text).rules.choices

    commit = choices["NomadCommitSlow"]
    assert ({"limit": 50.0}, 300.0, Severity.CRITICAL) == (commit.numbers, commit.hold_seconds, commit.severity)
    assert {"share": 0.7} == choices["NomadRaftSaturated"].numbers
    assert {"share": 0.9} == choices["NomadFileDescriptorsLow"].numbers
    assert {"evaluations": 500.0} == choices["NomadEvaluationBacklog"].numbers
    assert {"left": 30 * 86_400.0} == choices["NomadCertificateExpiring"].numbers
    assert {"team": "security"} == choices["NomadCertificateExpiring"].labels
    assert not choices["NomadVersionSkew"].enabled


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules: {NomadComitSlow: {}}", ":6: rules.NomadComitSlow is no alert; did you mean 'NomadCommitSlow'?"),
        (
            "rules: {NomadCommitSlow: {limt: 5}}",
            ":6: rules.NomadCommitSlow.limt is not a known setting; did you mean 'limit'?",
        ),
        (
            "rules: {NomadCommitSlow: {limit: fast}}",
            """rules.NomadCommitSlow.limit is 'fast'; write a duration such as "100ms\"""",
        ),
        ("rules: {NomadCommitSlow: {limit: 0.5}}", "rules.NomadCommitSlow.limit is '0.5'; it must be 1 ms to 60000 ms"),
        (
            "rules: {NomadServerDown: {for: 5s}}",
            "`for` is 5s, and NomadClusterShrunk, which silences it, may take longer to fire",
        ),
        (
            "rules: {NomadServerDown: {severity: bad}}",
            "rules.NomadServerDown.severity is 'bad'; choose one of critical, warning, info",
        ),
        (
            "rules: {NomadServerDown: {labels: {severity: x}}}",
            "labels.severity is a label that the rules give themselves",
        ),
        (
            "alert_labels: {'te am': x}",
            "alert_labels.te am is 'te am'; a label's name has letters, digits and underscores",
        ),
        ("labels: {instance: ''}", "labels.instance is empty; every target of Prometheus has one, name it"),
        ("labels: {cluster: x, region: x}", "labels gives one name to two labels: x, x; they must differ"),
        ("selectors: {servers: job=nomad}", "selectors.servers is 'job=nomad'; write matchers as between braces"),
        ("windows: {mean: 10s}", "windows.mean is 10s; it must hold four scrapes, 22s at least"),
        ("prometheus: [a]", "prometheus is 'a'; write host:port"),
        ("alertmanager: ['a:1', 'a:1']", "alertmanager is ['a:1', 'a:1']; name each address once"),
        ("replica_label: replica", "replica_label is 'replica', which external_labels do not have; add it there"),
        ("clusters: []", "cluster stands beside `clusters`; move it into one of the clusters"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_remedy(text, said):
    """
    One sentence says file, line, field, value and what to write.
    """
    with pytest.raises(SettingsError) as refused:
        parse_settings(MINIMAL + text)

    assert said in str(refused.value)
    assert str(refused.value).startswith("outrider.yaml:")


def test_several_clusters_share_one_prometheus():
    """
    Each has its regions and sizes; one set of rules and one configuration watch all of them.
    """
    indented = "".join(f"    {line}\n" for line in SERVERS.splitlines())
    text = f"clusters:\n  - name: eu\n{indented}  - name: us\n    expected_servers: 5\n{indented}"

    settings = parse_settings(text)

    assert ("eu", "us") == settings.rules.clusters == settings.description.clusters
    assert [("eu", 3), ("us", 5)] == [(region.cluster, region.expected_servers) for region in settings.rules.regions]
    files = artefacts(settings)
    assert files["prometheus.yml"].count("cluster: eu") == files["prometheus.yml"].count("cluster: us") == 3
    assert 'cluster=~"eu|us"' in files["rules/nomad.yml"]


def test_a_pair_of_each_is_scraped_and_told_of():
    """
    Both Prometheus servers are scraped, alerts go to both Alertmanagers, and the replica's label stays behind.
    """
    text = """\
prometheus: ["10.0.0.1:9090", "10.0.0.2:9090"]
alertmanager: ["10.0.0.1:9093", "10.0.0.2:9093"]
external_labels: {replica: a}
replica_label: replica
"""

    files = artefacts(parse_settings(MINIMAL + text))

    assert files["prometheus.yml"].count("10.0.0.2:9090") == 1
    assert files["prometheus.yml"].count("10.0.0.2:9093") == 2
    assert "alert_relabel_configs:\n  - action: labeldrop\n    regex: replica\n" in files["prometheus.yml"]
    assert 'prometheus_notifications_alertmanagers_discovered{job="prometheus"} < 2' in files["rules/nomad.yml"]


def test_the_rules_are_there_for_the_operator_too():
    """
    A PrometheusRule holds the same groups, named and labelled as its Prometheus selects it.
    """
    text = "kubernetes: {name: nomad, namespace: monitoring, labels: {release: kube-prometheus}}\n"

    manifest = artefacts(parse_settings(MINIMAL + text))["kubernetes/prometheusrule.yml"]

    assert "kind: PrometheusRule" in manifest
    assert "  name: nomad\n  namespace: monitoring\n" in manifest
    assert "    release: kube-prometheus\n" in manifest
    assert "alert: NomadQuorumLost" in manifest

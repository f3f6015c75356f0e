"""The rules written for the labels and selectors of somebody else's Prometheus."""

import pytest

from alert_rules.dialect import Dialect
from alert_rules.promql import is_selector
from alert_rules.rules import rule_files, rule_set
from alert_rules.settings import ExpectedRegion, RuleSettings

ONE = RuleSettings(cluster="demo", regions=(ExpectedRegion(name="global", expected_servers=3),))
RENAMED = Dialect(labels={"cluster": "env", "region": "", "instance": "node"}, clusters=("eu",))


def documents(**changes):
    settings = RuleSettings(**({"cluster": "demo", "regions": ONE.regions} | changes))
    return [rule for group in rule_files(settings)["rules/nomad.yml"]["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("rule", [*rule_set(ONE).alerts, *rule_set(ONE).recording], ids=lambda rule: str(rule)[:40])
def test_our_own_labels_change_nothing(rule):
    """
    A rule is the same text in the dialect it is written in.
    """
    assert rule.expr == Dialect().expression(rule.expr)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("sum by (cluster, region) (up)", 'sum by (env) (up{env="eu"})'),
        ("sum(up) by (region)", 'sum(up{env="eu"}) by ()'),
        ('up{instance="a", region="b"}', 'up{env="eu", node="a"}'),
        ("a and on (cluster, instance) b", 'a{env="eu"} and on (env, node) b{env="eu"}'),
        ("a * on (region) group_left (instance) b", 'a{env="eu"} * on () group_left (node) b{env="eu"}'),
        ("rate(x[22s]) offset 1m # a comment", 'rate(x{env="eu"}[22s]) offset 1m # a comment'),
        ("sum_over_time((a - b)[10m:22s])", 'sum_over_time((a{env="eu"} - b{env="eu"})[10m:22s])'),
        (
            'label_replace(a, "instance", "$1", "server", "(.+)")',
            'label_replace(a{env="eu"}, "node", "$1", "server", "(.+)")',
        ),
        ("prometheus_build_info", "prometheus_build_info"),
        ('a{note="by (cluster)"} > 0.5e3', 'a{env="eu", note="by (cluster)"} > 0.5e3'),
        ('a{cluster="us"}', 'a{env="us"}'),
        ("a unless bool_of_b or time() > 1", 'a{env="eu"} unless bool_of_b{env="eu"} or time() > 1'),
    ],
)
def test_labels_are_renamed_left_out_and_pinned(ours, theirs):
    """
    Groupings, matchers and label_replace name what is there; every series of the cluster is pinned to it.
    """
    assert theirs == RENAMED.expression(ours)


def test_a_role_becomes_the_selector_for_it():
    """
    Matchers for servers stand where `role="server"` stood; a selector of a watcher is not pinned to a cluster.
    """
    dialect = Dialect(
        selectors={"server": 'job="nomad", tier="srv"', "prometheus": 'job="prom"'}, clusters=("eu", "u.s")
    )

    assert 'up{cluster=~"eu|u\\\\.s", job="nomad", tier="srv"}' == dialect.expression('up{role="server"}')
    assert 'up{job="prom"}' == dialect.expression('up{role="prometheus"}')


def test_texts_name_the_labels_that_are_there_and_fill_in_the_others():
    """
    A summary never shows a label that an operator's alerts do not have.
    """
    dialect = Dialect(labels={"cluster": "env", "region": ""}, literals={"region": "global"})

    text = dialect.text("{{ $labels.instance }} of {{ $labels.cluster }} in {{ $labels.region }}: {{ $value }}")

    assert "{{ $labels.instance }} of {{ $labels.env }} in global: {{ $value }}" == text


def test_every_rule_can_be_written_without_cluster_and_region():
    """
    Where targets lack both, no rule speaks of them, and none is invented.
    """
    for rule in documents(label_names={"cluster": "", "region": ""}, selectors={"server": 'job="nomad"'}):
        text = str(rule)
        assert "$labels.cluster" not in text
        assert "$labels.region" not in text
        assert 'role="server"' not in text
        assert not {"cluster", "region"} & set(rule.get("labels", {}))


def test_every_series_of_a_cluster_is_pinned_to_it():
    """
    Another cluster in the same Prometheus is nobody's business: each series but the watchers' own names the clusters.
    """
    regions = (
        ExpectedRegion(name="global", expected_servers=3, cluster="eu"),
        ExpectedRegion(name="global", expected_servers=5, cluster="us"),
    )

    rules = documents(regions=regions)

    sizes = [rule for rule in rules if rule.get("record") == "outrider:servers_expected"]
    assert [("eu", "vector(3)"), ("us", "vector(5)")] == [(rule["labels"]["cluster"], rule["expr"]) for rule in sizes]
    of_clusters = [
        rule["expr"]
        for rule in rules
        if rule not in sizes and not rule.get("alert", "").startswith(("Outrider", "Watch"))
    ]
    assert all('cluster=~"eu|us"' in expr for expr in of_clusters)
    [dog] = [rule for rule in rules if rule.get("alert") == "Watchdog"]
    assert dog["expr"].count("vector(1)") == 2


@pytest.mark.parametrize(
    ("text", "good"),
    [('job="nomad"', True), ("job=~'a|b',x!=\"y\"", True), ("job=nomad", False), ("", True), ('a="b"} or up{', False)],
)
def test_a_selector_is_matchers_and_nothing_else(text, good):
    """
    What does not stand between braces, or leaves them, is no selector.
    """
    assert good is is_selector(text)

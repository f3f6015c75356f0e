"""Alerts before an operator's settings: numbers, holds, and giving way to causes."""

import pytest

from alert_rules.reference import defaults_yaml, document
from alert_rules.rule import RuleError
from alert_rules.rules import SPECS, rule_set
from alert_rules.settings import Choice, ExpectedRegion, RuleSettings, Severity, Times, Windows
from alert_rules.spec import AlertSpec, filled
from compose.settings import parse_settings
from telemetry.catalogue.metric import Unit

SHIPPED = RuleSettings(cluster="demo", regions=(ExpectedRegion(name="global", expected_servers=3),))
BY_NAME = {spec.alert: spec for spec in SPECS}


def chosen(alert, **choice):
    return rule_set(RuleSettings(cluster="demo", regions=SHIPPED.regions, choices={alert: Choice(**choice)}))


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.alert)
def test_every_default_has_a_reason_and_is_allowed(spec):
    """
    A hold and each number say why they are what they are, in a sentence, and lie within their own range.
    """
    assert spec.hold_why.endswith(".")
    for number in spec.numbers:
        assert number.why.endswith(".")
        assert number.least <= number.default <= number.most
        assert f"${number.name}" in spec.expr


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.alert)
def test_every_number_of_an_alert_reaches_its_rule(spec):
    """
    Another value of any number gives another expression.
    """
    shipped = rule_set(SHIPPED).alert(spec.alert).expr
    for number in spec.numbers:
        other = number.default * 0.5 if number.default * 0.5 >= number.least else min(number.default * 1.5, number.most)
        assert other != number.default, number.name
        assert shipped != chosen(spec.alert, numbers={number.name: other}).alert(spec.alert).expr, number.name


def test_a_number_out_of_range_is_refused_with_its_range():
    """
    The message names the alert, the number, its value and what it may be.
    """
    with pytest.raises(RuleError, match=r"NomadCommitSlow: limit is 0\.5 ms; it must be 1 ms to 60000 ms"):
        chosen("NomadCommitSlow", numbers={"limit": 0.5})


def test_an_alert_can_be_left_out_and_takes_its_silencing_with_it():
    """
    What is not enabled has no rule, and nothing gives way to it.
    """
    rules = chosen("NomadQuorumAtRisk", enabled=False)

    assert "NomadQuorumAtRisk" not in {rule.alert for rule in rules.alerts}
    assert "NomadQuorumAtRisk" not in rules.alert("NomadServerDown").expr


def test_severity_hold_and_labels_are_an_operators_choice():
    """
    What is chosen stands in the rule, in the words that Prometheus wants.
    """
    rule = chosen("NomadCommitSlow", severity=Severity.CRITICAL, hold_seconds=300.0, labels={"team": "storage"}).alert(
        "NomadCommitSlow"
    )

    document = rule.document(SHIPPED.links)

    assert "5m" == document["for"]
    assert {"severity": "critical", "team": "storage"} == document["labels"]
    assert "max without (alertname, alertstate, severity, team)" in document["expr"]


def test_a_hold_that_would_let_a_consequence_come_first_is_refused():
    """
    The message names the cause and the least hold.
    """
    with pytest.raises(
        RuleError, match=r"NomadServerDown: `for` is 10s, and NomadClusterShrunk.* set it to 85s or more"
    ):
        chosen("NomadServerDown", hold_seconds=10.0)


def test_slow_intervals_lengthen_the_holds_of_consequences():
    """
    With scrapes every 15 s a cause takes longer to fire, and its consequences wait for it.
    """
    slow = Times(scrape_interval_seconds=15, evaluation_interval_seconds=15)

    rules = rule_set(RuleSettings(cluster="demo", regions=SHIPPED.regions, times=slow))

    assert rules.alert("NomadServerDown").hold_seconds > rule_set(SHIPPED).alert("NomadServerDown").hold_seconds


def test_windows_are_settings():
    """
    Means and counts look back as far as the settings say, and the texts say so.
    """
    windows = Windows(mean_seconds=120, recent_seconds=240, events_seconds=1200)

    rules = rule_set(RuleSettings(cluster="demo", regions=SHIPPED.regions, windows=windows))

    expressions = {rule.record.name: rule.expr for rule in rules.recording}
    assert "[2m]" in expressions["outrider:commit_milliseconds"]
    assert "[4m:1s]" in expressions["outrider:heartbeats_missed"]
    assert "[20m:5s]" in expressions["outrider:elections"]
    assert "within 20m" in rules.alert("NomadLeaderFlapping").description


def test_a_word_that_nobody_knows_is_refused():
    """
    A misspelt number would reach Prometheus as it stands.
    """
    with pytest.raises(RuleError, match=r"X: \$limt is no number of it; there are limit"):
        filled("a > $limt", {"limit": "1"}, "X")


def test_an_alert_without_causes_is_left_as_it_is():
    """
    Only what is silenced by something is written to give way.
    """
    assert "ALERTS" not in rule_set(SHIPPED).alert("NomadQuorumLost").expr
    assert "ALERTS" in rule_set(SHIPPED).alert("NomadNoLeader").expr


def test_the_defaults_are_settings_that_change_nothing():
    """
    What `outrider alert defaults` prints can be pasted into outrider.yaml, and gives the rules there were.
    """
    servers = "".join(f'  - {{name: s{number}, address: "127.0.0.1:{number}"}}\n' for number in (1, 2, 3))
    plain = parse_settings(f"cluster: demo\nservers:\n{servers}")

    pasted = parse_settings(f"cluster: demo\nservers:\n{servers}{defaults_yaml(plain.rules)}")

    assert rule_set(plain.rules) == rule_set(pasted.rules)
    assert len(pasted.rules.choices) == len(SPECS)


def test_the_page_of_alerts_names_every_number():
    """
    Each alert has its section, with hold and numbers.
    """
    text = document(SHIPPED)

    for spec in SPECS:
        section = text.partition(f"## {spec.alert}\n")[2].partition("\n## ")[0]
        assert "- `for: " in section
        assert all(f"- `{number.name}: " in section for number in spec.numbers)


def test_a_number_is_shown_in_its_unit():
    """
    A share reads as percent, seconds as a duration.
    """
    [share] = [number for number in BY_NAME["NomadRaftSaturated"].numbers if number.unit is Unit.RATIO]
    [left] = BY_NAME["NomadCertificateExpiring"].numbers

    assert ("80 %", "14d") == (share.shown(0.8), left.shown(left.default))
    assert isinstance(BY_NAME["NomadNoLeader"], AlertSpec)

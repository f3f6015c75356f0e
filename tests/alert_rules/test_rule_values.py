"""Rules that cannot be built wrong, and what every shipped rule must have."""

import pytest

from alert_rules import budget, recorded
from alert_rules.budget import PROMISE_SECONDS_MAX
from alert_rules.inhibitions import EQUAL_LABELS, INHIBITIONS, Inhibition, in_order, inhibited_by
from alert_rules.rule import AlertRule, RecordingRule, RuleError
from alert_rules.rules import rule_files, rule_set
from alert_rules.settings import ExpectedRegion, Links, RuleSettings, Severity, Times
from telemetry.catalogue.metric import Unit

SHIPPED = RuleSettings(cluster="demo", regions=(ExpectedRegion(name="global", expected_servers=3),))
ALERTS = rule_set(SHIPPED).alerts
BY_NAME = {rule.alert: rule for rule in ALERTS}


def alert(**changes):
    values = {
        "alert": "A",
        "expr": "outrider:servers_up < 2",
        "severity": Severity.WARNING,
        "summary": "s",
        "description": "d",
        "onset": budget.SCRAPE,
    }
    return AlertRule(**(values | changes))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"expr": "nomad_no_such_thing > 0"}, "unknown metric"),
        ({"unit": Unit.SECONDS}, "its value is in 'count', and the rule says 's'"),
        ({"summary": "{{ $labels.instance }}"}, "$labels.instance"),
        ({"description": "{{ $labels.job }}"}, "$labels.job"),
    ],
)
def test_a_wrong_alert_cannot_be_built(changes, problem):
    """
    An alert with a dead metric, another unit or a label it lacks is refused where it is written.
    """
    with pytest.raises(RuleError) as refused:
        alert(**changes)

    assert problem in str(refused.value)


def test_a_recording_rule_yields_what_its_entry_says():
    """
    A recording rule whose labels differ from the catalogue is refused.
    """
    with pytest.raises(RuleError, match="the catalogue says"):
        RecordingRule(record=recorded.SERVERS_UP, expr="count(up)")


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule.alert)
def test_every_alert_says_what_an_operator_needs(rule):
    """
    An alert has a summary with its labels, a description with the value, a runbook page and a dashboard.
    """
    links = Links(runbook_base_url="https://runbooks.example", dashboard_url="https://grafana.example/d/x")

    document = rule.document(links)

    annotations = document["annotations"]
    assert "$labels.instance" in annotations["summary"] or "$labels.cluster" in annotations["summary"]
    assert "$value" in annotations["description"]
    assert f"https://runbooks.example/{rule.alert}.md" == annotations["runbook_url"]
    assert "https://grafana.example/d/x" == annotations["dashboard"]
    assert rule.severity.value == document["labels"]["severity"]


@pytest.mark.parametrize(
    "rule", [rule for rule in ALERTS if rule.severity in PROMISE_SECONDS_MAX], ids=lambda r: r.alert
)
def test_every_alert_promises_to_be_in_time(rule):
    """
    With the shipped times a page arrives within a minute, a warning within five.
    """
    assert rule.promised_seconds(SHIPPED.times) <= PROMISE_SECONDS_MAX[rule.severity]


def test_the_holds_are_the_same_at_the_intervals_of_the_proof():
    """
    What is proved with scrapes each second is held as long as what is shipped.
    """
    proof = Times(
        scrape_interval_seconds=1, evaluation_interval_seconds=1, group_wait_seconds=1, group_interval_seconds=2
    )
    fast = rule_set(RuleSettings(cluster="demo", regions=SHIPPED.regions, times=proof))

    assert [rule.hold_seconds for rule in ALERTS] == [rule.hold_seconds for rule in fast.alerts]


@pytest.mark.parametrize("row", INHIBITIONS, ids=lambda row: row.cause)
def test_both_sides_of_an_inhibition_have_its_labels(row):
    """
    A label that both sides lack would count as equal, and silence other clusters.
    """
    for name in (row.cause, *row.consequences):
        assert set(EQUAL_LABELS) <= BY_NAME[name].surely_labelled


@pytest.mark.parametrize("interval", [1.0, 5.0, 15.0])
@pytest.mark.parametrize("row", INHIBITIONS, ids=lambda row: f"{row.cause}-{len(row.consequences)}")
def test_a_consequence_is_held_until_its_cause_can_have_come(row, interval):
    """
    A consequence is notified no sooner than its cause fires at the latest; what both wait for cancels out.
    """
    times = Times(scrape_interval_seconds=interval, evaluation_interval_seconds=interval)
    rules = rule_set(RuleSettings(cluster="demo", regions=SHIPPED.regions, times=times))
    cause = rules.alert(row.cause)
    fires = budget.firing_seconds(cause.onset, cause.hold_seconds, times)
    if row.shares_onset:
        fires = cause.hold_seconds

    for name in row.consequences:
        assert fires <= rules.alert(name).hold_seconds + times.group_wait_seconds, name


def test_no_two_alerts_silence_each_other():
    """
    The table has an order in which every cause stands before what it silences.
    """
    names = [rule.alert for rule in ALERTS]

    ordered = in_order(names)

    assert sorted(names) == sorted(ordered)
    assert all(ordered.index(row.cause) < ordered.index(name) for row in INHIBITIONS for name in row.consequences)


def test_a_circle_of_silence_is_refused(monkeypatch):
    """
    Two alerts that silence each other would both be lost.
    """
    circle = (*INHIBITIONS, Inhibition(cause="NomadServerDown", consequences=("NomadQuorumLost",), why="a mistake"))
    monkeypatch.setattr("alert_rules.inhibitions.INHIBITIONS", circle)

    with pytest.raises(ValueError, match="silence each other"):
        in_order([rule.alert for rule in ALERTS])


def test_an_alert_knows_what_silences_it():
    """
    A server that is down is silenced by every outage, by the risk it makes, by metrics that are only missing, and by
    the shrinking it brings about.
    """
    silencers = inhibited_by("NomadServerDown")

    assert (
        "NomadQuorumLost",
        "NomadNoLeader",
        "NomadQuorumAtRisk",
        "NomadMetricsMissing",
        "NomadClusterShrunk",
    ) == silencers


def test_the_rule_files_are_stable():
    """
    The same settings give the same rules.
    """
    assert rule_files(SHIPPED) == rule_files(SHIPPED)


def test_each_region_has_its_own_expected_size():
    """
    Two regions of different size are judged by their own majority.
    """
    regions = (ExpectedRegion(name="eu", expected_servers=3), ExpectedRegion(name="us", expected_servers=5))

    [group] = rule_files(RuleSettings(cluster="demo", regions=regions))["rules/nomad.yml"]["groups"]

    sizes = [rule for rule in group["rules"] if rule.get("record") == "outrider:servers_expected"]
    assert [("eu", "vector(3)"), ("us", "vector(5)")] == [(rule["labels"]["region"], rule["expr"]) for rule in sizes]

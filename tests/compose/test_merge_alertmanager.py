"""Our parts in an operator's own Alertmanager configuration: theirs stays as it was, ours is replaced as a whole."""

from dataclasses import replace

import pytest
import yaml
from click.testing import CliRunner

from alert_rules.alertmanager import receivers_of
from alert_rules.alertmanager.fragment import fragment, mark_of, prefix_of
from alert_rules.receivers import Existing
from alert_rules.rules import rule_set
from alert_rules.settings import Receiver, Severity
from compose.build_command import build_command
from compose.merge_alertmanager import merge
from compose.yaml_reader import SettingsError
from tests.alert_rules.receiver_set_ups import NONE, SET_UPS, hook, takes
from tests.tools import find_or_explain

AMTOOLS, ABSENT = find_or_explain("amtool")
THEIRS = """\
# What the operator wrote.
global:
  smtp_smarthost: 'mail.example.com:587'
  smtp_from: "am@example.com"
  slack_api_url_file: /etc/slack
  resolve_timeout: 5m
templates: ['/etc/am/*.tmpl']
route:
  receiver: default
  group_by: [alertname, job]
  routes:
  - &db
    receiver: db
    matchers: [ 'service="mysql"' ]
    mute_time_intervals: [offhours]
    continue: yes
  - matchers:
    - team=~"frontend|web"
    receiver: web
  - match: {service: foo}
    receiver: "null"
  - receiver: pages
    matchers: [severity="critical"]
receivers:
- name: default
  email_configs: [{to: ops@example.com}]
- name: db
  webhook_configs:
  - url: "http://10.0.0.1/hook"
    http_config: {basic_auth: {username: "010", password_file: 'x'}}
- name: web
- name: pages
- name: 'null'
mute_time_intervals:
- name: offhours
  time_intervals:
  - times: [{start_time: 17:30, end_time: 24:00}]
    weekdays: ['monday:friday']
inhibit_rules:
- source_matchers: [severity="critical"]
  target_matchers: [severity="warning"]
  equal: [alertname]
"""
SMALLEST = "route: {receiver: default}\nreceivers: [{name: default}]\n"
THEIR_ALERTS = [
    {"alertname": "MySQLDown", "service": "mysql", "severity": "warning"},
    {"alertname": "Slow", "team": "web", "severity": "critical"},
    {"alertname": "Foo", "service": "foo"},
    {"alertname": "Disk", "severity": "critical", "cluster": "demo"},
    {"alertname": "Disk"},
    # Names of ours about a cluster that is not ours: theirs.
    {"alertname": "Watchdog", "severity": "none"},
    {"alertname": "NomadServerDown", "severity": "warning", "cluster": "other"},
    {"alertname": "NomadServerDown", "severity": "critical"},
]
OURS = replace(
    NONE,
    mute_times=SET_UPS["mute"][0].mute_times,
    receivers=(hook("pages", watchdog=True), hook("day", mute=("nights",), teams=("core",))),
)


@pytest.fixture(params=AMTOOLS or [pytest.param(None, marks=pytest.mark.skip(reason=ABSENT))], ids=str)
def amtool(request):
    return request.param


def alerts(settings):
    """
    Return the names of all alerts of ours, one that names no cluster among them, and whether they do.
    """
    named = {rule.alert: "cluster" in rule.surely_labelled for rule in rule_set(settings).alerts}
    return {**named, "OutriderTest": True, "OutriderOfPrometheus": False}


def merged(existing, settings=OURS, file="theirs.yml", wanted=()):
    """
    Return *existing* with the parts of *settings*.
    """
    parts = fragment(settings, alerts(settings))
    return merge(existing, parts, prefix=prefix_of(settings), mark=mark_of(settings), file=file, wanted=wanted)


def routed(amtool, config, labels):
    """
    Return the receivers that amtool finds.
    """
    given = [f"{name}={value}" for name, value in labels.items()]
    said = amtool.run("config", "routes", "test", f"--config.file={config}", *given)
    assert 0 == said.returncode, said.stderr
    return said.stdout.strip().split(",")


@pytest.mark.parametrize("theirs", [THEIRS, SMALLEST], ids=["large", "smallest"])
@pytest.mark.parametrize("name", SET_UPS)
def test_amtool_accepts_every_set_up_merged(amtool, theirs, name, tmp_path):
    """
    Whatever receivers we have, and however much the operator has, the result is a configuration.
    """
    settings, version = SET_UPS[name]
    if not takes(amtool, version):
        pytest.skip(f"needs Alertmanager {version}")
    (tmp_path / "alertmanager.yml").write_text(merged(theirs, settings))

    said = amtool.run("check-config", str(tmp_path / "alertmanager.yml"))

    assert 0 == said.returncode, said.stdout + said.stderr


def test_their_alerts_go_where_they_went(amtool, tmp_path):
    """
    Every alert that is not ours reaches the same receivers, in the same order, before and after.
    """
    (tmp_path / "before.yml").write_text(THEIRS)
    (tmp_path / "after.yml").write_text(merged(THEIRS))

    for labels in THEIR_ALERTS:
        before = routed(amtool, tmp_path / "before.yml", labels)
        assert before == routed(amtool, tmp_path / "after.yml", labels), labels


@pytest.mark.parametrize("name", ["severities", "teams", "clusters", "mute"])
def test_our_alerts_go_to_our_receivers_alone(amtool, name, tmp_path):
    """
    Each alert reaches the receivers of the whole configuration, and none of theirs, not even one that catches all.
    """
    settings, _ = SET_UPS[name]
    config = tmp_path / "after.yml"
    config.write_text(merged(THEIRS, settings))

    for rule in rule_set(settings).alerts:
        labels = {"alertname": rule.alert, "severity": rule.severity.value, "cluster": "demo", "region": "global"}
        expected = receivers_of(settings, rule.alert, rule.severity.value)
        found = routed(amtool, config, labels | settings.alert_labels)
        assert [f"outrider/demo/{each}" for each in expected] == found, rule.alert
    found = routed(amtool, config, {"alertname": "OutriderOfPrometheus", "severity": "warning"})
    expected = receivers_of(settings, "OutriderOfPrometheus", "warning", {"cluster": "", "team": ""})
    assert [f"outrider/demo/{each}" for each in expected] == found


def test_theirs_is_untouched_and_in_order():
    """
    Taking ours out again leaves every value of theirs, quoted or not, where it was.
    """
    text = merged(THEIRS)
    back = merge(text, {}, prefix=prefix_of(OURS), mark=mark_of(OURS), file="merged.yml")

    assert yaml.load(THEIRS, yaml.BaseLoader) == yaml.load(back, yaml.BaseLoader) | {  # noqa: S506, texts alone
        "templates": ["/etc/am/*.tmpl"]
    }
    assert 'username: "010"' in text
    assert "continue: yes" in text
    assert "start_time: '17:30'" in text


def test_merging_twice_gives_the_same_bytes():
    """
    What is ours is replaced, not added, also when it has changed.
    """
    for theirs in (THEIRS, SMALLEST):
        first = merged(theirs)

        assert first == merged(first)
        assert merged(theirs, NONE) == merged(merged(theirs), NONE)
        changed = replace(OURS, receivers=OURS.receivers[:1], mute_times=())
        assert merged(theirs, changed) == merged(first, changed)


def test_two_clusters_stand_beside_each_other(amtool, tmp_path):
    """
    The parts of another cluster are not ours to replace.
    """
    other = replace(OURS, cluster="eu")
    both = merged(merged(THEIRS), other)
    (tmp_path / "both.yml").write_text(both)

    assert both == merged(both, other)
    for cluster in ("demo", "eu"):
        labels = {"alertname": "NomadQuorumLost", "severity": "critical", "cluster": cluster}
        assert [f"outrider/{cluster}/pages"] == routed(amtool, tmp_path / "both.yml", labels)


def test_what_is_shared_by_an_anchor_stays_shared():
    """
    An anchor of theirs survives, and a list that it names elsewhere does not get our entries.
    """
    theirs = """\
route: {receiver: a, routes: &same [{receiver: a, matchers: [x="y"]}]}
receivers: [{name: a}]
x-routes: *same
"""

    document = yaml.safe_load(merged(theirs))

    assert 1 == len(document["x-routes"])
    assert document["x-routes"] == document["route"]["routes"][-1:]
    assert 1 < len(document["route"]["routes"])


def test_our_alerts_can_go_to_a_receiver_of_theirs(amtool, tmp_path):
    """
    Pages reach the receiver that the operator has, by our route and with its grouping, warnings one of ours.
    """
    receivers = (
        Receiver(name="oncall", channel=Existing(receiver="pages"), severities=(Severity.CRITICAL,)),
        hook("log", severities=(Severity.WARNING,)),
    )
    config = tmp_path / "after.yml"
    config.write_text(merged(THEIRS, replace(NONE, receivers=receivers), wanted=["pages"]))

    assert 0 == amtool.run("check-config", str(config)).returncode
    ours = {"cluster": "demo", "region": "global"}
    assert ["pages"] == routed(amtool, config, ours | {"alertname": "NomadQuorumLost", "severity": "critical"})
    assert ["outrider/demo/log"] == routed(
        amtool, config, ours | {"alertname": "NomadServerDown", "severity": "warning"}
    )


def test_a_receiver_of_theirs_must_be_there():
    """
    One that is not there is named, with those that are.
    """
    with pytest.raises(SettingsError) as said:
        merged(merged(THEIRS), wanted=["oncall"])

    assert "there is no receiver 'oncall', which outrider.yaml names; there are default, db, web, pages, null" in str(
        said.value
    )


def test_with_a_receiver_of_theirs_there_is_no_whole_file(tmp_path):
    """
    The build writes the parts and says how to use them; merging then finds the receiver.
    """
    file, theirs, out = tmp_path / "outrider.yaml", tmp_path / "theirs.yml", tmp_path / "out"
    file.write_text(
        'cluster: demo\nservers: [{name: a, address: "a:1"}]\nreceivers: [{name: x, existing: {receiver: pages}}]\n'
    )
    theirs.write_text(THEIRS)

    alone = CliRunner().invoke(build_command, ["-f", str(file), "-o", str(out)])
    both = CliRunner().invoke(build_command, ["-f", str(file), "-o", str(out), "--merge-alertmanager", str(theirs)])
    theirs.write_text(SMALLEST)
    missing = CliRunner().invoke(build_command, ["-f", str(file), "-o", str(out), "--merge-alertmanager", str(theirs)])

    assert (0, 0, 1) == (alone.exit_code, both.exit_code, missing.exit_code), alone.output + both.output
    assert "note: no alertmanager.yml, as receivers of your own are named" in alone.output
    assert not (out / "alertmanager.yml").exists()
    assert "receiver: pages" in (out / "merged/alertmanager.yml").read_text()
    assert "there is no receiver 'pages', which outrider.yaml names" in missing.output


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "theirs.yml:1: this is no Alertmanager configuration; name another file"),
        ("- a\n", "theirs.yml:1: this is no Alertmanager configuration"),
        ("global: {}\n", "theirs.yml:1: there is no route, so this is no Alertmanager configuration"),
        ("a: [\n", "theirs.yml:2: this is not YAML"),
        (
            "x: &x {routes: []}\nroute:\n  <<: *x\n  receiver: a\n",
            "theirs.yml:3: route may have its routes by `<<`; write `routes:` out below it",
        ),
    ],
)
def test_what_cannot_be_merged_with_is_refused(text, error):
    """
    One sentence says where and why.
    """
    with pytest.raises(SettingsError) as said:
        merged(text)

    assert error in str(said.value)


def test_the_command_writes_the_merged_file_and_leaves_theirs_alone(tmp_path):
    """
    The result lies below the output folder, with the templates beside it.
    """
    file, theirs, out = tmp_path / "outrider.yaml", tmp_path / "theirs.yml", tmp_path / "out"
    file.write_text(
        'cluster: demo\nservers: [{name: a, address: "a:1"}]\nreceivers: [{name: x, webhook: {url: "http://b/"}}]\n'
    )
    theirs.write_text(THEIRS)
    command = ["-f", str(file), "-o", str(out), "--merge-alertmanager", str(theirs)]

    first = CliRunner().invoke(build_command, command)
    merged_once = (out / "merged/alertmanager.yml").read_text()
    again = CliRunner().invoke(build_command, [*command[:-1], str(out / "merged/alertmanager.yml")])

    assert (0, 0) == (first.exit_code, again.exit_code), first.output
    assert THEIRS == theirs.read_text()
    assert merged_once == (out / "merged/alertmanager.yml").read_text()
    assert (out / "merged/outrider.tmpl").read_text() == (out / "outrider.tmpl").read_text()
    assert "outrider/demo/x" in merged_once
    assert merged_once.startswith("# Merged by `outrider build --merge-alertmanager`: what is named outrider/demo/…")


def test_the_command_says_that_comments_are_lost():
    """
    Nobody finds out by losing them.
    """
    assert "your comments are lost" in " ".join(CliRunner().invoke(build_command, ["--help"]).output.split())

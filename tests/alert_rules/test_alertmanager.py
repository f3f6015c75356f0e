"""Routes, receivers and inhibitions, judged by amtool."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import yaml

from alert_rules.alertmanager import alertmanager_config, receivers_of
from alert_rules.inhibitions import INHIBITIONS
from alert_rules.raw_settings import FIRST_WITH
from alert_rules.receivers import OWN_CHANNELS, Existing, options_of
from alert_rules.render import to_yaml
from alert_rules.rules import rule_set
from alert_rules.settings import Receiver
from tests.alert_rules.receiver_set_ups import CHANNELS, NEWER_CHANNELS, NIGHTS, NONE, SET_UPS, hook, takes
from tests.tools import find_or_explain

AMTOOLS, ABSENT = find_or_explain("amtool")


@pytest.fixture(params=AMTOOLS or [pytest.param(None, marks=pytest.mark.skip(reason=ABSENT))], ids=str)
def amtool(request):
    return request.param


@pytest.fixture(params=SET_UPS)
def set_up(request, amtool):
    settings, version = SET_UPS[request.param]
    if not takes(amtool, version):
        pytest.skip(f"needs Alertmanager {version}")
    return settings


def labels_of(settings, alert, severity):
    """
    Return the labels an alert has, as amtool wants them.
    """
    place = {"cluster": settings.cluster, "region": "global"}
    named = {settings.label_names.get(name, name): value for name, value in place.items()}
    labels = {"alertname": alert, "severity": severity, **named, **settings.alert_labels}
    return [f"{name}={value}" for name, value in labels.items() if name]


def test_amtool_accepts_the_configuration(amtool, set_up, tmp_path):
    """
    Every set-up of receivers gives a configuration that Alertmanager takes.
    """
    (tmp_path / "alertmanager.yml").write_text(to_yaml(alertmanager_config(set_up)))

    said = amtool.run("check-config", str(tmp_path / "alertmanager.yml"))

    assert 0 == said.returncode, said.stdout + said.stderr


def test_every_alert_reaches_the_receivers_it_should(amtool, set_up, tmp_path):
    """
    Critical alerts and warnings go to those who want them, the Watchdog to its own, all else to nobody.
    """
    config = tmp_path / "alertmanager.yml"
    config.write_text(to_yaml(alertmanager_config(set_up)))
    alerts = [(rule.alert, rule.severity.value) for rule in rule_set(set_up).alerts] + [("Any", "info")]

    def routed(alert, severity):
        wanted = ",".join(receivers_of(set_up, alert, severity))
        labels = labels_of(set_up, alert, severity)
        arguments = ("config", "routes", "test", f"--config.file={config}", f"--verify.receivers={wanted}", *labels)
        return alert, wanted, amtool.run(*arguments)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda each: routed(*each), alerts))

    assert len(alerts) == len(results)
    for alert, wanted, said in results:
        assert 0 == said.returncode, f"{alert} to {wanted}: {said.stdout}{said.stderr}"


@pytest.mark.parametrize("name", NEWER_CHANNELS)
def test_what_is_newer_is_refused_by_an_older_amtool(amtool, name, tmp_path):
    """
    The version that a channel is said to need is no smaller than what Alertmanager itself needs.
    """
    settings, version = SET_UPS[name]
    if takes(amtool, version):
        pytest.skip(f"this amtool has {name}")
    (tmp_path / "alertmanager.yml").write_text(to_yaml(alertmanager_config(settings)))

    said = amtool.run("check-config", str(tmp_path / "alertmanager.yml"))

    assert 0 != said.returncode
    assert "not found" in said.stdout + said.stderr


@pytest.mark.parametrize("kind", FIRST_WITH)
def test_each_kind_of_receiver_is_there_from_its_version_on(amtool, kind, tmp_path):
    """
    Amtool knows a list of raw settings exactly when its version is said to have it.
    """
    config = {"route": {"receiver": "a"}, "receivers": [{"name": "a", kind: []}]}
    (tmp_path / "alertmanager.yml").write_text(to_yaml(config))

    said = amtool.run("check-config", str(tmp_path / "alertmanager.yml"))

    assert takes(amtool, FIRST_WITH[kind]) == (0 == said.returncode), said.stdout + said.stderr


def test_every_channel_is_among_the_set_ups():
    """
    Each type of channel is judged, with every one of its settings.
    """
    judged = [*CHANNELS.values(), *(channel for channel, _ in NEWER_CHANNELS.values())]

    for kind in OWN_CHANNELS:
        given = {
            each.name
            for each in options_of(kind)
            for one in judged
            if isinstance(one, kind) and getattr(one, each.name)
        }
        optional = {"api_url"} if kind.kind == "telegram" else set()
        assert {each.name for each in options_of(kind)} - optional == given, kind


@pytest.mark.parametrize(
    ("set_up", "alert", "severity", "labels", "names"),
    [
        ("severities", "NomadQuorumLost", "critical", {}, ("pages", "both")),
        ("severities", "NomadServerDown", "warning", {}, ("warnings", "both")),
        ("severities", "Watchdog", "none", {}, ("dead-man",)),
        ("severities", "Any", "info", {}, ("nobody",)),
        ("teams", "NomadQuorumLost", "critical", {}, ("platform", "any-of-two")),
        ("teams", "NomadQuorumLost", "critical", {"team": "core"}, ("any-of-two", "core")),
        ("teams", "NomadQuorumLost", "critical", {"team": "platformXeu"}, ("nobody",)),
        ("teams", "Watchdog", "none", {}, ("platform",)),
        ("clusters", "NomadQuorumLost", "critical", {}, ("demo", "eu-or-demo", "all")),
        ("clusters", "NomadQuorumLost", "critical", {"cluster": "eu"}, ("eu-or-demo", "eu", "all")),
        ("clusters", "NomadServerDown", "warning", {"cluster": "us"}, ("all",)),
        ("clusters", "Watchdog", "none", {"cluster": "eu"}, ("eu",)),
        ("mute", "NomadServerDown", "warning", {}, ("by-day", "wholly", "always")),
        ("nobody", "NomadQuorumLost", "critical", {}, ("nobody",)),
    ],
)
def test_who_is_told(amtool, set_up, alert, severity, labels, names, tmp_path):
    """
    Severity, team and cluster decide, in the table and by amtool alike.
    """
    settings, _ = SET_UPS[set_up]
    config = tmp_path / "alertmanager.yml"
    config.write_text(to_yaml(alertmanager_config(settings)))
    given = dict(label.split("=") for label in labels_of(settings, alert, severity)) | labels

    said = amtool.run(
        "config", "routes", "test", f"--config.file={config}", *(f"{name}={value}" for name, value in given.items())
    )

    assert names == receivers_of(settings, alert, severity, labels)
    assert ",".join(names) == said.stdout.strip()


def test_a_page_never_waits_for_the_group_of_a_warning():
    """
    Groups are one alert of one region, so each new alert waits only group_wait.
    """
    route = alertmanager_config(NONE)["route"]

    assert ["alertname", "cluster", "region"] == route["group_by"]


def test_mute_times_hold_back_warnings_alone():
    """
    A muted receiver has a route of its own for pages, unless it wants these muted too.
    """
    routes = alertmanager_config(SET_UPS["mute"][0])["route"]["routes"]

    muted = [(each["receiver"], each["matchers"], each.get("mute_time_intervals")) for each in routes[1:]]
    assert [
        ("by-day", ['severity="critical"'], None),
        ("by-day", ['severity="warning"'], ["nights"]),
        ("wholly", ['severity=~"critical|warning"'], ["nights"]),
        ("always", ['severity=~"critical|warning"'], None),
    ] == muted


def test_mute_times_are_written_as_alertmanager_reads_them():
    """
    Each span keeps what it was given and nothing else.
    """
    [interval] = alertmanager_config(replace(NONE, mute_times=(NIGHTS,)))["time_intervals"]

    assert "nights" == interval["name"]
    assert [{"start_time": "00:00", "end_time": "07:00"}, {"start_time": "22:00", "end_time": "24:00"}] == interval[
        "time_intervals"
    ][0]["times"]
    assert {"weekdays": ["saturday", "sunday"], "months": ["april:june"], "days_of_month": ["1:7", "-1"]} == interval[
        "time_intervals"
    ][1]


def test_a_receiver_of_another_alertmanager_is_in_no_whole_file():
    """
    A route to a receiver that is not there would be refused by Alertmanager.
    """
    settings = replace(NONE, receivers=(Receiver(name="a", channel=Existing(receiver="theirs")),))

    with pytest.raises(ValueError, match="merge the parts into your own"):
        alertmanager_config(settings)


def test_every_inhibition_of_the_table_is_written():
    """
    Cause, consequences and the labels that must be equal come out of the table, one for one.
    """
    rules = alertmanager_config(NONE)["inhibit_rules"]

    assert len(INHIBITIONS) == len(rules)
    for row, rule in zip(INHIBITIONS, rules, strict=True):
        assert [f'alertname="{row.cause}"'] == rule["source_matchers"]
        assert all(name in rule["target_matchers"][0] for name in row.consequences)
        assert ["cluster", "region"] == rule["equal"]


def test_labels_that_alerts_lack_are_nowhere():
    """
    Where targets have no region and call the cluster otherwise, groups and inhibitions do so too.
    """
    config = alertmanager_config(SET_UPS["other labels"][0])

    assert ["alertname", "nomad_cluster"] == config["route"]["group_by"]
    assert all(["nomad_cluster"] == rule["equal"] for rule in config["inhibit_rules"])


@pytest.mark.parametrize("name", [*CHANNELS, *NEWER_CHANNELS])
def test_secrets_stand_in_files(name):
    """
    No channel gives Alertmanager a secret but by the path of its file.
    """
    settings, _ = SET_UPS[name]
    text = to_yaml(alertmanager_config(settings))

    channel = settings.receivers[0].channel
    options = [] if name == "raw" else options_of(type(channel))
    for each in options:
        if each.name.endswith("_file") and getattr(channel, each.name) is not None:
            assert f"_file: {getattr(channel, each.name)}\n" in text


def test_the_end_of_an_alert_is_told_unless_it_is_not_wanted():
    """
    Every channel says `send_resolved`, as its default differs between them.
    """
    for channel in [*CHANNELS.values(), *(newer for newer, _ in NEWER_CHANNELS.values())]:
        for is_wanted in (True, False):
            settings = replace(NONE, receivers=(Receiver(name="a", channel=channel, send_resolved=is_wanted),))
            entry = yaml.safe_load(to_yaml(alertmanager_config(settings)))["receivers"][1]
            [configs] = [value for key, value in entry.items() if key != "name"]
            assert [is_wanted] == [config["send_resolved"] for config in configs]


@pytest.mark.parametrize(
    ("team", "names"), [("a.b|c", "one,two"), ("x.y", "two"), ("xzy", "nobody"), ("axb|c", "nobody"), ("a.b", "nobody")]
)
def test_a_name_is_no_pattern(amtool, team, names, tmp_path):
    """
    A team is matched by its whole name, whatever signs stand in it.
    """
    settings = replace(NONE, receivers=(hook("one", teams=("a.b|c",)), hook("two", teams=("a.b|c", "x.y"))))
    config = tmp_path / "alertmanager.yml"
    config.write_text(to_yaml(alertmanager_config(settings)))

    said = amtool.run("config", "routes", "test", f"--config.file={config}", "severity=critical", f"team={team}")

    assert names == said.stdout.strip()


@pytest.mark.parametrize("quoted", ['a"b', "a\\b", 'a\\"b'])
def test_quotes_and_backslashes_are_escaped(amtool, quoted, tmp_path):
    """
    Amtool reads a matcher whose value has signs that end or escape a text.
    """
    settings = replace(NONE, receivers=(hook("one", teams=(quoted,)), hook("two", teams=(quoted, "x"))))
    config = tmp_path / "alertmanager.yml"
    config.write_text(to_yaml(alertmanager_config(settings)))

    said = amtool.run("check-config", str(config))

    assert 0 == said.returncode, said.stdout + said.stderr

"""The texts of notifications, filled in by amtool of every version that is found."""

import json
from dataclasses import replace

import pytest

from alert_rules.alertmanager.templates import message_templates
from tests.alert_rules.receiver_set_ups import NONE
from tests.tools import find_or_explain

AMTOOLS, ABSENT = find_or_explain("amtool")
TELEGRAM_CHARACTERS_MAX = 4_096
"""Alertmanager cuts a longer message, and Telegram refuses HTML that is cut."""
OPSGENIE_CHARACTERS_MAX = 130


@pytest.fixture(params=AMTOOLS or [pytest.param(None, marks=pytest.mark.skip(reason=ABSENT))], ids=str)
def amtool(request):
    return request.param


@pytest.fixture
def text(amtool, tmp_path):
    """
    Return a function that fills in one text with one notification.
    """

    def fill(name, data, settings=NONE):
        (tmp_path / "outrider.tmpl").write_text(message_templates(settings))
        (tmp_path / "data.json").write_text(json.dumps(data))
        said = amtool.run(
            "template",
            "render",
            f"--template.glob={tmp_path}/outrider.tmpl",
            f'--template.text={{{{ template "outrider.{name}" . }}}}',
            f"--template.data={tmp_path}/data.json",
            f"--template.type={'html' if name in {'html', 'telegram'} else 'text'}",
        )
        assert 0 == said.returncode, said.stdout + said.stderr
        return said.stdout

    return fill


def alert(number=1, status="firing", **changes):
    """
    Return one alert of a notification, as Alertmanager gives it to templates.
    """
    labels = {"alertname": "NomadServerDown", "severity": "warning", "cluster": "demo", "region": "global"}
    labels |= {"instance": f"server-{number}"} | changes.pop("labels", {})
    annotations = {
        "summary": f"Nomad server server-{number} is down.",
        "description": "Look at <journalctl> & its unit.\nThe second line.",
        "runbook_url": "https://wiki.example.com/NomadServerDown.md",
        "dashboard": "https://grafana.example.com/d/x",
    }
    return {
        "status": status,
        "labels": {name: value for name, value in labels.items() if value},
        "annotations": annotations | changes,
        "startsAt": f"2026-11-25T14:{40 + number}:30+02:00",
        "endsAt": f"2026-11-25T15:{40 + number}:30+02:00",
    }


def notification(*alerts):
    """
    Return the data of a notification about *alerts*.
    """
    common = {
        name: value
        for name, value in alerts[0]["labels"].items()
        if all(value == each["labels"].get(name) for each in alerts)
    }
    return {
        "receiver": "x",
        "status": "firing" if any(each["status"] == "firing" for each in alerts) else "resolved",
        "alerts": list(alerts),
        "groupLabels": {name: common[name] for name in ("alertname", "cluster", "region") if name in common},
        "commonLabels": common,
        "commonAnnotations": {},
        "externalURL": "http://am.example.com:9093",
    }


def test_the_title_says_what_and_where(text):
    """
    One server is named, several are counted, and an alert of a region names neither.
    """
    assert "WARNING: NomadServerDown server-1 in demo/global" == text("title", notification(alert()))
    assert "WARNING: NomadServerDown (2) in demo/global" == text("title", notification(alert(1), alert(2)))
    assert "RESOLVED: NomadServerDown server-1 in demo/global" == text("title", notification(alert(status="resolved")))
    page = {"instance": "", "alertname": "NomadQuorumLost", "severity": "critical"}
    assert "CRITICAL: NomadQuorumLost in demo/global" == text("title", notification(alert(labels=page)))
    switch = {"instance": "", "region": "", "alertname": "Watchdog", "severity": "none"}
    assert "HEARTBEAT: Watchdog in demo" == text("title", notification(alert(labels=switch)))


def test_the_plain_text_holds_all_that_is_needed(text):
    """
    What, where, since when, what to do, and the three links, each on its line.
    """
    expected = """\
Nomad server server-1 is down.

Severity: warning
Where: server-1
Since: 2026-11-25 12:41 UTC

What to do: Look at <journalctl> & its unit.

Runbook: https://wiki.example.com/NomadServerDown.md
Dashboard: https://grafana.example.com/d/x
Silence: http://am.example.com:9093/#/silences/new?filter=%7Balertname%3D%22NomadServerDown%22\
%2Ccluster%3D%22demo%22%2Cregion%3D%22global%22%2Cinstance%3D%22server-1%22%7D
"""

    assert expected == text("text", notification(alert()))


def test_the_end_says_how_long_it_lasted(text):
    """
    From the first beginning to the last end, with no word of what to do.
    """
    expected = """\
It was: Nomad server server-1 is down.

Where: server-1, server-2
Lasted: 2026-11-25 12:41 UTC until 2026-11-25 13:42 UTC

Runbook: https://wiki.example.com/NomadServerDown.md
Dashboard: https://grafana.example.com/d/x
"""

    assert expected == text("text", notification(alert(1, "resolved"), alert(2, "resolved")))


@pytest.mark.parametrize(
    ("count", "end"), [(10, "server-10"), (11, "server-10 and 1 more"), (15, "server-10 and 5 more")]
)
def test_at_most_ten_servers_are_named(text, count, end):
    """
    The others are counted, and no more are named in any text.
    """
    data = notification(*(alert(number) for number in range(1, count + 1)))

    assert text("text", data).splitlines()[3].endswith(end)
    for name in ("slack.text", "markdown", "telegram", "html"):
        assert end in text(name, data)
        assert "server-11" not in text(name, data)


def test_some_that_are_over_are_told_apart(text):
    """
    While others still fire, those that ended have a line of their own.
    """
    data = notification(alert(1), alert(2, "resolved"), alert(3))

    lines = text("text", data).splitlines()
    assert "Where: server-1, server-3" in lines
    assert "Over: server-2" in lines
    for name in ("slack.text", "markdown", "telegram"):
        assert any("Over:" in line and line.endswith("server-2") for line in text(name, data).splitlines()), name
    assert "<b>Over</b><br>server-2" in text("html", data)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("text", "Look at <journalctl> & its unit."),
        ("slack.text", "Look at &lt;journalctl&gt; &amp; its unit."),
        ("markdown", "Look at <journalctl> & its unit."),
        ("telegram", "Look at &lt;journalctl&gt; &amp; its unit."),
        ("html", "Look at &lt;journalctl&gt; &amp; its unit."),
    ],
)
def test_each_mark_up_has_its_own_signs_escaped(text, name, written):
    """
    What a rule says arrives as it was meant, its first line only.
    """
    filled = text(name, notification(alert()))

    assert written in filled
    assert "The second line" not in filled


@pytest.mark.parametrize("name", ["text", "slack.text", "markdown", "telegram", "html"])
def test_what_is_no_link_is_not_made_one(text, name):
    """
    A runbook in a folder is named; only what is on the web can be tapped.
    """
    filled = text(name, notification(alert(runbook_url="runbooks/NomadServerDown.md", dashboard="")))

    assert "runbooks/NomadServerDown.md" in filled
    for link in ('href="runbooks', "<runbooks", "(runbooks"):
        assert link not in filled
    assert "Dashboard" not in filled


@pytest.mark.parametrize("name", ["text", "slack.text", "markdown", "telegram", "html", "title", "url", "firing"])
def test_an_alert_without_texts_is_still_told(text, name):
    """
    A test alert has no runbook, no dashboard and no region: nothing fails, nothing is left hanging.
    """
    bare = alert(labels={"region": "", "instance": ""}, runbook_url="", dashboard="", description="")

    filled = text(name, notification(bare))

    assert filled.strip()
    assert "<no value>" not in filled
    assert "Runbook" not in filled


def test_a_long_description_is_cut_before_telegram_cuts_the_message(text):
    """
    The longest message stays below what Telegram takes, and the one-line title below what Opsgenie does.
    """
    name = "a-server-with-a-long-name.eu-central-1.example.com"
    long = [
        alert(number % 19, description="word & " * 400, labels={"instance": f"{name}-{number}"}) for number in range(60)
    ]

    assert TELEGRAM_CHARACTERS_MAX > len(text("telegram", notification(*long)))
    longest = {"alertname": "NomadExpectedServersOutdated", "instance": name}
    assert OPSGENIE_CHARACTERS_MAX > len(text("title", notification(alert(labels=longest))))


@pytest.mark.parametrize(
    ("severity", "status", "color", "pagerduty", "priority"),
    [
        ("critical", "firing", "danger", "critical", "P1"),
        ("warning", "firing", "warning", "warning", "P3"),
        ("warning", "resolved", "good", "warning", "P3"),
        ("none", "firing", "warning", "info", "P5"),
    ],
)
def test_severities_are_said_in_each_services_words(text, severity, status, color, pagerduty, priority):
    """
    Slack has colours, PagerDuty four words, Opsgenie five priorities.
    """
    data = notification(alert(status=status, labels={"severity": severity}))

    assert color == text("slack.color", data)
    assert pagerduty == text("pagerduty.severity", data)
    assert priority == text("opsgenie.priority", data)


def test_labels_with_other_names_are_read_by_them(text):
    """
    Where the cluster is called otherwise and there is no region, texts and the link to a silence follow.
    """
    settings = replace(NONE, label_names={"cluster": "nomad_cluster", "region": "", "instance": "node"})
    labels = {"cluster": "", "region": "", "instance": "", "nomad_cluster": "prod", "node": "server-9"}
    data = notification(alert(labels=labels))

    assert "WARNING: NomadServerDown server-9 in prod" == text("title", data, settings)
    assert "Where: server-9" in text("text", data, settings)
    url = text("silence_url", data, settings)
    assert url.endswith("%2Cnomad_cluster%3D%22prod%22%2Cnode%3D%22server-9%22%7D")

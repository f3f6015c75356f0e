"""Runbooks: one page for each alert, written as pages are, and true to the alert's own numbers."""

import re
from pathlib import Path

import click
import pytest

from alert_rules.dialect import Dialect
from alert_rules.inhibitions import inhibited_by
from alert_rules.promql import resolve
from alert_rules.recorded import KNOWN
from alert_rules.rules import SPECS, rule_set
from alert_rules.runbooks import (
    LINE_LETTERS_MAX,
    SECTIONS,
    VARIABLES,
    RunbookError,
    pages_in,
    parse_runbook,
    runbook_pages,
    runbooks,
)
from alert_rules.settings import ExpectedRegion, RuleSettings, Severity
from compose.cli import outrider
from compose.generate import artefacts
from compose.settings import load_settings
from telemetry.scrape.duration import format_duration

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "tests/golden/nomad-2.0.5/cli"
"""What a real Nomad's command line printed."""

SHIPPED = RuleSettings(cluster="demo", regions=(ExpectedRegion(name="global", expected_servers=3),))
RULES = {rule.alert: rule for rule in rule_set(SHIPPED).alerts}
SPEC = {spec.alert: spec for spec in SPECS}
PAGES = runbooks()
LOOKS = [(alert, look) for alert, page in PAGES.items() for look in page.runnable]
LINES_MIN, LINES_MAX = 30, 68
"""A page is read on a phone; the longest spells out the recovery of a lost quorum."""

each_page = pytest.mark.parametrize("alert", PAGES)
each_look = pytest.mark.parametrize(
    ("alert", "look"), LOOKS, ids=[f"{alert}-{number}" for number, (alert, _) in enumerate(LOOKS)]
)


def test_every_alert_has_a_page_and_every_page_an_alert():
    """
    There are as many pages as alerts, named as they are.
    """
    assert set(RULES) == set(runbook_pages())


def test_every_page_is_where_the_annotation_points():
    """
    `runbook_url` of each alert is a file that `outrider build` writes.
    """
    settings = load_settings(ROOT / "compose/outrider.yaml")
    written = artefacts(settings)

    linked = {rule.document(settings.rules.links)["annotations"]["runbook_url"] for rule in RULES.values()}

    assert {f"runbooks/{alert}.md" for alert in PAGES} == linked
    assert set() == linked - written.keys()


@each_page
def test_a_page_has_its_sections_and_the_size_of_a_phone(alert):
    """
    Six sections in their order, none empty; short lines, and not many.
    """
    page = PAGES[alert]
    lines = page.text.splitlines()

    assert list(SECTIONS) == list(page.sections)
    assert [] == [title for title, text in page.sections.items() if not text]
    assert [] == [line for line in lines if len(line) > LINE_LETTERS_MAX or line != line.rstrip()]
    assert LINES_MIN <= len(lines) <= LINES_MAX


@each_page
def test_a_page_says_how_urgent_its_alert_is(alert):
    """
    The meaning begins with a page, a warning, an information or no fault.
    """
    words = {
        Severity.CRITICAL: "A page.",
        Severity.WARNING: "A warning.",
        Severity.INFO: "Info, never notified.",
        Severity.NONE: "No fault.",
    }

    assert words[RULES[alert].severity] == PAGES[alert].sections["Meaning"][: len(words[RULES[alert].severity])]


@each_page
def test_a_page_has_at_least_two_commands_that_can_be_judged(alert):
    """
    A first look is never a single command; one that runs on a host may come on top.
    """
    assert len(PAGES[alert].runnable) >= 2


@each_page
def test_a_page_names_every_setting_with_its_value(alert):
    """
    Each number and the hold stand in the meaning with their names in outrider.yaml and their shipped values.
    """
    meaning = " ".join(PAGES[alert].sections["Meaning"].split())
    expected = {}
    if alert in SPEC:
        expected = {number.name: number.shown(number.default) for number in SPEC[alert].numbers}
        if RULES[alert].hold_seconds:
            expected["for"] = format_duration(RULES[alert].hold_seconds)

    named = re.findall(r"(\S+)(?: (ms|%))? \(`rules\.(\w+)\.(\w+)`\)", meaning)

    assert {name: (value, alert) for name, value in expected.items()} == {
        name: (f"{value} {unit}".strip(), whose) for value, unit, whose, name in named
    }
    assert PAGES[alert].text.count(f"`rules.{alert}.") == len(named)


@each_page
def test_a_page_names_only_alerts_and_series_that_exist(alert):
    """
    Whatever looks like an alert or a series is one.
    """
    text = PAGES[alert].text
    alerts = set(re.findall(r"\b(?:Nomad|Outrider)(?:[A-Z][a-z]+)+\b", text))
    series = set(re.findall(r"\b(?:outrider[:_]|nomad_|prometheus_|alertmanager_|process_)[a-zA-Z_:0-9]+\b", text))
    settings = {"prometheus_metrics"}
    begun = {name for name in series if f"{name}*" in text}

    assert set() == alerts - RULES.keys()
    assert [] == sorted(name for name in series - settings - begun if KNOWN.find(name) is None)
    assert all(any(known.startswith(name) for known in KNOWN.series_names()) for name in begun)


@each_page
def test_a_page_says_truly_what_silences_what(alert):
    """
    "silences this one" and "this one silences" are what the table of inhibitions says; one cause at least is named.
    """
    items = re.split(r"\n- ", "\n" + PAGES[alert].sections["What it is not"])
    causes, consequences = set(), set()
    for item in items:
        words = " ".join(item.split())
        names = set(re.findall(r"\b(?:Nomad|Outrider)(?:[A-Z][a-z]+)+\b", words))
        if re.search(r"\bsilences? this one\b", words):
            causes |= names
        if re.search(r"\bthis one silences\b", words):
            consequences |= names

    assert set() == causes - set(inhibited_by(alert))
    assert set() == {name for name in consequences if alert not in inhibited_by(name)}
    assert bool(causes) == bool(inhibited_by(alert)), f"silenced by {inhibited_by(alert)}; the page names {causes}"


@each_page
def test_a_page_explains_the_variables_of_its_commands(alert):
    """
    The first look says what each variable is the URL of, and no command has another one.
    """
    page = PAGES[alert]
    commands = "\n".join(look.command for look in page.runnable)
    used = set(re.findall(r"\$\{?([A-Za-z_]\w*)", commands)) | ({"NOMAD_ADDR"} if "nomad " in commands else set())
    told = set(re.findall(r"`([A-Z_]+)`", page.sections["First look"].split("###")[0]))

    assert used == told
    assert set() == used - VARIABLES.keys()


@each_page
def test_a_page_says_how_to_silence_or_why_not(alert):
    """
    The silence names a command, or that and why there is none; a page is never silenced.
    """
    page = PAGES[alert]
    text = " ".join(page.sections["Silence"].split())

    by_name = re.search(r"`outrider silence (?:server|client)-\d --for \w+|enabled: false", text)
    assert page.silences or by_name or text.startswith(("Never", "Not "))
    if RULES[alert].severity is Severity.CRITICAL:
        assert text.startswith("Never")
        assert () == page.silences


@each_page
def test_a_silence_matches_labels_that_the_alert_has(alert):
    """
    `outrider silence NAME` is said of alerts that name an agent; a silence for amtool has the alert's own labels.
    """
    page = PAGES[alert]
    text = " ".join(page.sections["Silence"].split())
    labels = RULES[alert].surely_labelled | {"cluster"}

    if not text.startswith("Never") and re.search(r"`outrider silence (?:server|client)-\d --for \w+`", text):
        assert "instance" in labels
    for command in page.silences:
        form = r"amtool --alertmanager\.url=\$ALERTMANAGER silence add -d \d+[mh] -c WHY \\\n(.+)"
        matchers = dict(re.findall(r"(\w+)=(\S+)", re.fullmatch(form, command)[1]))
        assert alert == matchers["alertname"]
        assert set(matchers) <= labels


@each_look
def test_the_two_answers_of_a_command_differ(alert, look):
    """
    Neither answer is in just any text, and no text is the whole of both.
    """
    assert look.good.pattern.pattern != look.bad.pattern.pattern
    assert not look.good.is_in("¤")
    assert not look.bad.is_in("¤")
    assert not (look.good.is_in("") and look.bad.is_in(""))


@each_look
def test_a_query_resolves(alert, look):
    """
    Every PromQL of a page names series and labels that exist, with units that fit.
    """
    queries = re.findall(r"promtool query instant \$PROMETHEUS '([^']+)'", look.command)

    assert look.command.count("promtool") == len(queries)
    for query in queries:
        assert resolve(query).metrics


@each_look
def test_a_command_is_one_that_is_there(alert, look):
    """
    The words after `nomad` are a command of ours with these options; everything else is curl, promtool or amtool.
    """
    first, *words = look.command.split()

    assert first in {"nomad", "curl", "promtool", "amtool", "for"}
    if first == "nomad":
        command, context = outrider, click.Context(outrider, info_name="outrider")
        while isinstance(command, click.Group):
            found = command.get_command(context, words.pop(0))
            assert found is not None, look.command
            command, context = found, click.Context(found, parent=context)
        command.make_context("nomad", words)


@pytest.mark.parametrize(
    ("command", "recording"),
    [
        ("nomad operator raft list-peers", "raft-list-peers.txt"),
        ("nomad operator autopilot health", "autopilot-health.txt"),
        ("nomad server members", "server-members.txt"),
        ("nomad node status", "node-status.txt"),
    ],
)
def test_what_a_healthy_nomad_says_is_good(command, recording):
    """
    The answers of a real Nomad that is well match good and not bad, for each page that asks.
    """
    said = (RECORDED / recording).read_text(encoding="utf-8")
    asking = [(alert, look) for alert, look in LOOKS if look.command == command]

    judged = {alert: (look.good.is_in(said), look.bad.is_in(said)) for alert, look in asking}

    assert judged
    assert dict.fromkeys(judged, (True, False)) == judged


def test_what_a_nomad_without_leader_says_is_bad():
    """
    The answer of a real Nomad that lost its quorum is bad for the pages that ask who leads.
    """
    said = (RECORDED / "noleader-raft-list-peers.txt").read_text(encoding="utf-8")
    asking = {
        alert: look
        for alert, look in LOOKS
        if look.command == "nomad operator raft list-peers" and alert in {"NomadQuorumLost", "NomadNoLeader"}
    }

    assert 2 == len(asking)
    assert all(look.bad.is_in(said) and not look.good.is_in(said) for look in asking.values())


def test_what_a_nomad_with_blocked_work_says_is_bad():
    """
    A real Nomad's list of evaluations with one that is blocked is bad for the page about those.
    """
    said = (RECORDED / "eval-list.txt").read_text(encoding="utf-8")
    look = next(look for look in PAGES["NomadEvaluationsBlocked"].runnable if look.command == "nomad eval list")

    assert look.bad.is_in(said)


PAGE = """# A

## Meaning
m

## Impact
i

## First look
`PROMETHEUS`

### One
    $ promtool query instant $PROMETHEUS '
      up'
- good: nothing or `=> 1`, well
- bad: `=> 0`

### Two
    # df -h
- look for: a full disk

## Remedy
r

## Silence
For an hour:

    $ amtool \\
      silence

## What it is not
w
"""


def test_a_page_is_read():
    """
    A command, its answers and what they say; a command on a host has no answer to be judged.
    """
    one, two = parse_runbook("A", PAGE).looks

    assert ("One", "promtool query instant $PROMETHEUS '\nup'", "well", "") == (
        one.title,
        one.command,
        one.good.meaning,
        one.bad.meaning,
    )
    assert [True, True, False, False] == [one.good.is_in(text) for text in ("", "a => 1 @", "a => 0 @", "a")]
    assert [False, True] == [one.bad.is_in(text) for text in ("", "b\na => 0 @")]
    assert ("Two", "df -h", False) == (two.title, two.command, two.is_runnable)
    assert ("amtool \\\nsilence",) == parse_runbook("A", PAGE).silences


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("# A", "# B", "the title is '# B'; write '# A'"),
        ("## Remedy", "## Cure", "its sections are Meaning, Impact, First look, Cure"),
        ("- bad: `=> 0`\n", "", "'One' lacks a line '- good: …' or '- bad: …'"),
        ("- bad: `=> 0`", "- bad: `(`", "'(' is no regular expression"),
        ("- bad: `=> 0`", "- bad: zero", "'- bad: zero' is no answer"),
        ("- bad: `=> 0`", "- bad: nothing else", "'- bad: nothing else' is no answer"),
        ("    # df -h", "    $ df -h", "'Two' lacks a line '- good: …' or '- bad: …'"),
        ("- look for: a full disk", "- good: `x`", "'Two' runs on a host"),
        ("    # df -h", "df -h", "'Two' has no command"),
        ("    # df -h", "    df -h", "'df -h' is no command"),
        ("    # df -h", "    # df -h\n    # ls", "'Two' has a second command"),
        ("### Two", "### One", "'One' stands twice"),
        ("## Remedy", "## Meaning\nm\n\n## Remedy", "its sections are Meaning, Impact, First look, Meaning"),
    ],
)
def test_a_page_that_is_written_otherwise_is_refused(old, new, problem):
    """
    Whatever is not written as pages are is refused with its place and a remedy.
    """
    assert 1 == PAGE.count(old)

    with pytest.raises(RunbookError) as refused:
        parse_runbook("A", PAGE.replace(old, new))

    assert problem in str(refused.value)
    assert str(refused.value).startswith("A.md:")


def test_pages_ask_for_the_labels_there_are():
    """
    Renamed labels and other selectors stand in queries and silences; ours change nothing.
    """
    dialect = Dialect(labels={"instance": "node", "region": ""}, selectors={"server": 'job="nomad"'})

    theirs = pages_in(dialect)

    assert runbook_pages() == pages_in(Dialect())
    assert 'changes(process_start_time_seconds{job="nomad"}[10m])' in theirs["NomadLeaderFlapping"]
    assert "max by (node) (outrider_client_last_heartbeat_seconds)" in theirs["NomadHeartbeatsMissed"]
    assert "region=REGION" in runbook_pages()["NomadLeaseLost"]
    assert not any("region=REGION" in page or "by (instance)" in page for page in theirs.values())
    assert {alert: parse_runbook(alert, page).alert for alert, page in theirs.items()} == {
        name: name for name in theirs
    }

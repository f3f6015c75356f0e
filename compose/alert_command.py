"""`outrider alert`: lists the alerts, shows a runbook, and sends a test notification through the whole chain."""

import re
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path

import click

from alert_rules.alertmanager import NOBODY, receivers_of
from alert_rules.reference import defaults_yaml
from alert_rules.rules import rule_set
from alert_rules.runbooks import runbook_pages
from alert_rules.settings import NOTIFYING, RuleSettings, Severity
from compose.alertmanager_api import AlertmanagerError, Alertmanagers
from compose.build_command import DEFAULT_FILE
from compose.generate import TEST_ALERT
from compose.settings import Settings, load_settings
from compose.yaml_reader import SettingsError
from telemetry.clock import Clock, SystemClock
from telemetry.scrape.duration import format_duration

TEST_LASTS_SECONDS = 60.0
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*=.+\Z")
_FILE = click.option(
    "-f", "--file", "file", type=click.Path(path_type=Path), default=DEFAULT_FILE, show_default=True, help="Settings."
)


@click.group("alert")
def alert_group() -> None:
    """List the alerts, read their runbooks, test the way to the receivers."""


@alert_group.command("list")
@_FILE
def list_command(file: Path) -> None:
    """List every alert with its severity, hold and promised detection time."""
    settings = _load(file)
    times = settings.rules.times
    alerts = rule_set(settings.rules).alerts
    width = max(len(rule.alert) for rule in alerts) + 2
    click.echo(f"{'Alert':<{width}}{'Severity':<10}{'Hold':<7}{'Promise':<9}Receivers")
    for rule in alerts:
        # What is about Prometheus itself may name no cluster, and then reaches no receiver that is for some.
        labels = {**rule.labels, **({} if "cluster" in rule.surely_labelled else {"cluster": ""})}
        names = ", ".join(receivers_of(settings.rules, rule.alert, rule.severity.value, labels))
        promise = format_duration(rule.promised_seconds(times))
        click.echo(
            f"{rule.alert:<{width}}{rule.severity.value:<10}{format_duration(rule.hold_seconds):<7}{promise:<9}{names}"
        )


@alert_group.command("defaults")
@_FILE
def defaults_command(file: Path) -> None:
    """Print every setting of every alert as it is now, with its reason, as YAML for outrider.yaml."""
    click.echo(defaults_yaml(_load(file).rules), nl=False)


@click.command("runbook")
@click.argument("alert")
def runbook_command(alert: str) -> None:
    """Print the runbook of ALERT: what it means, where to look first, what to do."""
    pages = runbook_pages()
    if alert not in pages:
        lower = {name.lower(): name for name in pages}
        near = [lower[name] for name in get_close_matches(alert.lower(), lower, n=3, cutoff=0.4)]
        hint = f"did you mean {' or '.join(near)}?" if near else f"the alerts are {', '.join(pages)}"
        click.echo(f"Error: there is no alert {alert!r}; {hint}", err=True)
        sys.exit(1)
    click.echo(pages[alert])


alert_group.add_command(runbook_command)


@alert_group.command("test")
@_FILE
@click.option("--alertmanager", help="URL of Alertmanager, instead of the address in the settings.")
@click.option(
    "--severity",
    type=click.Choice([severity.value for severity in NOTIFYING]),
    default=Severity.WARNING.value,
    show_default=True,
    help="Which receivers to test.",
)
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="A further label, such as team=platform.")
def test_command(file: Path, alertmanager: str | None, severity: str, labels: tuple[str, ...]) -> None:
    """Send one test alert to Alertmanager, which notifies the receivers of its severity."""
    settings = _load(file)
    urls = [f"http://{address}" for address in settings.description.alertmanagers]
    alertmanagers = Alertmanagers([alertmanager] if alertmanager else urls)
    further = _labels(labels)
    try:
        send_test(alertmanagers, settings.rules, severity, further, SystemClock())
    except AlertmanagerError as error:
        click.echo(f"Error: the test alert was not taken: {error}", err=True)
        sys.exit(1)
    for line in _what_to_look_for(settings.rules, alertmanagers.last, severity, further):
        click.echo(line)


def send_test(
    alertmanagers: Alertmanagers, rules: RuleSettings, severity: str, labels: Mapping[str, str], clock: Clock
) -> None:
    """Post the test alert, which ends by itself after a minute; raise AlertmanagerError when none takes it."""
    start = datetime.fromtimestamp(clock.wall(), UTC)
    # The region makes it a group of its own, and no inhibition knows it.
    place = {"cluster": rules.cluster, "region": "test"}
    own = {rules.label_names.get(name, name): value for name, value in place.items()}
    alertmanagers.send_alert(
        labels={
            **{name: value for name, value in own.items() if name},
            **rules.alert_labels,
            **labels,
            "alertname": TEST_ALERT,
            "severity": severity,
        },
        annotations={
            "summary": f"Test of the notifications of Nomad cluster {rules.cluster}: nothing is wrong.",
            "description": "Sent by `outrider alert test`. It is reported as resolved after a minute.",
        },
        start=start,
        end=start + timedelta(seconds=TEST_LASTS_SECONDS),
    )


def _labels(texts: tuple[str, ...]) -> dict[str, str]:
    """Return the labels of NAME=VALUE texts; ends the command when one is none."""
    for text in texts:
        if not _LABEL.match(text):
            raise click.UsageError(f"--label is {text!r}; write NAME=VALUE, such as team=platform")
    return {name: value for name, _, value in (text.partition("=") for text in texts)}


def _what_to_look_for(rules: RuleSettings, url: str, severity: str, labels: Mapping[str, str]) -> Iterator[str]:
    times = rules.times
    yield f"Alertmanager at {url} took {TEST_ALERT}, severity {severity}."
    names = receivers_of(rules, TEST_ALERT, severity, labels)
    if names == (NOBODY,):
        yield f"No receiver in the settings takes {severity} alerts: add one under `receivers`, then `outrider build`."
        return
    wait = format_duration(times.group_wait_seconds)
    over = format_duration(TEST_LASTS_SECONDS + times.group_interval_seconds)
    yield f"Within {wait} these receivers should show it: {', '.join(names)}."
    silent = [each.name for each in rules.receivers if each.name in names and not each.send_resolved]
    yield f"Within {over} they should show it as resolved{_but_for(silent)}."
    if any(each.mute for each in rules.receivers if each.name in names):
        yield "One that has mute times shows nothing within them."
    yield f"If one does not, look at Alertmanager's log and at {url}/#/alerts."


def _but_for(names: list[str]) -> str:
    return f", but for {', '.join(names)}, which is told of no end" if names else ""


def _load(file: Path) -> Settings:
    try:
        return load_settings(file)
    except SettingsError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)

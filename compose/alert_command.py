"""`outrider alert`: lists the alerts, shows a runbook, and sends a test notification through the whole chain."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import requests

from alert_rules.alertmanager import NOBODY, receivers_of
from alert_rules.rules import rule_set
from alert_rules.runbooks import runbook_pages
from alert_rules.settings import NOTIFYING, Severity
from compose.build_command import DEFAULT_FILE
from compose.settings import Settings, load_settings
from compose.yaml_reader import SettingsError
from telemetry.clock import Clock, SystemClock
from telemetry.scrape.duration import format_duration

TEST_ALERT = "OutriderTest"
TEST_LASTS_SECONDS = 60.0
_TIMEOUT_SECONDS = 10.0
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
    click.echo(f"{'Alert':<22}{'Severity':<10}{'Hold':<7}{'Promise':<9}Receivers")
    for rule in rule_set(settings.rules).alerts:
        names = ", ".join(receivers_of(settings.rules, rule.alert, rule.severity.value))
        promise = format_duration(rule.promised_seconds(times))
        click.echo(
            f"{rule.alert:<22}{rule.severity.value:<10}{format_duration(rule.hold_seconds):<7}{promise:<9}{names}"
        )


@alert_group.command("runbook")
@click.argument("alert")
def runbook_command(alert: str) -> None:
    """Print the runbook of ALERT."""
    pages = runbook_pages()
    if alert not in pages:
        click.echo(f"error: there is no alert {alert!r}; the alerts are {', '.join(pages)}", err=True)
        sys.exit(1)
    click.echo(pages[alert])


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
def test_command(file: Path, alertmanager: str | None, severity: str) -> None:
    """Send one test alert to Alertmanager, which notifies the receivers of its severity."""
    settings = _load(file)
    url = alertmanager or f"http://{settings.description.alertmanager}"
    try:
        send_test(url, settings.cluster, severity, SystemClock())
    except requests.RequestException as error:
        click.echo(f"error: Alertmanager at {url} did not take the alert: {error}; is it running there?", err=True)
        sys.exit(1)
    for line in _what_to_look_for(settings, url, severity):
        click.echo(line)


def send_test(url: str, cluster: str, severity: str, clock: Clock) -> None:
    """Post the test alert, which ends by itself after a minute; raise requests.RequestException when it is refused."""
    start = datetime.fromtimestamp(clock.wall(), UTC)
    alert = {
        # The region makes it a group of its own, and no inhibition knows it.
        "labels": {"alertname": TEST_ALERT, "severity": severity, "cluster": cluster, "region": "test"},
        "annotations": {
            "summary": f"Test of the notifications of Nomad cluster {cluster}: nothing is wrong.",
            "description": "Sent by `outrider alert test`. It is reported as resolved after a minute.",
        },
        "startsAt": start.isoformat(),
        "endsAt": (start + timedelta(seconds=TEST_LASTS_SECONDS)).isoformat(),
    }
    answer = requests.post(f"{url.rstrip('/')}/api/v2/alerts", json=[alert], timeout=_TIMEOUT_SECONDS)
    answer.raise_for_status()


def _what_to_look_for(settings: Settings, url: str, severity: str) -> Iterator[str]:
    times = settings.rules.times
    yield f"Alertmanager at {url} took {TEST_ALERT}, severity {severity}."
    names = receivers_of(settings.rules, TEST_ALERT, severity)
    if names == (NOBODY,):
        yield f"No receiver in the settings takes {severity} alerts: add one under `receivers`, then `outrider build`."
        return
    wait = format_duration(times.group_wait_seconds)
    over = format_duration(TEST_LASTS_SECONDS + times.group_interval_seconds)
    yield f"Within {wait} these receivers should show it: {', '.join(names)}."
    yield f"Within {over} they should show it as resolved."
    yield f"If one does not, look at Alertmanager's log and at {url}/#/alerts."


def _load(file: Path) -> Settings:
    try:
        return load_settings(file)
    except SettingsError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)

"""`outrider build`: writes every configuration from outrider.yaml, or says what is out of date."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from alert_rules.rules import rule_set
from compose import generate
from compose.settings import Settings, load_settings
from compose.yaml_reader import SettingsError
from telemetry.scrape.duration import format_duration

DEFAULT_FILE = Path("outrider.yaml")
DEFAULT_OUT = Path("generated")
_SMALL, _MOST = 2, 7
"""Servers of a region: so few survive no loss, and with more each write waits for more answers."""


@click.command("build")
@click.option(
    "-f", "--file", "file", type=click.Path(path_type=Path), default=DEFAULT_FILE, show_default=True, help="Settings."
)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=DEFAULT_OUT, show_default=True, help="Folder to write."
)
@click.option("--check", is_flag=True, help="Write nothing; fail when a file is missing or out of date.")
@click.option(
    "--merge-alertmanager",
    "existing",
    metavar="EXISTING.yml",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help=f"Also write OUT/{generate.MERGED_FILE}: your own Alertmanager configuration with our routes, receivers and "
    "inhibitions in it. Yours stay as they are and in order, but your comments are lost. EXISTING.yml is not touched.",
)
def build_command(file: Path, out: Path, existing: Path | None, *, check: bool) -> None:
    """Write prometheus.yml, rules, alertmanager.yml and dashboards."""
    try:
        settings = load_settings(file)
        merged = None if existing is None else generate.merged_alertmanager(settings, existing)
    except SettingsError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    sys.exit(_check_current(settings, out) if check else _build(settings, out, merged))


def _check_current(settings: Settings, out: Path) -> int:
    stale = generate.stale(settings, out)
    for path in stale:
        click.echo(f"out of date: {path}", err=True)
    click.echo(f"{len(stale)} files out of date in {out}")
    return 1 if stale else 0


def _build(settings: Settings, out: Path, merged: dict[str, str] | None) -> int:
    for path in (*generate.build(settings, out), *generate.write(merged or {}, out)):
        click.echo(f"wrote {path}")
    for severity in generate.unheard(settings):
        click.echo(
            f"note: no receiver takes {severity} alerts of cluster {settings.cluster}; add one under `receivers`"
        )
    if settings.rules.has_existing_receivers:
        click.echo("note: no alertmanager.yml, as receivers of your own are named: add --merge-alertmanager YOURS.yml")
    for note in notes(settings):
        click.echo(f"note: {note}")
    failed = 0
    for result in generate.check(settings, out, has_merged=merged is not None):
        match result.passed:
            case True:
                click.echo(f"checked {result.name}")
            case None:
                click.echo(result.output)
            case False:
                failed += 1
                click.echo(f"Error: {result.name} was refused:\n{result.output}", err=True)
    return 1 if failed else 0


def notes(settings: Settings) -> Iterator[str]:
    """Yield what is allowed and better not done, about the sizes of the regions."""
    for region in settings.rules.regions:
        where = f"region {region.name} of cluster {region.cluster or settings.cluster}"
        expected = region.expected_servers
        if expected <= _SMALL:
            page = rule_set(settings.rules).alert("NomadQuorumLost").promised_seconds(settings.rules.times)
            yield (
                f"{where} expects {expected} servers: any restart is an outage, so one is notified after up to "
                f"{format_duration(page)}; three servers survive the loss of one"
            )
        elif expected % 2 == 0 or expected > _MOST:
            yield (
                f"{where} expects {expected} servers: an even number survives no more losses than one less, and more "
                f"than {_MOST} make every write slower; three or five are best"
            )

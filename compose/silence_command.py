"""`outrider silence`: keeps alerts about one server, client or region quiet during maintenance; lists and ends silences."""

import getpass
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

from compose.alertmanager_api import AlertmanagerError, Alertmanagers, Silence
from compose.build_command import DEFAULT_FILE
from compose.maintenance import MaintenanceError, Plan, Where, plan_agent, plan_region
from compose.settings import Settings, load_settings
from compose.yaml_reader import SettingsError
from telemetry.clock import Clock, SystemClock
from telemetry.scrape.duration import format_duration, parse_duration

LONGEST_SECONDS = 24 * 3_600.0
"""A silence that is forgotten hides the next fault: a longer one has to be confirmed."""

_F = TypeVar("_F", bound=Callable[..., Any])


class _SilenceGroup(click.Group):
    """A group whose first word is a command of its own, or else what is to be silenced."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Take `silence server-2 …` for `silence add server-2 …`."""
        if args and args[0] not in self.commands:
            args = ["add", *args]
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take options without a name, such as `silence --region eu`, for those of `add`."""
        if args and args[0].startswith("-") and args[0] not in ctx.help_option_names:
            args = ["add", *args]
        return super().parse_args(ctx, args)


def _address(command: _F) -> _F:
    file = click.option(
        "-f",
        "--file",
        "file",
        type=click.Path(path_type=Path),
        default=DEFAULT_FILE,
        show_default=True,
        help="Settings.",
    )
    url = click.option("--alertmanager", help="URL of Alertmanager, instead of the addresses in the settings.")
    return file(url(command))


@click.group("silence", cls=_SilenceGroup)
def silence_group() -> None:
    """Keep alerts quiet during maintenance.

    \b
    outrider silence server-2 --for 30m        one server or client
    outrider silence --region eu --for 2h      the warnings of a whole region
    outrider silence list
    outrider silence end ID
    """  # noqa: D301, click's mark of lines that stay as they are


@silence_group.command("add")
@click.argument("name", required=False)
@click.option("--for", "duration", required=True, help="How long, such as 30m or 2h.")
@click.option("--region", help="The region of NAME; without NAME, the whole of it.")
@click.option("--cluster", help="The cluster of NAME or of the region, where the settings have several.")
@click.option("--with-risk", is_flag=True, help="Also silence NomadQuorumAtRisk of the server's region.")
@click.option("--comment", help="Why; shown to everyone who looks.")
@click.option("--yes", is_flag=True, help="Allow more than 24 hours.")
@_address
def add_command(
    name: str | None,
    duration: str,
    region: str | None,
    cluster: str | None,
    comment: str | None,
    file: Path,
    alertmanager: str | None,
    *,
    with_risk: bool,
    yes: bool,
) -> None:
    """Silence the alerts about NAME, a server or client of the settings."""
    with _errors_as_sentences():
        settings = load_settings(file)
        seconds = _seconds(duration, is_confirmed=yes)
        plan = _plan(settings, name, Where(region=region, cluster=cluster), with_risk=with_risk)
        alertmanagers = _alertmanagers(settings, alertmanager)
        for line in add(alertmanagers, plan, seconds, comment, SystemClock()):
            click.echo(line)


@silence_group.command("list")
@_address
def list_command(file: Path, alertmanager: str | None) -> None:
    """List the silences that hold, or will."""
    with _errors_as_sentences():
        alertmanagers = _alertmanagers(None if alertmanager else load_settings(file), alertmanager)
        silences = alertmanagers.silences()
        if not silences:
            click.echo(f"Nothing is silenced at {alertmanagers.last}.")
        for silence in silences:
            click.echo(f"{silence.id}  {silence.state}  until {_shown(silence.ends_at)}  {_matchers(silence)}")
            click.echo(f"    {silence.comment} ({silence.created_by})")


@silence_group.command("end")
@click.argument("silence_id", metavar="ID")
@_address
def end_command(silence_id: str, file: Path, alertmanager: str | None) -> None:
    """End a silence now."""
    with _errors_as_sentences():
        alertmanagers = _alertmanagers(None if alertmanager else load_settings(file), alertmanager)
        held = {silence.id for silence in alertmanagers.silences()}
        if silence_id not in held:
            raise MaintenanceError(
                f"there is no silence {silence_id!r} at {alertmanagers.last}; `outrider silence list` shows those that hold"
            )
        alertmanagers.end_silence(silence_id)
        click.echo(f"Ended {silence_id}.")


def add(alertmanagers: Alertmanagers, plan: Plan, seconds: float, comment: str | None, clock: Clock) -> Iterator[str]:
    """Add the silences of *plan* and yield what a person is told; raises AlertmanagerError."""
    start = datetime.fromtimestamp(clock.wall(), UTC)
    for subject, matchers in plan.silences:
        silence = Silence(
            matchers=matchers,
            starts_at=start,
            ends_at=start + timedelta(seconds=seconds),
            created_by=getpass.getuser(),
            comment=comment or f"maintenance of {subject}, by `outrider silence`",
        )
        silence_id = alertmanagers.add_silence(silence)
        yield f"Silenced {subject} until {_shown(silence.ends_at)}: {_matchers(silence)}"
        yield f"  id {silence_id}; end it sooner with `outrider silence end {silence_id}`"
    yield from plan.notes


def _plan(settings: Settings, name: str | None, where: Where, *, with_risk: bool) -> Plan:
    if name is not None:
        return plan_agent(settings, name, where, with_risk=with_risk)
    if where.region is None:
        raise MaintenanceError("nothing is named: give a server or client, or --region")
    if with_risk:
        raise MaintenanceError("--with-risk goes with one server: a whole region's warnings are silenced anyway")
    return plan_region(settings, where.region, where.cluster)


def _seconds(duration: str, *, is_confirmed: bool) -> float:
    try:
        seconds = parse_duration(duration)
    except ValueError:
        raise MaintenanceError(f'--for is {duration!r}; write a duration such as "30m" or "2h"') from None
    if seconds <= 0:
        raise MaintenanceError(f"--for is {duration!r}; it must be longer than 0s")
    if seconds > LONGEST_SECONDS and not is_confirmed:
        raise MaintenanceError(
            f"--for is {duration}, longer than {format_duration(LONGEST_SECONDS)}, and what is silenced that long is "
            "forgotten; shorten it, or add --yes"
        )
    return seconds


def _alertmanagers(settings: Settings | None, url: str | None) -> Alertmanagers:
    if url is not None:
        return Alertmanagers([url])
    assert settings is not None, "without a URL the settings say the addresses"
    return Alertmanagers(f"http://{address}" for address in settings.description.alertmanagers)


def _matchers(silence: Silence) -> str:
    return ", ".join(str(matcher) for matcher in silence.matchers)


def _shown(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")


@contextmanager
def _errors_as_sentences() -> Iterator[None]:
    """End the command with the sentence of what went wrong."""
    try:
        yield
    except (AlertmanagerError, MaintenanceError, SettingsError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)

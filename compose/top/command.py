"""`outrider top`: who leads, how many servers stand, what waits and what fires, at a glance or again and again."""

import sys
import threading
from collections.abc import Callable

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from compose.check.options import asks_agents
from compose.top.facts import Facts
from compose.top.gather import TIMEOUT_SECONDS, NobodyAnswered, look
from compose.top.view import as_json, screen
from telemetry.clock import SystemClock
from telemetry.nomad_api import ApiSettings, with_overrides
from telemetry.prometheus_api import Prometheus
from telemetry.scrape.duration import parse_duration

LED, LEADERLESS, COULD_NOT_LOOK = 0, 1, 2
"""Exit codes."""

WATCH_DEFAULT = "2s"
_SHORTEST_SECONDS = 0.5


def _seconds(_context: click.Context, option: click.Parameter, text: str | None) -> float | None:
    """Return the seconds of "5", "5s" or "1m", None where the option is not given."""
    if text is None:
        return None
    try:
        seconds = float(text) if text.replace(".", "", 1).isdecimal() else parse_duration(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a duration: write 2, 2s or 1m", param=option) from None
    if seconds < _SHORTEST_SECONDS:
        raise click.BadParameter(f"{text} is too often: write {_SHORTEST_SECONDS:g}s or more", param=option)
    return seconds


def _prometheus(_context: click.Context, option: click.Parameter, url: str | None) -> Prometheus | None:
    try:
        return None if url is None else Prometheus(url, timeout_seconds=TIMEOUT_SECONDS)
    except ValueError as error:
        raise click.BadParameter(str(error), param=option) from None


@click.command("top")
@click.option("--prometheus", metavar="URL", callback=_prometheus, help="Also show alerts, and since when who leads.")
@click.option("--cluster", default="", help="The cluster of the region, where that Prometheus watches several.")
@click.option("--region", default="", metavar="NAME", help="Region to look at. [env: NOMAD_REGION]")
@click.option(
    "--watch",
    "every_seconds",
    metavar="[SECONDS]",
    is_flag=False,
    flag_value=WATCH_DEFAULT,
    callback=_seconds,
    help=f"Look again and again, every {WATCH_DEFAULT} if not said otherwise, until Ctrl-C.",
)
@asks_agents
def top_command(
    *,
    prometheus: Prometheus | None,
    cluster: str,
    region: str,
    every_seconds: float | None,
    api: ApiSettings,
    addresses: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show a region at a glance: leader, servers, nodes, evaluations, alerts.

    Of several addresses the first agent that answers is asked. Only reads; a token needs agent:read, node:read,
    operator:read and read-job. Exit code 0: there is a leader, 1: there is none, 2: nobody answered.
    """
    settings = with_overrides(api, {"region": region, "timeout_seconds": TIMEOUT_SECONDS})
    clock = SystemClock()

    def looked() -> Facts:
        return look(settings, addresses or (settings.address,), prometheus, cluster, clock)

    console = Console(highlight=False)
    if every_seconds is not None:
        watch(looked, every_seconds, console, is_json=as_json)
        return
    try:
        facts = looked()
    except NobodyAnswered as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(COULD_NOT_LOOK)
    _print(console, facts, is_json=as_json)
    sys.exit(LED if facts.leader else LEADERLESS)


def _print(console: Console, facts: Facts, *, is_json: bool) -> None:
    if is_json:
        click.echo(as_json(facts))
    else:
        console.print(screen(facts))


def watch(looked: Callable[[], Facts], every_seconds: float, console: Console, *, is_json: bool) -> None:
    """Look until Ctrl-C: on a terminal in place, else one after the other. Who does not answer may do so next time."""
    pause = threading.Event().wait
    try:
        if is_json or not console.is_terminal:
            while True:
                try:
                    _print(console, looked(), is_json=is_json)
                except NobodyAnswered as error:
                    click.echo(f"Error: {error}", err=True)
                sys.stdout.flush()
                pause(every_seconds)
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                try:
                    live.update(screen(looked()), refresh=True)
                except NobodyAnswered as error:
                    live.update(Text.assemble(("Error: ", "bold red"), str(error)), refresh=True)
                pause(every_seconds)
    except KeyboardInterrupt:
        return

"""`outrider up`, `down` and `ps`: the local cluster from the command line."""

import shlex
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar

import click

from compose.local import READY_SECONDS, LocalCluster, LocalError
from compose.local_config import recall
from compose.local_settings import LOCAL_FOLDER, LOOPBACK, LocalSettings
from compose.tools import TOOLS_FOLDER, ToolError
from compose.yaml_reader import SettingsError
from telemetry.scrape.duration import format_duration, parse_duration

_F = TypeVar("_F", bound=Callable[..., Any])
_SHIPPED = LocalSettings()
_DOES_COLUMN = 26


def _seconds(_context: click.Context, option: click.Parameter, text: str) -> float:
    """Return the seconds of a duration such as 5s or 1m."""
    try:
        return parse_duration(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a duration: write 1s, 500ms or 1m", param=option) from None


def _folder(command: _F) -> _F:
    return click.option(
        "--dir",
        "directory",
        type=click.Path(path_type=Path, file_okay=False),
        default=LOCAL_FOLDER,
        show_default=True,
        help="Where the cluster keeps data, logs and configuration.",
    )(command)


def _interval(name: str, seconds: float, text: str) -> Callable[[_F], _F]:
    return click.option(name, default=format_duration(seconds), show_default=True, callback=_seconds, help=text)


@click.command("up")
@_folder
@click.option("--servers", default=_SHIPPED.servers, show_default=True, help="Servers; 3 survive the loss of one.")
@click.option("--clients", default=_SHIPPED.clients, show_default=True, help="Clients, which run tasks.")
@click.option("--port-base", default=_SHIPPED.port_base, show_default=True, help="First port of the first agent.")
@click.option("--prometheus-port", default=_SHIPPED.prometheus_port, show_default=True)
@click.option("--alertmanager-port", default=_SHIPPED.alertmanager_port, show_default=True)
@click.option("--receiver-port", default=_SHIPPED.receiver_port, show_default=True)
@click.option("--exporter-port", type=int, help="Run `outrider exporter`, too, at this port.")
@click.option(
    "--tls", is_flag=True, help="Let agents speak mutual TLS, with a CA and certificates of the cluster's own."
)
@_interval("--scrape-interval", _SHIPPED.scrape_interval_seconds, "How often Prometheus asks each agent.")
@_interval("--evaluation-interval", _SHIPPED.evaluation_interval_seconds, "How often it looks at the rules.")
@_interval("--group-wait", _SHIPPED.group_wait_seconds, "Alertmanager's wait before a first notification.")
@_interval("--group-interval", _SHIPPED.group_interval_seconds, "Its wait before a notification of changes.")
@click.option(
    "--tools",
    type=click.Path(path_type=Path, file_okay=False),
    default=TOOLS_FOLDER,
    show_default=True,
    help="Where unpacked programs are looked for after PATH.",
)
def up_command(
    *,
    scrape_interval: float,
    evaluation_interval: float,
    group_wait: float,
    group_interval: float,
    **options: Any,
) -> None:
    """Run a watched cluster on this machine, on 127.0.0.1.

    Starts what does not run; where nothing of the cluster runs, a fresh one begins. Killed processes are brought
    back, on the data they had, by the same command.
    """
    try:
        settings = LocalSettings(
            scrape_interval_seconds=scrape_interval,
            evaluation_interval_seconds=evaluation_interval,
            group_wait_seconds=group_wait,
            group_interval_seconds=group_interval,
            **options,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    # A terminated `up` must end what it started, as an interrupted one does.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        cluster = LocalCluster(settings)
        _start(cluster)
    except (LocalError, ToolError, SettingsError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(screen(cluster))


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _start(cluster: LocalCluster) -> None:
    """Start the cluster and wait until it is watched; end what was started when that fails."""
    started = cluster.start()
    if not started:
        click.echo("everything runs already")
        return
    click.echo(f"started {', '.join(started)}; waiting for a leader, clients, scrapes and Alertmanager")
    try:
        cluster.wait_ready(READY_SECONDS)
    except BaseException:
        cluster.end(started)
        raise


def screen(cluster: LocalCluster) -> str:
    """Return what a newcomer needs once the cluster runs: where to look, what to try, how to stop."""
    settings = cluster.settings
    leader = cluster.leader()
    pid = None if leader is None else cluster.pid(leader)
    outrider = _outrider()
    elsewhere = dir_option(settings.directory)
    attempts = (
        []
        if pid is None
        else [
            "What to try",
            *_attempt(
                f"kill -9 {pid}",
                f"kill {leader}, the leader: another takes over within a second;",
                "left dead, the warning NomadQuorumAtRisk arrives within a minute",
            ),
            *_attempt(
                f"{outrider} ps{elsewhere}", "shows the new leader; kill -9 that one too: the page NomadQuorumLost"
            ),
            *_attempt(f"{outrider} up{elsewhere}", "with the same options brings the dead back: resolved"),
            *_attempt(
                f"{outrider} alert test -f {_relative(settings.directory / 'outrider.yaml')}",
                "sends a test notification through the whole chain",
            ),
            "",
        ]
    )
    return "\n".join(
        [
            "",
            f"A cluster of {settings.servers} servers and {settings.clients} clients runs and is watched.",
            "",
            "Where to look",
            f"  notifications   tail -f {_relative(cluster.log('receiver'))}",
            f"                  http://{LOOPBACK}:{settings.receiver_port}/",
            f"  alerts          {cluster.probes.alerts_page()}",
            f"  dashboards      {_preview(settings, outrider)}",
            f"  Alertmanager    http://{LOOPBACK}:{settings.alertmanager_port}/",
            *_asking(settings, outrider),
            f"  logs            {_relative(settings.directory / 'logs')}/",
            "",
            *attempts,
            "How to stop",
            f"  {outrider} down{elsewhere}",
        ]
    )


def _asking(settings: LocalSettings, outrider: str) -> list[str]:
    """Return where agents' metrics and members are, and with which certificates they are asked where TLS is spoken."""
    address = settings.url(settings.server_agents[0])
    files = settings.tls_files
    if files is None:
        return [
            f"  metrics         {address}/v1/metrics?format=prometheus",
            f"  members         {outrider} server members -address={address}",
        ]
    named = {
        "NOMAD_ADDR": address,
        "NOMAD_CACERT": shlex.quote(_relative(files.authority)),
        "NOMAD_CLIENT_CERT": shlex.quote(_relative(files.certificate(files.command_line))),
        "NOMAD_CLIENT_KEY": shlex.quote(_relative(files.key(files.command_line))),
    }
    return [
        "  agents          speak TLS, and ask everybody for a certificate; this is yours:",
        *(f"                  export {name}={value}" for name, value in named.items()),
        '  metrics         curl --cacert "$NOMAD_CACERT" --cert "$NOMAD_CLIENT_CERT" --key "$NOMAD_CLIENT_KEY" \\',
        '                       "$NOMAD_ADDR/v1/metrics?format=prometheus"',
        f"  members         {outrider} server members",
    ]


def _preview(settings: LocalSettings, outrider: str) -> str:
    """Return the command that draws the cluster's dashboards."""
    ours, other = settings.prometheus_port, _SHIPPED.prometheus_port
    prometheus = "" if ours == other else f" --prometheus http://{LOOPBACK}:{ours}"
    return f"{outrider} dashboards preview --dir {_relative(settings.directory / 'config/dashboards')}{prometheus}"


def dir_option(directory: Path) -> str:
    """Return what a further command has to be told to find the cluster in *directory*: nothing in the default one."""
    return "" if directory.absolute() == LOCAL_FOLDER.absolute() else f" --dir {_relative(directory)}"


def _attempt(command: str, *does: str) -> list[str]:
    """Return the lines of something to try: the command, and beside it, or below a long one, what it does."""
    beside = f"  {command} ".ljust(_DOES_COLUMN)
    if len(beside) > _DOES_COLUMN:
        return [beside.rstrip(), *(" " * _DOES_COLUMN + text for text in does)]
    return [beside + does[0], *(" " * _DOES_COLUMN + text for text in does[1:])]


@click.command("down")
@_folder
def down_command(directory: Path) -> None:
    """End every process of the local cluster."""
    try:
        ended = LocalCluster(recall(directory)).stop()
    except LocalError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"ended {', '.join(ended)}" if ended else f"nothing of the cluster in {directory} runs")


@click.command("ps")
@_folder
def ps_command(directory: Path) -> None:
    """List the processes of the local cluster: name, pid, state, address, role."""
    rows = LocalCluster(recall(directory)).ps()
    if not rows:
        click.echo(f"no cluster runs in {directory}: start one with `outrider up`")
        return
    table = [("NAME", "PID", "STATE", "ADDRESS", "ROLE")]
    table += [
        (row.name, str(row.pid), row.state.value, row.address, "leader" if row.is_leader else row.role.value)
        for row in rows
    ]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _outrider() -> str:
    """Return how the user runs this program again: by its name where PATH leads to it, else by its path."""
    own = Path(sys.executable).with_name("outrider")
    found = shutil.which("outrider")
    if found is None and own.exists():
        return _relative(own)
    return "outrider"


def _relative(path: Path) -> str:
    """Return *path* as short as it can be from the current folder."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)

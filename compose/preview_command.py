"""`outrider dashboards preview`: the dashboards on a local page, without Grafana."""

import re
import shlex
import sys
import threading
import webbrowser
from importlib.metadata import requires
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from compose.build_command import DEFAULT_OUT
from compose.local_settings import LOCAL_FOLDER
from telemetry.clock import SystemClock
from telemetry.prometheus_api import Prometheus, PrometheusFailure
from telemetry.scrape.duration import parse_duration

if TYPE_CHECKING:
    from dashboards.preview.server import PreviewServer

DEFAULT_PORT = 3_300
DEFAULT_PROMETHEUS = "http://127.0.0.1:9090"
_FOLDERS = (DEFAULT_OUT / "dashboards", LOCAL_FOLDER / "config" / "dashboards", Path("compose/generated/dashboards"))
"""Where dashboards are looked for: what `outrider build`, `outrider up` and a clone of the project have."""

_EXTRA_PACKAGES = frozenset({"plotly", "markdown_it"})


def _prometheus(_context: click.Context, option: click.Parameter, url: str) -> Prometheus:
    try:
        return Prometheus(url)
    except ValueError as error:
        raise click.BadParameter(str(error), param=option) from None


def _duration(_context: click.Context, option: click.Parameter, text: str | None) -> float | None:
    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param=option) from None


@click.command("preview")
@click.option("--prometheus", metavar="URL", default=DEFAULT_PROMETHEUS, show_default=True, callback=_prometheus)
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help=f"Folder of dashboards (*.json). [default: the first there is of {', '.join(str(each) for each in _FOLDERS)}]",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Port of 127.0.0.1; 0 for any that is free.",
)
@click.option("--from", "start", metavar="TIME", help="Begin of what is shown: now-6h, or 2026-11-29T16:00:00Z.")
@click.option("--to", "end", metavar="TIME", help="End of what is shown. [default: now]")
@click.option("--last", metavar="DURATION", callback=_duration, help="Show the last 15m, 1h or 2d instead.")
@click.option(
    "--scrape-interval",
    "scrape_seconds",
    metavar="DURATION",
    default="15s",
    show_default=True,
    callback=_duration,
    help="How often Prometheus scrapes: no step is finer, and a rate is taken over four at least.",
)
@click.option("--open", "opens", is_flag=True, help="Also open it in a browser.")
def preview_command(
    *,
    prometheus: Prometheus,
    folder: Path | None,
    port: int,
    start: str | None,
    end: str | None,
    last: float | None,
    scrape_seconds: float,
    opens: bool,
) -> None:
    """Draw the dashboards on a page of 127.0.0.1, from the same JSON and the same queries as Grafana's.

    Needs nothing but a Prometheus; nothing is fetched from elsewhere.
    """
    if last is not None and (start is not None or end is not None):
        raise click.UsageError("--last says from when to now: leave out --from and --to, or --last")
    if scrape_seconds <= 0:
        raise click.BadParameter("0s is no interval: write 5s or 15s", param_hint="--scrape-interval")
    begin = _before(last) if last is not None else start or ""
    server = _server(prometheus, folder or _folder(), port, begin, end or "", scrape_seconds)
    url = f"http://127.0.0.1:{server.server_port}/"
    click.echo(f"{len(server.preview.boards)} dashboards on {url} (Ctrl-C ends it)")
    try:
        prometheus.query("1", server.preview.clock.wall())
    except PrometheusFailure as error:
        click.echo(f"note: {error} Panels will say so until it answers; name another with --prometheus", err=True)
    if opens:
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
    try:
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()


def _before(seconds: float) -> str:
    """Return the time so many *seconds* ago as Grafana writes it: now-30m."""
    whole = max(1, round(seconds))
    size, unit = next(
        (size, unit) for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")) if whole % size == 0
    )
    return f"now-{whole // size}{unit}"


def _folder() -> Path:
    """Return the first folder of dashboards that is there."""
    found = next((folder for folder in _FOLDERS if any(folder.glob("*.json"))), None)
    if found is None:
        listed = ", ".join(str(folder) for folder in _FOLDERS)
        _fail(f"no dashboards in {listed}: write them with `outrider build`, or name their folder with --dir")
    return found


def _server(
    prometheus: Prometheus, folder: Path, port: int, start: str, end: str, scrape_seconds: float
) -> "PreviewServer":
    """Return the server; ends with a sentence where packages lack, the folder has no dashboards or the port is taken."""
    try:
        from dashboards.preview.model import ModelError, read_folder  # noqa: PLC0415 - the extra may not be installed
        from dashboards.preview.server import Preview, PreviewServer  # noqa: PLC0415
        from dashboards.preview.times import read_range  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA_PACKAGES:
            raise
        _fail(f"this command draws with {error.name}, which is not installed here: {_installing()}")
    clock = SystemClock()
    try:
        boards = read_folder(folder)
        for board in boards:
            read_range(start or board.time_from, end or board.time_to, clock.wall())
        preview = Preview(
            boards=boards, prometheus=prometheus, clock=clock, start=start, end=end, scrape_seconds=scrape_seconds
        )
        return PreviewServer(port, preview)
    except (ModelError, ValueError) as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"cannot listen on 127.0.0.1:{port}: {error.strerror}; choose another with --port")


def _installing() -> str:
    """Return the command that installs the extra `preview` beside the Python that runs, from whatever we came."""
    wanted = (re.fullmatch(r"(.+?)\s*;\s*extra == ['\"]preview['\"]", each) for each in requires("outrider") or ())
    packages = [match[1] for match in wanted if match is not None]
    return shlex.join([sys.executable, "-m", "pip", "install", *packages])


def _fail(message: str) -> NoReturn:
    click.echo(f"Error: {message}", err=True)
    sys.exit(1)

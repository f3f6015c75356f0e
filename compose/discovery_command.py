"""`outrider discovery`: finds the agents of live clusters for Prometheus, without Consul."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType

import click

from compose.api_access import named, with_access
from compose.build_command import DEFAULT_FILE, DEFAULT_OUT
from compose.receiver import split_address
from compose.settings import Settings, load_settings
from compose.yaml_reader import SettingsError
from telemetry.clock import SystemClock
from telemetry.nomad_api import ApiSettings, NomadApi
from telemetry.scrape.access import Access
from telemetry.scrape.discovery import ROUND_SECONDS, TIMEOUT_SECONDS, Discovery, Place
from telemetry.scrape.duration import format_duration, parse_duration
from telemetry.scrape.endpoint import DiscoveryServer, read_found, write_found
from telemetry.scrape.members import ABSENT_ANSWERS, Known

DEFAULT_LISTEN = "127.0.0.1:4651"

_FILE = click.option(
    "-f", "--file", "file", type=click.Path(path_type=Path), default=DEFAULT_FILE, show_default=True, help="Settings."
)
_INTERVAL = click.option(
    "--interval", default=format_duration(ROUND_SECONDS), show_default=True, help="How often the clusters are asked."
)


@click.group("discovery")
def discovery_group() -> None:
    """Find the agents of live clusters for Prometheus.

    The servers in outrider.yaml are asked for members and nodes, with the TLS files and the token under `scrape`;
    NOMAD_TOKEN, NOMAD_CACERT, NOMAD_CLIENT_CERT, NOMAD_CLIENT_KEY and NOMAD_TLS_SERVER_NAME come first. A token needs
    agent:read and node:read.
    """


@discovery_group.command("serve")
@_FILE
@click.option("--listen", default=DEFAULT_LISTEN, show_default=True, help="Address to answer Prometheus on.")
@_INTERVAL
def serve_command(file: Path, listen: str, interval: str) -> None:
    """Answer Prometheus' http_sd: GET /targets lists every agent, GET /metrics says how old the list is."""
    seconds = _seconds(interval)
    try:
        address = split_address(listen)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--listen") from error
    settings = _settings(file)
    discovery = _discovery(settings)
    try:
        server = DiscoveryServer(address, discovery)
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {listen}: {error.strerror}; choose another with --listen"
        ) from error
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="discovery-http")
    thread.start()
    host, port = server.server_address[:2]
    click.echo(f"targets on http://{host!s}:{port}/targets")
    try:
        _until_stopped(discovery.round, seconds)
    finally:
        # Also after an error: who serves a list that nobody renews looks well.
        server.shutdown()
        thread.join()
        server.server_close()


@discovery_group.command("write")
@_FILE
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default=DEFAULT_OUT,
    show_default=True,
    help="The folder of prometheus.yml.",
)
@_INTERVAL
@click.option("--once", is_flag=True, help="Ask once; exit with 1 when a cluster did not answer in full.")
def write_command(file: Path, out: Path, interval: str, *, once: bool) -> None:
    """Write the agents that are found into OUT/targets/discovered, which `discovery: file` reads.

    A file is replaced whole, and stays as it is while its cluster does not answer.
    """
    seconds = _seconds(interval)
    settings = _settings(file)
    # One that runs once counts no answers: it believes the first that knows a leader.
    discovery = _discovery(settings, earlier=read_found(settings.description, out), is_patient=not once)

    def write() -> bool:
        is_complete = discovery.round()
        for path in write_found(settings.description, discovery, out):
            click.echo(f"wrote {path}")
        return is_complete

    try:
        if once:
            sys.exit(0 if write() else 1)
        _until_stopped(write, seconds)
    except OSError as error:
        raise click.ClickException(f"cannot write {error.filename}: {error.strerror}") from error


def _until_stopped(work: Callable[[], object], seconds: float) -> None:
    """Do *work* at once and then every so many seconds, until a signal asks to end."""
    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    while not stopping.is_set():
        work()
        stopping.wait(seconds)


def _settings(file: Path) -> Settings:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    try:
        settings = load_settings(file)
    except SettingsError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    for region in settings.description.regions:
        if not region.servers:
            click.echo(
                f"Error: {file}: region {region.name} lists no server, so nobody can be asked who is there; "
                "list one or more under servers",
                err=True,
            )
            sys.exit(1)
    return settings


def _discovery(
    settings: Settings, earlier: Mapping[Place, Known] | None = None, *, is_patient: bool = True
) -> Discovery:
    """Return what follows the clusters of *settings*; raises click's error for a file that cannot be read."""
    access = settings.description.access
    base = _api_settings(access)

    def connect(region: str, address: str) -> NomadApi:
        url = f"{access.scheme}://{address}"
        return NomadApi(replace(named(base, access.server_name_of("server", region)), address=url))

    return Discovery(
        settings.description,
        connect,
        SystemClock(),
        earlier=earlier,
        absent_answers=ABSENT_ANSWERS if is_patient else 1,
        asks_found=access.is_https or not base.token,
    )


def _api_settings(access: Access) -> ApiSettings:
    environment = {name: text for name, text in os.environ.items() if name not in _NOT_OURS}
    try:
        given = ApiSettings.from_environment(environment)
        token = given.token
        if not token and access.token_file:
            token = Path(access.token_file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(
            f"cannot read the token in {access.token_file}: {error}; set NOMAD_TOKEN instead"
        ) from error
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    return replace(with_access(given, access), token=token, timeout_seconds=TIMEOUT_SECONDS)


_NOT_OURS = frozenset({"NOMAD_ADDR", "NOMAD_REGION", "NOMAD_NAMESPACE"})
"""outrider.yaml says where to ask; these would send every question to one place."""


def _seconds(text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--interval") from error
    if seconds < 1:
        raise click.BadParameter(f"{text} is too often; write 1s or more", param_hint="--interval")
    return seconds

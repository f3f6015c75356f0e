"""`outrider exporter`: read what a Nomad's own telemetry lacks from its API, and serve it to Prometheus."""

import logging
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any

import click

from agent.cli.dashes import DashedCommand
from agent.cli.session import CREDENTIALS, taken_credentials
from compose.topology import load_regions
from compose.yaml_reader import SettingsError
from telemetry.exporter import Exporter
from telemetry.exporting.settings import ExporterSettings
from telemetry.nomad_api import ApiSettings, with_overrides
from telemetry.scrape.description import Region, Target
from telemetry.scrape.duration import parse_duration

DEFAULT_LISTEN = "127.0.0.1:4650"

log = logging.getLogger("outrider.exporter")


class _Duration(click.ParamType[float]):
    """A duration as Prometheus writes it, as seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds of *value*."""
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@dataclass(frozen=True, slots=True)
class _Choice:
    """What the command line says of whom to watch, to be read again at each reload."""

    file: Path | None
    cluster: str
    region: str
    servers: tuple[str, ...]

    def targets(self) -> tuple[Target, ...]:
        """Return the servers. Raises click.ClickException."""
        if self.servers:
            return tuple(_target(word) for word in self.servers)
        if self.file is None:
            raise click.UsageError("no server to watch: give -f outrider.yaml, or -server NAME=HOST:PORT for each")
        try:
            regions = load_regions(self.file)
        except SettingsError as error:
            raise click.ClickException(str(error)) from None
        return self._region(regions).servers

    def _region(self, regions: tuple[Region, ...]) -> Region:
        found = [
            region for region in regions if self.cluster in {"", region.cluster} and self.region in {"", region.name}
        ]
        if len(found) == 1:
            return found[0]
        names = ", ".join(f"{region.cluster}/{region.name}" for region in regions)
        which = "none" if not found else "more than one"
        raise click.ClickException(
            f"{self.file}: of cluster {self.cluster or 'any'!r} and region {self.region or 'any'!r} there is {which} in "
            f"{names}; an exporter watches one region: choose it with -cluster and -region"
        )


def _credentials(command: Callable[..., None]) -> Callable[..., None]:
    """Give *command* the options of every command that speaks to an agent: as whom, and whom to trust."""
    for option in reversed(CREDENTIALS):
        command = option(command)
    return command


@click.command("exporter", cls=DashedCommand)
@click.option("-f", "--file", type=click.Path(path_type=Path), help="outrider.yaml, whose servers are watched.")
@click.option("--cluster", default="", help="Of several clusters in the file, the one to watch.")
@click.option("--region", default="", help="Of several regions in the file, the one to watch.")
@click.option(
    "--server",
    "servers",
    multiple=True,
    metavar="NAME=HOST:PORT",
    help="A server to watch, instead of a file; repeatable. NAME is the label `instance` of its scrape target.",
)
@click.option("--listen", default=DEFAULT_LISTEN, show_default=True, help="Address to be scraped at.")
@click.option("--poll", type=_Duration(), default="5s", show_default=True, help="How often each server is asked.")
@click.option("--lists", type=_Duration(), default="30s", show_default=True, help="How often lists are, at most.")
@click.option("--timeout", type=_Duration(), default="2s", show_default=True, help="How long to wait for an answer.")
@click.option(
    "--tls", is_flag=True, help="Speak TLS; taken for granted with any of the options below. [env: NOMAD_ADDR]"
)
@_credentials
@click.option(
    "--token-file", type=click.Path(path_type=Path), help="File of the token, read anew on SIGHUP; instead of --token."
)
@click.option(
    "--log-level", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]), default="INFO", show_default=True
)
def exporter_command(
    file: Path | None,
    cluster: str,
    region: str,
    servers: tuple[str, ...],
    listen: str,
    poll: float,
    lists: float,
    timeout: float,
    token_file: Path | None,
    log_level: str,
    *,
    tls: bool,
    **options: Any,
) -> None:
    """Say what the telemetry of a Nomad lacks.

    Asks every server of one region, never writes, and serves /metrics and /healthz. SIGHUP reads file and token anew.
    """
    logging.basicConfig(level=log_level, format="%(asctime)s [%(levelname)s] %(name)s: %(message)s")
    choice = _Choice(file, cluster, region, servers)
    credentials = taken_credentials(options)
    if token_file is not None and credentials["token"]:
        raise click.UsageError("-token and -token-file both name a token; give one of them")

    def read() -> ExporterSettings:
        api = _api(token_file, credentials)
        try:
            return ExporterSettings(
                servers=choice.targets(),
                poll_seconds=poll,
                list_seconds=lists,
                timeout_seconds=timeout,
                scheme="https" if tls or api.chooses_tls or api.address.startswith("https://") else "http",
                api=api,
            )
        except ValueError as error:
            raise click.ClickException(str(error)) from None

    settings = read()
    try:
        exporter = Exporter(settings, _host_and_port(listen), version=version("outrider"))
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {listen}: {error.strerror}; choose another with -listen"
        ) from None

    def reload() -> None:
        try:
            renewed = read()
        except click.ClickException as error:
            log.warning("not reloaded, all stays as it was error=%r", error.message)
            return
        exporter.watch(renewed)
        log.info("reloaded servers=%s", ",".join(server.name for server in renewed.servers))

    _on(signal.SIGTERM, exporter.stop)
    _on(signal.SIGINT, exporter.stop)
    _on(signal.SIGHUP, reload)
    host, port = exporter.address
    names = ",".join(server.name for server in settings.servers)
    log.info("watching servers=%s; metrics at http://%s:%d/metrics", names, host, port)
    exporter.run()
    log.info("ended")


def _on(number: signal.Signals, act: Callable[[], None]) -> None:
    def handle(_signal: int, _frame: FrameType | None) -> None:
        # In a thread of its own: the one that is interrupted may hold any lock.
        threading.Thread(target=act, name=number.name, daemon=True).start()

    signal.signal(number, handle)


def _api(token_file: Path | None, credentials: dict[str, Any]) -> ApiSettings:
    """Return token and TLS, from the environment and over it the options. Raises click.ClickException."""
    token = credentials["token"]
    if token_file is not None:
        try:
            token = token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise click.ClickException(f"{token_file}: the token cannot be read: {error}") from None
        if not token:
            raise click.ClickException(f"{token_file}: holds no token; write one, or leave -token-file out")
    try:
        api = with_overrides(ApiSettings.from_environment(os.environ), {**credentials, "token": token})
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    for path in (api.ca_cert, api.client_cert, api.client_key):
        if path and not Path(path).is_file():
            raise click.ClickException(f"{path}: there is no such file; name another for TLS")
    if api.ca_path and not Path(api.ca_path).is_dir():
        raise click.ClickException(f"{api.ca_path}: there is no such directory of CAs; name another with -ca-path")
    return api


def _target(word: str) -> Target:
    name, equals, address = word.partition("=")
    try:
        return Target(name=name if equals else "", address=address)
    except ValueError as error:
        raise click.UsageError(f"-server {word!r}: {error}; write NAME=HOST:PORT, such as s1=10.0.0.11:4646") from None


def _host_and_port(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise click.UsageError(f"-listen {listen!r}: write HOST:PORT, such as {DEFAULT_LISTEN}")
    return host.strip("[]"), int(port)

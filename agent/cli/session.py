"""What every command shares: the options that say where the API is, the clock, and how errors are told."""

import functools
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn
from urllib.parse import quote

import click

from telemetry.clock import Clock, SystemClock
from telemetry.nomad_api import ApiFailure, ApiSettings, NomadApi, with_overrides


@dataclass(frozen=True, slots=True)
class World:
    """What commands need besides the API: a clock, and a way to wait. Passed as click's `obj`, else the real one."""

    clock: Clock = field(default_factory=SystemClock)
    pause: Callable[[float], object] = field(default_factory=lambda: threading.Event().wait)

    def now(self) -> float:
        """Return Unix seconds."""
        return self.clock.wall()


CREDENTIALS = (
    click.option("--token", metavar="SECRET", help="Secret of an ACL token. [env: NOMAD_TOKEN]"),
    click.option("--ca-cert", metavar="FILE", help="CA that signed the agent's certificate. [env: NOMAD_CACERT]"),
    click.option("--ca-path", metavar="DIRECTORY", help="Directory of such CAs. [env: NOMAD_CAPATH]"),
    click.option("--client-cert", metavar="FILE", help="Certificate to show. [env: NOMAD_CLIENT_CERT]"),
    click.option("--client-key", metavar="FILE", help="Key of that certificate. [env: NOMAD_CLIENT_KEY]"),
    click.option("--tls-server-name", metavar="NAME", help="Name to check. [env: NOMAD_TLS_SERVER_NAME]"),
    click.option("--tls-skip-verify", is_flag=True, help="Check no certificate. [env: NOMAD_SKIP_VERIFY]"),
)
"""The options that say as whom an agent is asked, and whom to trust."""
_CREDENTIAL_NAMES = ("token", "ca_cert", "ca_path", "client_cert", "client_key", "tls_server_name")
_CONNECTION = (
    click.option("--address", metavar="URL", help="Address of an agent. [env: NOMAD_ADDR]"),
    click.option("--region", metavar="NAME", help="Region to ask. [env: NOMAD_REGION]"),
    click.option("--namespace", metavar="NAME", help="Namespace to ask, * for all. [env: NOMAD_NAMESPACE]"),
    *CREDENTIALS,
)
_COLOUR = (
    click.option("--no-color", is_flag=True, expose_value=False, help="Accepted; the output has no colours."),
    click.option("--force-color", is_flag=True, expose_value=False, hidden=True),
)
_PLACE_NAMES = ("address", "region", "namespace")


def taken_credentials(options: dict[str, Any]) -> dict[str, Any]:
    """Take what `CREDENTIALS` put into *options* out of it, and return it as what `with_overrides` takes."""
    chosen = {name: options.pop(name) for name in _CREDENTIAL_NAMES}
    # A flag that is not given says nothing: what the environment skips stays skipped.
    return chosen | ({"tls_skip_verify": True} if options.pop("tls_skip_verify") else {})


def uses_api(command: Callable[..., None]) -> Callable[..., None]:
    """Give *command* the connection options, and as first arguments the API and the world."""

    @functools.wraps(command)
    def wrapped(*args: Any, **options: Any) -> None:
        overrides = {**{name: options.pop(name) for name in _PLACE_NAMES}, **taken_credentials(options)}
        try:
            settings = with_overrides(ApiSettings.from_environment(), overrides)
        except ValueError as error:
            fail(f"Error initializing client: {error}")
        with NomadApi(settings) as api:
            command(api, _world(), *args, **options)

    decorated: Callable[..., None] = wrapped
    for option in reversed((*_CONNECTION, *_COLOUR)):
        decorated = option(decorated)
    return decorated


def fail(message: str, code: int = 1) -> NoReturn:
    """Say *message* on standard error and end."""
    click.echo(message, err=True)
    raise SystemExit(code)


@contextmanager
def told(doing: str) -> Iterator[None]:
    """Turn a failure of the API inside into "*doing*: reason" and exit code 1."""
    try:
        yield
    except ApiFailure as error:
        fail(f"{doing}: {error}")


def show_json(value: Any) -> None:
    """Print *value* as Nomad prints JSON: indented by four, names sorted."""
    click.echo(json.dumps(value, indent=4, sort_keys=True, ensure_ascii=False))


def one_of(found: Sequence[Mapping[str, Any]], wanted: str, kind: str, table: Callable[[], str]) -> Mapping[str, Any]:
    """Return the one in *found* whose ID is *wanted* or begins with it; ends with the list when several do."""
    matching = [item for item in found if item["ID"].startswith(wanted)]
    exact = [item for item in matching if item["ID"] == wanted]
    if len(exact) == 1 or len(matching) == 1:
        return (exact or matching)[0]
    if not matching:
        fail(f'No {kind}(s) with prefix or id "{wanted}" found')
    fail(f"Prefix matched multiple {kind}s\n\n{table()}")


def job_path(job_id: str) -> str:
    """Return the path of a job; ids may hold anything, slashes included."""
    return f"/v1/job/{quote(job_id, safe='/')}"


def even_prefix(identifier: str) -> str:
    """Return what of an id's beginning the API can search for: whole bytes of it."""
    return identifier if len(identifier) % 2 == 0 or "-" in identifier else identifier[:-1]


def _world() -> World:
    found = click.get_current_context().find_object(World)
    return found if found is not None else World()

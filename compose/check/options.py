"""The options that say where agents are and how to speak to them, as Nomad's own command line calls them."""

import functools
from collections.abc import Callable
from typing import Any

import click

from agent.cli.session import CREDENTIALS, taken_credentials
from telemetry.nomad_api import ApiSettings, with_overrides

_OPTIONS = (
    click.option(
        "--address", "addresses", metavar="URL", multiple=True, help="Address of an agent; as often as there are. "
        "[env: NOMAD_ADDR]"
    ),
    *CREDENTIALS,
    click.option("-json", "--json", "as_json", is_flag=True, help="Print JSON."),
)  # fmt: skip

TIMEOUT_SECONDS = 10.0
"""For one answer: who has to look soon is not helped by waiting half a minute for each agent that hangs."""


def asks_agents(command: Callable[..., None]) -> Callable[..., None]:
    """Give *command* those options, as `api`, how to speak to agents, `addresses` and `as_json`."""

    @functools.wraps(command)
    def wrapped(*args: Any, **options: Any) -> None:
        chosen = {**taken_credentials(options), "timeout_seconds": TIMEOUT_SECONDS}
        try:
            api = with_overrides(ApiSettings.from_environment(), chosen)
            for address in options["addresses"]:
                with_overrides(api, {"address": address})
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        command(*args, api=api, **options)

    decorated: Callable[..., None] = wrapped
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def url_of(address: str, api: ApiSettings, *, is_https: bool) -> str:
    """Return the URL of an agent at host:port: https where the settings say so, or *api* chooses TLS."""
    return f"{'https' if is_https or api.chooses_tls else 'http'}://{address}"

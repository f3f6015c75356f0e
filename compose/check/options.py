"""The options that say where agents are and how to speak to them, as Nomad's own command line calls them."""

import functools
from collections.abc import Callable
from typing import Any

import click

from agent.cli.session import CREDENTIAL_NAMES, CREDENTIALS
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
    def wrapped(*args: Any, tls_skip_verify: bool, **options: Any) -> None:
        chosen = {name: options.pop(name) for name in CREDENTIAL_NAMES}
        chosen["timeout_seconds"] = TIMEOUT_SECONDS
        if tls_skip_verify:
            chosen["tls_skip_verify"] = True
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
    """Return the URL of an agent at host:port: https where the settings say so, or a CA or a certificate is chosen."""
    is_tls = is_https or bool(api.ca_cert or api.ca_path or api.client_cert or api.tls_skip_verify)
    return f"{'https' if is_tls else 'http'}://{address}"

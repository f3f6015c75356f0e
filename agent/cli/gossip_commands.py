"""`outrider operator gossip keyring`: the keys that encrypt gossip."""

import base64
import os

import click

from agent.cli.dashes import DashedGroup
from agent.cli.session import World, told, uses_api
from agent.cli.tables import columns
from telemetry.nomad_api import NomadApi

KEY_BYTES = 32


@click.group(cls=DashedGroup)
def gossip() -> None:
    """Look at gossip between servers."""


@gossip.group(cls=DashedGroup)
def keyring() -> None:
    """Change the keys that encrypt gossip: install a new one, use it, remove the old one."""


@keyring.command()
def generate() -> None:
    """Print a new key, for encrypt in the configuration or for install."""
    click.echo(base64.b64encode(os.urandom(KEY_BYTES)).decode())


@keyring.command("list")
@uses_api
def list_keys(api: NomadApi, _world: World) -> None:
    """List the keys, on how many of the servers each is, and which one encrypts."""
    click.echo("Gathering installed encryption keys...")
    with told("error"):
        found = api.get("/v1/agent/keyring/list").value
    primary = found.get("PrimaryKeys") or {}
    rows = [
        (key, f"{count}/{found['NumNodes']}", f"{primary.get(key, 0)}/{found['NumNodes']}")
        for key, count in sorted((found["Keys"] or {}).items())
    ]
    click.echo(columns([("Key", "Servers", "Primary"), *rows]))


@keyring.command()
@click.argument("key")
@uses_api
def install(api: NomadApi, _world: World, *, key: str) -> None:
    """Install KEY on all servers, so that each understands what it encrypts."""
    _change(api, "install", key, "Installing new gossip encryption key...")


@keyring.command()
@click.argument("key")
@uses_api
def use(api: NomadApi, _world: World, *, key: str) -> None:
    """Encrypt with KEY from now on; it must be installed on all servers."""
    _change(api, "use", key, "Changing primary gossip encryption key...")


@keyring.command()
@click.argument("key")
@uses_api
def remove(api: NomadApi, _world: World, *, key: str) -> None:
    """Forget KEY on all servers; the one that encrypts cannot be removed."""
    _change(api, "remove", key, "Removing gossip encryption key...")


def _change(api: NomadApi, operation: str, key: str, doing: str) -> None:
    click.echo(doing)
    with told("error"):
        api.put(f"/v1/agent/keyring/{operation}", {"Key": key})

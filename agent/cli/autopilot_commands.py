"""`outrider operator autopilot get-config|set-config`."""

from typing import Any

import click

from agent.cli.dashes import DashedCommand
from agent.cli.formats import boolean
from agent.cli.session import World, fail, show_json, told, uses_api
from telemetry.nomad_api import NomadApi

_PATH = "/v1/operator/autopilot/configuration"

_SETTINGS = (
    "CleanupDeadServers",
    "LastContactThreshold",
    "MaxTrailingLogs",
    "MinQuorum",
    "ServerStabilizationTime",
    "EnableRedundancyZones",
    "DisableUpgradeMigration",
    "EnableCustomUpgrades",
)
"""In the order of Nomad's command."""


@click.command("get-config", cls=DashedCommand)
@click.option("--json", "as_json", is_flag=True, help="Print the settings as JSON.")
@uses_api
def get_config(api: NomadApi, _world: World, *, as_json: bool) -> None:
    """Show the settings of autopilot."""
    with told("Error querying Autopilot configuration"):
        found = api.get(_PATH).value
    if as_json:
        show_json(found)
        return
    for name in _SETTINGS:
        value = found[name]
        click.echo(f"{name} = {boolean(value) if isinstance(value, bool) else value}")


@click.command("set-config", cls=DashedCommand)
@click.option("--cleanup-dead-servers", type=bool, help="Remove servers that have failed: true or false.")
@click.option("--last-contact-threshold", help="How long a healthy server may be silent, such as 200ms.")
@click.option("--max-trailing-logs", type=click.IntRange(min=0), help="How many entries a healthy server may lag.")
@click.option("--min-quorum", type=click.IntRange(min=0), help="Voters that the removal of failed servers leaves.")
@click.option("--server-stabilization-time", help="How long a new server is healthy before it votes, such as 10s.")
@uses_api
def set_config(api: NomadApi, _world: World, **options: Any) -> None:
    """Change settings of autopilot; the others stay as they are."""
    wanted = {
        "".join(word.capitalize() for word in name.split("_")): value
        for name, value in options.items()
        if value is not None
    }
    if not wanted:
        fail("Error setting Autopilot configuration: name a setting to change; set-config -h lists them")
    with told("Error querying Autopilot configuration"):
        found = api.get(_PATH).value
    with told("Error setting Autopilot configuration"):
        updated = api.put(_PATH, {**found, **wanted}, {"cas": found["ModifyIndex"]}).value
    if not updated:
        fail("Configuration could not be atomically updated, please try again")
    click.echo("Configuration updated!")

"""`outrider agent-info`: the statistics of one agent."""

import click

from agent.cli.dashes import DashedCommand
from agent.cli.session import World, show_json, told, uses_api
from telemetry.nomad_api import NomadApi


@click.command("agent-info", cls=DashedCommand)
@click.option("--json", "as_json", is_flag=True, help="Print the whole answer as JSON.")
@uses_api
def agent_info(api: NomadApi, _world: World, *, as_json: bool) -> None:
    """Show what the agent knows of itself."""
    with told("Error querying agent info"):
        info = api.get("/v1/agent/self").value
    if as_json:
        show_json(info)
        return
    for section, values in sorted(info["stats"].items()):
        click.echo(section)
        for name, value in sorted(values.items()):
            click.echo(f"  {name} = {value}")

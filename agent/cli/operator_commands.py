"""`outrider operator`: Raft, autopilot, metrics; gossip, snapshots and autopilot's settings have modules of their own."""

import json
from typing import Any

import click

from agent.cli.autopilot_commands import get_config, set_config
from agent.cli.dashes import DashedGroup
from agent.cli.formats import boolean, stamp
from agent.cli.gossip_commands import gossip
from agent.cli.session import World, fail, show_json, told, uses_api
from agent.cli.snapshot_commands import snapshot
from agent.cli.tables import columns
from telemetry.nomad_api import NomadApi


@click.group(cls=DashedGroup)
def operator() -> None:
    """Look at Raft, autopilot and metrics; change the keys of gossip; save and restore the state."""


operator.add_command(gossip)
operator.add_command(snapshot)


@operator.group(cls=DashedGroup)
def raft() -> None:
    """Look at the Raft cluster, remove servers that are gone, and change who leads it."""


@raft.command("list-peers")
@click.option("--stale", is_flag=True, help="Let any server answer, also without a leader.")
@click.option("--json", "as_json", is_flag=True, help="Print the configuration as JSON.")
@uses_api
def list_peers(api: NomadApi, _world: World, *, stale: bool, as_json: bool) -> None:
    """List the servers in the Raft configuration."""
    with told("Failed to retrieve raft configuration"):
        found = api.get("/v1/operator/raft/configuration", stale=stale).value
    if as_json:
        show_json(found)
        return
    rows = [
        (
            peer["Node"], peer["ID"], peer["Address"], "leader" if peer["Leader"] else "follower",
            boolean(peer["Voter"]), peer["RaftProtocol"],
        )
        for peer in sorted(found["Servers"], key=lambda peer: (peer["Node"], peer["ID"]))
    ]  # fmt: skip
    click.echo(columns([("Node", "ID", "Address", "State", "Voter", "RaftProtocol"), *rows]))


@raft.command("remove-peer")
@click.option("--peer-id", default="", help="The ID of the server, as list-peers shows it.")
@click.option("--peer-address", default="", help="The address of the server, as list-peers shows it.")
@uses_api
def remove_peer(api: NomadApi, _world: World, *, peer_id: str, peer_address: str) -> None:
    """Remove a server from the Raft configuration: one that is gone for good and was not removed by itself.

    A server that runs comes back into the configuration once it restarts, or another server leads.
    """
    if bool(peer_id) == bool(peer_address):
        fail("Error removing peer: name it either with -peer-id or with -peer-address")
    with told("Error removing peer"):
        api.delete("/v1/operator/raft/peer", {"id": peer_id} if peer_id else {"address": peer_address})
    click.echo(f'Removed peer with {"id" if peer_id else "address"} "{peer_id or peer_address}"')


@raft.command("transfer-leadership")
@click.option("--peer-id", default="", metavar="ID", help="Id of the server that is to lead.")
@click.option("--peer-address", default="", metavar="IP:PORT", help="Its address, as list-peers shows it.")
@uses_api
def transfer_leadership(api: NomadApi, _world: World, *, peer_id: str, peer_address: str) -> None:
    """Let another server lead; returns once it does. For the moment of a change writes wait."""
    doing = "Error transferring leadership to peer"
    if not peer_id and not peer_address:
        fail(f"{doing}: an address or id is required for the destination peer")
    if peer_id and peer_address:
        fail(f"{doing}: cannot give both an address and id")
    params = {"id": peer_id} if peer_id else {"address": peer_address}
    with told(doing):
        api.put("/v1/operator/raft/transfer-leadership", None, params)
    named = f'id "{peer_id}"' if peer_id else f'address "{peer_address}"'
    click.echo(f"Transferred leadership to peer with {named}")


@operator.group(cls=DashedGroup)
def autopilot() -> None:
    """Look at autopilot, and change its settings."""


autopilot.add_command(get_config)
autopilot.add_command(set_config)


@autopilot.command("health")
@click.option("--json", "as_json", is_flag=True, help="Print the health as JSON.")
@uses_api
def autopilot_health(api: NomadApi, _world: World, *, as_json: bool) -> None:
    """Show the health of all servers, as their leader sees it; an unhealthy cluster is shown, not refused."""
    with told("Error querying Autopilot configuration"):
        found = api.get("/v1/operator/autopilot/health", accept={429}).value
    if as_json:
        show_json(found)
        return
    click.echo(f"Healthy: {boolean(found['Healthy'])}")
    click.echo(f"FailureTolerance: {found['FailureTolerance']}")
    click.echo(f"Leader: {found['Leader']}")
    click.echo("Voters:  \n\t" + "\n".join(found["Voters"] or ()))
    click.echo("Servers: ")
    header = (
        "ID", "Name", "Address", "SerfStatus", "Version", "Leader", "Voter", "Healthy", "LastContact", "LastTerm",
        "LastIndex", "StableSince",
    )  # fmt: skip
    click.echo(columns([header, *(_server(server) for server in found["Servers"] or ())]) + "\n")


def _server(server: dict[str, Any]) -> tuple[object, ...]:
    since = stamp(server["StableSince"]).replace("T", " ").replace("Z", " +0000 UTC")
    return (
        server["ID"], server["Name"], server["Address"], server["SerfStatus"], server["Version"],
        boolean(server["Leader"]), boolean(server["Voter"]), boolean(server["Healthy"]), server["LastContact"],
        server["LastTerm"], server["LastIndex"], since,
    )  # fmt: skip


@operator.command()
@click.option("--format", "wanted", type=click.Choice(["prometheus"]), help="Print the text Prometheus reads.")
@click.option("--pretty", is_flag=True, help="Indent the JSON.")
@click.option("--json", "pretty", is_flag=True, hidden=True)
@uses_api
def metrics(api: NomadApi, _world: World, *, wanted: str | None, pretty: bool) -> None:
    """Print the metrics of the agent."""
    with told("Error getting metrics"):
        text = api.get_text("/v1/metrics", {"format": wanted} if wanted else None)
    click.echo(json.dumps(json.loads(text), indent=4) if pretty and not wanted else text, nl=not wanted)

"""`outrider server`: the servers that gossip knows, and who leads."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import click

from agent.cli.dashes import DashedGroup
from agent.cli.formats import boolean
from agent.cli.session import World, fail, show_json, told, uses_api
from agent.cli.tables import columns
from telemetry.nomad_api import ApiFailure, NomadApi


@click.group(cls=DashedGroup)
def server() -> None:
    """Look at servers, and change who is one."""


@server.command()
@click.option("--detailed", is_flag=True, help="Show the protocol and all tags too.")
@click.option("--verbose", "detailed", is_flag=True, hidden=True)
@click.option("--json", "as_json", is_flag=True, help="Print the members as JSON.")
@uses_api
def members(api: NomadApi, _world: World, *, detailed: bool, as_json: bool) -> None:
    """List the servers. Exit code 1 when a region has no leader, after the list."""
    with told("Error querying servers"):
        found = api.get("/v1/agent/members").value["Members"] or []
    if as_json:
        show_json(found)
        return
    found.sort(key=lambda member: member["Name"])
    leaders, errors = _leaders(api, {member["Tags"].get("region", "") for member in found})
    rows = [_detailed(member, leaders) if detailed else _standard(member, leaders) for member in found]
    click.echo(columns([_DETAILED if detailed else _STANDARD, *rows]))
    if errors:
        several = f"{len(errors)} error{'s' if len(errors) > 1 else ''} occurred:"
        fail("\n".join([f"\nError determining leaders: {several}", *(f"\t* {error}" for error in errors), "\n"]))


@server.command()
@click.argument("addresses", nargs=-1, required=True, metavar="ADDR [ADDR...]")
@uses_api
def join(api: NomadApi, _world: World, *, addresses: tuple[str, ...]) -> None:
    """Let the agent's server join others, each by the host or host:port of its gossip (4648)."""
    # A list of equal names in a query is more than the parameters of a request can say.
    query = "&".join(f"address={quote(address, safe='')}" for address in addresses)
    with told("Error joining"):
        found = api.put(f"/v1/agent/join?{query}", None).value
    if found["error"]:
        fail(f"Error joining: {found['error']}")
    click.echo(f"Joined {found['num_joined']} servers successfully")


@server.command("force-leave")
@click.option("--prune", is_flag=True, help="Forget the server as well.")
@click.argument("name")
@uses_api
def force_leave(api: NomadApi, _world: World, *, name: str, prune: bool) -> None:
    """Let a failed server count as left: NAME as in server members, such as server-1.global."""
    with told(f"Error force-leaving server {name}"):
        api.put("/v1/agent/force-leave", None, {"node": name, **({"prune": "true"} if prune else {})})


_STANDARD = ("Name", "Address", "Port", "Status", "Leader", "Raft Version", "Build", "Datacenter", "Region")
_DETAILED = (*_STANDARD[:5], "Protocol", *_STANDARD[5:], "Tags")


def _leaders(api: NomadApi, regions: set[str]) -> tuple[set[str], list[str]]:
    """Return the leaders' host:port of all regions, and what went wrong with the others."""
    leaders: set[str] = set()
    errors: list[str] = []
    for region in sorted(regions):
        try:
            leaders.add(api.get("/v1/status/leader", {"region": region} if region else None).value)
        except ApiFailure as error:
            errors.append(f'Region "{region}": {error}')
    return leaders, errors


def _standard(member: Mapping[str, Any], leaders: set[str]) -> tuple[object, ...]:
    tags = member["Tags"]
    rpc = f"{tags.get('rpc_addr') or member['Addr']}:{tags.get('port', '')}"
    return (
        member["Name"], member["Addr"], member["Port"], member["Status"], boolean(rpc in leaders),
        tags.get("raft_vsn", ""), tags.get("build", ""), tags.get("dc", ""), tags.get("region", ""),
    )  # fmt: skip


def _detailed(member: Mapping[str, Any], leaders: set[str]) -> tuple[object, ...]:
    standard = _standard(member, leaders)
    tags = ",".join(f"{name}={value}" for name, value in sorted(member["Tags"].items()))
    return (*standard[:5], member["ProtocolCur"], *standard[5:], tags)

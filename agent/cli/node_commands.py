"""`outrider node`: the clients, what runs on one, whether it may be given new work, and draining it."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from agent.cli.dashes import DashedGroup
from agent.cli.formats import mebibytes, stamp
from agent.cli.job_status import allocs_table
from agent.cli.node_choice import chosen, found, table
from agent.cli.node_drain import drain_text, node_drain
from agent.cli.session import World, even_prefix, fail, one_of, show_json, told, uses_api
from agent.cli.tables import columns, key_values
from telemetry.nomad_api import NomadApi

_TERMINAL = frozenset({"complete", "failed", "lost"})


@click.group(cls=DashedGroup)
def node() -> None:
    """Look at clients, drain them, and say which may be given new work."""


node.add_command(node_drain)


@node.command("status")
@click.argument("node_id", metavar="NODE", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--verbose", is_flag=True, help="Show whole ids.")
@uses_api
def node_status(api: NomadApi, world: World, *, node_id: str | None, as_json: bool, verbose: bool) -> None:
    """List all clients, or show one. NODE may be the beginning of an id."""
    with told("Error querying node status"):
        nodes = api.get("/v1/nodes", {"prefix": even_prefix(node_id)} if node_id else None).value
    if node_id is None:
        if as_json:
            show_json(nodes)
        elif nodes:
            click.echo(table(nodes, verbose=verbose))
        return
    stub = one_of(nodes, node_id, "node", lambda: table(nodes, verbose=verbose))
    with told("Error querying node"):
        details = api.get(f"/v1/node/{stub['ID']}").value
    if as_json:
        show_json(details)
        return
    with told("Error querying node allocations"):
        allocs = api.get(f"/v1/node/{stub['ID']}/allocations").value
    click.echo(key_values(_basics(details)))
    click.echo(_events(details["Events"] or ()))
    click.echo(_allocated(details, allocs))
    click.echo("\nAllocations\n" + (allocs_table(allocs, world.now()) if allocs else "No allocations placed"))


@node.command("eligibility")
@click.argument("node_id", metavar="NODE", required=False)
@click.option("--enable", is_flag=True, help="Let new allocations onto the client.")
@click.option("--disable", is_flag=True, help="Keep new allocations off the client; those it has go on.")
@click.option("--self", "itself", is_flag=True, help="Mean the client that is asked.")
@uses_api
def node_eligibility(
    api: NomadApi, _world: World, *, node_id: str | None, enable: bool, disable: bool, itself: bool
) -> None:
    """Say whether a client may be given new work. NODE may be the beginning of an id."""
    if enable == disable:
        fail(f"Either the '-enable' or '-disable' flag must be set\n{_HELP}")
    wanted = chosen(api, node_id, itself=itself, help_line=_HELP)
    with told("Error updating scheduling eligibility"):
        meant = found(api, wanted)
        body = {"Eligibility": "eligible" if enable else "ineligible"}
        api.put(f"/v1/node/{meant['ID']}/eligibility", body)
    click.echo(f'Node "{meant["ID"]}" scheduling eligibility set: {body["Eligibility"]} for scheduling')


_HELP = "For additional help try 'outrider node eligibility -h'"


def _basics(details: Mapping[str, Any]) -> list[tuple[str, object]]:
    volumes = ",".join(sorted(details.get("HostVolumes") or {}))
    networks = ",".join(sorted(details.get("HostNetworks") or {}))
    return [
        ("ID", details["ID"]),
        ("Name", details["Name"]),
        ("Node Pool", details.get("NodePool", "")),
        ("Class", details["NodeClass"]),
        ("DC", details["Datacenter"]),
        ("Drain", drain_text(details)),
        ("Eligibility", details["SchedulingEligibility"]),
        ("Status", details["Status"]),
        ("CSI Controllers", ",".join(sorted(details.get("CSIControllerPlugins") or {}))),
        ("CSI Drivers", ",".join(sorted(details.get("CSINodePlugins") or {}))),
        ("Host Volumes", volumes),
        ("Host Networks", networks),
        ("CSI Volumes", ""),
        ("Driver Status", ",".join(_drivers(details["Drivers"] or {}))),
    ]


def _drivers(drivers: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the drivers that were found, by name, those in trouble marked."""
    return [
        name if driver["Healthy"] else f"{name} (unhealthy)"
        for name, driver in sorted(drivers.items())
        if driver["Detected"]
    ]


def _events(events: Sequence[Mapping[str, Any]]) -> str:
    rows = [(stamp(event["Timestamp"]), event["Subsystem"], event["Message"]) for event in reversed(events)]
    return "\nNode Events\n" + columns([("Time", "Subsystem", "Message"), *rows])


def _allocated(details: Mapping[str, Any], allocs: Sequence[Mapping[str, Any]]) -> str:
    """Return what the allocations that still count hold of the client."""
    live = [alloc for alloc in allocs if alloc["DesiredStatus"] == "run" and alloc["ClientStatus"] not in _TERMINAL]
    tasks = [task for alloc in live for task in alloc["AllocatedResources"]["Tasks"].values()]
    cpu = sum(task["Cpu"]["CpuShares"] for task in tasks)
    memory = sum(task["Memory"]["MemoryMB"] for task in tasks)
    disk = sum(alloc["AllocatedResources"]["Shared"]["DiskMB"] for alloc in live)
    total = details["NodeResources"]
    row = (
        f"{cpu}/{total['Cpu']['CpuShares']} MHz",
        f"{mebibytes(memory)}/{mebibytes(total['Memory']['MemoryMB'])}",
        f"{mebibytes(disk)}/{mebibytes(total['Disk']['DiskMB'])}",
        len(live),
    )
    return "\nAllocated Resources\n" + columns([("CPU", "Memory", "Disk", "Alloc Count"), row])

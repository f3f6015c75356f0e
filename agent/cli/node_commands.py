"""`outrider node`: the clients, what runs on one, and whether it may be given new work."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from agent.cli.dashes import DashedGroup
from agent.cli.formats import boolean, mebibytes, short, stamp
from agent.cli.job_status import allocs_table
from agent.cli.session import World, even_prefix, fail, one_of, show_json, told, uses_api
from agent.cli.tables import columns, key_values
from telemetry.nomad_api import NomadApi

_TERMINAL = frozenset({"complete", "failed", "lost"})


@click.group(cls=DashedGroup)
def node() -> None:
    """Look at clients, and say which may be given new work."""


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
            click.echo(_table(nodes, verbose=verbose))
        return
    stub = one_of(nodes, node_id, "node", lambda: _table(nodes, verbose=verbose))
    with told("Error querying node"):
        found = api.get(f"/v1/node/{stub['ID']}").value
    if as_json:
        show_json(found)
        return
    with told("Error querying node allocations"):
        allocs = api.get(f"/v1/node/{stub['ID']}/allocations").value
    click.echo(key_values(_basics(found)))
    click.echo(_events(found["Events"] or ()))
    click.echo(_allocated(found, allocs))
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
    if itself == (node_id is not None):
        fail(f"Node ID must be specified if -self isn't being used\n{_HELP}")
    wanted = _own_id(api) if node_id is None else node_id
    if len(wanted) == 1:
        fail("Identifier must contain at least two characters.")
    with told("Error updating scheduling eligibility"):
        nodes = api.get("/v1/nodes", {"prefix": even_prefix(wanted)}).value
        found = one_of(nodes, wanted, "node", lambda: _table(nodes, verbose=True))
        body = {"Eligibility": "eligible" if enable else "ineligible"}
        api.put(f"/v1/node/{found['ID']}/eligibility", body)
    click.echo(f'Node "{found["ID"]}" scheduling eligibility set: {body["Eligibility"]} for scheduling')


_HELP = "For additional help try 'outrider node eligibility -h'"


def _own_id(api: NomadApi) -> str:
    """Return the id of the client that is asked; ends when it is none."""
    with told("Error querying agent info"):
        stats = api.get("/v1/agent/self").value["stats"]
    if "client" not in stats:
        fail("Nomad not running in client mode")
    found = stats["client"].get("node_id", "")
    if not found:
        fail("Failed to determine node ID")
    return str(found)


def _table(nodes: Sequence[Mapping[str, Any]], *, verbose: bool) -> str:
    """Return the list of clients, by name."""
    header = ("ID", "Node Pool", "DC", "Name", "Class", "Drain", "Eligibility", "Status")
    rows = [
        (
            found["ID"] if verbose else short(found["ID"]), found.get("NodePool", ""), found["Datacenter"],
            found["Name"], found["NodeClass"], boolean(found["Drain"]), found["SchedulingEligibility"],
            found["Status"],
        )
        for found in sorted(nodes, key=lambda found: (found["Name"], found["ID"]))
    ]  # fmt: skip
    return columns([header, *rows])


def _basics(found: Mapping[str, Any]) -> list[tuple[str, object]]:
    volumes = ",".join(sorted(found.get("HostVolumes") or {}))
    networks = ",".join(sorted(found.get("HostNetworks") or {}))
    return [
        ("ID", found["ID"]),
        ("Name", found["Name"]),
        ("Node Pool", found.get("NodePool", "")),
        ("Class", found["NodeClass"]),
        ("DC", found["Datacenter"]),
        ("Drain", boolean(found["Drain"])),
        ("Eligibility", found["SchedulingEligibility"]),
        ("Status", found["Status"]),
        ("CSI Controllers", ",".join(sorted(found.get("CSIControllerPlugins") or {}))),
        ("CSI Drivers", ",".join(sorted(found.get("CSINodePlugins") or {}))),
        ("Host Volumes", volumes),
        ("Host Networks", networks),
        ("CSI Volumes", ""),
        ("Driver Status", ",".join(_drivers(found["Drivers"] or {}))),
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


def _allocated(found: Mapping[str, Any], allocs: Sequence[Mapping[str, Any]]) -> str:
    """Return what the allocations that still count hold of the client."""
    live = [alloc for alloc in allocs if alloc["DesiredStatus"] == "run" and alloc["ClientStatus"] not in _TERMINAL]
    tasks = [task for alloc in live for task in alloc["AllocatedResources"]["Tasks"].values()]
    cpu = sum(task["Cpu"]["CpuShares"] for task in tasks)
    memory = sum(task["Memory"]["MemoryMB"] for task in tasks)
    disk = sum(alloc["AllocatedResources"]["Shared"]["DiskMB"] for alloc in live)
    total = found["NodeResources"]
    row = (
        f"{cpu}/{total['Cpu']['CpuShares']} MHz",
        f"{mebibytes(memory)}/{mebibytes(total['Memory']['MemoryMB'])}",
        f"{mebibytes(disk)}/{mebibytes(total['Disk']['DiskMB'])}",
        len(live),
    )
    return "\nAllocated Resources\n" + columns([("CPU", "Memory", "Disk", "Alloc Count"), row])

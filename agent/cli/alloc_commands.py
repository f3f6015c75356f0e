"""`outrider alloc`: one allocation, its tasks and their events."""

from collections.abc import Iterator, Mapping
from typing import Any

import click

from agent.cli.dashes import DashedGroup
from agent.cli.formats import ago, mebibytes, short, stamp, wall_time
from agent.cli.job_status import allocs_table
from agent.cli.session import World, even_prefix, one_of, show_json, told, uses_api
from agent.cli.tables import columns, key_values
from telemetry.nomad_api import NomadApi


@click.group(cls=DashedGroup)
def alloc() -> None:
    """Look at allocations."""


@alloc.command("status")
@click.argument("alloc_id", metavar="ALLOCATION", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--verbose", is_flag=True, help="Show whole ids.")
@uses_api
def alloc_status(api: NomadApi, world: World, *, alloc_id: str | None, as_json: bool, verbose: bool) -> None:
    """Show an allocation. ALLOCATION may be the beginning of an id; without it, all are listed."""
    with told("Error querying allocation"):
        params = {"prefix": even_prefix(alloc_id)} if alloc_id else None
        stubs = api.get("/v1/allocations", params).value
    if alloc_id is None:
        show_json(stubs) if as_json else click.echo(allocs_table(stubs, world.now()))
        return
    stub = one_of(stubs, alloc_id, "allocation", lambda: allocs_table(stubs, world.now()))
    with told("Error querying allocation"):
        found = api.get(f"/v1/allocation/{stub['ID']}").value
    if as_json:
        show_json(found)
        return
    click.echo(key_values(_basics(found, world.now(), verbose=verbose)))
    for section in _tasks(found):
        click.echo(section)


def _basics(found: Mapping[str, Any], now: float, *, verbose: bool) -> list[tuple[str, object]]:
    shown = str if verbose else short
    pairs: list[tuple[str, object]] = [
        ("ID", found["ID"]),
        ("Eval ID", shown(found["EvalID"])),
        ("Name", found["Name"]),
        ("Node ID", shown(found["NodeID"])),
        ("Node Name", found["NodeName"]),
        ("Job ID", found["JobID"]),
        ("Job Version", (found.get("Job") or {}).get("Version", 0)),
        ("Client Status", found["ClientStatus"]),
        ("Client Description", found["ClientDescription"]),
        ("Desired Status", found["DesiredStatus"]),
        ("Desired Description", found.get("DesiredDescription", "")),
        ("Created", ago(found["CreateTime"], now)),
        ("Modified", ago(found["ModifyTime"], now)),
    ]
    if found.get("DeploymentID"):
        healthy = (found.get("DeploymentStatus") or {}).get("Healthy")
        pairs += [
            ("Deployment ID", shown(found["DeploymentID"])),
            ("Deployment Health", {None: "unset", True: "healthy", False: "unhealthy"}[healthy]),
        ]
    if found.get("NextAllocation"):
        pairs.append(("Replacement Alloc ID", shown(found["NextAllocation"])))
    if found.get("FollowupEvalID"):
        pairs.append(("Follow Up Eval ID", shown(found["FollowupEvalID"])))
    return pairs


def _tasks(found: Mapping[str, Any]) -> Iterator[str]:
    """Return a section for each task, by name."""
    resources = (found.get("AllocatedResources") or {}).get("Tasks") or {}
    disk = ((found.get("AllocatedResources") or {}).get("Shared") or {}).get("DiskMB", 0)
    for name, state in sorted((found.get("TaskStates") or {}).items()):
        yield f'\nTask "{name}" is "{state["State"]}"'
        if name in resources:
            task = resources[name]
            row = (
                f"{task['Cpu']['CpuShares']} MHz", mebibytes(task["Memory"]["MemoryMB"]), mebibytes(disk), "",
            )  # fmt: skip
            yield "Task Resources:\n" + columns([("CPU", "Memory", "Disk", "Addresses"), row], empty="")
        yield "\nTask Events:\n" + key_values(
            [
                ("Started At", stamp(state["StartedAt"])),
                ("Finished At", stamp(state["FinishedAt"])),
                ("Total Restarts", state["Restarts"]),
                ("Last Restart", stamp(state["LastRestart"])),
            ]
        )
        rows = [
            (wall_time(event["Time"]), event["Type"], event.get("DisplayMessage") or event.get("Message") or "")
            for event in reversed(state["Events"] or [])
        ]
        yield "\nRecent Events:\n" + columns([("Time", "Type", "Description"), *rows])

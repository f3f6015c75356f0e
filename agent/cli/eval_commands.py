"""`outrider eval`: why jobs were looked at, and what came of it."""

from collections.abc import Mapping
from typing import Any

import click

from agent.cli.dashes import DashedGroup
from agent.cli.formats import ago, boolean, short
from agent.cli.placements import placement_reasons
from agent.cli.session import World, even_prefix, one_of, show_json, told, uses_api
from agent.cli.tables import columns, key_values
from telemetry.nomad_api import NomadApi


@click.group("eval", cls=DashedGroup)
def evaluation() -> None:
    """Look at evaluations."""


@evaluation.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@uses_api
def eval_list(api: NomadApi, _world: World, *, as_json: bool) -> None:
    """List all evaluations, newest first."""
    with told("Error querying evaluations"):
        found = api.get("/v1/evaluations", {"reverse": "true"}).value
    if as_json:
        show_json(found)
        return
    click.echo(_table(found) if found else "No evals found")


@evaluation.command("status")
@click.argument("eval_id", metavar="EVALUATION")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@uses_api
def eval_status(api: NomadApi, world: World, *, eval_id: str, as_json: bool) -> None:
    """Show an evaluation. EVALUATION may be the beginning of an id."""
    with told("Error querying evaluation"):
        stubs = api.get("/v1/evaluations", {"prefix": even_prefix(eval_id)}).value
    stub = one_of(stubs, eval_id, "evaluation", lambda: _table(stubs))
    with told("Error querying evaluation"):
        found = api.get(f"/v1/evaluation/{stub['ID']}").value
    if as_json:
        show_json(found)
        return
    click.echo(key_values(_basics(found, world.now())))
    failed = found.get("FailedTGAllocs") or {}
    if failed:
        click.echo("\nFailed Placements")
    for group, metric in sorted(failed.items()):
        count = metric.get("CoalescedFailures", 0) + 1
        click.echo(f'Task Group "{group}" (failed to place {count} allocation{"s" if count > 1 else ""}):')
        click.echo("\n".join(placement_reasons(metric)))


def _basics(found: Mapping[str, Any], now: float) -> list[tuple[str, object]]:
    return [
        ("ID", short(found["ID"])),
        ("Create Time", ago(found["CreateTime"], now)),
        ("Modify Time", ago(found["ModifyTime"], now)),
        ("Status", found["Status"]),
        ("Status Description", found.get("StatusDescription") or found["Status"]),
        ("Type", found["Type"]),
        ("TriggeredBy", found["TriggeredBy"]),
        ("Job ID", found["JobID"]),
        ("Namespace", found["Namespace"]),
        *([("Node ID", short(found["NodeID"]))] if found.get("NodeID") else []),
        ("Priority", found["Priority"]),
        ("Placement Failures", _failures(found)),
        *([("Previous Eval", short(found["PreviousEval"]))] if found.get("PreviousEval") else []),
        *([("Next Eval", short(found["NextEval"]))] if found.get("NextEval") else []),
        *([("Blocked Eval", short(found["BlockedEval"]))] if found.get("BlockedEval") else []),
    ]


def _table(evals: list[Mapping[str, Any]]) -> str:
    header = ("ID", "Priority", "Triggered By", "Job ID", "Namespace", "Node ID", "Status", "Placement Failures")
    rows = [
        (
            short(found["ID"]), found["Priority"], found["TriggeredBy"], found["JobID"], found["Namespace"],
            short(found.get("NodeID", "")), found["Status"], _failures(found),
        )
        for found in evals
    ]  # fmt: skip
    return columns([header, *rows])


def _failures(found: Mapping[str, Any]) -> str:
    """Return whether something could not be placed; a blocked evaluation does not know yet."""
    return "N/A - In Progress" if found["Status"] == "blocked" else boolean(found.get("FailedTGAllocs"))

"""`outrider status` and `outrider job status`: all jobs, or one with what became of it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from agent.cli.dashes import DashedCommand
from agent.cli.formats import NANOSECONDS, ago, boolean, job_status, job_type, short, stamp, unix_seconds, wall_time
from agent.cli.placements import placement_reasons
from agent.cli.session import World, fail, job_path, show_json, told, uses_api
from agent.cli.tables import NONE, columns, key_values
from telemetry.nomad_api import ApiError, NomadApi

Json = Mapping[str, Any]

SUMMARY_COLUMNS = ("Queued", "Starting", "Running", "Failed", "Complete", "Lost", "Unknown")


@click.command(cls=DashedCommand)
@click.argument("job_id", metavar="[JOB]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--short", "brief", is_flag=True, help="Leave out allocations and failures.")
@uses_api
def status(api: NomadApi, world: World, *, job_id: str | None, as_json: bool, brief: bool) -> None:
    """List all jobs, or show one. JOB may be the beginning of an id."""
    if job_id is None:
        with told("Error querying jobs"):
            jobs = api.get("/v1/jobs").value
        if as_json:
            show_json(jobs)
            return
        click.echo(jobs_table(jobs) if jobs else "No running jobs")
        return
    found = find_job(api, job_id)
    with told("Error querying job"):
        params = {"namespace": found["Namespace"]}
        job = api.get(job_path(found["ID"]), params).value
    if as_json:
        show_json(job)
        return
    with told("Error querying job"):
        _show_job(api, world, job, brief=brief)


def find_job(api: NomadApi, wanted: str) -> Json:
    """Return the one job whose id is *wanted* or begins with it; ends with exit code 1 when it is none or several."""
    with told("Error querying job prefix"):
        jobs = api.get("/v1/jobs", {"prefix": wanted}).value
    exact = [job for job in jobs if job["ID"] == wanted]
    if len(exact) == 1 or len(jobs) == 1:
        found: Json = (exact or jobs)[0]
        return found
    if jobs:
        fail(f"Prefix matched multiple jobs\n\n{jobs_table(jobs)}")
    return fail(f'No job(s) with prefix or ID "{wanted}" found')


def jobs_table(jobs: Iterable[Json]) -> str:
    """Return the list of jobs, in the order given; the namespace is shown when there are several."""
    found = list(jobs)
    several = len({job.get("Namespace") for job in found}) > 1
    rows = [
        (
            job["ID"], *((job["Namespace"],) if several else ()), job_type(job), job["Priority"], job_status(job),
            wall_time(job["SubmitTime"]),
        )
        for job in found
    ]  # fmt: skip
    return columns([("ID", *(("Namespace",) if several else ()), "Type", "Priority", "Status", "Submit Date"), *rows])


def _show_job(api: NomadApi, world: World, job: Json, *, brief: bool) -> None:
    path, params = job_path(job["ID"]), {"namespace": job["Namespace"]}
    click.echo(key_values(_basics(job)))
    summary = api.get(f"{path}/summary", params).value
    click.echo(_summary(job, summary))
    if brief:
        return
    allocs = api.get(f"{path}/allocations", params).value
    evals = api.get(f"{path}/evaluations", params).value
    deployment = _latest_deployment(api, path, params)
    sections = (
        _placement_failures(evals),
        _rescheduling(allocs, evals, world.now()),
        _deployment(deployment) if deployment else "",
        "\nAllocations\n" + (allocs_table(allocs, world.now()) if allocs else "No allocations placed"),
    )
    for section in sections:
        if section:
            click.echo(section)


def _basics(job: Json) -> list[tuple[str, object]]:
    return [
        ("ID", job["ID"]),
        ("Name", job["Name"]),
        ("Submit Date", wall_time(job["SubmitTime"])),
        ("Type", job["Type"]),
        ("Priority", job["Priority"]),
        ("Datacenters", ",".join(job["Datacenters"] or ())),
        ("Namespace", job["Namespace"]),
        ("Node Pool", job.get("NodePool", "")),
        ("Status", job_status(job)),
        ("Periodic", boolean(job.get("Periodic"))),
        ("Parameterized", boolean(job.get("ParameterizedJob"))),
    ]


def _summary(job: Json, summary: Json) -> str:
    """Return the counts: of children for a job that only has those, else of allocations by group."""
    if job.get("Periodic") or job.get("ParameterizedJob"):
        children = summary.get("Children") or {}
        counts = [children.get(name, 0) for name in ("Pending", "Running", "Dead")]
        return "\nChildren Job Summary\n" + columns([("Pending", "Running", "Dead"), counts])
    rows = [
        (group, *(counts.get(name, 0) for name in SUMMARY_COLUMNS))
        for group, counts in sorted(summary["Summary"].items())
    ]
    return "\nSummary\n" + columns([("Task Group", *SUMMARY_COLUMNS), *rows])


def _latest_deployment(api: NomadApi, path: str, params: Mapping[str, str]) -> Json | None:
    """Return the newest deployment, or None also from an agent that knows of none."""
    try:
        found: Json | None = api.get(f"{path}/deployment", params).value
    except ApiError as error:
        if error.status == 404:
            return None
        raise
    return found


def _placement_failures(evals: Sequence[Json]) -> str:
    """Return why the newest failed evaluation failed, while one still waits for a place."""
    failed = [found for found in evals if found.get("FailedTGAllocs")]
    if not failed or not any(found["Status"] == "blocked" for found in evals):
        return ""
    latest = max(failed, key=lambda found: int(found["CreateIndex"]))
    lines = ["\nPlacement Failure"]
    for group, metric in sorted(latest["FailedTGAllocs"].items()):
        lines += [f'Task Group "{group}":', *placement_reasons(metric)]
    return "\n".join(lines)


def _rescheduling(allocs: Sequence[Json], evals: Sequence[Json], now: float) -> str:
    """Return when failed allocations will be replaced, for the groups where that is still to come."""
    newest: dict[str, Json] = {}
    for alloc in allocs:
        other = newest.get(alloc["TaskGroup"])
        if other is None or alloc["ModifyTime"] > other["ModifyTime"]:
            newest[alloc["TaskGroup"]] = alloc
    waits = {found["ID"]: unix_seconds(found.get("WaitUntil")) for found in evals}
    rows: list[tuple[str, ...]] = []
    for group, alloc in sorted(newest.items()):
        follow_up = alloc.get("FollowupEvalID") or ""
        until = waits.get(follow_up)
        if until is not None and until > now:
            rows.append((group, short(follow_up), ago(round(until * NANOSECONDS), now)))
    if not rows:
        return ""
    return "\nFuture Rescheduling Attempts\n" + columns([("Task Group", "Eval ID", "Eval Time"), *rows])


def _deployment(deployment: Json) -> str:
    head = key_values(
        [
            ("ID", short(deployment["ID"])),
            ("Status", deployment["Status"]),
            ("Description", deployment["StatusDescription"]),
        ]
    )
    rows = [
        (
            name, group["DesiredTotal"], group["PlacedAllocs"], group["HealthyAllocs"], group["UnhealthyAllocs"],
            stamp(group.get("RequireProgressBy")),
        )
        for name, group in sorted(deployment["TaskGroups"].items())
    ]  # fmt: skip
    header = ("Task Group", "Desired", "Placed", "Healthy", "Unhealthy", "Progress Deadline")
    return f"\nLatest Deployment\n{head}\n\nDeployed\n" + columns([header, *rows])


def allocs_table(allocs: Iterable[Json], now: float) -> str:
    """Return the list of allocations, newest first; *now* is Unix seconds."""
    rows = [
        (
            short(alloc["ID"]), short(alloc["NodeID"]) or NONE, alloc["TaskGroup"], _version(alloc),
            alloc["DesiredStatus"], alloc["ClientStatus"], ago(alloc["CreateTime"], now), ago(alloc["ModifyTime"], now),
        )
        for alloc in sorted(allocs, key=lambda alloc: int(alloc["CreateIndex"]), reverse=True)
    ]  # fmt: skip
    header = ("ID", "Node ID", "Task Group", "Version", "Desired", "Status", "Created", "Modified")
    return columns([header, *rows])


def _version(alloc: Json) -> int:
    """Return the version of an allocation's job: in lists it stands alone, else in the job."""
    version: int = alloc["JobVersion"] if "JobVersion" in alloc else (alloc.get("Job") or {}).get("Version", 0)
    return version

"""`outrider job`: run, stop, inspect; the status is in job_status."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from agent.cli.dashes import DashedGroup
from agent.cli.formats import NANOSECONDS, ago, unix_seconds
from agent.cli.job_status import find_job, status
from agent.cli.monitor import Monitor
from agent.cli.session import World, fail, job_path, show_json, told, uses_api
from agent.errors import ConfigError
from telemetry.nomad_api import ApiFailure, NomadApi

JOB_BYTES_MAX = 4 * 1024 * 1024
"""As much as an agent accepts."""


@click.group(cls=DashedGroup)
def job() -> None:
    """Run, stop and look at jobs."""


job.add_command(status, "status")


@job.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--detach", is_flag=True, help="Do not follow the evaluation; print its id.")
@click.option("--var", "variables", multiple=True, metavar="NAME=VALUE", help="Value of a variable; repeatable.")
@click.option("--check-index", type=int, metavar="N", help="Only if the job's modify index is N; 0: only if new.")
@click.option("--json", "as_json", is_flag=True, help="The file is JSON.")
@uses_api
def run(
    api: NomadApi,
    world: World,
    *,
    file: str,
    detach: bool,
    variables: tuple[str, ...],
    check_index: int | None,
    as_json: bool,
) -> None:
    """Register the job in FILE, HCL or JSON (- reads standard input), and follow its evaluation.

    Exit code 2 when something could not be placed, 1 when anything else went wrong.
    """
    spec = _read_job(file, _assignments(variables), as_json=as_json)
    body: dict[str, Any] = {"Job": spec}
    if check_index is not None:
        body |= {"EnforceIndex": True, "JobModifyIndex": check_index}
    namespace = str(spec.get("Namespace") or api.settings.namespace or "default")
    with told("Error submitting job"):
        answer = api.put("/v1/jobs", body, {"namespace": namespace}).value
    if answer.get("Warnings"):
        click.echo(f"Job Warnings:\n{answer['Warnings']}\n")
    eval_id = answer.get("EvalID") or ""
    if not eval_id or detach:
        click.echo("Job registration successful")
        if eval_id:
            click.echo(f"Evaluation ID: {eval_id}")
        else:
            _next_launch(api, world, spec, namespace)
        return
    raise SystemExit(Monitor(api, world, namespace).follow(eval_id))


@job.command()
@click.argument("job_id", metavar="JOB")
@click.option("--purge", is_flag=True, help="Remove the job instead of leaving it stopped.")
@click.option("--detach", is_flag=True, help="Do not follow the evaluation; print its id.")
@click.option("--yes", is_flag=True, help="Do not ask, when JOB is only the beginning of an id.")
@uses_api
def stop(api: NomadApi, world: World, *, job_id: str, purge: bool, detach: bool, yes: bool) -> None:
    """Stop a job, and follow the evaluation that does."""
    found = find_job(api, job_id)
    if found["ID"] != job_id and not yes:
        click.confirm(f'Are you sure you want to stop job "{found["ID"]}"?', abort=True)
    params = {"namespace": found["Namespace"], **({"purge": "true"} if purge else {})}
    with told("Error deregistering job"):
        answer = api.delete(job_path(found["ID"]), params).value
    if not answer["EvalID"]:
        return
    if detach:
        click.echo(answer["EvalID"])
        return
    raise SystemExit(Monitor(api, world, found["Namespace"]).follow(answer["EvalID"]))


@job.command()
@click.argument("job_id", metavar="JOB")
@uses_api
def inspect(api: NomadApi, _world: World, *, job_id: str) -> None:
    """Print a job as JSON, fit for `job run -json`."""
    found = find_job(api, job_id)
    with told("Error inspecting job"):
        value = api.get(job_path(found["ID"]), {"namespace": found["Namespace"]}).value
    show_json({"Job": value})


def _read_job(file: str, variables: Mapping[str, str], *, as_json: bool) -> dict[str, Any]:
    """Return the job in *file*; ends with the place of what is wrong in it."""
    # Late, because every other command does without the parser.
    from agent.config.jobspec import parse_job  # noqa: PLC0415

    name = "standard input" if file == "-" else file
    try:
        with click.open_file(file, "rb") if file == "-" else Path(file).open("rb") as source:
            data = source.read(JOB_BYTES_MAX + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        fail(f"Error getting job struct: {name}: {error.strerror or error}")
    except UnicodeDecodeError:
        fail(f"Error getting job struct: {name}: the file is not text in UTF-8")
    if len(data) > JOB_BYTES_MAX:
        fail(f"Error getting job struct: {name}: the file is larger than {JOB_BYTES_MAX} bytes")
    if as_json and not text.lstrip().startswith("{"):
        fail(f"Error getting job struct: {name}: with -json the file must hold a JSON object")
    try:
        return dict(parse_job(text, name, variables))
    except ConfigError as error:
        fail(f"Error getting job struct: {error}")


def _assignments(variables: tuple[str, ...]) -> dict[str, str]:
    """Return the variables by name; ends at one that is no assignment."""
    pairs = [text.partition("=") for text in variables]
    for text, (name, equals, _) in zip(variables, pairs, strict=True):
        if not equals or not name:
            fail(f"Error getting job struct: -var {text!r} is no assignment; write -var NAME=VALUE")
    return {name: value for name, _, value in pairs}


def _next_launch(api: NomadApi, world: World, spec: Mapping[str, Any], namespace: str) -> None:
    """Say when a periodic job starts next, where the agent says so; nothing depends on it."""
    try:
        found = api.get(job_path(spec["ID"]), {"namespace": namespace}).value
    except ApiFailure:
        return
    text = (found.get("Periodic") or {}).get("NextLaunch")
    at = unix_seconds(text)
    if at is not None:
        click.echo(f"Approximate next launch time: {text} ({ago(round(at * NANOSECONDS), world.now())})")

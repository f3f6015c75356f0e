"""Running and stopping jobs: what is sent, what is said while the evaluation goes on, and the exit codes."""

import json
import re

import pytest

from agent.cli.job_commands import job

EVAL_ID = "a9f70e66-4770-f68e-4cde-a5e4097509da"
AT = 1795375566.0
SPEC = 'job "web" {\n  group "app" {\n    task "sleep" {\n      driver = "raw_exec"\n      config { command = "/bin/sleep" }\n    }\n  }\n}\n'
REGISTERED = {"EvalID": EVAL_ID, "EvalCreateIndex": 16, "JobModifyIndex": 16, "Warnings": "", "Index": 16}


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "web.hcl"
    path.write_text(SPEC, encoding="utf-8")
    return str(path)


@pytest.fixture
def serve_run(agent, body, turns):
    """An agent that takes the job web and places its two allocations at the second look."""
    complete = next(found for found in body("evaluations") if found["ID"] == EVAL_ID)
    pending = {name: value for name, value in complete.items() if name != "DeploymentID"} | {"Status": "pending"}
    agent.serve("/v1/jobs", REGISTERED, method="PUT")
    agent.serve(f"/v1/evaluation/{EVAL_ID}", turns(pending, complete))
    agent.serve("/v1/job/web/allocations", turns([], list(reversed(body("job-web-allocations")))))


def without_times(text):
    return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "T", text)


def test_run_is_followed(agent, run, golden, serve_run, spec):
    """
    A job that is placed is told as Nomad tells it, up to where deployments would begin.
    """
    result = run(job, "run", spec, now=AT)

    first = golden("job-run").text.partition("\n$ nomad")[0]
    wanted = "".join(first.partition('finished with status "complete"\n')[:2])
    # Nomad's first lines are the blank ones around its hint; our agent makes no deployments.
    wanted = re.sub(r".*Evaluation within deployment.*\n", "", wanted.lstrip("\n"))
    assert (without_times(wanted), 0) == (without_times(result.stdout), result.exit_code)


def test_times_are_the_clocks(agent, run, serve_run, spec):
    """
    Each line says when it was written.
    """
    assert run(job, "run", spec, now=AT).stdout.startswith(
        '==> 2026-11-22T19:26:06Z: Monitoring evaluation "a9f70e66"\n'
    )


def test_run_sends_the_job(agent, run, serve_run, spec):
    """
    The job file is read here and sent as JSON, with the condition on its index.
    """
    run(job, "run", "-check-index", "0", "-namespace=ops", spec, now=AT)

    method, path, query, sent = agent.seen[0]
    assert ("PUT", "/v1/jobs", "ops") == (method, path, query["namespace"])
    assert (True, 0, "web") == (sent["EnforceIndex"], sent["JobModifyIndex"], sent["Job"]["ID"])
    assert {"command": "/bin/sleep"} == sent["Job"]["TaskGroups"][0]["Tasks"][0]["Config"]


def test_run_detached(agent, run, golden, serve_run, spec):
    """
    Detached, only the id of the evaluation is said.
    """
    result = run(job, "run", "-detach", spec)

    assert f"Job registration successful\nEvaluation ID: {EVAL_ID}\n" == result.stdout
    assert 1 == len(agent.seen)


def test_run_json_from_stdin(agent, run, serve_run):
    """
    A job in JSON comes from standard input, bare or below "Job".
    """
    run(job, "run", "-detach", "-json", "-", stdin='{"Job": {"ID": "web", "Name": "web"}}')

    assert "web" == agent.seen[0][3]["Job"]["ID"]


def test_variables(agent, run, serve_run, tmp_path):
    """
    Variables of the job file are set with -var, also when a value holds dashes and equal signs.
    """
    path = tmp_path / "web.hcl"
    path.write_text('variable "x" { type = string }\n' + SPEC.replace('"/bin/sleep"', "var.x"), encoding="utf-8")

    result = run(job, "run", "-detach", "-var", "x=-a=b", str(path))

    assert 0 == result.exit_code, result.stderr
    assert {"command": "-a=b"} == agent.seen[0][3]["Job"]["TaskGroups"][0]["Tasks"][0]["Config"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('job "web" {', r"^Error getting job struct: .*web\.hcl:1"),
        ("\xff", r"^Error getting job struct: .*web\.hcl"),
    ],
)
def test_file_that_is_no_job(run, tmp_path, text, message):
    """
    A file that is no job is refused with its place, before anything is sent.
    """
    path = tmp_path / "web.hcl"
    path.write_bytes(text.encode("latin-1"))

    result = run(job, "run", str(path))

    assert 1 == result.exit_code
    assert re.search(message, result.stderr)


def test_missing_file(run, tmp_path):
    """
    A file that is not there is said so.
    """
    result = run(job, "run", str(tmp_path / "no.hcl"))

    assert (1, True) == (result.exit_code, result.stderr.endswith("no.hcl: No such file or directory\n"))


def test_bad_variable(run, spec):
    """
    What follows -var must be an assignment.
    """
    result = run(job, "run", "-var", "x", spec)

    assert (1, "Error getting job struct: -var 'x' is no assignment; write -var NAME=VALUE\n") == (
        result.exit_code, result.stderr,
    )  # fmt: skip


def test_run_without_leader(agent, run, golden, spec):
    """
    Without a leader nothing is registered, in Nomad's words.
    """
    agent.serve("/v1/jobs", (500, "No cluster leader"), method="PUT")

    result = run(job, "run", "-detach", spec)

    wanted = golden("noleader-job-run")
    assert (wanted.text, wanted.exit_code) == (result.stderr, result.exit_code)


def test_warnings_are_shown(agent, run, spec):
    """
    What the servers warn of is shown.
    """
    agent.serve("/v1/jobs", REGISTERED | {"Warnings": "1 warning:\n\n* no limit"}, method="PUT")

    assert run(job, "run", "-detach", spec).stdout.startswith("Job Warnings:\n1 warning:\n\n* no limit\n")


def test_placement_failure(agent, run, body, spec):
    """
    What could not be placed is told with the reasons, and the exit code is 2.
    """
    failed = body("evaluation-complete-with-failed-placement")
    agent.serve("/v1/jobs", REGISTERED | {"EvalID": failed["ID"]}, method="PUT")
    agent.serve(f"/v1/evaluation/{failed['ID']}", failed)
    agent.serve("/v1/job/unplaceable/allocations", [])

    result = run(job, "run", spec, now=AT)

    assert 2 == result.exit_code
    assert [
        '==> T: Evaluation "5fc64902" finished with status "complete" but failed to place all allocations:',
        '    T: Task Group "g" (failed to place 1 allocation):',
        "      * Resources exhausted on 2 nodes",
        '      * Dimension "cpu" exhausted on 2 nodes',
        '    T: Evaluation "9e3f5229" waiting for additional capacity to place remainder',
    ] == without_times(result.stdout).splitlines()[-5:]


def test_stop(agent, run, body, serve_run):
    """
    A job is stopped and the evaluation that does it is followed.
    """
    agent.serve("/v1/jobs", [found for found in body("jobs") if found["ID"] == "web"])
    agent.serve("/v1/job/web", {"EvalID": EVAL_ID}, method="DELETE")

    result = run(job, "stop", "-purge", "web", now=AT)

    assert (0, 'finished with status "complete"') == (result.exit_code, result.stdout.splitlines()[-1][-31:])
    assert ("DELETE", "/v1/job/web", {"namespace": "default", "purge": "true"}) == agent.seen[1][:3]


def test_stop_by_prefix_asks(agent, run, body):
    """
    The beginning of an id is not enough to stop a job without being asked.
    """
    agent.serve("/v1/jobs", [found for found in body("jobs") if found["ID"] == "web"])

    result = run(job, "stop", "we", stdin="n\n")

    assert 1 == result.exit_code
    assert ["GET"] == [method for method, *_ in agent.seen]


def test_prefix_of_several(agent, run, body):
    """
    A beginning that several jobs share is refused with their list.
    """
    agent.serve("/v1/jobs", [found for found in body("jobs") if found["ID"].startswith("tick")])

    exact, several = run(job, "status", "tick/periodic-1795375620", "-short"), run(job, "status", "ti")

    assert 1 == several.exit_code
    assert several.stderr.startswith("Prefix matched multiple jobs\n\nID ")
    assert "Prefix" not in exact.stderr


def test_json(agent, run, body):
    """
    With -json the answer of the API is printed, one dash or two.
    """
    agent.serve("/v1/jobs", body("jobs"))

    for flag in ("-json", "--json", "-json=true"):
        assert body("jobs") == json.loads(run(job, "status", flag).stdout)


def test_odd_ids_are_quoted(agent, run):
    """
    An id may hold what a URL may not; a slash stays one.
    """
    odd = {"ID": "a b?/c", "Namespace": "default"}
    agent.serve("/v1/jobs", [odd])
    agent.serve("/v1/job/a%20b%3F/c", odd)

    result = run(job, "status", "-json", "a b?/c")

    assert (0, odd) == (result.exit_code, json.loads(result.stdout))

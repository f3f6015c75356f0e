"""Fed with what a real Nomad's API gave, the commands print what Nomad's commands printed."""

import json
import re

import pytest

from agent.cli.agent_info import agent_info
from agent.cli.alloc_commands import alloc
from agent.cli.eval_commands import evaluation
from agent.cli.job_commands import job
from agent.cli.job_status import status
from agent.cli.node_commands import node
from agent.cli.operator_commands import operator
from agent.cli.server_commands import server

NO_LEADER = (500, "No cluster leader")
NODE_ID = "cfef12ce-ddcc-3d83-e15c-c30de4b45557"
ALLOC_ID = "54624495-1c36-932a-c986-29d011b39632"

# When the commands were run, by what they say of the ages.
AT_STATUS = 1795375627.0
AT_NODE_STATUS = 1795375628.0
AT_ALLOC_STATUS = 1795375629.0


def assert_same(golden, result):
    assert (golden.text, golden.exit_code) == (result.stdout, result.exit_code)


def serve_job(agent, body, name):
    agent.serve("/v1/jobs", [found for found in body("jobs") if found["ID"] == name])
    agent.serve(f"/v1/job/{name}", body(f"job-{name}"))
    agent.serve(f"/v1/job/{name}/summary", body(f"job-{name}-summary"))
    agent.serve(f"/v1/job/{name}/allocations", body(f"job-{name}-allocations"))
    agent.serve(f"/v1/job/{name}/evaluations", body(f"job-{name}-evaluations"))
    agent.serve(f"/v1/job/{name}/deployment", body(f"job-{name}-deployments")[0])


def test_status(agent, run, body, golden):
    """
    The list of jobs is Nomad's.
    """
    jobs = body("jobs")
    # The child had ended between the two recordings.
    next(found for found in jobs if found["ParentID"])["Status"] = "dead"
    agent.serve("/v1/jobs", jobs)

    assert_same(golden("status"), run(status))


@pytest.mark.parametrize(
    ("name", "output"), [("web", "status-job"), ("failing", "status-failing"), ("unplaceable", "status-unplaceable")]
)
def test_status_of_a_job(agent, run, body, golden, name, output):
    """
    A job that runs, one that keeps failing and one that cannot be placed are shown as Nomad shows them.
    """
    serve_job(agent, body, name)

    assert_same(golden(output), run(status, name, now=AT_STATUS))


def test_rescheduling_that_is_past(agent, run, body):
    """
    An attempt to replace an allocation is told while it is to come, and no longer.
    """
    serve_job(agent, body, "failing")

    before, after = (run(status, "failing", now=now).stdout for now in (AT_STATUS, AT_STATUS + 10))

    assert "Future Rescheduling Attempts" in before
    assert "Future Rescheduling Attempts" not in after


def test_status_without_deployments(agent, run, body, golden):
    """
    An agent that knows no deployments is shown without that section.
    """
    serve_job(agent, body, "web")
    agent.serve("/v1/job/web/deployment", (404, ""))

    result = run(status, "web", now=AT_STATUS)

    assert re.sub(r"\nLatest Deployment.*?\n\nDeployed\n.*?\n\n", "\n", golden("status-job").text, flags=re.DOTALL) == (
        result.stdout
    )


def test_server_members(agent, run, body, golden):
    """
    The servers are listed by name, with the leader told.
    """
    agent.serve("/v1/agent/members", body("agent-members"))
    agent.serve("/v1/status/leader", body("status-leader"))

    assert_same(golden("server-members"), run(server, "members"))


def test_server_members_detailed(agent, run, body, golden):
    """
    In detail each server has its protocol and tags; the tags are sorted, where Nomad's order is accidental.
    """
    agent.serve("/v1/agent/members", body("agent-members"))
    agent.serve("/v1/status/leader", body("status-leader"))

    result = run(server, "members", "-detailed")

    assert sorted_tags(golden("server-members-detailed").text) == result.stdout


def sorted_tags(text):
    head, *lines = text.splitlines()
    found = [line.rpartition("  ") for line in lines]
    return "\n".join([head, *(f"{rest}  {','.join(sorted(tags.split(',')))}" for rest, _, tags in found), ""])


def test_server_members_without_leader(agent, run, body, golden):
    """
    Without a leader the list comes first, then the error, then exit code 1.
    """
    agent.serve("/v1/agent/members", body("agent-members"))
    agent.serve("/v1/status/leader", NO_LEADER)

    result = run(server, "members")

    wanted = golden("noleader-server-members")
    table, _, error = wanted.text.partition("\nError")
    assert table.rstrip() == result.stdout.rstrip()
    assert f"\nError{error}" == result.stderr
    assert wanted.exit_code == result.exit_code


def test_raft_list_peers(agent, run, body, golden):
    """
    The peers are listed by name.
    """
    agent.serve("/v1/operator/raft/configuration", body("operator-raft-configuration"))

    assert_same(golden("raft-list-peers"), run(operator, "raft", "list-peers"))


def test_raft_list_peers_stale(agent, run, body, golden):
    """
    Without a leader any server tells the peers, when it is asked for stale ones.
    """
    found = body("operator-raft-configuration")
    for peer in found["Servers"]:
        peer["Leader"] = False
    agent.serve("/v1/operator/raft/configuration", found)

    assert_same(golden("noleader-raft-list-peers-stale"), run(operator, "raft", "list-peers", "-stale"))
    assert {"stale": ""} == agent.seen[0][2]


@pytest.mark.parametrize("code", [200, 429])
def test_autopilot_health(agent, run, body, golden, code):
    """
    The health of all servers is Nomad's, whatever its status.
    """
    found = body("operator-autopilot-health")
    # The command was run a moment after the body was recorded: only these had moved.
    for recorded, contact in zip(found["Servers"], ["95.26942ms", "20.660886ms", "0s"], strict=True):
        recorded["LastContact"] = contact
    agent.serve("/v1/operator/autopilot/health", (code, json.dumps(found)))

    assert_same(golden("autopilot-health"), run(operator, "autopilot", "health"))


def test_eval_list(agent, run, body, golden):
    """
    The evaluations are asked for newest first, and listed as Nomad lists them.
    """
    agent.serve("/v1/evaluations", list(reversed(body("evaluations"))))

    assert_same(golden("eval-list"), run(evaluation, "list"))
    assert {"reverse": "true"} == agent.seen[0][2]


def test_node_status(agent, run, body, golden):
    """
    The list of clients is Nomad's.
    """
    agent.serve("/v1/nodes", body("nodes"))

    assert_same(golden("node-status"), run(node, "status"))


@pytest.mark.parametrize("asked", [NODE_ID, "cfef12ce", "cfef12c"])
def test_node_status_of_one(agent, run, body, golden, asked):
    """
    A client is found by the beginning of its id and shown as Nomad shows it, less what comes from live statistics.
    """
    agent.serve("/v1/nodes", [found for found in body("nodes") if found["ID"] == NODE_ID])
    agent.serve(f"/v1/node/{NODE_ID}", body("node"))
    agent.serve(f"/v1/node/{NODE_ID}/allocations", body("node-allocations"))

    result = run(node, "status", asked, now=AT_NODE_STATUS)

    text = golden("node-status-c1").text
    text = re.sub(r"Uptime .*\n", "", text)
    text = re.sub(r"\nAllocation Resource Utilization\n.*?\n\nAllocations\n", "\nAllocations\n", text, flags=re.DOTALL)
    assert (text, 0) == (result.stdout, result.exit_code)


def test_alloc_status(agent, run, body, golden):
    """
    An allocation is shown as Nomad shows it, less what comes from live statistics.
    """
    agent.serve("/v1/allocations", [found for found in body("allocations") if found["ID"] == ALLOC_ID])
    agent.serve(f"/v1/allocation/{ALLOC_ID}", body("allocation"))

    result = run(alloc, "status", ALLOC_ID, now=AT_ALLOC_STATUS)

    wanted = golden("alloc-status").text
    wanted = wanted.replace("CPU       Memory          Disk     Addresses", "CPU     Memory  Disk     Addresses")
    assert wanted.replace("0/50 MHz  1.5 MiB/32 MiB  300", "50 MHz  32 MiB  300") == result.stdout


@pytest.mark.parametrize("kind", ["server", "client"])
def test_agent_info(agent, run, golden, kind):
    """
    The statistics are listed by section and name, both sorted.
    """
    wanted = golden(f"agent-info-{kind}")
    sections = {}
    for line in reversed(wanted.text.splitlines()):
        if line.startswith("  "):
            name, _, value = line.strip().partition(" = ")
            sections.setdefault("", {})[name] = value
        else:
            sections[line] = sections.pop("")
    agent.serve("/v1/agent/self", {"stats": sections})

    assert_same(wanted, run(agent_info))


def test_job_inspect(agent, run, body, golden):
    """
    A job is printed as Nomad prints it, but for fields that only Nomad's own client adds.
    """
    agent.serve("/v1/jobs", [found for found in body("jobs") if found["ID"] == "web"])
    agent.serve("/v1/job/web", body("job-web"))

    result = run(job, "inspect", "web")

    printed, wanted = json.loads(result.stdout)["Job"], json.loads(golden("job-inspect-web").text)["Job"]
    shared = printed.keys() & wanted.keys()
    assert {"Migrate", "Reschedule"} == wanted.keys() - printed.keys()
    assert {name: wanted[name] for name in shared - {"TaskGroups", "Update"}} == {
        name: printed[name] for name in shared - {"TaskGroups", "Update"}
    }
    assert result.stdout.startswith('{\n    "Job": {\n        "Affinities": null,\n        "AllAtOnce": false,\n')


@pytest.mark.parametrize("command", ["status", "stop"])
def test_unknown_job(agent, run, golden, command):
    """
    A job nobody knows is said so, on standard error, with exit code 1.
    """
    agent.serve("/v1/jobs", [])

    result = run(job, command, "nope")

    wanted = golden("job-unknown" if command == "status" else "job-stop-unknown")
    assert (wanted.text, wanted.exit_code, "") == (result.stderr, result.exit_code, result.stdout)


@pytest.mark.parametrize(
    ("command", "args", "path", "output"),
    [
        (status, (), "/v1/jobs", "noleader-status"),
        (operator, ("raft", "list-peers"), "/v1/operator/raft/configuration", "noleader-raft-list-peers"),
        (operator, ("autopilot", "health"), "/v1/operator/autopilot/health", "noleader-autopilot-health"),
    ],
)
def test_without_leader(agent, run, golden, command, args, path, output):
    """
    Without a leader each command fails in Nomad's words.
    """
    agent.serve(path, NO_LEADER)

    result = run(command, *args)

    wanted = golden(output)
    assert (wanted.text, wanted.exit_code) == (result.stderr, result.exit_code)


def test_nobody_listens(run, golden):
    """
    When no agent listens, the command says where it asked, in Nomad's words.
    """
    result = run(status, address="http://127.0.0.99:4646")

    wanted = golden("no-agent")
    assert (wanted.text, wanted.exit_code) == (result.stderr, result.exit_code)

"""`outrider check catalogue` against agents on loopback that answer with what a real Nomad did."""

import json
from contextlib import ExitStack

import pytest
from click.testing import CliRunner

from compose.check.command import check_group, compared
from compose.check.gather import ask_agent
from telemetry.nomad_api import ApiSettings
from tests.compose.check.fakes import Answer, agent_paths, exposition, serving


@pytest.fixture
def check():
    """
    A function that runs `outrider check catalogue` on agents with these answers.
    """

    def run(*agents, flags=()):
        with ExitStack() as stack:
            urls = [stack.enter_context(serving(paths)) for paths in agents]
            arguments = [word for url in urls for word in ("--address", url)]
            return CliRunner().invoke(check_group, ["catalogue", *arguments, *flags])

    return run


def test_a_real_nomads_agents_and_the_catalogue_agree(check):
    """
    Leader, follower and client bring no finding, and the exit code is 0.
    """
    done = check(*(agent_paths(role) for role in ("leader", "follower", "client")))

    assert 0 == done.exit_code, done.output
    assert done.output.startswith("checked ")
    assert "things on 3 agents: nothing to say\n" in done.output


def test_what_is_unknown_is_a_finding_with_its_remedy(check):
    """
    A series that the catalogue lacks is named with its agent, why it matters and what to do; the exit code is 1.
    """
    done = check(agent_paths("client", text=exposition("client") + "\nnomad_new 1\n"))

    assert 1 == done.exit_code
    lines = done.output.splitlines()
    assert lines[0].startswith("WARNING  c1 (http://127.0.0.1:")
    assert lines[0].endswith("): nomad_new is not in the catalogue")
    assert lines[1].lstrip().startswith("why: ")
    assert lines[2].lstrip().startswith("do:  add it to telemetry/catalogue")
    assert lines[3].endswith("on 1 agent: 1 warning")


def test_json_has_the_same_findings(check):
    """
    Findings are objects with place, weight, metric and remedy, beside counts by kind of difference.
    """
    text = exposition("client").replace("# TYPE nomad_client_uptime gauge", "# TYPE nomad_client_uptime counter")

    done = check(agent_paths("client", text=text), flags=["--json"])

    body = json.loads(done.output)
    assert 1 == done.exit_code
    assert [("error", "nomad_client_uptime")] == [(f["weight"], f["metric"]) for f in body["findings"]]
    assert {"unknown": 0, "wrong kind": 1, "other labels": 0, "missing": 0} == body["counts"]


def test_an_agent_that_exports_nothing_cannot_be_looked_at(check):
    """
    Where prometheus_metrics is off the answer is repeated, and the exit code is 2.
    """
    paths = agent_paths("client") | {"/v1/metrics": Answer("Prometheus is not enabled", 415)}

    done = check(agent_paths("leader"), paths)

    assert 2 == done.exit_code
    assert "Unexpected response code: 415 (Prometheus is not enabled)" in done.output


def test_where_nobody_answers_nothing_is_called_well(check):
    """
    The last line says that nothing could be looked at, not that there is nothing to say.
    """
    done = check({"/v1/metrics": Answer("Prometheus is not enabled", 415)})

    assert 2 == done.exit_code
    assert done.output.endswith("checked 0 things on 0 agents: nothing could be looked at\n")


def test_an_address_that_is_no_url_is_refused(check):
    """
    The sentence says what an address looks like.
    """
    done = check(flags=["--address", "server-1:4646"])

    assert 2 == done.exit_code
    assert "write one such as http://127.0.0.1:4646" in done.output


def test_what_lacks_only_for_a_moment_is_no_finding():
    """
    A series that a second look finds was between two of its updates; one that stays away is missing.
    """
    full = exposition("leader")
    gone = [line for line in full.splitlines() if "nomad_nomad_leader_barrier" not in line]
    gone = "\n".join(line for line in gone if "nomad_nomad_autopilot_healthy" not in line)
    back = "\n".join(line for line in full.splitlines() if "nomad_nomad_autopilot_healthy" not in line)
    pauses = []
    with serving(agent_paths("leader", text=gone)) as first, serving(agent_paths("leader", text=back)) as second:
        looked = [ask_agent(first, ApiSettings(), place="s2")]

        found = compared(looked, lambda agent: ask_agent(second, ApiSettings(), place="s2"), pauses.append)

    assert ["nomad_nomad_autopilot_healthy"] == [each.finding.metric for each in found]
    assert 1 == len(pauses)

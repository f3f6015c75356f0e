"""Draining a client, in the words of Nomad's command."""

import re

import pytest

from agent.cli.node_commands import node

NODE_ID = "cfef12ce-ddcc-3d83-e15c-c30de4b45557"
NODE_PATH = f"/v1/node/{NODE_ID}"
PATH = f"{NODE_PATH}/drain"
HELP = "For additional help try 'outrider node drain -h'\n"
HOUR = 3_600 * 10**9
BEGAN = "2026-11-22T19:27:07Z"
ZERO = "0001-01-01T00:00:00Z"
STRATEGY = {"Deadline": HOUR, "ForceDeadline": "2026-11-22T20:27:07.5Z", "IgnoreSystemJobs": False, "StartedAt": BEGAN}


@pytest.fixture
def writable(agent, body):
    """An agent that knows the recorded clients and takes what is written about one, which has nothing to drain."""
    agent.serve("/v1/nodes", body("nodes"))
    agent.serve(PATH, {"NodeModifyIndex": 9, "EvalIDs": None, "EvalCreateIndex": 0, "Index": 9}, "PUT")
    agent.serve(NODE_PATH, details())
    agent.serve(f"{NODE_PATH}/allocations", [])
    return agent


def details(strategy=None, status="ready"):
    return {"ID": NODE_ID, "Status": status, "Drain": strategy is not None, "DrainStrategy": strategy}


def alloc(id_="a", client="running", desired="run", *, migrate=None, kind="service"):
    return {
        "ID": id_, "ClientStatus": client, "DesiredStatus": desired, "Job": {"Type": kind},
        "DesiredTransition": {"Migrate": migrate} if migrate is not None else None,
    }  # fmt: skip


def written(agent):
    return [(path, sent) for method, path, _, sent in agent.seen if method == "PUT"]


@pytest.mark.parametrize(
    ("flags", "spec", "eligible"),
    [
        (("-enable",), {"Deadline": HOUR, "IgnoreSystemJobs": False}, True),
        (("-enable", "-deadline", "1h30m"), {"Deadline": HOUR * 3 // 2, "IgnoreSystemJobs": False}, True),
        (("-enable", "-deadline=30s", "-ignore-system"), {"Deadline": 30 * 10**9, "IgnoreSystemJobs": True}, True),
        (("-enable", "-no-deadline"), {"Deadline": 0, "IgnoreSystemJobs": False}, True),
        (("-enable", "-force"), {"Deadline": -(10**9), "IgnoreSystemJobs": False}, True),
        (("-disable",), None, True),
        (("-disable", "-keep-ineligible"), None, False),
    ],
)
def test_the_flags_say_how_a_client_is_drained(writable, run, flags, spec, eligible):
    """
    An hour where nothing is said; -detach returns with the word for what was done.
    """
    result = run(node, "drain", *flags, "-detach", NODE_ID)

    assert [(PATH, {"DrainSpec": spec, "MarkEligible": eligible, "Meta": {}})] == written(writable)
    assert (f'Node "{NODE_ID}" drain strategy {"set" if spec else "unset"}\n', 0) == (result.stdout, result.exit_code)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((NODE_ID,), f"Either the '-enable' or '-disable' flag must be set\n{HELP}"),
        (("-enable", "-disable", NODE_ID), f"Either the '-enable' or '-disable' flag must be set\n{HELP}"),
        (("-enable",), f"Node ID must be specified if -self isn't being used\n{HELP}"),
        (("-enable", "-self", NODE_ID), f"Node ID must be specified if -self isn't being used\n{HELP}"),
        (
            ("-disable", "-force", NODE_ID), f"-disable can't be combined with flags configuring drain strategy\n{HELP}",
        ),
        (
            ("-enable", "-force", "-deadline=1m", NODE_ID),
            f"-deadline can't be combined with -force or -no-deadline\n{HELP}",
        ),
        (("-enable", "-force", "-no-deadline", NODE_ID), f"-force and -no-deadline are mutually exclusive\n{HELP}"),
        (("-enable", "-deadline=-1m", NODE_ID), "A positive drain duration must be given\n"),
        (("-enable", "-deadline=0", NODE_ID), "A positive drain duration must be given\n"),
        (
            ("-enable", "-deadline=soon", NODE_ID),
            'Failed to parse deadline "soon": "soon" is no duration; write a number and a unit, such as 500ms, 30s, 5m or 1h30m\n',
        ),
        (("-enable", "c"), "Identifier must contain at least two characters.\n"),
        (("-enable", "ffff"), 'No node(s) with prefix or id "ffff" found\n'),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(writable, run, arguments, message):
    """
    Nothing is written, and the exit code is 1.
    """
    result = run(node, "drain", *arguments)

    assert (message, 1) == (result.stderr, result.exit_code)
    assert [] == written(writable)


@pytest.mark.parametrize(
    ("answer", "said", "code", "writes"),
    [
        ("y\n", "", 0, 1),
        ("\n", "Canceling drain toggle", 0, 0),
        ("no\n", "Canceling drain toggle", 0, 0),
        ("yes\n", "For confirmation, an exact 'y' is required.", 0, 0),
        ("sure\n", "No confirmation detected.", 1, 0),
    ],
)
def test_the_beginning_of_an_id_is_asked_about(writable, run, answer, said, code, writes):
    """
    Only a "y" goes on; a whole id and -yes are not asked.
    """
    result = run(node, "drain", "-disable", "cfef12ce", stdin=answer)

    assert f'Are you sure you want to disable drain mode for node "{NODE_ID}"? [y/N]' in result.stdout
    assert said in result.stdout
    assert (code, writes) == (result.exit_code, len(written(writable)))


def test_yes_is_not_asked(writable, run):
    """
    A script needs no terminal.
    """
    result = run(node, "drain", "-disable", "-yes", "cfef12ce")

    assert (0, 1) == (result.exit_code, len(written(writable)))
    assert "sure" not in result.stdout


def test_a_drain_is_followed_until_it_is_over(writable, run, turns):
    """
    Each change is said once with its time, and the end when the drain is complete and nothing runs any more.
    """
    changed = {**STRATEGY, "Deadline": 0, "ForceDeadline": ZERO}
    writable.serve(
        NODE_PATH,
        turns(details(STRATEGY), details(changed, "down"), details(changed, "down"), details(changed), details()),
    )
    writable.serve(
        f"{NODE_PATH}/allocations",
        turns(
            [alloc("a"), alloc("b")],
            [alloc("a", migrate=True), alloc("b")],
            [alloc("a", desired="stop", migrate=True), alloc("b")],
            [alloc("a", "complete", "stop", migrate=True), alloc("b")],
            [alloc("a", "complete", "stop", migrate=True), alloc("b", "complete")],
        ),
    )  # fmt: skip

    result = run(node, "drain", "-enable", NODE_ID)

    lines = result.stdout.splitlines()
    assert all(re.match(r"2026-11-22T\d\d:\d\d:\d\dZ: ", line) for line in lines)
    assert [
        "Ctrl-C to stop monitoring: will not cancel the node drain",
        f'Node "{NODE_ID}" drain strategy set',
        f'Node "{NODE_ID}" down',
        f'Node "{NODE_ID}" drain updated: true; no deadline',
        'Alloc "a" marked for migration',
        'Alloc "a" draining',
        'Alloc "a" status running -> complete',
        f"Drain complete for node {NODE_ID}",
        'Alloc "b" status running -> complete',
        f'All allocations on node "{NODE_ID}" have stopped',
    ] == [line.partition("Z: ")[2] for line in lines]
    assert 0 == result.exit_code


def test_ignored_system_jobs_are_not_waited_for(writable, run):
    """
    They go on running after the drain.
    """
    writable.serve(f"{NODE_PATH}/allocations", [alloc(kind="system")])

    result = run(node, "drain", "-enable", "-ignore-system", NODE_ID)

    assert result.stdout.endswith(f'All allocations on node "{NODE_ID}" have stopped\n')


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("PUT", PATH, "Error updating drain specification: Unexpected response code: 404 (node not found)"),
        ("GET", NODE_PATH, "Error monitoring node: Unexpected response code: 404 (node not found)"),
        ("GET", "/v1/nodes", "Error toggling drain mode: Unexpected response code: 404 (node not found)"),
    ],
)
def test_a_refusal_of_the_servers_is_told(writable, run, method, path, message):
    """
    Their words follow what was tried.
    """
    writable.serve(path, (404, "node not found"), method)

    result = run(node, "drain", "-enable", NODE_ID)

    assert (f"{message}\n", 1) == (result.stderr, result.exit_code)


@pytest.mark.parametrize(
    ("strategy", "shown"),
    [
        (None, "false"),
        (STRATEGY, "true; 2026-11-22T20:27:07Z deadline"),
        ({**STRATEGY, "Deadline": 0, "ForceDeadline": ZERO}, "true; no deadline"),
        ({**STRATEGY, "Deadline": -1, "ForceDeadline": ZERO}, "true; force drain"),
        ({**STRATEGY, "IgnoreSystemJobs": True}, "true; 2026-11-22T20:27:07Z deadline; ignoring system jobs"),
    ],
)
def test_the_status_of_a_client_shows_its_drain(agent, run, body, strategy, shown):
    """
    How it drains and until when, as Nomad writes it.
    """
    recorded = body("node")
    agent.serve("/v1/nodes", body("nodes"))
    agent.serve(f"/v1/node/{recorded['ID']}", {**recorded, "Drain": bool(strategy), "DrainStrategy": strategy})
    agent.serve(f"/v1/node/{recorded['ID']}/allocations", [])

    result = run(node, "status", recorded["ID"])

    assert re.search(rf"^Drain +(= )?{re.escape(shown)}$", result.stdout, re.MULTILINE), result.stdout


def test_the_list_shows_who_drains(agent, run, body):
    """
    The column is true for a client that drains, and false for the others.
    """
    first, *others = body("nodes")
    agent.serve("/v1/nodes", [{**first, "Drain": True, "SchedulingEligibility": "ineligible"}, *others])

    result = run(node, "status")

    assert 1 == len(re.findall(r" true +ineligible +ready", result.stdout))
    assert len(others) == len(re.findall(r" false +eligible +ready", result.stdout))

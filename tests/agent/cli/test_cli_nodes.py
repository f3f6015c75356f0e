"""Saying which clients may be given new work, in the words of Nomad's command."""

import pytest

from agent.cli.node_commands import node

NODE_ID = "cfef12ce-ddcc-3d83-e15c-c30de4b45557"
PATH = f"/v1/node/{NODE_ID}/eligibility"
HELP = "For additional help try 'outrider node eligibility -h'\n"


@pytest.fixture
def writable(agent, body):
    """An agent that knows the recorded clients and takes what is written about one."""
    agent.serve("/v1/nodes", body("nodes"))
    agent.serve(PATH, body("node-eligibility"), "PUT")
    return agent


def written(agent):
    return [(path, sent) for method, path, _, sent in agent.seen if method == "PUT"]


@pytest.mark.parametrize(
    ("flag", "word"), [("-enable", "eligible"), ("--enable", "eligible"), ("-disable", "ineligible")]
)
@pytest.mark.parametrize("asked", [NODE_ID, "cfef12ce", "cfef12c"])
def test_eligibility_is_set(writable, run, flag, word, asked):
    """
    The client is found by the beginning of its id, and what it was set to is said.
    """
    result = run(node, "eligibility", flag, asked)

    assert [(PATH, {"Eligibility": word})] == written(writable)
    assert (f'Node "{NODE_ID}" scheduling eligibility set: {word} for scheduling\n', 0) == (
        result.stdout, result.exit_code,
    )  # fmt: skip


def test_eligibility_of_the_client_that_is_asked(writable, run):
    """
    With -self the client is the one behind the address.
    """
    writable.serve("/v1/agent/self", {"stats": {"client": {"node_id": NODE_ID}}})

    result = run(node, "eligibility", "-self", "-disable")

    assert [(PATH, {"Eligibility": "ineligible"})] == written(writable)
    assert 0 == result.exit_code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((NODE_ID,), f"Either the '-enable' or '-disable' flag must be set\n{HELP}"),
        (("-enable", "-disable", NODE_ID), f"Either the '-enable' or '-disable' flag must be set\n{HELP}"),
        (("-enable",), f"Node ID must be specified if -self isn't being used\n{HELP}"),
        (("-enable", "-self", NODE_ID), f"Node ID must be specified if -self isn't being used\n{HELP}"),
        (("-enable", "c"), "Identifier must contain at least two characters.\n"),
        (("-enable", "ffff"), 'No node(s) with prefix or id "ffff" found\n'),
        (("-enable", "-self"), "Nomad not running in client mode\n"),
    ],
)
def test_what_cannot_be_meant_is_refused(writable, run, arguments, message):
    """
    Nothing is written, the reason is Nomad's, and the exit code is 1.
    """
    writable.serve("/v1/agent/self", {"stats": {"nomad": {}}})

    result = run(node, "eligibility", *arguments)

    assert (message, 1) == (result.stderr, result.exit_code)
    assert [] == written(writable)


def test_a_refusal_of_the_servers_is_told(writable, run):
    """
    Their words follow what was tried.
    """
    writable.serve(PATH, (500, "can not set node's scheduling eligibility to eligible while it is draining"), "PUT")

    result = run(node, "eligibility", "-enable", NODE_ID)

    assert (1, "") == (result.exit_code, result.stdout)
    assert result.stderr.startswith("Error updating scheduling eligibility: Unexpected response code: 500 (can not set")

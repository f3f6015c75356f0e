"""`outrider operator raft remove-peer` and `outrider operator autopilot get-config|set-config`."""

import pytest

from agent.cli.operator_commands import operator


@pytest.mark.parametrize(
    ("option", "query", "said"),
    [
        ("-peer-id", {"id": "b54ee6ea"}, 'Removed peer with id "b54ee6ea"\n'),
        ("-peer-address", {"address": "b54ee6ea"}, 'Removed peer with address "b54ee6ea"\n'),
    ],
)
def test_a_peer_is_removed_by_id_or_by_address(agent, run, option, query, said):
    """
    The command asks for the one that was named, and says that it is gone.
    """
    agent.serve("/v1/operator/raft/peer", (200, ""), method="DELETE")

    result = run(operator, "raft", "remove-peer", option, "b54ee6ea")

    assert (0, said) == (result.exit_code, result.output)
    assert [("DELETE", "/v1/operator/raft/peer", query, None)] == agent.seen


@pytest.mark.parametrize("options", [(), ("-peer-id", "a", "-peer-address", "b")])
def test_a_peer_is_named_once(agent, run, options):
    """
    Neither nor both is an error that says how, before anything is asked.
    """
    result = run(operator, "raft", "remove-peer", *options)

    assert 1 == result.exit_code
    assert "name it either with -peer-id or with -peer-address" in result.output
    assert [] == agent.seen


def test_what_the_leader_refuses_is_said(agent, run):
    """
    The server's sentence is the error.
    """
    agent.serve("/v1/operator/raft/peer", (500, 'id "x" was not found in the Raft configuration'), method="DELETE")

    result = run(operator, "raft", "remove-peer", "-peer-id", "x")

    assert 1 == result.exit_code
    assert "Error removing peer" in result.output
    assert 'id "x" was not found in the Raft configuration' in result.output


PATH = "/v1/operator/autopilot/configuration"


def test_the_settings_of_autopilot_are_shown_as_a_nomad_does(agent, run, body, golden):
    """
    One line each, in Nomad's order.
    """
    agent.serve(PATH, body("operator-autopilot-configuration"))

    expected, result = golden("autopilot-get-config"), run(operator, "autopilot", "get-config")

    assert (expected.exit_code, expected.text) == (result.exit_code, result.output)


def test_one_setting_is_changed_and_the_others_are_kept(agent, run, body):
    """
    What was read is put back with the change, on the condition that nobody else changed it.
    """
    found = body("operator-autopilot-configuration")
    agent.serve(PATH, found)
    agent.serve(PATH, (200, "true"), method="PUT")

    result = run(
        operator, "autopilot", "set-config", "-cleanup-dead-servers=false", "-min-quorum", "3",
        "-server-stabilization-time", "30s",
    )  # fmt: skip

    changed = {**found, "CleanupDeadServers": False, "MinQuorum": 3, "ServerStabilizationTime": "30s"}
    assert (0, "Configuration updated!\n") == (result.exit_code, result.output)
    assert ("PUT", PATH, {"cas": "4"}, changed) == agent.seen[-1]


def test_a_change_that_came_too_late_is_said(agent, run, body):
    """
    Somebody changed it since it was read: nothing was changed.
    """
    agent.serve(PATH, body("operator-autopilot-configuration"))
    agent.serve(PATH, (200, "false"), method="PUT")

    result = run(operator, "autopilot", "set-config", "-min-quorum=3")

    assert 1 == result.exit_code
    assert "could not be atomically updated, please try again" in result.output


def test_no_setting_is_no_change(agent, run):
    """
    The command says that there is nothing to do, and asks for nothing.
    """
    result = run(operator, "autopilot", "set-config")

    assert 1 == result.exit_code
    assert "name a setting to change" in result.output
    assert [] == agent.seen

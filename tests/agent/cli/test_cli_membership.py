"""`outrider operator raft remove-peer`."""

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

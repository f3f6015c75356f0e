"""The command that lets another server lead."""

from agent.cli.operator_commands import operator

PATH = "/v1/operator/raft/transfer-leadership"


def test_a_server_is_named_by_id_or_address(agent, run):
    """
    The output is a Nomad's.
    """
    agent.serve(PATH, {"Noop": False}, method="PUT")

    by_id = run(operator, "raft", "transfer-leadership", "-peer-id", "b")
    by_address = run(operator, "raft", "transfer-leadership", "-peer-address=10.0.0.2:4647")

    assert (0, 'Transferred leadership to peer with id "b"\n') == (by_id.exit_code, by_id.output)
    assert 'Transferred leadership to peer with address "10.0.0.2:4647"\n' == by_address.output
    assert [{"id": "b"}, {"address": "10.0.0.2:4647"}] == [seen[2] for seen in agent.seen]


def test_exactly_one_of_both_is_wanted(agent, run):
    """
    Nobody is asked otherwise.
    """
    neither = run(operator, "raft", "transfer-leadership")
    both = run(operator, "raft", "transfer-leadership", "-peer-id=b", "-peer-address=x")

    doing = "Error transferring leadership to peer: "
    assert (1, doing + "an address or id is required for the destination peer\n") == (neither.exit_code, neither.output)
    assert (1, doing + "cannot give both an address and id\n") == (both.exit_code, both.output)
    assert [] == agent.seen


def test_a_refusal_is_told(agent, run):
    """
    With the server's sentence.
    """
    agent.serve(PATH, (400, 'id "x" was not found in the Raft configuration'), method="PUT")

    result = run(operator, "raft", "transfer-leadership", "-peer-id=x")

    assert 1 == result.exit_code
    assert result.output.endswith('400 (id "x" was not found in the Raft configuration)\n')

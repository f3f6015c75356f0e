"""The commands that change who is a server and which keys encrypt gossip."""

import base64

from agent.cli.operator_commands import operator
from agent.cli.server_commands import server


def test_join_counts_and_names_every_address(agent, run):
    """
    All addresses go in one request.
    """
    agent.serve("/v1/agent/join", {"error": "", "num_joined": 2}, method="PUT")

    result = run(server, "join", "10.0.0.1:4648", "server-2")

    assert (0, "Joined 2 servers successfully\n") == (result.exit_code, result.output)
    assert ("PUT", "/v1/agent/join") == agent.seen[0][:2]


def test_join_of_nobody_fails_with_the_reason(agent, run):
    """
    The exit code is 1, and the reason is the server's.
    """
    agent.serve("/v1/agent/join", {"error": "server-2: connection refused", "num_joined": 0}, method="PUT")

    result = run(server, "join", "server-2")

    assert 1 == result.exit_code
    assert "Error joining: server-2: connection refused" in result.output


def test_force_leave_says_nothing_as_a_nomads(agent, run, golden):
    """
    Also for a name that nobody has; -prune is passed on.
    """
    agent.serve("/v1/agent/force-leave", (200, ""), method="PUT")
    expected = golden("server-force-leave-unknown")

    plain = run(server, "force-leave", "nope.global")
    pruned = run(server, "force-leave", "-prune", "nope.global")

    assert (expected.exit_code, expected.text) == (plain.exit_code, plain.output) == (pruned.exit_code, pruned.output)
    assert [{"node": "nope.global"}, {"node": "nope.global", "prune": "true"}] == [seen[2] for seen in agent.seen]


def test_a_generated_key_is_32_bytes_and_another_each_time(run):
    """
    It needs no agent.
    """
    keys = {run(operator, "gossip", "keyring", "generate").output.strip() for _ in range(3)}

    assert 3 == len(keys)
    assert {32} == {len(base64.b64decode(key)) for key in keys}


def test_keys_are_listed_with_how_many_servers_have_them(agent, run):
    """
    One line a key: on how many servers it is, and on how many it encrypts.
    """
    body = {"Messages": {}, "Keys": {"bmV3": 3, "b2xk": 2}, "PrimaryKeys": {"bmV3": 3}, "NumNodes": 3}
    agent.serve("/v1/agent/keyring/list", body)

    lines = run(operator, "gossip", "keyring", "list").output.splitlines()

    assert ["b2xk  2/3      0/3", "bmV3  3/3      3/3"] == lines[-2:]


def test_a_change_of_keys_names_the_key_in_the_body(agent, run):
    """
    Install, use and remove say what they do; an error is the server's.
    """
    for operation in ("install", "use"):
        agent.serve(f"/v1/agent/keyring/{operation}", {}, method="PUT")
        assert 0 == run(operator, "gossip", "keyring", operation, "a2V5").exit_code
    agent.serve("/v1/agent/keyring/remove", (500, "the primary key cannot be removed"), method="PUT")
    refused = run(operator, "gossip", "keyring", "remove", "a2V5")

    assert [{"Key": "a2V5"}] * 3 == [seen[3] for seen in agent.seen]
    assert 1 == refused.exit_code
    assert "primary key" in refused.output

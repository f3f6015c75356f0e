"""Over HTTP: removing a server from the Raft configuration, and the settings of autopilot, with Nomad's words."""

import json

import pytest

from agent.errors import RequestRefused
from agent.model.autopilot import AutopilotConfig
from agent.rpc import methods as rpc


@pytest.mark.parametrize(
    ("query", "server_id", "address"),
    [("id=b54ee6ea", "b54ee6ea", ""), ("address=127.0.0.11:4647", "", "127.0.0.11:4647")],
)
def test_a_peer_is_removed_by_id_or_by_address(agent, ask, query, server_id, address):
    """
    The answer is 200 without a body.
    """
    agent.answer(rpc.OPERATOR_RAFT_REMOVE_PEER, rpc.Response())

    answer = ask("DELETE", f"/v1/operator/raft/peer?{query}")

    assert (200, "") == (answer.status, answer.text)
    assert [(server_id, address)] == [(request.id, request.address) for request in agent.requests()]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "Must specify either ?id with the server's ID or ?address with IP:port of peer to remove"),
        ("?id=a&address=b", "Must specify only one of ?id or ?address"),
    ],
)
def test_a_peer_is_named_once(agent, ask, query, message):
    """
    Neither nor both is refused before anybody is asked.
    """
    answer = ask("DELETE", f"/v1/operator/raft/peer{query}")

    assert (400, message) == (answer.status, answer.text)
    assert [] == agent.requests()


def test_what_the_leader_refuses_is_said(agent, ask):
    """
    A server that is not there is a 500 with Nomad's sentence.
    """
    agent.answer(rpc.OPERATOR_RAFT_REMOVE_PEER, RequestRefused('id "x" was not found in the Raft configuration'))

    answer = ask("DELETE", "/v1/operator/raft/peer?id=x")

    assert (500, 'id "x" was not found in the Raft configuration') == (answer.status, answer.text)


def test_only_delete_removes(ask):
    """
    Any other method is refused.
    """
    assert 405 == ask("GET", "/v1/operator/raft/peer?id=x").status


def test_the_settings_of_autopilot_are_those_of_a_nomad(agent, ask, body):
    """
    The body is what Nomad gave for its defaults, without X-Nomad headers.
    """
    config = AutopilotConfig(create_index=4, modify_index=4)
    agent.answer(rpc.OPERATOR_AUTOPILOT_CONFIG, rpc.AutopilotConfigResponse(config=config))

    answer = ask("GET", "/v1/operator/autopilot/configuration")

    assert body("operator-autopilot-configuration") == answer.json
    assert not [name for name in answer.headers if name.startswith("X-Nomad")]


def test_what_was_read_can_be_put_back(agent, ask, body):
    """
    Times are durations or nanoseconds; ?cas= asks for an index, and the answer says whether it was right.
    """
    agent.answer(rpc.OPERATOR_AUTOPILOT_SET_CONFIG, rpc.AutopilotSetConfigResponse(updated=False))
    wanted = {**body("operator-autopilot-configuration"), "MinQuorum": 3, "ServerStabilizationTime": 15_000_000_000}

    answer = ask("PUT", "/v1/operator/autopilot/configuration?cas=4", data=json.dumps(wanted))

    assert (200, False) == (answer.status, answer.json)
    (request,) = agent.requests()
    assert 4 == request.check_index
    assert AutopilotConfig(min_quorum=3, server_stabilization_time=15_000_000_000) == request.config


@pytest.mark.parametrize(
    ("query", "change", "message"),
    [
        ("", {"LastContactThreshold": "soon"}, "LastContactThreshold: "),
        ("", {"LastContactThreshold": "0s"}, "LastContactThreshold = 0s is too short"),
        ("", {"ServerStabilizationTime": "-1s"}, "ServerStabilizationTime = -1s is too short"),
        ("", {"MinQuorum": -1}, "MinQuorum = -1 is not between 0 and"),
        ("", {"MaxTrailingLogs": 2**40}, "MaxTrailingLogs = 1099511627776 is not between 0 and"),
        ("", {"EnableCustomUpgrades": True}, "EnableCustomUpgrades is of the commercial edition"),
        ("?cas=x", {}, "Error parsing cas value: x is no index"),
    ],
)
def test_settings_that_cannot_be_are_refused(agent, ask, query, change, message):
    """
    Each with the name of the setting and its value, before the leader is asked.
    """
    answer = ask("PUT", f"/v1/operator/autopilot/configuration{query}", data=json.dumps(change))

    assert 400 == answer.status
    assert answer.text.startswith(message)
    assert [] == agent.requests()

"""Removing a server from the Raft configuration over HTTP, with Nomad's words for what is wrong."""

import pytest

from agent.errors import RequestRefused
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

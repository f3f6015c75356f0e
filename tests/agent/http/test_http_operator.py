"""Leadership over HTTP: which server is to lead, and who led and leads."""

import pytest

from agent.errors import RequestRefused
from agent.rpc import methods as m

PATH = "/v1/operator/raft/transfer-leadership"
ANSWER = m.RaftTransferResponse(from_id="a", from_address="10.0.0.1:4647", to_id="b", to_address="10.0.0.2:4647")


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize(("query", "asked"), [("?id=b", ("b", "")), ("?address=10.0.0.2:4647", ("", "10.0.0.2:4647"))])
def test_a_server_is_named_by_id_or_address(agent, ask, method, query, asked):
    """
    The body says who led and who leads, in a Nomad's fields.
    """
    agent.answer(m.OPERATOR_RAFT_TRANSFER, ANSWER)

    found = ask(method, PATH + query)

    expected = {
        "From": {"Address": "10.0.0.1:4647", "ID": "a"},
        "To": {"Address": "10.0.0.2:4647", "ID": "b"},
        "Noop": False,
        "Err": None,
    }
    assert (200, expected) == (found.status, found.json)
    (request,) = agent.requests()
    assert asked == (request.peer_id, request.peer_address)


@pytest.mark.parametrize(
    ("query", "message"),
    [("", "must specify either ?id"), ("?id=", "must specify either ?id"), ("?id=b&address=x", "only one of")],
)
def test_exactly_one_of_both_is_wanted(agent, ask, query, message):
    """
    Otherwise no server is asked.
    """
    found = ask("PUT", PATH + query)

    assert 400 == found.status
    assert message in found.text
    assert [] == agent.requests()


def test_a_refusal_keeps_its_status_and_a_read_is_none(agent, ask):
    """
    What the leader says is handed on.
    """
    agent.answer(m.OPERATOR_RAFT_TRANSFER, RequestRefused("s2 cannot lead now: it is not connected", 409))

    refused = ask("PUT", PATH + "?id=b")

    assert (409, "s2 cannot lead now: it is not connected") == (refused.status, refused.text)
    assert 405 == ask("GET", PATH + "?id=b").status

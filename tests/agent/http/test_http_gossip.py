"""What an operator changes in gossip over HTTP: join, force-leave, keyring."""

import json

import pytest

from agent.errors import RequestRefused


class CannedGossip:
    """Answers as told, and keeps what it was asked."""

    def __init__(self):
        self.asked, self.errors, self.refusal = [], [], None
        self.messages = {}

    async def join(self, texts):
        self.asked.append(("join", list(texts)))
        return len(texts) - len(self.errors), self.errors

    def force_leave(self, name, *, prune):
        self.asked.append(("force-leave", name, prune))
        return False

    async def keyring(self, operation, text=""):
        if self.refusal:
            raise self.refusal
        self.asked.append((operation, text))
        self.asked_members = 2
        return CannedAnswers(2, self.messages)


class CannedAnswers:
    def __init__(self, asked, messages):
        self.asked, self.messages = asked, messages

    def body(self):
        return {"Messages": self.messages, "Keys": {"a2V5": 2}, "NumNodes": self.asked}


@pytest.fixture
def gossip(agent):
    agent.gossip = CannedGossip()
    return agent.gossip


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_join_takes_several_addresses_and_counts(ask, gossip, method):
    """
    Each address of the query is joined, and the number is told.
    """
    answer = ask(method, "/v1/agent/join?address=10.0.0.1%3A4648&address=server-2")

    assert {"error": "", "num_joined": 2} == answer.json
    assert [("join", ["10.0.0.1:4648", "server-2"])] == gossip.asked


def test_join_says_why_nobody_was_joined(ask, gossip):
    """
    The reason stands in the body, as in a Nomad's.
    """
    gossip.errors = ["server-2: connection refused"]

    answer = ask("PUT", "/v1/agent/join?address=server-2")

    assert {"error": "server-2: connection refused", "num_joined": 0} == answer.json


@pytest.mark.parametrize(
    ("query", "prune"),
    [("node=s2.global", False), ("node=s2.global&prune", True), ("prune=true&node=s2.global", True)],
)
def test_force_leave_answers_nothing_also_for_a_name_that_nobody_has(ask, gossip, query, prune):
    """
    The status is 200 and the body empty, whether the name is known or not.
    """
    answer = ask("PUT", f"/v1/agent/force-leave?{query}")

    assert (200, b"") == (answer.status, answer.body)
    assert [("force-leave", "s2.global", prune)] == gossip.asked


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("PUT", "/v1/agent/join", 400, "missing address to join"),
        ("PUT", "/v1/agent/force-leave", 400, "missing node to force leave"),
        ("GET", "/v1/agent/join?address=a", 405, "Invalid method"),
        ("GET", "/v1/agent/force-leave?node=a", 405, "Invalid method"),
        ("GET", "/v1/agent/keyring/install", 405, "Invalid method"),
        ("PUT", "/v1/agent/keyring/destroy", 404, "resource not found"),
    ],
)
def test_what_is_missing_or_wrong_is_told(ask, gossip, method, path, status, text):
    """
    As by a Nomad: 400 without the name, 405 for another method, 404 for another operation.
    """
    answer = ask(method, path)

    assert (status, text) == (answer.status, answer.text)
    assert [] == gossip.asked


@pytest.mark.parametrize("path", ["/v1/agent/join?address=a", "/v1/agent/force-leave?node=a", "/v1/agent/keyring/use"])
def test_a_client_has_no_gossip(ask, path):
    """
    An agent without a server says 501.
    """
    assert 501 == ask("PUT", path).status


def test_the_keyring_is_listed_and_changed(ask, gossip):
    """
    The key comes in the body, the answer counts servers.
    """
    listed = ask("GET", "/v1/agent/keyring/list")
    used = ask("PUT", "/v1/agent/keyring/use", data=json.dumps({"Key": "a2V5"}).encode())

    assert {"Messages": {}, "Keys": {"a2V5": 2}, "NumNodes": 2} == listed.json
    assert 200 == used.status
    assert [("list", ""), ("use", "a2V5")] == gossip.asked


def test_servers_that_refuse_a_key_are_named(ask, gossip):
    """
    A change that not all servers carried out is an error with each reason; gossip without keys is one too.
    """
    gossip.messages = {"s2.global": "no answer"}
    partly = ask("PUT", "/v1/agent/keyring/install", data=b'{"Key": "a2V5"}')
    gossip.refusal = RequestRefused("gossip is not encrypted", 500)
    off = ask("GET", "/v1/agent/keyring/list")

    assert (500, "1/2 servers reported failure: s2.global: no answer") == (partly.status, partly.text)
    assert (500, "gossip is not encrypted") == (off.status, off.text)

"""Links that come and go with the servers of a group, and guests: servers that no configuration names yet."""

import logging
import random

import pytest

from agent.consensus.codec import TimeoutNow
from agent.consensus.greeting import hello_of
from agent.consensus.transport import TcpTransport, TransportSettings
from telemetry.clock import SystemClock
from tests.agent.consensus.test_raft_transport import RETRY, Ear, free_port, poll_until


@pytest.fixture
def made():
    """Makes transports, and closes them at the end."""
    transports = []

    def make(name, port, peers, admits=lambda _hello: False, host="127.0.0.1"):
        address = f"127.0.0.1:{port}"
        hello = hello_of(f"id-{name}", name, (address, address), "global")
        settings = TransportSettings(hello, address, tuple(f"{host}:{peer}" for peer in peers), RETRY)
        links = TcpTransport(settings, SystemClock(), random.Random(1), logging.getLogger("raft-test"))
        ear = Ear()
        links.bind(ear, admits)
        transports.append(links)
        return links, ear

    yield make
    for links in transports:
        links.close()


def test_a_server_that_waits_is_spoken_to_and_answers(made):
    """A server without peers that admits a guest hears it, and dials it back to answer."""
    waiting, leader = free_port(), free_port()
    joiner, heard = made("joiner", waiting, [], admits=lambda hello: hello.server_id == "id-leader")
    member, answers = made("leader", leader, [waiting])

    assert poll_until(lambda: member.connected(f"127.0.0.1:{waiting}"), member, joiner)
    member.send(f"127.0.0.1:{waiting}", TimeoutNow(1))
    assert poll_until(lambda: joiner.connected(f"127.0.0.1:{leader}"), member, joiner)
    joiner.send(f"127.0.0.1:{leader}", TimeoutNow(2))

    assert poll_until(lambda: heard.messages and answers.messages, member, joiner)
    assert [(f"127.0.0.1:{leader}", TimeoutNow(1))] == heard.messages
    assert [(f"127.0.0.1:{waiting}", TimeoutNow(2))] == answers.messages


def test_a_guest_that_goes_is_forgotten(made):
    """When a guest's connection closes, nobody dials it any more."""
    waiting, leader = free_port(), free_port()
    joiner, _ = made("joiner", waiting, [], admits=lambda _hello: True)
    member, _ = made("leader", leader, [waiting])
    assert poll_until(lambda: joiner.connected(f"127.0.0.1:{leader}"), member, joiner)

    member.close()

    assert poll_until(lambda: joiner.identity(f"127.0.0.1:{leader}") is None, joiner)
    assert not joiner.send(f"127.0.0.1:{leader}", TimeoutNow(1))
    assert 0 == joiner.backlog(f"127.0.0.1:{leader}")


def test_a_stranger_that_is_not_admitted_is_refused(made):
    """Without consent a server that is no peer says nothing here."""
    waiting, leader = free_port(), free_port()
    joiner, heard = made("joiner", waiting, [])
    member, _ = made("leader", leader, [waiting])

    assert poll_until(lambda: joiner.counters["connections_refused"] > 0, member, joiner)
    assert not member.connected(f"127.0.0.1:{waiting}")
    assert [] == heard.messages


def test_a_peer_that_was_added_is_dialled_and_one_that_was_removed_is_not(made):
    """Links follow the configuration: a new peer is dialled, a removed one hears nothing and is refused."""
    first, second = free_port(), free_port()
    one, _ = made("one", first, [])
    two, ear = made("two", second, [first])

    one.keep({f"127.0.0.1:{second}"})
    assert poll_until(lambda: one.connected(f"127.0.0.1:{second}") and two.connected(f"127.0.0.1:{first}"), one, two)
    one.keep(set())

    assert poll_until(lambda: not one.connected(f"127.0.0.1:{second}"), one, two)
    assert poll_until(lambda: one.counters["connections_refused"] > 0, one, two)
    assert [] == ear.messages


def test_a_peer_that_was_taken_for_a_guest_is_known_by_its_configured_address(made):
    """Servers that advertise other addresses than the others were told, and are heard before they are dialled, meet."""
    first, second = free_port(), free_port()
    one, _ = made("one", first, [second], admits=lambda _hello: True, host="localhost")
    two, ear = made("two", second, [first], admits=lambda _hello: True, host="localhost")

    def is_heard():
        # What was on its way to a guest that is sent away is lost, as whenever a connection ends.
        one.send(f"localhost:{second}", TimeoutNow(1))
        return (f"localhost:{first}", TimeoutNow(1)) in ear.messages

    assert poll_until(is_heard, one, two)
    assert poll_until(lambda: one.connected(f"localhost:{second}") and two.connected(f"localhost:{first}"), one, two)
    assert one.identity(f"127.0.0.1:{second}") is None
    assert two.identity(f"127.0.0.1:{first}") is None

"""Which server a client asks, and what it does when that one does not answer."""

import asyncio
import logging
import random

import pytest

from agent.client.servers import ServerPool, with_port
from agent.errors import NoClusterLeader, NotFound, NotLeader, UnknownOutcome, Unreachable
from agent.rpc.methods import STATUS_PING, Request, Response
from telemetry.clock import ManualClock

LOGGER = logging.getLogger("test.servers")


class Network:
    """Answers for each address with what *answers* holds; an exception is raised, a number of seconds passes first."""

    def __init__(self, clock, answers):
        self.clock = clock
        self.answers = answers
        self.asked = []

    def is_connected(self, address):
        return not isinstance(self.answers.get(address, Unreachable(address)), Exception)

    async def call(self, address, method, request, timeout_seconds):
        self.asked.append(address)
        answer = self.answers.get(address, Unreachable(address))
        if isinstance(answer, float):
            self.clock.advance(min(answer, timeout_seconds))
            raise Unreachable(address)
        if isinstance(answer, Exception):
            raise answer
        return answer


def pool_of(*addresses, **answers):
    clock = ManualClock()
    network = Network(clock, {with_port(name): answer for name, answer in answers.items()})
    pool = ServerPool(addresses, network, clock, random.Random(0), LOGGER)
    return pool, network


def ask(pool, seconds=5.0):
    return asyncio.run(pool.call(STATUS_PING, Request(), seconds))


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("s1", "s1:4647"),
        ("10.0.0.1:5000", "10.0.0.1:5000"),
        ("[::1]", "[::1]:4647"),
        ("[::1]:5", "[::1]:5"),
        ("fd00::1", "[fd00::1]:4647"),
    ],
)
def test_addresses_get_the_port_of_rpc(written, address):
    """
    An address without a port means the RPC port; IPv6 may stand with or without brackets.
    """
    assert address == with_port(written)


def test_a_server_that_fails_is_passed_over_and_asked_last_from_then_on():
    """
    The next server answers at once, and is asked first the next time.
    """
    pool, network = pool_of("a", "b", "c", b=Response(index=2))

    assert 2 == ask(pool).index
    network.asked.clear()
    assert 2 == ask(pool).index

    assert ["b:4647"] == network.asked


def test_all_servers_are_asked_before_giving_up():
    """
    When nobody can be reached each was asked once, and the error is Unreachable.
    """
    pool, network = pool_of("a", "b", "c")

    with pytest.raises(Unreachable):
        ask(pool)

    assert {"a:4647", "b:4647", "c:4647"} == set(network.asked)
    assert 3 == len(network.asked)


def test_a_server_that_names_the_leader_leads_to_it():
    """
    NotLeader with an address leads there, known before or not; without one the next server is asked.
    """
    pool, network = pool_of("a", "b", a=NotLeader("l:4647"), b=NotLeader("l:4647"), l=Response(index=9))

    assert 9 == ask(pool).index
    assert 2 == len(network.asked)

    lost, _ = pool_of("a", "b", a=NotLeader(), b=Response(index=3))
    assert 3 == ask(lost).index


def test_servers_that_send_each_to_the_other_end_in_an_error():
    """
    Two servers that each name the other are asked once each.
    """
    pool, network = pool_of("a", "b", a=NotLeader("b:4647"), b=NotLeader("a:4647"))

    with pytest.raises(Unreachable, match="not the leader"):
        ask(pool)

    assert 2 == len(network.asked)


@pytest.mark.parametrize("error", [NoClusterLeader(), NotFound("node not found")])
def test_what_a_server_says_is_what_the_caller_gets(error):
    """
    An answer that another server would give, too, is not looked for elsewhere.
    """
    pool, network = pool_of("a", "b", a=error, b=error)

    with pytest.raises(type(error)):
        ask(pool)

    assert 1 == len(network.asked)


def test_a_write_without_an_answer_is_not_repeated_but_the_next_goes_elsewhere():
    """
    An unknown outcome reaches the caller, who decides; the silent server is asked last from then on.
    """
    pool, network = pool_of("a", "b", a=UnknownOutcome("a"), b=UnknownOutcome("b"))

    with pytest.raises(UnknownOutcome):
        ask(pool)
    with pytest.raises(UnknownOutcome):
        ask(pool)

    assert {"a:4647", "b:4647"} == set(network.asked)


def test_silent_servers_share_the_time_there_is():
    """
    One silent server does not use up the time of the others.
    """
    pool, network = pool_of("a", "b", "c", a=60.0, b=60.0, c=60.0)
    start = network.clock.monotonic()

    with pytest.raises(Unreachable):
        ask(pool, 6.0)

    assert 3 == len(network.asked)
    assert pytest.approx(6.0) == network.clock.monotonic() - start


def test_answers_of_the_leader_replace_the_servers_known():
    """
    The list that heartbeats bring is taken; an empty one changes nothing; the configured ones stay as a last resort.
    """
    pool, network = pool_of("a", a=Response(index=1))

    pool.refresh([])
    assert ["a:4647"] == pool.servers
    pool.refresh(["b:4647", "c:4647"])
    assert {"b:4647", "c:4647"} == set(pool.servers)

    assert 1 == ask(pool).index
    assert "a:4647" == network.asked[-1]


def test_without_a_server_the_error_says_what_to_set():
    """
    A client without servers names the setting that is missing.
    """
    pool, _ = pool_of()

    with pytest.raises(Unreachable, match=r"client\.servers"):
        ask(pool)


def test_a_pool_counts_the_servers_it_has_a_connection_to():
    """
    Servers that cannot be reached are not counted.
    """
    pool, _ = pool_of("a", "b", "c", a="answer", c="answer")

    assert 2 == pool.connected()

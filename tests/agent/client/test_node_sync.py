"""How a client stands with its servers, and what it says of that."""

import asyncio
import logging
import random

from agent.client.sync import NodeSync
from agent.errors import Unreachable
from agent.model.base import NodeID
from agent.model.node import Node
from agent.node import ClientAgent
from agent.rpc.methods import NodeUpdateResponse
from telemetry.catalogue import outrider
from telemetry.clock import ManualClock
from telemetry.recorder import NullRecorder
from tests.agent.client.leader import settings_for

LOGGER = logging.getLogger("test.client")


class Servers:
    """Answers every call with *answer*, and keeps when it did."""

    def __init__(self, clock, answer):
        self.clock, self.answer, self.answered_at = clock, answer, []

    async def call(self, method, request, timeout_seconds):
        if isinstance(self.answer, Exception):
            raise self.answer
        self.answered_at.append(self.clock.monotonic())
        return self.answer


def registered(answer, then):
    """Return what *then* finds at a client that was just registered by servers that give *answer*."""

    async def run():
        clock = ManualClock(1_000.0)
        servers = Servers(clock, answer)
        node = Node(id=NodeID("n"))
        sync = NodeSync(lambda: node, "global", servers, clock, random.Random(1), LOGGER, lambda _: None)
        task = asyncio.create_task(sync.run())
        await asyncio.wait_for(sync.registered.wait(), 10)
        try:
            return then(clock, servers, sync)
        finally:
            task.cancel()

    return asyncio.run(run())


def test_the_last_heartbeat_is_as_old_as_the_answer_to_it():
    """
    The age counts from the moment a server answered, and the time to live is the one that it gave.
    """

    def then(clock, servers, sync):
        clock.advance(42.5)
        return sync.status(), clock.monotonic() - servers.answered_at[-1]

    status, since = registered(NodeUpdateResponse(heartbeat_ttl_seconds=1_000.0), then)

    assert 42.5 == since == status.last_heartbeat_age_seconds
    assert 1_000.0 == status.ttl_seconds


def test_a_client_that_no_server_has_heard_counts_from_its_start(tmp_path):
    """
    All its series are there from the first moment, the time to live at zero, whatever the servers do.
    """
    clock = ManualClock(500.0)
    agent = ClientAgent(settings_for(tmp_path), Servers(clock, Unreachable("no server")), NullRecorder(), clock, LOGGER)
    clock.advance(90.0)

    age, ttl, connected = agent.sample()

    assert (outrider.CLIENT_LAST_HEARTBEAT_SECONDS, 90.0, ("c1",)) == age
    assert (outrider.CLIENT_HEARTBEAT_TTL_SECONDS, 0.0, ("c1",)) == ttl
    assert (outrider.CLIENT_SERVERS_CONNECTED, 0.0, ("c1",)) == connected


def test_a_client_learns_its_eligibility_by_heartbeat():
    """
    What an answer says stands until another says otherwise; one that says nothing changes nothing.
    """

    def then(clock, servers, sync):
        return sync.eligibility

    answers = [
        NodeUpdateResponse(heartbeat_ttl_seconds=9.0, scheduling_eligibility=word) for word in ("ineligible", "")
    ]

    assert ["ineligible", "eligible"] == [registered(answer, then) for answer in answers]

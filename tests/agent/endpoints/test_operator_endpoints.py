"""What a server alone answers about its group and autopilot."""

import asyncio

import pytest

from agent.errors import RequestRefused
from agent.model.autopilot import AutopilotConfig
from agent.rpc import methods as m

pytestmark = pytest.mark.integration

SECONDS = 5.0


def run(start_server, scenario):
    async def whole():
        server = await start_server()
        try:
            return await asyncio.wait_for(scenario(server.caller), 30)
        finally:
            await server.stop()

    return asyncio.run(whole())


def test_what_cannot_be_removed_is_said(start_server):
    """
    The only server, one that is not there, and one that is not named, each with its sentence.
    """

    async def scenario(caller):
        for request, expected in (
            (m.RaftPeerRequest(id="id-alone"), "this is the only server of the group"),
            (m.RaftPeerRequest(id="x"), 'id "x" was not found in the Raft configuration'),
            (
                m.RaftPeerRequest(address="1.2.3.4:4647"),
                'address "1.2.3.4:4647" was not found in the Raft configuration',
            ),
            (m.RaftPeerRequest(), "either by its id or by its address"),
        ):
            with pytest.raises(RequestRefused) as caught:
                await caller.call(m.OPERATOR_RAFT_REMOVE_PEER, request, SECONDS)
            assert expected in str(caught.value)
        found = await caller.call(m.OPERATOR_RAFT_CONFIGURATION, m.Request(), SECONDS)
        assert [("id-alone", True, True)] == [(server.id, server.leader, server.voter) for server in found.servers]

    run(start_server, scenario)


def test_the_settings_of_autopilot_go_through_the_log(start_server):
    """
    They are those of the leader's file until they are set, and a change on a condition that does not hold changes nothing.
    """

    async def scenario(caller):
        before = await caller.call(m.OPERATOR_AUTOPILOT_CONFIG, m.Request(), SECONDS)
        index, wanted = before.config.modify_index, AutopilotConfig(min_quorum=3)
        first = await caller.call(
            m.OPERATOR_AUTOPILOT_SET_CONFIG, m.AutopilotSetConfigRequest(config=wanted, check_index=index), SECONDS
        )
        second = await caller.call(
            m.OPERATOR_AUTOPILOT_SET_CONFIG,
            m.AutopilotSetConfigRequest(config=AutopilotConfig(), check_index=index),
            SECONDS,
        )
        after = await caller.call(m.OPERATOR_AUTOPILOT_CONFIG, m.Request(), SECONDS)

        assert AutopilotConfig(create_index=index, modify_index=index) == before.config
        assert (True, False) == (first.updated, second.updated)
        assert 3 == after.config.min_quorum
        assert first.index == after.config.modify_index > index > 0

    run(start_server, scenario)

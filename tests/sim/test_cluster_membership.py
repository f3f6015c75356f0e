"""Servers that are removed from a whole cluster in virtual time, by the call that operators make."""

import asyncio

import pytest

from agent.consensus.replicator import Standing
from agent.errors import OutriderError
from agent.rpc import methods as m
from tests.sim.cluster_world import ClusterWorld

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def world():
    """A cluster of three servers that has settled; it may not have met a bug."""
    made = ClusterWorld(1, clients=0)
    made.run(10)
    yield made
    made.check_no_bug()
    made.close()


def remove(world, asked, gone):
    """Have *asked* remove *gone*; return what becomes of it."""
    outcome = []

    async def call():
        request = m.RaftPeerRequest(id=f"id-{gone}")
        try:
            outcome.append(await world.servers[asked].agent.caller.call(m.OPERATOR_RAFT_REMOVE_PEER, request, 10.0))
        except OutriderError as error:
            outcome.append(error)

    world.servers[asked].spawn(call())
    world.run(6)
    return outcome


def standings(world):
    return {name: world.servers[name].agent.status().standing for name in world.names}


@pytest.mark.parametrize("through", ["leader", "follower"])
def test_a_leader_that_is_to_be_removed_hands_over_first(world, through):
    """
    Whoever is asked: the next leader removes it, once, and the two that are left have a quorum.
    """
    old = world.leads().name
    asked = old if through == "leader" else next(name for name in world.names if name != old)

    outcome = remove(world, asked, old)

    assert [m.Response] == [type(answer) for answer in outcome]
    assert world.leads().name != old
    assert [Standing.NONE] == [standing for name, standing in standings(world).items() if name == old]
    assert 2 == list(standings(world).values()).count(Standing.VOTER)


def test_a_follower_is_removed_through_another(world):
    """
    The leader stays, and lists the two that are left.
    """
    leader = world.leads().name
    gone, asked = (name for name in world.names if name != leader)

    outcome = remove(world, asked, gone)

    assert [m.Response] == [type(answer) for answer in outcome]
    assert leader == world.leads().name
    assert Standing.NONE is standings(world)[gone]
    assert {f"id-{asked}"} == {entry.peer.server_id for entry in world.leads().agent.status().peers}


def test_the_request_is_passed_on_only_when_the_duties_are_laid_down(world):
    """
    A leader whose duties outlast its lead does not answer as leader, again and again, what the next one must.
    """
    old = world.leads().name
    duties = world.servers[old].agent.duties
    revoke = duties.revoke

    async def slow():
        await asyncio.sleep(1.0)
        await revoke()

    duties.revoke = slow

    outcome = remove(world, old, old)

    assert [m.Response] == [type(answer) for answer in outcome]
    assert Standing.NONE is standings(world)[old]

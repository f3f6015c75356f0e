"""An operator names the server that is to lead, on a whole cluster in virtual time."""

import re

import pytest

from agent.errors import NoClusterLeader, OutriderError
from agent.rpc import methods as m
from tests.sim.cluster_world import ClusterWorld

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def world():
    """Three servers that have settled."""
    found = ClusterWorld(5, clients=0)
    found.run(8)
    yield found
    found.check_no_bug()
    found.close()


def transfer(world, asked, within=15, **wanted):
    """Return the answer of *asked*, or the error."""
    outcomes = []

    async def ask():
        try:
            request = m.RaftTransferRequest(**wanted)
            outcomes.append(await asked.agent.caller.call(m.OPERATOR_RAFT_TRANSFER, request, 10))
        except OutriderError as error:
            outcomes.append(error)

    asked.spawn(ask())
    world.run_until(lambda: outcomes, within=within)
    return outcomes[0]


def test_each_server_leads_when_it_is_named(world):
    """
    By id or by address, asked of any server; the answer comes once it leads, and says who led before.
    """
    for number, name in enumerate(world.names):
        before, asked = world.leads().name, world.servers[world.names[number - 1]]
        wanted = {"peer_id": f"id-{name}"} if number % 2 else {"peer_address": name}

        answer = transfer(world, asked, **wanted)

        assert (f"id-{before}", f"id-{name}") == (answer.from_id, answer.to_id)
        assert name == world.leader().name
        world.run_until(lambda name=name: world.leads() is not None and name == world.leads().name, within=3)
        world.run(2)


def test_who_leads_already_leads_on(world):
    """
    Naming the leader changes nothing, not even the term.
    """
    leader = world.leads()
    term = leader.agent.status().term

    answer = transfer(world, leader, peer_id=f"id-{leader.name}")
    world.run(2)

    assert answer.from_id == answer.to_id
    assert (leader.name, term) == (world.leads().name, leader.agent.status().term)


@pytest.mark.parametrize("wanted", [{"peer_id": "nobody"}, {"peer_address": "10.0.0.9:4647"}])
def test_a_server_that_is_no_member_is_refused(world, wanted):
    """
    In Nomad's words, with what was asked for.
    """
    error = transfer(world, world.leads(), **wanted)

    (kind, text) = next(iter(wanted.items()))
    assert f'{kind.removeprefix("peer_")} "{text}" was not found in the Raft configuration' == str(error)
    assert 400 == error.status


def test_a_server_that_is_gone_or_lags_is_refused_and_the_leader_leads_on(world):
    """
    After two seconds of waiting for it, with the reason.
    """
    leader = world.leads()
    behind = next(name for name in world.names if name != leader.name)
    world.isolate(behind)
    leader.spawn(leader.replicator.barrier(5))
    world.run(0.2)

    lags = transfer(world, leader, peer_id=f"id-{behind}")
    world.heal()
    world.run(1)
    world.crash(behind)
    world.run(1)
    gone = transfer(world, leader, peer_id=f"id-{behind}")

    assert re.search(r"cannot lead now: it has \d+ of \d+ entries", str(lags))
    assert str(gone).endswith("cannot lead now: it is not connected")
    assert (409, 409) == (lags.status, gone.status)
    assert leader is world.leads()


def test_without_a_leader_there_is_nothing_to_hand_over(world):
    """
    The survivor of three says so.
    """
    survivor = next(name for name in world.names if name != world.leads().name)
    for name in world.names:
        if name != survivor:
            world.crash(name)
    world.run(5)

    assert isinstance(transfer(world, world.servers[survivor], peer_id=f"id-{survivor}"), NoClusterLeader)

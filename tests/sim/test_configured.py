"""What must hold of a simulated group's configurations is noticed when it does not."""

from types import SimpleNamespace

import pytest

from agent.consensus.codec import CommandKind
from agent.consensus.configuration import Configuration, ConfiguredServer, encode_configuration
from agent.consensus.pysyncobj_adapters import PeerNode
from tests.sim.configured import Watch
from tests.sim.register_world import RegisterWorld, simulated

FOUNDERS = ("s1", "s2", "s3")


def configuration(*voters, learners=()):
    return Configuration(
        tuple(ConfiguredServer(f"id-{name}", name, name, name, name in voters) for name in (*voters, *learners))
    )


def entry(index, term, held):
    return bytes([CommandKind.CONFIGURATION]) + encode_configuration(held), index, term


def watched(entries, history, committed=()):
    """Return a watch over a server with these entries, whose configurations those of *history* are."""
    world = SimpleNamespace(founders=list(FOUNDERS), committed={index: (b"\0", term) for index, term in committed})
    engine = SimpleNamespace(_configurations=SimpleNamespace(_history=history))
    log = SimpleNamespace(entries=[(b"\1", 1, 0), *entries])
    return Watch(world, "s1"), SimpleNamespace(engine=engine, log=log, boots=1)


def test_a_change_of_one_server_is_right():
    """One server comes without a vote, and gets it by the next change."""
    came, votes = configuration(*FOUNDERS, learners=["s4"]), configuration(*FOUNDERS, "s4")
    watch, server = watched(
        [entry(2, 1, came), entry(3, 1, votes)], [(0, configuration(*FOUNDERS)), (2, came), (3, votes)]
    )

    watch.look(server)

    assert watch._looked_at is not None


@pytest.mark.parametrize("after", [configuration("s1"), configuration("s1", learners=["s2", "s3"])])
def test_a_change_of_two_servers_is_noticed(after):
    """Two that go, or lose their votes, at once are named."""
    watch, server = watched([entry(2, 1, after)], [(0, configuration(*FOUNDERS)), (2, after)])

    with pytest.raises(AssertionError, match=r"s1 holds a change of \['s2', 's3'\] at once, at 2"):
        watch.look(server)


def test_what_counts_and_is_not_in_the_log_is_noticed():
    """A server that goes by a configuration whose entry it does not hold is found out."""
    watch, server = watched([], [(0, configuration(*FOUNDERS)), (2, configuration("s1", "s2"))])

    with pytest.raises(AssertionError, match=r"s1 goes by the servers .*, and its log says"):
        watch.look(server)


@pytest.mark.parametrize(
    ("committed", "wrong"),
    [
        ([(2, 3)], "changes the group while its change 3 is not committed"),
        ([(2, 2), (3, 2)], "changes the group before an entry of its term 3 is committed"),
    ],
    ids=["change under way", "no entry of its term"],
)
def test_a_change_that_comes_too_early_is_noticed(committed, wrong):
    """Before the last change is committed, and before an entry of the leader's term is, no change may begin."""
    watch, server = watched([(b"\1", 2, 3), entry(3, 3, configuration("s1", "s2"))], [], committed)

    with pytest.raises(AssertionError, match=wrong):
        watch.appended_by_leader(server, 3)


def test_a_change_in_its_time_is_right():
    """After both are committed a leader may change the group."""
    watch, server = watched([(b"\1", 2, 3), entry(3, 3, configuration("s1", "s2"))], [], [(2, 3), (3, 3)])

    watch.appended_by_leader(server, 3)

    assert 3 in watch._world.committed


def test_a_leader_that_counts_what_a_follower_does_not_hold_is_noticed():
    """What the leader takes a follower to have stored is looked for in that one's log."""
    with simulated(lambda: RegisterWorld(seed=1, size=3)) as world:
        world.run_until(lambda: world.leader() is not None, within=5)
        leader = world.leader()
        (other, _) = (server for server in world.servers.values() if server is not leader)
        world.isolate(other.name)
        for number in range(3):
            world.ask(leader.name, CommandKind.NO_OP, b"%d" % number, lambda result: None)
        world.run(0.1)

        world.check_counted(leader)
        leader.engine._SyncObj__raftMatchIndex[PeerNode(other.name)] = leader.engine.last_index
        with pytest.raises(AssertionError, match=f"as stored by {other.name}, which does not keep it"):
            world.check_counted(leader)

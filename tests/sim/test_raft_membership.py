"""Changes of a group's servers under faults, with the real engine in simulated time."""

import random

import pytest

from agent.consensus.configuration import Configuration, ConfiguredServer, decode_configuration
from agent.consensus.engine_parts import Compaction
from agent.consensus.greeting import hello_of
from agent.consensus.replicator import Peer, RaftState, Standing
from agent.errors import NotLeader, Overloaded, RequestRefused
from telemetry.catalogue import raft
from tests.sim.raft_world import RaftWorld

pytestmark = pytest.mark.timeout(30)


def peer(name):
    return Peer(f"id-{name}", name, name, name)


def adding(name, *, voter):
    return lambda configuration: configuration.with_server(peer(name), voter=voter)


def removing(name):
    return lambda configuration: configuration.without(peer(name))


def voters(server):
    return sorted(entry.server_id[3:] or entry.raft_address for entry in server.engine._configurations.newest.voters)


def members(leader):
    """Return the names of those in the configuration of *leader*."""
    return {entry.server_id[3:] or entry.raft_address for entry in leader.engine._configurations.newest.servers}


def settled(world):
    """True once there is a leader that every running server of its group follows."""
    leader = world.leader()
    return leader is not None and all(
        server is leader or getattr(server.engine._SyncObj__raftLeader, "id", None) == leader.name
        for server in world.servers.values()
        if server.engine is not None and server.name in members(leader)
    )


def begun(seed, **options):
    """Return a world that has a leader which has written, and so may change its group."""
    world = RaftWorld(seed, **options)
    world.run_until(lambda: settled(world), within=5)
    world.run(0.5)
    return world


def change(world, what):
    """Have the leader carry out *what*, asking again while another change is under way."""
    for _ in range(50):
        world.run_until(lambda: settled(world), within=10)
        outcome = world.reconfigure(world.leader().name, what)
        world.run(0.3)
        if outcome == [b""]:
            return
        assert not outcome or isinstance(outcome[0], Overloaded | NotLeader), outcome
    raise AssertionError("not within 50 attempts")


def followers(world):
    return [s for s in world.servers.values() if s is not world.leader() and s.engine is not None]


def test_a_removed_server_is_told_and_counts_no_more():
    """From three servers one is removed: all three know, it stands for nothing, two of two are the quorum."""
    world = begun(seed=1)
    leader, gone = world.leader(), followers(world)[0]
    term = leader.engine.term

    change(world, removing(gone.name))
    before = gone.recorder.counts[raft.STATE_CANDIDATE.name]
    world.run(20)

    assert [2, 2, 2] == [len(voters(server)) for server in world.servers.values()]
    assert Standing.NONE is gone.engine.status(0.0).standing
    assert 2 == leader.recorder.gauges[raft.PEERS.name]
    assert before == gone.recorder.counts[raft.STATE_CANDIDATE.name]
    assert (leader, term) == (world.leader(), leader.engine.term)
    assert gone.name not in {str(node.id) for node in leader.engine._SyncObj__readonlyNodes}


def test_the_quorum_is_reckoned_on_the_servers_that_are_left():
    """Of five, two are removed: then the loss of a third leaves a leader, the loss of a fourth none."""
    world = begun(seed=2, size=5)
    first, second, third, fourth = followers(world)
    change(world, removing(first.name))
    change(world, removing(second.name))
    world.crash(first.name)
    world.crash(second.name)

    world.crash(third.name)
    world.run(3)
    world.propose(world.leader().name, b"two of three")
    world.run(1)
    assert b"two of three" in world.acked
    world.crash(fourth.name)
    world.run(3)

    assert world.leader() is None


def test_a_leader_does_not_take_its_own_vote():
    """The leader refuses to remove itself, and says what to do."""
    world = begun(seed=3)

    outcome = world.reconfigure(world.leader().name, removing(world.leader().name))
    world.run(0.1)

    assert isinstance(outcome[0], RequestRefused)
    assert "hand the leadership over first" in str(outcome[0])


def test_the_last_server_is_not_removed():
    """A server alone refuses to be removed: nobody would be left."""
    world = begun(seed=3, size=1)

    outcome = world.reconfigure("s1", removing("s1"))
    world.run(0.1)

    assert "no server would be left that votes" in str(outcome[0])


def test_a_change_waits_for_the_one_before():
    """While one change is not committed a second is told to come back, and the first is carried out."""
    world = begun(seed=4, size=5)
    first, second = followers(world)[:2]

    outcome = world.reconfigure(world.leader().name, removing(first.name))
    other = world.reconfigure(world.leader().name, removing(second.name))
    world.run(1)

    assert [b""] == outcome
    assert isinstance(other[0], Overloaded)
    assert 4 == len(voters(world.leader()))


def test_only_a_leader_changes_the_group():
    """A follower refuses a change and names its leader."""
    world = begun(seed=4)

    outcome = world.reconfigure(followers(world)[0].name, removing("s1"))
    world.run(0.1)

    assert isinstance(outcome[0], NotLeader)
    assert world.leader().name == outcome[0].leader


def test_a_removal_that_could_not_be_committed_is_refused():
    """With one of three dead, the other follower is not removed: the leader alone would be one of two."""
    world = begun(seed=5)
    dead, alive = followers(world)
    world.crash(dead.name)
    world.run(1)

    refused = world.reconfigure(world.leader().name, removing(alive.name))
    taken = world.reconfigure(world.leader().name, removing(dead.name))
    world.run(1)

    assert "1 of the 2 servers that would vote answer, 2 are needed" in str(refused[0])
    assert [b""] == taken
    assert 2 == len(voters(alive))


def test_a_server_is_taken_in_without_a_vote_and_then_with_one():
    """A joining server gets the log, counts for nothing until it is promoted, and then makes a quorum."""
    world = begun(seed=6, joiners=1)
    world.propose(world.leader().name, b"before")
    world.run(1)
    joiner, leader = world.servers["s4"], world.leader()
    term = leader.engine.term
    assert 0 == joiner.engine.term

    change(world, adding("s4", voter=False))
    world.run(2)
    assert Standing.NONVOTER is joiner.engine.status(0.0).standing
    assert ["s1", "s2", "s3"] == voters(world.leader())
    assert b"before" in [command for _, command in joiner.commands]
    assert [False] == [p.voter for p in world.leader().engine.status(0.0).peers if p.peer.server_id == "id-s4"]

    change(world, adding("s4", voter=True))
    world.run(20)
    assert (leader, term) == (world.leader(), leader.engine.term)
    for lost in [server for server in followers(world) if server is not joiner][:1]:
        world.crash(lost.name)
    world.propose(world.leader().name, b"after")
    world.run(1)

    assert ["s1", "s2", "s3", "s4"] == voters(joiner)
    assert b"after" in world.acked


def test_a_server_without_a_vote_is_no_part_of_a_quorum():
    """Two voters of three dead leave no leader, whatever servers without a vote are there."""
    world = begun(seed=7, joiners=2)
    change(world, adding("s4", voter=False))
    change(world, adding("s5", voter=False))
    world.run(1)

    for name in [server.name for server in followers(world) if server.name in world.founders]:
        world.crash(name)
    world.run(5)

    assert world.leader() is None
    assert [0, 0] == [world.servers[name].recorder.counts[raft.STATE_CANDIDATE.name] for name in ("s4", "s5")]


@pytest.mark.parametrize("seed", range(4))
def test_a_change_that_was_not_committed_is_taken_back(seed):
    """A removal that only its leader has goes with its entry: the old group elects, and then all have three voters."""
    world = begun(seed)
    old = world.leader()
    removed = followers(world)[0]
    world.isolate(old.name)
    outcome = world.reconfigure(old.name, removing(removed.name))
    world.run(0.05)
    assert 2 == len(voters(old))

    world.run_until(lambda: world.leader() not in {None, old}, within=5)
    world.propose(world.leader().name, b"of the new leader")
    world.run(1)
    world.heal()
    world.run(5)

    assert [3, 3, 3] == [len(voters(server)) for server in world.servers.values()]
    assert [b""] != outcome
    world.check_converged(members(world.leader()))


@pytest.mark.parametrize("seed", range(4))
def test_a_removal_that_dies_with_its_leader_leaves_the_others_able_to_elect(seed):
    """The removed server hears of an uncommitted removal from nobody: it still votes, and may stand."""
    world = begun(seed)
    old = world.leader()
    removed, other = followers(world)
    world.sever(old.name, other.name)
    world.reconfigure(old.name, removing(removed.name))
    world.run(0.1)
    assert 3 == len(voters(removed))

    world.crash(old.name)
    world.run_until(lambda: world.leader() is not None and settled(world), within=5)
    world.propose(world.leader().name, b"after")
    world.run(1)

    assert b"after" in world.acked


@pytest.mark.parametrize("seed", range(4))
def test_the_configuration_survives_restarts_and_is_in_snapshots(seed):
    """After a change and a compaction, servers that restart know their peers, and one taken in late learns them."""
    world = begun(seed, joiners=1, compaction=Compaction(threshold=30, trailing=3))
    gone = followers(world)[0]
    change(world, removing(gone.name))
    world.crash(gone.name)
    for number in range(100):
        world.propose(world.leader().name, b"write-%d" % number)
        world.run(0.02)
    world.run(1)
    left = sorted(set(world.founders) - {gone.name})
    assert [left, left] == [voters(world.servers[name]) for name in left]

    change(world, adding("s4", voter=False))
    world.run(1)
    change(world, adding("s4", voter=True))
    world.run(2)
    for name in [*left, "s4"]:
        world.crash(name)
    for name in [*left, "s4"]:
        world.start(name)
    world.run(5)

    expected = sorted([*left, "s4"])
    assert [expected] * 3 == [voters(world.servers[name]) for name in expected]
    assert world.servers["s4"].snapshots.index > 0
    assert decode_configuration(world.servers["s4"].snapshots.load().configuration)
    world.check_converged(members(world.leader()))


@pytest.mark.parametrize("seed", range(3))
def test_a_removed_server_that_is_taken_in_again_catches_up(seed):
    """A server that was removed, missed writes while dead and is added again has everything and votes."""
    world = begun(seed, compaction=Compaction(threshold=20, trailing=3))
    gone = followers(world)[0]
    change(world, removing(gone.name))
    world.crash(gone.name)
    for number in range(60):
        world.propose(world.leader().name, b"write-%d" % number)
        world.run(0.02)
    world.start(gone.name)
    world.run(5)
    assert RaftState.FOLLOWER is gone.engine.state

    change(world, adding(gone.name, voter=False))
    world.run(2)
    change(world, adding(gone.name, voter=True))
    world.run(1)

    assert ["s1", "s2", "s3"] == voters(gone)
    world.check_converged(members(world.leader()))


@pytest.mark.parametrize("seed", range(3))
def test_a_server_that_missed_several_changes_still_elects(seed):
    """One that slept while two were taken in helps to elect one of them when the others die: it is no stranger."""
    world = begun(seed, joiners=2)
    asleep = followers(world)[0]
    world.crash(asleep.name)
    for name in ("s4", "s5"):
        change(world, adding(name, voter=False))
        world.run(1)
        change(world, adding(name, voter=True))
    for name in [name for name in world.founders if name != asleep.name]:
        world.crash(name)

    world.start(asleep.name)
    world.run_until(lambda: settled(world) and world.leader() is not asleep, within=10)

    assert world.leader().name in {"s4", "s5"}


def any_change(rng, world):
    """Return a change of one server, chosen by chance."""
    name = rng.choice(world.names)
    return rng.choice([removing(name), adding(name, voter=False), adding(name, voter=True)])


@pytest.mark.parametrize("seed", range(16))
def test_nothing_answered_for_is_lost_while_servers_come_and_go(seed):
    """Under crashes and cuts in the middle of changes, each term has one leader and each answer is kept."""
    world = RaftWorld(seed, size=3, joiners=3, loss=0.03 * (seed % 2), compaction=Compaction(40, 5))
    rng = random.Random(f"changes:{seed}")
    number, carried = 0, []
    for _ in range(90):
        action, name = rng.random(), rng.choice(world.names)
        running = [n for n in world.names if world.servers[n].engine is not None]
        if action < 0.12 and name in running:
            world.crash(name)
        elif action < 0.35 and name not in running:
            world.start(name)
        elif action < 0.42:
            world.sever(name, rng.choice([n for n in world.names if n != name]))
        elif action < 0.45:
            world.isolate(name)
        elif action < 0.6:
            world.heal()
        for candidate in running:
            engine = world.servers[candidate].engine
            if engine is not None and engine.state is RaftState.LEADER:
                if rng.random() < 0.5:
                    carried.append(world.reconfigure(candidate, any_change(rng, world)))
                for _ in range(rng.randrange(4)):
                    number += 1
                    world.propose(candidate, b"%s-%d" % (candidate.encode(), number))
        world.run(rng.choice((0.004, 0.02, 0.3, 1.0)))

    world.heal()
    world.loss = 0.0
    for name in world.names:
        if world.servers[name].engine is None:
            world.start(name)
    for attempt in range(5):
        world.run_until(lambda: settled(world), within=15)
        world.propose(world.leader().name, b"last-%d" % attempt)
        world.run(3)

    done = carried.count([b""])
    print(f"terms={len(world.leaders)} proposed={number} acked={len(world.acked)} changes={done} of {len(carried)}")
    assert b"last-4" in world.acked
    assert done >= 3
    group = members(world.leader())
    assert 1 == len({tuple(voters(world.servers[name])) for name in group})
    world.check_converged(group)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_left_of_a_group_is_recovered_by_an_operators_word(seed):
    """Of five, three are lost for good: the two that are left are told that they are the group, and keep every write."""
    world = begun(seed, size=5, compaction=Compaction(threshold=30, trailing=3))
    for number in range(50):
        world.propose(world.leader().name, b"write-%d" % number)
        world.run(0.02)
    world.run(1)
    for name in world.names:
        world.crash(name)
    left = random.Random(seed).sample(world.names, 2)
    group = Configuration(tuple(ConfiguredServer(f"id-{name}", "", name, "", voter=True) for name in sorted(left)))

    for name in left:
        world.start(name)
        world.servers[name].engine.recover(group)
    world.run_until(lambda: settled(world), within=5)
    world.propose(world.leader().name, b"after")
    world.run(1)

    assert [sorted(left)] * 2 == [voters(world.servers[name]) for name in left]
    assert {b"write-0", b"write-49", b"after"} <= set(world.acked)
    world.check_converged(left)


@pytest.mark.parametrize("seed", range(3))
def test_a_new_leader_changes_nothing_before_it_committed_an_entry_of_its_term(seed):
    """It may not know of a change of its predecessor, and the two would share no server."""
    world = begun(seed)
    old = world.leader()
    world.crash(old.name)
    while world.leader() is None:
        world.run(0.001)
    outcome = []

    world.leader().engine.reconfigure(removing(old.name), outcome.append)
    change(world, removing(old.name))

    assert [Overloaded] == [type(answer) for answer in outcome]
    assert 2 == len(voters(world.leader()))


def test_another_server_at_the_address_of_one_does_not_speak_for_it():
    """What a server with another id has stored counts for nothing: the configured one is not heard any more."""
    world = begun(seed=8, size=5)
    change(world, removing(followers(world)[0].name))
    leader = world.leader()
    name = next(name for name in world.names if name != leader.name and name in voters(leader))
    known = leader.identity

    leader.identity = lambda node: hello_of("id-other", node, (node, node), "global") if node == name else known(node)
    world.run(3)

    assert leader is world.leader()
    (entry,) = (entry for entry in leader.engine.status(0.0).peers if entry.peer.raft_address == name)
    assert (f"id-{name}", True) == (entry.peer.server_id, entry.last_contact_seconds > 2)

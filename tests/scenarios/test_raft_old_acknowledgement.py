"""An answer that a follower gave in an earlier term of the same leader tells nothing about what it holds now."""

from tests.sim.planted import PLANTED
from tests.sim.raft_world import RaftWorld
from tests.sim.test_raft_world import settled

SLOW_SECONDS = 3.0


def second_lead():
    """Have a leader of five ask for a write while a follower's answers from its first lead come in.

    The leader and that follower were cut off together, and another leader has overwritten what the answers are about.
    Only one other server takes the write. Return the world, the leader and that server.
    """
    world = RaftWorld(seed=1, size=5)
    world.run_until(lambda: settled(world), within=5)
    first = world.leader()
    near, *far = (name for name in world.names if name != first.name)
    for one in (first.name, near):
        for other in far:
            world.sever(one, other)
            world.sever(other, one)
    world.delays[near, first.name] = SLOW_SECONDS
    began = world.clock.monotonic()
    for number in range(20):
        world.propose(first.name, b"overwritten-%d" % number)
    world.run_until(lambda: world.leader() not in {None, first}, within=2)
    world.heal()
    world.run(0.7)
    assert world.leader().engine.transfer_leadership(f"id-{first.name}")
    world.run_until(lambda: world.leader() is first, within=0.5)
    world.run(began + SLOW_SECONDS + 0.2 - world.clock.monotonic())
    assert world.leader() is first
    for other in (near, *far[1:]):
        world.sever(first.name, other)

    world.propose(first.name, b"the write")
    world.run(0.3)
    return world, first, world.servers[far[0]]


def lose(world, *servers):
    """Let the others go on without *servers*."""
    for server in servers:
        world.crash(server.name)
    world.heal()
    world.run_until(lambda: world.leader() is not None, within=5)
    world.run(1)


def test_an_answer_of_an_earlier_term_does_not_count():
    """A write that two of five have stored is not answered for, and the other three go on without it."""
    world, leader, other = second_lead()

    assert leader.engine.totals["stale_replies"] >= 1
    assert b"\x00the write" == other.log.entries[-1][0]
    lose(world, leader, other)
    world.propose(world.leader().name, b"after it")
    world.run(1)
    world.start(leader.name)
    world.start(other.name)
    world.run(5)

    assert [b"after it"] == list(world.acked)
    world.check_converged()


def test_one_that_counted_would_lose_a_write():
    """With the bug planted, the write is answered for, and the other three go on without it."""
    with PLANTED["old-acknowledgement"].plant():
        world, leader, other = second_lead()
        lose(world, leader, other)

    assert [b"the write"] == list(world.acked)
    assert b"the write" not in {command for _, command in world.leader().commands}

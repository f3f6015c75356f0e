"""A server that came back with a tail of its own once never caught up, and must."""

from agent.consensus.codec import BATCH_BYTES_MAX
from tests.sim.raft_world import RaftWorld
from tests.sim.test_raft_world import settled


def test_a_tail_of_its_own_goes_whatever_the_leader_has_to_send():
    """
    An old leader returns with writes that nobody took, to one that has several batches for it. Its answers to the later
    batches, which it could not place, overwrote its answer to the first, which said where the two logs part.
    """
    world = RaftWorld(seed=8)
    world.run_until(lambda: settled(world), within=5)
    old = world.leader()
    world.isolate(old.name)
    for number in range(3):
        world.propose(old.name, b"of-nobody-%d" % number)
    world.run_until(lambda: world.leader() is not old and world.leader() is not None, within=5)
    for number in range(12):
        world.propose(world.leader().name, b"%d" % number + b"x" * (BATCH_BYTES_MAX // 3))
        world.run(0.1)
    first = world.leader()
    assert first.engine.transfer_leadership()
    world.run_until(lambda: world.leader() not in {old, first}, within=5)

    world.heal()
    world.run(3)

    assert [3] == [sum(command.startswith(b"of-nobody") for command, _ in world.refused)]
    assert 12 == len(world.acked)
    assert {world.leader().engine.last_index} == {server.engine.applied_index for server in world.servers.values()}
    world.check_converged()

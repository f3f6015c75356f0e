"""What evaluations make of allocations that a drain has marked."""

import msgspec
import pytest

from agent.model.alloc import DesiredTransition
from agent.model.base import NodeID
from agent.model.command import UpdateAllocDesiredTransition, UpdateNodeDrain, UpdateNodeEligibility
from agent.model.job import JobType
from agent.model.node import DrainSpec, Eligibility
from tests.agent.scheduler.test_process import World, job


def drain(world, name):
    """Begin the drain of a node and return its id."""
    node = next(node for node in world.state.nodes() if node.name == name)
    world.commit(UpdateNodeDrain, node_id=node.id, spec=DrainSpec())
    return node.id


def mark(world, *allocs, kind=JobType.SERVICE):
    """Mark allocations and carry out what comes of it."""
    world.commit(UpdateAllocDesiredTransition, migrate=[alloc.id for alloc in allocs], evals=[])
    return world.run(world.evaluation(kind=kind, trigger="node-drain"))


def test_what_is_marked_moves_under_its_name():
    """
    The old one is told to stop, the new one stands on another node, and each knows the other.
    """
    world = World(nodes=2)
    world.register(job(count=1))
    (old,) = world.allocs()
    world.report(old.id, "running")
    drain(world, old.node_name)

    outcome = mark(world, world.state.alloc(old.id))

    stopped, (new,) = world.state.alloc(old.id), world.live()
    assert ("stop", "alloc is being migrated", "running", True) == (
        stopped.desired_status, stopped.desired_description, stopped.client_status, stopped.desired_transition.migrate,
    )  # fmt: skip
    assert (old.name, old.id, new.id) == (new.name, new.previous_allocation, stopped.next_allocation)
    assert old.node_id != new.node_id
    assert DesiredTransition() == new.desired_transition
    (counts,) = outcome.evals[-1].plan_annotations["DesiredTGUpdates"].values()
    assert (1, 0, 0) == (counts["Migrate"], counts["Stop"], counts["Place"])


@pytest.mark.parametrize("kind", [JobType.SERVICE, JobType.BATCH])
def test_what_finds_no_place_stops_and_is_blocked(kind):
    """
    A drain does not wait for room; what it stopped is placed again as soon as there is some.
    """
    world = World(nodes=1)
    world.register(job(count=1, kind=kind))
    (old,) = world.allocs()
    world.report(old.id, "running")
    node_id = drain(world, old.node_name)

    outcome = mark(world, world.state.alloc(old.id), kind=kind)
    (blocked,) = [each for each in world.state.evals() if each.status == "blocked"]
    world.report(old.id, "complete")
    world.commit(UpdateNodeDrain, node_id=node_id, mark_eligible=True)
    world.run(blocked)

    assert "stop" == world.state.alloc(old.id).desired_status
    assert outcome.evals[-1].blocked_eval == blocked.id
    assert [(old.name, node_id)] == [(alloc.name, alloc.node_id) for alloc in world.live()]


def test_batch_work_that_ended_before_it_was_stopped_is_done():
    """
    The mark alone does not undo it.
    """
    world = World(nodes=2)
    world.register(job(count=1, kind=JobType.BATCH))
    (old,) = world.allocs()
    drain(world, old.node_name)
    world.commit(UpdateAllocDesiredTransition, migrate=[old.id], evals=[])
    world.report(old.id, "complete")

    world.run(world.evaluation(kind=JobType.BATCH, trigger="node-drain"))

    assert [old.id] == [alloc.id for alloc in world.allocs()]


def test_a_system_allocation_stays_on_a_draining_node_until_it_is_marked():
    """
    An evaluation for another reason leaves it alone; the mark stops it, and nothing takes its place there.
    """
    world = World(nodes=2)
    world.register(job("web", count=1, kind=JobType.SYSTEM))
    first, second = world.allocs()
    node_id = drain(world, first.node_name)

    world.run(world.evaluation(kind=JobType.SYSTEM, trigger="node-update"))
    before = {alloc.id for alloc in world.live()}
    mark(world, first, kind=JobType.SYSTEM)

    assert {first.id, second.id} == before
    assert [second.id] == [alloc.id for alloc in world.live()]
    assert NodeID(node_id) == world.state.alloc(first.id).node_id


def test_a_marked_system_allocation_stops_on_an_ineligible_node():
    """
    The drain may be over when the mark is looked at: what was to go goes all the same.
    """
    world = World(nodes=1)
    world.register(job("web", count=1, kind=JobType.SYSTEM))
    (alloc,) = world.allocs()
    world.commit(UpdateNodeEligibility, node_id=alloc.node_id, eligibility=Eligibility.INELIGIBLE)
    world.run(world.evaluation(kind=JobType.SYSTEM, trigger="node-update"))
    stayed = len(world.live())

    mark(world, alloc, kind=JobType.SYSTEM)

    assert (1, 0) == (stayed, len(world.live()))


def test_sysbatch_work_that_a_drain_killed_is_run_again():
    """
    Once its client takes work again; what had ended by itself before it was stopped stays done.
    """
    world = World(nodes=2)
    world.register(job("web", count=1, kind=JobType.SYSBATCH))
    done, killed = world.allocs()
    world.report(done.id, "complete")
    node_id = drain(world, killed.node_name)
    mark(world, killed, kind=JobType.SYSBATCH)
    world.report(killed.id, "complete")
    during = len(world.live())
    world.commit(UpdateNodeDrain, node_id=node_id, mark_eligible=True)

    world.run(world.evaluation(kind=JobType.SYSBATCH, trigger="node-update"))

    assert 0 == during
    assert [killed.node_id] == [alloc.node_id for alloc in world.live()]


def test_one_that_the_count_no_longer_asks_for_only_stops():
    """
    A job that shrinks in the middle of a drain is not given a replacement.
    """
    world = World(nodes=2)
    world.register(job(count=2))
    allocs = world.allocs()
    world.commit(UpdateAllocDesiredTransition, migrate=[allocs[1].id], evals=[])
    smaller = msgspec.structs.replace(
        world.state.job("default", "web"),
        task_groups=[msgspec.structs.replace(world.state.job("default", "web").task_groups[0], count=1)],
    )

    world.register(smaller)

    assert [allocs[0].name] == [alloc.name for alloc in world.live()]

"""Joining, leaving, being told to have left, partitions and returns, on simulated networks."""

import pytest

from agent.gossip.members import Event, Status
from tests.agent.gossip.gossip_world import GossipWorld, live

SEEDS = range(4)


def _joined(seed, size, **options):
    world = GossipWorld(seed, size, **options)
    world.join_all()
    return world


@pytest.mark.parametrize("seed", range(10))
def test_one_address_is_enough_to_join(seed):
    """
    Seven members that each know the first one know each other within two seconds.
    """
    world = GossipWorld(seed, 7)
    tokens = [world.join(name, "m1") for name in world.members if name != "m1"]
    took = world.run_until(lambda: all(world.agreed(name, Status.ALIVE) for name in world.members), 5.0)
    assert took is not None
    assert took <= 2.0
    assert [""] * 6 == [world.exchanged[token] for token in tokens]


def test_joining_nobody_says_why():
    """
    A join of an address where nobody listens ends with the reason.
    """
    world = GossipWorld(1, 2)
    world.kill("m2")
    token = world.join("m1", "m2")
    world.run(6.0)
    assert world.exchanged[token] == "connection refused"


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_leaving_is_seen_by_everyone_within_a_second_and_is_no_failure(seed, loss):
    """
    A member that leaves is leaving, then left, and never failed.
    """
    world = _joined(seed, 5, loss=loss)
    began = world.now
    world.leave("m3")
    world.run_until(lambda: "m3" in world.departed, 5.0)
    assert world.departed["m3"] - began <= 1.0
    world.kill("m3")
    took = world.run_until(lambda: world.agreed("m3", Status.LEFT), 5.0)
    assert took is not None
    assert world.now - began <= 1.0
    world.run(60.0)
    assert not world.told(Event.FAILED, "m3")
    assert world.agreed("m3", Status.LEFT)


def test_one_that_dies_while_it_leaves_has_left():
    """
    Whoever said that it leaves and is then silent is not called failed.
    """
    world = _joined(2, 3)
    world.leave("m2")
    world.run(0.1)
    assert world.agreed("m2", Status.LEAVING)
    world.kill("m2")
    world.run(10.0)
    assert world.agreed("m2", Status.LEFT)
    assert not world.told(Event.FAILED, "m2")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_member_comes_back_after_leaving(seed):
    """
    One that left and is started again is alive for all, whatever old news are still about.
    """
    world = _joined(seed, 3)
    world.leave("m2")
    world.run(1.5)
    world.kill("m2")
    world.run(1.0)
    world.start("m2")
    world.join("m2", "m1")
    assert world.run_until(lambda: all(world.agreed(n, Status.ALIVE) for n in world.members), 5.0) is not None
    world.run(120.0)
    assert all(world.agreed(name, Status.ALIVE) for name in world.members)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_restart_begins_a_greater_incarnation_even_with_a_clock_that_went_back(seed):
    """
    A member whose incarnation at the start is smaller than in its former life learns of it, and goes beyond.
    """
    world = _joined(seed, 3)
    former = world.members["m2"].members.own.incarnation
    world.kill("m2")
    world.run(10.0)
    world.start("m2", incarnation=1)
    world.join("m2", "m1")
    assert world.run_until(lambda: all(world.agreed(n, Status.ALIVE) for n in world.members), 5.0) is not None
    assert world.members["m2"].members.own.incarnation > former


def test_a_killed_member_that_is_back_at_once_is_never_failed():
    """
    A restart within the time of doubt is nobody's failure.
    """
    world = _joined(4, 3)
    world.kill("m2")
    world.run(2.5)
    world.start("m2")
    world.join("m2", "m3")
    world.run(30.0)
    assert not world.told(Event.FAILED, "m2")
    assert all(world.agreed(name, Status.ALIVE) for name in world.members)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_partition_heals_by_itself(seed):
    """
    Two halves call each other failed while they are apart, and alive within two minutes once they are not.
    """
    world = _joined(seed, 5)
    world.separate(["m1", "m2"], ["m3", "m4", "m5"])
    world.run(10.0)
    assert world.agreed("m4", Status.FAILED, ["m1", "m2"])
    assert world.agreed("m1", Status.FAILED, ["m3", "m4", "m5"])
    assert world.agreed("m4", Status.ALIVE, ["m3", "m5"])
    world.heal()
    took = world.run_until(lambda: all(world.agreed(n, Status.ALIVE) for n in world.members), 300.0)
    assert took is not None
    assert took <= 120.0


def test_a_failed_member_is_told_to_have_left():
    """
    After force-leave a failed member has left for everyone, also for one that comes later.
    """
    world = _joined(1, 4)
    world.kill("m4")
    world.run(9.0)
    assert world.force_leave("m1", "m4")
    world.run(2.0)
    assert world.agreed("m4", Status.LEFT)
    world.start("m5")
    world.join("m5", "m2")
    world.run(2.0)
    assert world.statuses("m5") == {**live("m1", "m2", "m3", "m5"), "m4": Status.LEFT}


def test_force_leave_of_a_member_that_lives_is_undone():
    """
    A member that lives objects to having left.
    """
    world = _joined(1, 3)
    world.force_leave("m1", "m2")
    world.run(3.0)
    assert all(world.agreed(name, Status.ALIVE) for name in world.members)
    assert not world.told(Event.LEFT, "m2")


def test_force_leave_of_nobody_is_told():
    """
    A name that no member has is not known.
    """
    world = _joined(1, 2)
    assert not world.force_leave("m1", "nobody")
    assert not world.force_leave("m1", "m1")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_pruned_member_is_forgotten_and_may_come_back(seed):
    """
    With prune a failed member is in no list any more, for as long as it stays away.
    """
    world = _joined(seed, 4)
    world.kill("m4")
    world.run(9.0)
    world.force_leave("m2", "m4", prune=True)
    world.run(2.0)
    assert all("m4" not in world.statuses(name) for name in world.members)
    world.run(90.0)
    assert all("m4" not in world.statuses(name) for name in world.members)
    world.start("m4")
    world.join("m4", "m1")
    world.run(2.0)
    assert all(world.agreed(name, Status.ALIVE) for name in world.members)


def test_a_pruned_member_that_lives_comes_back():
    """
    One that was cut off, failed and was pruned is a member again once it is heard.
    """
    world = _joined(5, 3)
    world.separate(["m3"], ["m1", "m2"])
    world.run(9.0)
    world.force_leave("m1", "m3", prune=True)
    world.run(2.0)
    assert set(world.statuses("m1")) == {"m1", "m2"}
    world.heal()
    took = world.run_until(lambda: all(world.agreed(n, Status.ALIVE) for n in world.members), 300.0)
    assert took is not None
    assert took <= 120.0


def test_members_of_other_regions_are_known_and_their_deaths_too():
    """
    Two regions that know one address of each other know all members; a death within a region is found at its pace.
    """
    world = GossipWorld(7)
    for number in range(6):
        world.start(f"m{number + 1}", region="east" if number < 3 else "west")
    world.join_all()
    world.run_until(lambda: all(world.agreed(n, Status.ALIVE) for n in world.members), 60.0)
    assert all(len(world.statuses(name)) == 6 for name in world.members)
    world.kill("m5")
    assert world.run_until(lambda: world.agreed("m5", Status.FAILED, ["m4", "m6"]), 20.0) <= 8.0
    assert world.run_until(lambda: world.agreed("m5", Status.FAILED), 20.0) <= 3.0
    assert not world.false_failures()


def test_a_name_that_two_claim_is_a_conflict_and_the_first_one_stays():
    """
    A second member of the same name, another server at another address, is not taken in.
    """
    world = _joined(1, 3)
    world.start("m4")
    world.join("m4", "m1")
    world.run(1.0)
    impostor = world.start("m4", tags={"id": "another"}, address=world.addresses["m4"]._replace(port=5000))
    impostor.check_invariants()
    world.join("m4", "m1")
    world.run(1.0)
    assert world.told(Event.CONFLICT, "m4", by="m1")


def test_changed_tags_reach_everyone():
    """
    New tags of a member are an update for all others.
    """
    world = _joined(2, 3)
    effects = world.members["m2"].set_tags({"region": "global", "id": "id-m2", "build": "2"}, world.now)
    world._carry_out("m2", effects)
    world.run(2.0)
    assert world.told(Event.UPDATE, "m2", by="m1")
    assert world.told(Event.UPDATE, "m2", by="m3")


def test_a_gone_member_is_forgotten_after_a_day():
    """
    What failed or left is not listed for ever.
    """
    world = _joined(
        1,
        2,
    )
    world.kill("m2")
    world.run(10.0)
    swim = world.members["m1"]
    swim.on_tick(world.now + 25 * 3600.0)
    assert [view.name for view in swim.listed()] == ["m1"]
    swim.check_invariants()

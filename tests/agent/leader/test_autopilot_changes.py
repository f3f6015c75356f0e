"""What autopilot does with servers that gossip finds, that are stable, that left, and that are dead."""

from dataclasses import replace

import pytest

from agent.leader.autopilot import DEAD_SECONDS, DEFAULTS, LEFT_SECONDS, Decision, Standing, Step, Word, decide
from agent.model.autopilot import AutopilotConfig


def member(name, *, voter=True, word=Word.ALIVE, for_seconds=100.0, healthy=100.0, leader=False):
    return Standing(name, f"{name}:4649", word, for_seconds, voter, healthy, leader)


def dead(name, *, for_seconds=DEAD_SECONDS, voter=True):
    return member(name, word=Word.FAILED, for_seconds=for_seconds, healthy=None, voter=voter)


def found(name, **changes):
    return replace(Standing(name, f"{name}:4649", Word.ALIVE, 1.0, None, None), **changes)


LEADER = member("a", leader=True)
THREE = (LEADER, member("b"), member("c"))
FIVE = (*THREE, member("d"), member("e"))


def steps(servers, settings=DEFAULTS):
    decision = decide(servers, settings)
    return None if decision is None else (decision.step, decision.key)


def test_a_stable_group_is_left_alone():
    """Nothing to do while all live and vote."""
    assert decide(THREE, DEFAULTS) is None


def test_a_server_that_gossip_found_is_added_without_a_vote():
    """It is replicated to first."""
    assert Decision(Step.ADD, "d", "gossip found it") == decide((*THREE, found("d")), DEFAULTS)


@pytest.mark.parametrize("changes", [{"may_join": False}, {"word": Word.FAILED}, {"word": Word.LEFT}])
def test_a_server_that_is_gone_or_of_another_group_is_not_added(changes):
    """Nor is one that an operator sent away."""
    assert steps((*THREE, found("d", **changes))) is None


@pytest.mark.parametrize(("healthy", "expected"), [(None, None), (9.9, None), (10.0, (Step.PROMOTE, "d"))])
def test_a_server_votes_once_it_was_healthy_for_long_enough(healthy, expected):
    """Nomad's server_stabilization_time, ten seconds unless it is set."""
    assert expected == steps((*THREE, member("d", voter=False, healthy=healthy)))


def test_how_long_is_enough_can_be_set():
    """A longer stabilization time is waited for."""
    settings = AutopilotConfig(server_stabilization_time=30_000_000_000)

    assert steps((*THREE, member("d", voter=False, healthy=29.0)), settings) is None
    assert (Step.PROMOTE, "d") == steps((*THREE, member("d", voter=False, healthy=30.0)), settings)


@pytest.mark.parametrize("voter", [True, False])
def test_a_server_that_left_is_removed_soon(voter):
    """Whatever the setting for dead servers; but one that lives may object to what others said of it."""
    left = member("c", word=Word.LEFT, for_seconds=LEFT_SECONDS, voter=voter)

    assert (Step.REMOVE, "c") == steps((*THREE[:2], left), AutopilotConfig(cleanup_dead_servers=False))
    assert steps((*THREE[:2], replace(left, word_seconds=0.0))) is None


def test_the_leader_is_never_removed_by_itself():
    """It hands the lead over, and the next leader does it."""
    assert steps((replace(LEADER, word=Word.LEFT), *THREE[1:])) is None


@pytest.mark.parametrize(("seconds", "expected"), [(DEAD_SECONDS - 0.1, None), (DEAD_SECONDS, (Step.REMOVE, "c"))])
def test_a_dead_server_of_three_is_removed_after_a_while(seconds, expected):
    """A restart costs nobody a vote."""
    assert expected == steps((*THREE[:2], dead("c", for_seconds=seconds)))


def test_dead_servers_stay_when_an_operator_wants_so():
    """cleanup_dead_servers = false."""
    assert steps((*THREE[:2], dead("c")), AutopilotConfig(cleanup_dead_servers=False)) is None


def test_two_dead_of_five_are_removed_and_three_are_left():
    """One after the other; the second is dead of four by then, which is still a minority."""
    first = steps((*FIVE[:3], dead("d"), dead("e")))

    assert (Step.REMOVE, "d") == first
    assert (Step.REMOVE, "e") == steps((*FIVE[:3], dead("e")))


@pytest.mark.parametrize(
    "servers", [(LEADER, dead("b")), (LEADER, dead("b"), dead("c")), (*FIVE[:2], *map(dead, "cde"))]
)
def test_never_half_of_the_voters_are_removed(servers):
    """Who is left must be the majority, or two halves of a cut group would each remove the other."""
    assert steps(servers) is None


def test_min_quorum_is_a_floor():
    """Dead-server cleanup leaves at least as many voters as the operator says."""
    assert steps((*THREE[:2], dead("c")), AutopilotConfig(min_quorum=3)) is None
    assert (Step.REMOVE, "c") == steps((*THREE[:2], dead("c")), AutopilotConfig(min_quorum=2))


def test_a_dead_server_without_a_vote_goes_whatever_the_others_do():
    """It counts for nothing."""
    assert (Step.REMOVE, "d") == steps((LEADER, dead("b"), dead("d", voter=False)))


def test_a_server_that_raft_still_hears_is_not_dead():
    """Gossip may not pass to it."""
    assert steps((*THREE[:2], replace(dead("c"), healthy_seconds=50.0))) is None


def test_one_whose_data_was_lost_is_replaced_by_what_runs_at_its_address():
    """A server with a new id at the address of one that lives no more: that one goes first."""
    newcomer = found("new", raft_address="c:4649")
    servers = (*THREE[:2], member("c", word=Word.UNKNOWN, healthy=None), newcomer)

    assert (Step.REMOVE, "c") == steps(servers)
    assert (Step.ADD, "new") == steps((*THREE[:2], newcomer))
    assert (Step.ADD, "new") == steps((*THREE, newcomer))

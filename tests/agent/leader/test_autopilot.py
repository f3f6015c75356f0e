"""The leader's judgement of its servers."""

from agent.leader.autopilot import ServerView, judge


def view(name, *, contact=0.05, alive=True, index=100, voter=True, leader=False):
    return ServerView(name, voter, alive, contact, index, leader)


THREE = (view("a", leader=True), view("b"), view("c"))


def test_three_healthy_servers_tolerate_one_failure():
    """
    Nomad's steady state: healthy, tolerance 1.
    """
    verdict = judge(THREE, 100)

    assert (True, 1) == (verdict.healthy, verdict.failure_tolerance)


def test_one_dead_of_three_leaves_no_tolerance():
    """
    The dead voter still counts in the size of the group.
    """
    verdict = judge((view("a", leader=True), view("b"), view("c", alive=False, contact=None)), 100)

    assert (False, 0) == (verdict.healthy, verdict.failure_tolerance)
    assert {"a", "b"} == verdict.healthy_ids


def test_a_server_that_was_not_heard_lately_is_unhealthy():
    """
    The threshold of 200 ms is inclusive.
    """
    assert judge((view("a", leader=True), view("b", contact=0.2), view("c")), 100).healthy
    assert not judge((view("a", leader=True), view("b", contact=0.201), view("c")), 100).healthy
    assert judge((view("a", leader=True), view("b", contact=0.6), view("c")), 100, raft_multiplier=3).healthy
    assert not judge((view("a", leader=True), view("b", contact=0.601), view("c")), 100, raft_multiplier=3).healthy


def test_a_server_that_lags_is_unhealthy():
    """
    More than 250 entries behind the leader is too many.
    """
    assert judge((view("a", leader=True, index=350), view("b", index=100), view("c", index=350)), 350).healthy
    assert not judge((view("a", leader=True, index=351), view("b", index=100), view("c", index=351)), 351).healthy


def test_a_single_server_is_healthy_and_tolerates_nothing():
    """
    As on a real Nomad, for ever.
    """
    verdict = judge((view("a", leader=True),), 100)

    assert (True, 0) == (verdict.healthy, verdict.failure_tolerance)

"""The restart policy, by numbers."""

import random

import pytest

from agent.client.restarts import JITTER, Decision, Outcome, RestartTracker, decide
from agent.model.job import SECOND_NS, RestartPolicy
from telemetry.clock import ManualClock

POLICY = RestartPolicy(attempts=2, interval=30 * SECOND_NS, delay=4 * SECOND_NS, mode="fail")
DELAY = RestartPolicy(attempts=1, interval=30 * SECOND_NS, delay=4 * SECOND_NS, mode="delay")


def after(policy, tracker, clock, outcome=Outcome.FAILURE, *, restart_on_success=True):
    return decide(
        policy, tracker, outcome, restart_on_success=restart_on_success, now=clock.wall(), rng=random.Random(7)
    )


def test_failures_within_the_attempts_are_restarted_after_the_delay_and_some_chance():
    """
    Each of the allowed attempts is delayed by the policy's delay and up to a quarter more.
    """
    clock = ManualClock()

    first = after(POLICY, RestartTracker(), clock)
    second = after(POLICY, first.tracker, clock)

    for verdict in (first, second):
        assert (Decision.RESTART, "Restart within policy") == (verdict.decision, verdict.reason)
        assert 4.0 <= verdict.delay_seconds <= 4.0 * (1 + JITTER)


def test_one_failure_too_many_fails_the_task():
    """
    The attempt after the last allowed one fails the task, in Nomad's words.
    """
    clock = ManualClock()
    tracker = RestartTracker(count=2, since=clock.wall())

    verdict = after(POLICY, tracker, clock)

    assert Decision.FAIL is verdict.decision
    assert 'Exceeded allowed attempts 2 in interval 30s and mode is "fail"' == verdict.reason


def test_a_new_interval_begins_the_count_anew():
    """
    Failures before the interval do not count; at its last instant they still do.
    """
    clock = ManualClock()
    tracker = RestartTracker(count=2, since=clock.wall())

    clock.advance(30)
    at_the_end = after(POLICY, tracker, clock)
    clock.advance(0.001)
    past_it = after(POLICY, tracker, clock)

    assert Decision.FAIL is at_the_end.decision
    assert (Decision.RESTART, 1, clock.wall()) == (past_it.decision, past_it.tracker.count, past_it.tracker.since)


def test_mode_delay_waits_for_the_end_of_the_interval():
    """
    With mode "delay" nothing fails: the restart waits until the interval is over.
    """
    clock = ManualClock()
    first = after(DELAY, RestartTracker(), clock)

    clock.advance(10)
    verdict = after(DELAY, first.tracker, clock)

    assert (Decision.RESTART, 20.0) == (verdict.decision, verdict.delay_seconds)
    assert "Exceeded allowed attempts, applying a delay" == verdict.reason


@pytest.mark.parametrize(
    ("outcome", "restart_on_success", "decision"),
    [
        (Outcome.SUCCESS, False, Decision.COMPLETE),
        (Outcome.SUCCESS, True, Decision.RESTART),
        (Outcome.FAILURE, False, Decision.RESTART),
        (Outcome.START_FAILED, False, Decision.RESTART),
        (Outcome.START_FAILED_FOR_GOOD, True, Decision.FAIL),
    ],
)
def test_outcomes_and_job_types_decide(outcome, restart_on_success, decision):
    """
    A success ends a batch task and restarts a service's; a start that cannot work is not tried again.
    """
    verdict = after(POLICY, RestartTracker(), ManualClock(), outcome, restart_on_success=restart_on_success)

    assert decision is verdict.decision


def test_no_attempts_mean_no_restart():
    """
    A policy without attempts fails at the first failure, unless its mode is "delay".
    """
    none = RestartPolicy(attempts=0, mode="fail")

    assert "Policy allows no restarts" == after(none, RestartTracker(), ManualClock()).reason
    assert Decision.RESTART is after(RestartPolicy(attempts=0, mode="delay"), RestartTracker(), ManualClock()).decision

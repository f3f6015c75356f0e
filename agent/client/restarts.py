"""Whether and when a task that ended is started again: arithmetic alone.

Source: Nomad, client/allocrunner/taskrunner/restarts/restarts.go.
"""

import random
from dataclasses import dataclass
from enum import Enum

import msgspec

from agent.config.units import format_duration
from agent.model.job import SECOND_NS, RestartPolicy

JITTER = 0.25
"""Part of the delay that chance may add, so that tasks which failed together do not come back together."""

MODE_DELAY = "delay"


class Outcome(Enum):
    """How a task, or the attempt to start it, ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    START_FAILED = "start_failed"
    START_FAILED_FOR_GOOD = "start_failed_for_good"


class Decision(Enum):
    """What follows."""

    RESTART = "restart"
    COMPLETE = "complete"
    FAIL = "fail"


class RestartTracker(msgspec.Struct, frozen=True):
    """Failures counted in the running interval; `since` is wall seconds, 0 before the first."""

    count: int = 0
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision, its reason in Nomad's words, the delay before a restart, and the counts from now on."""

    decision: Decision
    reason: str
    tracker: RestartTracker
    delay_seconds: float = 0.0


def decide(
    policy: RestartPolicy,
    tracker: RestartTracker,
    outcome: Outcome,
    *,
    restart_on_success: bool,
    now: float,
    rng: random.Random,
) -> Verdict:
    """Return what follows *outcome* at *now*, wall seconds.

    *restart_on_success* holds for service and system jobs, which are to run for ever.
    """
    if outcome is Outcome.SUCCESS and not restart_on_success:
        return Verdict(Decision.COMPLETE, "Restart unnecessary as task terminated successfully", tracker)
    if outcome is Outcome.START_FAILED_FOR_GOOD:
        return Verdict(Decision.FAIL, "Error was unrecoverable", tracker)
    if policy.attempts == 0 and policy.mode != MODE_DELAY:
        return Verdict(Decision.FAIL, "Policy allows no restarts", tracker)
    interval = policy.interval / SECOND_NS
    if now > tracker.since + interval:
        tracker = RestartTracker(count=0, since=now)
    tracker = RestartTracker(count=tracker.count + 1, since=tracker.since)
    if tracker.count <= policy.attempts:
        delay = policy.delay / SECOND_NS
        return Verdict(Decision.RESTART, "Restart within policy", tracker, delay * (1 + JITTER * rng.random()))
    if policy.mode == MODE_DELAY:
        delay = max(0.0, tracker.since + interval - now)
        return Verdict(Decision.RESTART, "Exceeded allowed attempts, applying a delay", tracker, delay)
    reason = f'Exceeded allowed attempts {policy.attempts} in interval {format_duration(interval)} and mode is "fail"'
    return Verdict(Decision.FAIL, reason, tracker)

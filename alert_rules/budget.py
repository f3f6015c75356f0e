"""How long detection takes at most: computed from the intervals and the hold, never typed in.

A promise is made of the scrape that sees the fault, the window that has to slide past the last good sample, the
evaluation that follows, the hold (which ends at an evaluation), and Alertmanager's group_wait. Network and load come
on top.
"""

import math
from enum import Enum

from alert_rules.settings import Severity, Times

WINDOW_SCRAPES = 4.4
"""Scrape intervals in a window: at least four samples, and no sample on its edge, which Prometheus 2 counts as inside
and Prometheus 3 as outside."""

SCRAPE_TIMEOUT_SECONDS_MAX = 10.0
"""Prometheus' own default; the timeout is the scrape interval when that is shorter."""

PROMISE_SECONDS_MAX = {Severity.CRITICAL: 60.0, Severity.WARNING: 300.0}
"""What an alert may take at most with the shipped times."""

_HOLD_STEP_SECONDS = 5.0


class Onset(Enum):
    """What has to happen before the expression of an alert is true."""

    NOTHING = "nothing"
    """It is always true."""
    SCRAPE = "scrape"
    """A scrape fails, or brings a new value."""
    WINDOW = "window"
    """A window slides past the last sign of life."""


def window_seconds(times: Times) -> float:
    """Return the length of the window over which a series must grow to count as alive."""
    return WINDOW_SCRAPES * times.scrape_interval_seconds


def scrape_timeout_seconds(times: Times) -> float:
    """Return how long Prometheus waits for an agent that hangs."""
    return min(times.scrape_interval_seconds, SCRAPE_TIMEOUT_SECONDS_MAX)


def onset_seconds(onset: Onset, times: Times) -> float:
    """Return how long after a fault the expression is true at the latest."""
    match onset:
        case Onset.NOTHING:
            return 0.0
        case Onset.SCRAPE:
            return times.scrape_interval_seconds
        case Onset.WINDOW:
            return times.scrape_interval_seconds + window_seconds(times)


def effective_hold_seconds(hold_seconds: float, times: Times) -> float:
    """Return the hold as it acts: an alert changes state only at evaluations."""
    step = times.evaluation_interval_seconds
    return math.ceil(hold_seconds / step) * step


def promised_seconds(onset: Onset, hold_seconds: float, times: Times) -> float:
    """Return the time from the fault to the notification at most, in seconds."""
    hold = effective_hold_seconds(hold_seconds, times)
    return onset_seconds(onset, times) + times.evaluation_interval_seconds + hold + times.group_wait_seconds


def hold_after(promised: float, minimum_seconds: float) -> float:
    """Return a hold of at least *minimum_seconds* that is no shorter than what the cause of this alert *promised*.

    A consequence that is held so long is never notified before its cause, whose notification inhibits it.
    """
    return max(minimum_seconds, math.ceil(promised / _HOLD_STEP_SECONDS) * _HOLD_STEP_SECONDS)

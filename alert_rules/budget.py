"""How long detection takes at most: computed from the intervals and the hold, never typed in.

A promise is made of what has to happen until the expression is true (its onset), the evaluation that follows, the
hold (which ends at an evaluation), and Alertmanager's group_wait. Network and load come on top.
"""

import math
from dataclasses import dataclass

from alert_rules.settings import Severity, Times

WINDOW_SCRAPES = 4.4
"""Scrape intervals in a window: at least four samples, and no sample on its edge, which Prometheus 2 counts as inside
and Prometheus 3 as outside."""

BRIDGE_SCRAPES = 2.4
"""Scrape intervals over which a counter that is missed is the same one: across one scrape that failed, and no sample on
the edge. Longer, a server that starts again and leads again would not be seen to be elected."""

SCRAPE_TIMEOUT_SECONDS_MAX = 10.0
"""Prometheus' own default; the timeout is the scrape interval when that is shorter."""

PROMISE_SECONDS_MAX = {Severity.CRITICAL: 60.0, Severity.WARNING: 300.0}
"""What an alert may take at most with the shipped times, beyond the condition that it states."""

RESTART_SECONDS = 15.0
"""A server or client that is back within this time, leader or not, is no event."""

LINGER_SECONDS = 60.0
"""How long a real Nomad goes on exporting a series that is no longer updated."""

LEASE_SECONDS = 1.0
"""How long a leader without a quorum may go on counting, its lease of 0.5 s at raft_multiplier 1 and a margin."""

AUTOPILOT_SECONDS = 2.0
"""How often a real Nomad's leader looks at its servers' health."""


@dataclass(frozen=True, slots=True)
class Onset:
    """What has to happen before an expression is true, at worst: a delay at the source, scrapes, scrapes that hang.

    *evaluations* counts those that a look-back over recorded series needs beyond the one that fires.
    """

    scrapes: float = 0.0
    timeouts: float = 0.0
    seconds: float = 0.0
    evaluations: float = 0.0

    def plus(self, *, seconds: float = 0.0, evaluations: float = 0.0) -> "Onset":
        """Return this onset with more to wait for."""
        return Onset(self.scrapes, self.timeouts, self.seconds + seconds, self.evaluations + evaluations)


NOTHING = Onset()
"""The expression is always true, or depends on the settings alone."""
SCRAPE = Onset(scrapes=1)
"""A scrape brings a new value."""
GONE = Onset(scrapes=1, timeouts=1)
"""A scrape fails, at worst because the agent hangs until the timeout."""
FROZEN = Onset(scrapes=2, seconds=LEASE_SECONDS)
"""Two scrapes bring the same value of what grows while all is well."""
JUDGED = FROZEN
"""The live leader judges its servers anew. At worst a new leader does, and the old one, which is cut off and answers
scrapes, counts as live until two of them say the same; autopilot's round ends before."""
OUTAGE = Onset(scrapes=max(GONE.scrapes + GONE.timeouts, FROZEN.scrapes), seconds=LEASE_SECONDS)
"""Servers are gone, and what is left of their cluster freezes."""
EVENT = Onset(scrapes=2)
"""A scrape brings an event, and the steps in which events are counted reach it."""
WINDOW = Onset(scrapes=1 + WINDOW_SCRAPES)
"""A window slides past the last sign of life."""


def over(seconds: float) -> Onset:
    """Return the onset of a mean or a count over a window of *seconds* that has to fill up."""
    return Onset(scrapes=1, seconds=seconds)


def window_seconds(times: Times) -> float:
    """Return the length of the window in which at least the last four scrapes lie."""
    return WINDOW_SCRAPES * times.scrape_interval_seconds


def scrape_timeout_seconds(times: Times) -> float:
    """Return how long Prometheus waits for an agent that hangs."""
    return min(times.scrape_interval_seconds, SCRAPE_TIMEOUT_SECONDS_MAX)


def onset_seconds(onset: Onset, times: Times) -> float:
    """Return how long after a fault the expression is true at the latest."""
    return (
        onset.seconds
        + onset.scrapes * times.scrape_interval_seconds
        + onset.timeouts * scrape_timeout_seconds(times)
        + onset.evaluations * times.evaluation_interval_seconds
    )


def effective_hold_seconds(hold_seconds: float, times: Times) -> float:
    """Return the hold as it acts: an alert changes state only at evaluations."""
    step = times.evaluation_interval_seconds
    return math.ceil(hold_seconds / step - 1e-9) * step


def firing_seconds(onset: Onset, hold_seconds: float, times: Times) -> float:
    """Return the time from the fault until the alert fires at most, in seconds."""
    hold = effective_hold_seconds(hold_seconds, times)
    return onset_seconds(onset, times) + times.evaluation_interval_seconds + hold


def promised_seconds(onset: Onset, hold_seconds: float, times: Times) -> float:
    """Return the time from the fault to the notification at most, in seconds."""
    return firing_seconds(onset, hold_seconds, times) + times.group_wait_seconds


def bridge_seconds(times: Times) -> float:
    """Return how far a look-back must reach to find what was there before one scrape that failed."""
    return BRIDGE_SCRAPES * times.scrape_interval_seconds


def turn_seconds(times: Times) -> float:
    """Return how far a look-back must reach to have a change in one server beside that of another, scraped later."""
    return 1.5 * times.scrape_interval_seconds + times.evaluation_interval_seconds


def restart_seconds(times: Times) -> float:
    """Return how long a look-back must be to see through a restart, until a scrape and an evaluation see its end.

    A hung last scrape delays the sight of it; half an interval keeps samples off the edge.
    """
    return (
        RESTART_SECONDS
        + 2 * times.scrape_interval_seconds
        + scrape_timeout_seconds(times)
        + 1.5 * times.evaluation_interval_seconds
    )

"""Runs one fault on one stage: inject, wait for what must arrive, see that nothing else does, heal, wait for quiet."""

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from alert_rules.rules import rule_set
from alert_rules.settings import RuleSettings, Times
from compose.drill.fault import Fault, Setup, Stage, Unable
from compose.drill.judge import Expected, Judgement, Observed, Verdict, judge, promised
from compose.drill.observe import Observer
from compose.drill.scoreboard import Run
from compose.local import LocalError
from telemetry.clock import Clock
from telemetry.nomad_api import ApiFailure

_OVERTIME = 1.25
_OVERTIME_SECONDS = 20.0
"""A notification that is late is waited for beyond its promise, so that it is late and not missing."""
_DECIDE_SECONDS_MAX = 120.0
"""How long, once everything has arrived, alerts that are pending get to fire."""
_FORGOTTEN_SECONDS = 75.0
"""After which no server tells of what a fault set off: a counter lives for 60 s, and gossip takes a few to agree again."""
_QUIET_SECONDS_MAX = 420.0
"""How long a stage may take to be quiet before a fault."""


class Watched(Stage, Protocol):
    """A stage from its start to its end, and what is seen of it."""

    observer: Observer
    setup: Setup
    directory: Path

    @property
    def prometheus_url(self) -> str:
        """Where Prometheus answers."""

    @property
    def alertmanager_url(self) -> str:
        """Where Alertmanager answers."""

    def rule_settings(self) -> RuleSettings:
        """Return what the rules of its Prometheus were generated from; only of an open stage."""

    def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until *condition* holds, at most *seconds*, and tell whether it did."""

    def open(self) -> None:
        """Start everything and return once it is watched and works; raises Unable, LocalError or ToolError."""

    def close(self) -> None:
        """End everything; idempotent."""

    def wait_well(self) -> None:
        """Return once it works and is watched as after its start; raises LocalError when it takes too long."""

    def renew_watchers(self) -> None:
        """Start Prometheus and Alertmanager anew, without any data."""

    def restore(self) -> None:
        """Take back whatever is left of a fault."""


class Unquiet(Exception):
    """Alerts fire although nothing was done to the cluster; the message names the place to look."""


class FaultRunner:
    """Runs faults on *stage*, one after the other."""

    def __init__(self, stage: Watched, clock: Clock) -> None:
        self._stage = stage
        self._clock = clock
        self._settings = stage.rule_settings()
        self._times = self._settings.times
        self._rules = rule_set(self._settings)
        self._restored_at = -math.inf

    def expected(self, fault: Fault) -> tuple[Expected, ...]:
        """Return what this build promises of *fault* on this stage."""
        first_region = self._settings.regions[0].name
        arrivals = fault.arrives[len(self._stage.servers)]
        return tuple(promised(arrival, self._rules, self._times, first_region) for arrival in arrivals)

    def run(self, fault: Fault, number: int, rng: random.Random) -> Run:
        """Run *fault* at a random phase of the scrapes, the choices drawn by *rng*, and return how it came out.

        The stage is as it was when the run is quiet in the end. Raises what `prepare` raises.
        """
        stage, observer = self._stage, self._stage.observer
        stage.rng = rng
        expected = self.expected(fault)
        self.prepare()
        stage.wait(
            stage.rng.uniform(0.0, self._times.scrape_interval_seconds + self._times.evaluation_interval_seconds)
        )
        began = self._clock.wall()
        observer.begin(began)
        try:
            fault.action.inject(stage)
            self._wait_arrived(expected, began)
            stage.wait(fault.lasts_seconds)
            self._wait_decided()
            healed = self._clock.wall()
            fault.action.heal(stage)
        except Unable as error:
            stage.restore()
            return self._run(fault, number, began, Observed.nothing(), _SKIPPED, str(error))
        except (LocalError, ApiFailure) as error:
            # What was seen so far is judged all the same; the stage is not quiet, and so is used no more.
            now = self._clock.wall() - began
            observed = Observed(traces=observer.traces(), healed_at=round(now, 3), quiet_at=None)
            return self._run(fault, number, began, observed, judge(expected, observed), str(error))
        note, quiet = self._end(fault)
        observed = Observed(
            traces=observer.traces(),
            healed_at=round(healed - began, 3),
            quiet_at=None if quiet is None else round(max(quiet, healed) - began, 3),
        )
        return self._run(fault, number, began, observed, judge(expected, observed), note)

    def prepare(self) -> None:
        """Bring about a healthy cluster whose Prometheus and Alertmanager know nothing of what was before.

        Rules remember events for ten minutes, and a group that was notified within a quarter of an hour makes the next
        notification wait for its interval. The servers have forgotten it, too: to a new Prometheus what they count would
        have happened now. Raises Unquiet when alerts fire although nothing was done, and LocalError
        when the cluster is not well.
        """
        self._stage.wait(max(0.0, self._restored_at + _FORGOTTEN_SECONDS - self._clock.monotonic()))
        self._stage.renew_watchers()
        self._stage.wait_well()
        self._wait_full()

    def _end(self, fault: Fault) -> tuple[str, float | None]:
        """Bring the stage back to health; return a note, and since when it is quiet or None."""
        try:
            self._stage.restore()
            self._restored_at = self._clock.monotonic()
            self._stage.wait_well()
        except LocalError as error:
            return str(error), None
        return fault.note, self._wait_quiet(fault.quiet_seconds)

    def _run(self, fault: Fault, number: int, began: float, observed: Observed, judgement: Judgement, note: str) -> Run:
        return Run(
            fault=fault.name,
            what=fault.what,
            servers=len(self._stage.servers),
            clients=len(self._stage.clients),
            number=number,
            began=began,
            healed_at=observed.healed_at,
            quiet_at=observed.quiet_at,
            judgement=judgement,
            note=note,
        )

    def _wait_full(self) -> None:
        """Wait until the windows of the rules are full of health: five scrapes are."""
        times = self._times
        full = 5 * times.scrape_interval_seconds + 2 * times.evaluation_interval_seconds
        # Before its first scrape a new Prometheus is quiet, too.
        self._stage.wait(full)
        if not self._stage.until(lambda: self._stage.observer.quiet_seconds() >= full, _QUIET_SECONDS_MAX):
            alerts = sorted({trace.alert for trace in self._stage.observer.traces() if trace.resolved_at is None})
            raise Unquiet(f"{', '.join(alerts)} although nothing was done: see {self._stage.directory}")

    def _wait_arrived(self, expected: tuple[Expected, ...], began: float) -> None:
        """Wait until everything has arrived, or the longest promise and more is over."""
        promise = max((one.within_seconds for one in expected if one.alerts), default=0.0)
        if promise:
            left = began + promise * _OVERTIME + _OVERTIME_SECONDS - self._clock.wall()
            self._stage.until(lambda: self._has_arrived(expected), left)

    def _has_arrived(self, expected: tuple[Expected, ...]) -> bool:
        told = {trace.alert for trace in self._stage.observer.traces() if trace.received_at}
        return all(told.intersection(one.alerts) for one in expected if one.alerts)

    def _wait_decided(self) -> None:
        """Wait until what is pending has fired or gone, and Alertmanager would have told of it."""
        settled = self._settled_seconds
        self._stage.until(lambda: self._stage.observer.decided_seconds() >= settled, _DECIDE_SECONDS_MAX)

    def _wait_quiet(self, seconds: float) -> float | None:
        """Wait until nothing is pending or firing and every end was told; return since when, None after *seconds*."""
        observer, settled = self._stage.observer, self._settled_seconds
        # A fault that brought nothing may still bring something by its end.
        self._stage.wait(settled)

        def is_quiet() -> bool:
            return observer.quiet_seconds() >= settled and not observer.unresolved()

        if self._stage.until(is_quiet, seconds):
            return self._clock.wall() - observer.quiet_seconds()
        return None

    @property
    def _settled_seconds(self) -> float:
        """How long a scrape, an evaluation and a notification take at most, when nothing is held."""
        times = self._times
        return times.scrape_interval_seconds + times.evaluation_interval_seconds + times.group_wait_seconds


def times_of(*, fast: bool) -> Times:
    """Return the shipped intervals, or those of a second where rules and holds stay as they are."""
    if not fast:
        return Times()
    return Times(
        scrape_interval_seconds=1.0,
        evaluation_interval_seconds=1.0,
        group_wait_seconds=1.0,
        group_interval_seconds=2.0,
    )


_SKIPPED = Judgement(verdict=Verdict.SKIPPED, lines=(), silent=())

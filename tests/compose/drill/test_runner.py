"""Running a fault in virtual time, on a stage whose alerts are written down beforehand."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from alert_rules.settings import ExpectedRegion, RuleSettings
from compose.drill.fault import Fault, Setup, Unable, one
from compose.drill.judge import Verdict
from compose.drill.observe import ActiveAlert, Traces
from compose.drill.runner import FaultRunner, Unquiet
from compose.local import LocalError
from compose.receiver import Alert, Notification, Record
from telemetry.clock import ManualClock

STEP_SECONDS = 0.5
LOST = "NomadQuorumLost"


@dataclass(frozen=True)
class Played:
    """One alert: when it is pending, firing, told, over and told to be over, in seconds since the fault."""

    alert: str
    pending: float
    firing: float | None = None
    told: float | None = None
    over: float = 1e9
    told_over: float | None = None


class PlayedStage:
    """A stage on which time passes by itself and alerts come as they are written."""

    servers = ("server-1", "server-2", "server-3")
    clients = ("client-1",)
    setup = Setup.PLAIN
    directory = Path("stage")

    def __init__(self, *alerts, clock):
        self.alerts = alerts
        self.clock = clock
        self.observer = self
        self.done = []
        self.began = None
        self.traces_of = Traces()
        self.unquiet_at = self.pending_at = clock.wall()
        self.told = set()

    def rule_settings(self):
        return RuleSettings(cluster="c", regions=(ExpectedRegion(name="global", expected_servers=3),))

    def renew_watchers(self):
        self.done.append("renew")

    def wait_well(self):
        self.done.append("well")

    def restore(self):
        self.done.append("restore")

    def wait(self, seconds):
        end = self.clock.wall() + seconds
        while (left := end - self.clock.wall()) > 1e-9:
            self.clock.advance(min(STEP_SECONDS, left))
            self.play()

    def until(self, condition, seconds):
        end = self.clock.wall() + seconds
        while not condition():
            if self.clock.wall() >= end:
                return False
            self.wait(STEP_SECONDS)
        return True

    def play(self):
        """Let happen what is due."""
        now = self.clock.wall() - (self.began if self.began is not None else self.clock.wall() + 1.0)
        for played in self.alerts:
            if not played.pending <= now:
                continue
            fires = played.firing is not None and played.firing <= now
            if now < played.over:
                self.unquiet_at = self.clock.wall()
                self.pending_at = self.pending_at if fires else self.clock.wall()
                since = datetime.fromtimestamp(self.began + played.pending, UTC)
                labels = {"alertname": played.alert, "region": "global", "severity": "critical"}
                self.traces_of.polled(
                    self.clock.wall(),
                    [ActiveAlert(labels=labels, state="firing" if fires else "pending", active_at=since)],
                )
            for status, moment in (("firing", played.told), ("resolved", played.told_over)):
                if moment is not None and moment <= now and (played, status) not in self.told:
                    self.told.add((played, status))
                    labels = {"alertname": played.alert, "region": "global", "severity": "critical"}
                    alerts = [Alert(status=status, labels=labels, fingerprint=played.alert)]
                    notification = Notification(status=status, alerts=alerts)
                    self.traces_of.received(Record(received_at=self.clock.wall(), notification=notification))

    # The observer's part.

    def begin(self, at):
        self.began = at
        self.traces_of.begin(at)

    def traces(self):
        return self.traces_of.traces()

    def unresolved(self):
        return self.traces_of.unresolved()

    def quiet_seconds(self):
        return self.clock.wall() - self.unquiet_at

    def decided_seconds(self):
        return self.clock.wall() - self.pending_at


class Noted:
    """An action that is noted, or raises."""

    def __init__(self, error=None):
        self.error = error

    def inject(self, stage):
        stage.done.append("inject")
        if self.error is not None:
            raise self.error

    def heal(self, stage):
        stage.done.append("heal")


def fault(*arrivals, error=None, lasts=0.0):
    return Fault(name="made-up", what="It is made.", action=Noted(error), arrives={3: arrivals}, lasts_seconds=lasts)


def run(made, *alerts):
    """Run *made* on a stage with *alerts* and return the run and the stage."""
    clock = ManualClock()
    stage = PlayedStage(*alerts, clock=clock)
    return FaultRunner(stage, clock).run(made, 1, random.Random(1)), stage


PAGE = Played(LOST, pending=4.0, firing=10.0, told=15.0, over=90.0, told_over=130.0)


def test_a_fault_is_healed_once_all_has_arrived_and_ends_when_all_is_over():
    """
    Watchers anew, health, injection, the page, healing, and quiet; the times of each are kept.
    """
    ran, stage = run(fault(one(LOST)), PAGE)

    assert Verdict.OK is ran.verdict
    assert ["renew", "well", "inject", "heal", "restore", "well"] == stage.done
    (line,) = ran.judgement.lines
    assert 15.0 == pytest.approx(line.trace.received_at[0], abs=STEP_SECONDS)
    assert 15.0 <= ran.healed_at <= 40.0
    assert 90.0 == pytest.approx(ran.quiet_at, abs=2 * STEP_SECONDS)
    assert 130.0 == pytest.approx(line.trace.resolved_at, abs=STEP_SECONDS)


def test_what_does_not_arrive_is_waited_for_beyond_its_promise():
    """
    The fault stays for a quarter longer than promised and twenty seconds more, and then it is missing.
    """
    ran, _ = run(fault(one(LOST)))

    promise = ran.judgement.lines[0].within_seconds
    assert Verdict.MISSING is ran.verdict
    assert promise * 1.25 + 20.0 == pytest.approx(ran.healed_at, abs=2.0)


def test_a_consequence_that_is_pending_gets_to_fire():
    """
    The fault is not healed while something may still fire that should not.
    """
    leak = Played("NomadServerDown", pending=5.0, firing=70.0, told=75.0, over=100.0, told_over=140.0)

    ran, _ = run(fault(one(LOST)), PAGE, leak)

    assert Verdict.UNEXPECTED is ran.verdict
    assert ran.healed_at >= 75.0


def test_what_comes_with_the_end_of_a_silent_fault_is_unexpected():
    """
    After healing there is time for a scrape, an evaluation and a notification.
    """
    echo = Played("NomadServerDown", pending=41.0, firing=41.0, told=44.0, over=60.0, told_over=65.0)

    ran, _ = run(fault(lasts=30.0), echo)

    assert 30.0 <= ran.healed_at < 41.0
    assert Verdict.UNEXPECTED is ran.verdict


def test_alerts_that_never_end_are_unresolved():
    """
    The wait for quiet has an end, and there is no time of quiet.
    """
    ran, _ = run(fault(one(LOST)), Played(LOST, pending=4.0, firing=10.0, told=15.0))

    assert Verdict.UNRESOLVED is ran.verdict
    assert ran.quiet_at is None


def test_a_fault_that_cannot_be_made_is_undone_and_skipped():
    """
    What was half done is taken back, and the note says why.
    """
    ran, stage = run(fault(one(LOST), error=Unable("no compiler")))

    assert (Verdict.SKIPPED, "no compiler") == (ran.verdict, ran.note)
    assert "restore" == stage.done[-1]


def test_a_stage_that_breaks_is_judged_by_what_was_seen():
    """
    An error amid a fault is its note, and the stage counts as one that is not quiet.
    """
    ran, _ = run(fault(one(LOST), error=LocalError("server-1 does not run")))

    assert (Verdict.MISSING, "server-1 does not run", None) == (ran.verdict, ran.note, ran.quiet_at)


def test_a_stage_that_is_not_quiet_to_begin_with_is_refused():
    """
    Alerts on a cluster to which nothing was done are no fault of the fault.
    """
    clock = ManualClock()
    stage = PlayedStage(Played("NomadServerDown", pending=0.0, firing=0.0), clock=clock)
    stage.begin(clock.wall())

    with pytest.raises(Unquiet, match="although nothing was done"):
        FaultRunner(stage, clock).run(fault(one(LOST)), 1, random.Random(1))


def test_the_watchers_are_renewed_once_the_servers_have_forgotten_the_fault_before():
    """
    A counter of a server lives for 60 s: to a Prometheus without data it would be an event of now.
    """
    clock = ManualClock()
    stage = PlayedStage(clock=clock)
    runner = FaultRunner(stage, clock)
    began, moments = clock.monotonic(), {}
    for deed in ("renew_watchers", "restore"):
        setattr(stage, deed, lambda deed=deed: moments.setdefault(deed, []).append(clock.monotonic()))

    for number in (1, 2):
        runner.run(fault(), number, random.Random(number))

    assert moments["renew_watchers"][0] == began
    assert moments["restore"][0] + 75.0 == pytest.approx(moments["renew_watchers"][1], abs=STEP_SECONDS)


def test_the_phase_is_drawn_by_the_generator():
    """
    Another seed injects at another moment of the scrapes, the same seed at the same.
    """
    moments = []
    for seed in (1, 1, 2):
        clock = ManualClock()
        stage = PlayedStage(PAGE, clock=clock)
        moments.append(FaultRunner(stage, clock).run(fault(one(LOST)), 1, random.Random(seed)).began)

    assert moments[0] == moments[1] != moments[2]


def test_a_fault_that_brings_nothing_is_quiet_from_its_end_on():
    """
    However long it was quiet before, the fault ends when it is healed.
    """
    ran, _ = run(fault(lasts=30.0))

    assert Verdict.OK is ran.verdict
    assert ran.healed_at == ran.quiet_at >= 30.0

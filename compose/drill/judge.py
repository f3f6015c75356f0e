"""What a fault must bring, what was observed, and the verdict. Pure: every time is in seconds since the fault began."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

import msgspec

from alert_rules.rules import RuleSet
from alert_rules.settings import Times

MACHINE_SECONDS = 3.0
"""What network and load may add to a promise, which counts neither."""


class Verdict(Enum):
    """How a fault, or one notification of it, came out; the value is the word on the scoreboard."""

    OK = "ok"
    LATE = "late"
    """It arrived, after its promise."""
    UNRESOLVED = "unresolved"
    """It arrived, and its end was not told after the fault was healed."""
    UNEXPECTED = "unexpected"
    """It arrived, and nothing, or not as much, should have."""
    MISSING = "missing"
    """It did not arrive."""
    SKIPPED = "skipped"
    """The fault could not be tried here; the note says why."""


_WORST_LAST = (Verdict.OK, Verdict.SKIPPED, Verdict.LATE, Verdict.UNRESOLVED, Verdict.UNEXPECTED, Verdict.MISSING)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of *verdicts*, ok when there are none."""
    return max(verdicts, key=_WORST_LAST.index, default=Verdict.OK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One notification that a fault must bring: of any one of *alerts*, for a region.

    *needs_seconds* is what the fault itself takes until the alert's condition is there, such as a client's time to
    live. *at_most* notifications may bring news of it: more than one where several subjects may be seen at two
    evaluations. *region* is empty for the first one.
    """

    alerts: tuple[str, ...]
    needs_seconds: float = 0.0
    at_most: int = 1
    region: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """An `Arrival` as this build's rules promise it.

    *alerts* are those the build has, *absent* those it has not; with none of the former nothing is expected.
    *within_seconds* is the promise.
    """

    alerts: tuple[str, ...]
    absent: tuple[str, ...]
    region: str
    within_seconds: float
    at_most: int


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """One alert of one region during a fault; None for what was not seen.

    `pending_at` and `firing_at` are when Prometheus said so first, `received_at` are the notifications that brought
    news of it, `resolved_at` is when the receiver knew the end of all it had been told of.
    """

    alert: str
    region: str
    severity: str = ""
    pending_at: float | None = None
    firing_at: float | None = None
    received_at: tuple[float, ...] = ()
    resolved_at: float | None = None


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was seen of one fault; `quiet_at` is None when alerts still fired at the end of the wait."""

    traces: tuple[Trace, ...]
    healed_at: float
    quiet_at: float | None

    @classmethod
    def nothing(cls) -> "Observed":
        """Return that nothing was looked at."""
        return cls(traces=(), healed_at=0.0, quiet_at=None)


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One expectation and what came of it; or something that came unexpected, with nothing expected."""

    expected: tuple[str, ...]
    region: str
    within_seconds: float | None
    trace: Trace | None
    verdict: Verdict
    absent: tuple[str, ...] = ()


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on a fault, its lines, and the alerts that fired and notified nobody, as consequences should."""

    verdict: Verdict
    lines: tuple[Line, ...]
    silent: tuple[Trace, ...]


def promised(arrival: Arrival, rules: RuleSet, times: Times, first_region: str) -> Expected:
    """Return what *rules* promise of *arrival*."""
    known = {rule.alert: rule for rule in rules.alerts}
    present = tuple(alert for alert in arrival.alerts if alert in known)
    promise = max((known[alert].promised_seconds(times) for alert in present), default=0.0)
    return Expected(
        alerts=present,
        absent=tuple(alert for alert in arrival.alerts if alert not in known),
        region=arrival.region or first_region,
        within_seconds=promise + arrival.needs_seconds,
        at_most=arrival.at_most,
    )


def judge(expected: Iterable[Expected], observed: Observed) -> Judgement:
    """Return the verdict: everything that should arrive did, in time and only once, and nothing else did."""
    left = {(trace.alert, trace.region): trace for trace in observed.traces}
    lines = []
    for one in expected:
        # What is about no region, as Prometheus itself, has none.
        keys = [(alert, region) for alert in one.alerts for region in (one.region, "")]
        found = [left[key] for key in keys if key in left]
        told = sorted((trace for trace in found if trace.received_at), key=lambda trace: trace.received_at)
        # Of alternatives the first that arrived counts; another one is one notification too many.
        trace = told[0] if told else next(iter(found), None)
        if trace is not None:
            del left[trace.alert, trace.region]
        lines.append(_line(one, trace))
    lines += [
        Line(expected=(), region=trace.region, within_seconds=None, trace=trace, verdict=Verdict.UNEXPECTED)
        for trace in left.values()
        if trace.received_at
    ]
    silent = tuple(trace for trace in left.values() if trace.firing_at is not None and not trace.received_at)
    whole = [line.verdict for line in lines]
    if observed.quiet_at is None:
        whole.append(Verdict.UNRESOLVED)
    return Judgement(verdict=worst(whole), lines=tuple(lines), silent=silent)


def _line(one: Expected, trace: Trace | None) -> Line:
    return Line(
        expected=one.alerts,
        region=one.region,
        within_seconds=one.within_seconds if one.alerts else None,
        trace=trace,
        verdict=_verdict(one, trace),
        absent=one.absent,
    )


def _verdict(one: Expected, trace: Trace | None) -> Verdict:
    if not one.alerts:
        return Verdict.OK
    if trace is None or not trace.received_at:
        return Verdict.MISSING
    if len(trace.received_at) > one.at_most:
        return Verdict.UNEXPECTED
    if trace.resolved_at is None:
        return Verdict.UNRESOLVED
    if trace.received_at[0] > one.within_seconds + MACHINE_SECONDS:
        return Verdict.LATE
    return Verdict.OK

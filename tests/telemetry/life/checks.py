"""Kinds of checks of a metric's value: each holds what was scraped against something that does not come from it.

A check yields one verdict for each comparison: "" where it holds, else a sentence that says what was expected. One that
compared nothing has failed, too.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from telemetry.catalogue import Kind, Metric, Unit
from telemetry.scraped import Scrape
from tests.telemetry.life.moment import Moment
from tests.telemetry.life.record import StepRecord

Range = tuple[float, float]
Wanted = float | Range
"""A number, or the least and the most that it may be."""

_SECONDS = {Unit.SECONDS: 1.0, Unit.MILLISECONDS: 1e-3, Unit.NANOSECONDS: 1e-9}


@dataclass(frozen=True, slots=True)
class Lived:
    """A life that is over: its steps, the looks at everything, and the logs of the agents."""

    records: tuple[StepRecord, ...]
    moments: tuple[Moment, ...]
    logs: Mapping[str, str] = field(default_factory=dict)

    def step(self, name: str) -> StepRecord:
        """Return what the step *name* left; nothing where it was not lived."""
        return next((record for record in self.records if record.name == name), StepRecord(name))

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.records[-1].ended - self.records[0].began if self.records else 0.0

    @property
    def scrapes(self) -> Iterator[tuple[str, Scrape]]:
        """All scrapes, each with the agent's name."""
        return (pair for record in self.records for pair in record.scrapes)

    def grew(self, name: str) -> float:
        """Return by how much the series *name* grew on all agents."""
        return sum(record.grew(name) for record in self.records)

    def logged(self, text: str) -> int:
        """Return in how many lines of all logs *text* stands."""
        return sum(text in line for log in self.logs.values() for line in log.splitlines())


class Check(Protocol):
    """How the value of a metric is checked."""

    def judge(self, metric: Metric, lived: Lived) -> Iterator[str]:
        """Yield a verdict for each comparison."""


@dataclass(frozen=True, slots=True)
class Equals:
    """At each moment every agent says what *oracle* says, from the API, the system or the script.

    The oracle gets the moment and the agent's name, and returns a number, a range, or either by the values of the
    labels *by* (`word` stands for the word in the name); None where it has no opinion. Numbers may be *off* by so
    much, or by a *share* of what is wanted. What the oracle does not name must be *other*; None: must not be there.
    """

    oracle: Callable[[Moment, str], Wanted | Mapping[tuple[str, ...], Wanted] | None]
    by: tuple[str, ...] = ()
    off: float = 0.0
    share: float = 0.0
    other: float | None = None
    may_be_gone: bool = False
    """A series that was not updated for a minute is not there, and not wrong."""

    def judge(self, metric: Metric, lived: Lived) -> Iterator[str]:
        """Yield a verdict for each series of each agent at each moment."""
        for moment in lived.moments:
            for place, scrape in moment.scrapes.items():
                wanted = self.oracle(moment, place)
                if wanted is None:
                    continue
                by_labels = wanted if isinstance(wanted, Mapping) else {(): wanted}
                shown = shown_by(metric, scrape, self.by, _present_labels(moment, place))
                if self.may_be_gone and not shown:
                    continue
                for labels in sorted({*by_labels, *shown}):
                    want = by_labels.get(labels, self.other)
                    where = f"{moment.step}, {place}{' ' if labels else ''}{', '.join(labels)}"
                    yield _verdict(shown.get(labels), _widened(want, self.off, self.share), where)


@dataclass(frozen=True, slots=True)
class Always:
    """In every scrape the value lies between *least* and *most*; of a summary, its quantiles do."""

    least: float = 0.0
    most: float = math.inf

    def judge(self, metric: Metric, lived: Lived) -> Iterator[str]:
        """Yield a verdict for each sample."""
        for record in lived.records:
            for place, scrape in record.scrapes:
                for name in metric.names:
                    for sample in scrape.of(name):
                        if not math.isnan(sample.value):
                            yield _verdict(sample.value, (self.least, self.most), f"{record.name}, {place}")


@dataclass(frozen=True, slots=True)
class Reached:
    """In the step *step* some scrape says at least *least*, or at most *most*: the script brought that about."""

    step: str
    least: float | None = None
    most: float | None = None

    def judge(self, metric: Metric, lived: Lived) -> Iterator[str]:
        """Yield one verdict."""
        values = [
            sample.value
            for _, scrape in lived.step(self.step).scrapes
            for name in metric.names
            for sample in scrape.of(name)
        ]
        if not values:
            yield f"{self.step}: was not there"
        elif self.least is not None:
            yield _verdict(max(values), (self.least, math.inf), f"{self.step}, at most")
        elif self.most is not None:
            yield _verdict(min(values), (-math.inf, self.most), f"{self.step}, at least")


Count = Callable[[Lived, StepRecord], "Wanted | Mapping[str, Wanted] | None"]


@dataclass(frozen=True, slots=True)
class Counted:
    """In a step the metric grew as often as *count* says, on all agents together, or *each* server by so much.

    Of a summary or histogram its count is meant. *count* returns None for a step of which it knows nothing, and, with
    *by*, a number for each value of that label.
    """

    count: Count
    each: bool = False
    by: str = ""
    off: float = 0.0
    share: float = 0.0

    def judge(self, metric: Metric, lived: Lived) -> Iterator[str]:
        """Yield a verdict for each step, and each server or label."""
        suffix = _suffix(metric)
        for record in lived.records:
            wanted = self.count(lived, record)
            if wanted is None:
                continue
            for where, grew, want in self._pairs(metric, suffix, record, wanted):
                yield _verdict(grew, _widened(want, self.off, self.share), f"{record.name}{where}")

    def _pairs(self, metric: Metric, suffix: str, record: StepRecord, wanted: Any) -> Iterator[tuple[str, float, Any]]:
        def grown(**what: str) -> float:
            place = what.pop("place", None)
            return sum(record.grew(name + suffix, place, **what) for name in metric.names)

        if isinstance(wanted, Mapping):
            for value, want in wanted.items():
                if self.by == "word":
                    yield f" {value}", record.grew(metric.name.format(value) + suffix), want
                else:
                    yield f" {value}", grown(**{self.by: value}), want
        elif self.each:
            for place in record.servers:
                yield f", {place}", grown(place=place), wanted
        else:
            yield "", grown(), wanted


@dataclass(frozen=True, slots=True)
class Timed:
    """What a summary or histogram measured fits the script's own clock.

    In each step in which it measured anything the sum is above 0, the mean below the time of the step, and the sum
    below that time for each of *at_once*. With *call*, only of what the script asked, it is below what the script waited
    for the answers to that call.
    """

    at_once: int = 20
    call: str = ""

    def judge(self, metric: Metric, lived: Lived) -> Iterator[str]:
        """Yield a verdict for each step."""
        unit = _SECONDS[metric.unit]
        for record in lived.records:
            count = sum(record.grew(f"{name}_count") for name in metric.names)
            total = sum(record.grew(f"{name}_sum") for name in metric.names) * unit
            if not count or record.name not in _QUIET or (self.call and record.name == "start"):
                continue
            if self.call:
                yield _verdict(total, (1e-9, record.took.get(self.call, 0.0)), f"{record.name}, seconds of {self.call}")
                continue
            yield _verdict(total, (1e-9, record.seconds * self.at_once), f"{record.name}, seconds in all")
            yield _verdict(total / count, (1e-9, record.seconds), f"{record.name}, mean seconds")


_QUIET = frozenset({"start", "jobs", "reads", "changes", "worker", "quiet", "drain"})
"""The steps in which no agent is killed or paused: what is measured is scraped."""


_READY = {"node_scheduling_eligibility": "eligible", "node_status": "ready"}


@dataclass(frozen=True, slots=True)
class Averaged:
    """In the step *step* the mean over the scrapes of an agent is about what *oracle* says, by the labels *by*.

    For gauges that show what happened in the last second, of which scrapes are samples.
    """

    step: str
    oracle: Callable[[Lived, StepRecord, str], Mapping[tuple[str, ...], float] | None]
    by: tuple[str, ...]
    off: float = 0.0
    share: float = 0.0

    def judge(self, metric: Metric, lived: Lived) -> Iterator[str]:
        """Yield a verdict for each series of which the oracle speaks."""
        record = lived.step(self.step)
        for place in sorted({place for place, _ in record.scrapes}):
            shown = [shown_by(metric, scrape, self.by, _READY) for where, scrape in record.scrapes if where == place]
            for labels, want in (self.oracle(lived, record, place) or {}).items():
                values = [each[labels] for each in shown if labels in each]
                mean = sum(values) / len(values) if values else None
                where = f"{record.name}, {place} {', '.join(labels)}, mean"
                yield _verdict(mean, _widened(want, self.off, self.share), where)


_RISE_SECONDS = 8.0
"""In a shorter step nothing need happen between the first and the last scrape."""


@dataclass(frozen=True, slots=True)
class Rose:
    """From the first to the last scrape of a step a gauge that only rises rose by what *by* says.

    *by* gets the step and the agent; what it says may be short of what happened before the first scrape.
    """

    by: Callable[[StepRecord, str], Range]

    def judge(self, metric: Metric, lived: Lived) -> Iterator[str]:
        """Yield a verdict for each agent and step in which nothing is killed."""
        for record in lived.records:
            if record.name not in _QUIET:
                continue
            for place in sorted({place for place, _ in record.scrapes}):
                pairs = zip(record.scrapes, record.times, strict=True)
                own = [(scrape.value(metric.name), time) for (where, scrape), time in pairs if where == place]
                said = [value for value, _ in own if value is not None]
                if len(said) > 1 and own[-1][1][0] - own[0][1][1] >= _RISE_SECONDS:
                    yield _verdict(said[-1] - said[0], self.by(record, place), f"{record.name}, {place}, rise")


@dataclass(frozen=True, slots=True)
class Logged:
    """Over the whole life the counter grew as often as *text* stands in the logs of the agents, and *less* does not."""

    text: str
    off: float = 0.0
    less: str = ""

    def judge(self, metric: Metric, lived: Lived) -> Iterator[str]:
        """Yield one verdict."""
        if lived.logs:
            lines = float(lived.logged(self.text) - (lived.logged(self.less) if self.less else 0))
            grown = sum(lived.grew(name) for name in counted_names(metric))
            yield _verdict(grown, _widened(lines, self.off, 0.0), f"lines with {self.text!r}")


@dataclass(frozen=True, slots=True)
class Overall:
    """Over the whole life the metric grew by what *said* says; of a summary or histogram its count."""

    said: Callable[[Lived], Wanted]
    off: float = 0.0

    def judge(self, metric: Metric, lived: Lived) -> Iterator[str]:
        """Yield one verdict."""
        if lived.logs:
            grown = sum(lived.grew(name) for name in counted_names(metric))
            yield _verdict(grown, _widened(self.said(lived), self.off, 0.0), "the whole life")


@dataclass(frozen=True, slots=True)
class Beside:
    """At each moment at which a neighbour runs it says what *oracle* says, by the labels *by*."""

    oracle: Callable[[Moment], Mapping[tuple[str, ...], Wanted]]
    by: tuple[str, ...] = ()
    neighbour: str = "exporter"
    off: float = 0.0

    def judge(self, metric: Metric, lived: Lived) -> Iterator[str]:
        """Yield a verdict for each series."""
        for moment in lived.moments:
            if self.neighbour not in moment.neighbours:
                continue
            wanted = self.oracle(moment)
            shown = shown_by(metric, moment.neighbours[self.neighbour], self.by)
            for labels in sorted({*wanted, *shown}):
                where = f"{moment.step}, {self.neighbour} {', '.join(labels)}"
                yield _verdict(shown.get(labels), _widened(wanted.get(labels), self.off, 0.0), where)


@dataclass(frozen=True, slots=True)
class Ages:
    """From scrape to scrape the seconds grow with the script's clock, or begin anew: no older than the time between.

    The agent looks at its clock some time between the script's question and its answer; *off* is for rounding.
    """

    off: float = 0.1

    def judge(self, metric: Metric, lived: Lived) -> Iterator[str]:
        """Yield a verdict for each pair of scrapes of an agent in a step in which nothing is killed."""
        for record in lived.records:
            before: dict[str, tuple[float, tuple[float, float]]] = {}
            for (place, scrape), (asked, answered) in zip(record.scrapes, record.times, strict=True):
                value = scrape.value(metric.name)
                if value is None or record.name not in _QUIET:
                    continue
                if place in before:
                    last, (asked_before, answered_before) = before[place]
                    least, most = asked - answered_before - self.off, answered - asked_before + self.off
                    anew = value <= most
                    yield "" if anew else _verdict(value - last, (least, most), f"{record.name}, {place}, growth")
                before[place] = value, (asked, answered)


@dataclass(frozen=True, slots=True)
class All:
    """Several checks, of which each must hold."""

    checks: tuple[Check, ...]

    def judge(self, metric: Metric, lived: Lived) -> Iterator[str]:
        """Yield the verdicts of all; one that compares nothing fails."""
        for check in self.checks:
            verdicts = list(check.judge(metric, lived))
            yield from verdicts or [f"{type(check).__name__} compared nothing"]


@dataclass(frozen=True, slots=True)
class Proven:
    """The value is checked by *test*, file::name, which is not repeated here; *why* says what it does there."""

    test: str
    why: str


def _suffix(metric: Metric) -> str:
    return "_count" if metric.kind in {Kind.SAMPLE, Kind.HISTOGRAM} else ""


def counted_names(metric: Metric) -> list[str]:
    """Return the names of the series that count how often something happened."""
    return [name + _suffix(metric) for name in metric.names]


def shown_by(
    metric: Metric, scrape: Scrape, by: tuple[str, ...], present: Mapping[str, str] | None = None
) -> dict[tuple[str, ...], float]:
    """Return the sum of the metric's values by the labels *by*; series with other labels than *present* are old ones."""
    found: dict[tuple[str, ...], float] = {}
    for name, word in zip(metric.names, metric.expansions or ("",), strict=True):
        for sample in scrape.of(name):
            own = {"word": word, **sample.labels}
            if any(label in own and own[label] != value for label, value in (present or {}).items()):
                continue
            key = tuple(own.get(label, "") for label in by)
            found[key] = found.get(key, 0.0) + sample.value
    return found


def _present_labels(moment: Moment, place: str) -> Mapping[str, str]:
    node = next((node for node in moment.nodes if node["Name"] == place), None)
    if node is None:
        return {}
    return {"node_scheduling_eligibility": node["SchedulingEligibility"], "node_status": node["Status"]}


def _widened(want: Wanted | None, off: float, share: float) -> Range | None:
    if want is None:
        return None
    least, most = want if isinstance(want, tuple) else (want, want)
    return _moved(least, -1, off, share), _moved(most, 1, off, share)


def _moved(limit: float, sign: int, off: float, share: float) -> float:
    return limit if math.isinf(limit) else limit + sign * (off + share * abs(limit))


def _verdict(got: float | None, want: Range | None, where: str) -> str:
    if want is None:
        return f"{where}: {got:g} is there, nothing is expected" if got is not None else ""
    least, most = want
    shown = f"{least:g}" if least == most else f"{least:g} to {most:g}"
    if got is None:
        return f"{where}: nothing is there, expected {shown}"
    return "" if least <= got <= most else f"{where}: {got:g}, expected {shown}"

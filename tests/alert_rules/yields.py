"""How long every alert is held and kept, and how it gives way to every cause in the table of inhibitions: generated.

An alert's condition is a series of its own here, so that what is tried is how the shipped rule wraps it. Each pair of
an alert and a cause has places of its own, in which the cause begins before, while or after the alert does.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property

from alert_rules.alertmanager import WATCHDOG
from alert_rules.inhibitions import INHIBITIONS, inhibited_by
from alert_rules.rule import AlertRule
from alert_rules.rules import SPECS
from tests.alert_rules.asking import Question, Sample
from tests.alert_rules.case import Place
from tests.alert_rules.mutation_expressions import Binary, Selector, parse
from tests.alert_rules.mutation_graph import Document, RuleGraph, name_of
from tests.alert_rules.timeline import settings
from tests.alert_rules.trial import documents_of, rules_of

SHORT_SECONDS = 300.0
"""Alerts that are held for longer are tried at longer steps."""
SHORT_STEP, LONG_STEP = 5.0, 60.0

_STEPS_OF_SIGHT = 2
"""Evaluations from what happens to the moment at which it must be seen: one beyond the edge of a window."""


@dataclass(frozen=True)
class Stand:
    """One place, what happens in it, and which of an alert's subjects fire at which time."""

    alert: str
    name: str
    place: Place
    series: Mapping[str, str]
    firing: Mapping[float, frozenset[str]] = field(default_factory=dict)


class _Apart(RuleGraph):
    """Rules of which each is tried alone: what it reads of others is given, in its own places."""

    def ancestors(self, names: Iterable[str]) -> frozenset[str]:
        """Return *names*."""
        return frozenset(names)

    def descendants(self, name: str) -> frozenset[str]:
        """Return *name*, nothing when no rule here writes it."""
        return self._names & {name}


@dataclass(frozen=True)
class YieldTrial:
    """Stands of many alerts in one Prometheus."""

    name: str
    step: float
    stands: tuple[Stand, ...]

    @cached_property
    def subjects(self) -> frozenset[str]:
        """The alerts."""
        return frozenset(stand.alert for stand in self.stands)

    @property
    def values(self) -> frozenset[str]:
        """All: whatever a wrong rule writes is held against what it should."""
        return self.subjects

    @cached_property
    def series(self) -> dict[str, str]:
        """The series of all stands."""
        found: dict[str, str] = {}
        for stand in self.stands:
            found |= stand.series
        return found

    @cached_property
    def until(self) -> float:
        """The last time that is asked about."""
        return max(moment for stand in self.stands for moment in stand.firing)

    @cached_property
    def graph(self) -> RuleGraph:
        """The shipped rules of the alerts, each with a series for its condition."""
        documents = [_with_condition(document) for document in documents_of(settings())]
        return _Apart(documents, frozenset(name_of(document) for document in documents) - self.subjects)

    def questions(self, names: Mapping[str, str], wrong: Document | None = None) -> list[Question]:
        """Return what to ask, of rules that go by other *names*."""
        return [
            Question(f'ALERTS{{alertname="{names.get(alert, alert)}",alertstate="firing"}}', moment)
            for alert, moment in self._asked(names)
        ]

    def failure(self, answers: Sequence[Sequence[Sample]], names: Mapping[str, str]) -> str | None:
        """Say what is wrong with the *answers*, None when each alert fires where and when it should."""
        return next(
            (f"{stand.alert} {stand.name}: {problem}" for stand, problem in self.problems(answers, names)), None
        )

    def problems(
        self, answers: Sequence[Sequence[Sample]], names: Mapping[str, str] | None = None
    ) -> Iterator[tuple[Stand, str]]:
        """Yield each stand at which an alert fires when it should not, or does not when it should."""
        for (alert, moment), samples in zip(self._asked(names or {}), answers, strict=True):
            for stand in self._of[alert]:
                wanted = stand.firing.get(moment)
                found = sorted(
                    sample.labels.get("instance", "") for sample in samples if stand.place.holds(sample.labels)
                )
                if wanted is not None and found != sorted(wanted):
                    yield stand, f"at {moment:g} s fires of {found}, not of {sorted(wanted)}"

    def _asked(self, names: Mapping[str, str]) -> Iterator[tuple[str, float]]:
        for alert in sorted(self.subjects & names.keys() or self.subjects):
            for moment in sorted({moment for stand in self._of[alert] for moment in stand.firing}):
                yield alert, moment

    @cached_property
    def _of(self) -> dict[str, list[Stand]]:
        found: dict[str, list[Stand]] = {}
        for stand in self.stands:
            found.setdefault(stand.alert, []).append(stand)
        return found


@cache
def yield_trials() -> tuple[YieldTrial, ...]:
    """Return the trials of every alert that gives way, those that are held long apart."""
    rules = [rule for rule in rules_of(settings()).alerts if inhibited_by(rule.alert)]
    short = [rule for rule in rules if rule.hold_seconds <= SHORT_SECONDS]
    long = [rule for rule in rules if rule.hold_seconds > SHORT_SECONDS]
    return tuple(
        YieldTrial(
            f"consequences give way to their causes, at {step:g} s",
            step,
            tuple(stand for rule in some for stand in _Stands(rule, step).all()),
        )
        for step, some in ((SHORT_STEP, short), (LONG_STEP, long))
    )


@cache
def held_trial() -> YieldTrial:
    """Return the trial of how long each alert is held before it fires, and kept after its condition ended."""
    rules = [rule for rule in rules_of(settings()).alerts if rule.alert != WATCHDOG]
    stands = tuple(_Stands(rule, SHORT_STEP).held() for rule in rules)
    return YieldTrial("alerts are held and kept, to the evaluation", SHORT_STEP, stands)


def condition_of(alert: str) -> str:
    """Return the name of the series that stands for the condition of *alert*."""
    return f"condition_{alert}"


def _with_condition(document: Document) -> Document:
    """Return a rule whose condition is a series of its own; what gives way to causes still does."""
    name = name_of(document)
    if "alert" not in document:
        return document
    if not inhibited_by(name):
        return document | {"expr": condition_of(name)}
    root = parse(document["expr"])
    assert isinstance(root, Binary), f"{name}: {root} is not the condition and what stays of it"
    assert isinstance(root.left, Binary), f"{name}: {root.left} is not the condition unless a cause fires"
    assert (root.operator, root.left.operator) == ("or", "unless"), f"{name}: {root} does not give way"
    tried = replace(root, left=replace(root.left, left=Selector(condition_of(name))))
    return document | {"expr": str(tried)}


class _Stands:
    """The stands of one alert; times are multiples of the step, and each is named for what begins then."""

    def __init__(self, rule: AlertRule, step: float) -> None:
        [spec] = [spec for spec in SPECS if spec.alert == rule.alert]
        self._alert = rule.alert
        self._step = step
        self._hold = math.ceil(rule.hold_seconds / step) * step
        self._kept = math.ceil(rule.keep_firing_seconds / step) * step
        self._memory = settings().windows.events_seconds if spec.counts_events else 0.0
        self._counts = spec.counts_events
        self._begins = 2 * step
        self._fires = self._begins + self._hold
        self._sight = _STEPS_OF_SIGHT * step

    def all(self) -> Iterator[Stand]:
        """Yield the stands with each cause, and one without any."""
        yield from self._free()
        for cause in inhibited_by(self._alert):
            yield self._under(cause)
            yield self._pending(cause)
            yield self._before(cause)
            yield self._through(cause)

    def held(self) -> Stand:
        """Return the stand without any cause at which what an evaluation more or less would change is seen."""
        ends = self._fires + 4 * self._step
        place = Place(self._alert, "held")
        gone = ends + self._kept
        firing = {self._fires: frozenset("i"), gone - self._step: frozenset("i"), gone: frozenset[str]()}
        if self._hold:
            firing[self._fires - self._step] = frozenset()
        return Stand(self._alert, "held and kept", place, self._condition(place, "i", self._begins, ends), firing)

    def _free(self) -> Iterator[Stand]:
        """No cause fires here: pending ones do not count, nor other alerts, nor what fires elsewhere."""
        ends = self._fires + 4 * self._step
        place = Place(self._alert, "free")
        firing = {
            self._fires + self._sight: frozenset("i"),
            ends + self._kept + self._sight: frozenset[str](),
        }
        if self._hold > 2 * self._step:
            firing[self._fires - self._sight] = frozenset()
        series = self._condition(place, "i", self._begins, ends)
        series |= self._alerts(place, [_bystander()], "firing")
        series |= self._alerts(place, inhibited_by(self._alert), "pending")
        yield Stand(self._alert, "without a cause", place, series, firing)
        elsewhere = Place(f"{self._alert}-elsewhere", "free")
        yield Stand(self._alert, "elsewhere", elsewhere, self._alerts(elsewhere, inhibited_by(self._alert), "firing"))

    def _under(self, cause: str) -> Stand:
        """The condition comes about while the cause fires, and lasts."""
        over = self._fires + 6 * self._step
        place = Place(self._alert, f"under {cause}")
        fires = over + self._memory + self._hold
        firing = {over - self._step: frozenset[str](), fires + self._sight: frozenset("i")}
        if self._memory + self._hold > 3 * self._step:
            firing[fires - self._sight - self._step] = frozenset()
        series = self._condition(place, "i", self._begins) | self._alerts(place, [cause], "firing", 0.0, over)
        return Stand(self._alert, f"under {cause}", place, series, firing)

    def _pending(self, cause: str) -> Stand:
        """The cause begins to fire when the alert would."""
        over = self._fires + self._hold + 6 * self._step
        place = Place(self._alert, f"pending {cause}")
        firing = {self._fires + self._sight: frozenset[str](), over - self._step: frozenset[str]()}
        series = self._condition(place, "i", self._begins)
        series |= self._alerts(place, [cause], "firing", self._fires, over)
        return Stand(self._alert, f"pending when {cause} begins", place, series, firing)

    def _before(self, cause: str) -> Stand:
        """One fires before its cause does, and its condition ends under it; that of another comes about under it."""
        since = self._fires + 3 * self._step
        over = since + self._hold + 8 * self._step
        place = Place(self._alert, f"before {cause}")
        ended = over + self._kept + self._sight
        begun = over + self._hold
        kept = over + max(0.0, self._kept - self._step)
        firing = {moment: frozenset("i") for moment in (since - self._step, over - self._step, kept)}
        firing[ended] = frozenset()
        series = self._condition(place, "i", self._begins, since + 3 * self._step)
        series |= self._alerts(place, [cause], "firing", since, over)
        if not self._counts:  # what counts events is about a region, of which there is one
            series |= self._condition(place, "j", since + self._step)
            firing[max(begun, ended) + self._sight] = frozenset("j")
            firing = {at: found | (frozenset("j") if at >= begun else frozenset()) for at, found in firing.items()}
        return Stand(self._alert, f"before {cause}", place, series, firing)

    def _through(self, cause: str) -> Stand:
        """What fires before its cause goes on as long as its condition does."""
        since = self._fires + 3 * self._step
        over = since + self._hold + 8 * self._step
        place = Place(self._alert, f"through {cause}")
        moments = (over - self._step, over + self._sight, over + self._kept + self._sight, over + self._memory)
        series = self._condition(place, "i", self._begins)
        series |= self._alerts(place, [cause], "firing", since, over)
        return Stand(self._alert, f"through {cause}", place, series, dict.fromkeys(moments, frozenset("i")))

    def _condition(self, place: Place, instance: str, since: float, until: float = math.inf) -> dict[str, str]:
        labels = f'cluster="{place.cluster}",instance="{instance}",region="{place.region}"'
        return {f"{condition_of(self._alert)}{{{labels}}}": self._samples(since, until)}

    def _alerts(
        self, place: Place, alerts: Iterable[str], state: str, since: float = 0.0, until: float = math.inf
    ) -> dict[str, str]:
        where = f'alertstate="{state}",cluster="{place.cluster}",region="{place.region}"'
        return {f'ALERTS{{alertname="{alert}",{where}}}': self._samples(since, until) for alert in alerts}

    def _samples(self, since: float, until: float) -> str:
        """Return samples of 1 from one time to another, none before it."""
        end = min(until, 4 * self._fires + 2 * self._memory + 60 * self._step)
        missing = f"_x{int(since / self._step)} " if since else ""
        return f"{missing}1x{int((end - since) / self._step) - 1} stale"


@cache
def _bystander() -> str:
    """Return an alert that neither silences another nor is silenced."""
    involved = {name for row in INHIBITIONS for name in (row.cause, *row.consequences)}
    return next(spec.alert for spec in SPECS if spec.alert not in involved)

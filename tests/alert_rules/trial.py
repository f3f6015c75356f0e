"""Cases made ready for promtool: series, rules, questions, and the verdict on the answers.

The rules may be asked under other names, so that many copies of one, each wrong in another place, are tried at once
over the same series. They are evaluated without the matcher of the clusters that every selector of a rule file has, for
it is the dialect that writes it.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Protocol

from alert_rules.dialect import Dialect
from alert_rules.rules import RuleSet, rule_files, rule_set
from alert_rules.settings import ExpectedRegion, RuleSettings
from tests.alert_rules.asking import Question, Sample
from tests.alert_rules.case import FIRST, Case, Fires, Place, Recorded
from tests.alert_rules.mutation_graph import Document, RuleGraph, name_of
from tests.alert_rules.timeline import settings as usual_settings

_TOLERANCE = 1e-6


class Trial(Protocol):
    """What can be asked of promtool, and judged."""

    @property
    def name(self) -> str:
        """What the trial is called."""

    @property
    def subjects(self) -> frozenset[str]:
        """The alerts and recorded series of which something is asserted."""

    @property
    def values(self) -> frozenset[str]:
        """Those of the subjects whose values are asserted, beyond that they are there."""

    @property
    def series(self) -> Mapping[str, str]:
        """Selectors and values, in promtool's notation."""

    @property
    def step(self) -> float:
        """Seconds between samples, and between evaluations."""

    @property
    def until(self) -> float:
        """The last time that is asked about."""

    @property
    def graph(self) -> RuleGraph:
        """The rules as they should be."""

    def questions(self, names: Mapping[str, str], wrong: Document | None = None) -> list[Question]:
        """Return what to ask, of rules that go by other *names*, one of which is *wrong*."""

    def failure(self, answers: Sequence[Sequence[Sample]], names: Mapping[str, str]) -> str | None:
        """Say what is wrong with the *answers*, None when they are what the case says."""


@dataclass(frozen=True, slots=True)
class Part:
    """A case in its place; everything it asserts is about this place."""

    case: Case
    place: Place = FIRST

    @property
    def series(self) -> dict[str, str]:
        """The series of the case, in this place."""
        return self.case.placed(self.place)

    def has(self, sample: Sample) -> bool:
        """Say whether *sample* is of this place; a case that stands alone has everything."""
        return self.case.alone or self.place.holds(sample.labels)


@dataclass(frozen=True)
class CaseTrial:
    """Cases in one Prometheus, each in a place of its own; all leave the same to rules, and have one interval.

    *foreign* are cases in clusters that the settings do not name: nothing may be heard of them.
    """

    name: str
    parts: tuple[Part, ...]
    foreign: tuple[Part, ...] = ()

    @cached_property
    def subjects(self) -> frozenset[str]:
        """The alerts, and the recorded series of which something is said."""
        return frozenset().union(*(part.case.subjects for part in self.parts))

    @property
    def values(self) -> frozenset[str]:
        """All subjects: cases say which values they want."""
        return self.subjects

    @cached_property
    def series(self) -> dict[str, str]:
        """The series of all parts."""
        found: dict[str, str] = {}
        for part in (*self.parts, *self.foreign):
            found |= part.series
        return found

    @property
    def step(self) -> float:
        """Seconds between samples, and between evaluations."""
        return self.parts[0].case.interval

    @cached_property
    def until(self) -> float:
        """The last time that is asked about."""
        return max(question.at for question, _ in self._asked({}))

    @property
    def given(self) -> frozenset[str]:
        """What the cases give, and do not leave to rules."""
        return self.parts[0].case.given

    @cached_property
    def settings(self) -> RuleSettings:
        """The shipped settings, with a region for each place; what watches is in none."""
        regions = tuple(
            ExpectedRegion(
                name=part.place.region, expected_servers=part.case.expected_servers, cluster=part.place.cluster
            )
            for part in self.parts
            if not part.case.is_of_watchers
        )
        return replace(usual_settings(), regions=regions) if regions else usual_settings()

    @property
    def graph(self) -> RuleGraph:
        """The rules of all places."""
        return rule_graph(self.settings, self.given)

    def questions(self, names: Mapping[str, str], wrong: Document | None = None) -> list[Question]:
        """Return what to ask, of rules that go by other *names*, one of which is *wrong*."""
        values = {name: self._condition(name, names, wrong) for name in self.graph.alerts & self.subjects}
        return [question for question, _ in self._asked(names, values)]

    def failure(self, answers: Sequence[Sequence[Sample]], names: Mapping[str, str]) -> str | None:
        """Say what is wrong with the *answers*, None when they are what the cases say."""
        return next((problem for _, problem in self.problems(answers, names)), None)

    def problems(
        self, answers: Sequence[Sequence[Sample]], names: Mapping[str, str] | None = None
    ) -> Iterator[tuple[Case | None, str]]:
        """Yield what is wrong with the *answers*, with the case whose words they contradict."""
        found = self._asked(names or {})
        for (question, subject), samples in zip(found, answers, strict=True):
            problems = self._of_alerts(question.at, samples, names or {}) if subject is None else _of(*subject, samples)
            for case, problem in problems:
                yield case, f"{case.name if case else self.name}: at {question.at:g} s: {problem}"

    def _condition(self, alert: str, names: Mapping[str, str], wrong: Document | None) -> str:
        [right] = self.graph.part(frozenset({alert}))
        is_wrong = wrong is not None and name_of(wrong) == alert
        return self.graph.renamed_text((wrong if is_wrong else right)["expr"], names)

    def _asked(
        self, names: Mapping[str, str], values: Mapping[str, str] | None = None
    ) -> Iterator[tuple[Question, tuple[Part, "Fires | Recorded"] | None]]:
        alerts = "|".join(sorted(names.get(alert, alert) for alert in self._alerts))
        for moment in self._moments:
            yield Question(f'ALERTS{{alertname=~"{alerts}",alertstate="firing"}}', moment), None
        for part in self.parts:
            for fires in part.case.fires:
                if fires.value is not None:
                    yield Question((values or {}).get(part.case.alert, ""), fires.at), (part, fires)
            for recorded in part.case.recorded:
                yield Question(names.get(recorded.name, recorded.name), recorded.at), (part, recorded)

    @cached_property
    def _alerts(self) -> frozenset[str]:
        return frozenset(part.case.alert for part in self.parts if part.case.alert)

    @cached_property
    def _moments(self) -> tuple[float, ...]:
        return tuple(sorted({moment for part in self.parts for moment in part.case.moments}))

    def _of_alerts(
        self, at: float, samples: Sequence[Sample], names: Mapping[str, str]
    ) -> Iterator[tuple[Case | None, str]]:
        astray = [sample.labels for sample in samples if not any(part.has(sample) for part in self.parts)]
        if astray:
            yield None, f"fires outside every place: {astray}"
        for part in self.parts:
            if at not in part.case.moments:
                continue
            alert = names.get(part.case.alert, part.case.alert)
            left = [sample.labels for sample in samples if sample.labels.get("alertname") == alert and part.has(sample)]
            for fires in (each for each in part.case.fires if each.at == at):
                wanted = {"severity": part.case.severity, **part.place.moved(fires.labels)}
                match = next((labels for labels in left if wanted.items() <= labels.items()), None)
                if match is None:
                    yield part.case, f"wants {wanted}, fires: {left}"
                else:
                    left.remove(match)
            if left:
                yield part.case, f"wants no more, fires: {left}"


def _of(part: Part, said: Fires | Recorded, samples: Sequence[Sample]) -> Iterator[tuple[Case, str]]:
    """Yield what is wrong with the value of an alert or of a recorded series."""
    labels = part.place.moved(said.labels)
    here = [sample for sample in samples if part.has(sample)]
    found = [sample for sample in here if labels.items() <= sample.labels.items()]
    what = f"{said.name} {said.labels}" if isinstance(said, Recorded) else f"the value of {said.labels}"
    if said.value is None:
        if found:
            yield part.case, f"{what} is there: {found}"
    elif len(found) != 1 or not math.isclose(found[0].value, said.value, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE):
        yield part.case, f"{what} is not {said.value:g}: {found or here}"


@cache
def rules_of(settings: RuleSettings) -> RuleSet:
    """Return the rules that *settings* give, made once: each rule is parsed and resolved for it."""
    return rule_set(settings)


@cache
def files_of(settings: RuleSettings) -> dict[str, Document]:
    """Return the content of the rule files that *settings* give, made once."""
    return rule_files(settings)


@cache
def documents_of(settings: RuleSettings) -> tuple[Document, ...]:
    """Return the rules that *settings* give, in the order of their file, and without the matcher of clusters."""
    dialect, rules = Dialect(selectors=dict(settings.selectors)), rules_of(settings)
    recording = [rule.document(dialect) for rule in rules.recording]
    return (*recording, *(rule.document(settings.links, dialect) for rule in rules.alerts))


@cache
def rule_graph(settings: RuleSettings, given: frozenset[str] = frozenset()) -> RuleGraph:
    """Return the rules that *settings* give, but those that write what is *given*."""
    return RuleGraph(documents_of(settings), given)

"""A case made ready for promtool: series, rules, questions, and the verdict on the answers.

The rules may be asked under other names, so that many copies of one, each wrong in another place, are tried at once
over the same series.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Protocol

from alert_rules.rules import rule_files, rule_set
from alert_rules.settings import ExpectedRegion, RuleSettings
from tests.alert_rules.asking import Question, Sample
from tests.alert_rules.case import Case, Fires, Recorded
from tests.alert_rules.mutation_graph import Document, RuleGraph, flattened, name_of
from tests.alert_rules.nomad_series import CLUSTER, REGION

OTHER_REGION = "west"
OTHER_CLUSTER = "other"
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
    cluster: str = CLUSTER
    region: str = REGION

    def moved(self, labels: Mapping[str, str]) -> dict[str, str]:
        """Return *labels* that a case wants, with this place for the one it was written for."""
        places = {"cluster": (CLUSTER, self.cluster), "region": (REGION, self.region)}
        return {
            name: places[name][1] if name in places and value == places[name][0] else value
            for name, value in labels.items()
        }


@dataclass(frozen=True)
class CaseTrial:
    """Cases of one alert in one Prometheus, each in a place of its own; the first is the one it is about."""

    parts: tuple[Part, ...]

    @property
    def case(self) -> Case:
        """The case that the trial is about."""
        return self.parts[0].case

    @property
    def name(self) -> str:
        """What the trial is called."""
        return str(self.case)

    @property
    def subjects(self) -> frozenset[str]:
        """The alert, and what is said of recorded series."""
        return frozenset().union(*(part.case.subjects for part in self.parts))

    @property
    def values(self) -> frozenset[str]:
        """All subjects: cases say which values they want."""
        return self.subjects

    @property
    def series(self) -> dict[str, str]:
        """The series of all parts."""
        found: dict[str, str] = {}
        for part in self.parts:
            found |= part.case.placed(part.cluster, part.region)
        return found

    @property
    def step(self) -> float:
        """Seconds between samples, and between evaluations."""
        return self.case.interval

    @property
    def until(self) -> float:
        """The last time that is asked about."""
        return max(question.at for question, _ in self._asked({}))

    @property
    def settings(self) -> RuleSettings:
        """The settings of the first part, with a region for each part, in its cluster."""
        regions = tuple(
            ExpectedRegion(name=part.region, expected_servers=part.case.expected_servers, cluster=part.cluster)
            for part in self.parts
        )
        return replace(self.case.rules, regions=regions)

    @property
    def graph(self) -> RuleGraph:
        """The rules of all the clusters."""
        return rule_graph(self.settings, self.case.given)

    def questions(self, names: Mapping[str, str], wrong: Document | None = None) -> list[Question]:
        """Return what to ask, of rules that go by other *names*, one of which is *wrong*."""
        value = ""
        if self.case.alert:
            [right, *_] = self.graph.part(frozenset({self.case.alert}))
            is_wrong = wrong is not None and name_of(wrong) == self.case.alert
            value = self.graph.renamed_text((wrong if is_wrong else right)["expr"], names)
        return [question for question, _ in self._asked(names, value)]

    def failure(self, answers: Sequence[Sequence[Sample]], names: Mapping[str, str]) -> str | None:
        """Say what is wrong with the *answers*, None when they are what the cases say."""
        for (question, subject), samples in zip(self._asked(names), answers, strict=True):
            problem = self._problem(subject, question.at, samples)
            if problem is not None:
                return f"at {question.at:g} s: {problem}"
        return None

    def _asked(self, names: Mapping[str, str], value: str = "") -> Iterator[tuple[Question, "_Subject"]]:
        alert = names.get(self.case.alert, self.case.alert)
        firing = f'ALERTS{{alertname="{alert}",alertstate="firing"}}'
        for moment in sorted({moment for part in self.parts for moment in part.case.moments}):
            yield Question(firing, moment), "alerts"
        for part in self.parts:
            for fires in part.case.fires:
                if fires.value is not None:
                    yield Question(value, fires.at), (part, fires)
            for recorded in part.case.recorded:
                yield Question(names.get(recorded.name, recorded.name), recorded.at), (part, recorded)

    def _problem(self, subject: "_Subject", at: float, samples: Sequence[Sample]) -> str | None:
        if subject == "alerts":
            return self._problem_of_alerts(at, samples)
        part, said = subject
        labels = part.moved(said.labels)
        found = [sample for sample in self._of(part, samples) if labels.items() <= sample.labels.items()]
        what = f"{said.name} {said.labels}" if isinstance(said, Recorded) else f"the value of {said.labels}"
        if said.value is None:
            return f"{what} is there: {found}" if found else None
        if len(found) != 1 or not math.isclose(found[0].value, said.value, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE):
            return f"{what} is not {said.value:g}: {found or samples}"
        return None

    def _problem_of_alerts(self, at: float, samples: Sequence[Sample]) -> str | None:
        astray = [each for each in samples if not any(self._is_of(part, each) for part in self.parts)]
        if astray:
            return f"fires outside every place: {[sample.labels for sample in astray]}"
        for part in self.parts:
            if at not in part.case.moments:
                continue
            left = [sample.labels for sample in self._of(part, samples)]
            for fires in (each for each in part.case.fires if each.at == at):
                wanted = {"severity": part.case.severity, **part.moved(fires.labels)}
                match = next((labels for labels in left if wanted.items() <= labels.items()), None)
                if match is None:
                    return f"{part.case.name!r} wants {wanted}, fires: {left}"
                left.remove(match)
            if left:
                return f"{part.case.name!r} wants no more, fires: {left}"
        return None

    def _of(self, part: Part, samples: Sequence[Sample]) -> list[Sample]:
        return [sample for sample in samples if self._is_of(part, sample)]

    def _is_of(self, part: Part, sample: Sample) -> bool:
        if part.case.alone:
            return True
        place = {"cluster": part.cluster, "region": part.region}
        sure = surely_labelled(self.case.alert)
        return all(sample.labels.get(name) == value for name, value in place.items() if name in sure)


_Subject = str | tuple[Part, Fires | Recorded]


def trial_of(case: Case, cases: Sequence[Case]) -> CaseTrial:
    """Return the trial of *case* beside others of *cases* that it must not be mixed up with.

    A firing case stands beside silent ones, a silent one beside firing ones: one in another region of its cluster, one
    in another cluster.
    """
    if case.alone or case.names_its_place:
        return CaseTrial((Part(case),))
    number = cases.index(case)
    others = [other for other in (*cases[number + 1 :], *cases[:number]) if _can_stand_beside(case, other)]
    sure = surely_labelled(case.alert)
    places = [
        place
        for label, place in (("region", (CLUSTER, OTHER_REGION)), ("cluster", (OTHER_CLUSTER, REGION)))
        if label in sure
    ]
    parts = [Part(case)]
    for number, (cluster, region) in enumerate(places if others else ()):
        other = others[number % len(others)]
        taken = {selector for part in parts for selector in part.case.placed(part.cluster, part.region)}
        if not taken & other.placed(cluster, region).keys():
            parts.append(Part(other, cluster, region))
    return CaseTrial(tuple(parts))


def _can_stand_beside(case: Case, other: Case) -> bool:
    same = (case.alert, case.expected_servers, case.interval) == (other.alert, other.expected_servers, other.interval)
    if not same or case.given != other.given or other.alone or other.names_its_place:
        return False
    return case.is_firing != other.is_firing if case.alert else bool(case.subjects & other.subjects)


@cache
def surely_labelled(alert: str) -> frozenset[str]:
    """Return the labels that every notification of *alert* has, and recorded series when there is none."""
    if not alert:
        return frozenset({"cluster", "region"})
    regions = (ExpectedRegion(name=REGION, expected_servers=3),)
    return rule_set(RuleSettings(cluster=CLUSTER, regions=regions)).alert(alert).surely_labelled


@cache
def files_of(settings: RuleSettings) -> dict[str, Document]:
    """Return the content of the rule files that *settings* give, made once: each rule is parsed and resolved for it."""
    return rule_files(settings)


@cache
def rule_graph(settings: RuleSettings, given: frozenset[str] = frozenset()) -> RuleGraph:
    """Return the rules that *settings* give, but those that write what is *given*."""
    return RuleGraph(flattened(files_of(settings)), given)

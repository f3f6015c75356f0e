"""Modelled faults beside each other in one Prometheus: what a receiver hears of each, when, and nothing else."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from alert_rules.alertmanager import WATCHDOG
from alert_rules.inhibitions import inhibited_by
from alert_rules.settings import ExpectedRegion, RuleSettings, Times
from tests.alert_rules.asking import Question, Sample, ask
from tests.alert_rules.case import Place
from tests.alert_rules.mutation_graph import Document, RuleGraph
from tests.alert_rules.nomad_series import CLUSTER, REGION, values_text
from tests.alert_rules.timeline import SHIPPED, Timeline, settings
from tests.alert_rules.trial import rule_graph, rules_of
from tests.alert_rules.world_cases import WORLDS, WorldCase
from tests.tools import Program

LEAVING_SECONDS = 5.0
"""How long after it has left a server's process ends."""

_COLUMNS = 10
_SMALL = 2
"""In a cluster of so few servers a lost quorum takes longer to be notified, and so do its consequences."""


def wrong(case: WorldCase, course: Timeline, times: Times = SHIPPED) -> str | None:
    """Say what a receiver hears that it should not, does not hear that it should, or hears at the wrong time.

    None when all is as the case says.
    """
    heard = course.notified()
    if tuple(sorted(heard)) != case.notified:
        return f"heard of {sorted(heard)}, not of {list(case.notified)}"
    rules = rules_of(settings(case.expected, times))
    lag = LEAVING_SECONDS if case.world.left else 0.0
    for alert, time in heard.items():
        after, promised = time - case.onset(alert), rules.alert(alert).promised_seconds(times)
        if not 0 < after <= promised + lag:
            return f"heard of {alert} after {after:g} s, promised within {promised:g} s"
    end = max(course.firing)
    for alert in heard:
        for cause in set(inhibited_by(alert)) & heard.keys():
            # The end of what is inhibited is never told: a consequence that was told must outlast its cause.
            if heard[alert] < heard[cause] and course.last(alert) <= course.last(cause) < end:
                return f"{alert} ends at {course.last(alert):g} s, no later than its cause {cause}"
    return None


@dataclass(frozen=True)
class WorldPart:
    """One world in its place; *own* says that the agents are Outrider's."""

    case: WorldCase
    own: bool
    place: Place

    @property
    def name(self) -> str:
        """What the part is called."""
        return f"{self.case.name} ({'outrider' if self.own else 'nomad'})"

    def series(self, step: float) -> Iterator[tuple[str, str]]:
        """Yield selectors and values, in promtool's notation, *step* seconds apart."""
        for selector, samples in replace(self.case.world, own=self.own, step=step).input_series().items():
            placed = selector.replace(f'cluster="{CLUSTER}"', f'cluster="{self.place.cluster}"')
            yield placed.replace(f'region="{REGION}"', f'region="{self.place.region}"'), values_text(samples)


@dataclass(frozen=True)
class WorldTrial:
    """Worlds in one Prometheus; *promtool* tells once what fires when all rules are right."""

    promtool: Program
    name: str
    parts: tuple[WorldPart, ...]
    times: Times = SHIPPED

    @property
    def subjects(self) -> frozenset[str]:
        """Every alert, for none may be heard of that is not expected."""
        return self.graph.alerts - {WATCHDOG}

    @property
    def values(self) -> frozenset[str]:
        """None: only what is heard counts."""
        return frozenset()

    @cached_property
    def series(self) -> dict[str, str]:
        """The series of the worlds, each in its place."""
        return {selector: values for part in self.parts for selector, values in part.series(self.step)}

    @property
    def step(self) -> float:
        """Seconds between samples, and between evaluations."""
        return self.times.scrape_interval_seconds

    @property
    def until(self) -> float:
        """The last time that is asked about."""
        return self._moments[-1]

    @cached_property
    def settings(self) -> RuleSettings:
        """The shipped settings with a region for each place."""
        regions = tuple(
            ExpectedRegion(name=part.place.region, expected_servers=part.case.expected, cluster=part.place.cluster)
            for part in self.parts
        )
        return replace(settings(times=self.times), regions=regions)

    @property
    def graph(self) -> RuleGraph:
        """The rules as they should be."""
        return rule_graph(self.settings)

    def questions(self, names: Mapping[str, str], wrong: Document | None = None) -> list[Question]:
        """Return what to ask, of rules that go by other *names*."""
        alerts = "|".join(sorted(names.get(alert, alert) for alert in self._asked_alerts(names)))
        matchers = f'alertname=~"{alerts}", alertstate="firing", severity=~"critical|warning"'
        expr = f"count by (alertname, cluster, region) (ALERTS{{{matchers}}})"
        return [Question(expr, moment) for moment in self._moments]

    def failure(self, answers: Sequence[Sequence[Sample]], names: Mapping[str, str]) -> str | None:
        """Say what is wrong with the *answers*; alerts without another name fire as they do when all is right."""
        return next((f"{part.name}: {problem}" for part, problem in self.problems(answers, names)), None)

    def problems(
        self, answers: Sequence[Sequence[Sample]], names: Mapping[str, str] | None = None
    ) -> Iterator[tuple[WorldPart, str]]:
        """Yield each world of which something else is heard than should be, and what."""
        for part, course in self.courses(answers, names or {}):
            problem = wrong(part.case, course, self.times)
            if problem is not None:
                yield part, problem

    def courses(
        self, answers: Sequence[Sequence[Sample]], names: Mapping[str, str]
    ) -> Iterator[tuple[WorldPart, Timeline]]:
        """Yield each world with what fires in it, by the names that the rules should have."""
        asked = self._asked_alerts(names)
        back = {name: alert for alert, name in names.items()}
        firing = self._firing(answers)
        for part in self.parts:
            course: dict[float, frozenset[str]] = {}
            for moment in self._moments_of(part):
                now = firing[moment].get(part.place, frozenset())
                unasked: frozenset[str] = frozenset()
                if asked != self.subjects:
                    unasked = self._right[moment].get(part.place, frozenset()) - asked
                course[moment] = frozenset(back.get(alert, alert) for alert in now) | unasked
            yield part, Timeline(course, self.times.group_wait_seconds)

    @cached_property
    def _moments(self) -> list[float]:
        return self._moments_of(max(self.parts, key=lambda part: part.case.world.seconds))

    def _moments_of(self, part: WorldPart) -> list[float]:
        return [number * self.step for number in range(int(part.case.world.seconds / self.step) + 1)]

    def _asked_alerts(self, names: Mapping[str, str]) -> frozenset[str]:
        return self.subjects & names.keys() or self.subjects

    def _firing(self, answers: Sequence[Sequence[Sample]]) -> dict[float, dict[Place, frozenset[str]]]:
        """Return what fires at each moment in each place."""
        found: dict[float, dict[Place, frozenset[str]]] = {}
        for moment, samples in zip(self._moments, answers, strict=True):
            now: dict[Place, frozenset[str]] = {}
            for sample in samples:
                place = Place(sample.labels.get("cluster", ""), sample.labels.get("region", ""))
                now[place] = now.get(place, frozenset()) | {sample.labels["alertname"]}
            found[moment] = now
        return found

    @cached_property
    def _right(self) -> dict[float, dict[Place, frozenset[str]]]:
        """What fires in each place when all rules are as they should be."""
        group = {"name": "right", "rules": list(self.graph.documents)}
        return self._firing(ask(self.promtool, [{"groups": [group]}], self.series, self.step, self.questions({})))


def world_trials(promtool: Program, worlds: Sequence[WorldCase] = WORLDS, times: Times = SHIPPED) -> list[WorldTrial]:
    """Return trials of *worlds*, on a real Nomad's series and on our agent's: small clusters, and the others."""
    trials: list[WorldTrial] = []
    for name, is_small in (("worlds", False), ("worlds of one or two servers", True)):
        alike = [(case, own) for case in worlds if (case.expected <= _SMALL) is is_small for own in (False, True)]
        # Neighbours of the list, which are alike, stand in rows and columns with others.
        parts = [
            WorldPart(case, own, Place(f"c{number // _COLUMNS}", f"r{number % _COLUMNS}"))
            for number, (case, own) in enumerate(alike)
        ]
        if parts:
            trials.append(WorldTrial(promtool, name, tuple(parts), times))
    return trials

"""Modelled faults as cases: what a receiver hears of a world, by its promised time, and of nothing else."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Protocol

from alert_rules.alertmanager import WATCHDOG
from alert_rules.inhibitions import inhibited_by
from alert_rules.rules import RuleSet, rule_set
from alert_rules.settings import ExpectedRegion, Times
from tests.alert_rules.asking import Question, Sample, ask
from tests.alert_rules.mutation_graph import Document, RuleGraph
from tests.alert_rules.nomad_series import CLUSTER, REGION, World, values_text
from tests.alert_rules.timeline import SHIPPED, Timeline, settings
from tests.alert_rules.trial import OTHER_CLUSTER, OTHER_REGION, rule_graph
from tests.tools import Program

PLACES = ((CLUSTER, REGION), (CLUSTER, OTHER_REGION), (OTHER_CLUSTER, REGION))
"""Where the worlds of a trial are, by cluster and region."""

LEAVING_SECONDS = 5.0
"""How long after it has left a server's process ends."""


class WorldCase(Protocol):
    """One fault, and what a receiver must hear of it: alert names, in the order of the alphabet."""

    name: str
    world: World
    notified: tuple[str, ...]

    @property
    def expected(self) -> int:
        """How many servers are meant to be there."""


def wrong(case: WorldCase, course: Timeline, onsets: Mapping[str, float], times: Times = SHIPPED) -> str | None:
    """Say what a receiver hears that it should not, does not hear that it should, or hears at the wrong time.

    *onsets* has for each alert when its condition comes about. None when all is as the case says.
    """
    heard = course.notified()
    if tuple(sorted(heard)) != case.notified:
        return f"heard of {sorted(heard)}, not of {list(case.notified)}"
    rules = _rules(case.expected, times)
    lag = LEAVING_SECONDS if case.world.left else 0.0
    for alert, time in heard.items():
        after, promised = time - onsets[alert], rules.alert(alert).promised_seconds(times)
        if not 0 < after <= promised + lag:
            return f"heard of {alert} after {after:g} s, promised within {promised:g} s"
    end = max(course.firing)
    for alert in heard:
        for cause in set(inhibited_by(alert)) & heard.keys():
            # The end of what is inhibited is never told: a consequence that was told must outlast its cause.
            if heard[alert] < heard[cause] and course.last(alert) <= course.last(cause) < end:
                return f"{alert} ends at {course.last(alert):g} s, no later than its cause {cause}"
    return None


@cache
def _rules(expected: int, times: Times) -> RuleSet:
    return rule_set(settings(expected, times))


@dataclass(frozen=True)
class WorldTrial:
    """A world ready for promtool, and others in the same Prometheus that it must not be mixed up with.

    *promtool* tells once what fires when all rules are right. *own* says that the agents are Outrider's.
    """

    promtool: Program
    cases: tuple[WorldCase, ...]
    """One, or three of as many servers: the second is another region of its cluster, the third another cluster."""
    onsets: Callable[[WorldCase], Mapping[str, float]]
    own: bool

    @property
    def name(self) -> str:
        """What the trial is called."""
        return f"{' | '.join(case.name for case in self.cases)} ({'outrider' if self.own else 'nomad'})"

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
        found: dict[str, str] = {}
        for case, (cluster, region) in zip(self.cases, PLACES, strict=False):
            world = replace(case.world, own=self.own, seconds=self._moments[-1])
            for selector, samples in world.input_series().items():
                placed = selector.replace(f'cluster="{CLUSTER}"', f'cluster="{cluster}"')
                found[placed.replace(f'region="{REGION}"', f'region="{region}"')] = values_text(samples)
        return found

    @property
    def step(self) -> float:
        """Seconds between samples, and between evaluations."""
        return self.cases[0].world.step

    @property
    def until(self) -> float:
        """The last time that is asked about."""
        return self._moments[-1]

    @property
    def graph(self) -> RuleGraph:
        """The rules as they should be."""
        places = PLACES[: len(self.cases)]
        regions = tuple(
            ExpectedRegion(name=region, expected_servers=self.cases[0].expected, cluster=cluster)
            for cluster, region in places
        )
        return rule_graph(replace(settings(), regions=regions))

    @cached_property
    def _moments(self) -> list[float]:
        return list(max((case.world for case in self.cases), key=lambda world: world.seconds).times())

    def questions(self, names: Mapping[str, str], wrong: Document | None = None) -> list[Question]:
        """Return what to ask, of rules that go by other *names*."""
        alerts = "|".join(sorted(names.get(alert, alert) for alert in self._asked_alerts(names)))
        expr = f'count by (alertname, cluster, region) (ALERTS{{alertname=~"{alerts}",alertstate="firing"}})'
        return [Question(expr, moment) for moment in self._moments]

    def failure(self, answers: Sequence[Sequence[Sample]], names: Mapping[str, str]) -> str | None:
        """Say what is wrong with the *answers*; alerts without another name fire as they do when all is right."""
        asked = self._asked_alerts(names)
        back = {name: alert for alert, name in names.items()}
        for case, place in zip(self.cases, PLACES, strict=False):
            firing: dict[float, frozenset[str]] = {}
            for moment, samples in zip(self._moments, answers, strict=True):
                now = _firing_in(place, samples)
                unasked = frozenset() if asked == self.subjects else self._right[place][moment] - asked
                firing[moment] = frozenset(back.get(alert, alert) for alert in now) | unasked
            problem = wrong(case, Timeline(firing, SHIPPED.group_wait_seconds), self.onsets(case))
            if problem is not None:
                return f"{case.name}: {problem}"
        return None

    def _asked_alerts(self, names: Mapping[str, str]) -> frozenset[str]:
        return self.subjects & names.keys() or self.subjects

    @cached_property
    def _right(self) -> dict[tuple[str, str], dict[float, frozenset[str]]]:
        """What fires in each place when all rules are as they should be."""
        group = {"name": "right", "rules": list(self.graph.documents)}
        answers = ask(self.promtool, [{"groups": [group]}], self.series, self.step, self.questions({}))
        return {
            place: {moment: _firing_in(place, samples) for moment, samples in zip(self._moments, answers, strict=True)}
            for place in PLACES
        }


def _firing_in(place: tuple[str, str], samples: Sequence[Sample]) -> frozenset[str]:
    """Return the alerts of a place; one that names no place is one of all."""
    cluster, region = place
    return frozenset(
        sample.labels["alertname"]
        for sample in samples
        if sample.labels.get("cluster", cluster) == cluster and sample.labels.get("region", region) == region
    )

"""Many watchers of simulated clusters in one promtool test: which alerts each of them would see firing, and when.

A watcher is one Prometheus: a phase for the scrapes of each agent, and one for its evaluations. Each becomes a cluster
of its own, and the shipped rules are evaluated over all of them at once, for which the one cluster they select gives
way to all: every rule keeps clusters apart, as a test shows. What cannot change an alert is taken out: annotations, and
the Watchdog. Prometheus and Alertmanager themselves are well throughout.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from alert_rules.alertmanager import WATCHDOG
from alert_rules.raft import FOLLOWERS_SLOW
from alert_rules.rules import rule_files
from alert_rules.settings import Choice, ExpectedRegion, RuleSettings
from telemetry.scrape.configuration import JOB_ALERTMANAGER, JOB_CLIENTS, JOB_PROMETHEUS, JOB_SERVERS
from telemetry.scrape.duration import format_duration, parse_duration
from tests.detection.simulation_runs import SCRAPE_SECONDS, STEPS, Run, Samples, View
from tests.sim.scrapes import GRID_SECONDS
from tests.tools import Program

REGION = "global"
_CLUSTER = "cluster-0000"
"""Stands in the generated rules for the name of each watcher's cluster."""

_SELECTED = re.compile(rf'(cluster="{_CLUSTER}",? ?)')
_JOBS = {"server": JOB_SERVERS, "client": JOB_CLIENTS}
_TARGET_LABEL = re.compile(r"(?<![^,{])(cluster|region|role|instance|job)=")
# The excluded name is no alert's; it says in the answer which test was asked.
_QUESTION = 'count by (alertname, cluster) (ALERTS{{alertstate="firing", alertname!="test {}"}})'
_ANSWER = re.compile(r"expr: .*test (?P<test>\d+).*, time: (?P<time>\S+),\s*exp: .*\s*got: (?P<got>.*)")
_FIRING = re.compile(r'alertname="(\w+)", cluster="([\w-]+)"')
_PROMTOOL_SECONDS = 1_200.0

_SERVERS_A_TEST = 60
"""promtool refuses a query over more than 10,000 samples, and a subquery of ten minutes has 120 of each series."""


@dataclass(frozen=True)
class Watcher:
    """One Prometheus that watches the cluster of *run*; phases are in steps of the grid."""

    run: Run
    phases: dict[str, int]
    evaluation_phase: int

    @property
    def fault_seconds(self) -> float:
        """When the fault happens, counted from the first evaluation."""
        return (self.run.fault_moment - self.evaluation_phase) * GRID_SECONDS

    @property
    def evaluations(self) -> int:
        """How many evaluations see whole scrapes."""
        return (self.run.moments - STEPS) // STEPS


def draw(run: Run, rng: Random) -> Watcher:
    """Return a watcher of *run* with phases drawn by chance."""
    return Watcher(run, {name: rng.choice(run.phases[name]) for name in run.agents}, rng.randrange(STEPS))


@cache
def rule_names(expected: int) -> frozenset[str]:
    """Return every word in the rules that may be the name of a series."""
    expressions = [rule["expr"] for group in _groups(settings(expected)) for rule in group["rules"]]
    return frozenset(re.findall(r"[a-zA-Z_:][\w:]*", " ".join(expressions)))


@cache
def settings(expected: int, raft_multiplier: int = 1) -> RuleSettings:
    """Return the shipped settings of a cluster of one region; contacts may be older by *raft_multiplier*."""
    regions = (ExpectedRegion(name=REGION, expected_servers=expected),)
    limit = FOLLOWERS_SLOW.number("limit").default * raft_multiplier
    choices = {} if raft_multiplier == 1 else {FOLLOWERS_SLOW.alert: Choice(numbers={"limit": limit})}
    return RuleSettings(cluster=_CLUSTER, regions=regions, choices=choices)


def firing(
    promtool: Program, folder: Path, watchers: list[Watcher], chosen: RuleSettings, *, native: bool, shared: bool = True
) -> list[list[frozenset[str]]]:
    """Return for each watcher the alerts that fire at each of its evaluations, by the rules that *chosen* settings give.

    With *native* the agents export what a real Nomad does: no `outrider_*`. Without *shared* each watcher has the rules
    to itself, as they are shipped, which takes promtool far longer.
    """
    together = _SERVERS_A_TEST // chosen.regions[0].expected_servers
    clusters = [f"c{number:04}" for number in range(min(together, len(watchers)))]
    tests = [watchers[start : start + together] for start in range(0, len(watchers), together)]
    rules = {"groups": _shared(chosen, clusters) if shared else _separate(chosen, clusters)}
    (folder / "rules.yml").write_text(json.dumps(rules))
    (folder / "test.yml").write_text("".join(_document(rules, tests, clusters, native=native)))
    said = _asked(promtool, folder / "test.yml")
    found: list[list[set[str]]] = [[set() for _ in range(watcher.evaluations)] for watcher in watchers]
    answered = 0
    for answer in _ANSWER.finditer(said.stdout + said.stderr):
        answered += 1
        number, first = round(parse_duration(answer["time"]) / SCRAPE_SECONDS), int(answer["test"]) * together
        for alert, cluster in _FIRING.findall(answer["got"]):
            index = first + int(cluster[1:])
            # A test with fewer watchers has the rules of all clusters, and another run may be shorter.
            if index < min(len(found), first + together) and number < len(found[index]):
                found[index][number].add(alert)
    asked = sum(_evaluations(test) for test in tests)
    assert asked == answered, f"promtool answered {answered} of {asked} questions:\n{said.stderr[:2000]}"
    return [[frozenset(alerts) for alerts in one] for one in found]


def _asked(promtool: Program, file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [promtool.path, "test", "rules", file],
        # One thread and fewer collections of garbage: a fifth less of the processor's time.
        env={**os.environ, "GOMAXPROCS": "1", "GOGC": "400"},
        capture_output=True,
        text=True,
        timeout=_PROMTOOL_SECONDS,
        check=False,
    )


def _groups(chosen: RuleSettings) -> list[dict]:
    return [
        {
            **group,
            "rules": [
                {key: value for key, value in rule.items() if key != "annotations"}
                for rule in group["rules"]
                if rule.get("alert") != WATCHDOG
            ],
        }
        for document in rule_files(chosen).values()
        for group in document["groups"]
    ]


def _shared(chosen: RuleSettings, clusters: list[str]) -> list[dict]:
    """Return one file of rules for all: what gives a cluster its name is there once a cluster, all else once."""

    def rules(group: dict) -> Iterator[dict]:
        for rule in group["rules"]:
            text = json.dumps(rule | {"expr": _SELECTED.sub("", rule["expr"])})
            if _CLUSTER in text:
                yield from (json.loads(text.replace(_CLUSTER, cluster)) for cluster in clusters)
            else:
                yield json.loads(text)

    return [{**group, "rules": list(rules(group))} for group in _groups(chosen)]


def _separate(chosen: RuleSettings, clusters: list[str]) -> list[dict]:
    """Return the rules of every cluster as they are shipped, one cluster after the other."""
    text = json.dumps(_groups(chosen))
    return [
        {**group, "name": f"{group['name']} {cluster}"}
        for cluster in clusters
        for group in json.loads(text.replace(_CLUSTER, cluster))
    ]


def _evaluations(watchers: list[Watcher]) -> int:
    return max(watcher.evaluations for watcher in watchers)


def _document(rules: dict, tests: list[list[Watcher]], clusters: list[str], *, native: bool) -> Iterator[str]:
    order = json.dumps([group["name"] for group in rules["groups"]])
    every = format_duration(SCRAPE_SECONDS)
    yield f"rule_files: [rules.yml]\nevaluation_interval: {every}\ngroup_eval_order: {order}\ntests:\n"
    texts = _Texts()
    for number, watchers in enumerate(tests):
        yield f"- interval: {format_duration(GRID_SECONDS)}\n  input_series:\n"
        for watcher, cluster in zip(watchers, clusters, strict=False):
            exported = (*_of_agents(watcher, cluster, texts, native=native), *_of_neighbours(watcher, cluster))
            for series, samples in exported:
                yield f"  - series: '{series}'\n    values: '{samples}'\n"
        yield "  promql_expr_test:\n"
        for evaluation in range(_evaluations(watchers)):
            # promtool says what it got only when it is not what was expected.
            yield f"  - expr: '{_QUESTION.format(number)}'\n    eval_time: {format_duration(evaluation * SCRAPE_SECONDS)}\n"
            yield "    exp_samples: [{labels: '{impossible=\"yes\"}', value: -1}]\n"


class _Texts:
    """The series of each view as promtool reads them, made once."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str, int], tuple[int, list[tuple[str, str]]]] = {}

    def of(self, run: Run, agent: str, phase: int) -> tuple[int, list[tuple[str, str]]]:
        """Return the first moment, and each series with its values from there on."""
        key = (run.seed, agent, phase)
        if key not in self._made:
            view = View(run, agent, phase)
            series = {"up": view.up(), **{name: view.samples(name) for name in view.series()}}
            self._made[key] = (view.first, [(name, values(view.first, one)) for name, one in series.items()])
        return self._made[key]


def _of_agents(watcher: Watcher, cluster: str, texts: _Texts, *, native: bool) -> Iterator[tuple[str, str]]:
    for agent, role in watcher.run.agents.items():
        target = f'cluster="{cluster}",region="{REGION}",role="{role}",instance="{agent}",job="{_JOBS[role]}"'
        first, series = texts.of(watcher.run, agent, watcher.phases[agent])
        # Moments are counted from the first evaluation, which is moment 0 of promtool.
        start = f"_x{first - watcher.evaluation_phase} "
        for exposed, text in series:
            if native and exposed.startswith("outrider_"):
                continue
            name, _, labels = exposed.partition("{")
            # As Prometheus does without honor_labels: what the target's own labels hide is renamed.
            own = _TARGET_LABEL.sub(r"exported_\1=", labels.removesuffix("}"))
            yield f"{name}{{{own}{',' if own else ''}{target}}}", start + text


def _of_neighbours(watcher: Watcher, cluster: str) -> Iterator[tuple[str, str]]:
    """Yield what Prometheus and Alertmanager export while they are well."""
    scrapes = watcher.run.moments // STEPS
    servers = sum(role == "server" for role in watcher.run.agents.values())
    for job in (JOB_PROMETHEUS, JOB_ALERTMANAGER):
        target = f'{{cluster="{cluster}",instance="{job}",job="{job}"}}'
        for name in sorted(rule_names(servers)):
            if name == "up" or name.startswith(f"{job}_"):
                # Counts of failures stand at 0, and what says that all is well at 1.
                well = int(name == "up" or name.endswith(("_successful", "_discovered", "_ready")))
                yield name + target, " ".join([f"{well} _x{STEPS - 1}"] * scrapes)


def values(first: int, samples: Samples) -> str:
    """Return *samples* in promtool's notation, from the moment *first* on."""
    words, cursor = [], first
    for moment, value in samples:
        if moment > cursor:
            words.append(f"_x{moment - cursor}")
        words.append(value)
        cursor = moment + 1
    return " ".join(words)

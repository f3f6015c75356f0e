"""Which alerts fire when: promtool evaluates the shipped rules over given samples and says what it got.

promtool tests print what they got only when it is not what they expected, so each question expects the impossible.
Notifications follow from the alerts by the table of inhibitions, as Alertmanager applies it.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from alert_rules.inhibitions import inhibited_by
from alert_rules.render import to_yaml
from alert_rules.rules import rule_files
from alert_rules.settings import ExpectedRegion, RuleSettings, Severity, Times
from telemetry.scrape.duration import format_duration, parse_duration
from tests.alert_rules.nomad_series import CLUSTER, REGION, Samples, values_text
from tests.tools import Program

SHIPPED = Times()
PROOF = Times(
    scrape_interval_seconds=1.0, evaluation_interval_seconds=1.0, group_wait_seconds=1.0, group_interval_seconds=2.0
)
_FIRING = 'count by (alertname) (ALERTS{alertstate="firing", severity=~"critical|warning"})'
_ANSWER = re.compile(r"expr: .*, time: (?P<time>\S+),\s*exp: .*\s*got: (?P<got>.*)")
_NAME = re.compile(r'alertname="(\w+)"')


@dataclass(frozen=True)
class Timeline:
    """The alerts that fire at each evaluation, by its time in seconds."""

    firing: dict[float, frozenset[str]]
    group_wait: float

    def fired(self) -> frozenset[str]:
        """Return every alert that fired at any time."""
        return frozenset().union(*self.firing.values())

    def first(self, alert: str) -> float:
        """Return when *alert* first fired, in seconds from the start."""
        return min(time for time, alerts in self.firing.items() if alert in alerts)

    def last(self, alert: str) -> float:
        """Return when *alert* last fired."""
        return max(time for time, alerts in self.firing.items() if alert in alerts)

    def notified(self) -> dict[str, float]:
        """Return each alert that a receiver hears of, with the time of its first notification.

        As Alertmanager does it: a group is looked at group_wait after it opens, and what an active cause inhibits is
        left out; it is heard of later when its cause ends first.
        """
        heard: dict[str, float] = {}
        opened: dict[str, float] = {}
        for time, alerts in sorted(self.firing.items()):
            opened = {alert: opened.get(alert, time) for alert in alerts}
            for alert, since in opened.items():
                if time >= since + self.group_wait and not alerts.intersection(inhibited_by(alert)):
                    heard.setdefault(alert, time)
        return heard


def settings(expected: int = 3, times: Times = SHIPPED) -> RuleSettings:
    """Return rule settings for one region of *expected* servers."""
    regions = (ExpectedRegion(name=REGION, expected_servers=expected),)
    return RuleSettings(cluster=CLUSTER, regions=regions, times=times)


def evaluate(
    promtool: Program, folder: Path, series: dict[str, Samples], rules: RuleSettings, step: float | None = None
) -> Timeline:
    """Return which alerts fire at each evaluation over *series*, whose samples are *step* seconds apart."""
    times = rules.times
    step = step or times.scrape_interval_seconds
    steps = max(len(samples) for samples in series.values())
    every = times.evaluation_interval_seconds
    moments = [number * every for number in range(int((steps - 1) * step / every) + 1)]
    test = {
        "interval": format_duration(step),
        "input_series": [{"series": name, "values": values_text(samples)} for name, samples in series.items()],
        "promql_expr_test": [
            {
                "expr": _FIRING,
                "eval_time": format_duration(moment),
                "exp_samples": [{"labels": '{impossible="yes"}', "value": -1}],
            }
            for moment in moments
        ],
    }
    (folder / "rules.yml").write_text(to_yaml(next(iter(rule_files(rules).values()))))
    document = {"rule_files": ["rules.yml"], "evaluation_interval": format_duration(every), "tests": [test]}
    (folder / "test.yml").write_text(yaml.safe_dump(document))
    said = promtool.run("test", "rules", str(folder / "test.yml"))
    firing = {
        parse_duration(answer["time"]): frozenset(_NAME.findall(answer["got"]))
        for answer in _ANSWER.finditer(said.stdout + said.stderr)
    }
    assert set(moments) == set(firing), (
        f"promtool answered {len(firing)} of {len(moments)} questions:\n{said.stderr[:2000]}"
    )
    return Timeline(firing, times.group_wait_seconds)


def severity_of(alert: str, rules: RuleSettings) -> Severity:
    """Return the severity of *alert*, as its rule file says it."""
    [(_, content)] = rule_files(rules).items()
    [word] = [rule["labels"]["severity"] for rule in content["groups"][0]["rules"] if rule.get("alert") == alert]
    return Severity(word)

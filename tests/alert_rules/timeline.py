"""Which alerts fire when: promtool evaluates the shipped rules over given samples and says what it got.

Notifications follow from the alerts by the table of inhibitions, as Alertmanager applies it.
"""

from dataclasses import dataclass
from pathlib import Path

from alert_rules.inhibitions import inhibited_by
from alert_rules.rules import rule_files
from alert_rules.settings import ExpectedRegion, RuleSettings, Severity, Times
from tests.alert_rules.asking import Question, ask
from tests.alert_rules.nomad_series import CLUSTER, REGION, Samples, values_text
from tests.tools import Program

SHIPPED = Times()
PROOF = Times(
    scrape_interval_seconds=1.0, evaluation_interval_seconds=1.0, group_wait_seconds=1.0, group_interval_seconds=2.0
)
_FIRING = 'count by (alertname) (ALERTS{alertstate="firing", severity=~"critical|warning"})'


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
    """Return which alerts fire at each evaluation over *series*, whose samples are *step* seconds apart.

    What promtool read stays in *folder*.
    """
    step = step or rules.times.scrape_interval_seconds
    every = rules.times.evaluation_interval_seconds
    steps = max(len(samples) for samples in series.values())
    moments = [number * every for number in range(int((steps - 1) * step / every) + 1)]
    texts = {selector: values_text(samples) for selector, samples in series.items()}
    files = list(rule_files(rules).values())
    answers = ask(promtool, files, texts, step, [Question(_FIRING, moment) for moment in moments], every, folder)
    firing = {
        moment: frozenset(sample.labels["alertname"] for sample in samples)
        for moment, samples in zip(moments, answers, strict=True)
    }
    return Timeline(firing, rules.times.group_wait_seconds)


def severity_of(alert: str, rules: RuleSettings) -> Severity:
    """Return the severity of *alert*, as its rule file says it."""
    [(_, content)] = rule_files(rules).items()
    [word] = [rule["labels"]["severity"] for rule in content["groups"][0]["rules"] if rule.get("alert") == alert]
    return Severity(word)

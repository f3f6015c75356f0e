"""What a receiver hears of alerts that fire: grouping, waiting and inhibition, as the generated Alertmanager file says.

An alert that begins or ends at the very evaluation at which a group is looked at may or may not be known there: what
would be heard in one of the two cases only is heard in a race, and a receiver hears it some of the time.
"""

import re
from dataclasses import dataclass, field

from alert_rules.alertmanager import alertmanager_config
from alert_rules.rules import rule_set
from alert_rules.settings import NOTIFYING, RuleSettings

_MATCHER = re.compile(r'(?P<label>\w+)\s*(?P<operation>=~|!~|!=|=)\s*"(?P<value>.*)"')

Labels = dict[str, str]


@dataclass(frozen=True)
class Heard:
    """The first notification of an alert, in seconds from the first evaluation."""

    alert: str
    seconds: float
    raced: bool


@dataclass
class _Group:
    """The alerts that Alertmanager tells of together."""

    looks_at: float
    told: set[str] = field(default_factory=set)


class Alertmanager:
    """Tells what is heard of the alerts of one cluster."""

    def __init__(self, settings: RuleSettings) -> None:
        self._config = alertmanager_config(settings)
        self._times = settings.times
        self._severities = {rule.alert: rule.severity for rule in rule_set(settings).alerts}

    def heard(self, firing: list[frozenset[str]]) -> list[Heard]:
        """Return the notifications of alerts that are *firing* at each evaluation, in order of time."""
        every, groups, found = self._times.evaluation_interval_seconds, dict[tuple[str, ...], _Group](), list[Heard]()
        before: frozenset[str] = frozenset()
        for number, now in enumerate(firing):
            time = number * every
            for alert in sorted(now):
                groups.setdefault(self._group_of(alert), _Group(time + self._times.group_wait_seconds))
            for key, group in list(groups.items()):
                members = {alert for alert in now | before if self._group_of(alert) == key}
                if not members:
                    del groups[key]
                elif time >= group.looks_at:
                    # What this very evaluation says may come before or after the look.
                    views = (before, now) if time == group.looks_at else (before, before)
                    found += self._look(group, members, views)
                    group.looks_at += self._times.group_interval_seconds
            before = now
        return found

    def _look(self, group: _Group, members: set[str], views: tuple[frozenset[str], frozenset[str]]) -> list[Heard]:
        told = []
        for alert in sorted(members - group.told):
            tells = [alert in view and not self._inhibited(alert, view) for view in views]
            if any(tells):
                group.told.add(alert)
                told.append(Heard(alert, group.looks_at, raced=not all(tells)))
        return [one for one in told if self._severities[one.alert] in NOTIFYING]

    def _group_of(self, alert: str) -> tuple[str, ...]:
        labels = self._labels(alert)
        return tuple(labels.get(name, "") for name in self._config["route"]["group_by"])

    def _inhibited(self, alert: str, view: frozenset[str]) -> bool:
        return any(
            _matches(row["target_matchers"], self._labels(alert))
            and any(cause != alert and _matches(row["source_matchers"], self._labels(cause)) for cause in view)
            for row in self._config["inhibit_rules"]
        )

    def _labels(self, alert: str) -> Labels:
        return {"alertname": alert, "severity": self._severities[alert].value}


def _matches(matchers: list[str], labels: Labels) -> bool:
    return all(_match(matcher, labels) for matcher in matchers)


def _match(matcher: str, labels: Labels) -> bool:
    parts = _MATCHER.fullmatch(matcher.strip())
    assert parts is not None, f"not understood: {matcher}"
    value = labels.get(parts["label"], "")
    match parts["operation"]:
        case "=":
            return value == parts["value"]
        case "!=":
            return value != parts["value"]
        case "=~":
            return re.fullmatch(parts["value"], value) is not None
        case _:
            return re.fullmatch(parts["value"], value) is None

"""All rules in their groups, as they stand in the rule files."""

import math
from dataclasses import dataclass
from typing import Any

from alert_rules import budget
from alert_rules.gossip import GOSSIP
from alert_rules.inhibitions import INHIBITIONS, in_order, inhibited_by
from alert_rules.nodes import NODES
from alert_rules.quorum import QUORUM
from alert_rules.raft import RAFT
from alert_rules.recording import recording_rules
from alert_rules.rule import AlertRule, RecordingRule, RuleError
from alert_rules.scheduler import SCHEDULER
from alert_rules.settings import Choice, RuleSettings, Times
from alert_rules.spec import AlertSpec, yielding
from alert_rules.trust import TRUST
from alert_rules.watchers import WATCHERS, watchdog

NOMAD_FILE = "rules/nomad.yml"
GROUP = "outrider-nomad"

SPECS: tuple[AlertSpec, ...] = (*QUORUM, *RAFT, *NODES, *SCHEDULER, *GOSSIP, *TRUST, *WATCHERS)
"""Every alert but the Watchdog, by subject."""

_HOLD_STEP_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSet:
    """Every rule that the clusters get, recording rules first."""

    recording: tuple[RecordingRule, ...]
    alerts: tuple[AlertRule, ...]

    def alert(self, name: str) -> AlertRule:
        """Return the alert called *name*; raise KeyError when there is none."""
        for rule in self.alerts:
            if rule.alert == name:
                return rule
        raise KeyError(name)


def rule_set(settings: RuleSettings) -> RuleSet:
    """Return the rules that *settings* give; raise RuleError when a chosen number or hold cannot be."""
    specs = {spec.alert: spec for spec in SPECS}
    chosen = [name for name in specs if settings.choices.get(name, Choice()).enabled]
    alerts: dict[str, AlertRule] = {}
    for name in in_order(chosen):
        spec = specs[name]
        rule = spec.rule(settings, _hold_seconds(spec, alerts, settings))
        causes = tuple(cause for cause in inhibited_by(name) if cause in alerts)
        alerts[name] = yielding(rule, causes, settings.windows.events_seconds if spec.counts_events else 0.0)
    dog = watchdog(settings.clusters)
    alerts[dog.alert] = dog.rule(settings, 0.0)
    return RuleSet(recording=tuple(recording_rules(settings)), alerts=tuple(alerts.values()))


def rule_files(settings: RuleSettings) -> dict[str, dict[str, Any]]:
    """Return the rule files: name relative to prometheus.yml, to content."""
    rules, dialect = rule_set(settings), settings.dialect
    recording = [rule.document(dialect) for rule in rules.recording]
    alerts = [rule.document(settings.links, dialect) for rule in rules.alerts]
    # One group: its rules are evaluated in order and at one time, so that an alert sees what was just recorded, and
    # which of its causes fire.
    return {NOMAD_FILE: {"groups": [{"name": GROUP, "rules": [*recording, *alerts]}]}}


def _hold_seconds(spec: AlertSpec, causes: dict[str, AlertRule], settings: RuleSettings) -> float:
    """Return how long an alert is held: as shipped or chosen, and no shorter than its causes need to be notified first.

    A consequence that fires before its cause is notified unless its cause fires within group_wait.
    """
    least, because = _least_hold(spec.alert, causes, settings.times)
    chosen = settings.choices.get(spec.alert, Choice()).hold_seconds
    if chosen is None:
        return max(spec.hold_seconds, least)
    if chosen < least:
        raise RuleError(
            f"{spec.alert}: `for` is {chosen:g}s, and {because}, which silences it, may take longer to fire: "
            f"set it to {least:g}s or more"
        )
    return chosen


def _least_hold(alert: str, causes: dict[str, AlertRule], times: Times) -> tuple[float, str]:
    least, because = 0.0, ""
    for row in INHIBITIONS:
        cause = causes.get(row.cause)
        if alert not in row.consequences or cause is None:
            continue
        fires = budget.firing_seconds(cause.onset, cause.hold_seconds, times)
        if row.shares_onset:
            fires -= budget.onset_seconds(cause.onset, times) + times.evaluation_interval_seconds
        needed = math.ceil((fires - times.group_wait_seconds) / _HOLD_STEP_SECONDS) * _HOLD_STEP_SECONDS
        if needed > least:
            least, because = needed, row.cause
    return least, because

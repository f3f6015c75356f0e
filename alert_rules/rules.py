"""All rules in their groups, as they stand in the rule files."""

from dataclasses import dataclass
from typing import Any

from alert_rules.agents import agent_rules
from alert_rules.alertmanager import WATCHDOG
from alert_rules.budget import Onset
from alert_rules.quorum import quorum_rules
from alert_rules.recording import recording_rules
from alert_rules.rule import AlertRule, RecordingRule
from alert_rules.settings import RuleSettings, Severity

NOMAD_FILE = "rules/nomad.yml"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSet:
    """Every rule that a cluster gets, recording rules first."""

    recording: tuple[RecordingRule, ...]
    alerts: tuple[AlertRule, ...]

    def alert(self, name: str) -> AlertRule:
        """Return the alert called *name*; raise KeyError when there is none."""
        for rule in self.alerts:
            if rule.alert == name:
                return rule
        raise KeyError(name)


def rule_set(settings: RuleSettings) -> RuleSet:
    """Return the rules that *settings* give."""
    times = settings.times
    about_quorum = quorum_rules(settings)
    promised = {rule.alert: rule.promised_seconds(times) for rule in about_quorum}
    outage = max(promised["NomadQuorumLost"], promised["NomadNoLeader"])
    about_agents = agent_rules(times, outage, promised["NomadQuorumAtRisk"])
    return RuleSet(
        recording=tuple(recording_rules(settings)),
        alerts=(*about_quorum, *about_agents, _watchdog(settings.cluster)),
    )


def rule_files(settings: RuleSettings) -> dict[str, dict[str, Any]]:
    """Return the rule files: name relative to prometheus.yml, to content."""
    rules = rule_set(settings)
    alerts = [rule.document(settings.links) for rule in rules.alerts]
    # One group: its rules are evaluated in order and at one time, so that an alert sees what was just recorded.
    group = {"name": "outrider-nomad", "rules": [*(rule.document() for rule in rules.recording), *alerts]}
    return {NOMAD_FILE: {"groups": [group]}}


def _watchdog(cluster: str) -> AlertRule:
    return AlertRule(
        alert=WATCHDOG,
        # Not as a label of the rule: the summary could not name it.
        expr=f'label_replace(vector(1), "cluster", "{cluster}", "", "")',
        onset=Onset.NOTHING,
        severity=Severity.NONE,
        summary="Alerting for Nomad cluster {{ $labels.cluster }} works.",
        description="""
        Always firing (the value is {{ $value }}). When it stops arriving, Prometheus, Alertmanager or the way to the
        receiver is broken, and no other alert would arrive either.
        """,
    )

"""Alerts about leadership and quorum: the reasons for which work is lost.

Each stands on what a real Nomad exports alone; the recording rules prefer what our own agent or exporter says where
it is there. The expected size comes from the settings: whatever is measured shrinks with the losses.
"""

from alert_rules import budget
from alert_rules.budget import Onset
from alert_rules.rule import AlertRule
from alert_rules.settings import RuleSettings, Severity
from telemetry.scrape.duration import format_duration

_RESTART_SECONDS = 15.0
"""A server that is back within this time, leader or not, is no event."""

_LINGER_SECONDS = 60.0
"""How long a real Nomad goes on exporting a series that is no longer updated."""

AT_RISK_KEPT_SECONDS = _LINGER_SECONDS + 10.0
"""How long NomadQuorumAtRisk stays: longer than NomadQuorumLost, whose firing would swallow its end."""


def quorum_rules(settings: RuleSettings) -> list[AlertRule]:
    """Return the rules, causes before their consequences."""
    times = settings.times
    lost = _quorum_lost(settings)
    leaderless = _no_leader(settings, lost)
    causes = max(lost.promised_seconds(times), leaderless.promised_seconds(times))
    return [lost, leaderless, _at_risk(settings, causes, leaderless), _flapping(causes)]


def _quorum_lost(settings: RuleSettings) -> AlertRule:
    return AlertRule(
        alert="NomadQuorumLost",
        # Fewer answer than the majority, and none of those that answer proves a leader: while one does, it is the
        # scrapes that fail. The last line keeps a region whose targets vanished for NomadMetricsMissing.
        expr="""
        outrider:servers_up < outrider:servers_quorum
        and outrider:leader_signals == 0
        and on (cluster, region) up{role="server"}
        """,
        # A single server takes its signs of life with it.
        onset=Onset.SCRAPE if settings.smallest_region == 1 else Onset.WINDOW,
        hold_seconds=_quorum_hold_seconds(settings),
        # Over the minute in which a former leader's series linger, so that no consequence shows when this one ends.
        keep_firing_seconds=_LINGER_SECONDS,
        severity=Severity.CRITICAL,
        summary="Nomad cluster {{ $labels.cluster }} has lost its quorum in region {{ $labels.region }}.",
        description="""
        Servers that answer: {{ $value }}. That is no majority, and none of them hears a leader. Running tasks go on;
        nothing is scheduled, no lost client is noticed and every write fails until a majority is back.
        """,
    )


def _quorum_hold_seconds(settings: RuleSettings) -> float:
    # Two evaluations, so that one scrape that fails everywhere at once pages nobody.
    if settings.smallest_region > 2:
        return 5.0
    # In a cluster of one or two any restart loses the quorum, until the next scrape and evaluation see the server.
    times = settings.times
    return _RESTART_SECONDS + times.scrape_interval_seconds + times.evaluation_interval_seconds


def _no_leader(settings: RuleSettings, lost: AlertRule) -> AlertRule:
    times = settings.times
    # Longer than a fail-over (2 to 4 s on a real Nomad), and longer than NomadQuorumLost can start and be held after
    # it when the dead servers hang rather than refuse. The window is the same for both and cancels out.
    behind_quorum = (
        times.scrape_interval_seconds
        + budget.scrape_timeout_seconds(times)
        + times.evaluation_interval_seconds
        + budget.effective_hold_seconds(lost.hold_seconds, times)
        - times.group_wait_seconds
    )
    return AlertRule(
        alert="NomadNoLeader",
        # Whatever `up` says. Servers that export nothing about Raft are left to NomadMetricsMissing.
        expr="""
        outrider:leader_signals == 0
        and on (cluster, region) up{role="server"}
        unless (outrider:servers_blind > 0 and outrider:servers_blind == outrider:servers_up)
        """,
        onset=Onset.WINDOW,
        hold_seconds=max(20.0, behind_quorum),
        severity=Severity.CRITICAL,
        summary="Nomad cluster {{ $labels.cluster }} has no leader in region {{ $labels.region }}.",
        description="""
        {{ $value }} servers prove a live leader, for longer than any fail-over takes. Servers may all answer: they are
        cut from each other, paused, or their disks hang. Nothing is scheduled and every write fails.
        """,
    )


def _at_risk(settings: RuleSettings, causes_promise: float, leaderless: AlertRule) -> AlertRule:
    recent = format_duration(max(leaderless.hold_seconds, budget.window_seconds(settings.times)))
    return AlertRule(
        alert="NomadQuorumAtRisk",
        # First the live leader's own count, which knows of servers that answer scrapes and not each other, and of a
        # cluster that autopilot shrank. Without it, how many answer. It does not begin in an outage, and one that was
        # there before stays: see alert_rules/inhibitions.py.
        # One and two servers can never lose one, so they are never "at risk".
        expr=f"""
        outrider:servers_up
        and outrider:servers_expected > 2
        and on (cluster, region) up{{role="server"}}
        and (
            outrider:failure_tolerance == 0
          or
            (
              outrider:servers_up == outrider:servers_quorum
              and max_over_time(outrider:leader_signals[{recent}]) > 0
              unless outrider:failure_tolerance > 0
            )
          or
            (
              outrider:leader_signals == 0
              and on (cluster, region) ALERTS{{alertname="NomadQuorumAtRisk", alertstate="firing"}}
            )
        )
        """,
        onset=Onset.SCRAPE,
        # Longer than a restart, and than the 20 to 33 s for which a server that left and came back has no vote.
        hold_seconds=budget.hold_after(causes_promise, 60.0),
        keep_firing_seconds=AT_RISK_KEPT_SECONDS,
        severity=Severity.WARNING,
        summary="Nomad cluster {{ $labels.cluster }} cannot lose another server in region {{ $labels.region }}.",
        description="""
        Servers that answer: {{ $value }}. With one less there is no majority: no leader, no scheduling, no writes.
        Bring a server back, or lower expected_servers if one was removed on purpose.
        """,
    )


def _flapping(causes_promise: float) -> AlertRule:
    return AlertRule(
        alert="NomadLeaderFlapping",
        # More elections than servers: a rolling restart that hits the leader each time makes one for each server. An
        # outage explains its elections itself.
        expr="""
        outrider:elections_10m > clamp_min(outrider:servers_expected, 3)
        unless on (cluster, region) (
          max_over_time(ALERTS{alertname=~"NomadQuorumLost|NomadNoLeader", alertstate="firing"}[10m])
          unless on (cluster, region) ALERTS{alertname="NomadLeaderFlapping", alertstate="firing"}
        )
        """,
        onset=Onset.WINDOW,
        hold_seconds=budget.hold_after(causes_promise, 60.0),
        severity=Severity.WARNING,
        summary="Nomad cluster {{ $labels.cluster }} keeps changing its leader in region {{ $labels.region }}.",
        description="""
        {{ $value }} elections in the last ten minutes, more than restarting every server explains. Each stops writes
        and scheduling for seconds; look for slow disks, a busy host or a lossy network between the servers.
        """,
    )

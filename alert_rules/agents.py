"""Alerts about single agents and about their metrics: servers and clients that are gone, and data that is missing."""

from alert_rules import budget
from alert_rules.budget import Onset
from alert_rules.inhibitions import inhibited_by
from alert_rules.quorum import AT_RISK_KEPT_SECONDS
from alert_rules.rule import AlertRule
from alert_rules.settings import Severity, Times
from telemetry.catalogue.external import UP

SERVER_DOWN = "NomadServerDown"


def agent_rules(times: Times, outage_promise: float, at_risk_promise: float) -> list[AlertRule]:
    """Return the rules; the promises are those of the alerts about quorum that may be their cause."""
    missing = _metrics_missing()
    causes = max(outage_promise, at_risk_promise, missing.promised_seconds(times))
    return [missing, _server_down(causes), _client_down()]


def _metrics_missing() -> AlertRule:
    return AlertRule(
        alert="NomadMetricsMissing",
        # Proof that servers live which are not seen: no target at all; more voters than servers that answer; a live
        # leader without a majority that answers; servers that answer with nothing about Raft. On a real Nomad the
        # number of voters follows from the tolerance only when it is odd, for n and n - 1 voters tolerate the same
        # when n is even.
        expr="""
        (outrider:servers_up - outrider:servers_blind)
        and (
            (outrider:servers_expected unless on (cluster, region) up{role="server"})
          or
            outrider:servers_blind > 0
          or
            outrider:servers_up < outrider:voters_healthy
          or
            (
              outrider:servers_up < outrider:servers_expected
              and outrider:servers_expected % 2 == 1
              and outrider:failure_tolerance == outrider:servers_expected - outrider:servers_quorum
            )
          or
            (
              outrider:servers_up < outrider:servers_quorum
              and outrider:leader_signals > 0
              unless outrider:failure_tolerance
            )
        )
        """,
        onset=Onset.WINDOW,
        hold_seconds=60.0,
        severity=Severity.WARNING,
        summary="Metrics of Nomad cluster {{ $labels.cluster }} are missing in region {{ $labels.region }}.",
        description="""
        Servers that give their metrics: {{ $value }}, although more of them live, or none is a target of Prometheus
        any more. The cluster may be well; an outage would be noticed late or not at all.
        """,
    )


def _server_down(causes_promise: float) -> AlertRule:
    return AlertRule(
        alert=SERVER_DOWN,
        # A server that said goodbye is no loss; when it is missed, NomadQuorumAtRisk says so. It does not begin under
        # an alert that inhibits it, and stays when it was there before: see alert_rules/inhibitions.py.
        expr=f"""
        up{{role="server"}} == 0
        unless on (cluster, region, instance) outrider:server_left
        unless on (cluster, region, instance) (
          up{{role="server"}}
          and on (cluster, region) ALERTS{{alertname=~"{"|".join(inhibited_by(SERVER_DOWN))}", alertstate="firing"}}
          unless on (cluster, region, instance) ALERTS{{alertname="{SERVER_DOWN}", alertstate="firing"}}
        )
        """,
        onset=Onset.SCRAPE,
        hold_seconds=budget.hold_after(causes_promise, 100.0),
        keep_firing_seconds=AT_RISK_KEPT_SECONDS + 10.0,
        severity=Severity.WARNING,
        unit=UP.unit,
        summary="Nomad server {{ $labels.instance }} of cluster {{ $labels.cluster }} is down.",
        description="""
        Prometheus gets no answer from this server in region {{ $labels.region }} (up is {{ $value }}). The others
        still form a majority; bring it back before another one fails.
        """,
    )


def _client_down() -> AlertRule:
    return AlertRule(
        alert="NomadClientDown",
        expr='up{role="client"} == 0',
        onset=Onset.SCRAPE,
        # Longer than a restart and than the 29 s after which the servers themselves call it down.
        hold_seconds=45.0,
        severity=Severity.WARNING,
        unit=UP.unit,
        summary="Nomad client {{ $labels.instance }} of cluster {{ $labels.cluster }} is down.",
        description="""
        Prometheus gets no answer from this client in region {{ $labels.region }} (up is {{ $value }}). The servers
        reschedule its work once its heartbeat is missed; tasks on it may still run if only the agent died.
        """,
    )

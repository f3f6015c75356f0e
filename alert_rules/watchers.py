"""Alerts about Prometheus and Alertmanager themselves, and the dead-man's switch for the day none of them works."""

from alert_rules import budget
from alert_rules.alertmanager import WATCHDOG
from alert_rules.settings import Severity
from alert_rules.spec import AlertSpec, Number
from telemetry.catalogue.external import UP
from telemetry.catalogue.metric import Unit

RULES_FAILING = AlertSpec(
    alert="OutriderRulesFailing",
    expr="""
    sum by (instance) (increase(prometheus_rule_evaluation_failures_total{role="prometheus"}[$recent]))
    + sum by (instance) (increase(prometheus_rule_group_iterations_missed_total{role="prometheus"}[$recent]))
    > 0
    """,
    onset=budget.over(30.0),
    hold_seconds=60.0,
    hold_why="One evaluation that came late passes.",
    severity=Severity.WARNING,
    summary="Prometheus {{ $labels.instance }} does not evaluate all of its rules.",
    description="""
    {{ $value | printf "%.0f" }} evaluations failed or were skipped within $recent. Alerts that rest on them are late
    or silent: the page of rules says which and why.
    """,
)

CONFIG_REJECTED = AlertSpec(
    alert="OutriderConfigRejected",
    expr="""
    prometheus_config_last_reload_successful{role="prometheus"} == 0
    or
    alertmanager_config_last_reload_successful{role="alertmanager"} == 0
    """,
    onset=budget.SCRAPE,
    hold_seconds=60.0,
    hold_why="Whoever reloads may be about to mend it.",
    unit=Unit.BOOLEAN,
    severity=Severity.WARNING,
    summary="{{ $labels.instance }} goes on with an old configuration: the new one was refused.",
    description="""
    Its last reload failed (successful is {{ $value }}). What was changed since does not count, and a restart would fail:
    its log says why, `promtool check config` and `amtool check-config` too.
    """,
)

NOTIFICATIONS_FAILING = AlertSpec(
    alert="OutriderNotificationsFailing",
    # A Prometheus that was just started drops what fires until it has found its Alertmanagers, some five seconds.
    expr="""
    sum by (instance) (increase(alertmanager_notification_requests_failed_total{role="alertmanager"}[$recent])) >= $failures
    or
    sum by (instance) (increase(prometheus_notifications_errors_total{role="prometheus"}[$recent])) >= $failures
    or
    (
      sum by (instance) (increase(prometheus_notifications_dropped_total{role="prometheus"}[$recent])) >= $failures
      and on (instance)
      process_start_time_seconds{role="prometheus"} == process_start_time_seconds{role="prometheus"} offset $recent
    )
    """,
    onset=budget.over(60.0),
    hold_seconds=0.0,
    hold_why="The count is patience enough.",
    numbers=(
        Number(
            name="failures",
            default=3.0,
            unit=Unit.COUNT,
            least=1.0,
            why="Alertmanager tries again by itself; a receiver that was restarted costs one or two tries.",
        ),
    ),
    severity=Severity.WARNING,
    summary="{{ $labels.instance }} cannot deliver notifications.",
    description="""
    {{ $value | printf "%.0f" }} failed within $recent, from Prometheus to Alertmanager or from there to a receiver.
    Pages may be lost: its log names the receiver, `outrider alert test` tries the whole chain.
    """,
)

ALERTMANAGER_DOWN = AlertSpec(
    alert="OutriderAlertmanagerDown",
    # What a single Alertmanager would have to deliver itself shows on Prometheus' page alone; of a pair the other does.
    expr="""
    up{role="alertmanager"} == 0
    or
    prometheus_notifications_alertmanagers_discovered{role="prometheus"} < $alertmanagers
    """,
    onset=budget.GONE,
    hold_seconds=60.0,
    hold_why="Longer than a restart.",
    unit=UP.unit,
    severity=Severity.WARNING,
    summary="Alertmanager is down: {{ $labels.instance }} says so.",
    description="""
    It gives no answer, or Prometheus knows fewer of them than there are (the value is {{ $value }}). With the last one
    every notification is lost, and only the dead-man's switch tells.
    """,
)

PROMETHEUS_DOWN = AlertSpec(
    alert="OutriderPrometheusDown",
    expr='up{role="prometheus"} == 0',
    onset=budget.GONE,
    hold_seconds=60.0,
    hold_why="Longer than a restart.",
    unit=UP.unit,
    severity=Severity.WARNING,
    summary="Prometheus {{ $labels.instance }} is down.",
    description="""
    The other one of the pair gets no answer from it (up is {{ $value }}) and watches alone.
    """,
)

WATCHERS = (PROMETHEUS_DOWN, ALERTMANAGER_DOWN, CONFIG_REJECTED, RULES_FAILING, NOTIFICATIONS_FAILING)


def watchdog(clusters: tuple[str, ...]) -> AlertSpec:
    """Return the alert that always fires, once for each cluster."""
    return AlertSpec(
        alert=WATCHDOG,
        # Not as a label of the rule: the summary could not name it.
        expr=" or ".join(f'label_replace(vector(1), "cluster", "{cluster}", "", "")' for cluster in clusters),
        onset=budget.NOTHING,
        hold_why="It always fires.",
        severity=Severity.NONE,
        summary="Alerting for Nomad cluster {{ $labels.cluster }} works.",
        description="""
        Always firing (the value is {{ $value }}). When it stops arriving, Prometheus, Alertmanager or the way to the
        receiver is broken, and no other alert would arrive either.
        """,
    )

"""Cases of the alerts about Prometheus and Alertmanager themselves."""

from tests.alert_rules.case import Case, fires
from tests.alert_rules.case_series import flat, then

_PROMETHEUS = 'job="prometheus",instance="p1"'
_ALERTMANAGER = 'job="alertmanager",instance="a1"'


_DROPPED = f"prometheus_notifications_dropped_total{{{_PROMETHEUS}}}"
_STARTED = f"process_start_time_seconds{{{_PROMETHEUS}}}"


def _quiet(name: str, values: str) -> Case:
    """Return a case in which a count of failures does what is not enough."""
    return Case(
        alert="OutriderNotificationsFailing",
        name=f"two of {name}",
        series={name: values, _STARTED: flat(1_000, 600)},
        silent=(200.0, 390.0, 500.0),
    )


_FAILURES = (
    f'alertmanager_notification_requests_failed_total{{{_ALERTMANAGER},integration="webhook"}}',
    f'prometheus_notifications_errors_total{{{_PROMETHEUS},alertmanager="http://a1/api/v2/alerts"}}',
    _DROPPED,
)

CASES = (
    *(
        Case(
            alert="OutriderNotificationsFailing",
            name=f"six of {series}",
            series={series: then((0, 80), (2, 6), (4, 6), (6, 120)), _STARTED: flat(1_000, 1_000)},
            fires=(fires(500.0),),
            silent=(395.0, 900.0),
        )
        for series in _FAILURES
    ),
    Case(
        alert="OutriderNotificationsFailing",
        name="two of three drop what fires until they have found Alertmanager, and later again; a clock was set back",
        series={
            _DROPPED: then((0, 20), (6, 70), (12, 100)),
            _STARTED: then((1_000, 20), (1_100, 170)),
            'prometheus_notifications_dropped_total{job="prometheus",instance="p2"}': then((0, 20), (6, 70), (12, 100)),
            'process_start_time_seconds{job="prometheus",instance="p2"}': then((1_000, 20), (900, 170)),
            'process_start_time_seconds{job="prometheus",instance="p3"}': flat(1_000, 900),
            'process_start_time_seconds{job="elsewhere",instance="p1"}': flat(1_000, 900),
        },
        fires=(fires(500.0, instance="p1"), fires(500.0, instance="p2")),
        silent=(110.0, 150.0, 390.0),
    ),
    Case(
        alert="OutriderNotificationsFailing",
        name="a Prometheus is watched first while it drops",
        series={_DROPPED: "_x19 0 6x100", _STARTED: "_x19 1000x101"},
        silent=(110.0, 150.0, 390.0),
    ),
    *(_quiet(series, then((0, 20), (2, 100))) for series in _FAILURES),
    Case(
        alert="OutriderRulesFailing",
        name="a rule fails at each evaluation",
        series={
            f'prometheus_rule_evaluation_failures_total{{{_PROMETHEUS},rule_group="g"}}': "0x20 1+1x100",
            f'prometheus_rule_group_iterations_missed_total{{{_PROMETHEUS},rule_group="g"}}': flat(0, 600),
        },
        fires=(fires(190.0, instance="p1"), fires(500.0, instance="p1")),
        silent=(95.0, 150.0),
    ),
    Case(
        alert="OutriderRulesFailing",
        name="evaluations are skipped",
        series={
            f'prometheus_rule_evaluation_failures_total{{{_PROMETHEUS},rule_group="g"}}': flat(0, 600),
            f'prometheus_rule_group_iterations_missed_total{{{_PROMETHEUS},rule_group="g"}}': "0x20 1+1x100",
        },
        fires=(fires(190.0, instance="p1"), fires(500.0, instance="p1")),
        silent=(95.0, 150.0),
    ),
    Case(
        alert="OutriderRulesFailing",
        name="all is evaluated",
        series={
            f'prometheus_rule_evaluation_failures_total{{{_PROMETHEUS},rule_group="g"}}': flat(3, 600),
            f'prometheus_rule_group_iterations_missed_total{{{_PROMETHEUS},rule_group="g"}}': flat(2, 600),
        },
        silent=(190.0, 500.0),
    ),
    Case(
        alert="OutriderConfigRejected",
        name="both refuse their configuration",
        series={
            f"prometheus_config_last_reload_successful{{{_PROMETHEUS}}}": then((1, 12), (0, 49)),
            f"alertmanager_config_last_reload_successful{{{_ALERTMANAGER}}}": then((1, 12), (0, 49)),
        },
        fires=(fires(130.0, instance="p1", value=0), fires(130.0, instance="a1", value=0)),
        silent=(55.0, 110.0),
    ),
    Case(
        alert="OutriderConfigRejected",
        name="a mistake is mended at once",
        series={
            f"prometheus_config_last_reload_successful{{{_PROMETHEUS}}}": then((1, 12), (0, 9), (1, 40)),
            f"alertmanager_config_last_reload_successful{{{_ALERTMANAGER}}}": flat(1, 300),
        },
        silent=(90.0, 130.0, 240.0),
    ),
    Case(
        alert="OutriderAlertmanagerDown",
        name="it does not answer",
        series={
            f"up{{{_ALERTMANAGER}}}": then((1, 12), (0, 49)),
            f"prometheus_notifications_alertmanagers_discovered{{{_PROMETHEUS}}}": flat(1, 300),
        },
        fires=(fires(130.0, instance="a1", value=0),),
        silent=(55.0, 110.0),
    ),
    Case(
        alert="OutriderAlertmanagerDown",
        name="Prometheus knows none",
        series={
            f"up{{{_ALERTMANAGER}}}": flat(1, 300),
            f"prometheus_notifications_alertmanagers_discovered{{{_PROMETHEUS}}}": then((1, 12), (0, 49)),
        },
        fires=(fires(130.0, instance="p1", value=0),),
        silent=(55.0, 110.0),
    ),
    Case(
        alert="OutriderAlertmanagerDown",
        name="a restart",
        series={
            f"up{{{_ALERTMANAGER}}}": then((1, 12), (0, 9), (1, 40)),
            f"prometheus_notifications_alertmanagers_discovered{{{_PROMETHEUS}}}": flat(1, 300),
        },
        silent=(90.0, 130.0, 240.0),
    ),
    Case(
        alert="OutriderPrometheusDown",
        name="the other one of a pair does not answer",
        series={
            'up{job="prometheus",instance="p2"}': then((1, 12), (0, 49)),
            f"up{{{_PROMETHEUS}}}": flat(1, 300),
        },
        fires=(fires(130.0, instance="p2", value=0),),
        silent=(55.0, 110.0),
    ),
    Case(
        alert="OutriderPrometheusDown",
        name="a restart of the other one",
        series={
            'up{job="prometheus",instance="p2"}': then((1, 12), (0, 9), (1, 40)),
            'up{job="elsewhere",instance="x"}': flat(0, 300),
        },
        silent=(90.0, 130.0, 240.0),
    ),
)

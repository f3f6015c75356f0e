"""Cases of the alerts about evaluations, plans and schedulers."""

from tests.alert_rules.case import Case, fires
from tests.alert_rules.case_series import born, flat, growing, then, up

_LONG = 900.0


def _gauge(series: str, leader: str) -> dict[str, str]:
    """Return a gauge of the leader's, 0 on a follower."""
    return {**up(_LONG), f'{series}{{instance="s1"}}': leader, f'{series}{{instance="s2"}}': flat(0, _LONG)}


def _runs(scheduler: str, server: str, count: float, each: float, slow: float, until: int = 181) -> dict[str, str]:
    """Return the runs of a scheduler: *count* a sample, of *slow* ms between the 24th sample and *until*."""
    series, total, sums = f"nomad_nomad_worker_invoke_scheduler_{scheduler}", 0.0, []
    for number in range(int(_LONG / 5) + 1):
        total += count * (slow if 24 <= number < until else each)
        sums.append(f"{total:g}")
    return {
        f'{series}_sum{{instance="{server}"}}': " ".join(sums),
        f'{series}_count{{instance="{server}"}}': growing(count, _LONG),
    }


def _born(selector: str, births: tuple[tuple[int, float], ...]) -> dict[str, str]:
    return born(selector, _LONG, *births)


CASES = (
    *(
        Case(
            alert="NomadSchedulingSlow",
            name=f"runs of the {scheduler} scheduler take three seconds",
            series={
                **_runs(scheduler, "s1", 2, 20, 3_000),
                **_runs(scheduler, "s2", 2, 20, 3_000),
                **(_runs("service", "s3", 2, 20, 30) if scheduler != "service" else {}),
            },
            fires=(fires(300.0, scheduler=scheduler), fires(800.0, value=3_000, scheduler=scheduler)),
            silent=(110.0, 230.0),
        )
        for scheduler in ("service", "batch", "system", "sysbatch")
    ),
    Case(
        alert="NomadSchedulingSlow",
        name="runs of almost two seconds, and a minute of slower ones",
        series={
            **_runs("service", "s1", 2, 1_900, 4_000, until=36),
            **_runs("batch", "s1", 2, 1_900, 1_990),
        },
        silent=(110.0, 230.0, 300.0, 800.0),
    ),
    Case(
        alert="NomadEvaluationsStuck",
        name="workers hold evaluations and finish none",
        series={
            **_gauge("nomad_nomad_broker_total_unacked", flat(2, _LONG)),
            'nomad_nomad_eval_ack_count{instance="s1"}': "0+10x24 240x156",
        },
        fires=(fires(310.0, value=2), fires(800.0, value=2)),
        silent=(110.0, 230.0, 285.0),
    ),
    Case(
        alert="NomadEvaluationsStuck",
        name="workers hold evaluations and finish some",
        series={
            **_gauge("nomad_nomad_broker_total_unacked", flat(2, _LONG)),
            'nomad_nomad_eval_ack_count{instance="s1"}': growing(0.1, _LONG),
        },
        silent=(310.0, 800.0),
    ),
    Case(
        alert="NomadEvaluationsStuck",
        name="nothing is to be done",
        series=_gauge("nomad_nomad_broker_total_unacked", flat(0, _LONG)),
        silent=(310.0, 800.0),
    ),
    Case(
        alert="NomadPlanQueueBacklog",
        name="eleven plans wait for minutes",
        series=_gauge("nomad_nomad_plan_queue_depth", then((10, 12), (11, 100), (0, 69))),
        fires=(fires(260.0, value=11), fires(550.0, value=11)),
        silent=(55.0, 240.0, 600.0),
    ),
    Case(
        alert="NomadPlanQueueBacklog",
        name="plans queue for three minutes",
        series=_gauge("nomad_nomad_plan_queue_depth", then((10, 12), (50, 36), (10, 133))),
        silent=(55.0, 230.0, 255.0, 600.0),
    ),
    Case(
        alert="NomadEvaluationBacklog",
        name="more than a hundred evaluations wait for minutes",
        series=_gauge("nomad_nomad_broker_total_ready", then((100, 12), (101, 100), (0, 69))),
        fires=(fires(270.0, value=101), fires(550.0, value=101)),
        silent=(55.0, 250.0, 600.0),
    ),
    Case(
        alert="NomadEvaluationBacklog",
        name="two thousand registrations are worked off in a minute",
        series=_gauge("nomad_nomad_broker_total_ready", then((0, 12), (1_400, 12), (0, 157))),
        silent=(55.0, 120.0, 270.0, 600.0),
    ),
    Case(
        alert="NomadEvaluationsBlocked",
        name="one finds no place for more than a quarter of an hour",
        interval=15.0,
        series={
            'nomad_nomad_blocked_evals_total_blocked{instance="s1"}': then((0, 5), (1, 30), (0, 2), (1, 60)),
            'nomad_nomad_blocked_evals_total_blocked{instance="s2"}': flat(0, 480),
        },
        # The two samples of 0 are a fail-over, and do not begin the wait anew.
        fires=(fires(1_020.0, value=1), fires(1_400.0, value=1)),
        silent=(60.0, 930.0),
    ),
    Case(
        alert="NomadEvaluationsBlocked",
        name="one waits for ten minutes",
        interval=15.0,
        series={'nomad_nomad_blocked_evals_total_blocked{instance="s1"}': then((0, 5), (1, 40), (0, 60))},
        silent=(60.0, 650.0, 1_020.0),
    ),
    Case(
        alert="NomadPlanRejections",
        name="fifteen rejections of one client within ten minutes",
        series={
            **up(_LONG),
            **_born('nomad_nomad_plan_node_rejected{instance="s1",node_id="n1"}', ((20, 5), (25, 10), (30, 15))),
            **_born('nomad_nomad_plan_node_rejected{instance="s1",node_id="n2"}', ((20, 9), (30, 14))),
        },
        fires=(fires(200.0, value=15, node_id="n1"), fires(500.0, value=15, node_id="n1")),
        silent=(90.0, 120.0, 850.0),
    ),
    Case(
        alert="NomadPlanRejections",
        name="fourteen, and again the same number long after",
        series={
            **up(_LONG),
            **_born('nomad_nomad_plan_node_rejected{instance="s1",node_id="n1"}', ((20, 14), (160, 14))),
        },
        silent=(200.0, 500.0, 860.0),
    ),
    Case(
        alert="NomadEvaluationsFailing",
        name="our leader gives up three",
        series={
            **up(_LONG),
            'outrider_evaluations_failed_total{instance="s1",server="s1"}': then((0, 20), (1, 5), (2, 5), (4, 151)),
            'outrider_evaluations_failed_total{instance="s2",server="s2"}': flat(7, _LONG),
        },
        fires=(fires(200.0),),
        silent=(90.0, 130.0, 850.0),
    ),
    Case(
        alert="NomadEvaluationsFailing",
        name="a real Nomad follows up three that failed",
        series={
            **up(_LONG),
            **_born(
                'nomad_nomad_broker_wait_time_count{instance="s1",eval_type="service",job="a",namespace="d",triggered_by="failed-follow-up"}',
                ((20, 1), (25, 2)),
            ),
            **_born(
                'nomad_nomad_broker_wait_time_count{instance="s1",eval_type="batch",job="b",namespace="d",triggered_by="failed-follow-up"}',
                ((30, 1),),
            ),
            **_born(
                'nomad_nomad_broker_wait_time_count{instance="s1",eval_type="batch",job="b",namespace="d",triggered_by="job-register"}',
                ((10, 50),),
            ),
        },
        fires=(fires(200.0, value=3), fires(500.0, value=3)),
        silent=(90.0, 130.0, 850.0),
    ),
    Case(
        alert="NomadEvaluationsFailing",
        name="two that failed",
        series={
            **up(_LONG),
            'outrider_evaluations_failed_total{instance="s1",server="s1"}': then((0, 20), (1, 5), (2, 156)),
            **_born(
                'nomad_nomad_broker_wait_time_count{instance="s1",eval_type="service",job="a",namespace="d",triggered_by="failed-follow-up"}',
                ((20, 1), (25, 2)),
            ),
        },
        silent=(130.0, 200.0, 500.0),
    ),
)

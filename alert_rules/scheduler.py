"""Alerts about the way from an evaluation to a placement: queues that grow, workers that hang, work that fails.

The gauges are 0 on every server but the leader, and the recorded series take the greatest.
"""

from alert_rules import budget
from alert_rules.budget import Onset
from alert_rules.quorum import KEPT_SECONDS
from alert_rules.recording import events
from alert_rules.settings import Severity
from alert_rules.spec import AlertSpec, Context, Number
from telemetry.catalogue.metric import Unit


def _mean(context: Context) -> Onset:
    return budget.over(context.settings.windows.mean_seconds)


def _patience(context: Context) -> Onset:
    return budget.over(context.numbers["patience"])


SCHEDULING_SLOW = AlertSpec(
    alert="NomadSchedulingSlow",
    expr="outrider:scheduling_milliseconds > $limit",
    onset=_mean,
    hold_seconds=120.0,
    hold_why="One job of thousands of groups takes its time.",
    keep_firing_seconds=KEPT_SECONDS,
    unit=Unit.MILLISECONDS,
    numbers=(
        Number(
            name="limit",
            default=2_000.0,
            unit=Unit.MILLISECONDS,
            least=10.0,
            most=600_000.0,
            why="Nomad places two to five thousand allocations a second; a mean of two seconds is ten thousand"
            " placements, or spreads and affinities over thousands of clients.",
        ),
    ),
    severity=Severity.WARNING,
    summary="The {{ $labels.scheduler }} scheduler of Nomad cluster {{ $labels.cluster }} is slow in region {{ $labels.region }}.",
    description="""
    One run takes {{ $value | printf "%.0f" }} ms on average (limit $limit). New and lost work waits for its placement:
    look for very large jobs, spreads over many clients, servers short of CPU, and slow commits.
    """,
)

STUCK = AlertSpec(
    alert="NomadEvaluationsStuck",
    # A worker that hangs is taken its evaluation away after a minute, and the next one hangs on it.
    expr="""
    outrider:evaluations_unacked > 0
    unless sum by (cluster, region) (increase(nomad_nomad_eval_ack_count[$patience])) > 0
    """,
    onset=_patience,
    hold_seconds=60.0,
    hold_why="An evaluation that is not acknowledged goes to another worker after a minute.",
    keep_firing_seconds=KEPT_SECONDS,
    numbers=(
        Number(
            name="patience",
            default=120.0,
            unit=Unit.SECONDS,
            least=30.0,
            most=600.0,
            is_window=True,
            why="In which a worker finishes something: the largest jobs take less, and a hung one loses its evaluation"
            " after a minute.",
        ),
    ),
    severity=Severity.WARNING,
    summary="Evaluations of Nomad cluster {{ $labels.cluster }} come to no end in region {{ $labels.region }}.",
    description="""
    Workers hold {{ $value }} evaluations and have finished none for $patience. They hang: in the plan queue, in the
    log, or in a scheduler that computes for ever. Nothing new is placed by them.
    """,
)

PLAN_QUEUE = AlertSpec(
    alert="NomadPlanQueueBacklog",
    expr="outrider:plan_queue > $plans",
    onset=budget.SCRAPE,
    hold_seconds=190.0,
    hold_why="Longer than slow commits and slow schedulers take to be noticed, which explain it.",
    keep_firing_seconds=KEPT_SECONDS,
    numbers=(
        Number(
            name="plans",
            default=10.0,
            unit=Unit.COUNT,
            least=1.0,
            why="Each worker hands in one plan at a time, so that this is more than one for each worker of a server.",
        ),
    ),
    severity=Severity.WARNING,
    summary="Plans queue on the leader of Nomad cluster {{ $labels.cluster }} in region {{ $labels.region }}.",
    description="""
    {{ $value }} plans wait to be applied (limit $plans). One thread of the leader applies them, each with a write to the
    log: it or the disks are too slow for what the workers plan.
    """,
)

BACKLOG = AlertSpec(
    alert="NomadEvaluationBacklog",
    expr="outrider:evaluations_ready > $evaluations",
    onset=budget.SCRAPE,
    hold_seconds=200.0,
    hold_why="Longer than its causes take to be noticed. Two thousand jobs registered at once on a real Nomad were"
    " worked off in 20 s.",
    keep_firing_seconds=KEPT_SECONDS,
    numbers=(
        Number(
            name="evaluations",
            default=100.0,
            unit=Unit.COUNT,
            least=1.0,
            why="A Nomad of six workers finishes about that many in a second, so that it should never last.",
        ),
    ),
    severity=Severity.WARNING,
    summary="Evaluations queue in Nomad cluster {{ $labels.cluster }} in region {{ $labels.region }}.",
    description="""
    {{ $value }} evaluations wait for a worker (limit $evaluations), for minutes. What is registered, stopped or lost
    waits as long. Look for a flood of registrations, crash-looping jobs and slow schedulers.
    """,
)

BLOCKED = AlertSpec(
    alert="NomadEvaluationsBlocked",
    # Over a while, so that a fail-over, after which the count is 0 for a moment, does not begin the wait anew.
    expr="max_over_time(outrider:evaluations_blocked[$mean]) > 0",
    onset=budget.SCRAPE,
    hold_seconds=900.0,
    hold_why="An autoscaler has brought new clients by then.",
    hold_is_stated=True,
    severity=Severity.WARNING,
    summary="Work of Nomad cluster {{ $labels.cluster }} finds no place in region {{ $labels.region }}.",
    description="""
    {{ $value }} evaluations have been blocked for longer than $hold: no client has the room or meets the constraints.
    `nomad eval list -status blocked` names the jobs, `nomad job status` says what was lacking.
    """,
)

REJECTED = AlertSpec(
    alert="NomadPlanRejections",
    expr=events("nomad_nomad_plan_node_rejected", "$events", "cluster, region, node_id").rstrip() + " >= $rejections",
    onset=budget.EVENT,
    hold_seconds=0.0,
    hold_why="The count is patience enough.",
    numbers=(
        Number(
            name="rejections",
            default=15.0,
            unit=Unit.COUNT,
            least=1.0,
            why="Now and then two schedulers choose the same room; Nomad's own tracker, when it is on, marks a client"
            " ineligible after 100 in five minutes.",
        ),
    ),
    severity=Severity.WARNING,
    summary="Plans for one client of Nomad cluster {{ $labels.cluster }} are rejected again and again.",
    description="""
    {{ $value | printf "%.0f" }} within $events for client {{ $labels.node_id }} in region {{ $labels.region }} (limit
    $rejections). What the servers believe of it differs from what it is: drain it, and see whether it stops.
    """,
)

_FOLLOW_UPS = 'nomad_nomad_broker_wait_time_count{triggered_by="failed-follow-up"}'

FAILING = AlertSpec(
    alert="NomadEvaluationsFailing",
    # Ours counts them; a real Nomad shows the evaluation that follows a failed one.
    expr="sum by (cluster, region) (increase(outrider_evaluations_failed_total[$events])) >= $evaluations\nor\n"
    + events(_FOLLOW_UPS, "$events").strip()
    + " >= $evaluations",
    onset=budget.EVENT,
    hold_seconds=0.0,
    hold_why="The count is patience enough.",
    numbers=(
        Number(
            name="evaluations",
            default=3.0,
            unit=Unit.COUNT,
            least=1.0,
            why="An evaluation has failed three times before it counts once; three of them are no accident.",
        ),
    ),
    severity=Severity.WARNING,
    summary="Evaluations of Nomad cluster {{ $labels.cluster }} fail in region {{ $labels.region }}.",
    description="""
    {{ $value | printf "%.0f" }} within $events: workers gave each up as often as they may, and the leader put
    it off. Their jobs are not placed until it succeeds: look for errors of the scheduler in the servers' logs.
    """,
)

SCHEDULER = (SCHEDULING_SLOW, STUCK, PLAN_QUEUE, BACKLOG, BLOCKED, REJECTED, FAILING)
"""Causes before what they bring about."""

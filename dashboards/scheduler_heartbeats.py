"""From an evaluation to a placement, and from a heartbeat to a client that is called down."""

from alert_rules import recorded, views
from alert_rules.nodes import HEARTBEATS_STRETCHED
from alert_rules.scheduler import BACKLOG, PLAN_QUEUE, SCHEDULING_SLOW
from alert_rules.settings import Choice, RuleSettings
from dashboards.panel import Color, Dashboard, Limit, Panel, PanelKind, Row, Series
from dashboards.selecting import CLUSTER, LED, NOTES, REGION, SERVERS, WHERE, mean
from telemetry.catalogue import broker, heartbeat, outrider, plan, rpc, worker
from telemetry.catalogue.metric import Unit


def _by_type(series: str) -> str:
    """Return PromQL for the mean of *series* by the type of the evaluation."""
    summed = f"sum by (eval_type) (rate({series}_sum{{{SERVERS}}}[$__rate_interval]))"
    return f"{summed} / (sum by (eval_type) (rate({series}_count{{{SERVERS}}}[$__rate_interval])) > 0)"


def _clients_at_limit(seconds: float, settings: RuleSettings) -> float:
    """Return how many clients stretch the time to live to *seconds*: so many times the servers' rate."""
    rate = HEARTBEATS_STRETCHED.chosen(settings.choices.get(HEARTBEATS_STRETCHED.alert, Choice()))["rate"]
    return seconds * rate


_BROKER = Row(
    "Evaluations and plans",
    (
        Panel(
            title="How many evaluations wait for a worker?",
            about=recorded.EVALUATIONS_READY,
            series=(
                Series(f"outrider:evaluations_ready{{{WHERE}}}", "ready"),
                Series(f"max(nomad_nomad_broker_total_pending{{{SERVERS}}} {LED})", "behind another of the job"),
                Series(f"max(nomad_nomad_broker_total_waiting{{{SERVERS}}} {LED})", "due later"),
            ),
            limits=(Limit(BACKLOG, "evaluations"),),
            good="Near 0; a burst of registrations is worked off in seconds.",
            bad="Ready ones above the line for minutes: a flood, crash-looping jobs, or workers that are slow or hang.",
            width=8,
            height=8,
        ),
        Panel(
            title="Do workers finish what they take?",
            about=rpc.EVAL_ACK,
            unit=Unit.COUNT,
            series=(
                Series(f"outrider:evaluations_unacked{{{WHERE}}}", "being worked on"),
                Series(f"sum(rate(nomad_nomad_eval_ack_count{{{SERVERS}}}[$__rate_interval]))", "finished a second"),
            ),
            when_empty="nothing finished",
            good="Whenever some are being worked on, some are finished.",
            bad="Some are held and none finished for two minutes: workers hang.",
            width=8,
            height=8,
        ),
        Panel(
            title="How many plans wait to be applied?",
            about=recorded.PLAN_QUEUE,
            series=(Series(f"outrider:plan_queue{{{WHERE}}}", "plans"),),
            limits=(Limit(PLAN_QUEUE, "plans"),),
            good="0.",
            bad="Above the line one thread of the leader, or its disk, is too slow for what workers plan.",
            width=8,
            height=8,
        ),
        Panel(
            title="How long does one scheduling take?",
            about=recorded.SCHEDULING_MILLISECONDS,
            series=(Series(f"outrider:scheduling_milliseconds{{{WHERE}}}", "{{scheduler}}"),),
            limits=(Limit(SCHEDULING_SLOW, "limit"),),
            when_empty="nothing scheduled",
            good="Milliseconds to tenths of a second.",
            bad="Above the line: very large jobs, spreads over many clients, servers short of CPU, or slow commits.",
            width=8,
            height=8,
        ),
        Panel(
            title="How long do evaluations wait and take, by type?",
            about=broker.RESPONSE_TIME,
            series=(
                Series(_by_type("nomad_nomad_broker_wait_time"), "{{eval_type}} waits"),
                Series(_by_type("nomad_nomad_broker_process_time"), "{{eval_type}} is worked on"),
                Series(_by_type("nomad_nomad_broker_response_time"), "{{eval_type}} in all"),
            ),
            when_empty="nothing evaluated",
            good="Waiting takes a few milliseconds, the rest is work.",
            bad="Waiting is the greater part: there are too few workers, or they are slow.",
            width=8,
            height=8,
        ),
        Panel(
            title="Where does the time of a plan go?",
            about=plan.EVALUATE,
            series=(
                Series(mean("nomad_nomad_plan_evaluate", SERVERS, LED), "{{instance}} checks"),
                Series(mean("nomad_nomad_plan_apply", SERVERS, LED), "{{instance}} applies"),
                Series(mean("nomad_nomad_worker_submit_plan", SERVERS), "{{instance}} waits for its plan"),
            ),
            when_empty="no plans",
            good="Workers wait about as long as checking and applying take.",
            bad="They wait much longer: plans queue, or the way to the leader is slow.",
            width=8,
            height=8,
        ),
    ),
)

_TROUBLE = Row(
    "What is not placed",
    (
        Panel(
            title="How many evaluations wait for capacity?",
            about=recorded.EVALUATIONS_BLOCKED,
            series=(
                Series(f"outrider:evaluations_blocked{{{WHERE}}}", "blocked"),
                Series(f"max(nomad_nomad_blocked_evals_total_escaped{{{SERVERS}}} {LED})", "retried at any change"),
                Series(f"max(nomad_nomad_blocked_evals_total_quota_limit{{{SERVERS}}} {LED})", "held by a quota"),
            ),
            good="0, or for as long as an autoscaler takes.",
            bad="For a quarter of an hour: no client has the room or meets the constraints.",
            width=8,
            height=8,
        ),
        Panel(
            title="Which jobs wait for capacity, and for how much?",
            about=broker.BLOCKED_JOB_MEMORY,
            kind=PanelKind.TABLE,
            columns=("namespace", "exported_job"),
            series=(
                Series(
                    f"max by (namespace, exported_job) (nomad_nomad_blocked_evals_job_cpu{{{SERVERS}}} {LED})",
                    "CPU",
                    unit=Unit.MEGAHERTZ,
                ),
                Series(
                    f"max by (namespace, exported_job) (nomad_nomad_blocked_evals_job_memory{{{SERVERS}}} {LED})",
                    "memory",
                    unit=Unit.MEGABYTES,
                ),
            ),
            when_empty="none",
            good="No row.",
            bad="A row: that job waits; 0 of both says that it lacks something else, such as a constraint.",
            width=8,
            height=8,
        ),
        Panel(
            title="For which clients are plans rejected?",
            about=plan.NODE_REJECTED,
            series=(Series(f"max by (node_id) (nomad_nomad_plan_node_rejected{{{SERVERS}}} {LED})", "{{node_id}}"),),
            when_empty="none lately",
            good="None, or one now and then: two schedulers chose the same room.",
            bad="One client again and again: what servers believe of it is not what it is.",
            width=8,
            height=8,
        ),
        Panel(
            title="How many evaluations were given up?",
            about=broker.SCHEDULER_READY,
            series=(
                Series(f"max(nomad_nomad_broker__failed_ready{{{SERVERS}}} {LED})", "given up, to be put off"),
                Series(
                    f'sum(nomad_nomad_broker_wait_time_count{{triggered_by="failed-follow-up", {SERVERS}}} {LED})',
                    "tried anew after a failure",
                ),
            ),
            unit=Unit.COUNT,
            when_empty="none lately",
            good="None.",
            bad="Some: workers gave them up three times each, and their jobs are not placed.",
            width=12,
            height=8,
        ),
        Panel(
            title="How long do workers wait for fresh state?",
            about=worker.WAIT_FOR_INDEX,
            series=(Series(mean("nomad_nomad_worker_wait_for_index", SERVERS), "{{instance}}"),),
            when_empty="nothing scheduled",
            good="A few milliseconds.",
            bad="One server that waits long lags behind the log.",
            width=12,
            height=8,
        ),
    ),
)

_HEARTBEATS = Row(
    "Heartbeats and clients",
    (
        Panel(
            title="How many clients share the heartbeats?",
            about=recorded.HEARTBEATS_ACTIVE,
            series=(
                Series(f"outrider:heartbeats_active{{{WHERE}}}", "heard by the leader"),
                Series(f"outrider:clients_targeted{{{WHERE}}}", "scraped"),
            ),
            limits=(Limit(HEARTBEATS_STRETCHED, "limit", at=_clients_at_limit),),
            when_empty="no leader",
            good="As many heard as are scraped, far below the line.",
            bad="Above the line each has so long to live that lost ones are noticed late.",
            width=8,
            height=8,
        ),
        Panel(
            title="Which clients missed their heartbeat?",
            about=heartbeat.INVALIDATE,
            unit=Unit.COUNT,
            series=(
                Series(f"outrider:heartbeats_missed{{{WHERE}}}", "missed lately"),
                Series(f"outrider:clients_gone{{{WHERE}}}", "of which scrapes failed"),
            ),
            when_empty="none",
            good="None, or as many as Prometheus misses too.",
            bad="More than Prometheus misses: clients that run are cut from the servers.",
            width=8,
            height=8,
        ),
        Panel(
            title="How many clients answer and are not heard?",
            about=recorded.CLIENTS_UNHEARD,
            series=(Series(f"outrider:clients_unheard{{{WHERE}}}", "unheard"),),
            when_empty="no leader",
            good="0 and less.",
            bad="Above 0 for longer than a restart.",
            width=8,
            height=8,
        ),
    ),
)

_OURS = Row(
    "Workers and nodes",
    (
        Panel(
            title="How many workers are busy?",
            about=outrider.WORKER_BUSY_COUNT,
            series=(
                Series(f"sum by (instance) (outrider_workers_busy{{{SERVERS}}})", "{{instance}} busy"),
                Series(f"sum by (instance) (outrider_workers{{{SERVERS}}})", "{{instance}} in all"),
            ),
            when_empty="an agent of ours says it, no exporter",
            good="Fewer busy than there are.",
            bad="All busy for minutes: evaluations queue.",
            width=8,
            height=8,
        ),
        Panel(
            title="Which status do the nodes have?",
            about=outrider.NODES,
            series=(
                Series(f"max by (status, eligibility) (outrider_nodes{{{WHERE}}}) > 0", "{{status}}, {{eligibility}}"),
            ),
            stacks=True,
            good="All ready and eligible.",
            bad="Down ones that nobody stopped, or ineligible ones that were forgotten.",
            width=8,
            height=8,
        ),
        Panel(
            title="How full are the queues?",
            about=outrider.QUEUE_DEPTH,
            kind=PanelKind.BAR_GAUGE,
            unit=Unit.RATIO,
            series=(
                Series(
                    f"max by (queue) (outrider_queue_depth{{{SERVERS}}} / (outrider_queue_capacity{{{SERVERS}}} > 0))",
                    "{{queue}}",
                ),
            ),
            steps=((None, Color.GOOD), (0.5, Color.CAUTION), (0.9, Color.BAD)),
            when_empty="an agent of ours says it, no exporter",
            good="Empty, or nearly.",
            bad="Full: what comes next is refused.",
            width=8,
            height=8,
        ),
    ),
    is_ours=True,
)

SCHEDULER_HEARTBEATS = Dashboard(
    view=views.SCHEDULER,
    description="Evaluations, plans, workers and heartbeats of one region.",
    choices=(CLUSTER, REGION),
    notes=NOTES,
    rows=(_BROKER, _TROUBLE, _HEARTBEATS, _OURS),
)

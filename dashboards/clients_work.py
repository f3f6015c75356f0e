"""What clients have to give, what runs on them, and one job across them."""

from alert_rules import recorded, views
from dashboards.panel import Choice, Color, Dashboard, Panel, PanelKind, Row, Series
from dashboards.selecting import (
    CLIENT,
    CLIENTS,
    CLUSTER,
    LED,
    NOTES,
    PICKED,
    REGION,
    SERVERS,
    SHOWN_MAX,
    WHERE,
    Seen,
    foremost,
    highest,
    last,
)
from telemetry.catalogue import client, external, job, outrider
from telemetry.catalogue.metric import Unit

_MINE = f"{CLIENTS}, {PICKED}"
_JOB = 'namespace=~"$namespace", exported_job=~"$job"'
_FULL = ((None, Color.GOOD), (0.8, Color.CAUTION), (0.95, Color.BAD))
"""HashiCorp advises to keep a fifth of the capacity free: what a lost client ran has to go somewhere."""


def _promised(what: str) -> str:
    """Return PromQL for the share of *what* that each of the fullest clients has promised to allocations."""
    taken, free = f"nomad_client_allocated_{what}{{{_MINE}}}", f"nomad_client_unallocated_{what}{{{_MINE}}}"
    return f"topk({SHOWN_MAX}, max by (instance) ({taken} / ({taken} + {free} > 0)))"


def _busy(seen: Seen) -> str:
    return f"100 - avg by (instance) ({seen(f'nomad_client_host_cpu_idle{{{_MINE}}}')})"


def _memory_used(seen: Seen) -> str:
    available, total = (seen(f"nomad_client_host_memory_{each}{{{_MINE}}}") for each in ("available", "total"))
    return f"1 - max by (instance) ({available}) / max by (instance) ({total})"


def _disk_used(seen: Seen) -> str:
    return f"max by (instance, disk) ({seen(f'nomad_client_host_disk_used_percent{{{_MINE}}}')})"


def _running(seen: Seen) -> str:
    return f"max by (instance) ({seen(f'nomad_client_allocations_running{{{_MINE}}}')})"


def _most_and_fewest_running() -> str:
    half, ranked = SHOWN_MAX // 2, _running(last)
    return f"{_running(str)} and on (instance) (topk({half}, {ranked}) or bottomk({half}, {ranked}))"


def _task_cpu(seen: Seen) -> str:
    return f"sum by (exported_job, task) ({seen(f'nomad_client_allocs_cpu_total_percent{{{_MINE}, {_JOB}}}')})"


def _restarts(seen: Seen) -> str:
    return f"sum by (exported_job, task) ({seen(f'nomad_client_allocs_restart{{{_MINE}, {_JOB}}}')})"


def _failures(seen: Seen) -> str:
    return f"sum by (exported_job, task) ({seen(f'nomad_client_allocs_failed{{{_MINE}, {_JOB}}}')})"


def _of_largest_tasks(series: str) -> str:
    """Return PromQL for *series* of the tasks that hold the most memory: what each holds, and what each may hold."""
    held = last(f"nomad_client_allocs_memory_rss{{{_MINE}, {_JOB}}}")
    return foremost(
        f"sum by (exported_job, task) ({series}{{{_MINE}, {_JOB}}})",
        f"sum by (exported_job, task) ({held})",
        by="exported_job, task",
    )


def _servers_connected(seen: Seen) -> str:
    return seen(f"outrider_client_servers_connected{{{_MINE}}}")


def _heartbeats(series: str) -> str:
    """Return PromQL for *series* of the clients whose heartbeat was answered the longest ago."""
    return foremost(f"{series}{{{_MINE}}}", last(f"outrider_client_last_heartbeat_seconds{{{_MINE}}}"))


_ANSWERING = foremost(
    f"up{{{_MINE}}}",
    f"count_over_time(outrider:client_silent{{{WHERE}, {PICKED}}}[$__range] @ end())"
    f" or on (cluster, region, instance) 0 * up{{{_MINE}}} @ end()",
)
"""The clients that were silent for the longest of the time shown; those that were not make up the number."""


def _of_job(state: str) -> str:
    """Return PromQL for the allocations of the chosen jobs in *state*, by group, as the live leader counts them."""
    series = f"nomad_nomad_job_summary_{state}{{{SERVERS}, {_JOB}}}"
    return f"max by (namespace, exported_job, task_group) ({series} {LED})"


def _sum_of_job(state: str) -> str:
    return f"sum(max by (namespace, exported_job, task_group) (nomad_nomad_job_summary_{state}{{{SERVERS}, {_JOB}}} {LED}))"


_CLIENTS = Row(
    "Clients",
    (
        Panel(
            title="How many clients answer?",
            about=recorded.CLIENTS_TARGETED,
            kind=PanelKind.STAT,
            series=(
                Series(f"outrider:clients_targeted{{{WHERE}}} - outrider:clients_down{{{WHERE}}}", "answer"),
                Series(f"outrider:clients_down{{{WHERE}}}", "do not"),
            ),
            description="All of the region, whichever are chosen.",
            good="All of them.",
            bad="Some do not: the bars beside it say which, and since when.",
            width=4,
            height=8,
        ),
        Panel(
            title="Which client answers?",
            about=external.UP,
            kind=PanelKind.STATE_TIMELINE,
            series=(Series(_ANSWERING, "{{instance}}"),),
            description=f"At most {SHOWN_MAX}: those that were silent for the longest of the time shown, then any others.",
            words=((0, "silent", Color.BAD), (1, "answers", Color.GOOD)),
            good="Unbroken bars.",
            bad="A red bar: the client, or the way to it, is gone; several at one moment share a cause.",
            width=10,
            height=8,
        ),
        Panel(
            title="Which client takes no new work?",
            about=client.ALLOCATIONS_RUNNING,
            series=(
                Series(
                    "max by (instance) "
                    f'(nomad_client_allocations_running{{node_scheduling_eligibility="ineligible", {_MINE}}})',
                    "{{instance}} runs",
                ),
            ),
            description="Only ineligible and draining clients are shown.",
            when_empty="none",
            good="None; one in maintenance, whose line falls to 0.",
            bad="One for more than an hour: forgotten, or a drain that is stuck above 0.",
            width=10,
            height=8,
        ),
        Panel(
            title="How much of its CPU has each client promised?",
            about=client.ALLOCATED_CPU,
            unit=Unit.RATIO,
            kind=PanelKind.BAR_GAUGE,
            series=(Series(_promised("cpu"), "{{instance}}"),),
            description=f"The {SHOWN_MAX} that are fullest.",
            steps=_FULL,
            good="Below 80 %, so that the work of a lost client finds a place.",
            bad="Near 100 % on all clients: new work is blocked.",
            width=8,
            height=8,
        ),
        Panel(
            title="How much of its memory has each client promised?",
            about=client.ALLOCATED_MEMORY,
            unit=Unit.RATIO,
            kind=PanelKind.BAR_GAUGE,
            series=(Series(_promised("memory"), "{{instance}}"),),
            description=f"The {SHOWN_MAX} that are fullest.",
            steps=_FULL,
            good="Below 80 %, so that the work of a lost client finds a place.",
            bad="Near 100 % on all clients: new work is blocked.",
            width=8,
            height=8,
        ),
        Panel(
            title="How much of its disk has each client promised?",
            about=client.ALLOCATED_DISK,
            unit=Unit.RATIO,
            kind=PanelKind.BAR_GAUGE,
            series=(Series(_promised("disk"), "{{instance}}"),),
            description=f"The {SHOWN_MAX} that are fullest.",
            steps=_FULL,
            good="Below 80 %.",
            bad="Near 100 %: groups with a large ephemeral disk find no place.",
            width=8,
            height=8,
        ),
    ),
)

_HOSTS = Row(
    "Hosts",
    (
        Panel(
            title="How busy is each host?",
            about=client.HOST_CPU_IDLE,
            series=(Series(highest(_busy, "instance"), "{{instance}}"),),
            description=f"Shown where `publish_node_metrics` is on: the {SHOWN_MAX} that are busiest at the end.",
            when_empty="publish_node_metrics is off",
            good="Below 80 %.",
            bad="At 100 % for long: tasks starve, and heartbeats come late.",
            width=8,
            height=8,
        ),
        Panel(
            title="How much memory does each host use?",
            about=client.HOST_MEMORY_USED,
            unit=Unit.RATIO,
            series=(Series(highest(_memory_used, "instance"), "{{instance}}"),),
            description=f"The {SHOWN_MAX} that use the most at the end.",
            when_empty="publish_node_metrics is off",
            good="Below 90 %.",
            bad="Near 100 %: the kernel ends tasks.",
            width=8,
            height=8,
        ),
        Panel(
            title="How full are the disks?",
            about=client.HOST_DISK_USED_PERCENT,
            series=(Series(highest(_disk_used, "instance, disk"), "{{instance}} {{disk}}"),),
            description=f"The {SHOWN_MAX} that are fullest at the end.",
            when_empty="publish_node_metrics is off",
            good="Below 80 %.",
            bad="Near 100 %: allocations fail to start.",
            width=8,
            height=8,
        ),
    ),
)

_WORK = Row(
    "Allocations",
    (
        Panel(
            title="In which state are the allocations?",
            about=client.ALLOCATIONS_RUNNING,
            series=tuple(
                Series(f"sum(nomad_client_allocations_{state}{{{_MINE}}})", state)
                for state in ("running", "pending", "blocked", "migrating", "terminal")
            ),
            good="Almost all run.",
            bad="Pending or migrating ones that do not become fewer.",
            width=8,
            height=8,
        ),
        Panel(
            title="How many allocations run on each client?",
            about=client.ALLOCATIONS_RUNNING,
            series=(Series(_most_and_fewest_running(), "{{instance}}"),),
            description=f"The {SHOWN_MAX // 2} that run the most at the end, and the {SHOWN_MAX // 2} that run the fewest.",
            good="Shares that fit the sizes of the clients.",
            bad="A client that runs nothing while others are full: ineligible, or a constraint keeps work away.",
            width=8,
            height=8,
        ),
        Panel(
            title="How many jobs are there, by status?",
            about=job.STATUS_RUNNING,
            series=tuple(
                Series(f"max(nomad_nomad_job_status_{state}{{{SERVERS}}} {LED})", state)
                for state in ("running", "pending", "dead")
            ),
            when_empty="no leader",
            good="Pending ones pass within seconds.",
            bad="Pending ones that stay have found no place for anything.",
            width=8,
            height=8,
        ),
        Panel(
            title="Which groups are not as they should be?",
            about=job.SUMMARY_FAILED,
            kind=PanelKind.TABLE,
            columns=("namespace", "exported_job", "task_group"),
            series=tuple(
                Series(_of_job(state), state, steps=steps)
                for state, steps in (
                    ("running", ()),
                    ("queued", ((None, Color.GOOD), (1, Color.CAUTION))),
                    ("starting", ()),
                    ("failed", ((None, Color.GOOD), (1, Color.CAUTION))),
                    ("lost", ((None, Color.GOOD), (1, Color.CAUTION))),
                )
            ),
            description="Failed and lost ones are counted until they are garbage-collected.",
            when_empty="no job",
            good="Everything runs.",
            bad="Queued ones wait for capacity, failed ones that grow crash in a loop.",
            width=24,
            height=9,
        ),
    ),
)

_ONE_JOB = Row(
    "The chosen jobs",
    (
        Panel(
            title="How many allocations do the chosen jobs have?",
            about=job.SUMMARY_RUNNING,
            series=tuple(
                Series(_sum_of_job(state), state) for state in ("running", "starting", "queued", "failed", "lost")
            ),
            when_empty="no such job",
            good="Only running ones.",
            bad="Queued or failed ones that do not go.",
            width=12,
            height=8,
        ),
        Panel(
            title="Which tasks restart or fail?",
            about=client.ALLOCS_RESTART,
            series=(
                Series(highest(_restarts, "exported_job, task"), "{{exported_job}} {{task}}: restarts"),
                Series(highest(_failures, "exported_job, task"), "{{exported_job}} {{task}}: failures"),
            ),
            description=f"The {SHOWN_MAX} that restarted, and the {SHOWN_MAX} that failed, the most in the time shown.",
            when_empty="none lately",
            good="None.",
            bad="A task that comes again and again: its log says why, `nomad alloc logs`.",
            width=12,
            height=8,
        ),
        Panel(
            title="How much CPU do the tasks use?",
            about=client.ALLOCS_CPU_TOTAL_PERCENT,
            series=(Series(highest(_task_cpu, "exported_job, task"), "{{exported_job}} {{task}}"),),
            description=f"Shown where `publish_allocation_metrics` is on: the {SHOWN_MAX} that use the most at the end.",
            when_empty="no task, or publish_allocation_metrics is off",
            good="Within what was promised to the task.",
            bad="A task that takes what its neighbors need.",
            width=12,
            height=8,
        ),
        Panel(
            title="How much memory do the tasks hold, and may they?",
            about=client.ALLOCS_MEMORY_RSS,
            series=(
                Series(_of_largest_tasks("nomad_client_allocs_memory_rss"), "{{exported_job}} {{task}} holds"),
                Series(_of_largest_tasks("nomad_client_allocs_memory_allocated"), "{{exported_job}} {{task}} may hold"),
            ),
            description=f"The {SHOWN_MAX} that hold the most at the end.",
            when_empty="no task, or publish_allocation_metrics is off",
            good="Below what it may hold.",
            bad="A line that climbs to it: the task will be ended.",
            width=12,
            height=8,
        ),
    ),
)

_OURS = Row(
    "Drains and heartbeats",
    (
        Panel(
            title="How many clients drain?",
            about=outrider.NODES_DRAINING,
            series=(Series(f"outrider:nodes_draining{{{WHERE}}}", "draining"),),
            when_empty="no server says",
            good="0, or for as long as maintenance takes.",
            bad="One for more than an hour: what is left on it has no place to go.",
            width=8,
            height=8,
        ),
        Panel(
            title="How long ago was each client's heartbeat answered?",
            about=outrider.CLIENT_LAST_HEARTBEAT_SECONDS,
            series=(
                Series(_heartbeats("outrider_client_last_heartbeat_seconds"), "{{instance}} ago"),
                Series(_heartbeats("outrider_client_heartbeat_ttl_seconds"), "{{instance}} to live"),
            ),
            description=f"The {SHOWN_MAX} that have waited longest at the end.",
            when_empty="an agent of ours says it, no exporter",
            good="Always less than its time to live.",
            bad="More: the servers call the client down ten seconds later.",
            width=8,
            height=8,
        ),
        Panel(
            title="To how many servers is each client connected?",
            about=outrider.CLIENT_SERVERS_CONNECTED,
            series=(Series(highest(_servers_connected, pick="bottomk"), "{{instance}}"),),
            description=f"The {SHOWN_MAX} that have the fewest at the end.",
            when_empty="an agent of ours says it, no exporter",
            good="1 and more.",
            bad="0: the client is cut from all servers.",
            width=8,
            height=8,
        ),
    ),
    is_ours=True,
)

_SUMMARY = f"nomad_nomad_job_summary_running{{{SERVERS}}}"

CLIENTS_WORK = Dashboard(
    view=views.CLIENTS,
    description="Capacity, hosts and allocations of the clients of one region, and the jobs on them.",
    choices=(
        CLUSTER,
        REGION,
        CLIENT,
        Choice("namespace", "Namespace", _SUMMARY, "namespace", has_all=True),
        Choice(
            "job",
            "Job",
            f'nomad_nomad_job_summary_running{{{SERVERS}, namespace=~"$namespace"}}',
            "exported_job",
            has_all=True,
        ),
    ),
    notes=NOTES,
    rows=(_CLIENTS, _HOSTS, _WORK, _ONE_JOB, _OURS),
)

"""What clients have to give, what runs on them, and one job across them."""

from alert_rules import views
from dashboards.panel import Choice, Color, Dashboard, Panel, PanelKind, Row, Series
from dashboards.selecting import CLIENT, CLIENTS, CLUSTER, LED, NOTES, PICKED, REGION, SERVERS, WHERE
from telemetry.catalogue import client, external, job, outrider
from telemetry.catalogue.metric import Unit

_MINE = f"{CLIENTS}, {PICKED}"
_JOB = 'namespace=~"$namespace", exported_job=~"$job"'
_FULL = ((None, Color.GOOD), (0.8, Color.CAUTION), (0.95, Color.BAD))
"""HashiCorp advises to keep a fifth of the capacity free: what a lost client ran has to go somewhere."""


def _promised(what: str) -> str:
    """Return PromQL for the share of *what* that each client has promised to allocations."""
    taken, free = f"nomad_client_allocated_{what}{{{_MINE}}}", f"nomad_client_unallocated_{what}{{{_MINE}}}"
    return f"max by (instance) ({taken} / ({taken} + {free} > 0))"


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
            title="Which client answers?",
            about=external.UP,
            kind=PanelKind.STATE_TIMELINE,
            series=(Series(f"up{{{_MINE}}}", "{{instance}}"),),
            words=((0, "silent", Color.BAD), (1, "answers", Color.GOOD)),
            good="Unbroken bars.",
            bad="A red bar: the client, or the way to it, is gone; several at one moment share a cause.",
            width=12,
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
            width=12,
            height=8,
        ),
        Panel(
            title="How much of its CPU has each client promised?",
            about=client.ALLOCATED_CPU,
            unit=Unit.RATIO,
            kind=PanelKind.BAR_GAUGE,
            series=(Series(_promised("cpu"), "{{instance}}"),),
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
            series=(Series(f"100 - avg by (instance) (nomad_client_host_cpu_idle{{{_MINE}}})", "{{instance}}"),),
            description="Shown where `publish_node_metrics` is on.",
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
            series=(
                Series(
                    f"1 - max by (instance) (nomad_client_host_memory_available{{{_MINE}}})"
                    f" / max by (instance) (nomad_client_host_memory_total{{{_MINE}}})",
                    "{{instance}}",
                ),
            ),
            when_empty="publish_node_metrics is off",
            good="Below 90 %.",
            bad="Near 100 %: the kernel ends tasks.",
            width=8,
            height=8,
        ),
        Panel(
            title="How full are the disks?",
            about=client.HOST_DISK_USED_PERCENT,
            series=(
                Series(
                    f"max by (instance, disk) (nomad_client_host_disk_used_percent{{{_MINE}}})", "{{instance}} {{disk}}"
                ),
            ),
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
            series=(Series(f"max by (instance) (nomad_client_allocations_running{{{_MINE}}})", "{{instance}}"),),
            stacks=True,
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
                Series(
                    f"sum by (exported_job, task) (nomad_client_allocs_restart{{{_MINE}, {_JOB}}})",
                    "{{exported_job}} {{task}}: restarts",
                ),
                Series(
                    f"sum by (exported_job, task) (nomad_client_allocs_failed{{{_MINE}, {_JOB}}})",
                    "{{exported_job}} {{task}}: failures",
                ),
            ),
            when_empty="none lately",
            good="None.",
            bad="A task that comes again and again: its log says why, `nomad alloc logs`.",
            width=12,
            height=8,
        ),
        Panel(
            title="How much CPU do the tasks use?",
            about=client.ALLOCS_CPU_TOTAL_PERCENT,
            series=(
                Series(
                    f"sum by (exported_job, task) (nomad_client_allocs_cpu_total_percent{{{_MINE}, {_JOB}}})",
                    "{{exported_job}} {{task}}",
                ),
            ),
            description="Shown where `publish_allocation_metrics` is on.",
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
                Series(
                    f"sum by (exported_job, task) (nomad_client_allocs_memory_rss{{{_MINE}, {_JOB}}})",
                    "{{exported_job}} {{task}} holds",
                ),
                Series(
                    f"sum by (exported_job, task) (nomad_client_allocs_memory_allocated{{{_MINE}, {_JOB}}})",
                    "{{exported_job}} {{task}} may hold",
                ),
            ),
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
                Series(f"outrider_client_last_heartbeat_seconds{{{_MINE}}}", "{{instance}} ago"),
                Series(f"outrider_client_heartbeat_ttl_seconds{{{_MINE}}}", "{{instance}} to live"),
            ),
            when_empty="an agent of ours says it, no exporter",
            good="Always less than its time to live.",
            bad="More: the servers call the client down ten seconds later.",
            width=8,
            height=8,
        ),
        Panel(
            title="To how many servers is each client connected?",
            about=outrider.CLIENT_SERVERS_CONNECTED,
            series=(Series(f"outrider_client_servers_connected{{{_MINE}}}", "{{instance}}"),),
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

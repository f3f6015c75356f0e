"""Clients: their host, what they have to give, and the allocations and tasks they run.

Every series carries the labels of the node; those of a task carry the labels of its allocation instead.
"""

from telemetry.catalogue.metric import Absent, Kind, Metric, Presence, Role, Unit

NODE_LABELS = (
    "datacenter",
    "node_class",
    "node_id",
    "node_pool",
    "node_scheduling_eligibility",
    "node_status",
)
"""On every series of a node; a node without a class says `none`."""

ALLOC_LABELS = ("alloc_id", "job", "namespace", "task", "task_group", "parent_id", "periodic_id")
"""On every series of a task; the last two are empty, so not printed, unless a periodic or dispatched job made it."""

_HOOK_LABELS = ("datacenter", "hook_name", "namespace", "node_class", "node_id", "node_pool")
_CLIENT_GO = "client/client.go"
_TASK_GO = "client/allocrunner/taskrunner/task_runner.go"


def _node(
    name: str,
    unit: Unit,
    meaning: str,
    key: str = "",
    *,
    kind: Kind = Kind.GAUGE,
    extra: tuple[str, ...] = (),
    present: Presence = Presence.ALWAYS,
) -> Metric:
    return Metric(
        name=name,
        kind=kind,
        unit=unit,
        labels=NODE_LABELS + extra,
        exporter=Role.CLIENT,
        present=present,
        meaning=meaning,
        source=_CLIENT_GO,
        key=key,
    )


def _host(
    name: str, unit: Unit, meaning: str, key: str = "", *, kind: Kind = Kind.GAUGE, extra: tuple[str, ...] = ()
) -> Metric:
    return _node(name, unit, meaning, key, kind=kind, extra=extra, present=Presence.WHEN_CONFIGURED)


def _host_cpu(name: str, unit: Unit, meaning: str, key: str = "", kind: Kind = Kind.GAUGE) -> Metric:
    return _host(name, unit, meaning, key, kind=kind, extra=("cpu",))


def _task(name: str, kind: Kind, unit: Unit, meaning: str, key: str = "") -> Metric:
    happens = Presence.AFTER_FIRST_EVENT if kind is Kind.COUNTER and unit is Unit.COUNT else Presence.WHEN_CONFIGURED
    return Metric(
        name=name,
        kind=kind,
        unit=unit,
        labels=ALLOC_LABELS,
        labelled_by_job=True,
        exporter=Role.CLIENT,
        present=happens,
        meaning=meaning,
        source=_TASK_GO,
        key=key,
    )


def _seldom(
    absent: Absent | None,
    name: str,
    kind: Kind,
    unit: Unit,
    meaning: str,
    key: str,
    source: str,
    labels: tuple[str, ...] = (),
) -> Metric:
    return Metric(
        name=name,
        kind=kind,
        unit=unit,
        labels=labels,
        exporter=Role.CLIENT,
        present=Presence.AFTER_FIRST_EVENT,
        meaning=meaning,
        source=source,
        key=key,
        absent=absent,
    )


# The host; only with publish_node_metrics.

UPTIME = _host("nomad_client_uptime", Unit.SECONDS, "Time since the host, not the agent, was started.")
HOST_CPU_USER = _host_cpu("nomad_client_host_cpu_user", Unit.PERCENT, "Share of a core spent in user mode.")
HOST_CPU_SYSTEM = _host_cpu("nomad_client_host_cpu_system", Unit.PERCENT, "Share of a core spent in the kernel.")
HOST_CPU_IDLE = _host_cpu("nomad_client_host_cpu_idle", Unit.PERCENT, "Share of a core spent idle.")
HOST_CPU_TOTAL = _host_cpu("nomad_client_host_cpu_total", Unit.PERCENT, "Share of a core spent busy.")
HOST_CPU_TOTAL_PERCENT = _host_cpu(
    "nomad_client_host_cpu_total_percent",
    Unit.PERCENT,
    "Share of a core spent busy, under its newer name.",
    "nomad.client.host.cpu.total_percent",
)
HOST_CPU_TOTAL_TICKS = _host_cpu(
    "nomad_client_host_cpu_total_ticks",
    Unit.MEGAHERTZ,
    "Busy share of a core times its clock rate.",
    "nomad.client.host.cpu.total_ticks",
)
HOST_CPU_TOTAL_TICKS_COUNT = _host_cpu(
    "nomad_client_host_cpu_total_ticks_count",
    Unit.MEGAHERTZ,
    "The same, added up at each collection.",
    "nomad.client.host.cpu.total_ticks_count",
    Kind.COUNTER,
)
HOST_MEMORY_TOTAL = _host("nomad_client_host_memory_total", Unit.BYTES, "Memory of the host.")
HOST_MEMORY_AVAILABLE = _host(
    "nomad_client_host_memory_available", Unit.BYTES, "Memory that can be had without swapping."
)
HOST_MEMORY_USED = _host("nomad_client_host_memory_used", Unit.BYTES, "Memory in use, caches not counted.")
HOST_MEMORY_FREE = _host("nomad_client_host_memory_free", Unit.BYTES, "Memory in no use at all.")
HOST_DISK_SIZE = _host("nomad_client_host_disk_size", Unit.BYTES, "Size of a file system.", extra=("disk",))
HOST_DISK_USED = _host("nomad_client_host_disk_used", Unit.BYTES, "Used part of a file system.", extra=("disk",))
HOST_DISK_AVAILABLE = _host(
    "nomad_client_host_disk_available", Unit.BYTES, "Part of a file system that users may still fill.", extra=("disk",)
)
HOST_DISK_USED_PERCENT = _host(
    "nomad_client_host_disk_used_percent",
    Unit.PERCENT,
    "Used share of a file system.",
    "nomad.client.host.disk.used_percent",
    extra=("disk",),
)
HOST_DISK_INODES_PERCENT = _host(
    "nomad_client_host_disk_inodes_percent",
    Unit.PERCENT,
    "Used share of a file system's inodes.",
    "nomad.client.host.disk.inodes_percent",
    extra=("disk",),
)

# What the node has promised and what it still has to give.

ALLOCATED_CPU = _node("nomad_client_allocated_cpu", Unit.MEGAHERTZ, "CPU promised to allocations.")
ALLOCATED_MEMORY = _node("nomad_client_allocated_memory", Unit.MEGABYTES, "Memory promised to allocations.")
ALLOCATED_MAX_MEMORY = _node(
    "nomad_client_allocated_max_memory",
    Unit.MEGABYTES,
    "Memory that allocations may grow to where more than the promise is allowed.",
    "nomad.client.allocated.max_memory",
)
ALLOCATED_DISK = _node("nomad_client_allocated_disk", Unit.MEGABYTES, "Disk promised to allocations.")
UNALLOCATED_CPU = _node("nomad_client_unallocated_cpu", Unit.MEGAHERTZ, "CPU that can still be promised.")
UNALLOCATED_MEMORY = _node("nomad_client_unallocated_memory", Unit.MEGABYTES, "Memory that can still be promised.")
UNALLOCATED_DISK = _node("nomad_client_unallocated_disk", Unit.MEGABYTES, "Disk that can still be promised.")
UNALLOCATED_NETWORK = _node(
    "nomad_client_unallocated_network",
    Unit.MEGABITS,
    "Bandwidth of a network device that can still be promised.",
    extra=("device",),
    present=Presence.AFTER_FIRST_EVENT,
)

# Allocations and tasks by state.

ALLOCATIONS_BLOCKED = _node(
    "nomad_client_allocations_blocked", Unit.COUNT, "Allocations that wait for an older one to end."
)
ALLOCATIONS_MIGRATING = _node(
    "nomad_client_allocations_migrating", Unit.COUNT, "Allocations that fetch the data of an older one."
)
ALLOCATIONS_PENDING = _node("nomad_client_allocations_pending", Unit.COUNT, "Allocations that are about to start.")
ALLOCATIONS_RUNNING = _node("nomad_client_allocations_running", Unit.COUNT, "Allocations that run.")
ALLOCATIONS_TERMINAL = _node(
    "nomad_client_allocations_terminal", Unit.COUNT, "Allocations that ended and are not cleaned up yet."
)
TASKS_PENDING = _node("nomad_client_tasks_pending", Unit.COUNT, "Tasks that are about to start.")
TASKS_RUNNING = _node("nomad_client_tasks_running", Unit.COUNT, "Tasks that run.")
TASKS_DEAD = _node("nomad_client_tasks_dead", Unit.COUNT, "Tasks that ended and are not cleaned up yet.")

# Events of a task: counters, whatever their names say.

ALLOCS_RUNNING = _task("nomad_client_allocs_running", Kind.COUNTER, Unit.COUNT, "Times a task began to run.")
ALLOCS_COMPLETE = _task("nomad_client_allocs_complete", Kind.COUNTER, Unit.COUNT, "Times a task ended well.")
ALLOCS_FAILED = _task(
    "nomad_client_allocs_failed", Kind.COUNTER, Unit.COUNT, "Times a task failed for good, each counted twice."
)
ALLOCS_RESTART = _task("nomad_client_allocs_restart", Kind.COUNTER, Unit.COUNT, "Times a task was restarted.")

# Resources a task uses; only with publish_allocation_metrics.

ALLOCS_CPU_ALLOCATED = _task("nomad_client_allocs_cpu_allocated", Kind.GAUGE, Unit.MEGAHERTZ, "CPU promised to a task.")
ALLOCS_CPU_USER = _task(
    "nomad_client_allocs_cpu_user", Kind.GAUGE, Unit.PERCENT, "CPU a task used in user mode; 100 is one core."
)
ALLOCS_CPU_SYSTEM = _task(
    "nomad_client_allocs_cpu_system", Kind.GAUGE, Unit.PERCENT, "CPU a task used in the kernel; 100 is one core."
)
ALLOCS_CPU_TOTAL_PERCENT = _task(
    "nomad_client_allocs_cpu_total_percent",
    Kind.GAUGE,
    Unit.PERCENT,
    "CPU a task used; 100 is one core.",
    "nomad.client.allocs.cpu.total_percent",
)
ALLOCS_CPU_TOTAL_TICKS = _task(
    "nomad_client_allocs_cpu_total_ticks",
    Kind.GAUGE,
    Unit.MEGAHERTZ,
    "CPU a task used, as a clock rate.",
    "nomad.client.allocs.cpu.total_ticks",
)
ALLOCS_CPU_TOTAL_TICKS_COUNT = _task(
    "nomad_client_allocs_cpu_total_ticks_count",
    Kind.COUNTER,
    Unit.MEGAHERTZ,
    "The same, added up at each collection.",
    "nomad.client.allocs.cpu.total_ticks_count",
)
ALLOCS_CPU_THROTTLED_PERIODS = _task(
    "nomad_client_allocs_cpu_throttled_periods",
    Kind.GAUGE,
    Unit.COUNT,
    "Periods in which a task was held back.",
    "nomad.client.allocs.cpu.throttled_periods",
)
ALLOCS_CPU_THROTTLED_TIME = _task(
    "nomad_client_allocs_cpu_throttled_time",
    Kind.GAUGE,
    Unit.NANOSECONDS,
    "Time for which a task was held back.",
    "nomad.client.allocs.cpu.throttled_time",
)
ALLOCS_MEMORY_ALLOCATED = _task(
    "nomad_client_allocs_memory_allocated", Kind.GAUGE, Unit.BYTES, "Memory promised to a task."
)
ALLOCS_MEMORY_RSS = _task("nomad_client_allocs_memory_rss", Kind.GAUGE, Unit.BYTES, "Memory a task holds.")
ALLOCS_MEMORY_SWAP = _task("nomad_client_allocs_memory_swap", Kind.GAUGE, Unit.BYTES, "Swap a task holds.")

# Hooks around allocations and tasks; and, of a real Nomad only, the calls a client answers.

ALLOC_HOOK_PRERUN_ELAPSED = _seldom(
    None,
    "nomad_client_alloc_hook_prerun_elapsed",
    Kind.SAMPLE,
    Unit.MILLISECONDS,
    "One hook before an allocation runs; our agent has one, `alloc_dir`, which makes its directories.",
    "nomad.client.alloc_hook.prerun.elapsed",
    "client/allocrunner/alloc_runner_hooks.go",
    _HOOK_LABELS,
)
ALLOC_HOOK_PRERUN_SUCCESS = _seldom(
    None,
    "nomad_client_alloc_hook_prerun_success",
    Kind.COUNTER,
    Unit.COUNT,
    "Times a hook before an allocation succeeded.",
    "nomad.client.alloc_hook.prerun.success",
    "client/allocrunner/alloc_runner_hooks.go",
    _HOOK_LABELS,
)
TASK_HOOK_PRESTART_ELAPSED = _seldom(
    None,
    "nomad_client_task_hook_prestart_elapsed",
    Kind.SAMPLE,
    Unit.MILLISECONDS,
    "One hook before a task starts; our agent has one, `task_dir`, which makes its directories.",
    "nomad.client.task_hook.prestart.elapsed",
    "client/allocrunner/taskrunner/task_runner_hooks.go",
    _HOOK_LABELS,
)
TASK_HOOK_PRESTART_SUCCESS = _seldom(
    None,
    "nomad_client_task_hook_prestart_success",
    Kind.COUNTER,
    Unit.COUNT,
    "Times a hook before a task succeeded.",
    "nomad.client.task_hook.prestart.success",
    "client/allocrunner/taskrunner/task_runner_hooks.go",
    _HOOK_LABELS,
)
ALLOCATIONS_CHECKS = _seldom(
    Absent.CALL,
    "nomad_client_allocations_checks",
    Kind.SAMPLE,
    Unit.MILLISECONDS,
    "Answering a question for the checks of an allocation.",
    "",
    "client/alloc_endpoint.go",
)
ALLOCATIONS_STATS = _seldom(
    Absent.CALL,
    "nomad_client_allocations_stats",
    Kind.SAMPLE,
    Unit.MILLISECONDS,
    "Answering a question for the resources of an allocation.",
    "",
    "client/alloc_endpoint.go",
)
CLIENT_STATS_STATS = _seldom(
    Absent.CALL,
    "nomad_client_client_stats_stats",
    Kind.SAMPLE,
    Unit.MILLISECONDS,
    "Answering a question for the resources of the host.",
    "nomad.client.client_stats.stats",
    "client/client_stats_endpoint.go",
)
FILE_SYSTEM_LIST = _seldom(
    Absent.CALL,
    "nomad_client_file_system_list",
    Kind.SAMPLE,
    Unit.MILLISECONDS,
    "Listing a directory of an allocation.",
    "nomad.client.file_system.list",
    "client/fs_endpoint.go",
)
RPC_ACCEPT_CONN = _seldom(
    Absent.CALL,
    "nomad_client_rpc_accept_conn",
    Kind.COUNTER,
    Unit.COUNT,
    "Connections that servers opened to this client.",
    "nomad.client.rpc.accept_conn",
    "client/rpc.go",
)
RPC_REQUEST = _seldom(
    Absent.CALL,
    "nomad_client_rpc_request",
    Kind.COUNTER,
    Unit.COUNT,
    "Calls of servers to this client.",
    "",
    "client/rpc.go",
)

"""Go's own runtime, as client_golang shows it on a real Nomad beside Nomad's series.

Prometheus and Alertmanager show most of them too; those that rules or dashboards use of theirs stand in `external`.
"""

from telemetry.catalogue.metric import Absent, Kind, Metric, Presence, Role, Unit


def _metric(name: str, kind: Kind, unit: Unit, meaning: str) -> Metric:
    return Metric(
        name=name,
        kind=kind,
        unit=unit,
        exporter=Role.AGENT,
        present=Presence.ALWAYS,
        meaning=meaning,
        source="prometheus/client_golang go_collector.go",
        absent=Absent.GO,
    )


def _gauge(name: str, unit: Unit, meaning: str) -> Metric:
    return _metric(name, Kind.GAUGE, unit, meaning)


def _total(name: str, unit: Unit, meaning: str) -> Metric:
    return _metric(name, Kind.COUNTER, unit, meaning)


GC_GOGC_PERCENT = _gauge("go_gc_gogc_percent", Unit.PERCENT, "Growth of the heap at which it is collected again.")
GC_GOMEMLIMIT_BYTES = _gauge(
    "go_gc_gomemlimit_bytes", Unit.BYTES, "Memory beyond which the heap is collected more often; huge when unlimited."
)
MEMSTATS_ALLOC_BYTES_TOTAL = _total(
    "go_memstats_alloc_bytes_total", Unit.BYTES, "Bytes that were ever put on the heap."
)
MEMSTATS_BUCK_HASH_SYS_BYTES = _gauge(
    "go_memstats_buck_hash_sys_bytes", Unit.BYTES, "Bytes of the profiler's own tables."
)
MEMSTATS_FREES_TOTAL = _total("go_memstats_frees_total", Unit.COUNT, "Objects that were freed.")
MEMSTATS_GC_SYS_BYTES = _gauge("go_memstats_gc_sys_bytes", Unit.BYTES, "Bytes of the collector's own tables.")
MEMSTATS_HEAP_ALLOC_BYTES = _gauge("go_memstats_heap_alloc_bytes", Unit.BYTES, "Bytes in objects on the heap.")
MEMSTATS_HEAP_IDLE_BYTES = _gauge("go_memstats_heap_idle_bytes", Unit.BYTES, "Bytes of the heap that hold no object.")
MEMSTATS_HEAP_OBJECTS = _gauge("go_memstats_heap_objects", Unit.COUNT, "Objects on the heap.")
MEMSTATS_HEAP_RELEASED_BYTES = _gauge(
    "go_memstats_heap_released_bytes", Unit.BYTES, "Bytes of the heap that were given back to the system."
)
MEMSTATS_HEAP_SYS_BYTES = _gauge("go_memstats_heap_sys_bytes", Unit.BYTES, "Bytes of the heap taken from the system.")
MEMSTATS_LAST_GC_TIME_SECONDS = _gauge(
    "go_memstats_last_gc_time_seconds", Unit.UNIX_SECONDS, "When the heap was collected last."
)
MEMSTATS_MALLOCS_TOTAL = _total("go_memstats_mallocs_total", Unit.COUNT, "Objects that were ever put on the heap.")
MEMSTATS_MCACHE_INUSE_BYTES = _gauge(
    "go_memstats_mcache_inuse_bytes", Unit.BYTES, "Bytes of the processors' caches of free memory in use."
)
MEMSTATS_MCACHE_SYS_BYTES = _gauge(
    "go_memstats_mcache_sys_bytes", Unit.BYTES, "Bytes of the processors' caches of free memory."
)
MEMSTATS_MSPAN_INUSE_BYTES = _gauge(
    "go_memstats_mspan_inuse_bytes", Unit.BYTES, "Bytes that describe runs of pages, in use."
)
MEMSTATS_MSPAN_SYS_BYTES = _gauge("go_memstats_mspan_sys_bytes", Unit.BYTES, "Bytes that describe runs of pages.")
MEMSTATS_NEXT_GC_BYTES = _gauge(
    "go_memstats_next_gc_bytes", Unit.BYTES, "Size of the heap at which it is collected next."
)
MEMSTATS_OTHER_SYS_BYTES = _gauge("go_memstats_other_sys_bytes", Unit.BYTES, "Bytes taken for anything else.")
MEMSTATS_STACK_INUSE_BYTES = _gauge("go_memstats_stack_inuse_bytes", Unit.BYTES, "Bytes of goroutines' stacks.")
MEMSTATS_STACK_SYS_BYTES = _gauge(
    "go_memstats_stack_sys_bytes", Unit.BYTES, "Bytes of stacks taken from the system, those of threads included."
)
MEMSTATS_SYS_BYTES = _gauge("go_memstats_sys_bytes", Unit.BYTES, "Bytes taken from the system in all.")
SCHED_GOMAXPROCS_THREADS = _gauge(
    "go_sched_gomaxprocs_threads", Unit.COUNT, "Threads that may run Go code at the same time."
)

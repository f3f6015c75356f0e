"""The runtime of the agent's process, under the names that Nomad has for Go's.

A Python process has no goroutines and no Go heap; each entry says what stands in its place.
"""

from telemetry.catalogue.metric import Kind, Metric, Presence, Role, Unit


def _gauge(name: str, key: str, unit: Unit, meaning: str) -> Metric:
    return Metric(
        name=name,
        kind=Kind.GAUGE,
        unit=unit,
        exporter=Role.AGENT,
        present=Presence.ALWAYS,
        meaning=meaning,
        source="armon/go-metrics metrics.go",
        key=key,
    )


NUM_GOROUTINES = _gauge(
    "nomad_runtime_num_goroutines",
    "nomad.runtime.num_goroutines",
    Unit.COUNT,
    "Goroutines of a Nomad; threads and unfinished asyncio tasks of an Outrider.",
)
ALLOC_BYTES = _gauge(
    "nomad_runtime_alloc_bytes",
    "nomad.runtime.alloc_bytes",
    Unit.BYTES,
    "Bytes in use on the heap of a Nomad; anonymous resident memory (heap and stacks) of an Outrider.",
)
SYS_BYTES = _gauge(
    "nomad_runtime_sys_bytes",
    "nomad.runtime.sys_bytes",
    Unit.BYTES,
    "Bytes that a Nomad took from the system; the data segment's virtual size, heap and stacks, of an Outrider.",
)
MALLOC_COUNT = _gauge(
    "nomad_runtime_malloc_count",
    "nomad.runtime.malloc_count",
    Unit.COUNT,
    "Objects a Nomad has made since its start; in an Outrider at least so many. Grows at every collection interval, so "
    "one that stands still while scrapes succeed is the sign of a loop that hangs.",
)
FREE_COUNT = _gauge(
    "nomad_runtime_free_count",
    "nomad.runtime.free_count",
    Unit.COUNT,
    "Objects a Nomad has freed since its start; in an Outrider those that the cycle collector found.",
)
HEAP_OBJECTS = _gauge(
    "nomad_runtime_heap_objects",
    "nomad.runtime.heap_objects",
    Unit.COUNT,
    "Objects on the heap of a Nomad; memory blocks that Python's allocator holds now in an Outrider.",
)
TOTAL_GC_PAUSE_NS = _gauge(
    "nomad_runtime_total_gc_pause_ns",
    "nomad.runtime.total_gc_pause_ns",
    Unit.NANOSECONDS,
    "Time all collections have stopped the process since its start.",
)
TOTAL_GC_RUNS = _gauge(
    "nomad_runtime_total_gc_runs",
    "nomad.runtime.total_gc_runs",
    Unit.COUNT,
    "Collections since the start of the process; in an Outrider of all three generations together.",
)
GC_PAUSE_NS = Metric(
    name="nomad_runtime_gc_pause_ns",
    kind=Kind.SAMPLE,
    unit=Unit.NANOSECONDS,
    exporter=Role.AGENT,
    present=Presence.AFTER_FIRST_EVENT,
    meaning="Time one collection stopped the process.",
    source="armon/go-metrics metrics.go",
    key="nomad.runtime.gc_pause_ns",
)

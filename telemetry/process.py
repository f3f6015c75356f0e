"""The agent's own process: `process_*` as every Prometheus client library names them, and Nomad's `nomad_runtime_*`.

`process_*` are sampled at each scrape and always there. `nomad_runtime_*` are recorded by the collection loop, as a
Nomad does, and say what `telemetry.catalogue.runtime` says they mean for a Python process. Reads /proc, so Linux; on
another system only the series that need no /proc are there.
"""

import gc
import os
import resource
import sys
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from telemetry.catalogue import external, runtime
from telemetry.clock import Clock
from telemetry.recorder import Recorder
from telemetry.registry import Sampled

_PROC = Path("/proc")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAUSES_KEPT = 1_000
"""Collections between two runs of the collection loop are a few dozen; more than this are not recorded one by one."""

_MADE_A_RECORDING = 4.0
"""gc.get_stats() alone makes a list and three dictionaries.

CPython counts no allocations, and what an idle process holds stays the same over one collection interval in nine
(measured, up to 3 s); a rule takes a loop for dead whose gauges stand still.
"""


class Process:
    """Reads the process it runs in; one an agent."""

    def __init__(self, clock: Clock, proc: Path = _PROC) -> None:
        self._clock = clock
        self._self = proc / "self"
        self._started = _start_time(proc)
        self._pauses: deque[float] = deque(maxlen=_PAUSES_KEPT)
        self._pause_began = 0.0
        self._pause_total_seconds = 0.0
        self._made = 0.0

    def sample(self) -> Iterator[Sampled]:
        """Say the `process_*` series; a sampler for `Registry.register_sampler`."""
        if self._started is not None:
            yield Sampled(external.PROCESS_START_TIME_SECONDS, self._started)
        times = os.times()
        yield Sampled(external.PROCESS_CPU_SECONDS_TOTAL, times.user + times.system)
        yield Sampled(external.PROCESS_MAX_FDS, float(_limit(resource.getrlimit(resource.RLIMIT_NOFILE)[0])))
        try:
            memory = (self._self / "statm").read_bytes().split()
            descriptors = len(os.listdir(self._self / "fd"))  # noqa: PTH208 - iterdir() makes a Path of each name
        except OSError:
            return
        yield Sampled(external.PROCESS_VIRTUAL_MEMORY_BYTES, float(int(memory[0]) * _PAGE_BYTES))
        yield Sampled(external.PROCESS_RESIDENT_MEMORY_BYTES, float(int(memory[1]) * _PAGE_BYTES))
        # One descriptor is open for the listing itself.
        yield Sampled(external.PROCESS_OPEN_FDS, float(descriptors - 1))

    def watch_collections(self) -> None:
        """Measure every pause of the cycle collector from now on, until `unwatch_collections`."""
        gc.callbacks.append(self._collected)

    def unwatch_collections(self) -> None:
        """Stop measuring."""
        gc.callbacks.remove(self._collected)

    def record_runtime(self, recorder: Recorder, tasks: int) -> None:
        """Set `nomad_runtime_*`; *tasks* is the number of unfinished tasks of the event loop.

        To be called by the collection loop, at every collection interval.
        """
        stats = gc.get_stats()
        held = float(sys.getallocatedblocks())
        freed = float(sum(generation["collected"] for generation in stats))
        recorder.set(runtime.NUM_GOROUTINES, float(threading.active_count() + tasks))
        recorder.set(runtime.HEAP_OBJECTS, held)
        recorder.set(runtime.FREE_COUNT, freed)
        self._made = max(self._made + _MADE_A_RECORDING, held + freed)
        recorder.set(runtime.MALLOC_COUNT, self._made)
        recorder.set(runtime.TOTAL_GC_RUNS, float(sum(generation["collections"] for generation in stats)))
        recorder.set(runtime.TOTAL_GC_PAUSE_NS, self._pause_total_seconds * 1e9)
        self._record_memory(recorder)
        while self._pauses:
            recorder.observe(runtime.GC_PAUSE_NS, self._pauses.popleft() * 1e9)

    def _record_memory(self, recorder: Recorder) -> None:
        try:
            _, resident, shared, _, _, data, *_ = (self._self / "statm").read_bytes().split()
        except OSError:
            return
        recorder.set(runtime.ALLOC_BYTES, float((int(resident) - int(shared)) * _PAGE_BYTES))
        recorder.set(runtime.SYS_BYTES, float(int(data) * _PAGE_BYTES))

    def _collected(self, phase: str, _info: dict[str, Any]) -> None:
        # Runs in whatever thread triggered the collection, perhaps inside the registry: so it only notes the pause.
        # CPython collects in one thread at a time, so the two phases of one collection follow each other.
        if phase == "start":
            self._pause_began = self._clock.monotonic()
            return
        pause = self._clock.monotonic() - self._pause_began
        self._pause_total_seconds += pause
        self._pauses.append(pause)


def _limit(soft: int) -> float:
    return float("inf") if soft == resource.RLIM_INFINITY else soft


def _start_time(proc: Path) -> float | None:
    """Return when this process began, in Unix seconds, from the boot time and field 22 of its stat."""
    try:
        stat = (proc / "self" / "stat").read_text()
        boot = next(row for row in (proc / "stat").read_text().splitlines() if row.startswith("btime "))
    except (OSError, StopIteration):
        return None
    # The name, in parentheses, may hold spaces and parentheses of its own.
    ticks = int(stat.rpartition(")")[2].split()[19])
    return int(boot.split()[1]) + ticks / _TICKS_PER_SECOND

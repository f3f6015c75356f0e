"""The process collectors, held against prometheus_client's own and against what the process does."""

import gc
import os

import pytest
from prometheus_client import ProcessCollector
from prometheus_client.registry import CollectorRegistry

from telemetry.catalogue import external, metrics_of, runtime
from telemetry.clock import ManualClock, SystemClock
from telemetry.process import Process
from telemetry.registry import Registry


@pytest.fixture
def sampled():
    """
    A function that samples this process: {metric: value}.
    """
    process = Process(SystemClock())
    return lambda: {sample.metric: sample.value for sample in process.sample()}


def test_values_are_those_of_prometheus_client(sampled):
    """
    Start time, limits and memory are what prometheus_client says of the same process.
    """
    collector = ProcessCollector(registry=CollectorRegistry())

    ours = sampled()
    theirs = {sample.name: sample.value for family in collector.collect() for sample in family.samples}

    assert set(theirs) == {metric.name for metric in ours}
    assert pytest.approx(theirs["process_start_time_seconds"], abs=0.05) == ours[external.PROCESS_START_TIME_SECONDS]
    assert theirs["process_max_fds"] == ours[external.PROCESS_MAX_FDS]
    assert (
        pytest.approx(theirs["process_resident_memory_bytes"], rel=0.2) == ours[external.PROCESS_RESIDENT_MEMORY_BYTES]
    )
    assert pytest.approx(theirs["process_cpu_seconds_total"], abs=0.5) == ours[external.PROCESS_CPU_SECONDS_TOTAL]


def test_open_descriptors_are_counted(sampled):
    """
    The descriptors that the system knows are counted, without the one that the counting itself opens.
    """

    def is_open(descriptor):
        try:
            os.fstat(descriptor)
        except OSError:
            return False
        return True

    expected = float(sum(is_open(descriptor) for descriptor in range(4_096)))

    assert expected == sampled()[external.PROCESS_OPEN_FDS]


def test_without_proc_the_rest_is_there(tmp_path):
    """
    Where /proc is missing, what the system calls tell is still said.
    """
    process = Process(ManualClock(), proc=tmp_path)

    names = {sample.metric for sample in process.sample()}

    assert {external.PROCESS_CPU_SECONDS_TOTAL, external.PROCESS_MAX_FDS} == names


def test_the_start_time_survives_a_strange_name(tmp_path):
    """
    A process name that holds spaces and parentheses does not shift the fields.
    """
    (tmp_path / "self").mkdir()
    fields = " ".join(["S"] + [str(number) for number in range(4, 22)] + ["500", "0"])
    (tmp_path / "self" / "stat").write_text(f"1 (a) b) (c) {fields}\n")
    (tmp_path / "stat").write_text("cpu 1 2\nbtime 1700000000\n")

    started = {s.metric: s.value for s in Process(ManualClock(), proc=tmp_path).sample()}

    assert 1_700_000_000 + 500 / os.sysconf("SC_CLK_TCK") == started[external.PROCESS_START_TIME_SECONDS]


def test_every_runtime_series_is_recorded():
    """
    After a collection and a round of the loop each nomad_runtime_ series is there, with a value above zero.
    """
    process = Process(SystemClock())
    registry = Registry(ManualClock())
    process.watch_collections()
    try:
        gc.collect()
    finally:
        process.unwatch_collections()

    process.record_runtime(registry, tasks=3)
    body = registry.exposition().decode()

    values = dict(line.rsplit(" ", 1) for line in body.splitlines() if line.startswith("nomad_"))
    gauges = [metric.name for metric in metrics_of("runtime").values()]
    assert 9 == len(gauges)
    assert all(float(values[name]) > 0 for name in gauges if name in values)
    assert {name for name in gauges if name not in values} == {runtime.GC_PAUSE_NS.name}
    assert float(values["nomad_runtime_gc_pause_ns_count"]) >= 1
    assert float(values["nomad_runtime_num_goroutines"]) >= 4


def test_a_pause_is_measured_without_touching_the_registry():
    """
    The collector's callback may run inside the registry, so it only notes the pause; the loop records it once.
    """
    clock = ManualClock(0.0)
    process = Process(clock)
    registry = Registry(clock)

    process._collected("start", {})
    clock.advance(0.002)
    process._collected("stop", {})
    before = registry.exposition()
    process.record_runtime(registry, tasks=0)
    process.record_runtime(registry, tasks=0)

    body = registry.exposition().decode()
    assert b"gc_pause" not in before
    assert "nomad_runtime_gc_pause_ns_count 1\n" in body
    assert "nomad_runtime_total_gc_pause_ns 2e+06\n" in body
    assert "nomad_runtime_gc_pause_ns_sum 2e+06\n" in body


def test_the_loop_shows_that_it_lives(monkeypatch):
    """
    A process that holds and frees nothing still shows a growing number at each collection, also as a float32.
    """
    monkeypatch.setattr("sys.getallocatedblocks", lambda: 900_000)
    monkeypatch.setattr("gc.get_stats", lambda: [{"collected": 7, "collections": 3}])
    clock = ManualClock()
    registry, process = Registry(clock), Process(clock)
    shown = []
    for _ in range(100):
        process.record_runtime(registry, 0)
        lines = registry.exposition().decode().splitlines()
        shown += [float(line.split()[1]) for line in lines if line.startswith("nomad_runtime_malloc_count ")]

    assert 900_007 == shown[0]
    assert 100 == len(set(shown))
    assert sorted(shown) == shown

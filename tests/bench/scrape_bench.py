"""What a scrape costs, and what recording costs: our registry and encoder against prometheus_client, in the same run.

The series are those of a recorded scrape of a real Nomad's leader. CPU time, the best of many rounds, so that a busy
machine disturbs little. Run: `python tests/bench/scrape_bench.py`; prints `name value unit [baseline ratio]` lines.
"""

import math
import sys
import time
import timeit
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Summary
from prometheus_client.core import Metric as ClientMetric
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from telemetry import exposition, process
from telemetry.catalogue import Kind, find, raft
from telemetry.clock import ManualClock, SystemClock
from telemetry.registry import Registry

GOLDEN = Path(__file__).parent.parent / "golden" / "nomad-2.0.5" / "leader.prom"
ROUNDS = 40
CALLS = 50_000
NOMAD_SCRAPE_MS = 2.8  # a real Nomad with these series, measured on a machine like this one
CARDINALITY = 10_000


def families():
    """
    The recorded families whose names are Nomad's, without those that hold a peer's id in the name.
    """
    text = GOLDEN.read_text()
    for family in text_string_to_metric_families(text):
        entry = find(family.name) or find(f"{family.name}_total")
        if entry is not None and family.name.startswith("nomad_"):
            yield entry, family


def filled():
    """
    A registry that shows the recorded series: quantiles where the recording has some, NaN where it has NaN.
    """
    clock = ManualClock()
    registry = Registry(clock)
    active = []
    for entry, family in families():
        metric, word = entry.metric, entry.expansion
        for sample in family.samples:
            labels = tuple(sample.labels.get(label, "") for label in metric.labels)
            if metric.kind is Kind.GAUGE:
                registry.set(metric, sample.value, labels, word)
            elif metric.kind is Kind.COUNTER:
                registry.add(metric, sample.value, labels, word)
            elif "quantile" in sample.labels:
                value = 1.0 if math.isnan(sample.value) else sample.value
                registry.observe(metric, value, labels, word)
                if not math.isnan(sample.value):
                    active.append((metric, value, labels, word))
    clock.advance(20.0)
    for second in range(8):
        for metric, value, labels, word in active:
            registry.observe(metric, value * (1 + second / 50), labels, word)
        clock.advance(1.0)
    return registry


class Recorded:
    """
    The recorded families as a collector of prometheus_client, the cheapest way it offers.
    """

    def collect(self):
        for entry, family in families_once:
            metric = ClientMetric(family.name, family.name, entry.metric.kind.value)
            metric.samples = family.samples
            yield metric


families_once = list(families())


def cpu_us(function, rounds=ROUNDS, number=1):
    """
    CPU microseconds of one call, the least of some rounds.
    """
    function()
    return min(timeit.repeat(function, number=number, repeat=rounds, timer=time.process_time)) / number * 1e6


def line(name, value, unit, baseline=None):
    """
    Print one figure, and the baseline and how many times better ours is.
    """
    tail = "" if baseline is None else f" {baseline:.4g} {baseline / value:.2f}"
    print(f"{name} {value:.4g} {unit}{tail}")


def bench_scrape():
    registry = filled()
    body = registry.exposition()
    lines = body.count(b"\n")
    series = sum(1 for row in body.splitlines() if not row.startswith(b"#"))
    snapshot = registry.families()
    collector = CollectorRegistry()
    collector.register(Recorded())
    client = cpu_us(lambda: generate_latest(collector), rounds=10)
    ours = cpu_us(registry.exposition)
    line("scrape.lines", lines, "lines")
    line("scrape.bytes", len(body), "bytes")
    line("scrape.encode_per_line", cpu_us(lambda: exposition.encode(snapshot)) / lines, "us", client / lines)
    line("scrape.whole_per_series", ours / series, "us", client / series)
    line("scrape.whole", ours / 1e3, "ms", NOMAD_SCRAPE_MS)
    parts = process.Process(SystemClock())
    line("scrape.process_and_runtime", cpu_us(lambda: list(parts.sample())) / 1e3, "ms")
    line("scrape.json", cpu_us(registry.in_memory) / 1e3, "ms")


def bench_cardinality():
    registry = Registry(SystemClock())
    gauge = Gauge("g", "g", ["peer_id"], registry=(client := CollectorRegistry()))
    for number in range(CARDINALITY):
        registry.add(raft.REPLICATION_APPEND_ENTRIES_LOGS, labels=(f"peer-{number}",))
        gauge.labels(f"peer-{number}").set(1.0)
    theirs = cpu_us(lambda: generate_latest(client), rounds=3)
    line("scrape.10k_per_series", cpu_us(registry.exposition, 5) / CARDINALITY, "us", theirs / CARDINALITY)


def bench_record():
    registry = Registry(SystemClock())
    client = CollectorRegistry()
    counter, gauge = Counter("c", "c", registry=client), Gauge("g", "g", registry=client)
    summary = Summary("s", "s", registry=client)
    labelled = Counter("l", "l", ["peer_id"], registry=client)
    for name, ours, theirs in (
        ("add", lambda: registry.add(raft.APPLY), counter.inc),
        (
            "add_labelled",
            lambda: registry.add(raft.REPLICATION_APPEND_ENTRIES_LOGS, 1.0, ("p",)),
            lambda: labelled.labels("p").inc(),
        ),
        ("set", lambda: registry.set(raft.LAST_INDEX, 5.0), lambda: gauge.set(5.0)),
        ("observe", lambda: registry.observe(raft.COMMIT_TIME, 3.7), lambda: summary.observe(3.7)),
    ):
        line(
            f"record.{name}",
            cpu_us(ours, 5, CALLS) * 1e3,
            "ns",
            cpu_us(theirs, 5, CALLS) * 1e3,
        )


if __name__ == "__main__":
    bench_scrape()
    bench_cardinality()
    bench_record()
    sys.stdout.flush()

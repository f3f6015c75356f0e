"""What a scrape costs, and what recording costs: our registry and encoder against prometheus_client, in the same run.

The series are those of a recorded scrape of a real Nomad's leader. CPU time, the best of many rounds, so that a busy
machine disturbs little. Run: `python tests/bench/scrape_bench.py`; prints `name value unit [baseline ratio]` lines.
"""

import asyncio
import logging
import math
import random
import socket
import sys
import time
import timeit
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Summary
from prometheus_client.core import Metric as ClientMetric
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from agent.consensus.replicator import Peer, PeerStatus, RaftState, ReplicatorStatus
from agent.leader.duties import LeaderDuties
from agent.leader.heartbeats import HeartbeatSettings
from agent.leader.surroundings import Surroundings
from agent.model.base import NodeID
from agent.model.command import RegisterNode, UpdateNodeStatus
from agent.model.node import Node
from agent.observe import Observed, ServerObserver
from agent.state.fsm import apply
from agent.state.store import State
from telemetry import exposition, process
from telemetry.catalogue import Kind, find, raft
from telemetry.clock import ManualClock, SystemClock
from telemetry.pushing import PushingRegistry
from telemetry.recorder import NullRecorder
from telemetry.registry import Registry
from telemetry.sinks.choose import senders
from telemetry.sinks.sender import QUEUE_MAX
from telemetry.stanza import TelemetryConfig

GOLDEN = Path(__file__).parent.parent / "golden" / "nomad-2.0.5" / "leader.prom"
ROUNDS = 40
CALLS = 50_000
NOMAD_SCRAPE_MS = 2.8  # a real Nomad with these series, measured on a machine like this one
CARDINALITY = 10_000
CLIENTS = 1_000


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


def bench_sampler():
    """
    What a server says at each scrape, with 1,000 clients; and the same when one of them has just changed.
    """
    nodes = [Node(id=NodeID(f"node-{number}"), status="ready") for number in range(CLIENTS)]
    states = [State()]
    for index, node in enumerate(nodes, start=1):
        states = [apply(states[-1], index, RegisterNode(request_id="", at=0, node=node)).state]
    changed = UpdateNodeStatus(request_id="", at=0, node_id=nodes[0].id, status="down")
    states.append(apply(states[-1], CLIENTS + 1, changed).state)
    peers = tuple(PeerStatus(Peer(f"id-{number}", f"s{number}", "a", "b"), True, True, 0.1, 9) for number in range(4))
    status = ReplicatorStatus(
        state=RaftState.LEADER, term=3, leader=peers[0].peer, last_index=9, commit_index=9, applied_index=9, last_term=3,
        snapshot_index=0, last_contact_seconds=0.0, peers=peers, tick_lateness_seconds=0.0, has_quorum=True,
        taken_at_seconds=1_000.0,
    )  # fmt: skip
    clock = ManualClock(1_000.0)
    around = Surroundings(
        propose=None, barrier=None, state=lambda: states[0], wait_for_index=None, new_id=str, clock=clock, recorder=NullRecorder(),
        logger=logging.getLogger("bench"), rng=random.Random(1),
    )  # fmt: skip
    duties = asyncio.run(_made(LeaderDuties, around, HeartbeatSettings()))
    registry = Registry(clock)
    observer = ServerObserver(Observed("s0", lambda: status, lambda: states[0], duties, (), 1.0), clock, registry)
    registry.register_sampler(observer.sample, "server")

    def after_a_change():
        states.reverse()
        return registry.exposition()

    line("scrape.server_sampled", cpu_us(registry.exposition) / 1e3, "ms")
    line("scrape.server_sampled_after_a_change", cpu_us(after_a_change) / 1e3, "ms")


async def _made(kind, *arguments):
    return kind(*arguments)


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


def bench_record_with_a_sink():
    """
    The same with statsd, to a socket of this process that nobody reads: what the recorder pays, and beside it what the
    sink's thread takes from the same interpreter.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        config = TelemetryConfig(statsd_address="{}:{}".format(*receiver.getsockname()))
        (sink,) = senders(config)
        registry = PushingRegistry(SystemClock(), sinks=[sink])
        for name, record in (
            ("add", lambda: registry.add(raft.APPLY)),
            ("set", lambda: registry.set(raft.LAST_INDEX, 5.0)),
            ("observe", lambda: registry.observe(raft.COMMIT_TIME, 3.7)),
        ):
            ours = []
            for _ in range(5):
                ours.append(cpu_us(record, 1, QUEUE_MAX // 4))
                sink.turn()
            line(f"record.{name}_with_statsd", min(ours) * 1e3, "ns")

        def whole():
            for _ in range(1_000):
                registry.add(raft.APPLY)
            sink.turn()

        line("record.add_and_send_with_statsd", cpu_us(whole, 10, 10), "ns")  # us a thousand are ns each


if __name__ == "__main__":
    bench_scrape()
    bench_sampler()
    bench_cardinality()
    bench_record()
    bench_record_with_a_sink()
    sys.stdout.flush()

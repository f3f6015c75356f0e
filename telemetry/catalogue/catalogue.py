"""The catalogue as a whole: looking up what a series is by the name Prometheus has for it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from telemetry.catalogue import (
    autopilot,
    broker,
    client,
    discovery,
    exporter,
    external,
    fsm,
    go_runtime,
    heartbeat,
    http,
    job,
    leader,
    memberlist,
    outrider,
    plan,
    raft,
    rpc,
    runtime,
    serf,
    state,
    tls,
    worker,
)
from telemetry.catalogue.metric import Kind, Metric

TARGET_LABELS = frozenset(
    {"job", "instance", "cluster", "region", "datacenter", "role", "exported_job", "exported_instance"}
)
"""Labels that the scrape configuration puts on every series, whatever exports it.

Nomad's own `job` label becomes `exported_job` unless the scrape honours labels.
"""

MODULES = {
    module.__name__.rpartition(".")[2]: module
    for module in (
        autopilot,
        broker,
        client,
        discovery,
        exporter,
        external,
        fsm,
        go_runtime,
        heartbeat,
        http,
        job,
        leader,
        memberlist,
        outrider,
        plan,
        raft,
        rpc,
        runtime,
        serf,
        state,
        tls,
        worker,
    )
}
"""The subsystems by name, in the order of the alphabet."""


class Part(Enum):
    """Which of the series of a metric a name is; the value is the suffix."""

    VALUE = ""
    SUM = "_sum"
    COUNT = "_count"
    BUCKET = "_bucket"


@dataclass(frozen=True, slots=True)
class Entry:
    """What a series is: its metric, which part of it, and the word its name was expanded with, or empty."""

    name: str
    metric: Metric
    part: Part
    expansion: str

    @property
    def is_cumulative(self) -> bool:
        """Whether the series only grows, so that `rate()` is meant for it."""
        return self.part is not Part.VALUE or self.metric.kind is Kind.COUNTER

    @property
    def labels(self) -> frozenset[str]:
        """The labels the exporter gives this series; those of the target come on top."""
        if self.part is Part.BUCKET:
            return frozenset((*self.metric.labels, "le"))
        if self.part is Part.VALUE and self.metric.kind is Kind.SAMPLE:
            return frozenset((*self.metric.labels, "quantile"))
        return frozenset(self.metric.labels)


class Catalogue:
    """A set of metrics that no two series names of clash.

    Raises ValueError when two metrics claim the same series.
    """

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = tuple(metrics)
        self._entries: dict[str, Entry] = {}
        for metric in self._metrics:
            for entry in _entries(metric):
                other = self._entries.setdefault(entry.name, entry)
                if other is not entry:
                    raise ValueError(f"series {entry.name!r} belongs to both {other.metric.name!r} and {metric.name!r}")

    def __iter__(self) -> Iterator[Metric]:
        return iter(self._metrics)

    def __len__(self) -> int:
        return len(self._metrics)

    def find(self, series_name: str) -> Entry | None:
        """Return what *series_name* is, `_sum`, `_count` and `_bucket` resolved, or None when no metric has it."""
        return self._entries.get(series_name)

    def series_names(self) -> frozenset[str]:
        """Return the name of every series, suffixes and expansions included; for suggestions in messages."""
        return frozenset(self._entries)

    def with_(self, extra: Iterable[Metric]) -> "Catalogue":
        """Return a catalogue that holds *extra* as well, such as recording rules."""
        return Catalogue((*self._metrics, *extra))


def _entries(metric: Metric) -> Iterator[Entry]:
    for name, expansion in zip(metric.names, metric.expansions or ("",), strict=True):
        for part in _PARTS[metric.kind]:
            yield Entry(name + part.value, metric, part, expansion)


_PARTS = {
    Kind.GAUGE: (Part.VALUE,),
    Kind.COUNTER: (Part.VALUE,),
    Kind.UNTYPED: (Part.VALUE,),
    Kind.SAMPLE: (Part.VALUE, Part.SUM, Part.COUNT),
    Kind.HISTOGRAM: (Part.SUM, Part.COUNT, Part.BUCKET),
}


def metrics_of(module: str) -> dict[str, Metric]:
    """Return the constants of a subsystem by name, in the order they stand in its file."""
    return {name: value for name, value in vars(MODULES[module]).items() if isinstance(value, Metric)}


CATALOGUE = Catalogue(metric for module in MODULES for metric in metrics_of(module).values())
"""Every metric that Outrider, a Nomad or a neighbour exports and that Outrider knows."""


def find(series_name: str) -> Entry | None:
    """Return what *series_name* is in `CATALOGUE`, or None."""
    return CATALOGUE.find(series_name)

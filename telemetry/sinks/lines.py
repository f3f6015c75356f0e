"""What a line to statsd, statsite or dogstatsd says, and how lines become packets. Pure.

Names, values and units are those that a Nomad pushes: its dotted key, the labels' values behind it in the order in which
Nomad attaches them (dogstatsd: as tags), every value as a float32 with six digits; samples as timers, `ms`, whatever
their unit. Series of ours are pushed as `outrider.` and the rest of their name.

Source: go-metrics statsd.go, statsite.go and datadog/dogstatsd.go; datadog-go statsd.go (format); go-metrics metrics.go
for the host.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from telemetry.catalogue.metric import Kind, Metric
from telemetry.exposition import float32

PACKET_BYTES_MAX = 1_400
"""So that a packet fits the commonest MTU. Source: go-metrics statsdMaxLen; datadog-go has 1,432."""

_LARGEST = 3.4028234663852886e38
_TYPES = {Kind.COUNTER: "c", Kind.GAUGE: "g", Kind.SAMPLE: "ms"}

# go-metrics replaces a colon and a space. The others would end a value, a tag or a line, and metadata of jobs may hold
# them: whoever may submit a job could otherwise write lines of their own.
_CLEAN_NAME = str.maketrans({":": "_", " ": "_", "|": "_", "\n": "_", "\r": "_"})
_CLEAN_TAG = _CLEAN_NAME | str.maketrans({",": "_"})

_ATTACHED = (
    "job", "task_group", "alloc_id", "task", "namespace", "eval_type", "triggered_by",
    "node_id", "datacenter", "node_class", "node_pool", "node_status", "node_scheduling_eligibility",
    "cpu", "disk", "device",
)  # fmt: skip
"""Labels in the order in which Nomad attaches them, as statsd's names depend on it; others come behind, by name.

Source: task_runner.go (initLabels), client.go (baseLabels, labels), leader.go (iterateJobSummaryMetrics).
"""
_LATE = ("parent_id", "dispatch_id", "periodic_id", "host")
_RANK = {label: rank for rank, label in enumerate(_ATTACHED)} | {
    label: len(_ATTACHED) + 1 + rank for rank, label in enumerate(_LATE)
}


class Line(NamedTuple):
    """What stands before and behind a value; `whole` where the value is cut to an integer."""

    start: str
    end: str
    whole: bool = False

    def text(self, value: float) -> str:
        """Return the line for *value*, one that `can_be_said`."""
        rounded = float32(value)
        return f"{self.start}{int(rounded)}{self.end}" if self.whole else f"{self.start}{rounded:.6f}{self.end}"


def can_be_said(value: float) -> bool:
    """Return whether *value* has digits as a float32: receivers refuse the line of an infinity or of NaN."""
    return -_LARGEST <= value <= _LARGEST


Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Series:
    """One series as the registry knows it; *host_in_name* stands in a gauge's name, or is "" for none."""

    metric: Metric
    expansion: str
    labels: Labels
    host_in_name: str = ""

    @property
    def attached(self) -> Labels:
        """The labels in the order in which Nomad attaches them."""
        return tuple(sorted(self.labels, key=lambda pair: (_RANK.get(pair[0], len(_ATTACHED)), pair[0])))

    @property
    def key(self) -> str:
        """The dotted key, without the host."""
        if self.metric.name.startswith("nomad_"):
            return self.metric.dotted.format(self.expansion)
        return self.metric.name.format(self.expansion).replace("_", ".", 1)


def statsd_line(series: Series) -> Line:
    """Return the line of a series for statsd and statsite: labels' values are parts of the name."""
    key = series.key
    if series.host_in_name and series.metric.kind is Kind.GAUGE:
        service, _, rest = key.partition(".")
        key = f"{service}.{series.host_in_name}.{rest}"
    name = ".".join([key, *(value for _, value in series.attached)]).translate(_CLEAN_NAME)
    return Line(f"{name}:", f"|{_TYPES[series.metric.kind]}\n")


def dogstatsd_line(series: Series, tags: Iterable[str] = ()) -> Line:
    """Return the line of a series for dogstatsd: labels are tags behind *tags*, and counters are whole numbers.

    The host is no part of a name here; dogstatsd itself or the label `host` says it.
    """
    name = series.key.translate(_CLEAN_NAME)
    said = [tag.replace("\n", "") for tag in tags]
    for label, value in series.attached:
        clean = value.translate(_CLEAN_TAG)
        said.append(f"{label.translate(_CLEAN_TAG)}:{clean}" if clean else label.translate(_CLEAN_TAG))
    behind = f"|#{','.join(said)}" if said else ""
    kind = series.metric.kind
    return Line(f"{name}:", f"|{_TYPES[kind]}{behind}\n", whole=kind is Kind.COUNTER)


def packets(lines: Iterable[str], bytes_max: int = PACKET_BYTES_MAX) -> Iterator[tuple[bytes, int]]:
    """Yield packets of whole lines, each with the number of its lines, in order.

    A packet holds at most *bytes_max* bytes; a line that is longer by itself is a packet of its own, as on a Nomad.
    """
    held: list[bytes] = []
    size = 0
    for line in lines:
        encoded = line.encode(errors="replace")
        if held and size + len(encoded) > bytes_max:
            yield b"".join(held), len(held)
            held, size = [], 0
        held.append(encoded)
        size += len(encoded)
    if held:
        yield b"".join(held), len(held)

"""What a metric is: one frozen value for each series that Nomad, Outrider or a neighbour exports.

The constant is what the code uses at the point of action, what a rule resolves its PromQL against, and what the
documentation is generated from. No metric name stands as a string anywhere else.
"""

import math
import re
from dataclasses import dataclass
from enum import Enum, Flag, auto
from itertools import pairwise

from telemetry.stanza import PROMETHEUS_EXPIRY_SECONDS

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
_NOT_IN_A_NAME = re.compile(r"[.\-/ =]")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")


OPTIONAL_LABELS = frozenset({"parent_id", "periodic_id"})
"""Labels that are left out of a series for which they have no value; every other label is printed empty, as by Nomad."""


class Kind(Enum):
    """How a series behaves, named as Prometheus types it; the value is the word after `# TYPE`."""

    GAUGE = "gauge"
    COUNTER = "counter"
    SAMPLE = "summary"
    """Nomad's timer or sample: quantiles 0.5, 0.9 and 0.99 of the last 10 s, with _sum and _count."""
    HISTOGRAM = "histogram"
    UNTYPED = "untyped"
    """Foreign series whose kind is not declared, such as `up` or `ALERTS`."""


class Unit(Enum):
    """The unit of a value as exported; Nomad's own names keep Nomad's units."""

    NONE = ""
    SECONDS = "s"
    MILLISECONDS = "ms"
    NANOSECONDS = "ns"
    UNIX_SECONDS = "unix s"
    BYTES = "bytes"
    MEGABYTES = "MB"
    MEGAHERTZ = "MHz"
    MEGABITS = "Mbit"
    PERCENT = "%"
    RATIO = "ratio"
    BOOLEAN = "0 or 1"
    COUNT = "count"
    INDEX = "index"
    TERM = "term"


class Role(Flag):
    """Which process exports a series."""

    SERVER = auto()
    CLIENT = auto()
    AGENT = SERVER | CLIENT
    EXPORTER = auto()
    """`outrider exporter`, beside a real Nomad."""
    RULE = auto()
    """A recording rule of ours, evaluated by Prometheus."""
    FOREIGN = auto()
    """Prometheus, Alertmanager or another neighbour."""
    DISCOVERY = auto()
    """`outrider discovery serve`."""


class Presence(Enum):
    """When a series is there to be scraped."""

    ALWAYS = "always"
    AFTER_FIRST_EVENT = "after the first event, for 60 s"
    LEADER_ONLY = "on the leader, and for 60 s on a server that was it"
    FOLLOWER_ONLY = "on a follower, and for 60 s after"
    WHEN_CONFIGURED = "when configured"
    WHILE_READ = "while `outrider exporter` can read it; what it read of a list stays for two reads"


class Absent(Enum):
    """Why Outrider's agent does not export what a Nomad does, or that no agent does."""

    GOSSIP = "the agent's gossip has no user events, queries or coordinates"
    SNAPSHOT = "the agent begins and writes the file of a snapshot in one step"
    SCHEDULING = "the agent's scheduling does not do, or not count, what is measured here yet"
    PLANS = "the agent's leader applies one plan after the other, without what is measured here"
    CALL = "the agent does not have, or not measure, such a call or command"
    OUTSIDE = "of a part of Nomad that Outrider leaves out: ACL, variables, keys, enterprise"
    GO = "of the Go runtime; the agent runs in Python"
    TRANSPORT = "of the transport of hashicorp/raft; the agent has another one"
    BOLTDB = "of BoltDB; the agent keeps its log in another way"
    PROCESS = "the agent says other figures of its process, and not this one"
    NEIGHBOUR = "no agent exports it: it is a neighbour's"
    RULE = "no agent exports it: a recording rule writes it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One entry of the catalogue.

    Raises ValueError when the name or a label is not one Prometheus accepts, or when a label stands twice.
    """

    name: str
    kind: Kind
    unit: Unit
    exporter: Role
    present: Presence
    meaning: str
    source: str
    labels: tuple[str, ...] = ()
    key: str = ""
    """Nomad's own key, where it is not simply the name with a dot for each underscore; see `dotted`."""
    expansions: tuple[str, ...] = ()
    """For a name made at run time (`nomad_nomad_broker_<scheduler>_ready`): the closed set of words in its `{}`."""
    unused: tuple[str, ...] = ()
    """Those of `expansions` that only a Nomad has a use for: our agent exports no series of such a name."""
    buckets: tuple[float, ...] = ()
    """For a histogram: the upper bounds of its buckets, rising, in its unit; infinity is not among them."""
    labelled_by_job: bool = False
    """Whether a series may carry further labels, which an operator chose: the metadata of its job; see `telemetry.stanza`."""
    absent: Absent | None = None
    """Why our agent and exporter do not export it; rules may use it, the live check does not seek it. None for ours."""

    def __post_init__(self) -> None:
        for name in self.names:
            if not _NAME.match(name):
                raise ValueError(f"metric {self.name!r}: not a name Prometheus accepts")
        for label in self.labels:
            if not _LABEL.match(label):
                raise ValueError(f"metric {self.name!r}: {label!r} is not a label name Prometheus accepts")
        if self.key and _NOT_IN_A_NAME.sub("_", self.key) != self.name:
            raise ValueError(f"metric {self.name!r}: the key {self.key!r} does not become this name")
        if not set(self.unused) <= set(self.expansions):
            raise ValueError(f"metric {self.name!r}: {self.unused} are not all among {self.expansions}")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError(f"metric {self.name!r}: a label stands twice in {self.labels}")
        if (self.kind is Kind.HISTOGRAM) != bool(self.buckets):
            raise ValueError(f"metric {self.name!r}: a histogram, and nothing else, has buckets")
        if not all(map(math.isfinite, self.buckets)) or any(low >= high for low, high in pairwise(self.buckets)):
            raise ValueError(f"metric {self.name!r}: the buckets {self.buckets} do not rise")

    @property
    def dotted(self) -> str:
        """Nomad's key, as its JSON and its prefix filters spell it; holds `{}` when the name does."""
        return self.key or self.name.replace("_", ".")

    @property
    def exported(self) -> bool:
        """Whether an agent or exporter of ours exports it."""
        return self.absent is None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the series, before `_sum`, `_count` and `_bucket`: one, or one an expansion."""
        if not self.expansions:
            return (self.name,)
        return tuple(self.name.format(word) for word in self.expansions)

    @property
    def exported_names(self) -> tuple[str, ...]:
        """Those of `names` that an agent or exporter of ours exports."""
        if not self.exported:
            return ()
        without = {self.name.format(word) for word in self.unused}
        return tuple(name for name in self.names if name not in without)

    @property
    def expires_seconds(self) -> float | None:
        """How long after its last update a series is gone; None for one that stays as long as its process."""
        return PROMETHEUS_EXPIRY_SECONDS if self.name.startswith("nomad_") else None

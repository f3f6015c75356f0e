"""How many series a metric makes: what it has one series for, and how many that is on a cluster of a given size.

Labels decide it, so nothing is typed in for each metric. A prediction is for the one agent that exports the most of
it, at a moment when all of it is there: an upper bound for what comes and goes, exact for what is always there.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import Enum

from telemetry.catalogue.metric import Kind, Metric, Role

LINES_OF_A_SAMPLE = 5
"""Three quantiles, `_sum` and `_count`."""

LINES_BESIDE_BUCKETS = 3
"""The bucket of infinity, `_sum` and `_count`."""

_TRIGGERS = 2
"""Of evaluations that a job has within a minute; a registration and one more, in every recorded scrape."""
_HOOKS = 16
"""Hooks around an allocation or task of a Nomad 2.0.5; 14 and 13 were recorded."""
_RAFT_CALLS = 6
"""Kinds of Raft calls: entries and heartbeats; votes, questions before them, snapshots and hand-overs for a minute."""
_MEMBER_STATES = 4
_SCHEDULERS = 5
"""Service, batch, system, sysbatch, and the leader's own."""
_SINKS = 3
"""Statsd, statsite, dogstatsd."""


class Per(Enum):
    """What a metric has one series for; the value is how the documents say it."""

    AGENT = "1"
    NODE = "1, and for a minute 1 more after eligibility or status changed"
    PEER = "1 for each other server"
    TASK_GROUP = "1 for each task group"
    EVALUATED_JOB = "1 for each job and trigger of the last minute"
    BLOCKED_JOB = "1 for each job that waits"
    FAILED_ALLOCATION = "1 for each allocation that is to be rescheduled"
    ALLOCATION = "1 for each task on the client"
    CLIENT = "1 for each client"
    PLACE = "1 for each datacenter, class and pool"
    CORE = "1 for each core"
    DISK = "1 for each file system"
    DEVICE = "1 for each network device"
    HOOK = "1 for each hook"
    RAFT_CALL = "1 for each kind of call"
    MEMBER_STATE = "1 for each state"
    SCHEDULER = "1 for each type of scheduler"
    SINK = "1 for each kind of sink"
    OTHER = "1 for each set of labels"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSize:
    """How large a region is: servers, clients, task groups of all jobs, and tasks of all allocations that run.

    *waiting* are the jobs with a blocked evaluation and the allocations to be rescheduled. *places* are the
    combinations of datacenter, class and pool in which something waits, *node_states* those of eligibility and status
    that a client had within the last minute. *cores*, *disks* and
    *devices* are those of one client. Raises ValueError when there is no server, or a number is negative.
    """

    servers: int
    clients: int = 0
    jobs: int = 0
    allocations: int = 0
    waiting: int = 0
    places: int = 1
    node_states: int = 1
    cores: int = 2
    disks: int = 1
    devices: int = 2

    def __post_init__(self) -> None:
        if self.servers < 1:
            raise ValueError(f"a cluster of {self.servers} servers: there must be at least 1")
        for each in fields(self):
            if getattr(self, each.name) < 0:
                raise ValueError(f"{each.name} is {getattr(self, each.name)}; it cannot be negative")


def per(metric: Metric) -> Per:
    """Return what *metric* has one series for."""
    labels = set(metric.labels)
    if Role.CLIENT in metric.exporter:
        # The labels of the node itself have one value on one client.
        for label, what in _OF_A_CLIENT:
            if label in labels:
                return what
        return Per.NODE if _STATUS in labels else Per.AGENT
    for label, what in _OF_A_SERVER:
        if label in labels:
            return what
    return Per.AGENT if labels <= {"server", "version"} else Per.OTHER


_STATUS = "node_status"
"""The label, beside eligibility, that changes while a client lives: the series with the old one stay for 60 s."""

_OF_A_CLIENT = (
    ("alloc_id", Per.ALLOCATION),
    ("cpu", Per.CORE),
    ("disk", Per.DISK),
    ("device", Per.DEVICE),
    ("hook_name", Per.HOOK),
    ("sink", Per.SINK),
    ("task", Per.OTHER),
)
_OF_A_SERVER = (
    ("peer_id", Per.PEER),
    ("alloc_id", Per.FAILED_ALLOCATION),
    ("triggered_by", Per.EVALUATED_JOB),
    ("task_group", Per.TASK_GROUP),
    ("job", Per.BLOCKED_JOB),
    ("node_id", Per.CLIENT),
    ("node_pool", Per.PLACE),
    ("rpcType", Per.RAFT_CALL),
    ("node_state", Per.MEMBER_STATE),
    ("type", Per.SCHEDULER),
)


def series(metric: Metric, size: ClusterSize, role: Role = Role.AGENT) -> int | None:
    """Return how many series one process exports of *metric* on a cluster of this size; None where labels are open.

    The process is an agent, or of another *role*: an exporter says for each server what an agent says for itself. A
    summary with all its lines is one series here; `lines` counts them.
    """
    words = max(1, len(metric.expansions))
    match per(metric):
        case Per.AGENT | Per.NODE:
            many = 1
        case Per.PEER:
            many = size.servers - 1
        case Per.TASK_GROUP:
            many = size.jobs
        case Per.EVALUATED_JOB:
            many = size.jobs * _TRIGGERS
        case Per.BLOCKED_JOB | Per.FAILED_ALLOCATION:
            many = size.waiting
        case Per.ALLOCATION:
            many = -(-size.allocations // max(1, size.clients))
        case Per.CLIENT:
            many = size.clients
        case Per.PLACE:
            many = size.places
        case Per.CORE:
            many = size.cores
        case Per.DISK:
            many = size.disks
        case Per.DEVICE:
            many = size.devices
        case Per.HOOK:
            many = _HOOKS
        case Per.RAFT_CALL:
            many = _RAFT_CALLS
        case Per.MEMBER_STATE:
            many = _MEMBER_STATES
        case Per.SCHEDULER:
            many = _SCHEDULERS
        case Per.SINK:
            many = _SINKS
        case Per.OTHER:
            return None
    states = size.node_states if _STATUS in metric.labels else 1
    servers = size.servers if role is Role.EXPORTER and "server" in metric.labels else 1
    return many * words * states * servers


def lines(metric: Metric, size: ClusterSize) -> int:
    """Return how many lines of an exposition, samples to Prometheus, those series are; 0 where labels are open."""
    each = {Kind.SAMPLE: LINES_OF_A_SAMPLE, Kind.HISTOGRAM: len(metric.buckets) + LINES_BESIDE_BUCKETS}
    return (series(metric, size) or 0) * each.get(metric.kind, 1)


def total_lines(metrics: Iterable[Metric], role: Role, size: ClusterSize) -> int:
    """Return how many samples one scrape of an agent of *role* brings at most, of *metrics*."""
    return sum(lines(metric, size) for metric in metrics if role in metric.exporter)

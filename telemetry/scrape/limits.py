"""How many samples a scrape of a healthy agent can give, from the catalogue and the size of the cluster.

A `sample_limit` makes the whole scrape fail when one sample is too many: `up` becomes 0, and a healthy server looks
dead to every rule. What a Nomad exports grows with its jobs and tasks, which nobody but the operator can bound; so no
limit is set unless the operator says these numbers, and what is computed has a wide margin.
"""

from dataclasses import dataclass

from telemetry.catalogue import CATALOGUE
from telemetry.catalogue.metric import Kind, Metric, Role
from telemetry.scrape.description import AgentRole

MARGIN = 3
"""Between the samples predicted and the limit: a limit stops an accident, such as an id in a label, not growth."""

_SAMPLES = {Kind.SAMPLE: 5, Kind.HISTOGRAM: 20}
"""Of one series: three quantiles, sum and count; at most 17 buckets, infinity, sum and count."""
_ROLES = {AgentRole.SERVER: Role.SERVER, AgentRole.CLIENT: Role.CLIENT}
_RAFT_PEERS = 9
_TRIGGERS = 6
"""Reasons for which one job is evaluated within a minute, after which a series is gone."""
_PROCESSORS, _DISKS, _DEVICES, _HOOKS = 256, 32, 32, 24
_FEW = 8
"""Values of a label from a closed set: node classes, states, kinds of RPC, versions."""
_PROCESS = 60
"""Go's and the process' own series, of which the catalogue lists those that a rule uses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The most that the operator expects; *tasks_per_client* counts those of one client. Raises ValueError below 1."""

    jobs: int
    task_groups_per_job: int = 4
    tasks_per_client: int

    def __post_init__(self) -> None:
        for name in ("jobs", "task_groups_per_job", "tasks_per_client"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")


def predicted_samples(role: AgentRole, size: Size) -> int:
    """Return how many samples a scrape of one agent of *role* gives at most, all states of the cluster together."""
    wanted = _ROLES[role]
    return _PROCESS + sum(
        len(metric.names) * _SAMPLES.get(metric.kind, 1) * _series(metric, role, size)
        for metric in CATALOGUE
        if wanted in metric.exporter
    )


def sample_limits(size: Size) -> dict[AgentRole, int]:
    """Return the limit for each role of agent, rounded up to whole thousands."""
    return {role: -(-predicted_samples(role, size) * MARGIN // 1_000) * 1_000 for role in _ROLES}


def _series(metric: Metric, role: AgentRole, size: Size) -> int:
    """Return how many series one name has: what grows most, times the labels of closed sets."""
    labels = set(metric.labels)
    count = 1
    if "alloc_id" in labels and role is AgentRole.CLIENT:
        count *= size.tasks_per_client
    elif "task_group" in labels:
        count *= size.jobs * size.task_groups_per_job
    elif "job" in labels:
        count *= size.jobs
    for label, values in (
        ("triggered_by", _TRIGGERS),
        ("peer_id", _RAFT_PEERS),
        ("cpu", _PROCESSORS),
        ("disk", _DISKS),
        ("device", _DEVICES),
        ("hook_name", _HOOKS),
        ("node_state", _FEW),
        ("rpcType", _FEW),
        ("queue", _FEW),
        ("node_class", _FEW if role is AgentRole.SERVER else 1),
    ):
        if label in labels:
            count *= values
    return count

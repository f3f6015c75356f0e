"""How many samples a scrape of a healthy agent can give, from the catalogue and the size of the cluster.

A `sample_limit` makes the whole scrape fail when one sample is too many: `up` becomes 0, and a healthy server looks
dead to every rule. What a Nomad exports grows with its jobs and tasks, which nobody but the operator can bound; so no
limit is set unless the operator says these numbers, and what is computed has a wide margin.
"""

from dataclasses import dataclass

from telemetry.catalogue import CATALOGUE
from telemetry.catalogue.cardinality import ClusterSize, total_lines
from telemetry.catalogue.metric import Role
from telemetry.scrape.description import AgentRole

MARGIN = 3
"""Between the samples predicted and the limit: a limit stops an accident, such as an id in a label, not growth."""

_ROLES = {AgentRole.SERVER: Role.SERVER, AgentRole.CLIENT: Role.CLIENT}
_SERVERS, _PLACES, _NODE_STATES, _CORES, _DEVICES = 9, 8, 2, 256, 32
"""More than a cluster that is run with care has."""
_PROCESS = 60
"""Go's and the process' own series, of which the catalogue lists those that a rule uses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The most that the operator expects; *tasks_per_client* counts those of one client. Raises ValueError below 1.

    *clients* counts on the leader, which has a series for each that refused a plan, and with a `plan_rejection_tracker` two.
    """

    jobs: int
    task_groups_per_job: int = 4
    clients: int = 1_000
    tasks_per_client: int

    def __post_init__(self) -> None:
        for name in ("jobs", "task_groups_per_job", "clients", "tasks_per_client"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")


def predicted_samples(role: AgentRole, size: Size) -> int:
    """Return how many samples a scrape of one agent of *role* gives at most, all states of the cluster together."""
    most = ClusterSize(
        servers=_SERVERS,
        clients=size.clients,
        jobs=size.jobs * size.task_groups_per_job,
        allocations=size.tasks_per_client * size.clients,
        waiting=size.jobs,
        places=_PLACES,
        node_states=_NODE_STATES,
        cores=_CORES,
        disks=_DEVICES,
        devices=_DEVICES,
    )
    return _PROCESS + total_lines(CATALOGUE, _ROLES[role], most)


def sample_limits(size: Size) -> dict[AgentRole, int]:
    """Return the limit for each role of agent, rounded up to whole thousands."""
    return {role: -(-predicted_samples(role, size) * MARGIN // 1_000) * 1_000 for role in _ROLES}

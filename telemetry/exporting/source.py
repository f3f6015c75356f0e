"""What is read of a Nomad's API, and what a token must be allowed for it.

Source: Nomad, HTTP API (the "ACL Required" of each endpoint).
"""

from enum import Enum


class Source(Enum):
    """One thing that is read; the value is the label `source`."""

    LEADER = "leader"
    """Every server's own view of the leader; open to everybody."""
    SELF = "self"
    """What each server says of itself."""
    AUTOPILOT = "autopilot"
    NODES = "nodes"
    JOBS = "jobs"
    DEPLOYMENTS = "deployments"
    EVALUATIONS = "evaluations"

    @property
    def path(self) -> str:
        """Where it is read."""
        return _PATHS[self]

    @property
    def policy(self) -> str:
        """The ACL rule that allows it."""
        return _POLICIES[self]


OF_EACH_SERVER = (Source.LEADER, Source.SELF)
LISTS = (Source.NODES, Source.JOBS, Source.DEPLOYMENTS, Source.EVALUATIONS)
OF_THE_CLUSTER = (Source.AUTOPILOT, *LISTS)
"""Read from one server, whichever answers."""

_PATHS = {
    Source.LEADER: "/v1/status/leader",
    Source.SELF: "/v1/agent/self",
    Source.AUTOPILOT: "/v1/operator/autopilot/health",
    Source.NODES: "/v1/nodes",
    Source.JOBS: "/v1/jobs",
    Source.DEPLOYMENTS: "/v1/deployments",
    Source.EVALUATIONS: "/v1/evaluations",
}

_NAMESPACES = 'namespace "*" { policy = "read" }'

_POLICIES = {
    Source.LEADER: "none",
    Source.SELF: 'agent { policy = "read" }',
    Source.AUTOPILOT: 'operator { policy = "read" }',
    Source.NODES: 'node { policy = "read" }',
    Source.JOBS: _NAMESPACES,
    Source.DEPLOYMENTS: _NAMESPACES,
    Source.EVALUATIONS: _NAMESPACES,
}

"""What is to be watched: clusters' regions with their servers and clients, as configured by the operator.

Pure values; where they come from (a file, a live cluster) is the business of others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Discovery(Enum):
    """How Prometheus learns the targets; the value is the word used in outrider.yaml."""

    STATIC = "static"
    """Targets stand in prometheus.yml."""
    FILE = "file"
    """Targets stand in files of their own, which Prometheus re-reads when they change."""


class AgentRole(Enum):
    """What an agent does; the value is that of the target label `role`."""

    SERVER = "server"
    CLIENT = "client"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One agent as Prometheus reaches it.

    *name* becomes the label `instance`, so that alerts speak of "server-1" and not of an address.
    *address* is host:port of the agent's HTTP API.
    """

    name: str
    address: str

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a target needs a name")
        host, separator, port = self.address.rpartition(":")
        if not separator or not host or not port.isdecimal() or not 0 < int(port) < 65_536:
            raise ValueError(f"the address {self.address!r} of {self.name} is not host:port")


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """One Nomad region: the servers that form one Raft quorum, and the clients that belong to them."""

    name: str
    expected_servers: int
    servers: tuple[Target, ...]
    clients: tuple[Target, ...] = ()
    cluster: str = ""
    """Empty for the one cluster that the description names."""
    exporter: Target | None = None
    """`outrider exporter`, where one watches this region."""

    def __post_init__(self) -> None:
        if self.expected_servers < 1:
            raise ValueError(
                f"region {self.name!r}: expected_servers is {self.expected_servers}, it must be at least 1"
            )
        names = [target.name for target in (*self.servers, *self.clients)]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"region {self.name!r}: the name {name!r} stands twice")

    @property
    def quorum(self) -> int:
        """The majority of the expected servers: as many must live for the region to have a leader."""
        return self.expected_servers // 2 + 1

    def targets(self, role: AgentRole) -> tuple[Target, ...]:
        """Return the servers or the clients, in the order they were given."""
        return self.servers if role is AgentRole.SERVER else self.clients


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterDescription:
    """Clusters that one Prometheus watches, and how often; *cluster* is the name of the regions that have none.

    *other_prometheus* and *other_alertmanagers* are the further addresses where there is more than one of them.
    """

    cluster: str
    regions: tuple[Region, ...]
    prometheus: str = "127.0.0.1:9090"
    alertmanager: str = "127.0.0.1:9093"
    other_prometheus: tuple[str, ...] = ()
    other_alertmanagers: tuple[str, ...] = ()
    external_labels: Mapping[str, str] = field(default_factory=dict)
    """Labels of this Prometheus on all that leaves it, such as which of a pair it is."""
    replica_label: str = ""
    """The one of them that tells a pair apart; alerts are sent without it, so that the pair's are the same."""
    scrape_interval_seconds: float = 5.0
    evaluation_interval_seconds: float = 5.0
    discovery: Discovery = Discovery.STATIC

    def __post_init__(self) -> None:
        if not self.cluster:
            raise ValueError("a cluster needs a name")
        if not self.regions:
            raise ValueError(f"cluster {self.cluster!r} has no region")
        names = [(region.cluster or self.cluster, region.name) for region in self.regions]
        if len(set(names)) != len(names):
            raise ValueError(f"cluster {self.cluster!r}: a region stands twice in {names}")
        if self.scrape_interval_seconds <= 0 or self.evaluation_interval_seconds <= 0:
            raise ValueError("scrape and evaluation intervals must be longer than 0s")

    @property
    def clusters(self) -> tuple[str, ...]:
        """The names of the clusters, in the order of their first region."""
        return tuple(dict.fromkeys(region.cluster or self.cluster for region in self.regions))

    @property
    def prometheus_servers(self) -> tuple[str, ...]:
        """Every Prometheus of the pair, or the only one: each scrapes all of them."""
        return (self.prometheus, *self.other_prometheus)

    @property
    def alertmanagers(self) -> tuple[str, ...]:
        """Every Alertmanager, as Prometheus reaches it: all are told of each alert."""
        return (self.alertmanager, *self.other_alertmanagers)

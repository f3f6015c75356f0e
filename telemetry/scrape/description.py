"""What is to be watched: clusters' regions with their servers and clients, as configured by the operator.

Pure values; where they come from (a file, a live cluster) is the business of others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import assert_never

from telemetry.scrape.access import Access
from telemetry.scrape.lookup import Lookup


class Discovery(Enum):
    """How Prometheus learns the targets; the value is the word used in outrider.yaml."""

    STATIC = "static"
    """Targets stand in prometheus.yml."""
    FILE = "file"
    """Targets stand in files of their own, which Prometheus re-reads when they change."""
    HTTP = "http"
    """Prometheus fetches the targets, such as from `outrider discovery serve`."""
    DNS = "dns"
    CONSUL = "consul"
    NOMAD = "nomad"
    """Services that are registered with Nomad itself."""


class AgentRole(Enum):
    """What an agent does; the value is that of the target label `role`."""

    SERVER = "server"
    CLIENT = "client"
    EXPORTER = "exporter"
    """No agent, but `outrider exporter` beside them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One agent as Prometheus reaches it.

    *name* becomes the label `instance`, so that alerts speak of "server-1" and not of an address.
    *address* is host:port of the agent's HTTP API.
    """

    name: str
    address: str
    datacenter: str = ""
    """Empty for a target without the label `datacenter`."""

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a target needs a name")
        host, separator, port = self.address.rpartition(":")
        if not separator or not host or not port.isdecimal() or not 0 < int(port) < 65_536:
            raise ValueError(f"the address {self.address!r} of {self.name} is not host:port")


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """One Nomad region: the servers that form one Raft quorum, and the clients that belong to them.

    The targets here are those that the operator lists; *lookup* says where Prometheus finds more.
    """

    name: str
    expected_servers: int
    servers: tuple[Target, ...]
    clients: tuple[Target, ...] = ()
    exporters: tuple[Target, ...] = ()
    lookup: Lookup | None = None
    cluster: str = ""
    """Empty for the one cluster that the description names."""

    def __post_init__(self) -> None:
        if self.expected_servers < 1:
            raise ValueError(
                f"region {self.name!r}: expected_servers is {self.expected_servers}, it must be at least 1"
            )
        names = [target.name for target in (*self.servers, *self.clients)]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"region {self.name!r}: the name {name!r} stands twice")
        exporters = [target.name for target in self.exporters]
        if len(set(exporters)) != len(exporters):
            raise ValueError(f"region {self.name!r}: an exporter stands twice in {exporters}")

    @property
    def quorum(self) -> int:
        """The majority of the expected servers: as many must live for the region to have a leader."""
        return self.expected_servers // 2 + 1

    def targets(self, role: AgentRole) -> tuple[Target, ...]:
        """Return the targets of one role, in the order they were given."""
        match role:
            case AgentRole.SERVER:
                return self.servers
            case AgentRole.CLIENT:
                return self.clients
            case AgentRole.EXPORTER:
                return self.exporters
            case _:
                assert_never(role)


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
    scrape_timeout_seconds: float | None = None
    """None for the interval, 10 s at most."""
    discovery: Discovery = Discovery.STATIC
    lookup: Lookup | None = None
    """Where the watchers are found, Prometheus and Alertmanager, when it has services for them."""
    access: Access = field(default_factory=Access)
    """How Prometheus reaches the agents."""
    sample_limits: Mapping[AgentRole, int] = field(default_factory=dict)
    """The most samples that a scrape of one target may give; no limit for a role that is not there."""

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
        if self.scrape_timeout_seconds is not None and not (
            0 < self.scrape_timeout_seconds <= self.scrape_interval_seconds
        ):
            raise ValueError(
                f"the scrape timeout {self.scrape_timeout_seconds:g}s is not above 0s and at most the interval "
                f"{self.scrape_interval_seconds:g}s"
            )

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

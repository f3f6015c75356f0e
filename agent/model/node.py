"""Clients as the servers know them. Source: Nomad, `GET /v1/node/:id` and `GET /v1/nodes`."""

from enum import StrEnum
from typing import Any

import msgspec

from agent.model.base import Model, NodeID


class NodeStatus(StrEnum):
    """What the servers believe of a client."""

    INITIALIZING = "initializing"
    READY = "ready"
    DOWN = "down"
    DISCONNECTED = "disconnected"


class Eligibility(StrEnum):
    """Whether new work may be placed on a node."""

    ELIGIBLE = "eligible"
    INELIGIBLE = "ineligible"


class DrainStatus(StrEnum):
    """What became of the last drain of a node."""

    DRAINING = "draining"
    COMPLETE = "complete"
    CANCELED = "canceled"


NO_TIME = "0001-01-01T00:00:00Z"
"""Go's zero time: how Nomad's API says "none"."""


class DrainSpec(Model, frozen=True):
    """How an operator wants a node drained. `deadline` in ns: 0 for none, below 0 for at once."""

    deadline: int = 0
    ignore_system_jobs: bool = False


class DrainStrategy(Model, frozen=True):
    """A drain under way: its specification and two moments, RFC 3339; `force_deadline` is NO_TIME for none.

    Source: Nomad, structs.DrainStrategy.
    """

    deadline: int = 0
    ignore_system_jobs: bool = False
    force_deadline: str = NO_TIME
    started_at: str = NO_TIME


class DrainMetadata(Model, frozen=True):
    """The last drain of a node; it stays when the drain is over. Times are RFC 3339."""

    accessor_id: str = msgspec.field(name="AccessorID", default="")
    meta: dict[str, str] | None = None
    started_at: str = NO_TIME
    status: str = DrainStatus.DRAINING
    updated_at: str = NO_TIME


class DriverInfo(Model, frozen=True):
    """One task driver of a node; `update_time` is RFC 3339."""

    attributes: dict[str, str] = {}
    detected: bool = False
    health_description: str = ""
    healthy: bool = False
    update_time: str = ""


class NodeCpu(Model, frozen=True):
    """Total compute of a node: `cpu_shares` in MHz."""

    cpu_shares: int = msgspec.field(name="CpuShares", default=0)
    reservable_cpu_cores: list[int] | None = msgspec.field(name="ReservableCpuCores", default=None)
    total_cpu_cores: int = msgspec.field(name="TotalCpuCores", default=0)


class NodeMemory(Model, frozen=True):
    """Memory of a node, in MB."""

    memory_mb: int = 0


class NodeDisk(Model, frozen=True):
    """Disk of a node, in MB."""

    disk_mb: int = 0


class NodeNetwork(Model, frozen=True):
    """One address of a node."""

    mode: str = "host"
    device: str = ""
    cidr: str = ""
    ip: str = ""
    mbits: int = msgspec.field(name="MBits", default=0)


class NodeResources(Model, frozen=True):
    """What a node has."""

    cpu: NodeCpu = msgspec.field(name="Cpu", default=NodeCpu())
    memory: NodeMemory = NodeMemory()
    disk: NodeDisk = NodeDisk()
    networks: list[NodeNetwork] = []
    devices: Any = None
    min_dynamic_port: int = 20000
    max_dynamic_port: int = 32000


class ReservedCpu(Model, frozen=True):
    """Compute kept for the host, in MHz."""

    cpu_shares: int = msgspec.field(name="CpuShares", default=0)
    reserved_cpu_cores: list[int] | None = msgspec.field(name="ReservedCpuCores", default=None)


class ReservedNetworks(Model, frozen=True):
    """Ports kept for the host."""

    reserved_host_ports: str = ""


class ReservedResources(Model, frozen=True):
    """What of a node is kept for the host."""

    cpu: ReservedCpu = msgspec.field(name="Cpu", default=ReservedCpu())
    memory: NodeMemory = NodeMemory()
    disk: NodeDisk = NodeDisk()
    networks: ReservedNetworks = ReservedNetworks()


class NodeEvent(Model, frozen=True):
    """A remarkable moment in a node's life; `timestamp` is RFC 3339."""

    message: str = ""
    subsystem: str = "Cluster"
    timestamp: str = ""
    details: dict[str, str] | None = None
    create_index: int = 0


NODE_EVENTS_MAX = 10
"""As many as Nomad keeps for a node."""


class Node(Model, frozen=True):
    """A client agent and its host. `status_updated_at` is Unix seconds."""

    id: NodeID
    name: str = ""
    datacenter: str = "dc1"
    node_class: str = ""
    node_pool: str = "default"
    http_addr: str = ""
    attributes: dict[str, str] = {}
    meta: dict[str, str] = {}
    links: dict[str, str] = {}
    drivers: dict[str, DriverInfo] = {}
    node_resources: NodeResources = NodeResources()
    reserved_resources: ReservedResources = ReservedResources()
    status: str = NodeStatus.INITIALIZING
    status_description: str = ""
    status_updated_at: int = 0
    scheduling_eligibility: str = Eligibility.ELIGIBLE
    drain: bool = False
    drain_strategy: DrainStrategy | None = None
    events: list[NodeEvent] = []
    computed_class: str = ""
    cgroup_parent: str = ""
    host_networks: Any = None
    host_volumes: dict[str, Any] = {}
    csi_controller_plugins: dict[str, Any] = {}
    csi_node_plugins: dict[str, Any] = {}
    gc_volumes_on_node_gc: bool = msgspec.field(name="GCVolumesOnNodeGC", default=False)
    identity_signing_key_id: str = ""
    last_alloc_update_index: int = 0
    last_drain: DrainMetadata | None = None
    last_missed_heartbeat_index: int = 0
    node_max_allocs: int = 0
    secret_id: str = ""
    tls_enabled: bool = False
    create_index: int = 0
    modify_index: int = 0

    @property
    def ready(self) -> bool:
        """Whether work may be placed here."""
        return (
            self.status == NodeStatus.READY and not self.drain and self.scheduling_eligibility == Eligibility.ELIGIBLE
        )

    @property
    def version(self) -> str:
        """The version of the agent, empty when it did not say."""
        return self.attributes.get("nomad.version", "")


class NodeStub(Model, frozen=True):
    """A node in a list. Source: `GET /v1/nodes`."""

    address: str
    id: NodeID
    name: str
    datacenter: str
    node_class: str
    node_pool: str
    version: str
    drain: bool
    drivers: dict[str, DriverInfo]
    host_volumes: dict[str, Any]
    last_drain: DrainMetadata | None
    scheduling_eligibility: str
    status: str
    status_description: str
    create_index: int
    modify_index: int

    @classmethod
    def of(cls, node: Node) -> "NodeStub":
        """Return what a list shows of *node*."""
        return cls(
            address=node.http_addr.rpartition(":")[0], id=node.id, name=node.name, datacenter=node.datacenter,
            node_class=node.node_class, node_pool=node.node_pool, version=node.version, drain=node.drain,
            drivers=node.drivers, host_volumes=node.host_volumes, last_drain=node.last_drain,
            scheduling_eligibility=node.scheduling_eligibility, status=node.status,
            status_description=node.status_description, create_index=node.create_index, modify_index=node.modify_index,
        )  # fmt: skip

"""The configuration of an agent as the rest of the agent sees it: frozen, complete, checked.

Defaults stand here and nowhere else; they are Nomad's unless a comment says why not. What the keys of a file mean,
and which are understood, is in schema_keys and the schema_* modules beside it.
Source: Nomad's agent configuration reference.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.tls.settings import TlsSettings
from telemetry.stanza import TelemetryConfig

ALL_SCHEDULERS = ("service", "batch", "system", "sysbatch")


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports listened on; 0 lets the system choose, for tests. Raft has one of its own, which Nomad lacks."""

    http: int = 4646
    rpc: int = 4647
    serf: int = 4648
    raft: int = 4649


@dataclass(frozen=True, slots=True)
class Addresses:
    """The hosts bound, without ports; HTTP may have several."""

    http: tuple[str, ...] = ("0.0.0.0",)
    rpc: str = "0.0.0.0"
    serf: str = "0.0.0.0"
    raft: str = "0.0.0.0"


@dataclass(frozen=True, slots=True)
class Advertise:
    """The host:port that others are told to use."""

    http: str = ""
    rpc: str = ""
    serf: str = ""
    raft: str = ""


@dataclass(frozen=True, slots=True)
class ServerJoin:
    """How the first servers are found. `retry_max` 0 tries for ever."""

    retry_join: tuple[str, ...] = ()
    start_join: tuple[str, ...] = ()
    retry_interval_seconds: float = 30.0
    retry_max: int = 0


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """The server block.

    `bootstrap_expect` 0 is "not set". `num_schedulers` None is one for each core, `data_dir` None is data_dir/server.
    `gossip_timings` hold within the region; a Nomad has "wan" everywhere, and sees a dead server after 40 s instead of 6.
    The time to live of a client's heartbeat grows above `min_heartbeat_ttl_seconds` so that all clients together
    stay below `max_heartbeats_per_second`.
    """

    enabled: bool = False
    bootstrap_expect: int = 0
    data_dir: Path | None = None
    num_schedulers: int | None = None
    enabled_schedulers: tuple[str, ...] = ALL_SCHEDULERS
    raft_multiplier: int = 1
    raft_snapshot_threshold: int = 8_192
    raft_trailing_logs: int = 1_024
    heartbeat_grace_seconds: float = 10.0
    min_heartbeat_ttl_seconds: float = 10.0
    max_heartbeats_per_second: float = 50.0
    failover_heartbeat_ttl_seconds: float = 300.0
    rejoin_after_leave: bool = False
    encrypt: str = ""
    gossip_timings: str = "lan"
    gossip_label: str = ""
    server_join: ServerJoin = field(default_factory=ServerJoin)


@dataclass(frozen=True, slots=True)
class AutopilotSettings:
    """The autopilot block: what a new cluster begins with. `min_quorum` 0 is no floor."""

    cleanup_dead_servers: bool = True
    last_contact_threshold_seconds: float = 0.2
    max_trailing_logs: int = 250
    server_stabilization_time_seconds: float = 10.0
    min_quorum: int = 0


@dataclass(frozen=True, slots=True)
class Reserved:
    """What a client keeps back from scheduling: MHz, MiB, MiB, port ranges such as "22,80,8500-8600"."""

    cpu: int = 0
    cores: str = ""
    memory: int = 0
    disk: int = 0
    reserved_ports: str = ""


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """The client block. 0 in the two totals means "what the fingerprint finds"; None dirs lie below data_dir."""

    enabled: bool = False
    servers: tuple[str, ...] = ()
    server_join: ServerJoin = field(default_factory=ServerJoin)
    node_class: str = ""
    node_pool: str = "default"
    meta: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    alloc_dir: Path | None = None
    state_dir: Path | None = None
    network_interface: str = ""
    cpu_total_compute: int = 0  # MHz
    memory_total_mb: int = 0
    reserved: Reserved = field(default_factory=Reserved)


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """Everything an agent was told, with defaults filled in.

    `data_dir` is None only under -dev, where whoever starts the agent makes a temporary one. `addresses` and
    `advertise` are resolved: no templates, no empty values for what is enabled.
    """

    region: str = "global"
    datacenter: str = "dc1"
    name: str = ""
    hostname: str = ""
    data_dir: Path | None = None
    bind_addr: str = "0.0.0.0"
    log_level: str = "INFO"
    log_json: bool = False
    enable_debug: bool = False
    leave_on_interrupt: bool = False
    leave_on_terminate: bool = False
    dev: bool = False
    ports: Ports = field(default_factory=Ports)
    addresses: Addresses = field(default_factory=Addresses)
    advertise: Advertise = field(default_factory=Advertise)
    server: ServerConfig = field(default_factory=ServerConfig)
    client: ClientConfig = field(default_factory=ClientConfig)
    autopilot: AutopilotSettings = field(default_factory=AutopilotSettings)
    telemetry: TelemetryConfig = field(default_factory=TelemetryConfig)
    tls: TlsSettings = field(default_factory=TlsSettings)
    raw_exec_enabled: bool = False

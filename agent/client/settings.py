"""What a client needs of the agent's configuration, resolved: directories exist as paths, switches as booleans."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.config.schema import AgentConfig, Reserved

RAW_EXEC_OPTION = "driver.raw_exec.enable"
"""The old switch in `client { options }`; Nomad still reads it."""

KILL_TIMEOUT_MAX_SECONDS = 30.0
"""Longest time a task may take to end by itself. Source: Nomad, client.max_kill_timeout."""

DEFAULT_RPC_PORT = 4647


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """The settings of one client; totals of 0 mean what the fingerprint finds."""

    node_name: str
    alloc_dir: Path
    state_dir: Path
    region: str = "global"
    datacenter: str = "dc1"
    node_class: str = ""
    node_pool: str = "default"
    meta: Mapping[str, str] = field(default_factory=dict)
    servers: tuple[str, ...] = ()
    http_addr: str = ""
    tls_enabled: bool = False
    network_interface: str = ""
    cpu_total_compute: int = 0
    memory_total_mb: int = 0
    reserved: Reserved = field(default_factory=Reserved)
    raw_exec_enabled: bool = False
    mock_enabled: bool = False
    kill_timeout_max_seconds: float = KILL_TIMEOUT_MAX_SECONDS
    publish_allocation_metrics: bool = False
    publish_node_metrics: bool = False
    disable_hook_metrics: bool = False
    metadata_as_labels: bool = False
    metadata_keys: tuple[str, ...] = ()
    dev: bool = False


def settings_of(config: AgentConfig, data_dir: Path) -> ClientSettings:
    """Return the client's settings in *config*; *data_dir* is the agent's, made for the run under -dev."""
    client = config.client
    option = client.options.get(RAW_EXEC_OPTION, "").lower()
    return ClientSettings(
        node_name=config.name or config.hostname,
        alloc_dir=client.alloc_dir or data_dir / "alloc",
        state_dir=client.state_dir or data_dir / "client",
        region=config.region,
        datacenter=config.datacenter,
        node_class=client.node_class,
        node_pool=client.node_pool,
        meta=client.meta,
        servers=(*client.servers, *client.server_join.retry_join, *client.server_join.start_join),
        http_addr=config.advertise.http,
        tls_enabled=config.tls.http,
        network_interface=client.network_interface,
        cpu_total_compute=client.cpu_total_compute,
        memory_total_mb=client.memory_total_mb,
        reserved=client.reserved,
        raw_exec_enabled=config.raw_exec_enabled or config.dev or option in {"1", "true"},
        mock_enabled=client.options.get("driver.mock_driver.enable", "").lower() in {"1", "true"},
        publish_allocation_metrics=config.telemetry.publish_allocation_metrics,
        publish_node_metrics=config.telemetry.publish_node_metrics,
        disable_hook_metrics=config.telemetry.disable_allocation_hook_metrics,
        metadata_as_labels=config.telemetry.include_alloc_metadata_in_metrics,
        metadata_keys=config.telemetry.allowed_metadata_keys_in_metrics,
        dev=config.dev,
    )

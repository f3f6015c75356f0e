"""The body of `GET /v1/agent/self`: configuration and statistics under Nomad's names, no secret in it. Pure."""

import platform
from collections.abc import Mapping
from typing import Any

from agent.config.schema import AgentConfig, AutopilotSettings
from agent.config.units import format_duration
from agent.consensus.replicator import Peer, RaftState, ReplicatorStatus, Standing
from agent.tls.settings import TlsSettings
from telemetry.stanza import TelemetryConfig

_SECOND_NS = 1_000_000_000


def config_body(config: AgentConfig, version: str) -> dict[str, Any]:
    """Return the agent's configuration in Nomad's shape; durations in nanoseconds."""
    return {
        "Region": config.region,
        "Datacenter": config.datacenter,
        "NodeName": config.name,
        "DataDir": str(config.data_dir or ""),
        "LogLevel": config.log_level,
        "LogJson": config.log_json,
        "BindAddr": config.bind_addr,
        "EnableDebug": config.enable_debug,
        "DevMode": config.dev,
        "LeaveOnInt": config.leave_on_interrupt,
        "LeaveOnTerm": config.leave_on_terminate,
        "Ports": {
            "HTTP": config.ports.http,
            "RPC": config.ports.rpc,
            "Serf": config.ports.serf,
            "Raft": config.ports.raft,
        },
        "Addresses": {
            "HTTP": " ".join(config.addresses.http),
            "RPC": config.addresses.rpc,
            "Serf": config.addresses.serf,
        },
        "AdvertiseAddrs": {"HTTP": config.advertise.http, "RPC": config.advertise.rpc, "Serf": config.advertise.serf},
        "ACL": {"Enabled": False},
        "Autopilot": _autopilot(config.autopilot),
        "TLSConfig": _tls(config.tls),
        "Server": _server(config),
        "Client": {
            "Enabled": config.client.enabled,
            "Servers": list(config.client.servers) or None,
            "NodeClass": config.client.node_class,
            "NodePool": config.client.node_pool,
            "Meta": dict(config.client.meta),
        },
        "Telemetry": _telemetry(config.telemetry),
        "Version": {"Version": version, "VersionPrerelease": "", "VersionMetadata": ""},
    }


def _autopilot(autopilot: AutopilotSettings) -> dict[str, Any]:
    return {
        "CleanupDeadServers": autopilot.cleanup_dead_servers,
        "DisableUpgradeMigration": None,
        "EnableCustomUpgrades": None,
        "EnableRedundancyZones": None,
        "LastContactThreshold": round(autopilot.last_contact_threshold_seconds * _SECOND_NS),
        "MaxTrailingLogs": autopilot.max_trailing_logs,
        "MinQuorum": autopilot.min_quorum,
        "ServerStabilizationTime": round(autopilot.server_stabilization_time_seconds * _SECOND_NS),
    }


def _tls(tls: TlsSettings) -> dict[str, Any]:
    return {
        "CAFile": str(tls.ca_file or ""),
        "CertFile": str(tls.cert_file or ""),
        "EnableHTTP": tls.http,
        "EnableRPC": tls.rpc,
        "KeyFile": str(tls.key_file or ""),
        "RPCUpgradeMode": False,
        "VerifyHTTPSClient": tls.verify_https_client,
        "VerifyServerHostname": tls.verify_server_hostname,
    }


def _telemetry(telemetry: TelemetryConfig) -> dict[str, Any]:
    """Return the telemetry block; the circonus_* keys, which are refused when set, are left out."""
    return {
        "AllowedMetadataKeysInMetrics": list(telemetry.allowed_metadata_keys_in_metrics),
        "CollectionInterval": format_duration(telemetry.collection_interval_seconds),
        "DataDogAddr": telemetry.datadog_address,
        "DataDogTags": list(telemetry.datadog_tags),
        "DisableAllocationHookMetrics": telemetry.disable_allocation_hook_metrics,
        "DisableDispatchedJobSummaryMetrics": telemetry.disable_dispatched_job_summary_metrics,
        "DisableHostname": telemetry.disable_hostname,
        "DisableQuotaUtilizationMetrics": telemetry.disable_quota_utilization_metrics,
        "DisableRPCRateMetricsLabels": telemetry.disable_rpc_rate_metrics_labels,
        "FilterDefault": telemetry.filter_default,
        "InMemoryCollectionInterval": format_duration(telemetry.in_memory_collection_interval_seconds),
        "InMemoryRetentionPeriod": format_duration(telemetry.in_memory_retention_period_seconds),
        "IncludeAllocMetadataInMetrics": telemetry.include_alloc_metadata_in_metrics,
        "PrefixFilter": list(telemetry.prefix_filter),
        "PrometheusMetrics": telemetry.prometheus_metrics,
        "PublishAllocationMetrics": telemetry.publish_allocation_metrics,
        "PublishNodeMetrics": telemetry.publish_node_metrics,
        "StatsdAddr": telemetry.statsd_address,
        "StatsiteAddr": telemetry.statsite_address,
        "UseNodeName": telemetry.use_node_name,
    }


def _server(config: AgentConfig) -> dict[str, Any]:
    server = config.server
    return {
        "Enabled": server.enabled,
        "BootstrapExpect": server.bootstrap_expect,
        "DataDir": str(server.data_dir or ""),
        "NumSchedulers": server.num_schedulers,
        "EnabledSchedulers": list(server.enabled_schedulers),
        "RaftMultiplier": server.raft_multiplier,
        "RaftSnapshotThreshold": server.raft_snapshot_threshold,
        "RaftTrailingLogs": server.raft_trailing_logs,
        "HeartbeatGrace": int(server.heartbeat_grace_seconds * _SECOND_NS),
        "MinHeartbeatTTL": int(server.min_heartbeat_ttl_seconds * _SECOND_NS),
        "MaxHeartbeatsPerSecond": server.max_heartbeats_per_second,
        "FailoverHeartbeatTTL": int(server.failover_heartbeat_ttl_seconds * _SECOND_NS),
        "ServerJoin": {"RetryJoin": list(server.server_join.retry_join)},
    }


def server_stats(
    status: ReplicatorStatus, own: Peer, expect: int, regions: int, serf: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """Return the statistics of the server *own*, all strings as Nomad's; what Outrider has not is left out."""
    contact = status.last_contact_seconds
    return {
        "nomad": {
            "server": "true",
            "leader": "true" if status.state is RaftState.LEADER else "false",
            "leader_addr": status.leader.rpc_address if status.leader else "",
            "bootstrap": "true" if expect == 1 else "false",
            "known_regions": str(regions),
        },
        "raft": {
            "state": status.state.value.capitalize(),
            "term": str(status.term),
            "last_log_index": str(status.last_index),
            "last_log_term": str(status.last_term),
            "commit_index": str(status.commit_index),
            "applied_index": str(status.applied_index),
            "last_snapshot_index": str(status.snapshot_index),
            "num_peers": str(sum(entry.voter for entry in status.peers)),
            "last_contact": "never" if contact is None else f"{contact * 1000:.3f}ms" if contact else "0",
            "latest_configuration": _configuration(status, own),
        },
        "serf": dict(serf),
    }


def runtime_stats(threads: int, cpus: int) -> Mapping[str, str]:
    """Return what the process runs on."""
    return {
        "kernel.name": platform.system().lower(),
        "arch": platform.machine(),
        "version": f"python{platform.python_version()}",
        "cpu_count": str(cpus),
        "threads": str(threads),
    }


def _configuration(status: ReplicatorStatus, own: Peer) -> str:
    servers = [(entry.peer, entry.voter) for entry in status.peers]
    if status.standing is not Standing.NONE:
        servers.insert(0, (own, status.standing is Standing.VOTER))
    listed = (
        f"{{Suffrage:{'Voter' if voter else 'Nonvoter'} ID:{peer.server_id} Address:{peer.rpc_address}}}"
        for peer, voter in servers
    )
    return "[" + " ".join(listed) + "]"

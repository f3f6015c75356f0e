"""From a cluster's description to the scrape part of prometheus.yml, and to file_sd target files.

Targets carry `cluster`, `region`, `role` and a speaking `instance`. Nomad's own labels give way to them
(`honor_labels: false`), so that Nomad's `job` arrives as `exported_job` and never hides the scrape job.
Source: a real Nomad puts the id of each Raft peer into metric names beside a labelled form of the same series;
these names grow with every server that ever joined, and are dropped at scrape.
"""

from collections.abc import Iterator
from typing import Any

from telemetry.scrape.description import AgentRole, ClusterDescription, Discovery, Region
from telemetry.scrape.duration import format_duration

JOB_SERVERS = "nomad-server"
JOB_CLIENTS = "nomad-client"
JOB_EXPORTER = "outrider-exporter"
JOB_PROMETHEUS = "prometheus"
JOB_ALERTMANAGER = "alertmanager"

PEER_NAMES = "nomad_raft_.*_[0-9a-f]{8}_[0-9a-f]{4}_.*"
"""Metric names that end in a peer's UUID, `-` turned into `_`."""

_JOBS = {AgentRole.SERVER: JOB_SERVERS, AgentRole.CLIENT: JOB_CLIENTS}


def scrape_configs(description: ClusterDescription) -> list[dict[str, Any]]:
    """Return the list that stands under `scrape_configs` in prometheus.yml, in an order that never varies."""
    configs = [_agents(description, role) for role in AgentRole if _has_targets(description, role)]
    if any(region.exporter for region in description.regions):
        configs.append({"job_name": JOB_EXPORTER, "static_configs": list(_exporters(description))})
    configs.append(_neighbours(JOB_PROMETHEUS, list(description.prometheus_servers), description))
    configs.append(_neighbours(JOB_ALERTMANAGER, list(description.alertmanagers), description))
    return configs


def prometheus_config(description: ClusterDescription, rule_files: list[str]) -> dict[str, Any]:
    """Return the whole of prometheus.yml; *rule_files* are patterns relative to that file."""
    alerting: dict[str, Any] = {}
    if description.replica_label:
        # Alerts that differ in it would be two to Alertmanager, and notified twice.
        alerting["alert_relabel_configs"] = [{"action": "labeldrop", "regex": description.replica_label}]
    alerting["alertmanagers"] = [{"static_configs": [{"targets": list(description.alertmanagers)}]}]
    external = {"external_labels": dict(description.external_labels)} if description.external_labels else {}
    return {
        "global": {
            "scrape_interval": format_duration(description.scrape_interval_seconds),
            # Not longer than the interval, or Prometheus refuses the file; a hung agent costs one interval.
            "scrape_timeout": format_duration(min(description.scrape_interval_seconds, 10.0)),
            "evaluation_interval": format_duration(description.evaluation_interval_seconds),
            **external,
        },
        "rule_files": rule_files,
        "alerting": alerting,
        "scrape_configs": scrape_configs(description),
    }


def target_files(description: ClusterDescription) -> dict[str, list[dict[str, Any]]]:
    """Return the files that `Discovery.FILE` reads: name relative to prometheus.yml, to its content."""
    if description.discovery is not Discovery.FILE:
        return {}
    return {
        _target_file(role): list(_static_configs(description, role))
        for role in AgentRole
        if _has_targets(description, role)
    }


def _agents(description: ClusterDescription, role: AgentRole) -> dict[str, Any]:
    config: dict[str, Any] = {
        "job_name": _JOBS[role],
        "metrics_path": "/v1/metrics",
        "params": {"format": ["prometheus"]},
        "honor_labels": False,
        "metric_relabel_configs": [{"source_labels": ["__name__"], "regex": PEER_NAMES, "action": "drop"}],
    }
    match description.discovery:
        case Discovery.STATIC:
            config["static_configs"] = list(_static_configs(description, role))
        case Discovery.FILE:
            config["file_sd_configs"] = [{"files": [_target_file(role)], "refresh_interval": "5s"}]
    return config


def _neighbours(job: str, addresses: list[str], description: ClusterDescription) -> dict[str, Any]:
    config: dict[str, Any] = {"targets": addresses}
    if len(description.clusters) == 1:
        config["labels"] = {"cluster": description.clusters[0]}
    return {"job_name": job, "static_configs": [config]}


def _static_configs(description: ClusterDescription, role: AgentRole) -> Iterator[dict[str, Any]]:
    for region in description.regions:
        for target in region.targets(role):
            yield {
                "targets": [target.address],
                "labels": {
                    "cluster": region.cluster or description.cluster,
                    "region": region.name,
                    "role": role.value,
                    "instance": target.name,
                },
            }


def _exporters(description: ClusterDescription) -> Iterator[dict[str, Any]]:
    for region in description.regions:
        if region.exporter is not None:
            yield {
                "targets": [region.exporter.address],
                "labels": {
                    "cluster": region.cluster or description.cluster,
                    "region": region.name,
                    "role": "exporter",
                    "instance": region.exporter.name,
                },
            }


def _target_file(role: AgentRole) -> str:
    return f"targets/{_JOBS[role]}.json"


def _has_targets(description: ClusterDescription, role: AgentRole) -> bool:
    def has(region: Region) -> bool:
        return bool(region.targets(role))

    return any(has(region) for region in description.regions)

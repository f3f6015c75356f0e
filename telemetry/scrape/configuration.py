"""From a cluster's description to the scrape part of prometheus.yml, and to file_sd target files.

Targets carry `cluster`, `region`, `role` and a speaking `instance`. Nomad's own labels give way to them
(`honor_labels: false`), so that Nomad's `job` arrives as `exported_job` and never hides the scrape job.
Source: a real Nomad puts the id of each Raft peer into metric names beside a labelled form of the same series;
these names grow with every server that ever joined, and are dropped at scrape.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from telemetry.scrape.description import AgentRole, ClusterDescription, Discovery, Region, Target
from telemetry.scrape.duration import format_duration
from telemetry.scrape.lookup import LISTED, escape_regex

JOB_SERVERS = "nomad-server"
JOB_CLIENTS = "nomad-client"
JOB_EXPORTERS = "outrider-exporter"
JOB_PROMETHEUS = "prometheus"
JOB_ALERTMANAGER = "alertmanager"

PEER_NAMES = "nomad_raft_.*_[0-9a-f]{8}_[0-9a-f]{4}_.*"
"""Metric names that end in a peer's UUID, `-` turned into `_`."""

_JOBS = {AgentRole.SERVER: JOB_SERVERS, AgentRole.CLIENT: JOB_CLIENTS, AgentRole.EXPORTER: JOB_EXPORTERS}
_NOT_IN_A_FILE_NAME = re.compile(r"[^A-Za-z0-9_.-]")


def scrape_configs(description: ClusterDescription) -> list[dict[str, Any]]:
    """Return the list that stands under `scrape_configs` in prometheus.yml, in an order that never varies."""
    configs = [_agents(job, description) for job in jobs(description)]
    configs.append(_neighbours(JOB_PROMETHEUS, list(description.prometheus_servers), description))
    configs.append(_neighbours(JOB_ALERTMANAGER, list(description.alertmanagers), description))
    return configs


@dataclass(frozen=True, slots=True)
class Job:
    """One scrape job: the targets of one role, in all regions or, where their settings differ, in one."""

    name: str
    role: AgentRole
    regions: tuple[Region, ...]

    @property
    def listed_file(self) -> str:
        """The file of the targets that outrider.yaml lists, relative to prometheus.yml."""
        return f"targets/{self.name}.json"

    @property
    def discovered_file(self) -> str:
        """The file of those that `outrider discovery write` finds besides."""
        return f"targets/discovered/{self.name}.json"


def jobs(description: ClusterDescription) -> tuple[Job, ...]:
    """Return the jobs that scrape agents and exporters, in an order that never varies."""
    found = []
    for role in AgentRole:
        regions = tuple(region for region in description.regions if _is_scraped(description, region, role))
        if len(regions) > 1 and _differs_by_region(description):
            for region in regions:
                suffix = f"{region.cluster or description.cluster}-{region.name}"
                name = f"{_JOBS[role]}-{_NOT_IN_A_FILE_NAME.sub('_', suffix)}"
                found.append(Job(name, role, (region,)))
        elif regions:
            found.append(Job(_JOBS[role], role, regions))
    return tuple(found)


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
            "scrape_timeout": format_duration(
                description.scrape_timeout_seconds or min(description.scrape_interval_seconds, 10.0)
            ),
            "evaluation_interval": format_duration(description.evaluation_interval_seconds),
            **external,
        },
        "rule_files": rule_files,
        "alerting": alerting,
        "scrape_configs": scrape_configs(description),
    }


def target_files(description: ClusterDescription) -> dict[str, list[dict[str, Any]]]:
    """Return the files of listed targets that `Discovery.FILE` reads: name relative to prometheus.yml, to its content."""
    if description.discovery is not Discovery.FILE:
        return {}
    return {job.listed_file: groups for job in jobs(description) if (groups := list(_static_configs(description, job)))}


def target_group(cluster: str, region: str, role: AgentRole, target: Target) -> dict[str, Any]:
    """Return one target with its labels, as static, file and HTTP discovery all have it."""
    labels = {"cluster": cluster, "region": region, "role": role.value, "instance": target.name}
    if target.datacenter:
        labels["datacenter"] = target.datacenter
    return {"targets": [target.address], "labels": labels}


def _agents(job: Job, description: ClusterDescription) -> dict[str, Any]:
    config: dict[str, Any] = {"job_name": job.name}
    if job.role is not AgentRole.EXPORTER:
        config["metrics_path"] = "/v1/metrics"
        config["params"] = {"format": ["prometheus"]}
        config["honor_labels"] = False
        if description.access.is_https:
            config["scheme"] = "https"
        config |= description.access.client(job.role.value, job.regions[0].name)
        if job.role in description.sample_limits:
            config["sample_limit"] = description.sample_limits[job.role]
        config["metric_relabel_configs"] = [{"source_labels": ["__name__"], "regex": PEER_NAMES, "action": "drop"}]
    relabelling: list[dict[str, Any]] = []
    if job.name != _JOBS[job.role]:
        # Two jobs of one name are refused, and rules and dashboards know the one.
        relabelling.append({"target_label": "job", "replacement": _JOBS[job.role]})
    lookup = job.regions[0].lookup
    listed = list(_static_configs(description, job))
    if lookup is not None and lookup.finds(job.role.value):
        [region] = job.regions
        cluster = region.cluster or description.cluster
        if listed:
            config["static_configs"] = [group | {"labels": group["labels"] | {LISTED: "yes"}} for group in listed]
        config |= lookup.discovery(job.role.value, cluster, region.name)
        relabelling += _constants({"cluster": cluster, "region": region.name, "role": job.role.value})
        relabelling += lookup.relabelling(job.role.value)
        relabelling += _listed_first(region.targets(job.role))
    elif description.discovery is Discovery.FILE:
        names = [job.listed_file] if listed else []
        names += [job.discovered_file] if job.role is not AgentRole.EXPORTER else []
        config["file_sd_configs"] = [{"files": [name], "refresh_interval": "5s"} for name in names]
    else:
        config["static_configs"] = listed
    if relabelling:
        config["relabel_configs"] = relabelling
    return config


def _constants(labels: dict[str, str]) -> list[dict[str, Any]]:
    return [{"target_label": name, "replacement": value.replace("$", "$$")} for name, value in labels.items()]


def _listed_first(targets: tuple[Target, ...]) -> list[dict[str, Any]]:
    """Return rules that drop what is found of a listed name or address: scraped twice, a server would count twice."""
    return [
        {
            "source_labels": [LISTED, label],
            "regex": f";(?:{'|'.join(escape_regex(text) for text in texts)})",
            "action": "drop",
        }
        for label, texts in (
            ("__address__", [target.address for target in targets]),
            ("instance", [target.name for target in targets]),
        )
        if texts
    ]


def _neighbours(job: str, addresses: list[str], description: ClusterDescription) -> dict[str, Any]:
    labels = {"cluster": description.clusters[0]} if len(description.clusters) == 1 else {}
    lookup = description.lookup
    if lookup is not None and lookup.finds(job):
        config: dict[str, Any] = {"job_name": job} | lookup.discovery(
            job, description.cluster, description.regions[0].name
        )
        relabelling = _constants(labels) + lookup.relabelling(job)
        return config | ({"relabel_configs": relabelling} if relabelling else {})
    static: dict[str, Any] = {"targets": addresses}
    if labels:
        static["labels"] = labels
    return {"job_name": job, "static_configs": [static]}


def _static_configs(description: ClusterDescription, job: Job) -> Iterator[dict[str, Any]]:
    for region in job.regions:
        for target in region.targets(job.role):
            yield target_group(region.cluster or description.cluster, region.name, job.role, target)


def _differs_by_region(description: ClusterDescription) -> bool:
    return description.access.differs_by_region or any(region.lookup for region in description.regions)


def _is_scraped(description: ClusterDescription, region: Region, role: AgentRole) -> bool:
    if region.targets(role):
        return True
    if region.lookup is not None:
        return region.lookup.finds(role.value)
    return description.discovery is Discovery.FILE and role is not AgentRole.EXPORTER

"""Writes what a local cluster's processes read: the agents' files, outrider.yaml, and everything built from it.

Also remembers, in cluster.json, the options a cluster was started with, for the commands that come later.
"""

from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec
import yaml

from compose.generate import build
from compose.local_settings import LOOPBACK, LocalAgent, LocalRole, LocalSettings, client_config, server_config
from compose.settings import load_settings
from telemetry.scrape.duration import format_duration

_NOT_REMEMBERED = {
    "directory",
    "tools",
    "rpc_routes",
    "scrape_routes",
    "environments",
    "zones",
    "agent_command",
}
"""What says how a cluster is driven, not what it is; a later command has its own."""


def remember(settings: LocalSettings) -> None:
    """Write the cluster's options beside its processes."""
    text = msgspec.json.format(msgspec.json.encode(options_of(settings)))
    (settings.directory / "cluster.json").write_bytes(text + b"\n")


def recall(directory: Path) -> LocalSettings:
    """Return the settings of the cluster in *directory*; the default ones where none was ever started."""
    try:
        options = msgspec.json.decode((directory / "cluster.json").read_bytes(), type=dict[str, Any])
        return LocalSettings(directory=directory, **options)
    except (FileNotFoundError, msgspec.MsgspecError, TypeError, ValueError):
        return LocalSettings(directory=directory)


def options_of(settings: LocalSettings) -> dict[str, Any]:
    """Return what two commands must agree on to speak of the same cluster."""
    names = [each.name for each in fields(settings) if each.name not in _NOT_REMEMBERED]
    return {name: getattr(settings, name) for name in names}


def write_configuration(settings: LocalSettings) -> list[Path]:
    """Write agents/*.hcl, outrider.yaml and config/* below the cluster's folder and return their paths.

    The rules are the shipped ones; only scrape, evaluation and group times may differ.
    """
    folder = settings.directory
    agents = folder / "agents"
    agents.mkdir(parents=True, exist_ok=True)
    written = []
    for agent in settings.agents:
        is_server = agent.role is LocalRole.SERVER
        path = agents / f"{agent.name}.hcl"
        path.write_text(server_config(settings, agent) if is_server else client_config(settings, agent), "utf-8")
        written.append(path)
    description = folder / "outrider.yaml"
    description.write_text(outrider_yaml(settings), "utf-8")
    return [*written, description, *build(load_settings(description), folder / "config")]


def outrider_yaml(settings: LocalSettings) -> str:
    """Return the settings of everything that watches the cluster; every notification goes to the local receiver."""
    document = {
        "cluster": settings.cluster,
        **_regions(settings),
        **_scrape(settings),
        "prometheus": f"{LOOPBACK}:{settings.prometheus_port}",
        "alertmanager": f"{LOOPBACK}:{settings.alertmanager_port}",
        "scrape_interval": format_duration(settings.scrape_interval_seconds),
        "evaluation_interval": format_duration(settings.evaluation_interval_seconds),
        "group_wait": format_duration(settings.group_wait_seconds),
        "group_interval": format_duration(settings.group_interval_seconds),
        # No Grafana runs here: the link of an alert leads to Prometheus' own page, its runbook to the built folder.
        "links": {
            "runbooks": str(settings.directory / "config" / "runbooks"),
            # Where its pages are depends on who packaged it; the first one leads to all others.
            "dashboard": f"http://{LOOPBACK}:{settings.prometheus_port}/",
        },
        "receivers": [
            {"name": "screen", "webhook": {"url": f"http://{LOOPBACK}:{settings.receiver_port}/"}, "watchdog": True}
        ],
    }
    head = "# Written by `outrider up`; changes are lost at its next start.\n"
    return head + yaml.safe_dump(document, sort_keys=False)


def _regions(settings: LocalSettings) -> dict[str, Any]:
    """Return the one region at the top level, or both under `regions`."""
    near: dict[str, Any] = {
        "servers": [_target(settings, agent) for agent in settings.server_agents],
        "clients": [_target(settings, agent) for agent in settings.client_agents],
        "expected_servers": settings.servers,
    }
    if settings.exporter_port is not None:
        near["exporters"] = [{"name": "exporter", "address": f"{LOOPBACK}:{settings.exporter_port}"}]
    if not settings.far_servers:
        return {"region": settings.region, **near}
    far = {
        "servers": [_target(settings, agent) for agent in settings.servers_of(settings.far_region)],
        "expected_servers": settings.far_servers,
    }
    return {"regions": [{"name": settings.region, **near}, {"name": settings.far_region, **far}]}


def _scrape(settings: LocalSettings) -> dict[str, Any]:
    """Return how agents that speak TLS are scraped; nothing for others. Certificates are for 127.0.0.1, too."""
    files = settings.tls_files
    if files is None:
        return {}
    pair = {"cert_file": str(files.certificate(files.command_line)), "key_file": str(files.key(files.command_line))}
    return {"scrape": {"scheme": "https", "ca_file": str(files.authority), **pair}}


def _target(settings: LocalSettings, agent: LocalAgent) -> dict[str, str]:
    return {"name": agent.name, "address": f"{LOOPBACK}:{settings.scrape_routes.get(agent.name, agent.http)}"}

"""Runs every fingerprinter and makes a node of what they find."""

import hashlib
import importlib.metadata
import os
import socket
from collections.abc import Mapping

import msgspec
import psutil

from agent.client.fingerprint import cpu, host, memory, network, nomad, storage
from agent.client.fingerprint.base import Finding, HostFiles
from agent.client.settings import ClientSettings
from agent.model.base import NodeID
from agent.model.node import (
    DriverInfo,
    Node,
    NodeCpu,
    NodeDisk,
    NodeMemory,
    NodeResources,
    ReservedCpu,
    ReservedNetworks,
    ReservedResources,
)

UNIQUE = "unique."
"""Attributes and meta under this prefix tell hosts apart and are no part of a node's class."""


def version() -> str:
    """Return the version of the agent, as it was installed; "0.0.0" when it runs from a tree that is not."""
    try:
        return importlib.metadata.version("outrider")
    except importlib.metadata.PackageNotFoundError:
        return "0.0.0"


def findings(settings: ClientSettings, files: HostFiles) -> list[Finding]:
    """Return what every fingerprinter finds on this host; reads files, so not on the event loop."""
    uname = os.uname()
    return [
        cpu.fingerprint(files, uname.machine, os.cpu_count() or 1, settings.cpu_total_compute),
        memory.fingerprint(files, settings.memory_total_mb),
        storage.fingerprint(files, settings.alloc_dir),
        network.fingerprint(files, _addresses(), settings.network_interface),
        host.fingerprint(
            files, system=uname.sysname, release=uname.release, machine=uname.machine, hostname=uname.nodename
        ),
        nomad.fingerprint(version(), settings.http_addr),
    ]


def node_of(
    settings: ClientSettings,
    node_id: NodeID,
    secret_id: str,
    found: list[Finding],
    drivers: Mapping[str, DriverInfo],
) -> Node:
    """Return the node that this client registers: later findings win over earlier ones."""
    attributes: dict[str, str] = {}
    resources = NodeResources(cpu=NodeCpu(), memory=NodeMemory(), disk=NodeDisk())
    for finding in found:
        attributes.update(finding.attributes)
        resources = msgspec.structs.replace(
            resources,
            cpu=finding.cpu or resources.cpu,
            memory=finding.memory or resources.memory,
            disk=finding.disk or resources.disk,
            networks=list(finding.networks) or resources.networks,
        )
    attributes.update({f"driver.{name}": "1" for name, info in drivers.items() if info.healthy})
    node = Node(
        id=node_id,
        name=settings.node_name,
        datacenter=settings.datacenter,
        node_class=settings.node_class,
        node_pool=settings.node_pool,
        http_addr=settings.http_addr,
        tls_enabled=settings.tls_enabled,
        attributes=attributes,
        meta=dict(settings.meta),
        drivers=dict(drivers),
        node_resources=resources,
        reserved_resources=_reserved(settings),
        secret_id=secret_id,
    )
    return msgspec.structs.replace(node, computed_class=computed_class(node))


def computed_class(node: Node) -> str:
    """Return a word that is the same for nodes between which no constraint can tell, `unique.*` apart."""
    attributes = {key: value for key, value in node.attributes.items() if not key.startswith(UNIQUE)}
    meta = {key: value for key, value in node.meta.items() if not key.startswith(UNIQUE)}
    text = msgspec.json.encode([node.datacenter, node.node_class, node.node_pool, attributes, meta], order="sorted")
    return f"v1:{int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), 'big')}"


def _reserved(settings: ClientSettings) -> ReservedResources:
    reserved = settings.reserved
    return ReservedResources(
        cpu=ReservedCpu(cpu_shares=reserved.cpu),
        memory=NodeMemory(memory_mb=reserved.memory),
        disk=NodeDisk(disk_mb=reserved.disk),
        networks=ReservedNetworks(reserved_host_ports=reserved.reserved_ports),
    )


def _addresses() -> dict[str, list[tuple[str, str]]]:
    families = {socket.AF_INET, socket.AF_INET6}
    return {
        device: [(item.address, item.netmask or "") for item in items if item.family in families]
        for device, items in psutil.net_if_addrs().items()
    }

"""The network interface that allocations are reached by. Source: Nomad, client/fingerprint/network.go."""

import ipaddress
from collections.abc import Mapping, Sequence

from agent.client.fingerprint.base import Finding, HostFiles, whole
from agent.model.node import NodeNetwork

SPEED_FALLBACK_MBITS = 1000
"""For interfaces that tell no speed, such as loopback and most virtual ones; Nomad's own fallback."""

LOOPBACK = "lo"

Addresses = Mapping[str, Sequence[tuple[str, str]]]
"""By interface: (address, netmask) pairs; the address of an IPv6 pair may carry a zone."""


def default_device(routes: str) -> str:
    """Return the interface of the default route in /proc/net/route, empty when there is none."""
    best = ""
    metric = -1
    for line in routes.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8 or fields[1] != "00000000" or fields[7] != "00000000":
            continue
        if metric < 0 or whole(fields[6]) < metric:
            best, metric = fields[0], whole(fields[6])
    return best


def networks_of(device: str, pairs: Sequence[tuple[str, str]], mbits: int) -> tuple[NodeNetwork, ...]:
    """Return the networks of *device*, IPv4 first; link-local IPv6 addresses are left out, nobody can be told them."""
    found = []
    for address, _mask in pairs:
        ip = ipaddress.ip_address(address.partition("%")[0])
        if ip.version == 6 and ip.is_link_local:
            continue
        cidr = f"{ip}/{ip.max_prefixlen}"
        found.append((ip.version, NodeNetwork(mode="host", device=device, cidr=cidr, ip=str(ip), mbits=mbits)))
    return tuple(network for _, network in sorted(found, key=lambda item: item[0]))


def fingerprint(files: HostFiles, addresses: Addresses, wanted: str) -> Finding:
    """Return the networks of the interface *wanted*, or of the default route's, or of loopback."""
    device = wanted or default_device(files.text("/proc/net/route"))
    if device not in addresses:
        device = LOOPBACK
    speed = whole(files.text(f"/sys/class/net/{device}/speed"))
    networks = networks_of(device, addresses.get(device, ()), speed if speed > 0 else SPEED_FALLBACK_MBITS)
    attributes = {"unique.network.ip-address": networks[0].ip} if networks else {}
    return Finding(attributes=attributes, networks=networks)

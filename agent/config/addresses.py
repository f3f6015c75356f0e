"""Addresses: host:port taken apart, go-sockaddr templates resolved, and who is who among the servers.

Source: net.SplitHostPort for the forms, go-sockaddr for the templates; normalizeAdvertise of Nomad's agent for the
order in which an advertised address is chosen.
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass

from agent.config.schema import AgentConfig, Ports

_TEMPLATE = re.compile(r'\{\{\s*(\w+)(?:\s+"([^"]*)")?\s*\}\}')


@dataclass(frozen=True, slots=True)
class Host:
    """What the machine says of itself; `interface_addresses` gives (interface, IP), asked only when needed.

    The interface of the default route comes first, IPv4 before IPv6.
    """

    hostname: str
    cpu_count: int
    interface_addresses: Callable[[], tuple[tuple[str, str], ...]]

    def private_ip(self) -> str:
        """Return the first address for private use (RFC 6890) that other machines can use, or an empty string."""
        for _, address in self.interface_addresses():
            ip = ipaddress.ip_address(address)
            if not (ip.is_global or ip.is_loopback or ip.is_link_local or ip.is_unspecified or ip.is_multicast):
                return address
        return ""

    def public_ip(self) -> str:
        """Return the first address that the Internet can reach, or an empty string."""
        return next((text for _, text in self.interface_addresses() if ipaddress.ip_address(text).is_global), "")

    def interface_ip(self, interface: str) -> str:
        """Return the first address of an interface, or an empty string."""
        return next((address for name, address in self.interface_addresses() if name == interface), "")


def resolve_template(text: str, host: Host) -> str:
    """Return *text* with {{ GetPrivateIP }}, {{ GetPublicIP }} and {{ GetInterfaceIP "eth0" }} filled in.

    Raises ValueError, with the remedy, for any other template and for one that finds nothing.
    """
    if "{{" not in text:
        return text
    resolved = _TEMPLATE.sub(lambda found: _resolve_one(found[0], found[1], found[2] or "", host), text)
    if "{{" in resolved:
        raise ValueError(
            f"the template {text} is not understood: use GetPrivateIP, GetPublicIP, "
            'GetInterfaceIP "eth0", or write the address'
        )
    return resolved


def _resolve_one(whole: str, function: str, argument: str, host: Host) -> str:
    match function:
        case "GetPrivateIP" if not argument:
            found = host.private_ip()
        case "GetPublicIP" if not argument:
            found = host.public_ip()
        case "GetInterfaceIP" if argument:
            found = host.interface_ip(argument)
        case _:
            return whole
    if not found:
        raise ValueError(f"the template {whole} finds no address on this machine: write the address")
    return found


def split_host_port(text: str, default_port: int) -> tuple[str, int]:
    """Return host and port of "host", "host:port", "[v6]:port" or a bare IPv6 address. Raises ValueError."""
    host, port = text, ""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        if rest and not rest.startswith(":"):
            raise ValueError(f'"{text}" is no address: write [address]:port')
        port = rest[1:]
    elif text.count(":") == 1:
        host, port = text.split(":")
        if not port:
            raise ValueError(f'"{text}" has no port after the colon: write host:port')
    if not host or re.search(r"[\s/\[\]]", host):
        raise ValueError(f'"{text}" is no address: write host or host:port')
    if not port:
        return host, default_port
    if not port.isdecimal() or not 0 < int(port) <= 65535:
        raise ValueError(f'"{text}" has the port {port}: write a number from 1 to 65535')
    return host, int(port)


def join_host_port(host: str, port: int) -> str:
    """Return host:port, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def advertised(given: str, bound: str, port: int, host: Host, *, dev: bool) -> str:
    """Return the host:port to advertise: the *given* one, else the *bound* host, else the first private address.

    Raises ValueError when that would be loopback outside of -dev, or when there is no address to choose.
    """
    if given:
        name, its_port = split_host_port(resolve_template(given, host), port)
        return join_host_port(name, its_port)
    try:
        ip = ipaddress.ip_address(bound)
    except ValueError:
        return join_host_port(bound, port)
    if ip.is_unspecified:
        private = host.private_ip()
        if not private:
            raise ValueError(f"this machine has no private address to advertise for {bound}: set the advertise block")
        return join_host_port(private, port)
    if ip.is_loopback and not dev:
        raise ValueError(
            f"{bound} is loopback, and other machines cannot use it: set the advertise block "
            "(to loopback itself where the whole cluster is on this machine)"
        )
    return join_host_port(bound, port)


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where one server listens, each as host:port."""

    serf: str
    rpc: str
    raft: str
    is_self: bool


_DEFAULT_PORTS = Ports()


def server_addresses(config: AgentConfig) -> tuple[ServerAddress, ...]:
    """Return every configured server of the cluster, this one included if it is a server, sorted by serf address.

    An entry names a host, with default ports, or host:serf_port; rpc is the port before and raft the one after, as
    the defaults 4647, 4648, 4649 lie, until gossip tells them. Entries that mean this server, by its advertised or
    bound address or by its own name, are folded into one. Raises ValueError for an entry that is no address.
    """
    found: dict[str, ServerAddress] = {}
    own: set[str] = set()
    if config.server.enabled:
        me = config.advertise
        own = _own_serf_addresses(config)
        found[me.serf] = ServerAddress(me.serf, me.rpc, me.raft, is_self=True)
    join = config.server.server_join
    for entry in (*join.retry_join, *join.start_join):
        host, port = split_host_port(entry, _DEFAULT_PORTS.serf)
        serf = join_host_port(_without_localhost(host), port)
        if serf in own or serf in found:
            continue
        found[serf] = ServerAddress(
            serf,
            join_host_port(_without_localhost(host), port - 1),
            join_host_port(_without_localhost(host), port + 1),
            is_self=False,
        )
    return tuple(sorted(found.values(), key=lambda server: server.serf))


def lists_all_servers(config: AgentConfig) -> bool:
    """Tell whether the configuration names every voter; else gossip finds them, as many as are expected."""
    return len(server_addresses(config)) >= max(1, config.server.bootstrap_expect)


def _without_localhost(host: str) -> str:
    return "127.0.0.1" if host == "localhost" else host


def _own_serf_addresses(config: AgentConfig) -> set[str]:
    """Return every host:port under which a list of servers may name this one."""
    host, _, port = config.advertise.serf.rpartition(":")
    host = host.strip("[]")
    names = {host, config.addresses.serf, config.hostname, config.name}
    return {join_host_port(_without_localhost(name), int(port)) for name in names if name}


def client_servers(config: AgentConfig) -> tuple[str, ...]:
    """Return the host:port of the RPC listeners a client starts with; its own agent's server first, if it has one.

    Raises ValueError for an entry that is no address.
    """
    own = (config.advertise.rpc,) if config.server.enabled else ()
    join = config.client.server_join
    entries = (*config.client.servers, *join.retry_join, *join.start_join)
    others = (join_host_port(*split_host_port(entry, _DEFAULT_PORTS.rpc)) for entry in entries)
    return tuple(dict.fromkeys((*own, *others)))

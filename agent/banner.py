"""What an agent prints when it starts, in the lines a Nomad operator knows. Pure."""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path

from agent.config.schema import AgentConfig

_WIDTH = 22
"""Column of the colons, as in Nomad's banner."""


def opening(files: Sequence[Path], warnings: Sequence[str], *, exposed: bool) -> list[str]:
    """Return what stands before the configuration: warnings, the files that were read, and that the agent starts."""
    lines = [f"==> WARNING: {warning}" for warning in warnings]
    if exposed:
        lines.append(
            "==> WARNING: this agent listens beyond loopback and does not ask for certificates everywhere, and ACLs are "
            "not there yet: whoever reaches its ports controls it. Keep it in a network you trust, or set http, rpc, "
            "verify_server_hostname and verify_https_client in the tls block."
        )
    read = ", ".join(str(file) for file in files)
    lines.append(f"==> Loaded configuration from {read}" if read else "==> No configuration files loaded")
    lines.append("==> Starting Outrider agent...")
    return lines


def configuration(config: AgentConfig, server_id: str, version: str) -> list[str]:
    """Return the block of facts about the agent, by name."""
    facts: dict[str, str] = {
        "Advertise Addrs": _addresses(config, advertised=True),
        "Bind Addrs": _addresses(config, advertised=False),
        "Client": _word(config.client.enabled),
        "Log Level": config.log_level,
        "Region": f"{config.region} (DC: {config.datacenter})",
        "Server": _word(config.server.enabled),
        "Version": version,
    }
    if config.server.enabled:
        facts["Node Id"] = server_id
    return ["==> Outrider agent configuration:", "", *_aligned(facts), ""]


STARTED = "==> Outrider agent started! Log data will stream in below:"


def is_exposed(config: AgentConfig) -> bool:
    """Tell whether any of the agent's listeners can be used from another machine without a certificate."""
    tls = config.tls
    hosts = [] if tls.http and tls.verify_https_client else [*config.addresses.http]
    if config.server.enabled and not (tls.rpc and tls.verify_server_hostname):
        hosts += [config.addresses.rpc, config.addresses.raft]
    return not all(_is_loopback(host) for host in hosts)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _addresses(config: AgentConfig, *, advertised: bool) -> str:
    ports, bind, advertise = config.ports, config.addresses, config.advertise
    http = advertise.http if advertised else "[" + ", ".join(f"{host}:{ports.http}" for host in bind.http) + "]"
    parts = {"HTTP": http}
    if config.server.enabled:
        parts["RPC"] = advertise.rpc if advertised else f"{bind.rpc}:{ports.rpc}"
        parts["Serf"] = advertise.serf if advertised else f"{bind.serf}:{ports.serf}"
        parts["Raft"] = advertise.raft if advertised else f"{bind.raft}:{ports.raft}"
    return "; ".join(f"{name}: {address}" for name, address in parts.items())


def _aligned(facts: Mapping[str, str]) -> list[str]:
    return [f"{name:>{_WIDTH}}: {facts[name]}" for name in sorted(facts)]


def _word(value: bool) -> str:
    return "true" if value else "false"

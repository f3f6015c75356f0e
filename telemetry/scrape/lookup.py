"""Where Prometheus finds targets by itself: an HTTP endpoint, DNS, Consul, or Nomad's own services.

Each lookup gives the service discovery of one role in one region, and the relabelling that makes of its `__meta_*`
what the rules know: `instance` and `datacenter`. The constant labels are the caller's.
Source: Prometheus, configuration of http_sd, dns_sd, consul_sd and nomad_sd, as of 2.42; what a Nomad registers in
Consul: services `nomad` (tags http, rpc, serf) and `nomad-client` (tag http).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import urlencode, urlsplit

from telemetry.scrape.access import Access
from telemetry.scrape.duration import format_duration

LISTED = "__tmp_listed"
"""Marks what outrider.yaml lists: it stays, and what is found of the same name or address gives way to it."""

Rules = list[dict[str, Any]]


class RecordType(Enum):
    """The DNS records that are asked for."""

    SRV = "SRV"
    A = "A"
    AAAA = "AAAA"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLookup:
    """An endpoint that lists targets in Prometheus' JSON; raises ValueError when *url* is none."""

    url: str
    access: Access = field(default_factory=Access)
    refresh_seconds: float = 15.0

    def __post_init__(self) -> None:
        _check_url(self.url)

    def finds(self, role: str) -> bool:
        """Tell whether targets of *role* are found this way."""
        return role in {"server", "client"}

    def discovery(self, role: str, cluster: str, region: str) -> dict[str, Any]:
        """Return what stands in the scrape configuration; role, cluster and region are asked for in the query."""
        separator = "&" if "?" in self.url else "?"
        query = urlencode({"cluster": cluster, "region": region, "role": role})
        url = f"{self.url}{separator}{query}"
        config = {"url": url, "refresh_interval": format_duration(self.refresh_seconds), **self.access.client()}
        return {"http_sd_configs": [config]}

    def relabelling(self, role: str) -> Rules:
        """Return nothing: the endpoint says `instance` and `datacenter` itself."""
        del role
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsLookup:
    """Names in DNS, by role; *port* is for A and AAAA records, as SRV records have their own."""

    names: Mapping[str, tuple[str, ...]]
    record_type: RecordType = RecordType.SRV
    port: int = 4646
    refresh_seconds: float = 30.0

    def __post_init__(self) -> None:
        if not 0 < self.port < 65_536:
            raise ValueError(f"the port {self.port} is not between 1 and 65535")

    def finds(self, role: str) -> bool:
        """Tell whether there are names for *role*."""
        return bool(self.names.get(role))

    def discovery(self, role: str, cluster: str, region: str) -> dict[str, Any]:
        """Return what stands in the scrape configuration."""
        del cluster, region
        config: dict[str, Any] = {"names": list(self.names[role]), "type": self.record_type.value}
        if self.record_type is not RecordType.SRV:
            config["port"] = self.port
        config["refresh_interval"] = format_duration(self.refresh_seconds)
        return {"dns_sd_configs": [config]}

    def relabelling(self, role: str) -> Rules:
        """Name each target by its host, where the record has one; else it is called by its address."""
        del role
        if self.record_type is not RecordType.SRV:
            return []
        return [_copied("__meta_dns_srv_record_target", "instance", "(.+?)\\.?")]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsulLookup:
    """Services in Consul's catalogue, by role; *datacenter* is Consul's, empty for that of the agent asked."""

    server: str = "127.0.0.1:8500"
    services: Mapping[str, str]
    tags: tuple[str, ...] = ("http",)
    """A Nomad server is in Consul three times; only the entry with this tag is its HTTP API."""
    datacenter: str = ""
    access: Access = field(default_factory=Access)

    def __post_init__(self) -> None:
        host, _, port = self.server.rpartition(":")
        if not host or "/" in host or not port.isdecimal():
            raise ValueError(f"{self.server!r} is not host:port; write one such as 127.0.0.1:8500")

    def finds(self, role: str) -> bool:
        """Tell whether there is a service for *role*."""
        return bool(self.services.get(role))

    def discovery(self, role: str, cluster: str, region: str) -> dict[str, Any]:
        """Return what stands in the scrape configuration: of all health states, as a dead agent must stay a target."""
        del cluster, region
        config: dict[str, Any] = {"server": self.server}
        if self.access.is_https:
            config["scheme"] = "https"
        if self.datacenter:
            config["datacenter"] = self.datacenter
        config["services"] = [self.services[role]]
        if self.tags and role in {"server", "client"}:
            config["tags"] = list(self.tags)
        return {"consul_sd_configs": [config | self.access.client()]}

    def relabelling(self, role: str) -> Rules:
        """Name each target by its node in Consul."""
        del role
        return [_copied("__meta_consul_node", "instance"), _copied("__meta_consul_dc", "datacenter")]


@dataclass(frozen=True, slots=True, kw_only=True)
class NomadLookup:
    """Services that jobs register with Nomad, by role; raises ValueError when *url* is none.

    Agents do not register themselves: without a job that does it for them nothing is found.
    """

    url: str = "http://127.0.0.1:4646"
    services: Mapping[str, str]
    namespace: str = "default"
    access: Access = field(default_factory=Access)
    refresh_seconds: float = 30.0

    def __post_init__(self) -> None:
        _check_url(self.url)

    def finds(self, role: str) -> bool:
        """Tell whether there is a service for *role*."""
        return bool(self.services.get(role))

    def discovery(self, role: str, cluster: str, region: str) -> dict[str, Any]:
        """Return what stands in the scrape configuration; stale answers are allowed, so that no leader is needed."""
        del role, cluster
        config: dict[str, Any] = {
            "server": self.url,
            "region": region,
            "namespace": self.namespace,
            "refresh_interval": format_duration(self.refresh_seconds),
        }
        return {"nomad_sd_configs": [config | self.access.client()]}

    def relabelling(self, role: str) -> Rules:
        """Keep the one service, as all are listed; a target is called by its address, as names are not said."""
        service = escape_regex(self.services[role])
        return [
            {"source_labels": [LISTED, "__meta_nomad_service"], "regex": f"yes;.*|;{service}", "action": "keep"},
            _copied("__meta_nomad_dc", "datacenter"),
        ]


Lookup = HttpLookup | DnsLookup | ConsulLookup | NomadLookup


def escape_regex(text: str) -> str:
    """Return the regular expression, in RE2's words, that *text* alone matches."""
    return "".join(f"\\{letter}" if letter in "\\.+*?()|[]{}^$" else letter for letter in text)


def _copied(source: str, target: str, regex: str = "(.+)") -> dict[str, Any]:
    """Return the rule that copies *source* where it is there, so that what is listed keeps its own."""
    return {"source_labels": [source], "regex": regex, "target_label": target}


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{url!r} is no URL; write one such as http://127.0.0.1:4646")

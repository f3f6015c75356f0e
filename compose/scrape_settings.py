"""The parts of outrider.yaml about scraping: `discovery` and a section for each of its words, `scrape`.

discovery: consul
consul: {server: "127.0.0.1:8500", token_file: /etc/prometheus/consul-token}
scrape: {scheme: https, ca_file: /etc/prometheus/ca.pem, server_name: "{role}.{region}.nomad"}

A section of a region or cluster replaces that of the whole file. Files are named as Prometheus sees them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from compose.yaml_reader import Section, SettingsError
from telemetry.scrape.access import Access
from telemetry.scrape.description import AgentRole, Discovery
from telemetry.scrape.duration import format_duration
from telemetry.scrape.limits import Size, sample_limits
from telemetry.scrape.lookup import ConsulLookup, DnsLookup, HttpLookup, Lookup, NomadLookup, RecordType

DEFAULT_ENDPOINT = "http://127.0.0.1:4651/targets"
"""Where `outrider discovery serve` listens."""
OLDEST_PROMETHEUS = (2, 42)
HTTP_HEADERS_SINCE = (2, 55)
"""The first Prometheus that sends headers of the operator's; 2.42 refuses the whole file for them."""

_DISCOVERIES = {discovery.value: discovery for discovery in Discovery}
_SECTIONS = tuple(each.value for each in Discovery if each not in {Discovery.STATIC, Discovery.FILE})
_RECORDS = {record.value: record for record in RecordType}
_SCHEMES = {"http": False, "https": True}
_SERVICES = {"servers": "server", "clients": "client", "exporters": "exporter"} | {
    name: name for name in ("prometheus", "alertmanager")
}
"""The word in outrider.yaml, and the role or job it is for."""
_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.\d+)?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookups:
    """What finds targets beside those that are listed."""

    discovery: Discovery
    lookup: Lookup | None

    @property
    def finds_servers(self) -> bool:
        """Tell whether a region without a list of servers has any."""
        return self.lookup is not None and self.lookup.finds("server")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrapeSettings:
    """How agents are scraped."""

    timeout_seconds: float | None = None
    access: Access = field(default_factory=Access)
    sample_limits: Mapping[AgentRole, int] = field(default_factory=dict)


def read_lookups(section: Section, outer: Lookups | None) -> Lookups:
    """Return what finds the targets of the whole file, or with *outer* given, of one cluster or region of it."""
    discovery = outer.discovery if outer else section.choice("discovery", _DISCOVERIES, Discovery.STATIC)
    for name in _SECTIONS:
        if name != discovery.value and section.has(name):
            raise section.error(
                name, f"is for `discovery: {name}`, and discovery is {discovery.value}; change one of the two"
            )
    if discovery in {Discovery.STATIC, Discovery.FILE}:
        return Lookups(discovery=discovery, lookup=None)
    own = section.section(discovery.value)
    if own is None and outer is not None:
        return outer
    if own is None and discovery is Discovery.DNS:
        # It may stand in each region instead, which is asked for when a region has none.
        return Lookups(discovery=discovery, lookup=None)
    lookup = _lookup(discovery, own if own is not None else section.empty(discovery.value))
    return Lookups(discovery=discovery, lookup=lookup)


def read_scrape(top: Section, interval_seconds: float) -> ScrapeSettings:
    """Return how agents are scraped; raise SettingsError for what cannot be."""
    newest = _prometheus_version(top)
    section = top.section("scrape")
    if section is None:
        return ScrapeSettings()
    timeout = section.seconds("timeout", interval_seconds) if section.has("timeout") else None
    if timeout is not None and timeout > interval_seconds:
        raise section.error(
            "timeout",
            f"is {format_duration(timeout)} and scrape_interval {format_duration(interval_seconds)}; "
            "Prometheus takes none that is longer than the interval",
        )
    access = _access(section, token_header=section.optional_text("token_header") or "")
    if access.token_header and newest < HTTP_HEADERS_SINCE:
        since = ".".join(map(str, HTTP_HEADERS_SINCE))
        raise section.error(
            "token_header",
            f"is {access.token_header!r}, which Prometheus sends from {since} on, and prometheus_version is "
            f"{'.'.join(map(str, newest))}; remove it (a Nomad takes `Authorization: Bearer`) or raise the version",
        )
    limits = _limits(section.section("size"))
    section.finish()
    return ScrapeSettings(timeout_seconds=timeout, access=access, sample_limits=limits)


def _prometheus_version(top: Section) -> tuple[int, int]:
    text = top.optional_text("prometheus_version")
    if text is None:
        return OLDEST_PROMETHEUS
    found = _VERSION.match(text)
    if found is None:
        raise top.error("prometheus_version", f'is {text!r}; write one such as "2.42"')
    version = int(found[1]), int(found[2])
    if version < OLDEST_PROMETHEUS:
        oldest = ".".join(map(str, OLDEST_PROMETHEUS))
        raise top.error("prometheus_version", f"is {text}; the oldest that is supported is {oldest}")
    return version


def _lookup(discovery: Discovery, section: Section) -> Lookup:
    lookup: Lookup
    try:
        match discovery:
            case Discovery.HTTP:
                url = section.optional_text("url") or DEFAULT_ENDPOINT
                lookup = HttpLookup(
                    url=url,
                    access=_access(section, is_https=url.startswith("https:")),
                    refresh_seconds=section.seconds("refresh", 15.0),
                )
            case Discovery.DNS:
                lookup = DnsLookup(
                    names={role: section.texts(name, ()) for name, role in _SERVICES.items()},
                    record_type=section.choice("type", _RECORDS, RecordType.SRV),
                    port=section.integer("port", 4646),
                    refresh_seconds=section.seconds("refresh", 30.0),
                )
                if not any(lookup.names.values()):
                    raise section.error(
                        "servers", "and `clients` are missing; name the records, such as _nomad._tcp.example.com"
                    )
            case Discovery.CONSUL:
                lookup = ConsulLookup(
                    server=section.optional_text("server") or "127.0.0.1:8500",
                    services=_services(section, {"server": "nomad", "client": "nomad-client"}),
                    tags=section.texts("tags", ("http",)),
                    datacenter=section.optional_text("datacenter") or "",
                    access=_access(section),
                )
            case _:
                url = section.optional_text("server") or "http://127.0.0.1:4646"
                lookup = NomadLookup(
                    url=url,
                    services=_services(section, {"client": "nomad-client"}),
                    namespace=section.optional_text("namespace") or "default",
                    access=_access(section, is_https=url.startswith("https:")),
                    refresh_seconds=section.seconds("refresh", 30.0),
                )
    except ValueError as error:
        if isinstance(error, SettingsError):
            raise
        wrong = next(name for name in ("url", "server", "port") if section.has(name))
        raise section.error(wrong, f"cannot be used: {error}") from None
    section.finish()
    return lookup


def _services(section: Section, shipped: Mapping[str, str]) -> dict[str, str]:
    services = dict(shipped)
    for name, role in _SERVICES.items():
        text = section.optional_text(name)
        if text is not None:
            services[role] = text
    return services


def _access(section: Section, *, is_https: bool | None = None, token_header: str = "") -> Access:
    """Return scheme, TLS and token in *section*; with *is_https* given, a URL has said the scheme."""
    texts = {
        name: section.optional_text(name) or ""
        for name in ("ca_file", "cert_file", "key_file", "server_name", "token_file")
    }
    for name in ("token", "password"):
        if section.has(name):
            raise section.error(name, f"does not belong here; put it into a file and name that in {name}_file")
    if is_https is None:
        is_https = section.choice("scheme", _SCHEMES, default=False)
    try:
        return Access(is_https=is_https, token_header=token_header, **texts)
    except ValueError as error:
        wrong = next(
            name for name in ("cert_file", "key_file", "ca_file", "server_name", "token_header") if section.has(name)
        )
        raise section.error(wrong, f"cannot be used: {error}") from None


def _limits(section: Section | None) -> dict[AgentRole, int]:
    if section is None:
        return {}
    try:
        size = Size(
            jobs=section.integer("jobs", 0),
            task_groups_per_job=section.integer("task_groups_per_job", 4),
            clients=section.integer("clients", 1_000),
            tasks_per_client=section.integer("tasks_per_client", 0),
        )
    except ValueError as error:
        raise section.error(str(error).partition(" ")[0], str(error).partition(" ")[2]) from None
    section.finish()
    return sample_limits(size)

"""What was gathered of a cluster, as plain values that checks look at.

Nothing here does I/O; `compose.check.gather` fills these from the API of agents and of Prometheus.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from telemetry.catalogue.comparison import AgentState
from telemetry.catalogue.metric import Role
from telemetry.scrape.duration import parse_duration
from telemetry.scraped import Scrape

_OUR_SERIES = "outrider_agent_info"
_ELECTED = "nomad_nomad_leader_establish_leadership_count"
"""There for a minute after an election, on the server that won it."""
_STARTED = "process_start_time_seconds"
_ELECTION_SHOWS_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class AgentFacts:
    """One agent: what it says of itself, what it exports, and what it would not say.

    *place* is how findings name it, *group* the region that the settings put it in. *body* is /v1/agent/self, empty when that was refused, with the reason in
    *self_error*; the same goes for *scrape* and *scrape_error*. *asked_at* is our clock when it was asked, *served_at*
    its own, both Unix seconds, *took_seconds* how long the answer took.
    """

    place: str
    address: str
    group: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)
    self_error: str = ""
    scrape: Scrape | None = None
    scrape_error: str = ""
    asked_at: float = 0.0
    took_seconds: float = 0.0
    served_at: float | None = None

    @property
    def answered(self) -> bool:
        """Whether anything came from it."""
        return bool(self.body) or self.scrape is not None

    @property
    def config(self) -> Mapping[str, Any]:
        """Its configuration, as it runs."""
        return self.body.get("config") or {}

    @property
    def telemetry(self) -> Mapping[str, Any]:
        """Its telemetry block."""
        return self.config.get("Telemetry") or {}

    def stat(self, group: str, name: str) -> str:
        """Return one of its statistics, "" when it has none such."""
        return str(((self.body.get("stats") or {}).get(group) or {}).get(name, ""))

    @cached_property
    def roles(self) -> Role:
        """Whether it is a server, a client or both; told by its statistics, else by its series."""
        names = self.scrape.names if self.scrape is not None else frozenset()
        found = Role(0)
        if self.stat("nomad", "server") == "true" or "nomad_raft_appliedIndex" in names:
            found |= Role.SERVER
        if (self.body.get("stats") or {}).get("client") or "nomad_client_allocations_running" in names:
            found |= Role.CLIENT
        return found

    @property
    def name(self) -> str:
        """The node's name, or its address where it does not say."""
        return str(self.config.get("NodeName") or (self.body.get("member") or {}).get("Name") or self.address)

    @property
    def region(self) -> str:
        """The region it belongs to, as the settings call it, else as it does itself."""
        return self.group or str(self.config.get("Region", ""))

    @property
    def version(self) -> str:
        """Its version, "" when it does not say."""
        version = self.config.get("Version") or {}
        return str(version.get("Version", "")) if isinstance(version, Mapping) else str(version)

    @property
    def is_leader(self) -> bool:
        """Whether it says that it leads."""
        return self.stat("nomad", "leader") == "true"

    @cached_property
    def is_outrider(self) -> bool:
        """Whether it is our agent rather than a Nomad."""
        if self.scrape is not None:
            return _OUR_SERIES in self.scrape.names
        return self.stat("runtime", "version").startswith("python")

    @property
    def servers(self) -> int:
        """How many servers its Raft configuration has; 3 when it does not say."""
        peers = self.stat("raft", "num_peers")
        return int(peers) + 1 if peers.isdecimal() else 3

    @property
    def clock_seconds(self) -> float | None:
        """How far its clock is ahead of ours, None when it did not say; whole seconds are all that it says."""
        if self.served_at is None:
            return None
        # A Date header is cut to a second: its middle is the best guess.
        return self.served_at + 0.5 - (self.asked_at + self.took_seconds / 2)

    def state(self) -> AgentState:
        """Return what the catalogue has to know of it."""
        scrape = self.scrape or Scrape(())
        started = scrape.value(_STARTED)
        now = self.served_at if self.served_at is not None else self.asked_at
        return AgentState(
            place=self.place,
            roles=self.roles,
            is_leader=self.is_leader,
            seconds=max(0.0, now - started) if started is not None else 0.0,
            leads_seconds=0.0 if _ELECTED in scrape.names else _ELECTION_SHOWS_SECONDS,
            servers=self.servers,
            is_outrider=self.is_outrider,
        )


_GO_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_GO_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def go_seconds(text: object) -> float | None:
    """Return the seconds of a duration as Go prints it, such as "1m0s" or "21.4ms"; None when it is none."""
    parts = _GO_DURATION.findall(str(text))
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != str(text):
        return None
    return sum(float(number) * _GO_SECONDS[unit] for number, unit in parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionFacts:
    """What the servers of a region know together: members, autopilot's view, and the Raft configuration.

    Each is as the API gives it, empty when it could not be asked; *errors* say why.
    """

    name: str
    members: tuple[Mapping[str, Any], ...] = ()
    autopilot: Mapping[str, Any] = field(default_factory=dict)
    voters: tuple[Mapping[str, Any], ...] = ()
    nodes: tuple[Mapping[str, Any], ...] = ()
    leader: str = ""
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrapeTarget:
    """One target that Prometheus scrapes."""

    url: str
    pool: str
    labels: Mapping[str, str]
    health: str
    error: str
    interval_seconds: float

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> "ScrapeTarget":
        """Return one entry of `activeTargets`; raises ValueError for an interval that is none."""
        return cls(
            url=str(body.get("scrapeUrl", "")),
            pool=str(body.get("scrapePool", "")),
            labels=dict(body.get("labels") or {}),
            health=str(body.get("health", "unknown")),
            error=str(body.get("lastError", "")),
            interval_seconds=parse_duration(str(body.get("scrapeInterval", "0s"))),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusFacts:
    """What one Prometheus says: its targets, its rules, how many series it holds, and the time of its clock."""

    url: str
    error: str = ""
    targets: tuple[ScrapeTarget, ...] = ()
    rules: tuple[str, ...] = ()
    unhealthy_rules: tuple[tuple[str, str], ...] = ()
    head_series: int | None = None
    clock_seconds: float | None = None
    """How far its clock is ahead of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """An agent that outrider.yaml names, where it does, and which name its certificate must have."""

    name: str
    address: str
    role: Role
    place: str
    region: str
    server_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that was gathered."""

    agents: tuple[AgentFacts, ...]
    regions: tuple[RegionFacts, ...] = ()
    prometheus: tuple[PrometheusFacts, ...] = ()
    configured: tuple[Configured, ...] = ()
    needed: frozenset[str] = frozenset()
    """The series that rules and panels select, by their names in the catalogue."""
    rules: frozenset[str] = frozenset()
    """The names of our rules: those that the settings give, or all that are shipped."""
    has_settings: bool = False
    clusters: frozenset[str] = frozenset()
    """The clusters that the settings name; targets that say another one are somebody else's."""
    shortest_window_seconds: float = 60.0
    longest_scrape_interval_seconds: float = 15.0

    @property
    def servers(self) -> tuple[AgentFacts, ...]:
        """The agents that are servers and answered."""
        return tuple(agent for agent in self.agents if Role.SERVER in agent.roles)

    @property
    def clients(self) -> tuple[AgentFacts, ...]:
        """The agents that are clients and answered."""
        return tuple(agent for agent in self.agents if Role.CLIENT in agent.roles)

    def servers_of(self, region: str) -> tuple[AgentFacts, ...]:
        """Return the servers of one region."""
        return tuple(agent for agent in self.servers if agent.region == region)

    @property
    def leaders(self) -> tuple[AgentFacts, ...]:
        """The agents that say they lead, of the regions in which exactly one does."""
        leading = [agent for agent in self.servers if agent.is_leader]
        regions = [agent.region for agent in leading]
        return tuple(agent for agent in leading if regions.count(agent.region) == 1)

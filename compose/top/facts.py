"""What is known of a region at one moment, made of the bodies that agents and Prometheus answered with. Pure.

Only a leader can say how far its followers are: without one, servers are told by gossip and by the last configuration
of Raft. Source: bodies of a Nomad 2.0.5, healthy and without a leader.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_PART_SECONDS = {"h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6, "us": 1e-6, "ns": 1e-9}
_PARTS = re.compile(r"(\d+(?:\.\d+)?)(h|ms|µs|us|ns|m|s)")

ALIVE = "alive"
"""Gossip's word for a member that answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server of the region. What only a leader knows is None where none said it."""

    name: str
    address: str
    """Of its RPC."""
    status: str
    """Of gossip: alive, leaving, left or failed; "unknown" for a voter that gossip does not know."""
    is_leader: bool = False
    is_voter: bool = False
    is_healthy: bool | None = None
    contact_seconds: float | None = None
    """Since the leader last heard it."""
    entries_behind: int | None = None
    """Of the leader's log, that it has not acknowledged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """How many clients there are by status, and how many of them get no new work."""

    by_status: Mapping[str, int]
    ineligible: int = 0
    draining: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alert that fires."""

    name: str
    severity: str
    about: str
    """The server, client or region that it names, "" for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A region at one moment. None stands for what nobody said; *notes* say why."""

    region: str
    asked: str
    """URL of the agent that answered."""
    at: float
    """Unix seconds."""
    leader: str
    """Name of the leader, else its address; "" when there is none."""
    leader_since: float | None = None
    """Unix seconds, as Prometheus saw it."""
    is_since_sure: bool = True
    """False when it led already at the first moment that was looked at."""
    servers: tuple[Server, ...] = ()
    needed: int | None = None
    expected: int | None = None
    tolerance: int | None = None
    """How many more servers may be lost, says the leader."""
    nodes: Nodes | None = None
    waiting: int | None = None
    """Evaluations that no scheduler has finished."""
    blocked: int | None = None
    """Evaluations that wait for capacity."""
    alerts: tuple[Alert, ...] | None = None
    has_prometheus: bool = False
    """Whether one was asked, answer or not."""
    notes: tuple[str, ...] = ()

    @property
    def alive(self) -> int:
        """How many voters gossip calls alive; of all servers, where no configuration is known."""
        voters = [server for server in self.servers if server.is_voter] or list(self.servers)
        return sum(server.status == ALIVE for server in voters)


@dataclass(slots=True)
class Bodies:
    """What was answered; None where it was not asked for, or refused."""

    members: Mapping[str, Any] | None = None
    raft: Mapping[str, Any] | None = None
    autopilot: Mapping[str, Any] | None = None
    nodes: Sequence[Mapping[str, Any]] | None = None
    evaluations: Sequence[Mapping[str, Any]] | None = None
    notes: list[str] = field(default_factory=list)


def servers_of(bodies: Bodies, region: str, leader_address: str) -> tuple[Server, ...]:
    """Return the servers of *region* by name: those that gossip knows, and voters that it does not."""
    health = {each["ID"]: each for each in (bodies.autopilot or {}).get("Servers") or ()}
    voters = {each["ID"]: each for each in (bodies.raft or {}).get("Servers") or ()}
    last = max((each.get("LastIndex") or 0 for each in health.values()), default=0)
    found: dict[str, Server] = {}
    for member in (bodies.members or {}).get("Members") or ():
        tags = member.get("Tags") or {}
        if tags.get("region", region) == region:
            address = f"{tags.get('rpc_addr') or member['Addr']}:{tags.get('port', '')}"
            own = tags.get("id") or member["Name"]
            found[own] = _server(own, member["Name"], address, member["Status"], health, voters, leader_address, last)
    for own, each in (voters | health).items():
        if own not in found:
            name, status = each.get("Node") or each.get("Name") or own, each.get("SerfStatus") or "unknown"
            found[own] = _server(own, name, each["Address"], status, health, voters, leader_address, last)
    return tuple(sorted(found.values(), key=lambda server: server.name))


def _server(
    own: str,
    name: str,
    address: str,
    status: str,
    health: Mapping[str, Mapping[str, Any]],
    voters: Mapping[str, Mapping[str, Any]],
    leader_address: str,
    last: int,
) -> Server:
    said = health.get(own, {})
    is_leader = bool(leader_address) and address == leader_address
    index = said.get("LastIndex")
    return Server(
        name=name,
        address=address,
        status=status,
        is_leader=is_leader,
        is_voter=bool(voters.get(own, {}).get("Voter", said.get("Voter", False))),
        is_healthy=said.get("Healthy"),
        contact_seconds=seconds_of(said.get("LastContact")),
        # Of a server that is gone the leader keeps nothing.
        entries_behind=max(0, last - index) if index else None,
    )


def needed_of(bodies: Bodies) -> int | None:
    """Return how many servers are a majority of the voters, None when the voters are not known."""
    servers = (bodies.raft or {}).get("Servers") or ()
    voters = sum(bool(each.get("Voter")) for each in servers) or len((bodies.autopilot or {}).get("Voters") or ())
    return voters // 2 + 1 if voters else None


def expected_of(bodies: Bodies, region: str) -> int | None:
    """Return the `bootstrap_expect` that the servers of *region* were started with, None when none says one."""
    tags = [member.get("Tags") or {} for member in (bodies.members or {}).get("Members") or ()]
    told = [each["expect"] for each in tags if each.get("region", region) == region and "expect" in each]
    return max((int(each) for each in told if each.isascii() and each.isdigit()), default=None)


def nodes_of(bodies: Bodies) -> Nodes | None:
    """Return the clients by status, None when nobody said."""
    if bodies.nodes is None:
        return None
    up = [node for node in bodies.nodes if node["Status"] != "down"]
    return Nodes(
        by_status=dict(sorted(Counter(node["Status"] for node in bodies.nodes).items())),
        ineligible=sum(node.get("SchedulingEligibility") == "ineligible" and not node.get("Drain") for node in up),
        draining=sum(bool(node.get("Drain")) for node in up),
    )


def count_of(bodies: Bodies, status: str) -> int | None:
    """Return how many evaluations have *status*, None when nobody said."""
    if bodies.evaluations is None:
        return None
    return len({each["ID"] for each in bodies.evaluations if each["Status"] == status})


def seconds_of(text: str | None) -> float | None:
    """Return the seconds of a duration as Go writes it, such as "21.401264ms"; None for none, and for "never"."""
    if not text:
        return None
    parts = _PARTS.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return 0.0 if text == "0" else None
    return sum(float(number) * _PART_SECONDS[unit] for number, unit in parts)


def leads_since(points: Iterable[tuple[float, float]], step_seconds: float) -> float | None:
    """Return when the last unbroken run of *points* (Unix seconds, value) began, None when there is none.

    Two that are further apart than one and a half steps are two runs.
    """
    began = before = None
    for at, _ in points:
        if before is None or at - before > 1.5 * step_seconds:
            began = at
        before = at
    return began

"""Bodies of a Nomad's API to the few values that become series.

Pure. Each function takes decoded JSON and raises BodyError, with the field, when it cannot be what it should be.
Source: bodies recorded of Nomad 2.0.5; hashicorp/raft api.go (Stats), whose values are all strings.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import msgspec

OTHER = "other"
"""What a status that this version does not know counts as, so that no server can make series without bound."""

JOB_STATUSES = ("pending", "running", "dead")
DEPLOYMENT_STATUSES = (
    "running", "paused", "initializing", "pending", "blocked", "unblocking", "successful", "failed", "cancelled",
)  # fmt: skip
EVALUATION_STATUSES = ("pending", "blocked", "complete", "failed", "canceled")
NODE_STATUSES = ("initializing", "ready", "down", "disconnected")
ELIGIBILITIES = ("eligible", "ineligible")

_COUNTED = Annotated[int, msgspec.Meta(ge=0)]
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:h|ms|m|s|us|µs|μs|ns))+\Z")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|μs|ns)")
_UNIT_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}

T = TypeVar("T")


class BodyError(ValueError):
    """A body is not what that path of a Nomad answers with."""


class NotAServer(BodyError):
    """The agent that answered is a client; it speaks of servers by hearsay."""


@dataclass(frozen=True, slots=True)
class OwnView:
    """What a server says of itself. `last_contact_seconds` is 0 on a leader, infinite where none was ever heard."""

    member: str
    leads: bool
    leader_address: str
    term: int
    last_index: int
    commit_index: int
    applied_index: int
    log_entries: int
    last_contact_seconds: float
    voters: int
    members: Mapping[str, int]
    expect: int


@dataclass(frozen=True, slots=True)
class Autopilot:
    """What the leader's autopilot thinks; *leader* is the member name of the leader, empty for none.

    *voters_healthy* is None for the seconds after an election in which the body names no server.
    """

    leader: str
    healthy: bool
    failure_tolerance: int
    voters_healthy: int | None


@dataclass(frozen=True, slots=True)
class NodeCounts:
    """Clients by (status, eligibility), every combination included, and how many are drained."""

    kinds: Mapping[tuple[str, str], int]
    draining: int


def leader_address(body: Any) -> str:
    """Return the leader's address, empty for none."""
    return _convert(body, str)


def own_view(body: Any) -> OwnView:
    """Return what /v1/agent/self says of a server. Raises NotAServer when it is a client's."""
    if _convert(body, _AnySelf).stats.get("nomad", {}).get("server") != "true":
        raise NotAServer("this agent is no server; name the address of a server's HTTP API")
    found = _convert(body, _Self)
    raft, serf = found.stats.raft, found.stats.serf
    return OwnView(
        member=found.member.Name,
        leads=found.stats.nomad.leader,
        leader_address=found.stats.nomad.leader_addr,
        term=raft.term,
        last_index=raft.last_log_index,
        commit_index=raft.commit_index,
        applied_index=raft.applied_index,
        log_entries=max(0, raft.last_log_index - raft.last_snapshot_index),
        last_contact_seconds=contact_seconds(raft.last_contact),
        voters=raft.latest_configuration.count("Suffrage:Voter"),
        members={"alive": max(0, serf.members - serf.failed - serf.left), "failed": serf.failed, "left": serf.left},
        expect=int(expect) if (expect := found.member.Tags.get("expect", "")).isdecimal() else 0,
    )


def autopilot(body: Any) -> Autopilot:
    """Return what /v1/operator/autopilot/health says, healthy or not."""
    found = _convert(body, _Autopilot)
    servers = found.Servers or []
    return Autopilot(
        leader=next((server.Name for server in servers if server.Leader), ""),
        healthy=found.Healthy,
        failure_tolerance=found.FailureTolerance,
        voters_healthy=sum(server.Voter and server.Healthy for server in servers) if servers else None,
    )


def node_counts(items: Iterable[Any]) -> NodeCounts:
    """Return how many clients there are of each kind, from the items of /v1/nodes."""
    counts: Counter[tuple[str, str]] = Counter()
    draining = 0
    for item in items:
        node = _convert(item, _Node)
        counts[_known(node.Status, NODE_STATUSES), _known(node.SchedulingEligibility, ELIGIBILITIES)] += 1
        draining += node.Drain
    zeros = dict.fromkeys(((status, word) for status in NODE_STATUSES for word in ELIGIBILITIES), 0)
    return NodeCounts(zeros | counts, draining)


def statuses(items: Iterable[Any], known: tuple[str, ...]) -> dict[str, int]:
    """Return how many *items* of a list have each of the *known* statuses, or another."""
    counts = Counter(_known(_convert(item, _WithStatus).Status, known) for item in items)
    return {status: counts.get(status, 0) for status in (*known, OTHER)}


def counted(body: Any) -> int:
    """Return the number that /v1/evaluations/count answers with."""
    return _convert(body, _Count).Count


def contact_seconds(text: str) -> float:
    """Return the seconds of Raft's `last_contact`: a Go duration, "0" on a leader, "never" for infinitely long."""
    if text == "never":
        return math.inf
    if text in {"", "0"}:
        return 0.0
    if not _DURATION.match(text):
        raise BodyError(f"last_contact is {text!r}, which is no duration")
    return math.fsum(float(number) * _UNIT_SECONDS[unit] for number, unit in _DURATION_PART.findall(text))


def _known(word: str, words: tuple[str, ...]) -> str:
    return word if word in words else OTHER


def _convert(body: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(body, kind, strict=False)
    except msgspec.ValidationError as error:
        raise BodyError(f"the body is not a Nomad's: {error}") from error


class _AnySelf(msgspec.Struct, frozen=True):
    stats: dict[str, dict[str, Any]]


class _NomadStats(msgspec.Struct, frozen=True):
    leader: bool
    leader_addr: str = ""


class _RaftStats(msgspec.Struct, frozen=True):
    term: _COUNTED
    last_log_index: _COUNTED
    commit_index: _COUNTED
    applied_index: _COUNTED
    last_snapshot_index: _COUNTED
    last_contact: str
    latest_configuration: str


class _SerfStats(msgspec.Struct, frozen=True):
    members: _COUNTED
    failed: _COUNTED = 0
    left: _COUNTED = 0


class _Stats(msgspec.Struct, frozen=True):
    nomad: _NomadStats
    raft: _RaftStats
    serf: _SerfStats


class _Member(msgspec.Struct, frozen=True):
    Name: str
    Tags: dict[str, str]


class _Self(msgspec.Struct, frozen=True):
    stats: _Stats
    member: _Member


class _ServerHealth(msgspec.Struct, frozen=True):
    Name: str
    Leader: bool
    Healthy: bool
    Voter: bool


class _Autopilot(msgspec.Struct, frozen=True):
    Healthy: bool
    FailureTolerance: _COUNTED
    Servers: list[_ServerHealth] | None


class _Node(msgspec.Struct, frozen=True):
    Status: str
    SchedulingEligibility: str
    Drain: bool


class _WithStatus(msgspec.Struct, frozen=True):
    Status: str


class _Count(msgspec.Struct, frozen=True):
    Count: _COUNTED

"""Health of the servers as the leader sees it. Source: hashicorp/raft-autopilot; Nomad, operator autopilot health.

Removing dead servers and promoting stable ones comes with dynamic membership; this part only judges.
"""

from dataclasses import dataclass

from agent.consensus.quorum import failures_tolerated

LAST_CONTACT_THRESHOLD_SECONDS = 0.2
"""Nomad's `last_contact_threshold`, at raft_multiplier 1."""

MAX_TRAILING_LOGS = 250
"""Nomad's `max_trailing_logs`."""

INTERVAL_SECONDS = 2.0
"""How often the leader judges, as Nomad does."""


@dataclass(frozen=True, slots=True)
class ServerView:
    """What the leader knows of one server. `last_contact_seconds` is None when it was never heard."""

    server_id: str
    voter: bool
    alive: bool
    last_contact_seconds: float | None
    last_index: int
    is_leader: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """The leader's judgement; `healthy_ids` are the servers that count."""

    healthy: bool
    failure_tolerance: int
    healthy_ids: frozenset[str]


def judge(servers: tuple[ServerView, ...], leader_last_index: int, raft_multiplier: float = 1.0) -> Verdict:
    """Return which of *servers* are healthy, and how many more voters may fail before the quorum is lost.

    Heartbeats come as much more seldom as *raft_multiplier* says, and contacts are as much older.
    """
    threshold = LAST_CONTACT_THRESHOLD_SECONDS * raft_multiplier
    healthy = frozenset(server.server_id for server in servers if _healthy(server, leader_last_index, threshold))
    voters = [server for server in servers if server.voter]
    tolerance = failures_tolerated(len(voters), sum(server.server_id in healthy for server in voters))
    return Verdict(len(healthy) == len(servers), tolerance, healthy)


def _healthy(server: ServerView, leader_last_index: int, last_contact_seconds_max: float) -> bool:
    if server.is_leader:
        return True
    if not server.alive or server.last_contact_seconds is None:
        return False
    fresh = server.last_contact_seconds <= last_contact_seconds_max
    return fresh and leader_last_index - server.last_index <= MAX_TRAILING_LOGS

"""The servers as the leader sees them: who is healthy, and who is taken in, gets a vote, or is removed. Pure.

Source: hashicorp/raft-autopilot; Nomad, operator autopilot health, and nomad/leader.go, reconcileMember.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from agent.consensus.quorum import failures_tolerated
from agent.model.autopilot import AutopilotConfig

DEFAULTS = AutopilotConfig()

DEAD_SECONDS = 30.0
"""How long gossip calls a server failed before it is removed: gossip notices within 8 s, a restart takes as long, and
should cost nobody a vote. A Nomad, whose gossip takes 38 s, removed a killed server after 44 s."""

LEFT_SECONDS = 0.3
"""How long gossip says that a server left before it is removed: one that lives objects to what others say of it."""

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


def judge(
    servers: tuple[ServerView, ...],
    leader_last_index: int,
    raft_multiplier: float = 1.0,
    config: AutopilotConfig = DEFAULTS,
) -> Verdict:
    """Return which of *servers* are healthy, and how many more voters may fail before the quorum is lost.

    Heartbeats come as much more seldom as *raft_multiplier* says, and contacts are as much older.
    """
    threshold = config.last_contact_threshold / 1e9 * raft_multiplier
    oldest = leader_last_index - config.max_trailing_logs
    healthy = frozenset(server.server_id for server in servers if _healthy(server, oldest, threshold))
    voters = [server for server in servers if server.voter]
    tolerance = failures_tolerated(len(voters), sum(server.server_id in healthy for server in voters))
    return Verdict(len(healthy) == len(servers), tolerance, healthy)


def _healthy(server: ServerView, last_index_min: int, last_contact_seconds_max: float) -> bool:
    if server.is_leader:
        return True
    if not server.alive or server.last_contact_seconds is None:
        return False
    fresh = server.last_contact_seconds <= last_contact_seconds_max
    return fresh and server.last_index >= last_index_min


class Step(Enum):
    """One change of the group."""

    ADD = auto()
    """Without a vote."""
    PROMOTE = auto()
    REMOVE = auto()


class Word(Enum):
    """What gossip says of a server."""

    ALIVE = "alive"
    LEFT = "left"
    FAILED = "failed"
    UNKNOWN = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """A server of the region, as gossip and Raft know it together.

    `word` is what gossip has said for `word_seconds`; `voter` is None for a server that is not in the configuration;
    `healthy_seconds` is None while autopilot judges it unhealthy, or has not judged it. `may_join` is False for one that
    is of another group, or was removed by an operator and has not been away since.
    """

    key: str
    raft_address: str
    word: Word
    word_seconds: float
    voter: bool | None
    healthy_seconds: float | None
    is_leader: bool = False
    may_join: bool = True


@dataclass(frozen=True, slots=True)
class Decision:
    """A step, the server it is about, and why, for the log."""

    step: Step
    key: str
    reason: str


def decide(servers: Sequence[Standing], config: AutopilotConfig) -> Decision | None:
    """Return the next change of the group, None when there is none to make: one at a time, and removals first."""
    members = [server for server in servers if server.voter is not None and not server.is_leader]
    for server in members:
        if server.word is Word.LEFT and server.word_seconds >= LEFT_SECONDS:
            return Decision(Step.REMOVE, server.key, "it left")
    newcomers = [s for s in servers if s.voter is None and s.word is Word.ALIVE and s.may_join]
    addresses = {server.raft_address for server in newcomers}
    for server in members:
        if server.raft_address in addresses and server.word is not Word.ALIVE:
            return Decision(Step.REMOVE, server.key, "another server has its address")
    dead = _dead(servers, config)
    if dead is not None:
        return Decision(Step.REMOVE, dead.key, "it is dead")
    for server in members:
        healthy = server.healthy_seconds if server.word in {Word.ALIVE, Word.UNKNOWN} else None
        if server.voter is False and healthy is not None and healthy >= config.server_stabilization_time / 1e9:
            return Decision(Step.PROMOTE, server.key, f"healthy for {config.server_stabilization_time / 1e9:g} s")
    for server in newcomers:
        return Decision(Step.ADD, server.key, "gossip found it")
    return None


def _dead(servers: Sequence[Standing], config: AutopilotConfig) -> Standing | None:
    """Return a failed server that may be removed: those without a vote at any time, of the voters never half at once.

    Source: raft-autopilot, pruneDeadServers: at most (voters - 1) / 2, so that those that are left are the majority.
    """
    if not config.cleanup_dead_servers:
        return None
    dead = [
        server
        for server in servers
        if server.voter is not None
        and server.word is Word.FAILED
        and server.word_seconds >= DEAD_SECONDS
        and server.healthy_seconds is None
    ]
    for server in dead:
        if not server.voter:
            return server
    voters = sum(server.voter is True for server in servers)
    if not dead or len(dead) > (voters - 1) // 2 or voters - 1 < config.min_quorum:
        return None
    return dead[0]

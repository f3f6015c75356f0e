"""What the rest of a server may ask of the replicated log, whatever engine is behind it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class RaftState(Enum):
    """The three states of a server. Source: Raft paper, section 5.1."""

    FOLLOWER = "follower"
    CANDIDATE = "candidate"
    LEADER = "leader"


@dataclass(frozen=True, slots=True)
class Peer:
    """A member of the replicated group.

    `server_id` is the server's stable id (a UUID); `raft_address` is host:port of the Raft listener; `rpc_address`
    is host:port of its gRPC listener (4647).
    """

    server_id: str
    name: str
    raft_address: str
    rpc_address: str


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """What this server knows of a peer. The last two are None unless this server leads."""

    peer: Peer
    voter: bool
    connected: bool
    last_contact_seconds: float | None
    match_index: int | None


@dataclass(frozen=True, slots=True)
class RaftTotals:
    """How often something happened to this server since it started; neither ever falls."""

    elections_won: int = 0
    lease_losses: int = 0


class Standing(Enum):
    """What a server is in the configuration of its group. Source: hashicorp/raft, `ServerSuffrage`."""

    VOTER = "voter"
    NONVOTER = "nonvoter"
    """It is replicated to and not counted."""
    NONE = "none"
    """It is not in the configuration: removed, or not taken in yet."""


FIRST_INDEX = 1
"""A new log begins with a mark here that is no entry."""


@dataclass(frozen=True, slots=True)
class ReplicatorStatus:
    """One consistent look at the log and the group, taken in the Raft thread.

    `last_contact_seconds` is the time since this server last heard the leader: 0 on the leader, None before the
    first contact. `leader` is None when none is known. `taken_at_seconds` is the monotonic clock when it was taken:
    a Raft thread that hangs, or a process that was stopped, leaves an old one. `snapshot_index` is 0 and
    `snapshot_age_seconds` the time since the start while there is no snapshot. `tick_lateness_seconds` is the worst of
    the last 15 to 30 s. `log_bytes` is the log on disk, 0 in memory. `standing` is this server's own in the newest
    configuration of its log, whose entry is `configuration_index`: 0 while the group is as it was bootstrapped.
    `cluster_id` is empty until the first leader has given one and this server has applied it.
    """

    state: RaftState
    term: int
    leader: Peer | None
    last_index: int
    commit_index: int
    applied_index: int
    last_term: int
    snapshot_index: int
    last_contact_seconds: float | None
    peers: tuple[PeerStatus, ...]
    tick_lateness_seconds: float
    has_quorum: bool
    taken_at_seconds: float
    snapshot_age_seconds: float = 0.0
    log_bytes: int = 0
    totals: RaftTotals = RaftTotals()
    standing: Standing = Standing.VOTER
    configuration_index: int = 0
    cluster_id: str = ""

    @property
    def log_entries(self) -> int:
        """How many entries of the log no snapshot covers, the one that the log begins with included."""
        return max(0, self.last_index - self.snapshot_index)


class Fsm(Protocol):
    """The state machine under the log; called only from the Raft thread, in log order."""

    def apply(self, index: int, command: bytes) -> bytes:
        """Carry out one committed command and return its encoded result; never raises."""

    def dump(self) -> Callable[[], bytes]:
        """Freeze the state in O(1) and return a function, safe on any thread, that encodes it."""

    def load(self, data: bytes) -> None:
        """Replace the state by a dumped one; raises ValueError on damaged data."""


class Observer(Protocol):
    """Told what happens, from the Raft thread; must return at once and never raise."""

    def state_changed(self, old: RaftState, new: RaftState, term: int, reason: str) -> None:
        """Report a transition; *reason* is one of the words in `TRANSITION_REASONS`."""

    def leader_changed(self, leader: Peer | None) -> None:
        """Report that this server learnt of another leader, or of none."""


TRANSITION_REASONS = (
    "started",
    "heartbeat timeout",
    "election timeout",
    "won election",
    "newer term",
    "leader lease timeout",
    "found leader",
    "leadership transfer",
    "no voter",
)


class Replicator(Protocol):
    """A replicated log of commands with a state machine at its end."""

    def start(self) -> None:
        """Load what is on disk and begin; raises ConfigError when the log or snapshot is damaged."""

    def stop(self) -> None:
        """Stop the Raft thread and close the files; idempotent, waits at most two seconds."""

    async def propose(self, command: bytes, timeout_seconds: float) -> bytes:
        """Replicate *command* and return what `Fsm.apply` returned for it on this server.

        Raises NotLeader at once when this server does not lead, UnknownOutcome when leadership was lost or the
        timeout passed after the command entered the log, Overloaded when the queue is full. Never forwards.
        """

    async def barrier(self, timeout_seconds: float) -> None:
        """Return once every command committed before the call is applied here; raises as `propose`."""

    async def confirm_read(self, timeout_seconds: float) -> None:
        """Return once this server is known to lead, and has applied all that was committed, since after the call.

        What is read from the state then is linearizable. Raises NotLeader when it does not lead, leads no more, or did
        not learn in time whether it does, and Overloaded when too many reads wait.
        """

    def status(self) -> ReplicatorStatus:
        """Return the newest status; cheap, from any thread, at most one tick old."""

    async def snapshot(self) -> int:
        """Write a snapshot now and return the index it covers."""

    async def transfer_leadership(self, server_id: str = "") -> bool:
        """Ask a follower that has the whole log to take over; False when there is none or this server does not lead.

        With *server_id* that one and no other: asking a follower that lags would only cost an election.
        """

    async def add_server(self, peer: Peer, *, voter: bool, timeout_seconds: float) -> None:
        """Take *peer* into the group, or change its vote, and return once that is committed.

        Raises NotLeader, Overloaded while another change is under way, UnknownOutcome, and RequestRefused for a change
        that would leave too few servers that answer.
        """

    async def remove_server(self, text: str, timeout_seconds: float) -> None:
        """Take the server with the id or address *text* out of the group; raises as `add_server`, and NotFound.

        The leader itself is refused: it hands the leadership over first.
        """

    def collect(self) -> None:
        """Emit the gauges that are due at each collection interval."""

    def counters(self) -> Mapping[str, float]:
        """Return the engine's running totals for debugging; keys are stable within a release."""

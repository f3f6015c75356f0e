"""The Raft state machine of one server, on top of pysyncobj's `SyncObj`.

From pysyncobj come the state of a server, the bookkeeping of what each follower has, the sending of appends and of
snapshots, and becoming a leader. What it gets wrong at its edges is replaced here, each with its reason: elections
(pre-vote, votes counted by sender, a cut-off server campaigns), what a follower does with an append, acknowledgements
that carry their term, durability before every answer, the lease. Log, snapshots and state machine are `Core`'s, changes
of the group's servers `MembershipCore`'s.

`step` does everything that is due, the messages come in by `on_message`; both belong to one thread. Time comes from
the clock, randomness from *rng*, so a simulation replays a seed.

Source: Raft dissertation (Ongaro), sections 3, 4.2.3 (leases), 9.6 (pre-vote).
"""

import math
from enum import Enum, auto
from itertools import islice
from typing import Any, assert_never

from agent.consensus.calls import call_of
from agent.consensus.codec import (
    AppendEntries,
    AppendReply,
    CodecError,
    CommandKind,
    Hello,
    InstallSnapshot,
    Message,
    PreVote,
    PreVoteReply,
    RequestVote,
    TimeoutNow,
    VoteReply,
)
from agent.consensus.configuration import configurations_in
from agent.consensus.identity import encode_identity, gives_identity, new_cluster_id
from agent.consensus.pysyncobj_adapters import BACKLOG_BYTES_MAX, PeerNode
from agent.consensus.pysyncobj_reads import ReadingCore
from agent.consensus.quorum import majority, majority_index
from agent.consensus.raft_log import LogEntry
from agent.consensus.replicator import Peer, RaftState, Standing
from agent.consensus.snapshot_store import SnapshotError
from agent.errors import NotLeader
from telemetry.catalogue import outrider, raft

_QUICK_ROUNDS = 2
"""Campaigns at the normal pace, for a split vote; after them, twice as slow, as a real Nomad without a quorum
(0.63 candidacies a second measured)."""

_PROPOSALS_A_STEP_MAX = 4_096


class _Phase(Enum):
    PRE_VOTE = auto()
    VOTE = auto()


class Engine(ReadingCore):
    """One server's part in the group; takes the arguments of `Core`."""

    def __init__(self, me: Peer, nodes: tuple[str, ...], **parts: Any) -> None:
        self._replies: list[tuple[str, AppendReply]] = []
        self._votes: set[str] = set()
        self._phase = _Phase.PRE_VOTE
        self._rounds = 0
        self._heard_leader_at = -math.inf
        self._lease_sample_at = 0.0
        self._receiving_since = -math.inf
        super().__init__(me, nodes, **parts)
        # pysyncobj drew the first timeout from the process's own generator, which no seed decides.
        if self._SyncObj__otherNodes or self._standing is not Standing.VOTER:
            self._reset_election_deadline(self._clock.monotonic())
        else:
            self._SyncObj__raftElectionDeadline = -math.inf

    def next_deadline(self) -> float:
        """Return when `step` has something to do, on the monotonic clock."""
        if self._queue or self._tasks or self._replies or self.applied_index < self.commit_index:
            return -math.inf
        if self._reads_are_due():
            return -math.inf
        if self.state is not RaftState.LEADER:
            return float(self._SyncObj__raftElectionDeadline)
        if not self._SyncObj__otherNodes:
            if self.commit_index < self._log.durable_index:
                return -math.inf
            return float(self._SyncObj__newAppendEntriesTime) if self._SyncObj__readonlyNodes else math.inf
        return float(min(self._SyncObj__newAppendEntriesTime, self._lease_end(), self._lease_sample_at))

    def transfer_leadership(self, server_id: str = "") -> bool:
        """Ask a follower with the whole log, or only *server_id*, to campaign at once; False as `Replicator` says."""
        if self.state is not RaftState.LEADER:
            return False
        matches = self._SyncObj__raftMatchIndex
        ready = [
            node
            for node in sorted(self._connected)
            if PeerNode(node) in self._SyncObj__otherNodes
            and matches.get(PeerNode(node), 0) == self.last_index
            and server_id in {"", self.peer_of(node).server_id}
        ]
        return bool(ready) and self._links.send(ready[0], TimeoutNow(self.term))

    def step(self) -> None:
        """Do everything that is due. Whatever is answered or counted here is durable before."""
        now = self._clock.monotonic()
        while self._tasks:
            self._tasks.popleft()()
        self._run_election_timer(now)
        if self.state is RaftState.LEADER:
            self._check_lease(now)
        if self.state is RaftState.LEADER:
            self._advance_commit(now)
            self._part(now)
        applied = self._apply_committed()
        self._settle_reads()
        taken = self._take_proposals(now) or applied or self._reads_are_due()
        if self.state is RaftState.LEADER and (taken or now >= self._SyncObj__newAppendEntriesTime):
            # Group commit: one append for everything that came in since the last step, sent before this server's
            # own write to disk so that the followers write at the same time. `applied` tells them the new commit.
            self._send_appends()
        self._compact_log()
        self._sync_log()
        self._healing.settle()
        self._healing.remind(led=self._SyncObj__raftLeader is not None)
        self._send_replies()

    # What the transport tells.

    def on_connected(self, node: str) -> None:
        """Send to *node* from now on."""
        self._connected.add(node)

    def on_disconnected(self, node: str) -> None:
        """Stop sending to *node*; a snapshot begins anew."""
        self._connected.discard(node)
        self._SyncObj__connectedNodes.discard(PeerNode(node))
        self._snapshots.cancel(node)

    def on_silent(self, node: str) -> None:
        """Hurry when it was the leader that closed its connection: its process is probably gone.

        Harmless when it is not: the others, who still hear it, refuse their pre-votes.
        """
        leader = self._SyncObj__raftLeader
        if self.state is RaftState.FOLLOWER and leader is not None and leader.id == node:
            now = self._clock.monotonic()
            hurried = now + self._rng.uniform(*self._timing.hurry_seconds)
            self._SyncObj__raftElectionDeadline = min(self._SyncObj__raftElectionDeadline, hurried)
            self._heard_leader_at = -math.inf

    def on_message(self, node: str, message: Message) -> None:
        """Take a message of *node*, and answer it where it is a call."""
        began = self._clock.monotonic()
        self._handle(node, message)
        call = call_of(message)
        if call:
            self._recorder.observe(raft.NET_RPC_RESPOND, (self._clock.monotonic() - began) * 1000, (call,))

    def _handle(self, node: str, message: Message) -> None:
        if isinstance(message, AppendReply | PreVoteReply | VoteReply) and not self._is_itself(node):
            # What a new server at an old one's address has stored, or votes for, is not the old one's word.
            return
        match message:
            case AppendEntries():
                self._on_append(node, message)
            case AppendReply():
                self._on_append_reply(node, message)
            case InstallSnapshot():
                self._on_snapshot(node, message)
            case PreVote():
                self._on_pre_vote(node, message)
            case PreVoteReply():
                self._on_pre_vote_reply(node, message)
            case RequestVote():
                self._on_request_vote(node, message)
            case VoteReply():
                self._on_vote_reply(node, message)
            case TimeoutNow():
                if message.term == self.term and self._SyncObj__raftLeader == PeerNode(node) and self._may_stand():
                    self._reason = "leadership transfer"
                    self._stand(self._clock.monotonic(), ask_first=False)
            case _:
                assert_never(message)

    # Elections.

    def _run_election_timer(self, now: float) -> None:
        if self.state is RaftState.LEADER or now < self._SyncObj__raftElectionDeadline:
            return
        if self._may_stand():
            self._stand(now, ask_first=True)
        else:
            # Whoever has no vote stands for nothing: it notes that there is no leader to be heard, and waits.
            self._reset_election_deadline(now)
            self._set_leader(None)

    def _may_stand(self) -> bool:
        return self._standing is Standing.VOTER and not self._withholds_vote()

    def _withholds_vote(self) -> bool:
        """Tell whether the end of the log is lost: it can be compared with nobody's."""
        return self._healing.due

    def _stand(self, now: float, *, ask_first: bool) -> None:
        """Begin a round of campaigning.

        pysyncobj campaigns only while it is connected to somebody; a server that is cut off would stay a silent
        follower, and its candidacies are what an alert counts.
        """
        if self.state is RaftState.FOLLOWER:
            if ask_first:
                self._reason = "heartbeat timeout"
                self._recorder.add(raft.TRANSITION_HEARTBEAT_TIMEOUT)
        else:
            self._reason = "election timeout"
        self._set_leader(None)
        self._rounds += 1
        self._recorder.add(raft.STATE_CANDIDATE)
        self._SyncObj__setState(1)
        self._reset_election_deadline(now)
        if ask_first and self._SyncObj__otherNodes:
            self._ask_first(now)
        else:
            self._campaign(now)

    def _ask_first(self, now: float) -> None:
        self._phase, self._votes = _Phase.PRE_VOTE, {self._me.server_id}
        question = PreVote(self.term + 1, self.last_index, self._log.entries[-1][2])
        for node in self._SyncObj__otherNodes:
            self._links.send(node.id, question)
        self._observe_since(raft.CANDIDATE_PRE_ELECT_SELF, now)

    def _campaign(self, now: float) -> None:
        self._phase, self._votes = _Phase.VOTE, {self._me.server_id}
        self.totals["elections"] += 1
        self._SyncObj__setCurrentTerm(self.term + 1, self._me.server_id)
        self._reset_election_deadline(now)
        request = RequestVote(self.term, self.last_index, self._log.entries[-1][2], self._me.server_id)
        for node in self._SyncObj__otherNodes:
            self._links.send(node.id, request)
        self._observe_since(raft.CANDIDATE_ELECT_SELF, now)
        self._count_votes()

    def _count_votes(self) -> None:
        if len(self._votes) < majority(len(self._SyncObj__otherNodes) + 1):
            return
        if self._phase is _Phase.PRE_VOTE:
            self._campaign(self._clock.monotonic())
            return
        self._reason, self._rounds = "won election", 0
        self.totals["elections_won"] += 1
        self._SyncObj__onBecomeLeader()
        self._lease_sample_at = self._clock.monotonic() + self._timing.lease_seconds
        self._recorder.set(raft.PEERS, len(self._configurations.newest.servers))
        self._observer.leader_changed(self._me)

    def _on_pre_vote(self, node: str, message: PreVote) -> None:
        granted = (
            message.term > self.term
            and self._is_up_to_date(message)
            and not self._hears_leader()
            and not self._withholds_vote()
        )
        self._links.send(node, PreVoteReply(message.term, self.term, granted))

    def _on_pre_vote_reply(self, node: str, message: PreVoteReply) -> None:
        standing = self.state is RaftState.CANDIDATE and self._phase is _Phase.PRE_VOTE
        if message.granted:
            if standing and message.term == self.term + 1 and PeerNode(node) in self._SyncObj__otherNodes:
                self._votes.add(node)  # a set: the same server counts once however often it answers
                self._count_votes()
        elif message.voter_term > self.term:
            # Behind the others: the next round must ask for a later term than theirs.
            self._adopt(message.voter_term)

    def _on_request_vote(self, node: str, message: RequestVote) -> None:
        began = self._clock.monotonic()
        newer = message.term > self.term
        voted_for = None if newer else self._SyncObj__votedForNodeId
        granted = (
            message.term >= self.term
            and self._is_up_to_date(message)
            and voted_for in {None, message.candidate_id}
            and not self._withholds_vote()
            and (newer or self.state is not RaftState.LEADER)
        )
        vote = message.candidate_id if granted else voted_for
        if newer or vote != voted_for:
            self._SyncObj__setCurrentTerm(max(self.term, message.term), vote)
        if newer:
            self._follow(None, "newer term")
        if granted:
            self._reset_election_deadline(began)
        self._links.send(node, VoteReply(self.term, granted))
        self._observe_since(raft.RPC_REQUEST_VOTE, began)

    def _on_vote_reply(self, node: str, message: VoteReply) -> None:
        if message.term > self.term:
            self._adopt(message.term)
        elif (
            self.state is RaftState.CANDIDATE
            and self._phase is _Phase.VOTE
            and message.granted
            and message.term == self.term
            and PeerNode(node) in self._SyncObj__otherNodes
        ):
            self._votes.add(node)
            self._count_votes()

    def _is_up_to_date(self, message: PreVote | RequestVote) -> bool:
        return (message.last_term, message.last_index) >= (self._log.entries[-1][2], self.last_index)

    def _hears_leader(self) -> bool:
        # A little less than the election minimum: whoever stands at that very minimum heard the same last heartbeat.
        recent = 0.8 * self._timing.election_min_seconds
        return self.state is RaftState.LEADER or self._clock.monotonic() - self._heard_leader_at < recent

    def _reset_election_deadline(self, now: float) -> None:
        timeout = self._rng.uniform(self._timing.election_min_seconds, self._timing.election_max_seconds)
        self._SyncObj__raftElectionDeadline = now + timeout * (1 if self._rounds <= _QUICK_ROUNDS else 2)

    def _adopt(self, term: int) -> None:
        self._SyncObj__setCurrentTerm(term, None)
        self._follow(None, "newer term")

    def _follow(self, leader: str | None, reason: str) -> None:
        self._reason = reason
        if self.state is RaftState.LEADER:
            self._reset_election_deadline(self._clock.monotonic())
        self._SyncObj__setState(0)
        self._set_leader(leader)
        self._part_no_more()

    def _set_leader(self, node: str | None) -> None:
        before: PeerNode | None = self._SyncObj__raftLeader
        after: PeerNode | None = None if node is None else PeerNode(node)
        self._SyncObj__raftLeader: PeerNode | None = after
        if before != after:
            self._observer.leader_changed(None if node is None else self.peer_of(node))

    # Leading.

    def _lease_end(self) -> float:
        """Return when a majority will not have answered for the length of a lease."""
        nodes = self._SyncObj__otherNodes
        if not nodes:
            return math.inf
        # The oldest answer of the freshest majority; this server itself answers for ever.
        contacts = sorted((self._SyncObj__lastResponseTime[node] for node in nodes), reverse=True)
        return float(contacts[majority(len(nodes) + 1) - 2] + self._timing.lease_seconds)

    def _check_lease(self, now: float) -> None:
        nodes = self._SyncObj__otherNodes
        if not nodes:
            return
        lost = now >= self._lease_end()
        if lost or now >= self._lease_sample_at:
            ages = [now - self._SyncObj__lastResponseTime[node] for node in nodes]
            for age in ages:
                self._recorder.observe(raft.LEADER_LAST_CONTACT, age * 1000)
            # As hashicorp/raft: the next check is due when the oldest contact that still counts would run out.
            oldest = max((age for age in ages if age < self._timing.lease_seconds), default=0.0)
            self._lease_sample_at = now + max(0.01, self._timing.lease_seconds - oldest)
        if lost:
            self.totals["lease_losses"] += 1
            self._recorder.add(raft.TRANSITION_LEADER_LEASE_TIMEOUT)
            self._follow(None, "leader lease timeout")

    def _advance_commit(self, now: float) -> None:
        stored = [self._log.durable_index, *(self._SyncObj__raftMatchIndex[n] for n in self._SyncObj__otherNodes)]
        index = majority_index(stored)
        if index <= self.commit_index or self._entry(index)[2] != self.term:
            return
        self._recorder.set(raft.COMMIT_NUM_LOGS, index - self.commit_index)
        self._SyncObj__raftCommitIndex, self._committed_at = index, now
        while self._dispatched and self._dispatched[0][0] <= index:
            took = now - self._dispatched.popleft()[1]
            self._recorder.observe(raft.COMMIT_TIME, took * 1000)
            self._recorder.observe(outrider.RAFT_COMMIT_DURATION_SECONDS, took, (self._me.name,))

    def _take_proposals(self, now: float) -> bool:
        if self.state is not RaftState.LEADER:
            while self._queue:
                self._queue.popleft().finish(NotLeader(self._leader_rpc_address()))
            return False
        began, first = self._clock.monotonic(), self.last_index
        for _ in range(min(len(self._queue), _PROPOSALS_A_STEP_MAX)):
            proposal = self._queue.popleft()
            if not proposal.enter():
                continue
            barrier = proposal.command[0] == CommandKind.NO_OP
            self._recorder.add(raft.BARRIER if barrier else raft.APPLY)
            if barrier and self._gives_identity():
                # On the barrier with which a leader begins: an entry of its own would buy nothing.
                proposal.command = encode_identity(new_cluster_id(self._me.server_id, self.term, self._clock.wall()))
            index = self.last_index + 1
            self._log.append(proposal.command, index, self.term)
            self._waiting[index] = proposal
            self._dispatched.append((index, now))
        self._store_seconds += self._clock.monotonic() - began
        self._stored += self.last_index - first
        return self.last_index != first

    def _gives_identity(self) -> bool:
        """Tell whether the cluster has no id, and this leader's log holds none that could still become it."""
        if self._log.cluster_id:
            return False
        return not gives_identity(islice(self._log.entries, self.applied_index + 1 - self._log.entries[0][1], None))

    def _send_appends(self) -> None:
        # For pysyncobj, connected is who takes more now: it stops filling the queue of one that does not read.
        self._SyncObj__connectedNodes = {
            PeerNode(node) for node in self._connected if self._links.backlog(node) <= BACKLOG_BYTES_MAX
        }
        self._begin_read_round()
        self._SyncObj__sendAppendEntries()
        self._settle_reads()

    def _on_append_reply(self, node_id: str, message: AppendReply) -> None:
        # Only an answer given in this term tells what the follower holds now: pysyncobj takes any, so an answer
        # still under way from an earlier leadership would count entries that were overwritten since.
        if message.term > self.term:
            self._adopt(message.term)
            return
        node = PeerNode(node_id)
        known = self._SyncObj__otherNodes | self._SyncObj__readonlyNodes
        if self.state is not RaftState.LEADER or message.term < self.term or node not in known:
            self.totals["stale_replies"] += 1
            return
        now = self._clock.monotonic()
        # An answer to something sent long ago says nothing about now: a thawed leader must see that its lease is gone.
        contact = now if now - message.sent_at <= self._timing.lease_seconds else message.sent_at
        contacts = self._SyncObj__lastResponseTime
        contacts[node] = max(contacts[node], contact)
        self._reads.acknowledge(node_id, message.read_round)
        matches, nexts = self._SyncObj__raftMatchIndex, self._SyncObj__raftNextIndex
        if message.success:
            matches[node] = max(matches[node], min(message.next_index - 1, self.last_index))
            nexts[node] = max(nexts[node], matches[node] + 1)
        elif message.reset:
            # Never trusted further than it says, not even to keep what it had: its disk may have been replaced.
            matches[node] = min(matches[node], message.next_index - 1)
            # Never forward: what followed an append that it could not place is answered too, with the end of its log.
            nexts[node] = max(1, min(message.next_index, nexts[node]))
        labels = (self.peer_of(node_id).server_id,)
        took = (now - message.sent_at) * 1000
        if message.entries:
            self._recorder.observe(raft.REPLICATION_APPEND_ENTRIES_RPC, took, labels)
            self._recorder.add(raft.REPLICATION_APPEND_ENTRIES_LOGS, message.entries, labels)
        else:
            self._recorder.observe(raft.REPLICATION_HEARTBEAT, took, labels)

    # The configuration.

    def admits(self, hello: Hello) -> bool:
        """Tell whether a server that the configuration does not name may speak here.

        While no leader is heard it may: what this server has of the log may be older than the other's place in the
        group, and a vote or an append may be waiting for it. To one that is in no group, anybody may.
        """
        return bool(hello.server_id) and (self._standing is Standing.NONE or not self._hears_leader())

    def _configure(self) -> None:
        super()._configure()
        if self.state is RaftState.CANDIDATE and self._standing is not Standing.VOTER:
            self._follow(None, "no voter")

    # Following.

    def _hear_leader(self, node: str, term: int) -> bool:
        """Take *node* for the leader of *term*; False when it is not, and it is told the newer term by the answer."""
        if term < self.term or (term == self.term and self.state is RaftState.LEADER):
            return False
        if term > self.term:
            self._SyncObj__setCurrentTerm(term, None)
        now = self._clock.monotonic()
        self._rounds = 0
        self._heard_leader_at = self._last_heard_at = now
        self._reset_election_deadline(now)
        if self.state is not RaftState.FOLLOWER or self._SyncObj__raftLeader != PeerNode(node):
            self._follow(node, "found leader")
        return True

    def _reply(
        self, node: str, to: AppendEntries | InstallSnapshot, next_index: int, *, success: bool, reset: bool
    ) -> None:
        # Kept until `step` has made the log durable: an acknowledgement is a promise.
        entries = len(to.entries) if isinstance(to, AppendEntries) else 0
        read_round = to.read_round if to.term == self.term else 0
        self._replies.append(
            (node, AppendReply(self.term, next_index, success, reset, to.sent_at, entries, read_round))
        )

    def _on_append(self, node: str, message: AppendEntries) -> None:
        began = self._clock.monotonic()
        if not self._hear_leader(node, message.term):
            # pysyncobj is silent here: an old leader would go on until its lease ran out.
            self._reply(node, message, self.last_index + 1, success=False, reset=False)
            return
        previous, entries = message.prev_index, message.entries
        if any(entry[1] != previous + 1 + number for number, entry in enumerate(entries)):
            self._logger.error("raft: ignored an append with gaps node=%s index=%d", node, previous)
            return
        try:
            configurations_in(entries)
        except CodecError as error:
            self._logger.error("raft: ignored an append node=%s reason=%r", node, str(error))  # noqa: TRY400 - no bug
            return
        first = self._log.entries[0][1]
        if previous < first:
            # Covered by a snapshot here, hence committed and equal.
            entries = [entry for entry in entries if entry[1] > first]
        elif previous > self.last_index:
            self._reply(node, message, self.last_index + 1, success=False, reset=True)
            return
        elif self._entry(previous)[2] != message.prev_term:
            self._reply(node, message, self._first_of_term(previous), success=False, reset=True)
            return
        stored = self._store(entries)
        verified = max(first, previous + len(message.entries))
        self._healing.vouched(verified, self._entry(verified)[2])
        self._reply(node, message, verified + 1, success=True, reset=False)
        # Only what this append vouches for: what follows in the log may be of another leader.
        committed = min(message.commit_index, verified)
        if committed > self.commit_index:
            self._SyncObj__raftCommitIndex, self._committed_at = committed, began
        self._observe_since(raft.RPC_APPEND_ENTRIES, began)
        if stored:
            self._store_seconds += self._clock.monotonic() - began
            self._stored += stored
        else:
            self._observe_since(raft.RPC_PROCESS_HEARTBEAT, began)

    def _store(self, entries: list[LogEntry]) -> int:
        """Append what is new and return how many; drop entries only from the first that differs.

        pysyncobj drops all that follows and writes it again: a crash in between loses entries it answered for.
        """
        for number, (_, index, term) in enumerate(entries):
            if index <= self.last_index:
                if self._entry(index)[2] == term:
                    continue
                if index <= self.commit_index:
                    raise RuntimeError(f"entry {index} of term {term} would replace a committed one")
                self._log.truncate_from(index)
                self._healing.replaced(index)
                changed = self._configurations.truncate_from(index)
            else:
                changed = False
            for entry in entries[number:]:
                self._log.append(*entry)
            for newer, configuration in configurations_in(entries[number:]):
                self._configurations.append(newer, configuration)
                changed = True
            if changed:
                self._configure()
            return len(entries) - number
        return 0

    def _first_of_term(self, index: int) -> int:
        # Never back into what is committed, which is equal: the leader may hold that as a snapshot only, and would
        # send it for ever.
        term, first = self._entry(index)[2], max(self._log.entries[0][1], self.commit_index)
        while index - 1 > first and self._entry(index - 1)[2] == term:
            index -= 1
        return index

    def _on_snapshot(self, node: str, message: InstallSnapshot) -> None:
        if not self._hear_leader(node, message.term):
            self._reply(node, message, self.last_index + 1, success=False, reset=False)
            return
        snapshot = None
        if message.first:
            self._receiving_since = self._clock.monotonic()
        try:
            snapshot = self._snapshots.receive(message.data, first=message.first, last=message.last)
        except SnapshotError as error:
            self._logger.error("raft: dropped a snapshot node=%s reason=%r", node, str(error))  # noqa: TRY400 - no bug
        if snapshot is None:
            self._reply(node, message, self.last_index + 1, success=False, reset=message.last)
            return
        self._install(snapshot)
        self._healing.vouched(snapshot.index, snapshot.term)
        self._observe_since(raft.RPC_INSTALL_SNAPSHOT, self._receiving_since)
        self._reply(node, message, snapshot.index + 1, success=True, reset=False)

    def _send_replies(self) -> None:
        for node, reply in self._replies:
            self._links.send(node, reply)
        self._replies.clear()

"""What one server answers to each message: the promises of Raft, one by one."""

import subprocess
import sys

import pytest

from agent.consensus.codec import (
    AppendEntries,
    AppendReply,
    InstallSnapshot,
    PreVote,
    PreVoteReply,
    RequestVote,
    TimeoutNow,
    VoteReply,
)
from agent.consensus.engine_parts import Compaction
from agent.consensus.replicator import RaftState
from agent.consensus.snapshot_store import Snapshot, encode_snapshot
from telemetry.catalogue import raft
from tests.sim.raft_world import RaftWorld


class Alone:
    """Server s1 of a group whose other members are played by the test; keeps what it sends."""

    def __init__(self, size=3):
        self.world = RaftWorld(seed=1, size=size)
        self.server = self.world.servers["s1"]
        self.engine, self.log = self.server.engine, self.server.log
        self.sent = []
        self.server.send = self._keep
        for node in self.world.names[1:]:
            self.engine.on_connected(node)

    def _keep(self, node, message):
        self.sent.append((node, message))
        return True

    def hear(self, node, *messages):
        """Take messages of *node*, step, and return what is sent to it meanwhile."""
        self.sent.clear()
        for message in messages:
            self.engine.on_message(node, message)
        self.engine.step()
        return [message for to, message in self.sent if to == node]

    def append(self, term, previous, previous_term, entry_terms, commit=1, node="s2"):
        """Hear an append whose entries have *entry_terms*."""
        entries = [
            (b"\x00%d-%d" % (previous + 1 + number, entry_term), previous + 1 + number, entry_term)
            for number, entry_term in enumerate(entry_terms)
        ]
        return self.hear(
            node, AppendEntries(term, commit, previous, previous_term, entries, self.world.clock.monotonic(), 0)
        )

    def lead(self):
        """Make s1 the leader of the next term."""
        self.world.clock.advance(5)
        self.engine.step()
        term = self.engine.term + 1
        for node in self.world.names[1:]:
            self.engine.on_message(node, PreVoteReply(term, term - 1, True))
        for node in self.world.names[1:]:
            self.engine.on_message(node, VoteReply(term, True))
        assert self.engine.state is RaftState.LEADER
        self.engine.step()

    @property
    def terms(self):
        return [term for _, _, term in self.log.entries]


def test_an_acknowledgement_of_an_earlier_term_counts_nothing():
    """An answer still under way from an earlier leadership says nothing about the log of now."""
    alone = Alone()
    alone.lead()
    last = alone.engine.last_index

    alone.hear("s2", AppendReply(alone.engine.term - 1, last + 1, True, False, alone.world.clock.monotonic(), 0, 0))
    before = alone.engine.commit_index
    alone.hear("s2", AppendReply(alone.engine.term, last + 1, True, False, alone.world.clock.monotonic(), 0, 0))

    assert (1, last) == (before, alone.engine.commit_index)


def test_an_entry_of_an_earlier_term_is_committed_only_with_one_of_this():
    """A majority that stores an old entry does not commit it: another leader could still replace it (figure 8)."""
    alone = Alone()
    alone.append(1, 1, 0, [1])
    alone.lead()
    now = alone.world.clock.monotonic()

    alone.hear("s2", AppendReply(alone.engine.term, 3, True, False, now, 1, 0))
    before = alone.engine.commit_index
    alone.hear("s2", AppendReply(alone.engine.term, 4, True, False, now, 1, 0))

    assert (1, 3) == (before, alone.engine.commit_index)


@pytest.mark.parametrize("answer", ["pre-vote", "vote"])
def test_the_same_server_votes_once(answer):
    """However often one of five answers, it is one vote of the three that are needed."""
    alone = Alone(size=5)
    alone.world.clock.advance(5)
    alone.engine.step()
    if answer == "vote":
        for node in ("s2", "s3"):
            alone.engine.on_message(node, PreVoteReply(1, 0, True))
    once = PreVoteReply(1, 0, True) if answer == "pre-vote" else VoteReply(1, True)

    for _ in range(5):
        alone.engine.on_message("s2", once)

    assert RaftState.CANDIDATE is alone.engine.state
    assert (0 if answer == "pre-vote" else 1) == alone.engine.term
    alone.engine.on_message("s3", once)
    assert 1 == alone.engine.term


@pytest.mark.parametrize(
    ("last_index", "last_term", "granted"), [(2, 1, False), (3, 1, True), (2, 2, True), (9, 0, False)]
)
@pytest.mark.parametrize("question", ["pre-vote", "vote"])
def test_only_an_up_to_date_log_gets_a_vote(question, last_index, last_term, granted):
    """The log of a candidate must be at least as new, by its last term first and its length second."""
    alone = Alone()
    alone.append(1, 1, 0, [1, 1])
    alone.world.clock.advance(0.45)
    asked = (
        PreVote(5, last_index, last_term) if question == "pre-vote" else RequestVote(5, last_index, last_term, "id-s3")
    )

    (reply,) = [m for m in alone.hear("s3", asked) if isinstance(m, (PreVoteReply, VoteReply))]

    assert granted is reply.granted
    assert (1 if question == "pre-vote" else 5) == alone.engine.term


def test_one_vote_a_term_and_it_is_durable_before_it_is_given():
    """A second candidate of the same term gets nothing, the first one its vote again; the disk knows before they do."""
    alone = Alone()
    on_disk = []
    keep = alone.server.send
    alone.server.send = lambda node, m: on_disk.append((alone.log.term, alone.log.voted_for)) or keep(node, m)

    replies = [
        reply
        for node in ("s2", "s3", "s2")
        for reply in alone.hear(node, RequestVote(7, 9, 9, f"id-{node}"))
        if isinstance(reply, VoteReply)
    ]

    assert [True, False, True] == [reply.granted for reply in replies]
    assert {(7, "id-s2")} == set(on_disk)


def test_a_server_that_hears_its_leader_helps_nobody_else():
    """A pre-vote is refused while the leader is heard, and granted once it was silent for most of a timeout."""
    alone = Alone()
    alone.append(1, 1, 0, [1])

    refused = alone.hear("s3", PreVote(2, 9, 9))
    alone.world.clock.advance(0.45)
    granted = alone.hear("s3", PreVote(2, 9, 9))

    assert [PreVoteReply(2, 1, False)] == refused
    assert [PreVoteReply(2, 1, True)] == granted


def test_a_leader_helps_nobody_else():
    """A leader refuses every pre-vote, whatever the asking log holds."""
    alone = Alone()
    alone.lead()

    replies = [m for m in alone.hear("s3", PreVote(9, 99, 99)) if isinstance(m, PreVoteReply)]

    assert [False] == [reply.granted for reply in replies]


def test_only_what_the_leader_vouched_for_is_committed():
    """Entries that follow the verified ones may be another leader's, whatever commit index is told."""
    alone = Alone()
    alone.append(1, 1, 0, [1, 1])

    alone.append(2, 1, 0, [], commit=3, node="s3")

    assert 1 == alone.engine.commit_index
    assert 3 == alone.engine.last_index


def test_an_append_that_came_late_drops_nothing():
    """An old append whose entries are all here leaves what follows: it was answered for."""
    alone = Alone()
    alone.append(1, 1, 0, [1, 1, 1])

    (reply,) = alone.append(1, 1, 0, [1])

    assert 4 == alone.engine.last_index
    assert (True, 3) == (reply.success, reply.next_index)


def test_entries_that_differ_are_replaced_from_the_first_on():
    """The new leader's entries take the place of those that were never committed."""
    alone = Alone()
    alone.append(1, 1, 0, [1, 1, 1])

    alone.append(2, 2, 1, [2], node="s3")

    assert [0, 1, 2] == alone.terms


def test_a_committed_entry_is_never_replaced():
    """A leader that wants to is wrong, and this server stops instead."""
    alone = Alone()
    alone.append(1, 1, 0, [1, 1], commit=3)

    with pytest.raises(RuntimeError, match="committed"):
        alone.append(2, 1, 0, [2], node="s3")


def test_a_log_that_does_not_reach_is_said_so():
    """A gap asks for what follows the last entry, a conflict for the first entry of the term in conflict."""
    alone = Alone()
    alone.append(2, 1, 0, [1, 2, 2])

    (gap,) = alone.append(3, 9, 3, [3], node="s3")
    (conflict,) = alone.append(3, 4, 3, [3], node="s3")

    assert (False, True, 5) == (gap.success, gap.reset, gap.next_index)
    assert (False, True, 3) == (conflict.success, conflict.reset, conflict.next_index)


def test_nothing_is_acknowledged_before_it_is_durable():
    """When the answer leaves, what it promises survives a crash."""
    alone = Alone()
    durable = []
    keep = alone.server.send
    alone.server.send = lambda node, m: durable.append(alone.log.durable_index) or keep(node, m)

    (reply,) = alone.append(1, 1, 0, [1, 1])

    assert reply.next_index - 1 == durable[-1] == 3
    alone.log.crash()
    assert [0, 1, 1] == alone.terms


def test_a_leader_counts_itself_only_for_what_is_durable():
    """The leader's own disk is one of the majority: what it did not sync yet is not committed."""
    alone = Alone()
    alone.lead()
    alone.log.append(b"\x00unsynced", alone.engine.last_index + 1, alone.engine.term)
    last = alone.engine.last_index

    alone.engine.on_message("s2", AppendReply(alone.engine.term, last + 1, True, False, 0.0, 1, 0))
    alone.engine._advance_commit(alone.world.clock.monotonic())

    assert last - 1 == alone.engine.commit_index


def test_an_old_leader_is_told_of_the_newer_term():
    """An append of an earlier term is answered with this server's term, at which the old leader steps down."""
    alone = Alone()
    alone.append(5, 1, 0, [5])

    (reply,) = alone.append(1, 1, 0, [1], node="s3")
    leader = Alone()
    leader.lead()
    leader.hear("s2", reply)

    assert (False, 5) == (reply.success, reply.term)
    assert (RaftState.FOLLOWER, 5) == (leader.engine.state, leader.engine.term)


def test_an_answer_to_something_old_renews_no_lease():
    """A leader that wakes to answers from before its sleep steps down all the same."""
    alone = Alone()
    alone.lead()
    sent_at = alone.world.clock.monotonic()
    alone.world.clock.advance(15)

    for node in ("s2", "s3"):
        alone.engine.on_message(node, AppendReply(alone.engine.term, 2, True, False, sent_at, 0, 0))
    alone.engine.step()

    assert RaftState.FOLLOWER is alone.engine.state


def test_a_snapshot_keeps_the_entries_that_follow_it():
    """Entries after the snapshot's were answered for; only what it covers may go."""
    alone = Alone()
    alone.append(1, 1, 0, [1, 1, 1, 1])
    blob = encode_snapshot(Snapshot(3, 1, b"2 a\n3 b"))

    (reply,) = alone.hear("s2", InstallSnapshot(1, blob, True, True, 0.0, 0))

    assert (True, 4) == (reply.success, reply.next_index)
    assert (3, 5) == (alone.engine.applied_index, alone.engine.last_index)


def test_a_received_snapshot_is_measured_once_it_is_whole():
    """The time from the first piece to the loaded state is one observation, and loading is one of its own."""
    alone = Alone()
    blob = encode_snapshot(Snapshot(3, 1, b"2 a\n3 b"))
    counts, took = alone.server.recorder.counts, []
    observe = alone.server.recorder.observe
    alone.server.recorder.observe = lambda metric, value, *args: (
        took.append((metric, value)),
        observe(metric, value, *args),
    )

    alone.hear("s2", InstallSnapshot(1, blob[:10], True, False, 0.0, 0))
    before = counts[raft.RPC_INSTALL_SNAPSHOT.name]
    alone.world.clock.advance(0.05)
    alone.hear("s2", InstallSnapshot(1, blob[10:], False, True, 0.0, 0))

    assert (0, 1, 1) == (before, counts[raft.RPC_INSTALL_SNAPSHOT.name], counts[raft.FSM_RESTORE.name])
    assert [pytest.approx(50.0)] == [value for metric, value in took if metric is raft.RPC_INSTALL_SNAPSHOT]
    assert raft.FSM_LAST_RESTORE_DURATION.name in alone.server.recorder.gauges


def test_a_damaged_snapshot_changes_nothing():
    """It is refused and asked for anew."""
    alone = Alone()
    blob = encode_snapshot(Snapshot(30, 1, b"2 a"))[:-1]

    (reply,) = alone.hear("s2", InstallSnapshot(1, blob, True, True, 0.0, 0))

    assert (False, True) == (reply.success, reply.reset)
    assert 1 == alone.engine.applied_index


def test_only_the_leader_may_hand_over():
    """Any other server that asks for an election at once is ignored."""
    alone = Alone()
    alone.append(1, 1, 0, [1])

    alone.hear("s3", TimeoutNow(1))
    ignored = alone.engine.state
    alone.hear("s2", TimeoutNow(1))

    assert (RaftState.FOLLOWER, RaftState.CANDIDATE) == (ignored, alone.engine.state)
    assert 2 == alone.engine.term


def test_an_append_with_gaps_is_ignored():
    """Entries whose indexes do not follow each other are no entries."""
    alone = Alone()

    alone.hear("s2", AppendEntries(1, 1, 1, 0, [(b"\x00a", 2, 1), (b"\x00b", 4, 1)], 0.0, 0))

    assert 1 == alone.engine.last_index


def test_a_snapshot_that_cannot_be_written_is_not_tried_at_every_step(monkeypatch):
    """After a failed write the log grows until the pause is over, then it is tried once more."""
    from agent.consensus.snapshot_store import WriteState

    alone = Alone()
    alone.engine._compaction = Compaction(threshold=1, trailing=1)
    tries = []

    def begin_write(_index, _term, _dump, finished, _configuration):
        tries.append(1)
        finished()

    monkeypatch.setattr(alone.server.snapshots, "begin_write", begin_write)
    monkeypatch.setattr(
        alone.server.snapshots,
        "poll_write",
        lambda: (WriteState.FAILED, 3, OSError("full")) if len(tries) % 2 else (WriteState.IDLE, 0, None),
    )
    alone.append(1, 1, 0, [1, 1], commit=3)
    alone.engine.step()
    for _ in range(20):
        alone.engine.step()
    before = len(tries)

    alone.world.clock.advance(31)
    monkeypatch.setattr(alone.server.snapshots, "poll_write", lambda: (WriteState.IDLE, 0, None))
    alone.engine.step()

    assert (1, 2) == (before, len(tries))


def test_a_conflict_never_points_back_into_what_is_committed():
    """A term in conflict may have begun among committed entries, which the leader may hold as a snapshot only."""
    alone = Alone()
    alone.append(1, 1, 0, [1, 1, 1, 1], commit=3)

    (conflict,) = alone.append(2, 5, 2, [2], commit=3, node="s3")

    assert (False, True, 4) == (conflict.success, conflict.reset, conflict.next_index)


def test_the_engine_leaves_the_socket_module_as_it_was():
    """
    Pysyncobj replaces socket.inet_ntop by a function of Windows; whoever shares the process must not meet it.
    """
    code = (
        "import socket; before = dict(vars(socket)); import agent.consensus.pysyncobj_replicator; "
        "changed = [name for name in before if vars(socket)[name] is not before[name]]; assert not changed, changed; "
        "assert '127.0.0.1' == socket.inet_ntop(socket.AF_INET, bytes((127, 0, 0, 1)))"
    )

    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert 0 == finished.returncode, finished.stderr

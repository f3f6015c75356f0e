"""Bugs to plant in the real code, each of which the simulation must find: what it could not find, it does not prove.

Each is one way in which consensus was got wrong somewhere. `plant` patches the code for as long as it is entered. Three
voters do not show all of them: for `old-acknowledgement` one of five must lead, lose to another that overwrites a
follower, and lead again while that follower's answer is under way (`tests/scenarios/test_raft_old_acknowledgement.py`).

    python -m tests.sim.planted [--seeds N] [--only WORDS]
"""

import argparse
import logging
import sys
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import replace as replaced
from typing import Any

from msgspec.structs import replace

from agent.consensus import wal
from agent.consensus.codec import AppendReply, CommandKind
from agent.consensus.configuration import Configuration, Configurations
from agent.consensus.healing import Healing
from agent.consensus.pysyncobj_adapters import PeerNode
from agent.consensus.pysyncobj_core import Core
from agent.consensus.pysyncobj_engine import Engine
from agent.consensus.pysyncobj_membership import MembershipCore
from agent.consensus.quorum import majority_index
from agent.consensus.read_rounds import ReadRounds
from agent.consensus.replicator import RaftState
from agent.consensus.snapshot_store import SnapshotStore
from agent.consensus.wal import FileLog, MemoryLog
from agent.consensus.wal_format import Tail, TailKind, Vote
from agent.errors import NotLeader, RequestRefused
from agent.state.store import State
from tests.sim.run import simulate


@dataclass(frozen=True)
class Planted:
    """A bug: what of *owner* is replaced, and by what."""

    what: str
    owner: Any
    name: str
    wrong: Callable[..., Any]

    @contextmanager
    def plant(self):
        """Have the bug while this is entered."""
        before = self.owner.__dict__[self.name]
        setattr(self.owner, self.name, self.wrong)
        try:
            yield
        finally:
            setattr(self.owner, self.name, before)


_on_append_reply = Engine._on_append_reply
_on_append = Engine._on_append
_settle = ReadRounds.settle
_take_proposals = Engine._take_proposals
_install = Core._install
_on_request_vote = Engine._on_request_vote
_load_vote = wal._load_vote
_sync_log = Core._sync_log
_set_term = FileLog.set_term_and_vote
_configure = Engine._configure
_restore_configurations = Core._restore_configurations


def _reply_at_once(engine, node, to, next_index, *, success, reset):
    entries, read_round = len(getattr(to, "entries", ())), to.read_round if to.term == engine.term else 0
    engine._links.send(node, AppendReply(engine.term, next_index, success, reset, to.sent_at, entries, read_round))


def _sync_without_fsync(log):
    log._flush()
    log._unsynced, log._durable_index = False, log.entries[-1][1]
    if log._file_bytes >= log._segment_bytes:
        log._begin_segment(log._segments[-1].sequence + 1)


def _vote_not_written(log, term, voted_for):
    if term > log.term:
        _set_term(log, term, None)
    MemoryLog.set_term_and_vote(log, term, voted_for)


def _votes_as_list(engine, node, message):
    if engine.state is RaftState.CANDIDATE and message.granted and message.term == engine.term:
        engine._votes.add((node, len(engine._votes)))
        engine._count_votes()


def _any_acknowledgement(engine, node, message):
    _on_append_reply(engine, node, replace(message, term=max(engine.term, message.term)))


def _healed_at_once(healing, index, term):
    healing._held = healing.due


def _barrier_at_once(engine, now):
    if engine.state is RaftState.LEADER:
        for proposal in [each for each in engine._queue if each.command[0] == CommandKind.NO_OP]:
            engine._queue.remove(proposal)
            proposal.finish(b"")
    return _take_proposals(engine, now)


def _any_round(reads, node, number):
    reads._answered[node] = reads.number


def _unconfirmed(reads, others, applied_index):
    _settle(reads, (), applied_index)


def _commit_by_counting(engine, now):
    matches = engine._SyncObj__raftMatchIndex
    index = majority_index([engine._log.durable_index, *(matches[node] for node in engine._SyncObj__otherNodes)])
    if index > engine.commit_index:
        engine._SyncObj__raftCommitIndex, engine._committed_at = index, now


def _snapshot_over_newer_log(core, snapshot):
    core._load(snapshot)
    core._log.reset(snapshot.index, snapshot.term)
    core._SyncObj__raftLastApplied = core._SyncObj__raftCommitIndex = snapshot.index


def _older_snapshot_kept(store, index, blob):
    wal.replace_durably(store._path, blob)
    store._index = index


def _leader_does_not_sync(core):
    if core.state is not RaftState.LEADER:
        _sync_log(core)
        return
    core._log._flush()
    core._log._durable_index = core.last_index


def _commit_beyond_what_was_compared(engine, node, message):
    _on_append(engine, node, message)
    if message.term == engine.term and engine.state is RaftState.FOLLOWER:
        engine._SyncObj__raftCommitIndex = max(engine.commit_index, min(message.commit_index, engine.last_index))


def _truncate_always(engine, entries):
    # As pysyncobj does: drop what follows and write it again.
    new = [entry for entry in entries if entry[1] > engine.commit_index]
    if new and new[0][1] <= engine.last_index:
        engine._log.truncate_from(new[0][1])
    for entry in new:
        engine._log.append(*entry)
    return len(new)


def _vote_again(engine, node, message):
    if message.term == engine.term and engine.state is RaftState.FOLLOWER:
        engine._SyncObj__votedForNodeId = None
    _on_request_vote(engine, node, message)


def _removed_still_counts(engine):
    _configure(engine)
    engine._SyncObj__otherNodes |= {PeerNode(node) for node in (*engine._removed, *engine._parting)}


def _learners_count(engine):
    _configure(engine)
    if engine.state is RaftState.LEADER:
        engine._SyncObj__otherNodes |= {PeerNode(node) for node in engine._configured}


def _change_at_once(core, change):
    if core.state is not RaftState.LEADER:
        raise NotLeader
    newest = core._configurations.newest
    named = [s if s.server_id else core._named(s.raft_address, voter=s.voter) for s in newest.servers]
    changed = change(Configuration(tuple(named)))
    own = changed.of(core._me)
    if own is None or not own.voter:
        raise RequestRefused("not the leader's own")
    return changed


def _change_stays(configurations, index):
    # As where a change counts that was once received, though its entry is gone.
    before = configurations._history
    kept = [pair for pair in before if pair[0] < index]
    if len(kept) == len(before):
        return False
    configurations._history = [*kept[:-1], (kept[-1][0], before[-1][1])]
    return True


def _change_not_in_snapshot(core, snapshot):
    _restore_configurations(core, None if snapshot is None else replaced(snapshot, configuration=b""))


PLANTED = {
    "answer-before-fsync": Planted("a follower answers before its log is durable", Engine, "_reply", _reply_at_once),
    "no-fsync": Planted("entries count as durable without fsync", FileLog, "sync", _sync_without_fsync),
    "leader-does-not-sync": Planted(
        "a leader counts its own entries without making them durable", Core, "_sync_log", _leader_does_not_sync
    ),
    "vote-not-written": Planted("a vote is kept in memory only", FileLog, "set_term_and_vote", _vote_not_written),
    "term-forgotten": Planted("a restart forgets term and vote", wal, "_load_vote", lambda path: Vote(0, None)),
    "vote-counted-twice": Planted("a vote that comes twice counts twice", Engine, "_on_vote_reply", _votes_as_list),
    "two-votes-a-term": Planted("a server votes again in the same term", Engine, "_on_request_vote", _vote_again),
    "vote-for-a-short-log": Planted(
        "a vote goes to whoever asks, however short its log", Engine, "_is_up_to_date", lambda engine, message: True
    ),
    "old-acknowledgement": Planted(
        "an acknowledgement of an earlier term counts", Engine, "_on_append_reply", _any_acknowledgement
    ),
    "recovering-server-votes": Planted(
        "a server whose last record was damaged votes by what is left", Engine, "_withholds_vote", lambda engine: False
    ),
    "healed-by-any-append": Planted(
        "a server votes again after any append, whether or not it has what it lost", Healing, "vouched", _healed_at_once
    ),
    "damage-for-a-tear": Planted(
        "a damaged last record passes for a write cut short",
        wal,
        "judge_tail",
        lambda data, offset: Tail(TailKind.TORN, 0),
    ),
    "stale-read": Planted("a barrier is passed without a majority", Engine, "_take_proposals", _barrier_at_once),
    "unconfirmed-read": Planted("a read is answered without a round", ReadRounds, "settle", _unconfirmed),
    "old-round": Planted(
        "an answer to what was sent before a read came confirms it", ReadRounds, "acknowledge", _any_round
    ),
    "no-step-down": Planted("a leader without a quorum goes on", Engine, "_lease_end", lambda engine: float("inf")),
    "truncation-not-written": Planted(
        "a truncation is forgotten by a restart", FileLog, "truncate_from", MemoryLog.truncate_from
    ),
    "snapshot-over-newer-log": Planted(
        "a snapshot that comes late replaces a newer log and state", Core, "_install", _snapshot_over_newer_log
    ),
    "older-snapshot-kept": Planted(
        "a snapshot that was slow to write replaces a newer one", SnapshotStore, "_keep", _older_snapshot_kept
    ),
    "old-term-by-counting": Planted(
        "an entry of an earlier term is committed by counting", Engine, "_advance_commit", _commit_by_counting
    ),
    "commit-not-compared": Planted(
        "a follower commits entries that its leader has not vouched for",
        Engine,
        "_on_append",
        _commit_beyond_what_was_compared,
    ),
    "truncate-always": Planted("a late append drops newer entries", Engine, "_store", _truncate_always),
    "applied-twice": Planted(
        "a repeated request is carried out again", State, "result_of", lambda state, request: None
    ),
    "removed-still-counts": Planted(
        "a removed server counts for the leader's majority", Engine, "_configure", _removed_still_counts
    ),
    "learner-counts": Planted(
        "a server without a vote counts for the leader's majority", Engine, "_configure", _learners_count
    ),
    "change-at-once": Planted(
        "a leader changes the group before the last change is committed", MembershipCore, "_changed", _change_at_once
    ),
    "change-not-taken-back": Planted(
        "a change counts on when its entry was overwritten", Configurations, "truncate_from", _change_stays
    ),
    "change-not-in-snapshot": Planted(
        "a restart from a snapshot forgets the group", Core, "_restore_configurations", _change_not_in_snapshot
    ),
}
"""By the name that `python -m tests.sim.run --planted` takes."""


def main():
    """Print the first seed that finds each bug; the exit code says whether all were found."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.planted")
    parser.add_argument("--seeds", type=int, default=200, help="how many are tried at most (200)")
    parser.add_argument("--only", default="", help="bugs whose names hold this")
    options = parser.parse_args()
    missed = 0
    for name, bug in PLANTED.items():
        if options.only not in name:
            continue
        with bug.plant():
            found = next((run for run in map(simulate, range(options.seeds)) if run.finding), None)
        missed += found is None
        if found is None:
            said = f"NOT FOUND by {options.seeds} seeds"
        else:
            said = f"found by seed {found.seed}, after {found.seed + 1}: {found.finding.splitlines()[0]}"
        print(f"{name:24} {bug.what}: {said}", flush=True)
    print(f"bugs not found: {missed}")
    return int(missed > 0)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # the servers say at length what they make of it
    sys.exit(main())

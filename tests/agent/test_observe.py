"""What a server says of itself at a scrape."""

import asyncio
import logging
import math
import random

import pytest

from agent.consensus.replicator import Peer, PeerStatus, RaftState, ReplicatorStatus
from agent.leader.duties import LeaderDuties, Surroundings
from agent.leader.heartbeats import HeartbeatSettings
from agent.observe import Observed, ServerObserver
from agent.state.store import State
from telemetry.catalogue import outrider
from telemetry.clock import ManualClock
from telemetry.recorder import NullRecorder

NOW = 1_000.0
LEADER = Peer("id-1", "s1", "127.0.0.1:1", "127.0.0.1:11")


def peer(number, contact=None):
    who = Peer(f"id-{number}", f"s{number}", f"127.0.0.1:{number}", f"127.0.0.1:1{number}")
    return PeerStatus(who, voter=True, connected=True, last_contact_seconds=contact, match_index=None)


def status(state=RaftState.FOLLOWER, *, leader=LEADER, contact=0.1, peers=None, quorum=True, taken_at=NOW):
    return ReplicatorStatus(
        state=state, term=3, leader=leader, last_index=9, commit_index=9, applied_index=9, last_term=3,
        snapshot_index=0, last_contact_seconds=contact, peers=peers or (peer(2), peer(3)),
        tick_lateness_seconds=0.0, has_quorum=quorum, taken_at_seconds=taken_at,
    )  # fmt: skip


def leading(contacts=(0.1, 0.1), **fields):
    peers = tuple(peer(number, contact) for number, contact in enumerate(contacts, start=2))
    return status(RaftState.LEADER, contact=0.0, peers=peers, **fields)


def sampled(given, multiplier=1.0, now=NOW):
    """Return the samples of a server with the status *given* by the metric."""

    async def run():
        clock = ManualClock(now)
        around = Surroundings(
            propose=None, barrier=None, state=State, new_id=str, clock=clock, recorder=NullRecorder(),
            logger=logging.getLogger("test"), rng=random.Random(1),
        )  # fmt: skip
        duties = LeaderDuties(around, HeartbeatSettings())
        observed = Observed(lambda: given, State, duties, (), multiplier)
        return {entry.metric: entry.value for entry in ServerObserver(observed, clock, NullRecorder()).sample()}

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("given", "is_leader", "has_leader"),
    [
        (leading(), 1, 1),
        (leading(quorum=False), 0, 0),
        (leading(taken_at=NOW - 0.6), 0, 0),
        (status(), 0, 1),
        (status(contact=0.9), 0, 1),
        (status(contact=1.1), 0, 0),
        (status(contact=0.1, taken_at=NOW - 1.0), 0, 0),
        (status(contact=None), 0, 0),
        (status(leader=None), 0, 0),
        (status(RaftState.CANDIDATE, leader=None), 0, 0),
    ],
    ids=[
        "leader", "leader without quorum", "leader whose Raft thread hangs", "follower", "follower before its time-out",
        "follower after it", "follower whose Raft thread hangs", "never heard a leader", "knows no leader", "candidate",
    ],
)  # fmt: skip
def test_a_leader_is_one_only_while_it_is_fresh(given, is_leader, has_leader):
    """
    Neither gauge freezes at 1: silence, a lost quorum and a Raft thread that hangs all show.
    """
    samples = sampled(given)

    assert (is_leader, has_leader) == (samples[outrider.SERVER_IS_LEADER], samples[outrider.SERVER_HAS_LEADER])


def test_the_multiplier_stretches_the_patience():
    """
    With raft_multiplier 5 a contact of four seconds ago is fresh.
    """
    assert 1 == sampled(status(contact=4.0), multiplier=5.0)[outrider.SERVER_HAS_LEADER]
    assert 0 == sampled(status(contact=6.0), multiplier=5.0)[outrider.SERVER_HAS_LEADER]


def test_healthy_voters_are_those_heard():
    """
    The leader counts itself and whom it heard; a follower itself and its leader.
    """
    assert 3 == sampled(leading())[outrider.RAFT_VOTERS_HEALTHY]
    assert 2 == sampled(leading((0.1, 30.0)))[outrider.RAFT_VOTERS_HEALTHY]
    assert 1 == sampled(leading((None, 30.0)))[outrider.RAFT_VOTERS_HEALTHY]
    assert 2 == sampled(status())[outrider.RAFT_VOTERS_HEALTHY]
    assert 1 == sampled(status(contact=5.0))[outrider.RAFT_VOTERS_HEALTHY]


def test_the_last_contact_of_a_leader_is_that_of_its_majority():
    """
    One dead follower of two costs nothing; never heard is not fresh; an old status counts in.
    """
    assert 0.1 == sampled(leading((0.1, 30.0)))[outrider.RAFT_LAST_CONTACT_SECONDS]
    assert math.inf == sampled(status(contact=None))[outrider.RAFT_LAST_CONTACT_SECONDS]
    assert 12.1 == pytest.approx(sampled(status(taken_at=NOW - 12))[outrider.RAFT_LAST_CONTACT_SECONDS])

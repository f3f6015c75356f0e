"""What a server says of itself at a scrape."""

import asyncio
import logging
import math
import random

import pytest

from agent.consensus.replicator import Peer, PeerStatus, RaftState, RaftTotals, ReplicatorStatus
from agent.leader.duties import LeaderDuties
from agent.leader.eval_broker import DELIVERY_LIMIT, FAILED_QUEUE
from agent.leader.heartbeats import HeartbeatSettings
from agent.leader.surroundings import Surroundings
from agent.model.base import NodeID
from agent.model.command import RegisterJob, RegisterNode, UpdateNodeStatus
from agent.model.evaluation import Evaluation
from agent.model.job import Job, TaskGroup
from agent.model.node import Eligibility, Node, NodeStatus
from agent.observe import Observed, ServerObserver
from agent.state.fsm import apply
from agent.state.store import State
from telemetry.catalogue import outrider
from telemetry.clock import ManualClock
from telemetry.recorder import NullRecorder
from telemetry.registry import Registry

NOW = 1_000.0
LEADER = Peer("id-1", "s1", "127.0.0.1:1", "127.0.0.1:11")


def peer(number, contact=None):
    who = Peer(f"id-{number}", f"s{number}", f"127.0.0.1:{number}", f"127.0.0.1:1{number}")
    return PeerStatus(who, voter=True, connected=True, last_contact_seconds=contact, match_index=None)


def status(state=RaftState.FOLLOWER, *, contact=0.1, quorum=True, taken_at=NOW, **fields):
    values = {
        "term": 3, "leader": LEADER, "last_index": 9, "commit_index": 9, "applied_index": 9, "last_term": 3,
        "snapshot_index": 0, "peers": (peer(2), peer(3)), "tick_lateness_seconds": 0.0,
    }  # fmt: skip
    return ReplicatorStatus(
        state=state, last_contact_seconds=contact, has_quorum=quorum, taken_at_seconds=taken_at, **(values | fields)
    )


def leading(contacts=(0.1, 0.1), **fields):
    peers = tuple(peer(number, contact) for number, contact in enumerate(contacts, start=2))
    return status(RaftState.LEADER, contact=0.0, peers=peers, **fields)


def sampled(given, multiplier=1.0):
    """Return the samples of a server with the status *given* by the metric."""
    return {
        entry.metric: entry.value for entry in observed(lambda observer: list(observer.sample()), given, multiplier)
    }


def observed(look, given=None, multiplier=1.0, state=State, given_up=0):
    """Return what *look* finds at a server with the status *given* that has given up some evaluations."""
    given = given or status()

    async def run():
        clock = ManualClock(NOW)
        around = Surroundings(
            propose=None, barrier=None, state=state, wait_for_index=None, new_id=str, clock=clock, recorder=NullRecorder(),
            logger=logging.getLogger("test"), rng=random.Random(1),
        )  # fmt: skip
        duties = LeaderDuties(around, HeartbeatSettings())
        duties.evaluations_failed = given_up
        parts = Observed("s1", lambda: given, state, duties, (), multiplier)
        return look(ServerObserver(parts, clock, NullRecorder()))

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


def test_every_series_of_a_server_names_it():
    """
    An exporter beside a real Nomad says the same of several servers: the label tells them apart.
    """
    samples = observed(lambda observer: list(observer.sample()))

    assert len(samples) > 25
    assert {("server", "s1")} == {(entry.metric.labels[0], entry.labels[0]) for entry in samples}
    assert len(samples) == len({(entry.metric.name, entry.labels) for entry in samples})


def test_indexes_are_exact():
    """
    Beyond 24 bits, where Nomad's gauges move in steps, each entry still shows.
    """
    samples = sampled(status(last_index=2**40 + 3, commit_index=2**40 + 2, applied_index=2**40 + 1))

    assert [2**40 + 3, 2**40 + 2, 2**40 + 1] == [
        samples[metric]
        for metric in (outrider.RAFT_LAST_INDEX, outrider.RAFT_COMMIT_INDEX, outrider.RAFT_APPLIED_INDEX)
    ]


@pytest.mark.parametrize(("last", "snapshot", "entries"), [(1, 0, 1), (500, 0, 500), (500, 480, 20), (480, 480, 0)])
def test_the_log_is_what_no_snapshot_covers(last, snapshot, entries):
    """
    As on a Nomad, the entry that a log begins with counts; a snapshot covers all up to its index.
    """
    assert entries == sampled(status(last_index=last, snapshot_index=snapshot))[outrider.RAFT_LOG_ENTRIES]


def test_what_raft_counted_is_passed_on():
    """
    Totals, the size of the log and the age of the snapshot are the Raft thread's, the age grows with the status.
    """
    samples = sampled(status(totals=RaftTotals(4, 2), log_bytes=12_345, snapshot_age_seconds=60.0, taken_at=NOW - 2.0))

    assert (4, 2) == (samples[outrider.RAFT_ELECTIONS_TOTAL], samples[outrider.RAFT_LEASE_LOSSES_TOTAL])
    assert 12_345 == samples[outrider.RAFT_LOG_BYTES]
    assert 62.0 == samples[outrider.RAFT_SNAPSHOT_AGE_SECONDS]


def test_a_raft_thread_that_hangs_is_late():
    """
    What the thread cannot say itself while it hangs shows by the age of its last word, past its longest wait.
    """
    assert 0.02 == sampled(status(tick_lateness_seconds=0.02, taken_at=NOW - 0.2))[outrider.RAFT_TICK_LATENESS_SECONDS]
    assert 4.75 == sampled(status(tick_lateness_seconds=0.02, taken_at=NOW - 5))[outrider.RAFT_TICK_LATENESS_SECONDS]


def test_evaluations_given_up_are_counted():
    """
    The total is the duties' own.
    """
    samples = observed(lambda observer: list(observer.sample()), given_up=7)

    assert [7] == [entry.value for entry in samples if entry.metric is outrider.EVALUATIONS_FAILED_TOTAL]


def nodes_of(samples):
    return {entry.labels[1:]: entry.value for entry in samples if entry.metric is outrider.NODES}


def test_clients_are_counted_by_status_and_eligibility():
    """
    However they register, change and go, each combination shows as many as there are, and 0 where there are none.
    """
    seed = random.randrange(2**32)
    print(f"seed={seed}")
    rng = random.Random(seed)
    state, known, counted = State(), {}, []

    def look(observer):
        nonlocal state
        for number in range(200):
            id_ = NodeID(f"n{rng.randrange(20)}")
            if id_ not in known:
                known[id_] = [rng.choice(list(NodeStatus)), rng.choice(list(Eligibility)), rng.random() < 0.3]
                fields = dict(zip(("status", "scheduling_eligibility", "drain"), known[id_], strict=True))
                command = RegisterNode(request_id="", at=0, node=Node(id=id_, **fields))
            else:
                known[id_][0] = rng.choice(list(NodeStatus))
                command = UpdateNodeStatus(request_id="", at=0, node_id=id_, status=known[id_][0])
            state = apply(state, number + 1, command).state
            samples = list(observer.sample())
            drained = [entry.value for entry in samples if entry.metric is outrider.NODES_DRAINING]
            counted.append((nodes_of(samples), drained, {id_: tuple(values) for id_, values in known.items()}))

    observed(look, state=lambda: state)

    kinds = {(status.value, eligibility.value) for status in NodeStatus for eligibility in Eligibility}
    for counts, drained, registered in counted:
        assert kinds == set(counts)
        assert {kind: sum(values[:2] == kind for values in registered.values()) for kind in kinds} == counts
        assert [sum(values[2] for values in registered.values())] == drained


def test_a_server_without_clients_says_so():
    """
    All combinations are there, at zero, before any client registers.
    """
    counts = nodes_of(observed(lambda observer: list(observer.sample())))

    assert 8 == len(counts)
    assert {0} == set(counts.values())


def test_evaluations_to_be_given_up_are_a_queue_of_their_own():
    """
    As on a Nomad, `_failed` stands beside the types of schedulers, ready and in the leader's hands.
    """
    registry = Registry(ManualClock(NOW))

    async def run():
        clock = ManualClock(NOW)
        around = Surroundings(
            propose=None, barrier=None, state=State, wait_for_index=None, new_id=str, clock=clock, recorder=registry,
            logger=logging.getLogger("test"), rng=random.Random(1),
        )  # fmt: skip
        duties = LeaderDuties(around, HeartbeatSettings())
        observer = ServerObserver(Observed("s1", status, State, duties, (), 1.0), clock, registry)
        broker = duties.broker
        broker.enable()
        for name in ("a", "b"):
            broker.enqueue(Evaluation(id=name, job_id=name, triggered_by="test", type="batch"), NOW)
            for round_ in range(1, DELIVERY_LIMIT + 1):
                token = broker.dequeue(["batch"], NOW + 100 * round_).token
                broker.nack(name, token, NOW + 100 * round_)
        broker.dequeue([FAILED_QUEUE], NOW + 1_000)
        observer.collect()

    asyncio.run(run())

    lines = registry.exposition().decode().splitlines()
    assert {
        "nomad_nomad_broker__failed_ready 1",
        "nomad_nomad_broker__failed_unacked 1",
        "nomad_nomad_broker_batch_ready 0",
        "nomad_nomad_broker_batch_unacked 0",
    } == {line for line in lines if line.startswith(("nomad_nomad_broker__", "nomad_nomad_broker_batch"))}


@pytest.mark.parametrize(("summarises", "jobs"), [(True, {"web", "cron/dispatch-1"}), (False, {"web"})])
def test_jobs_that_were_dispatched_are_summarised_unless_told_otherwise(summarises, jobs):
    """
    disable_dispatched_job_summary_metrics leaves out their series, and no other job's.
    """
    registry = Registry(ManualClock(NOW))
    groups = [TaskGroup(name="app")]
    made = (
        Job(id="web", name="web", task_groups=groups),
        Job(id="cron/dispatch-1", name="cron/dispatch-1", parent_id="cron", dispatched=True, task_groups=groups),
    )
    state = State()
    for index, entry in enumerate(made, start=1):
        state = apply(state, index, RegisterJob(request_id="", at=0, job=entry)).state

    async def run():
        clock = ManualClock(NOW)
        around = Surroundings(
            propose=None, barrier=None, state=lambda: state, wait_for_index=None, new_id=str, clock=clock, recorder=registry,
            logger=logging.getLogger("test"), rng=random.Random(1),
        )  # fmt: skip
        duties = LeaderDuties(around, HeartbeatSettings())
        duties.established = True
        parts = Observed("s1", status, lambda: state, duties, (), 1.0, summarises)
        ServerObserver(parts, clock, registry).collect()

    asyncio.run(run())

    rows = registry.in_memory()["Gauges"]
    assert jobs == {row["Labels"]["job"] for row in rows if row["Name"] == "nomad.nomad.job_summary.running"}
    assert {2.0} == {
        sum(row["Value"] for row in rows if row["Name"].startswith("nomad.nomad.job_status")),
    }

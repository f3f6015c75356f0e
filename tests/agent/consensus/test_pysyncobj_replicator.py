"""The replicator as the rest of a server sees it: promises, errors and series."""

import asyncio
import logging
import socket

import pytest

from agent.consensus import pysyncobj_replicator
from agent.consensus.engine_parts import Compaction, Timing
from agent.consensus.pysyncobj_replicator import PysyncobjReplicator, RaftSettings
from agent.consensus.replicator import Peer, RaftState
from agent.errors import ConfigError, NotLeader, Overloaded, RequestRefused, UnknownOutcome
from telemetry.catalogue import raft
from telemetry.clock import ManualClock, SystemClock
from telemetry.registry import Registry
from telemetry.scraped import read_exposition
from tests.sim.raft_world import CountingRecorder

pytestmark = pytest.mark.timeout(60)

STEADY = Timing().scaled(3)
"""Of groups of several: a machine that stands still for a second must not cost the leader its lease."""


class Machine:
    """A state machine of appended bytes, and an observer that keeps what it hears."""

    def __init__(self):
        self.commands, self.heard, self.threads = [], [], set()

    def apply(self, index, command):
        if command == b"poison":
            raise ValueError("poison")
        self.commands.append(command)
        return b"%d" % len(self.commands)

    def dump(self):
        frozen = tuple(self.commands)
        return lambda: b"\n".join(frozen)

    def load(self, data):
        self.commands = data.split(b"\n")

    def state_changed(self, old, new, term, reason):
        self.heard.append((old, new, term, reason))

    def leader_changed(self, leader):
        self.heard.append(leader and leader.name)


def free_address():
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        return f"127.0.0.1:{reserved.getsockname()[1]}"


@pytest.fixture
def made():
    """Makes replicators with their machines and recorders, and stops them at the end."""
    running = []

    def make(address=None, peers=(), **settings):
        address = address or free_address()
        machine, recorder = Machine(), CountingRecorder()
        replicator = PysyncobjReplicator(
            RaftSettings(
                me=Peer(f"id-{address}", address, address, f"rpc-{address}"),
                bind_address=address,
                peers=peers,
                timing=settings.pop("timing", Timing().scaled(0.5)),
                **settings,
            ),
            machine,
            machine,
            recorder,
            SystemClock(),
            logging.getLogger("raft-test"),
        )
        replicator.start()
        running.append(replicator)
        return replicator, machine, recorder

    yield make
    for replicator in running:
        replicator.stop()


async def until(condition, within=10.0):
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - the condition changes in another thread
            await asyncio.sleep(0.005)


async def three(made):
    addresses = [free_address() for _ in range(3)]
    trio = [made(address, tuple(a for a in addresses if a != address), timing=STEADY) for address in addresses]
    await until(lambda: any(r.status().state is RaftState.LEADER for r, _, _ in trio))
    await until(lambda: all(r.status().leader for r, _, _ in trio))
    return sorted(trio, key=lambda part: part[0].status().state is not RaftState.LEADER)


def leads(replicator):
    return lambda: replicator.status().state is RaftState.LEADER


def test_a_single_server_leads_writes_and_starts_again(made, tmp_path):
    """One server leads within 0.1 s, answers with the state machine's result, and keeps it over a restart."""

    async def run():
        replicator, _, _ = made(data_dir=tmp_path)
        await until(leads(replicator), within=1)
        results = [await replicator.propose(command, 2) for command in (b"a", b"b")]
        await replicator.barrier(2)
        replicator.stop()
        again, machine, _ = made(data_dir=tmp_path)
        await until(leads(again), within=1)
        await again.barrier(2)
        return results, machine.commands

    results, commands = asyncio.run(run())

    assert [b"1", b"2"] == results
    assert [b"a", b"b"] == commands


def test_three_servers_say_what_they_are(made):
    """Followers refuse writes naming the leader's RPC address; everyone agrees on the leader and its series flow."""

    async def run():
        (leader, _, led), (follower, _, followed), _ = await three(made)
        for number in range(20):
            await leader.propose(b"write-%d" % number, 2)
        with pytest.raises(NotLeader) as refused:
            await follower.propose(b"never", 2)
        await asyncio.sleep(1.5)
        leader.collect()
        follower.collect()
        return leader.status(), follower.status(), refused.value, led, followed

    leader, follower, refused, led, followed = asyncio.run(run())

    assert leader.leader.rpc_address == refused.leader
    assert leader.leader == follower.leader
    assert leader.term == follower.term
    assert (0.0, True) == (leader.last_contact_seconds, leader.has_quorum)
    assert 0 <= follower.last_contact_seconds < STEADY.lease_seconds
    assert all(peer.connected and peer.match_index == leader.last_index for peer in leader.peers)
    assert 20 == led.counts[raft.APPLY.name]
    for metric in (
        raft.STATE_LEADER,
        raft.STATE_CANDIDATE,
        raft.COMMIT_TIME,
        raft.LEADER_DISPATCH_LOG,
        raft.LEADER_LAST_CONTACT,
        raft.REPLICATION_HEARTBEAT,
        raft.REPLICATION_APPEND_ENTRIES_RPC,
        raft.REPLICATION_APPEND_ENTRIES_LOGS,
        raft.FSM_APPLY,
        raft.FSM_ENQUEUE,
        raft.CANDIDATE_ELECT_SELF,
        raft.THREAD_MAIN_SATURATION,
    ):
        assert led.counts[metric.name] > 0, metric.name
    for metric in (raft.RPC_PROCESS_HEARTBEAT, raft.RPC_APPEND_ENTRIES, raft.RPC_APPEND_ENTRIES_STORE_LOGS):
        assert followed.counts[metric.name] > 0, metric.name
    assert raft.LEADER_LAST_CONTACT.name not in followed.counts
    assert led.gauges[raft.APPLIED_INDEX.name] == led.gauges[raft.LAST_INDEX.name] > 20
    assert 3 == led.gauges[raft.PEERS.name]
    assert raft.LEADER_OLDEST_LOG_AGE.name in led.gauges


def test_reads_are_confirmed_by_rounds_that_they_share(made):
    """200 at once take a few rounds and write nothing; a follower refuses them, and names the leader."""

    async def run():
        (leader, _, _), (follower, _, _), _ = await three(made)
        await leader.barrier(2)
        before = leader.status().last_index
        await asyncio.gather(*(leader.confirm_read(2) for _ in range(200)))
        with pytest.raises(NotLeader) as refused:
            await follower.confirm_read(2)
        return before, leader.status(), leader.counters(), refused.value

    before, status, counters, refused = asyncio.run(run())

    assert before == status.last_index
    assert 200 == counters["reads"]
    assert 1 <= counters["read_rounds"] < 100
    assert status.leader.rpc_address == refused.leader


def test_a_read_without_a_quorum_is_refused_in_time(made):
    """A leader that lost both followers confirms nothing, and says so by the caller's time or the end of its lease."""

    async def run():
        (leader, _, _), (second, _, _), (third, _, _) = await three(made)
        await leader.barrier(2)
        second.stop()
        third.stop()
        with pytest.raises(NotLeader):
            await leader.confirm_read(0.1)
        with pytest.raises(NotLeader):
            await leader.confirm_read(2 * STEADY.lease_seconds)

    asyncio.run(run())


def test_a_write_without_a_quorum_has_an_unknown_outcome(made):
    """A leader that lost both followers says UnknownOutcome, at the latest when its lease is gone."""

    async def run():
        (leader, machine, _), (second, _, _), (third, _, _) = await three(made)
        second.stop()
        third.stop()
        with pytest.raises(UnknownOutcome):
            await leader.propose(b"lost", 5)
        await until(lambda: leader.status().state is not RaftState.LEADER, within=2 * STEADY.lease_seconds)
        return machine

    machine = asyncio.run(run())

    assert b"lost" not in machine.commands
    assert "leader lease timeout" in [heard[3] for heard in machine.heard if isinstance(heard, tuple)]


def test_a_poisoned_command_harms_nobody(made):
    """An apply that raises is answered, counted, and the next write goes on."""

    async def run():
        replicator, _, _ = made()
        await until(leads(replicator))
        return await replicator.propose(b"poison", 2), await replicator.propose(b"next", 2), replicator.counters()

    poisoned, following, counters = asyncio.run(run())

    assert (b"", b"1") == (poisoned, following)
    assert 1 == counters["apply_failures"]


def test_writes_are_bounded_in_size_and_number(made, monkeypatch):
    """A command above the limit is refused, and a full queue says so instead of growing."""

    async def run():
        replicator, _, _ = made()
        await until(leads(replicator))
        with pytest.raises(RequestRefused):
            await replicator.propose(b"x" * (512 * 1024), 2)
        await replicator.propose(b"x" * (512 * 1024 - 1), 5)
        monkeypatch.setattr(pysyncobj_replicator, "QUEUE_MAX", 0)
        with pytest.raises(Overloaded):
            await replicator.propose(b"one too many", 2)

    asyncio.run(run())


class Busy:
    """In an engine's place: each step takes *seconds*, of which *applying* go to the state machine."""

    def __init__(self, clock, seconds, applying):
        self.clock, self.seconds, self.applying, self.fsm_seconds = clock, seconds, applying, 0.0

    def step(self):
        self.clock.advance(self.seconds)
        self.fsm_seconds += self.applying

    def status(self, lateness):
        return None

    def next_deadline(self):
        return self.clock.monotonic()


@pytest.mark.parametrize(
    ("seconds", "applying", "main", "fsm"), [(0.125, 0.03125, 0.5, 0.125), (0.375, 0.0, 0.75, 0.0)]
)
def test_saturation_is_the_share_of_a_second(seconds, applying, main, fsm):
    """
    Of the time between two reports, that in which the Raft thread worked, and that in which it applied.
    """
    clock, registry = ManualClock(100.0), Registry(ManualClock())
    machine, address = Machine(), "127.0.0.1:1"
    settings = RaftSettings(me=Peer("id", "s1", address, address), bind_address=address, peers=())
    replicator = PysyncobjReplicator(settings, machine, machine, registry, clock, logging.getLogger("raft-test"))
    replicator._busy_since = clock.monotonic()

    engine = Busy(clock, seconds, applying)
    while clock.monotonic() < 101.0:
        clock.advance(0.125)
        replicator._turn(engine)

    scrape = read_exposition(registry.exposition().decode())
    said = [scrape.value(f"{metric.name}_sum") for metric in (raft.THREAD_MAIN_SATURATION, raft.THREAD_FSM_SATURATION)]
    assert [main, fsm] == pytest.approx(said)


def test_a_snapshot_is_written_and_loaded(made, tmp_path):
    """A snapshot asked for covers what was applied, cuts the log, and is where the next start begins."""

    async def run():
        replicator, _, recorder = made(data_dir=tmp_path, compaction=Compaction(threshold=1_000_000, trailing=1))
        await until(leads(replicator))
        for number in range(50):
            await replicator.propose(b"write-%d" % number, 2)
        index = await replicator.snapshot()
        await until(lambda: recorder.counts[raft.SNAPSHOT_TAKE_SNAPSHOT.name])
        replicator.stop()
        again, machine, restored = made(data_dir=tmp_path)
        return index, again.status(), list(machine.commands), recorder.counts, restored

    index, status, commands, counts, restored = asyncio.run(run())

    assert 51 <= index
    measured = (raft.FSM_SNAPSHOT, raft.SNAPSHOT_PERSIST, raft.SNAPSHOT_TAKE_SNAPSHOT, raft.FSM_RESTORE)
    assert [1, 1, 1, 0] == [counts[metric.name] for metric in measured]
    assert [0, 0, 0, 1] == [restored.counts[metric.name] for metric in measured]
    assert 0 <= restored.gauges[raft.FSM_LAST_RESTORE_DURATION.name]
    assert index == status.snapshot_index
    assert [b"write-%d" % number for number in range(50)] == commands[:50]


def test_a_damaged_snapshot_stops_the_start(made, tmp_path):
    """A server does not begin without the state it had."""

    async def run():
        replicator, _, _ = made(data_dir=tmp_path)
        await until(leads(replicator))
        await replicator.propose(b"a", 2)
        await replicator.snapshot()
        replicator.stop()

    asyncio.run(run())
    path = tmp_path / "raft" / "snapshot"
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(ConfigError, match="snapshot is damaged"):
        made(data_dir=tmp_path)


def test_a_failed_disk_stops_the_server_and_nothing_is_answered(made, tmp_path, monkeypatch):
    """When a write to the log fails the Raft thread ends, the write has no result, and the server leads no more."""

    async def run():
        replicator, _, _ = made(data_dir=tmp_path)
        failures = []
        replicator._on_failure = failures.append
        await until(leads(replicator))

        def broken(_descriptor):
            raise OSError(5, "Input/output error")

        monkeypatch.setattr("agent.consensus.wal.os.fdatasync", broken)
        with pytest.raises(UnknownOutcome):
            await replicator.propose(b"a", 2)
        with pytest.raises(NotLeader):
            await replicator.propose(b"b", 2)
        await until(lambda: failures)
        return replicator.status(), failures

    status, failures = asyncio.run(run())

    assert RaftState.FOLLOWER is status.state
    assert "Input/output error" in failures[0]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"raft_multiplier": 0}, "raft_multiplier"),
        ({"peers": ("nonsense",)}, "host:port"),
        ({"peers": ("127.0.0.1:1", "127.0.0.1:1")}, "twice"),
        ({"peers": ("127.0.0.1:4649",)}, "this server itself"),
    ],
)
def test_settings_that_cannot_work_are_refused(changed, message):
    """The message names the value."""
    settings = {"me": Peer("id", "a", "127.0.0.1:4649", ""), "bind_address": "127.0.0.1:4649", **changed}

    with pytest.raises(ConfigError, match=message):
        RaftSettings(**settings)


def test_leadership_moves_on_request(made):
    """A leader that hands over is followed by another."""

    async def run():
        (leader, _, _), *others = await three(made)
        await leader.barrier(2)
        await asyncio.sleep(0.2)
        assert await leader.transfer_leadership()
        await until(lambda: any(r.status().state is RaftState.LEADER for r, _, _ in others))

    asyncio.run(run())

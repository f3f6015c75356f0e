"""What a server's Raft says of its log, its snapshots and its life, held against independent counts."""

import asyncio
import logging
import os
import threading
import time

import pytest

from agent.consensus.engine_parts import Compaction, RecentWorst
from agent.consensus.pysyncobj_replicator import PysyncobjReplicator, RaftSettings
from agent.consensus.replicator import Peer, RaftState
from agent.consensus.wal import FileLog, MemoryLog
from telemetry.clock import ManualClock, SystemClock
from tests.integration.watch import free_ports
from tests.sim.raft_world import CountingRecorder, RaftWorld

pytestmark = pytest.mark.timeout(30)

WRITES = 37


class Machine:
    """Counts what it carries out, and hears nothing."""

    def __init__(self):
        self.carried_out = 0

    def apply(self, index, command):
        self.carried_out += 1
        return b""

    def dump(self):
        frozen = b"%d" % self.carried_out
        return lambda: frozen

    def load(self, data):
        self.carried_out = int(data)

    def state_changed(self, old, new, term, reason):
        """Not looked at."""

    def leader_changed(self, leader):
        """Not looked at."""


def made(address, folder, peers=(), machine=None, multiplier=1.0):
    """Return a started replicator that listens at *address* and keeps its log in *folder*."""
    machine = machine or Machine()
    settings = RaftSettings(
        me=Peer(f"id-{address}", address, address, "rpc"), bind_address=address, peers=tuple(peers), data_dir=folder,
        raft_multiplier=multiplier,
    )  # fmt: skip
    replicator = PysyncobjReplicator(
        settings, machine, machine, CountingRecorder(), SystemClock(), logging.getLogger("raft-test")
    )
    replicator.start()
    return replicator


async def until(condition):
    """Wait until *condition* gives something true, and return it; a Raft thread tells nobody of it."""
    async with asyncio.timeout(20):
        while not (found := condition()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return found


def leading(*replicators):
    """Return the replicators that lead."""
    return [each for each in replicators if each.status().state is RaftState.LEADER]


async def alone(folder, scenario):
    """Run *scenario* against a server alone that keeps its log in *folder*, and stop it."""
    machine = Machine()
    replicator = made(f"127.0.0.1:{free_ports(1)[0]}", folder, machine=machine)
    try:
        await until(lambda: leading(replicator))
        return await scenario(replicator, machine)
    finally:
        replicator.stop()


def stored(folder):
    """The bytes of the log's files, as the file system counts them."""
    return sum(path.stat().st_size for path in (folder / "raft").glob("log-*.wal"))


def test_indexes_and_entries_are_those_of_the_writes(tmp_path):
    """
    Each write moves all three indexes by one and is an entry no snapshot covers, until one does.
    """

    async def scenario(replicator, machine):
        await replicator.barrier(5)
        before = replicator.status()
        for number in range(WRITES):
            await replicator.propose(b"write-%d" % number, 5)
        after, on_disk = replicator.status(), stored(tmp_path)
        await replicator.snapshot()
        await replicator.propose(b"one more", 5)
        return before, after, replicator.status(), on_disk, machine.carried_out

    before, after, covered, on_disk, carried_out = asyncio.run(alone(tmp_path, scenario))

    assert WRITES + 1 == carried_out
    assert {WRITES} == {
        after.last_index - before.last_index,
        after.commit_index - before.commit_index,
        after.applied_index - before.applied_index,
        after.log_entries - before.log_entries,
    }
    # What the API tells of the log, and so an exporter beside it.
    assert after.last_index == after.log_entries
    assert 1 == covered.log_entries
    assert on_disk == after.log_bytes


def test_a_snapshot_ages_from_its_writing():
    """
    Without one the age is that of the server, and afterwards the time since it was written.
    """
    world = RaftWorld(seed=1)
    began = world.clock.monotonic()
    world.run(10.0)
    engine = world.leader().engine
    without = (world.clock.monotonic() - began, engine.status(0.0).snapshot_age_seconds)

    engine.force_snapshot()
    # Written at its next step, found written at the one after.
    world.run_until(lambda: engine.totals["snapshots_written"] > 0, within=1)
    world.run(7.0)

    assert without[0] == pytest.approx(without[1])
    assert 7.0 == pytest.approx(engine.status(0.0).snapshot_age_seconds, abs=0.02)


def test_a_snapshot_keeps_its_age_over_a_restart(tmp_path):
    """
    After a restart the age is that of the file; one whose time lies ahead is taken for new.
    """

    async def write(replicator, _):
        await replicator.propose(b"a", 5)
        await replicator.snapshot()

    async def look(replicator, _):
        return replicator.status().snapshot_age_seconds

    asyncio.run(alone(tmp_path, write))
    began = time.time()
    os.utime(tmp_path / "raft" / "snapshot", (began - 5_000, began - 5_000))
    restarted = asyncio.run(alone(tmp_path, look))
    took = time.time() - began
    os.utime(tmp_path / "raft" / "snapshot", (began + 5_000, began + 5_000))
    ahead = asyncio.run(alone(tmp_path, look))

    # A second for the system, which may slew one of the two clocks meanwhile.
    assert 4_999 <= restarted <= 5_001 + took
    assert 0 <= ahead <= 1 + time.time() - began


def test_elections_and_lost_leases_are_those_that_were_observed():
    """
    Through partitions, crashes and thaws each server's totals are the transitions it reported since its start.
    """
    world = RaftWorld(seed=5, size=5)
    for _ in range(6):
        world.run_until(lambda: world.leader() is not None, within=10)
        world.isolate(world.leader().name)
        world.run(2.5)
        world.heal()
        world.run(2.0)
    crashed = world.leader().name
    world.crash(crashed)
    world.run(2.0)
    world.start(crashed)
    world.servers[crashed].transitions.clear()
    world.run(3.0)

    told, counted = {}, {}
    for name, server in world.servers.items():
        told[name] = (
            sum(new is RaftState.LEADER for _, _, new, _, _ in server.transitions),
            sum(reason == "leader lease timeout" for *_, reason in server.transitions),
        )
        totals = server.engine.status(0.0).totals
        counted[name] = (totals.elections_won, totals.lease_losses)

    assert told == counted
    assert sum(won for won, _ in counted.values()) >= 6
    assert sum(lost for _, lost in counted.values()) >= 5


def test_a_received_snapshot_makes_its_server_fresh():
    """
    A server that is brought up to date by a snapshot has one as old as its arrival.
    """
    world = RaftWorld(seed=3, compaction=Compaction(threshold=20, trailing=5))
    world.run_until(lambda: world.leader() is not None, within=5)
    late = next(name for name in world.names if name != world.leader().name)
    world.isolate(late)
    for number in range(60):
        world.propose(world.leader().name, b"%d" % number)
        world.run(0.05)
    world.run(20.0)
    engine = world.servers[late].engine
    behind = engine.status(0.0).snapshot_age_seconds
    world.heal()
    world.run_until(lambda: engine.totals["snapshots_installed"] > 0, within=5)
    world.run(1.0)

    assert behind >= 20.0
    assert 1.0 <= engine.status(0.0).snapshot_age_seconds <= 1.1
    assert engine.status(0.0).snapshot_index > 0


def test_a_thread_that_has_just_begun_was_not_late(tmp_path):
    """
    What is due as soon as the thread runs is due from then on, and not since the machine was started.
    """
    uptime = SystemClock().monotonic()

    async def scenario():
        addresses = [f"127.0.0.1:{port}" for port in free_ports(3)]
        trio = [
            made(address, tmp_path / address, [other for other in addresses if other != address], multiplier=3.0)
            for address in addresses
        ]
        try:
            await until(lambda: leading(*trio))
            return [each.status().tick_lateness_seconds for each in trio]
        finally:
            for each in trio:
                each.stop()

    assert max(asyncio.run(scenario())) < uptime / 2


def test_a_slow_disk_makes_the_raft_thread_late(tmp_path, monkeypatch):
    """
    What a write to disk delays shows as lateness, as a thread that the system wakes late does.
    """
    real, wait = os.fdatasync, threading.Event().wait

    def slow(descriptor):
        wait(0.7)
        real(descriptor)

    async def scenario():
        addresses = [f"127.0.0.1:{port}" for port in free_ports(3)]
        trio = [
            made(address, tmp_path / address, [other for other in addresses if other != address], multiplier=3.0)
            for address in addresses
        ]
        try:
            (leader,) = await until(lambda: leading(*trio))
            monkeypatch.setattr(os, "fdatasync", slow)
            await leader.propose(b"a", 10)
            # Its next append was due 0.3 s after the one that carried the write.
            await until(lambda: leader.status().tick_lateness_seconds > 0.3)
        finally:
            for each in trio:
                each.stop()

    asyncio.run(scenario())


def test_the_size_of_the_log_is_that_of_its_files(tmp_path):
    """
    Through segments that fill, fall to compaction, are begun anew and read again, the size is the file system's.
    """

    def on_disk():
        return sum(path.stat().st_size for path in tmp_path.glob("log-*.wal"))

    log = FileLog(tmp_path, ManualClock(), segment_bytes=2_000)
    log.set_term_and_vote(2, None)
    sizes = [(on_disk(), log.disk_bytes)]
    for index in range(2, 122):
        log.append(b"\x00" * 80, index, 1)
        log.sync()
    sizes.append((on_disk(), log.disk_bytes))
    log.compact_to(100)
    sizes.append((on_disk(), log.disk_bytes))
    log.close()
    again = FileLog(tmp_path, ManualClock(), segment_bytes=2_000)
    sizes.append((on_disk(), again.disk_bytes))
    again.reset(500, 2)
    sizes.append((on_disk(), again.disk_bytes))
    again.close()

    assert [files for files, _ in sizes] == [counted for _, counted in sizes]
    assert sizes[1][0] > 10_000 > sizes[2][0] > sizes[4][0] > 0
    assert 0 == MemoryLog(ManualClock()).disk_bytes


def test_a_peak_is_seen_for_one_to_two_periods():
    """
    The worst value stays for at least a period after it was seen, at most for two, and a pause forgets it.
    """
    worst = RecentWorst(15.0)
    seen = {}
    for tenths in range(600):
        now = 1_000 + tenths / 10
        worst.see(3.0 if tenths == 100 else 0.5, now)
        seen[tenths] = worst.value

    assert 0.0 == RecentWorst(15.0).value
    assert {3.0} == {seen[tenths] for tenths in range(100, 250)}
    assert {0.5} == {seen[tenths] for tenths in range(400, 600)}
    worst.see(9.0, 1_100.0)
    worst.see(0.1, 1_200.0)
    assert 0.1 == worst.value

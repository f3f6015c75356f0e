"""A server that lost the end of its log: what it does not do until it has it again, and what brings it back."""

import logging

import pytest

from agent.consensus.codec import (
    AppendReply,
    InstallSnapshot,
    PreVote,
    PreVoteReply,
    RequestVote,
    TimeoutNow,
    VoteReply,
)
from agent.consensus.pysyncobj_replicator import PysyncobjReplicator, RaftSettings
from agent.consensus.replicator import Peer, RaftState
from agent.consensus.snapshot_store import Snapshot, encode_snapshot
from agent.consensus.wal import FileLog, mark
from agent.consensus.wal_format import Damage
from agent.errors import ConfigError
from telemetry.clock import ManualClock, SystemClock
from telemetry.recorder import NullRecorder
from tests.agent.consensus.test_pysyncobj_engine import Alone
from tests.sim.raft_world import RaftWorld

ONE = Damage("log-1.wal", 90, 50, 3, 4, 2, True)
"""Entry 4 was lost, of term 2 at most."""

SEVERAL = Damage("log-1.wal", 90, 200, 3, 6, 2, False)
"""Entries up to 6 may have been lost."""


def recovering(damage):
    """A server with entries 2 and 3 of term 1, in term 2, that lost what *damage* says."""
    alone = Alone()
    alone.append(1, 1, 0, [1, 1])
    alone.log.set_term_and_vote(2, None)
    alone.log.sync()
    alone.log.damage = damage
    alone.world.crash("s1")
    alone.world.start("s1")
    alone.engine = alone.server.engine
    alone.server.send = alone._keep
    for node in alone.world.names[1:]:
        alone.engine.on_connected(node)
    return alone


def votes_for(alone, term):
    """Ask for both kinds of votes, by a log that is longer than any, and return what was granted."""
    alone.world.clock.advance(5)
    alone.engine.step()
    question = (PreVote(term, 99, term), RequestVote(term, 99, term, "id-s3"))
    return [reply.granted for reply in alone.hear("s3", *question) if isinstance(reply, PreVoteReply | VoteReply)]


def test_it_neither_votes_nor_stands():
    """Whoever asks, however long it hears nobody, and when it is told to take over; the term it takes notice of."""
    alone = recovering(ONE)

    assert [False, False] == votes_for(alone, 5)
    for _ in range(20):
        alone.world.clock.advance(1)
        alone.engine.step()
    assert RaftState.FOLLOWER is alone.engine.state
    alone.append(5, 2, 1, [], node="s2")
    alone.hear("s2", TimeoutNow(5))

    assert RaftState.FOLLOWER is alone.engine.state
    assert (5, None) == (alone.log.term, alone.log.voted_for)
    assert alone.log.damage == ONE


def test_it_acknowledges_what_it_holds():
    """It follows: it counts for what it has, says where that ends, and applies what is committed."""
    alone = recovering(ONE)

    (beyond,) = [reply for reply in alone.append(2, 4, 2, []) if isinstance(reply, AppendReply)]
    (held,) = [reply for reply in alone.append(2, 3, 1, [], commit=3) if isinstance(reply, AppendReply)]

    assert (False, True, 4) == (beyond.success, beyond.reset, beyond.next_index)
    assert (True, 4) == (held.success, held.next_index)
    assert 3 == alone.engine.applied_index
    assert alone.log.damage == ONE


@pytest.mark.parametrize(
    ("damage", "append", "healed"),
    [
        (ONE, (2, 3, 1, [2]), True),
        (ONE, (2, 2, 1, [1]), False),
        (ONE, (2, 2, 1, [2]), True),
        (ONE, (3, 2, 1, [3]), True),
        (SEVERAL, (2, 3, 1, [2, 2]), False),
        (SEVERAL, (2, 3, 1, [2, 2, 2]), True),
        (SEVERAL, (2, 2, 1, [2]), False),
        (SEVERAL, (3, 2, 1, [3]), True),
        (SEVERAL, (3, 3, 1, []), False),
    ],
    ids=[
        "the lost one came",
        "what it had came again",
        "what stood before it was replaced",
        "a later term replaced it",
        "one of several is missing",
        "all of several came",
        "several may have replaced the same before",
        "a later term replaced several",
        "a heartbeat brings nothing",
    ],
)
def test_it_is_healed_once_nothing_can_be_missing(damage, append, healed):
    """By the place where the log of a leader is known to be its own, and by the term there; then it votes."""
    alone = recovering(damage)

    alone.append(*append)

    assert healed == (alone.log.damage is None)
    assert [healed, healed] == votes_for(alone, 9)


@pytest.mark.parametrize(("index", "healed"), [(3, False), (4, True), (9, True)])
def test_a_snapshot_heals_what_it_covers(index, healed):
    """It stands for all that was committed up to its index."""
    alone = recovering(ONE)
    blob = encode_snapshot(Snapshot(index, 2, b""))

    alone.hear("s2", InstallSnapshot(2, blob, True, True, alone.world.clock.monotonic(), 0))

    assert healed == (alone.log.damage is None)


def test_nothing_heals_before_it_is_durable(monkeypatch):
    """An entry that came and is not synced is as lost as before; until then there is no vote."""
    alone = recovering(ONE)
    durable = []
    heal = alone.log.heal

    def healing():
        durable.append(alone.log.durable_index)
        heal()

    monkeypatch.setattr(alone.log, "heal", healing)
    step = alone.engine.step
    monkeypatch.setattr(alone.engine, "step", lambda: None)
    alone.append(3, 3, 1, [2])
    votes = alone.hear("s3", RequestVote(4, 99, 4, "id-s3"))
    step()

    assert [False] == [reply.granted for reply in votes]
    assert [4] == durable
    assert alone.log.damage is None


def test_it_says_now_and_then_that_no_leader_is_there(caplog):
    """After five seconds and once a minute, with what an operator can do; a leader ends that."""
    alone = recovering(ONE)
    caplog.set_level(logging.WARNING)
    caplog.clear()
    for _ in range(1_300):
        alone.world.clock.advance(0.1)
        alone.engine.step()

    said = [record.getMessage() for record in caplog.records]
    assert 3 == len(said)
    assert all("no leader is heard" in line and "raft/peers.json" in line for line in said)
    assert all("file=log-1.wal offset=90 lost_index=4" in line for line in said)
    alone.append(2, 3, 1, [2])
    alone.world.clock.advance(61)
    alone.engine.step()
    assert ["raft: healed: the log has again what it lost, and this server votes last_index=4"] == [
        record.getMessage() for record in caplog.records[3:]
    ]


def test_it_says_now_and_then_that_its_leader_has_nothing_newer(caplog):
    """Of several records that may be lost it cannot tell; the next writes end that."""
    alone = recovering(SEVERAL)
    caplog.set_level(logging.WARNING)
    caplog.clear()
    for _ in range(70):
        alone.world.clock.advance(1)
        alone.append(2, 3, 1, [])

    said = [record.getMessage() for record in caplog.records]
    assert 2 == len(said)
    assert all("the next writes heal it file=log-1.wal offset=90 lost_index=6 last_index=3" in line for line in said)


def test_one_of_three_is_healed_and_three_of_three_wait():
    """The two whose logs are whole elect a leader, which heals the third; with all damaged nobody leads, for ever."""
    world = RaftWorld(seed=2)
    world.run(5)
    world.propose(world.leader().name, b"kept")
    world.run(1)

    def restart(*names):
        for name in names:
            world.crash(name)
            last = world.servers[name].log.entries[-1][1]
            world.servers[name].log.truncate_from(last)
            world.servers[name].log.sync()
            world.servers[name].log.damage = Damage(
                "log-1.wal", 90, 50, last - 1, last, world.servers[name].log.term, True
            )
        for name in names:
            world.start(name)
        world.run(5)
        return [name for name in world.names if world.servers[name].log.damage is not None]

    assert [] == restart(world.leader().name)
    world.check_converged()
    term = world.leader().engine.term
    assert world.names == restart(*world.names)
    world.run(300)
    assert world.leader() is None
    assert {term} == {server.engine.term for server in world.servers.values()}


class Machine:
    """A state machine and an observer with nothing to say."""

    def apply(self, index, command):
        return b""

    def dump(self):
        return lambda: b""

    def load(self, data):
        """Nothing to load."""

    def state_changed(self, old, new, term, reason):
        """Nothing."""

    leader_changed = load


def started(folder, *peers):
    """Start and stop a server on *folder*; return whether it is recovering."""
    settings = RaftSettings(
        me=Peer("id-a", "a", "127.0.0.1:1", ""), bind_address="127.0.0.1:0", peers=peers, data_dir=folder
    )
    machine = Machine()
    replicator = PysyncobjReplicator(
        settings, machine, machine, NullRecorder(), SystemClock(), logging.getLogger("raft-test")
    )
    replicator.start()
    replicator.stop()
    return replicator._engine._healing.due


def damaged(folder):
    """Leave a log whose last record, entry 3, is damaged; return its segment and the offset."""
    log = FileLog(folder / "raft", ManualClock())
    log.set_term_and_vote(1, "id-a")
    log.append(b"\x01", 2, 1)
    log.sync()
    (segment,) = (folder / "raft").glob("*.wal")
    offset = segment.stat().st_size
    log.append(b"\x00acknowledged", 3, 1)
    log.close()
    content = bytearray(segment.read_bytes())
    content[-1] ^= 1
    segment.write_bytes(content)
    return segment, offset


def test_without_another_voter_the_start_stops(tmp_path):
    """Nobody could heal it: each start says file, offset and what to do, until peers.json gives the entry up."""
    segment, offset = damaged(tmp_path)
    expected = rf"^{segment}: offset {offset}: the last record .* entry 3 may be lost, .* restore .* peers\.json"

    for _ in range(2):
        with pytest.raises(ConfigError, match=expected):
            started(tmp_path)
    (tmp_path / "raft" / "peers.json").write_text('[{"id": "id-a", "address": "127.0.0.1:1"}]')
    assert not started(tmp_path)
    assert not started(tmp_path)
    again = FileLog(tmp_path / "raft", ManualClock())
    again.close()
    assert again.damage is None


def test_with_other_voters_it_starts_and_waits(tmp_path, caplog):
    """For them, through restarts; the log of the agent says so each time, and once that something was cut."""
    segment, offset = damaged(tmp_path)

    assert [True, True] == [started(tmp_path, "127.0.0.1:2", "127.0.0.1:3") for _ in range(2)]
    said = [record.getMessage() for record in caplog.records if record.name == "raft-test"]
    said = [line.partition(f" file={segment} offset={offset} ")[::2] for line in said if f"file={segment}" in line]
    cut, first, second = said
    assert ("raft: cut its damaged last record off the log", "bytes=50 last_index=2") == cut
    assert first == second
    assert ("raft: recovering: the end of the", "lost_index=3 last_index=2") == (first[0][:32], first[1])


def test_the_only_record_of_a_log_is_replaced_by_the_snapshot(tmp_path):
    """It says where the snapshot ends, nothing else; without the snapshot the start stops."""
    log = FileLog(tmp_path / "raft", ManualClock())
    log.set_term_and_vote(2, None)
    log.reset(9, 2)
    log.close()
    (segment,) = (tmp_path / "raft").glob("*.wal")
    content = bytearray(segment.read_bytes())
    content[30] ^= 1
    segment.write_bytes(content)

    for _ in range(2):
        with pytest.raises(ConfigError, match=rf"^{segment}: offset 24: the only record .* no snapshot; restore"):
            started(tmp_path, "127.0.0.1:2")
    (tmp_path / "raft" / "snapshot").write_bytes(encode_snapshot(Snapshot(9, 2, b"")))
    assert not started(tmp_path)
    again = FileLog(tmp_path / "raft", ManualClock())
    again.close()
    assert (mark(9, 2), None) == (again.entries[0], again.damage)

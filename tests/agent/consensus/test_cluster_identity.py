"""The id of a cluster: given once, taken on by all, and what is of another cluster is refused."""

import logging
import shutil

import pytest

from agent.config.schema import Advertise, AgentConfig
from agent.consensus.codec import CommandKind
from agent.consensus.engine_parts import Compaction, Proposal
from agent.consensus.identity import decode_identity, difference, encode_identity, gives_identity, new_cluster_id
from agent.consensus.replicator import Peer, RaftState
from agent.consensus.snapshot_store import Snapshot, SnapshotError, SnapshotStore, decode_snapshot, encode_snapshot
from agent.consensus.wal import FileLog
from agent.consensus.wal_format import (
    CLUSTER_AT,
    SEGMENT_HEADER_BYTES,
    SEGMENT_HEADER_BYTES_MAX,
    Vote,
    decode_vote,
    encode_vote,
    read_segment_header,
    segment_header,
)
from agent.errors import ConfigError
from agent.gossip.bootstrap import CLUSTER_TAG
from agent.gossip_wiring import gossip_of
from telemetry.clock import ManualClock
from telemetry.recorder import NullRecorder
from tests.agent.consensus.test_pysyncobj_engine import Alone
from tests.sim.crash_points import start
from tests.sim.raft_world import RaftWorld

OURS, THEIRS = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


# What a leader gives.


def test_two_leaders_never_give_the_same_id():
    """Another server, another term and another moment make another id."""
    ids = {new_cluster_id(server, term, at) for server in ("a", "b") for term in (1, 2) for at in (1.0, 1.5)}

    assert 8 == len(ids)
    assert {OURS} == {decode_identity(encode_identity(OURS))}


@pytest.mark.parametrize(("own", "other", "differs"), [(OURS, THEIRS, True), (OURS, OURS, False), ("", OURS, False)])
def test_only_two_known_ids_can_differ(own, other, differs):
    """A server that knows no id yet is of any cluster."""
    assert differs is bool(difference(own, other)) is bool(difference(other, own))


def ask_for_a_barrier(server):
    server.engine.submit(Proposal(CommandKind.NO_OP, b"", lambda _: None))


def led(world):
    world.run_until(lambda: world.leader() is not None and world.leader().engine.applied_index > 1, within=5)
    return world.leader()


def with_id(world):
    """Let the leader of *world* pass its barrier, and return the id that all servers have then."""
    leader = led(world)
    ask_for_a_barrier(leader)
    world.run(1)
    ids = {server.log.cluster_id for server in world.servers.values()}
    assert 1 == len(ids)
    return ids.pop()


def test_the_first_barrier_gives_the_cluster_its_id():
    """All servers take it on, and no later leader gives another."""
    world = RaftWorld(seed=3)

    given = with_id(world)
    first = world.leader().name
    world.crash(first)
    world.run(3)
    ask_for_a_barrier(led(world))
    world.start(first)
    world.run(3)

    assert given
    assert {given} == {server.log.cluster_id for server in world.servers.values()}
    assert {given} == {server.engine.status(0.0).cluster_id for server in world.servers.values()}
    assert {given} == {server.identified for server in world.servers.values()}
    assert 1 == sum(gives_identity([entry]) for entry in world.servers[first].log.entries)


def test_an_id_that_was_not_committed_is_nobodys():
    """A leader that is cut off gives one to itself; the next leader gives another, and that is what all have."""
    world = RaftWorld(seed=3)
    cut_off = led(world)
    world.isolate(cut_off.name)
    ask_for_a_barrier(cut_off)
    world.run(0.2)
    assert gives_identity(cut_off.log.entries)
    assert "" == cut_off.log.cluster_id
    world.run_until(lambda: world.leader() is not cut_off, within=5)
    ask_for_a_barrier(led(world))
    world.run(1)
    world.heal()
    world.run(3)

    (given,) = {server.log.cluster_id for server in world.servers.values()}
    assert [given] == [decode_identity(c) for c, _, _ in cut_off.log.entries if c[0] == CommandKind.IDENTITY]


def test_a_leader_gives_none_while_its_log_may_hold_one():
    """What an earlier leader appended may be committed yet: a second id would be refused at the next start."""
    alone = Alone()
    alone.append(1, 1, 0, [1])
    alone.log.append(encode_identity(THEIRS), 3, 1)
    alone.lead()

    ask_for_a_barrier(alone.server)
    alone.engine.step()

    given = [decode_identity(command) for command, _, _ in alone.log.entries if command[0] == CommandKind.IDENTITY]
    assert RaftState.LEADER is alone.engine.state
    assert [THEIRS] == given


def test_a_server_that_installs_a_snapshot_takes_its_id():
    """It may never see the entry that gave it; the snapshots that it writes itself say it too."""
    world = RaftWorld(seed=5, compaction=Compaction(threshold=10, trailing=1))
    leader = led(world)
    behind = next(name for name in world.names if name != leader.name)
    world.crash(behind)
    ask_for_a_barrier(leader)
    for number in range(30):
        world.propose(leader.name, b"%d" % number)
        world.run(0.1)
    world.start(behind)
    world.run(3)

    server = world.servers[behind]
    assert server.log.cluster_id == leader.log.cluster_id != ""
    assert not gives_identity(server.log.entries)
    assert leader.log.cluster_id == server.snapshots.load().cluster_id


def test_an_id_that_is_none_is_ignored(caplog):
    """A damaged command of this kind changes nothing, and is no crash loop."""
    alone = Alone()

    alone.engine._apply(2, bytes([CommandKind.IDENTITY]) + b"short")

    assert "" == alone.log.cluster_id
    assert "ignored an id of the cluster index=2" in caplog.text


# On disk.


def opened(folder, segment_bytes=10_000):
    return FileLog(folder, ManualClock(), segment_bytes)


def log_of(folder, cluster_id, *, known=True, count=4):
    """Write a log as the first leader of *cluster_id* would, and return its folder; the id is applied if *known*."""
    log = opened(folder)
    log.set_term_and_vote(3, "id-1")
    log.append(b"\x00first", 2, 1)
    log.append(encode_identity(cluster_id), 3, 1)
    log.sync()
    if known:
        log.identify(cluster_id)
    for index in range(4, 4 + count):
        log.append(b"\x00%d" % index, index, 1)
    log.close()
    return folder


def segments(folder):
    return sorted(folder.glob("log-*.wal"))


def test_the_id_survives_with_the_log(tmp_path):
    """The vote file has it, a later vote keeps it, and each segment from then on; what was before has none."""
    log_of(tmp_path, OURS)
    log = opened(tmp_path)
    log.set_term_and_vote(4, "id-2")
    log.close()

    again = opened(tmp_path)
    again.close()

    assert (OURS, 4, "id-2", 7) == (again.cluster_id, again.term, again.voted_for, again.entries[-1][1])
    heads = [read_segment_header(path.read_bytes()) for path in segments(tmp_path)]
    assert [(1, "", SEGMENT_HEADER_BYTES), (2, OURS, SEGMENT_HEADER_BYTES_MAX)] == [
        (head.sequence, head.cluster_id, head.size_bytes) for head in heads
    ]


def test_files_without_an_id_are_written_and_read_as_before():
    """A folder of an earlier version starts; its header and its vote are those of version 1, byte for byte."""
    assert bytes.fromhex("4f524146544c4f47000000010000000000000007e1d2c8fa")[:20] == segment_header(7)[:20]
    assert 24 == len(segment_header(7)) == SEGMENT_HEADER_BYTES
    assert b"ORAFTVOT" == encode_vote(Vote(1, None))[:8]
    assert b"\x92\x01\xc0" == encode_vote(Vote(1, None))[12:]
    assert Vote(1, None) == decode_vote(encode_vote(Vote(1, None)))
    assert Vote(1, "a", OURS) == decode_vote(encode_vote(Vote(1, "a", OURS)))


@pytest.mark.parametrize("at", range(SEGMENT_HEADER_BYTES_MAX))
def test_a_header_that_is_damaged_is_none(at):
    """Each byte of it counts, the id's too."""
    header = segment_header(7, OURS)

    assert read_segment_header(header[:at] + bytes([header[at] ^ 1]) + header[at + 1 :] + bytes(40)) is None
    assert read_segment_header(header[:at]) is None


def refused(folder):
    with pytest.raises(ConfigError) as caught:
        opened(folder)
    text = str(caught.value)
    assert "was copied from another cluster; restore this server's data directory or remove it and rejoin" in text
    assert OURS in text
    return text


def test_a_segment_of_another_cluster_stops_the_start(tmp_path):
    """It follows in its number, its indexes and its terms; its header says whose it is."""
    ours, theirs = log_of(tmp_path / "ours", OURS), log_of(tmp_path / "theirs", THEIRS)
    shutil.copy(segments(theirs)[1], segments(ours)[1])
    before = [path.read_bytes() for path in segments(ours)]

    said = refused(ours)

    assert said.startswith(f"{segments(ours)[1]}: offset {CLUSTER_AT}: the Raft log is of cluster {THEIRS} here")
    assert f"by {ours / 'vote'}: offset 0" in said
    assert before == [path.read_bytes() for path in segments(ours)]


def test_a_first_segment_of_another_cluster_stops_the_start(tmp_path):
    """It was begun before there was an id; the entry that gave it says whose it is."""
    ours, theirs = log_of(tmp_path / "ours", OURS), log_of(tmp_path / "theirs", THEIRS)
    whole = segments(theirs)[0].read_bytes()
    shutil.copy(segments(theirs)[0], segments(ours)[0])

    said = refused(ours)

    at = whole.rindex(b"\xd7\x0c\xa5\x1e")
    assert said.startswith(f"{segments(ours)[0]}: offset {at}: the Raft log is of cluster {THEIRS} here, and of {OURS}")


@pytest.mark.parametrize("cluster_id", [THEIRS, ""], ids=["another", "none"])
def test_a_vote_file_of_another_cluster_stops_the_start(tmp_path, cluster_id):
    """A vote that was given there says nothing about the terms here; one without an id is older than the log."""
    ours = log_of(tmp_path / "ours", OURS)
    (ours / "vote").write_bytes(encode_vote(Vote(9, "id-1", cluster_id)))

    assert f"and of {cluster_id or 'a cluster without an id'} by {ours / 'vote'}: offset 0" in refused(ours)


def test_entries_of_two_clusters_stop_the_start(tmp_path):
    """Before the id was applied nothing but the entries have it, and there is one of them in a log."""
    ours = log_of(tmp_path / "ours", OURS, known=False)
    log = opened(ours)
    log.append(encode_identity(THEIRS), log.entries[-1][1] + 1, 1)
    log.close()

    assert refused(ours).startswith(f"{segments(ours)[0]}: offset ")


@pytest.mark.parametrize("how", ["truncated", "reset"])
def test_an_id_that_was_dropped_from_the_log_counts_for_nothing(tmp_path, how):
    """An uncommitted one is replaced by another leader's, or covered by its snapshot."""
    folder = log_of(tmp_path, THEIRS, known=False)
    log = opened(folder)
    older = {path: path.read_bytes() for path in segments(folder)}
    if how == "truncated":
        log.truncate_from(3)
        log.append(b"\x00other", 3, 2)
        log.append(encode_identity(OURS), 4, 2)
    else:
        log.reset(9, 2)
    log.identify(OURS)
    log.close()
    for path, content in older.items():
        if not path.exists():  # as after a crash before they were deleted
            path.write_bytes(content)

    again = opened(folder)
    again.close()

    assert OURS == again.cluster_id


def test_an_old_log_takes_an_id_on(tmp_path):
    """Its segments stay as they are, and go with the next snapshots."""
    log = opened(tmp_path, 150)
    log.set_term_and_vote(3, None)
    for index in range(2, 9):
        log.append(b"\x00command-%d" % index, index, 1)
        log.sync()
    log.close()
    old = {path: path.read_bytes() for path in segments(tmp_path)}

    log = opened(tmp_path, 150)
    log.identify(OURS)
    log.append(b"\x00new", 9, 1)
    log.close()

    again = opened(tmp_path, 150)
    again.close()
    assert all(path.read_bytes() == content for path, content in old.items())
    assert (OURS, 9) == (again.cluster_id, again.entries[-1][1])


# Snapshots.


@pytest.mark.parametrize("configuration", [b"", b"servers"])
def test_a_snapshot_has_the_id(configuration):
    """With and without a changed configuration; version 3 has it, and older ones are read."""
    snapshot = Snapshot(42, 7, b"state", configuration, OURS)

    assert snapshot == decode_snapshot(encode_snapshot(snapshot))
    assert b"\x00\x00\x00\x03" == encode_snapshot(snapshot)[8:12]
    plain = Snapshot(42, 7, b"state", configuration)
    assert plain == decode_snapshot(encode_snapshot(plain))


def test_a_snapshot_of_another_cluster_stops_the_start(tmp_path):
    """One clear error; the file stays."""
    path = tmp_path / "snapshot"
    path.write_bytes(encode_snapshot(Snapshot(42, 7, b"state", b"", THEIRS)))
    store = SnapshotStore(path)
    store.cluster_id = OURS

    with pytest.raises(ConfigError, match=f"snapshot: offset 0: .* of cluster {THEIRS}, .* {OURS}: .*; restore"):
        store.load()


def test_a_start_takes_the_id_of_the_log_or_of_the_snapshot(tmp_path):
    """From then on the log has it, and the server says it to others; another is not taken any more."""
    (tmp_path / "snapshot").write_bytes(encode_snapshot(Snapshot(42, 7, b"state", b"", OURS)))
    engine, log, _, links = start(tmp_path)
    assert OURS == log.cluster_id == links.identified
    engine._apply(43, encode_identity(THEIRS))
    log.set_term_and_vote(7, None)
    log.close()

    _, log, _, links = start(tmp_path)
    log.close()
    assert OURS == log.cluster_id == links.identified

    (tmp_path / "snapshot").write_bytes(encode_snapshot(Snapshot(42, 7, b"state", b"", THEIRS)))
    with pytest.raises(ConfigError, match=f"snapshot: offset 0: .* of cluster {THEIRS}"):
        start(tmp_path)


def test_a_log_alone_says_the_id_at_the_start(tmp_path):
    """Without a snapshot it is told to others before the first of them is dialled."""
    _, log, _, links = start(log_of(tmp_path, OURS))
    log.close()

    assert OURS == links.identified


def test_a_snapshot_of_another_cluster_is_not_installed(tmp_path):
    """What is there stays, whoever sends it; one without an id is of the time before."""
    store = SnapshotStore(tmp_path / "snapshot")
    store.cluster_id = OURS
    store.receive(encode_snapshot(Snapshot(5, 1, b"ours", b"", OURS)), first=True, last=True)

    with pytest.raises(SnapshotError, match=f"of cluster {THEIRS}"):
        store.receive(encode_snapshot(Snapshot(42, 7, b"theirs", b"", THEIRS)), first=True, last=True)

    assert b"ours" == store.load().state
    assert 6 == store.receive(encode_snapshot(Snapshot(6, 1, b"old")), first=True, last=True).index


# Between servers.


@pytest.mark.parametrize("known", [True, False])
def test_a_server_says_its_cluster_from_the_first_word_on(tmp_path, known):
    """Its log says it before Raft has begun; said a moment later, a leader of another cluster had taken it in."""
    log_of(tmp_path / "raft", OURS, known=known)
    config = AgentConfig(name="s1", advertise=Advertise(serf="127.0.0.1:4648", rpc="127.0.0.1:4647"))
    peer = Peer("id-1", "s1", "127.0.0.1:4649", "127.0.0.1:4647")

    gossip = gossip_of(config, peer, "1", tmp_path, ManualClock(), NullRecorder(), print)

    assert (OURS if known else None) == gossip._settings.tags.get(CLUSTER_TAG)


def test_servers_of_two_clusters_do_not_speak(caplog):
    """Both refuse, both logs say why and what to do, each once however often they dial, and nothing gets through."""
    from tests.agent.consensus.test_raft_transport import free_port, poll_until, transport_of

    caplog.set_level(logging.INFO)
    a_port, b_port = free_port(), free_port()
    a, a_ear = transport_of("a", a_port, [b_port])
    b, b_ear = transport_of("b", b_port, [a_port])
    try:
        a.identify(OURS)
        b.identify(THEIRS)

        assert poll_until(lambda: a.counters["connections_refused"] > 3 or "refused" in caplog.text, a, b)
        poll_until(lambda: False, a, b, rounds=100)

        assert ([], []) == (a_ear.connected, b_ear.connected)
        lines = [record.getMessage() for record in caplog.records]
        assert any(
            f"b is of cluster {THEIRS}, this server of cluster {OURS}: to move a server" in line for line in lines
        )
        assert any(
            f"a is of cluster {OURS}, this server of cluster {THEIRS}: to move a server" in line for line in lines
        )
        assert len(lines) <= 4
    finally:
        a.close()
        b.close()


def test_a_server_parts_from_another_cluster_when_it_learns_its_own():
    """A new one is spoken to by both; once it is of one, the other is heard no more."""
    from agent.consensus.codec import TimeoutNow
    from tests.agent.consensus.test_raft_transport import free_port, poll_until, transport_of

    a_port, b_port = free_port(), free_port()
    new, heard = transport_of("new", a_port, [b_port])
    other, other_ear = transport_of("other", b_port, [a_port])
    node_new, node_other = f"127.0.0.1:{a_port}", f"127.0.0.1:{b_port}"
    try:
        other.identify(THEIRS)
        assert poll_until(lambda: new.connected(node_other) and other.connected(node_new), new, other)
        other.send(node_new, TimeoutNow(1))
        assert poll_until(lambda: heard.messages, new, other)

        new.identify(OURS)
        assert not new.connected(node_other)
        poll_until(lambda: not other.connected(node_new), new, other)
        other.send(node_new, TimeoutNow(2))
        poll_until(lambda: False, new, other, rounds=50)

        assert [(node_other, TimeoutNow(1))] == heard.messages
        assert [node_new] == other_ear.connected
    finally:
        new.close()
        other.close()

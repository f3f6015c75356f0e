"""The servers of a group as the log says them: changes of one server, and what is in force where."""

import pytest

from agent.consensus.codec import CodecError, CommandKind
from agent.consensus.configuration import (
    SERVERS_MAX,
    Configuration,
    Configurations,
    ConfiguredServer,
    configurations_in,
    decode_configuration,
    encode_configuration,
)
from agent.consensus.replicator import Peer
from agent.consensus.snapshot_store import Snapshot, SnapshotError, decode_snapshot, encode_snapshot
from agent.consensus.wal import mark
from agent.errors import NotFound, RequestRefused


def server(name, *, voter=True):
    return ConfiguredServer(f"id-{name}", name, f"{name}:4649", f"{name}:4647", voter)


def peer(name):
    return server(name).peer


THREE = Configuration((server("a"), server("b"), server("c")))


def test_a_configuration_comes_back_from_its_bytes():
    """What is encoded is decoded the same."""
    assert THREE == decode_configuration(encode_configuration(THREE))


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x91\x91\x95\x01\xa0\xa0\xa0\xc3", b"\x92\x90\x90"])
def test_bytes_that_are_no_configuration_are_refused(data):
    """Nothing half understood becomes the servers of a group."""
    with pytest.raises(CodecError, match="not a Raft configuration"):
        decode_configuration(data)


@pytest.mark.parametrize("text", ["id-b", "b:4649", "b:4647"])
def test_a_server_is_found_by_id_and_by_either_address(text):
    """Operators name a server by its id, or by the address that list-peers shows."""
    assert server("b") == THREE.find(text)


@pytest.mark.parametrize("text", ["id-x", "", "b"])
def test_a_server_that_is_not_there_is_named(text):
    """What is not found is refused with what was asked for."""
    with pytest.raises(NotFound, match=f'"{text}" was not found in the Raft configuration'):
        THREE.find(text)


def test_a_server_is_added_once_and_its_vote_is_changed():
    """Adding a server that is there changes its vote, and no other."""
    without_vote = THREE.with_server(peer("d"), voter=False)

    promoted = without_vote.with_server(peer("d"), voter=True)

    assert 3 == len(without_vote.voters)
    assert (*THREE.servers, server("d")) == promoted.servers


def test_a_server_whose_id_was_not_known_is_not_there_twice():
    """A server known by its address alone gets its id when it is added."""
    bootstrapped = Configuration((server("a"), ConfiguredServer("", "", "b:4649", "", voter=True)))

    assert (server("a"), server("b")) == bootstrapped.with_server(peer("b"), voter=True).servers


def test_two_servers_never_have_one_address():
    """A new server at the address of an old one is refused until that is removed."""
    newcomer = Peer("id-new", "b", "b:4649", "b:4647")

    with pytest.raises(RequestRefused, match="is the address of server id-b"):
        THREE.with_server(newcomer, voter=False)


def test_nobody_is_added_beside_a_server_without_an_id():
    """The newcomer may be that server under another address: it would vote twice."""
    bootstrapped = Configuration((server("a"), ConfiguredServer("", "", "b.example:4649", "", voter=True)))

    with pytest.raises(RequestRefused, match=r"the server at b\.example:4649 was not heard yet"):
        bootstrapped.with_server(peer("b"), voter=False)


def test_the_last_voter_stays():
    """Servers without a vote do not make up for it."""
    group = Configuration((server("a"), server("b", voter=False)))

    assert (server("a"),) == group.without(peer("b")).servers
    with pytest.raises(RequestRefused, match="no server would be left that votes"):
        group.without(peer("a"))


def test_a_configuration_does_not_grow_for_ever():
    """More servers than any group has are refused before they are in the log."""
    full = Configuration(tuple(server(f"s{number}") for number in range(SERVERS_MAX)))

    with pytest.raises(RequestRefused, match=f"holds {SERVERS_MAX} servers already"):
        full.with_server(peer("more"), voter=False)


def test_configurations_are_found_among_entries():
    """Only entries of their kind are taken for configurations."""
    entry = (bytes([CommandKind.CONFIGURATION]) + encode_configuration(THREE), 7, 2)

    assert [(7, THREE)] == configurations_in([mark(5, 1), (b"\x00write", 6, 2), entry])


def history():
    found = Configurations(Configuration((server("a"),)))
    found.append(5, Configuration((server("a"), server("b", voter=False))))
    found.append(9, Configuration((server("a"), server("b"))))
    return found


def test_the_newest_configuration_counts_until_its_entry_goes():
    """A truncation brings back what was in force before, down to the bootstrap's."""
    found = history()

    assert (9, 2) == (found.newest_index, len(found.newest.voters))
    assert found.truncate_from(9)
    assert (5, 1) == (found.newest_index, len(found.newest.voters))
    assert not found.truncate_from(6)
    assert found.truncate_from(2)
    assert 0 == found.newest_index


def test_what_was_in_force_is_known_for_each_index():
    """A snapshot of an index holds what counted there, not what came after."""
    found = history()

    assert [0, 0, 5, 5, 9, 9] == [found.at(index)[0] for index in (1, 4, 5, 8, 9, 100)]


def test_compaction_keeps_what_is_in_force():
    """What was replaced before the log begins is forgotten; what counts there, and after, is not."""
    found = history()

    found.compact_to(7)

    assert [5, 5, 9] == [found.at(index)[0] for index in (1, 8, 9)]
    assert not found.truncate_from(10)


def test_a_snapshot_is_a_new_beginning():
    """Its configuration replaces all up to its index; newer ones in the log stay."""
    found = history()

    found.restart(7, THREE)

    assert (7, THREE) == found.at(8)
    assert 9 == found.newest_index


def test_configurations_rise():
    """One that would be older than the newest is a bug, and is refused."""
    with pytest.raises(ValueError, match="of entry 9 after that of 9"):
        history().append(9, THREE)


def test_a_snapshot_carries_the_configuration():
    """State and configuration come back apart; a group that never changed writes what it always wrote."""
    snapshot = Snapshot(42, 7, b"state", encode_configuration(THREE))

    assert snapshot == decode_snapshot(encode_snapshot(snapshot))
    assert b"\x00\x00\x00\x02" == encode_snapshot(snapshot)[8:12]
    assert b"\x00\x00\x00\x01" == encode_snapshot(Snapshot(42, 7, b"state"))[8:12]


def test_a_snapshot_that_claims_a_configuration_and_has_none_is_refused():
    """A length beyond the end is damage, not an empty configuration."""
    from agent.consensus import snapshot_store

    blob = bytearray(encode_snapshot(Snapshot(42, 7, b"\x00\x00\x00\x09state")))
    blob[11] = 2
    crc = snapshot_store.zlib.crc32(
        blob[snapshot_store._HEADER_BYTES :], snapshot_store.zlib.crc32(blob[: snapshot_store._HEADER.size])
    )
    blob[snapshot_store._HEADER.size : snapshot_store._HEADER_BYTES] = crc.to_bytes(4)

    with pytest.raises(SnapshotError, match="no whole Raft configuration"):
        decode_snapshot(bytes(blob))


def test_of_two_servers_without_an_id_the_right_one_goes():
    """Servers of which only the address is known are told apart by it."""
    unknown = tuple(ConfiguredServer("", "", f"{name}:4649", "", voter=True) for name in "bc")
    group = Configuration((server("a"), *unknown))

    assert (server("a"), unknown[0]) == group.without(group.find("c:4649").peer).servers

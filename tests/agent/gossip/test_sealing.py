"""Encryption of gossip: who holds no key of the ring gets nothing in, and nothing out."""

import random

import pytest

from agent.config.gossip_keys import BadKey, key_text, parse_key
from agent.gossip.sealing import KEYS_MAX, NONCE_BYTES, Keyring, Purpose, Seal
from agent.gossip.wire import PACKET_BYTES_MAX, WireError

KEY, OTHER = b"k" * 32, b"o" * 16
NONCE = b"n" * NONCE_BYTES
PACKET = Purpose.PACKET


def _sealed(keys=(KEY,), label="", purpose=PACKET, plain=b"hello"):
    return Seal(Keyring(keys), label).close(purpose, plain, NONCE)


def test_what_is_sealed_is_opened_by_the_same_key():
    """
    With and without a key, and nothing of it is readable in between.
    """
    assert Seal(Keyring([KEY])).open(PACKET, _sealed()) == b"hello"
    assert Seal(Keyring()).open(PACKET, _sealed(())) == b"hello"
    assert b"hello" not in _sealed()


@pytest.mark.parametrize(
    ("keys", "label", "purpose", "sealed", "reason"),
    [
        ((OTHER,), "", PACKET, _sealed(), "No installed keys"),
        ((), "", PACKET, _sealed(), "has no key"),
        ((KEY,), "", PACKET, _sealed(()), "not encrypted"),
        ((KEY,), "blue", PACKET, _sealed(label="red"), "label"),
        ((), "blue", PACKET, _sealed((), label="red"), "label"),
        ((KEY,), "", Purpose.REQUEST, _sealed(), "No installed keys"),
        ((KEY,), "", Purpose.REQUEST, _sealed(purpose=Purpose.ANSWER), "No installed keys"),
        ((KEY,), "", PACKET, b"", "protocol"),
        ((KEY,), "", PACKET, _sealed()[:20], "too short"),
        ((KEY,), "", PACKET, b"GET / HTTP/1.1\r\n\r\n", "protocol"),
    ],
)
def test_what_is_not_of_this_cluster_and_place_is_refused(keys, label, purpose, sealed, reason):
    """
    Another key, none, one too many, another label, another purpose, another protocol: each with its reason.
    """
    with pytest.raises(WireError, match=reason):
        Seal(Keyring(keys), label).open(purpose, sealed)


def test_every_changed_byte_is_noticed():
    """
    No byte of an encrypted packet can be changed, not in the header either.
    """
    seal, sealed = Seal(Keyring([KEY]), "blue"), _sealed(label="blue")
    rng = random.Random(1)
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= rng.randint(1, 255)
        with pytest.raises(WireError):
            seal.open(PACKET, bytes(changed))


def test_keys_are_changed_without_a_gap():
    """
    Installed everywhere, then used, then the old one removed: at each step all understand each other.
    """
    ring, peer = Keyring([KEY]), Keyring([KEY])
    for one, other in ((ring, peer), (peer, ring)):
        one.install(OTHER)
        _understand(one, other)
    for one, other in ((ring, peer), (peer, ring)):
        one.use(OTHER)
        _understand(one, other)
    for one, other in ((ring, peer), (peer, ring)):
        one.remove(KEY)
        _understand(one, other)
    assert ring.keys == [OTHER]


def test_the_keyring_refuses_what_would_lock_members_out():
    """
    The primary key stays, an unknown one is not used, and keys have a length that AES knows.
    """
    ring = Keyring([KEY])
    with pytest.raises(BadKey, match="primary"):
        ring.remove(KEY)
    with pytest.raises(BadKey, match="not installed"):
        ring.use(OTHER)
    with pytest.raises(BadKey, match="16, 24 or 32"):
        ring.install(b"short")
    for number in range(KEYS_MAX - 1):
        ring.install(bytes([number]) * 16)
    with pytest.raises(BadKey, match="remove one"):
        ring.install(OTHER)


def test_keys_are_read_and_written_in_base64():
    """
    What is no key says what to do.
    """
    assert parse_key(key_text(KEY)) == KEY
    with pytest.raises(BadKey, match="base64"):
        parse_key("not base64!")
    with pytest.raises(BadKey, match="3 bytes"):
        parse_key("YWJj")


def test_a_full_packet_stays_below_the_limit_when_sealed():
    """
    The room that is left for the payload accounts for header, label, nonce and tag.
    """
    seal = Seal(Keyring([KEY]), "a label")
    sealed = seal.close(PACKET, b"x" * seal.packet_payload_max, NONCE)
    assert len(sealed) == PACKET_BYTES_MAX


def _understand(one, other):
    for a, b in ((one, other), (other, one)):
        assert Seal(b).open(PACKET, Seal(a).close(PACKET, b"hello", NONCE)) == b"hello"

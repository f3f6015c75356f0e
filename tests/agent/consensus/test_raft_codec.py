"""The encoding of the replicated group: typed, bounded, and without pickle."""

import pickle

import pytest

from agent.consensus import codec
from agent.consensus.codec import (
    AppendEntries,
    AppendReply,
    CodecError,
    FrameReader,
    InstallSnapshot,
    PreVote,
    PreVoteReply,
    RequestVote,
    TimeoutNow,
    VoteReply,
    decode_handshake,
    decode_message,
    encode_frame,
)

MESSAGES = [
    AppendEntries(3, 7, 8, 2, [(b"\x00cmd", 9, 3), (b"\x01", 10, 3)], 12.5, 4),
    AppendEntries(3, 7, 8, 2, [], 12.5, 0),
    AppendReply(3, 11, True, False, 12.5, 2, 4),
    InstallSnapshot(3, b"piece", True, False, 12.5, 4),
    PreVote(4, 10, 3),
    PreVoteReply(4, 3, True),
    RequestVote(4, 10, 3, "id"),
    VoteReply(4, False),
    TimeoutNow(4),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_messages_survive_the_wire(message):
    """What is decoded equals what was encoded, tuples included."""
    assert message == decode_message(encode_frame(message)[4:])


def test_frames_are_cut_wherever_the_stream_breaks():
    """Bodies come out whole and in order, however the bytes arrive."""
    stream = b"".join(encode_frame(message) for message in MESSAGES)
    reader = FrameReader(codec.FRAME_BYTES_MAX)

    bodies = [body for byte in stream for body in reader.feed(bytes([byte]))]

    assert MESSAGES == [decode_message(body) for body in bodies]
    assert 0 == reader.buffered_bytes


def test_a_length_above_the_limit_is_refused_before_the_body():
    """Nobody can make a server wait for, or hold, more than a frame."""
    reader = FrameReader(codec.FRAME_BYTES_MAX)

    with pytest.raises(CodecError, match="above the limit"):
        list(reader.feed(codec.FRAME_HEADER.pack(codec.FRAME_BYTES_MAX + 1)))


def test_a_message_above_the_limit_is_not_sent():
    """The sender finds an oversized frame before the receiver has to."""
    with pytest.raises(CodecError, match="frame limit"):
        encode_frame(InstallSnapshot(1, b"x" * (codec.FRAME_BYTES_MAX + 1), True, True, 0.0, 0))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        pickle.dumps({"type": "request_vote"}),
        b"\x93\xa4vote\xff\x01",
        b"\x95\xa4vote\x01\x01\x01\xc0",
        b"\x95\xa4vote\xff\x01\x01\xa1a",
        b"\x91\xa7unknown",
        b"\xdd\xff\xff\xff\xff",
        encode_frame(codec.Accepted())[4:],
    ],
)
def test_what_is_no_message_is_an_error(body):
    """Garbage, pickles, wrong types, negative terms, unknown tags and handshakes raise one kind of error."""
    with pytest.raises(CodecError):
        decode_message(body)


def test_an_entry_without_its_kind_is_refused():
    """The engine may rely on the first byte of each command."""
    with pytest.raises(CodecError):
        decode_message(encode_frame(AppendEntries(1, 1, 1, 1, [(b"", 2, 1)], 0.0, 0))[4:])


def test_a_text_of_any_length_is_no_handshake():
    """What an unknown peer says of itself is bounded field by field."""
    with pytest.raises(CodecError):
        decode_handshake(encode_frame(codec.Hello("m", 1, "i" * 256, "n", "a", "b", "r"))[4:])


def test_pickle_is_closed_off_in_the_engine():
    """The library's own pickle calls raise, on every path that anything could still reach."""
    import pysyncobj.pickle

    import agent.consensus.pysyncobj_engine  # noqa: F401

    for call in (pysyncobj.pickle.dumps, pysyncobj.pickle.loads, pysyncobj.pickle.dump, pysyncobj.pickle.load):
        with pytest.raises(RuntimeError, match="pickle is closed"):
            call(b"")


def test_every_private_that_is_used_exists():
    """A release of pysyncobj without one of the names the core and engine build on is noticed here."""
    import inspect
    import re
    from pathlib import Path

    import pysyncobj.syncobj

    from agent.consensus import pysyncobj_core, pysyncobj_engine, pysyncobj_membership

    source = inspect.getsource(pysyncobj.syncobj)
    used = {
        name
        for module in (pysyncobj_core, pysyncobj_engine, pysyncobj_membership)
        for name in re.findall(r"_SyncObj__(\w+)", Path(module.__file__).read_text(encoding="utf-8"))
    }

    assert used == set(pysyncobj_core.PRIVATES)
    for name in pysyncobj_core.PRIVATES:
        assert re.search(rf"(self\.|def )__{name}\b", source), name

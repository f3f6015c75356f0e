"""The messages of the replicated group and their encoding: msgpack arrays, typed, nothing that can carry code.

Pure. Every field is checked against its type while it is decoded; whatever does not fit raises `CodecError`. There
is no compression here, so a frame is never larger in memory than on the wire by more than a constant factor.
A log entry is a tuple (command, index, term); a command is one kind byte followed by the caller's bytes.
"""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Annotated

import msgspec

PROTOCOL_MAGIC = "outrider-raft"
PROTOCOL_VERSION = 2

COMMAND_BYTES_MAX = 512 * 1024 - 1
"""Largest command: an entry above this holds up heartbeats behind it on a slow link."""

BATCH_BYTES_MAX = 1024 * 1024
"""Entries in one append stop once they reach this size, so the largest append is below BATCH + COMMAND."""

FRAME_BYTES_MAX = 4 * 1024 * 1024
"""No frame is longer; the length is refused before a byte of the body is read."""

HELLO_BYTES_MAX = 4 * 1024
"""The cap before the other side has said who it is."""

FRAME_HEADER = struct.Struct(">I")
_ENTRIES_MAX = 65_536


class CodecError(ValueError):
    """Bytes that are not a message of this protocol."""


class CommandKind(IntEnum):
    """The first byte of each command in the log."""

    REGULAR = 0
    NO_OP = 1
    """Written by each new leader, and by a barrier; the state machine never sees it."""
    CONFIGURATION = 2
    """The servers of the group from here on; the state machine never sees it."""
    IDENTITY = 3
    """The id of the cluster; the state machine never sees it."""


Index = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
Term = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
Entry = tuple[Annotated[bytes, msgspec.Meta(min_length=1, max_length=COMMAND_BYTES_MAX + 1)], Index, Term]
_Text = Annotated[str, msgspec.Meta(max_length=255)]


class Hello(msgspec.Struct, frozen=True, array_like=True, tag="hello", forbid_unknown_fields=True):
    """The first frame in both directions of a connection: who is speaking."""

    magic: _Text
    version: int
    server_id: _Text
    name: _Text
    raft_address: _Text
    rpc_address: _Text
    region: _Text
    cluster_id: _Text = ""
    """Empty while it is not known."""


class Accepted(msgspec.Struct, frozen=True, array_like=True, tag="accepted"):
    """The listening side knows the dialling one and listens to it from here on."""


class Refused(msgspec.Struct, frozen=True, array_like=True, tag="refused"):
    """The listening side closes; *reason* is a sentence for the log of the dialling one."""

    reason: _Text


class AppendEntries(msgspec.Struct, frozen=True, array_like=True, tag="append"):
    """Entries that follow (*prev_index*, *prev_term*); without entries it is the leader's heartbeat.

    *sent_at* is the leader's monotonic clock in seconds, *read_round* the newest round that it has begun to confirm reads
    with, 0 before the first; the reply carries both back.
    """

    term: Term
    commit_index: Index
    prev_index: Index
    prev_term: Term
    entries: Annotated[list[Entry], msgspec.Meta(max_length=_ENTRIES_MAX)]
    sent_at: float
    read_round: Index


class InstallSnapshot(msgspec.Struct, frozen=True, array_like=True, tag="snapshot"):
    """One piece of a snapshot file, in order; *last* may be empty. A piece that is neither is a heartbeat."""

    term: Term
    data: bytes
    first: bool
    last: bool
    sent_at: float
    read_round: Index


class AppendReply(msgspec.Struct, frozen=True, array_like=True, tag="append_reply"):
    """The answer to both of the above; *term* is the answering server's, so that a stale one is told apart.

    *success*: everything before *next_index* is stored durably. *reset*: continue from *next_index*.
    *entries* is the number of entries the answered append held. *read_round* is 0 where the append was of another term:
    it then says nothing of who leads in this one.
    """

    term: Term
    next_index: Index
    success: bool
    reset: bool
    sent_at: float
    entries: Index
    read_round: Index


class PreVote(msgspec.Struct, frozen=True, array_like=True, tag="pre_vote"):
    """Would you vote for me in *term*? Changes nothing at the receiver. Source: Raft dissertation, 9.6."""

    term: Term
    last_index: Index
    last_term: Term


class PreVoteReply(msgspec.Struct, frozen=True, array_like=True, tag="pre_vote_reply"):
    """The answer: *term* as asked, *voter_term* as it is at the voter."""

    term: Term
    voter_term: Term
    granted: bool


class RequestVote(msgspec.Struct, frozen=True, array_like=True, tag="vote"):
    """Vote for me in *term*; *candidate_id* is the server's stable id, which is what a vote is recorded for."""

    term: Term
    last_index: Index
    last_term: Term
    candidate_id: _Text


class VoteReply(msgspec.Struct, frozen=True, array_like=True, tag="vote_reply"):
    """The answer: *term* is the voter's."""

    term: Term
    granted: bool


class TimeoutNow(msgspec.Struct, frozen=True, array_like=True, tag="timeout_now"):
    """The leader hands over: campaign at once. Source: Raft dissertation, 3.10."""

    term: Term


Message = AppendEntries | InstallSnapshot | AppendReply | PreVote | PreVoteReply | RequestVote | VoteReply | TimeoutNow
Handshake = Hello | Accepted | Refused

_encoder = msgspec.msgpack.Encoder()
_messages: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
_handshakes: msgspec.msgpack.Decoder[Handshake] = msgspec.msgpack.Decoder(Handshake)


def encode_frame(message: Message | Handshake) -> bytes:
    """Return length and body, ready to be sent; raises CodecError when it is longer than a frame may be."""
    body = _encoder.encode(message)
    if len(body) > FRAME_BYTES_MAX:
        raise CodecError(f"a {type(message).__name__} of {len(body)} bytes is above the frame limit {FRAME_BYTES_MAX}")
    return FRAME_HEADER.pack(len(body)) + body


def decode_message(body: bytes | memoryview) -> Message:
    """Return the message in *body*; raises CodecError."""
    try:
        return _messages.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CodecError(f"not a message: {error}") from error


def decode_handshake(body: bytes | memoryview) -> Handshake:
    """Return the handshake in *body*; raises CodecError."""
    try:
        return _handshakes.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CodecError(f"not a handshake: {error}") from error


class FrameReader:
    """Cuts a stream of bytes into frame bodies.

    *limit_bytes* may be raised once the other side is known. After a CodecError the stream is of no more use.
    """

    def __init__(self, limit_bytes: int = HELLO_BYTES_MAX) -> None:
        self.limit_bytes = limit_bytes
        self._buffer = bytearray()

    @property
    def buffered_bytes(self) -> int:
        """Bytes held that are not yet a whole frame."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take *data* and yield each body that is now whole; raises CodecError for a length above the limit.

        The limit is read anew for each frame, so a consumer may raise it while it iterates.
        """
        self._buffer += data
        start = 0
        try:
            while len(self._buffer) - start >= FRAME_HEADER.size:
                (length,) = FRAME_HEADER.unpack_from(self._buffer, start)
                if length > self.limit_bytes:
                    raise CodecError(f"a frame of {length} bytes is above the limit {self.limit_bytes}")
                end = start + FRAME_HEADER.size + length
                if len(self._buffer) < end:
                    break
                body = bytes(memoryview(self._buffer)[start + FRAME_HEADER.size : end])
                start = end
                yield body
        finally:
            # One move for all frames of a read: cutting each off the front would be quadratic.
            del self._buffer[:start]

"""The messages between members and their encoding: msgpack arrays with strict types and caps. Pure.

A packet is a list of messages, a stream carries one message each way. Nothing is compressed, so nothing grows while it
is read, and no length is believed before that many bytes are there. `sealing` encrypts what is encoded here.
"""

import ipaddress
from typing import Annotated, NamedTuple

import msgspec

PACKET_BYTES_MAX = 1400
"""A UDP payload that no link in use splits, encryption included. Source: memberlist's `UDPBufferSize`."""

STREAM_BYTES_MAX = 1024 * 1024
"""A full exchange of the most members there may be; a longer one is refused before it is read."""

MEMBERS_MAX = 4096
MESSAGES_MAX = 128
TAG_BYTES_MAX = 512
"""All tags of a member together: news of it must fit a packet beside others."""

_INT_MAX = 2**62

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Incarnation = Annotated[int, msgspec.Meta(ge=0, le=_INT_MAX)]
LamportTime = Annotated[int, msgspec.Meta(ge=0, le=_INT_MAX)]
Sequence = Annotated[int, msgspec.Meta(ge=0, le=_INT_MAX)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
_Host = Annotated[str, msgspec.Meta(min_length=2, max_length=45)]
_Word = Annotated[str, msgspec.Meta(max_length=255)]
Tags = Annotated[dict[_Word, _Word], msgspec.Meta(max_length=32)]


class WireError(ValueError):
    """Bytes that are not a message of this protocol, or not one of this cluster."""


class Address(NamedTuple):
    """Where a member listens: a literal IP, so that no packet waits for a name to be resolved, and a port."""

    host: str
    port: int


class Ping(msgspec.Struct, frozen=True, array_like=True, tag=1, forbid_unknown_fields=True):
    """Are you there? *target* is the name that is meant: an address may have a new owner."""

    sequence: Sequence
    target: Name
    sender: Name


class PingRequest(msgspec.Struct, frozen=True, array_like=True, tag=2, forbid_unknown_fields=True):
    """Probe *target* for me, at the address that you know."""

    sequence: Sequence
    target: Name
    sender: Name


class Ack(msgspec.Struct, frozen=True, array_like=True, tag=3, forbid_unknown_fields=True):
    """Yes, to the ping of that *sequence*."""

    sequence: Sequence


class Nack(msgspec.Struct, frozen=True, array_like=True, tag=4, forbid_unknown_fields=True):
    """I am there, but the one you asked me to probe does not answer me."""

    sequence: Sequence


class Alive(msgspec.Struct, frozen=True, array_like=True, tag=5, forbid_unknown_fields=True):
    """*name* lives, in its *incarnation*; only the member itself begins a new one."""

    name: Name
    host: _Host
    port: Port
    incarnation: Incarnation
    tags: Tags


class Suspect(msgspec.Struct, frozen=True, array_like=True, tag=6, forbid_unknown_fields=True):
    """*sender* doubts that *name* lives."""

    name: Name
    incarnation: Incarnation
    sender: Name


class Dead(msgspec.Struct, frozen=True, array_like=True, tag=7, forbid_unknown_fields=True):
    """*sender* has given *name* up."""

    name: Name
    incarnation: Incarnation
    sender: Name


class Left(msgspec.Struct, frozen=True, array_like=True, tag=8, forbid_unknown_fields=True):
    """*name* went of its own will."""

    name: Name
    incarnation: Incarnation


class JoinIntent(msgspec.Struct, frozen=True, array_like=True, tag=9, forbid_unknown_fields=True):
    """*name* means to be a member, as of *time*: leave intents before it are void."""

    name: Name
    time: LamportTime


class LeaveIntent(msgspec.Struct, frozen=True, array_like=True, tag=10, forbid_unknown_fields=True):
    """*name* is about to leave, or an operator says that it did; with *prune* it is to be forgotten."""

    name: Name
    time: LamportTime
    prune: bool


class MemberState(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A member as the sender of a full exchange sees it; *age_seconds* is how long it has been in that state."""

    name: Name
    host: _Host
    port: Port
    incarnation: Incarnation
    tags: Tags
    state: Annotated[int, msgspec.Meta(ge=0, le=3)]
    leaving: bool
    intent_time: LamportTime
    age_seconds: Annotated[float, msgspec.Meta(ge=0, le=1e9)]


class PushPull(msgspec.Struct, frozen=True, array_like=True, tag=11, forbid_unknown_fields=True):
    """Everything the sender knows; the answer bears the same *token*, so that an old one is not taken for it."""

    token: Sequence
    sender: Name
    answer: bool
    time: LamportTime
    members: Annotated[list[MemberState], msgspec.Meta(max_length=MEMBERS_MAX)]


class KeyringAsk(msgspec.Struct, frozen=True, array_like=True, tag=12, forbid_unknown_fields=True):
    """Do *operation* (list, install, use, remove) with *key* on your keyring; taken from encrypted streams only."""

    token: Sequence
    operation: _Word
    key: Annotated[bytes, msgspec.Meta(max_length=32)]


class KeyringAnswer(msgspec.Struct, frozen=True, array_like=True, tag=13, forbid_unknown_fields=True):
    """What came of it: *error* is empty when it was done; *keys*, the primary one first, for a list."""

    token: Sequence
    error: _Word
    keys: Annotated[list[Annotated[bytes, msgspec.Meta(max_length=32)]], msgspec.Meta(max_length=64)]


PacketMessage = Ping | PingRequest | Ack | Nack | Alive | Suspect | Dead | Left | JoinIntent | LeaveIntent
StreamMessage = Ping | Ack | PushPull | KeyringAsk | KeyringAnswer

_encoder = msgspec.msgpack.Encoder()
_packets: msgspec.msgpack.Decoder[list[PacketMessage]] = msgspec.msgpack.Decoder(
    Annotated[list[PacketMessage], msgspec.Meta(max_length=MESSAGES_MAX)]
)
_streams: msgspec.msgpack.Decoder[StreamMessage] = msgspec.msgpack.Decoder(StreamMessage)

PACKET_HEADER_BYTES = 3
"""The msgpack header of a list of messages, at most."""


def encode(message: PacketMessage | StreamMessage) -> bytes:
    """Return *message* as bytes, for a packet or alone on a stream."""
    return _encoder.encode(message)


def join(messages: list[bytes]) -> bytes:
    """Return the packet that holds *messages*, each encoded."""
    return _encoder.encode([msgspec.Raw(message) for message in messages])


def decode_packet(payload: bytes) -> list[PacketMessage]:
    """Return the messages of a packet; raises WireError."""
    if len(payload) > PACKET_BYTES_MAX:
        raise WireError(f"a packet of {len(payload)} bytes is above the limit {PACKET_BYTES_MAX}")
    try:
        messages = _packets.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"not a packet: {error}") from error
    for message in messages:
        if isinstance(message, Alive):
            check_member(message)
    return messages


def decode_stream(payload: bytes) -> StreamMessage:
    """Return the message of a stream; raises WireError."""
    if len(payload) > STREAM_BYTES_MAX:
        raise WireError(f"a message of {len(payload)} bytes is above the limit {STREAM_BYTES_MAX}")
    try:
        message = _streams.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"not a message: {error}") from error
    if isinstance(message, PushPull):
        for member in message.members:
            check_member(member)
    return message


def is_keyring_ask(payload: bytes) -> bool:
    """Tell whether a stream asks for the keyring, by its tag."""
    return payload[1:2] == bytes([12])


def check_member(member: Alive | MemberState) -> None:
    """Raise WireError when *member* has no literal IP, or tags that do not fit a packet."""
    try:
        ipaddress.ip_address(member.host)
    except ValueError as error:
        raise WireError(f"{member.name!r} has no IP address: {member.host!r}") from error
    size = sum(len(key.encode()) + len(value.encode()) for key, value in member.tags.items())
    if size > TAG_BYTES_MAX:
        raise WireError(f"the tags of {member.name!r} have {size} bytes, more than {TAG_BYTES_MAX}")

"""What the state machine wants done; its shell does it and reports back. Pure."""

from dataclasses import dataclass

from agent.gossip.members import Change
from agent.gossip.wire import Address


@dataclass(frozen=True, slots=True)
class SendPacket:
    """Send *payload* to *to* as a packet."""

    to: Address
    payload: bytes


@dataclass(frozen=True, slots=True)
class OpenStream:
    """Connect to *to*, send *payload*, and report the answer under *token*, or that there is none in time."""

    to: Address
    payload: bytes
    token: int
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Exchanged:
    """The full exchange of *token*, which a caller asked for, ended; *error* is empty when it succeeded."""

    token: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class Departed:
    """This member has left, and the others had time to hear it."""


Effect = SendPacket | OpenStream | Exchanged | Departed | Change

"""What the transport keeps of each connection, dialled or accepted, and whom it reports to."""

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from agent.consensus.codec import FrameReader, Hello, Message
from agent.consensus.streams import Stream


class Listener(Protocol):
    """Told by the transport what happens, in the thread that polls. A node is the address it is dialled at."""

    def on_message(self, node: str, message: Message) -> None:
        """Take a message of *node*."""

    def on_connected(self, node: str) -> None:
        """Messages to *node* are sent from now on."""

    def on_disconnected(self, node: str) -> None:
        """Messages to *node* are dropped from now on."""

    def on_silent(self, node: str) -> None:
        """*node* closed the connection it sent on: its process may be gone."""


class Dial(Enum):
    """How far a connection that this server dials is."""

    IDLE = auto()
    CONNECTING = auto()
    SECURING = auto()
    GREETING = auto()
    OPEN = auto()


@dataclass(slots=True)
class Outgoing:
    """The connection that is sent on."""

    node: str
    deadline: float
    """When idle, the next attempt; else, until open, when the attempt is given up."""
    state: Dial = Dial.IDLE
    stream: Stream | None = None
    handshake: int = 0
    """Its number while it is secured: `stream` is then in other hands."""
    reader: FrameReader = field(default_factory=FrameReader)
    unsent: bytearray = field(default_factory=bytearray)
    hello: Hello | None = None
    complaint: str = ""
    """What was logged last about this peer: each trouble is logged once, not at each attempt."""


@dataclass(slots=True, eq=False)
class Incoming:
    """A connection that is listened on; `node` is None until it said who it is."""

    stream: Stream | None
    """None while it is secured."""
    address: str
    deadline: float
    reader: FrameReader = field(default_factory=FrameReader)
    node: str | None = None
    handshake: int = 0

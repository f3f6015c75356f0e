# ruff: noqa: N802 - methods keep the names that pysyncobj calls them by
"""What stands where pysyncobj had its own journal, serializer, transport and pickle.

Only this file, `pysyncobj_core` and `pysyncobj_engine` import pysyncobj.
"""

import _socket
import socket
import zlib
from collections.abc import Callable
from typing import Any

import pysyncobj.pickle
from pysyncobj.node import Node
from pysyncobj.transport import Transport

from agent.consensus.codec import AppendEntries, InstallSnapshot
from agent.consensus.engine_parts import Links
from agent.consensus.raft_log import RaftLog
from agent.consensus.read_rounds import ReadRounds
from agent.consensus.snapshot_store import SnapshotStore
from telemetry.clock import Clock

# pysyncobj 0.3.17 puts a function of Windows in its place on every system (win_inet_pton.py), and with it breaks psutil
# and everything else in the process that prints an address.
socket.inet_ntop = _socket.inet_ntop

BACKLOG_BYTES_MAX = 4 * 1024 * 1024
"""A peer with more than this unread gets nothing new: what it has to read already tells it that the leader lives."""


def _refuse_pickle(*_args: object, **_kwargs: object) -> Any:
    raise RuntimeError("pickle is closed: no byte from a wire or a disk may run code here")


# pysyncobj calls these as attributes of its module; nothing this program reaches does, and nothing ever shall.
pysyncobj.pickle.dumps = pysyncobj.pickle.loads = _refuse_pickle
pysyncobj.pickle.dump = pysyncobj.pickle.load = _refuse_pickle


class PeerNode(Node):  # type: ignore[misc] # pysyncobj has no types
    """A member of the group, by the address it is dialled at.

    Its hash does not change from process to process, so that the order of pysyncobj's sets of nodes, and with it a
    simulation, depends on the seed alone.
    """

    def __hash__(self) -> int:
        return zlib.crc32(str(self.id).encode())


class LogAdapter:
    """The log as pysyncobj's journal: the few methods of it that are still called."""

    def __init__(self, log: RaftLog) -> None:
        self._log = log

    def __getitem__(self, item: Any) -> Any:
        return self._log.entries[item]

    def __len__(self) -> int:
        return len(self._log.entries)

    def add(self, command: bytes, index: int, term: int) -> None:
        """Append an entry."""
        self._log.append(command, index, term)

    def setCurrentTerm(self, term: int, voted_for: str | None) -> None:
        """Make term and vote durable."""
        self._log.set_term_and_vote(term, voted_for)


class SnapshotAdapter:
    """The snapshots as pysyncobj's serializer: what sending appends calls of it."""

    def __init__(self, snapshots: SnapshotStore) -> None:
        self._snapshots = snapshots

    def getTransmissionData(self, node: Node) -> tuple[bytes, bool, bool]:
        """Return the next piece for *node*."""
        return self._snapshots.next_piece(node.id)

    def cancelTransmisstion(self, node: Node) -> None:
        """Do nothing: pysyncobj calls it for whoever takes nothing just now; the engine cancels at a disconnection."""


class LinkAdapter(Transport):  # type: ignore[misc] # pysyncobj has no types
    """The links as pysyncobj's transport: turns its dictionaries into messages."""

    def __init__(self, links: Links, clock: Clock, reads: ReadRounds, on_full: Callable[[Node], None]) -> None:
        super().__init__(None, None, ())
        self._links = links
        self._clock = clock
        self._reads = reads
        self._on_full = on_full

    def send(self, node: Node, message: dict[str, Any]) -> bool:
        """Send an append or a piece of a snapshot; nothing else is sent by pysyncobj."""
        now = self._clock.monotonic()
        if "prevLogIdx" in message:
            sent = self._links.send(
                node.id,
                AppendEntries(
                    message["term"],
                    message["commit_index"],
                    message["prevLogIdx"],
                    message["prevLogTerm"],
                    message["entries"],
                    now,
                    self._reads.number,
                ),
            )
        else:
            data, first, last = message["serialized"]
            piece = InstallSnapshot(message["term"], data, first, last, now, self._reads.number)
            sent = self._links.send(node.id, piece)
        if self._links.backlog(node.id) > BACKLOG_BYTES_MAX:
            self._on_full(node)
        return sent

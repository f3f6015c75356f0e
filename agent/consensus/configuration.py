"""Who belongs to the group, and who of them votes: as the log says it, entry by entry. Pure.

Each change is an entry that holds the whole new configuration. The newest one in the log counts from the moment it is
appended, committed or not, and is taken back when its entry is (Raft dissertation, 4.1). Two configurations in a row
differ by one server, so that any majority of the one shares a server with any majority of the other.
"""

from collections.abc import Iterable
from typing import Annotated

import msgspec

from agent.consensus.codec import CodecError, CommandKind
from agent.consensus.raft_log import LogEntry
from agent.consensus.replicator import Peer
from agent.errors import NotFound, RequestRefused

SERVERS_MAX = 64
"""More than any group has; a configuration with more is damage."""

_Text = Annotated[str, msgspec.Meta(max_length=255)]


class ConfiguredServer(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One server. `server_id`, `name` and `rpc_address` are empty while nothing but its Raft address is known."""

    server_id: _Text
    name: _Text
    raft_address: _Text
    rpc_address: _Text
    voter: bool

    @property
    def peer(self) -> Peer:
        """The server as the rest of the agent knows it."""
        return Peer(self.server_id, self.name, self.raft_address, self.rpc_address)


class Configuration(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The servers of a group; none, for a server that waits to be taken in."""

    servers: Annotated[tuple[ConfiguredServer, ...], msgspec.Meta(max_length=SERVERS_MAX)]

    @property
    def voters(self) -> tuple[ConfiguredServer, ...]:
        """Those that vote."""
        return tuple(server for server in self.servers if server.voter)

    def find(self, text: str) -> ConfiguredServer:
        """Return the server with the id or address *text*; raises NotFound."""
        for server in self.servers:
            if text and text in {server.server_id, server.raft_address, server.rpc_address}:
                return server
        raise NotFound(f'"{text}" was not found in the Raft configuration')

    def of(self, peer: Peer) -> ConfiguredServer | None:
        """Return what is said of *peer*, by its id, or by its address where no id is known; None for a stranger."""
        for server in self.servers:
            if server.server_id and peer.server_id:
                if server.server_id == peer.server_id:
                    return server
            elif server.raft_address == peer.raft_address:
                return server
        return None

    def with_server(self, peer: Peer, *, voter: bool) -> "Configuration":
        """Return this configuration with *peer* added, or its vote changed.

        Raises RequestRefused when another server has its address: two servers must not answer for one, and while the
        id of another is not known.
        """
        taken = next((s for s in self.servers if s.raft_address == peer.raft_address), None)
        if taken is not None and taken.server_id not in {"", peer.server_id}:
            raise RequestRefused(
                f"{peer.raft_address} is the address of server {taken.server_id} in the Raft configuration; "
                "remove that one first"
            )
        known = self.of(peer)
        kept = tuple(server for server in self.servers if server not in {known, taken})
        nameless = next((server for server in kept if not server.server_id), None)
        if nameless is not None and known is None:
            # It may be the same server under another address, and would vote twice.
            raise RequestRefused(
                f"the server at {nameless.raft_address} was not heard yet, so that its id is not known; "
                "start it, or remove it first"
            )
        if len(kept) >= SERVERS_MAX:
            raise RequestRefused(f"the Raft configuration holds {len(kept)} servers already")
        added = ConfiguredServer(peer.server_id, peer.name, peer.raft_address, peer.rpc_address, voter)
        return Configuration((*kept, added))

    def without(self, peer: Peer) -> "Configuration":
        """Return this configuration without *peer*; raises RequestRefused when no voter would be left."""
        gone = self.of(peer)
        left = Configuration(tuple(server for server in self.servers if server != gone))
        if not left.voters:
            raise RequestRefused("no server would be left that votes: a Raft configuration keeps at least one")
        return left


def encode_configuration(configuration: Configuration) -> bytes:
    """Return *configuration* as it stands in an entry, behind the byte of its kind, and in a snapshot."""
    return msgspec.msgpack.encode(configuration)


def decode_configuration(data: bytes) -> Configuration:
    """Return the configuration in *data*; raises CodecError."""
    try:
        return msgspec.msgpack.decode(data, type=Configuration)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CodecError(f"not a Raft configuration: {error}") from error


def configurations_in(entries: Iterable[LogEntry]) -> list[tuple[int, Configuration]]:
    """Return those that *entries* hold, with their indexes; raises CodecError."""
    return [
        (index, decode_configuration(command[1:]))
        for command, index, _ in entries
        if command[0] == CommandKind.CONFIGURATION
    ]


class Configurations:
    """The configuration in force at each index of the log, from *first*, with which the group was bootstrapped.

    Indexes rise. What `first` says is nowhere in the log: its index is 0.
    """

    def __init__(self, first: Configuration) -> None:
        self._history = [(0, first)]

    @property
    def newest(self) -> Configuration:
        """The one that counts."""
        return self._history[-1][1]

    @property
    def newest_index(self) -> int:
        """The index of its entry; 0 when the group is as it was bootstrapped."""
        return self._history[-1][0]

    def append(self, index: int, configuration: Configuration) -> None:
        """Take the one of the entry at *index*, which is newer than all others."""
        if index <= self.newest_index:
            raise ValueError(f"a configuration of entry {index} after that of {self.newest_index}")
        self._history.append((index, configuration))

    def truncate_from(self, index: int) -> bool:
        """Take back those of entries from *index* on; tells whether there were any."""
        before = len(self._history)
        self._history = [self._history[0], *(pair for pair in self._history[1:] if pair[0] < index)]
        return len(self._history) != before

    def compact_to(self, index: int) -> None:
        """Forget what was replaced at or before *index*, which is committed."""
        self._history = [self.at(index), *(pair for pair in self._history if pair[0] > index)]

    def at(self, index: int) -> tuple[int, Configuration]:
        """Return the one in force after the entry at *index*, and the index of its entry."""
        return [self._history[0], *(pair for pair in self._history[1:] if pair[0] <= index)][-1]

    def restart(self, index: int, configuration: Configuration) -> None:
        """Begin with the one that a snapshot of *index* holds; newer ones stay."""
        self._history = [(index, configuration), *(pair for pair in self._history[1:] if pair[0] > index)]

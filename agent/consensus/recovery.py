"""Outage recovery: `peers.json`, by which an operator says who the servers of a group are when no quorum is left.

Read at the start of each server that is left, with all of them stopped before, and removed once it is carried out.
Source: Nomad, "Outage recovery", manual recovery using peers.json (Raft protocol 3).
"""

from pathlib import Path

import msgspec

from agent.consensus.configuration import SERVERS_MAX, Configuration, ConfiguredServer
from agent.consensus.replicator import Peer
from agent.consensus.resolver import split_address
from agent.errors import ConfigError

FILE = "peers.json"
"""In the folder of the Raft log."""

_EXAMPLE = '[{"id": "ID", "address": "10.0.0.1:4649", "non_voter": false}]'


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    address: str
    non_voter: bool = False


def read_peers(path: Path, me: Peer) -> Configuration | None:
    """Return the servers that *path* names, None when there is no such file; raises ConfigError for a damaged one.

    *me* must be among them, at the address it advertises: that shows that the addresses are those of Raft.
    """
    try:
        entries = msgspec.json.decode(path.read_bytes(), type=list[_Entry])
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}; write it as {_EXAMPLE}, or remove it") from error
    trouble = _trouble_with(entries, me)
    if trouble:
        raise ConfigError(f"{path}: {trouble}; mend it, or remove it")
    servers = (ConfiguredServer(entry.id, "", entry.address, "", not entry.non_voter) for entry in entries)
    return Configuration(tuple(sorted(servers, key=lambda server: server.server_id)))


def _trouble_with(entries: list[_Entry], me: Peer) -> str:
    if not any(not entry.non_voter for entry in entries):
        return "it names no server that votes"
    if len(entries) > SERVERS_MAX:
        return f"it names {len(entries)} servers, more than {SERVERS_MAX}"
    for entry in entries:
        if not 0 < len(entry.id) <= 255:
            return f"{entry.id!r} is no id of a server: that stands in node-id, beside raft in each server's folder"
        try:
            split_address(entry.address)
        except ValueError as error:
            return f"address {error}: write host:port of the server's Raft, such as 10.0.0.1:4649"
    for what, values in (("id", [e.id for e in entries]), ("address", [e.address for e in entries])):
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            return f"the {what} {twice} stands there twice"
    own = next((entry for entry in entries if entry.id == me.server_id), None)
    if own is None:
        return f"it does not name this server, {me.server_id} at {me.raft_address}"
    if own.address != me.raft_address:
        return f"it names this server at {own.address}, but its Raft is at {me.raft_address}, on the port ports.raft"
    return ""

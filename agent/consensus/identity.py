"""The id of a cluster: a UUID that the first leader gives it by an entry of the log, and that it keeps for good. Pure.

It tells clusters apart that have the same region and names: files of one in the folder of another, and a server of one
that dials a server of another. Whoever applies the entry, or installs a snapshot made after it, takes the id on; so does
a group whose log is older than ids, from the next leader that it elects.

There is one such entry in a log at most. A leader appends it only while it knows of no id and its own log, up to the
end, holds none: what it has not applied yet may turn out to be committed.

Source: the idea is Nomad's (ClusterID, of its state); here it is the log's, as a restored state may be another cluster's.
"""

import hashlib
import uuid
from collections.abc import Iterable

from agent.consensus.codec import CodecError, CommandKind
from agent.consensus.raft_log import LogEntry

_ID_BYTES = 16


def new_cluster_id(server_id: str, term: int, at_seconds: float) -> str:
    """Return the id that the leader *server_id* of *term* gives at *at_seconds* (Unix).

    Not drawn: the engine's randomness decides elections, and a simulation must not change with it. No other leader has
    the same server id, which is random itself.
    """
    digest = hashlib.sha256(f"{server_id} {term} {at_seconds!r}".encode()).digest()
    return str(uuid.UUID(bytes=digest[:_ID_BYTES], version=4))


def encode_identity(cluster_id: str) -> bytes:
    """Return the command that gives a cluster its id."""
    return bytes([CommandKind.IDENTITY]) + uuid.UUID(cluster_id).bytes


def decode_identity(command: bytes) -> str:
    """Return the id that *command* gives; raises CodecError when it holds none."""
    if len(command) != 1 + _ID_BYTES:
        raise CodecError(f"an id of a cluster has {_ID_BYTES} bytes, not {len(command) - 1}")
    return str(uuid.UUID(bytes=command[1:]))


def gives_identity(entries: Iterable[LogEntry]) -> bool:
    """Tell whether one of *entries* gives the cluster an id."""
    return any(command[0] == CommandKind.IDENTITY for command, _, _ in entries)


def difference(own: str, other: str) -> str:
    """Say why a server of the cluster *other* is a stranger to one of *own*; an empty text while it is none.

    An empty id is not known yet. The text lacks its subject.
    """
    if not own or not other or own == other:
        return ""
    return (
        f"is of cluster {other}, this server of cluster {own}: to move a server, stop it and remove its data "
        "directory first; else mend retry_join"
    )

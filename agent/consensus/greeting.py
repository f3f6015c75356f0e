"""What two servers say of themselves when they connect, and why one may have nothing to do with the other. Pure."""

from collections.abc import Sequence

from agent.consensus.codec import PROTOCOL_MAGIC, PROTOCOL_VERSION, Hello
from agent.consensus.identity import difference


def hello_of(server_id: str, name: str, addresses: Sequence[str], region: str) -> Hello:
    """Return a server's hello; *addresses* are the Raft and the RPC address it advertises."""
    raft_address, rpc_address = addresses
    return Hello(PROTOCOL_MAGIC, PROTOCOL_VERSION, server_id, name, raft_address, rpc_address, region)


def trouble_with(own: Hello, other: Hello) -> str:
    """Say why the server that says *own* does not speak with the one that says *other*; an empty text when it does."""
    if (other.magic, other.version) != (PROTOCOL_MAGIC, PROTOCOL_VERSION):
        return f"it speaks {other.magic!r} version {other.version}, not {PROTOCOL_MAGIC!r} {PROTOCOL_VERSION}"
    if other.region != own.region:
        return f"{other.name} is of region {other.region!r}, this server of {own.region!r}"
    if other.server_id == own.server_id:
        return "it is this server itself, or one with a copied data directory"
    stranger = difference(own.cluster_id, other.cluster_id)
    return f"{other.name} {stranger}" if stranger else ""

"""Errors as Nomad's API tells them: a status and one line of text/plain.

Source: Nomad, command/agent/http.go (wrap); bodies recorded from Nomad 2.0.5.
"""

from agent.errors import (
    NoClusterLeader,
    NotLeader,
    OutriderError,
    Overloaded,
    RequestRefused,
    Unreachable,
)
from agent.http.reply import Reply, text_reply

INVALID_METHOD = "Invalid method"
_UUID_CHARACTERS = 36


def failure_reply(error: OutriderError) -> Reply:
    """Return what a caller is told of *error*."""
    match error:
        case RequestRefused():
            return text_reply(str(error), error.status)
        case NoClusterLeader() | NotLeader():
            return text_reply("No cluster leader", 500)
        case Unreachable():
            return text_reply(f"rpc error: failed to get conn: {error}", 500)
        case Overloaded():
            return text_reply(str(error), 429)
        case _:
            return text_reply(str(error), 500)


def require_uuid(kind: str, text: str) -> None:
    """Refuse an id that no *kind* ("node", "alloc", "eval") can have."""
    if len(text) != _UUID_CHARACTERS:
        raise RequestRefused(f"{kind} lookup failed: index error: UUID must be 36 characters", 500)

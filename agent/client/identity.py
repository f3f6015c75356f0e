"""Who this client is: an id and a secret, made once and kept in the state directory."""

import uuid
from dataclasses import dataclass
from pathlib import Path

from agent.client.files import write_atomically
from agent.errors import ConfigError
from agent.model.base import NodeID


@dataclass(frozen=True, slots=True)
class Identity:
    """A node's id, known to all, and its secret, known to the servers."""

    node_id: NodeID
    secret_id: str


def load_or_make(state_dir: Path) -> Identity:
    """Return the identity kept in *state_dir*, made now when there is none.

    Raises ConfigError when the directory or its files cannot be used: a client that took a new id in place of an
    unreadable one would leave its old node, and the work on it, behind as lost.
    """
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        node_id = _read_or_make(state_dir / "client-id")
        secret_id = _read_or_make(state_dir / "secret-id")
    except OSError as error:
        raise ConfigError(
            f"client.state_dir: cannot use {state_dir}: {error.strerror}; make it writable for the agent's user"
        ) from error
    return Identity(NodeID(node_id), secret_id)


def _read_or_make(path: Path) -> str:
    try:
        text = path.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        text = str(uuid.uuid4())
        write_atomically(path, text.encode(), durable=True)
        return text
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise ConfigError(
            f"{path}: {text[:40]!r} is no UUID; restore the file, or remove it to join as a new node"
        ) from error

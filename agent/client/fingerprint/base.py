"""What fingerprinters share: the files of the host they read, and what they find."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.model.node import NodeCpu, NodeDisk, NodeMemory, NodeNetwork

FILE_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class HostFiles:
    """The host's files below *root*; a test hands over a tree of its own."""

    root: Path = Path("/")

    def text(self, path: str) -> str:
        """Return the text of *path* (absolute, as on the host), empty when it cannot be read."""
        try:
            with (self.root / path.lstrip("/")).open(encoding="utf-8", errors="replace") as file:
                return file.read(FILE_BYTES_MAX)
        except OSError:
            return ""

    def exists(self, path: str) -> bool:
        """Return whether *path* is there."""
        return (self.root / path.lstrip("/")).exists()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one fingerprinter found: attributes under Nomad's names, and resources where it knows them."""

    attributes: Mapping[str, str] = field(default_factory=dict)
    cpu: NodeCpu | None = None
    memory: NodeMemory | None = None
    disk: NodeDisk | None = None
    networks: tuple[NodeNetwork, ...] = ()


def whole(text: str, default: int = 0) -> int:
    """Return the whole number that *text* is, or *default*."""
    text = text.strip()
    return int(text) if text.removeprefix("-").isdigit() else default

"""What the HTTP API needs of the agent behind it; the whole of its knowledge of servers and clients."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agent.rpc.caller import Caller


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """Whether one half of the agent is well, and in words why: "ok", "No cluster leader"."""

    ok: bool
    message: str


@dataclass(frozen=True, slots=True)
class AgentHealth:
    """The health of both halves; None for the half that this agent does not run."""

    server: HealthCheck | None = None
    client: HealthCheck | None = None


class KeyringResult(Protocol):
    """What the servers say to an operation on the keyring: how many were asked, and errors by name."""

    asked: int
    messages: dict[str, str]

    def body(self) -> dict[str, Any]:
        """Return it in Nomad's shape."""


class GossipApi(Protocol):
    """What an operator may ask of gossip; `agent.gossip.service.Gossip`, which a client does not even import."""

    async def join(self, texts: Sequence[str]) -> tuple[int, list[str]]:
        """Join every address; return how many succeeded and why others did not."""

    def force_leave(self, name: str, *, prune: bool) -> bool:
        """Say that the failed *name* has left; return whether it is known."""

    async def keyring(self, operation: str, text: str = "") -> KeyringResult:
        """Carry *operation* out on all servers; raises RequestRefused."""


class AgentApi(Protocol):
    """An agent as its HTTP API sees it."""

    @property
    def caller(self) -> Caller:
        """The remote procedures: a server answers itself or forwards, a client asks its servers."""

    @property
    def is_server(self) -> bool:
        """Whether the agent runs a server."""

    @property
    def is_client(self) -> bool:
        """Whether the agent runs a client."""

    @property
    def region(self) -> str:
        """The region of the agent."""

    @property
    def version(self) -> str:
        """The version of Outrider."""

    def self_info(self) -> dict[str, Any]:
        """Return the body of /v1/agent/self: config, member, stats; no secret in it."""

    async def members(self) -> dict[str, Any]:
        """Return the body of /v1/agent/members. A client asks a server, and raises as a call does."""

    async def regions(self) -> list[str]:
        """Return the regions of which servers are known, sorted. A client asks a server, and raises as a call does."""

    @property
    def gossip(self) -> GossipApi | None:
        """The gossip of the agent's server; None on a client."""

    async def health(self) -> AgentHealth:
        """Return how both halves are; may take the five seconds that a call waits for a leader. Never raises."""

    def known_servers(self) -> list[str]:
        """Return the host:port of gRPC of the servers a client knows."""

    def metrics_prometheus(self) -> bytes | None:
        """Return all series as text 0.0.4, or None when `prometheus_metrics` is off."""

    def metrics_json(self) -> bytes:
        """Return the last complete interval as Nomad's JSON."""

"""What the HTTP API needs of the agent behind it; the whole of its knowledge of servers and clients."""

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

    async def health(self) -> AgentHealth:
        """Return how both halves are; may take the five seconds that a call waits for a leader. Never raises."""

    def known_servers(self) -> list[str]:
        """Return the host:port of gRPC of the servers a client knows."""

    def metrics_prometheus(self) -> bytes | None:
        """Return all series as text 0.0.4, or None when `prometheus_metrics` is off."""

    def metrics_json(self) -> bytes:
        """Return the last complete interval as Nomad's JSON."""

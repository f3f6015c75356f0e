"""The two sides of a remote procedure, as the rest of the agent sees them."""

from typing import Any, Protocol, TypeVar

from agent.rpc.methods import Method, Request, Response

Q = TypeVar("Q", bound=Request)
R = TypeVar("R", bound=Response)


class Caller(Protocol):
    """Carries requests to whoever may answer them: a server answers itself or forwards, a client asks a server."""

    async def call(self, method: Method[Q, R], request: Q, timeout_seconds: float) -> R:
        """Return the answer of *method* to *request*.

        Raises what the far side raised (NoClusterLeader, NotFound, RequestRefused, UnknownOutcome, Overloaded), and
        Unreachable when no server could be asked. *timeout_seconds* covers forwarding and waiting, and comes on top
        of the wait of a blocking query.
        """


class Dispatcher(Protocol):
    """The server's side of the wire: answers a decoded request that came from *peer* (host:port)."""

    async def dispatch(self, method: Method[Any, Any], request: Request, peer: str) -> Response:
        """Return the answer, or raise an OutriderError, which travels to the caller by its kind."""

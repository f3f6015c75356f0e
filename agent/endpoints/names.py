"""What there is by name: node pools, namespaces, and what begins with a prefix.

Source: nomad/node_pool_endpoint.go, nomad/namespace_endpoint.go, nomad/search_endpoint.go.
"""

from collections.abc import Callable, Iterable

from agent.endpoints.context import Context, Handlers
from agent.endpoints.job import ALL_NAMESPACES
from agent.errors import RequestRefused
from agent.model.base import DEFAULT_NAMESPACE
from agent.rpc import methods as m
from agent.state.store import State, Table

DEFAULT_POOL, ALL_POOL = "default", "all"
"""The node pools that are always there; the others are those that clients name."""

MATCHES_MAX = 20
"""Ids that a search names of each context. Nomad's `truncateLimit`."""

ALL_CONTEXTS = "all"


def _jobs(state: State, request: m.SearchRequest) -> Iterable[str]:
    namespace = None if request.namespace == ALL_NAMESPACES else request.namespace
    return (job.id for job in state.jobs(namespace) if job.id.startswith(request.prefix))


def _allocs(state: State, request: m.SearchRequest) -> Iterable[str]:
    return (each.id for each in state.allocs(request.prefix) if _is_asked(each.namespace, request))


def _evals(state: State, request: m.SearchRequest) -> Iterable[str]:
    return (each.id for each in state.evals(request.prefix) if _is_asked(each.namespace, request))


def _is_asked(namespace: str, request: m.SearchRequest) -> bool:
    return request.namespace in {ALL_NAMESPACES, namespace}


CONTEXTS: dict[str, Callable[[State, m.SearchRequest], Iterable[str]]] = {
    "allocs": _allocs,
    "evals": _evals,
    "jobs": _jobs,
    "namespaces": lambda state, request: (name for name in namespaces(state) if name.startswith(request.prefix)),
    "node_pools": lambda state, request: (name for name in pools(state) if name.startswith(request.prefix)),
    "nodes": lambda state, request: (node.id for node in state.nodes(request.prefix)),
}
"""What can be searched, and how; a Nomad has more."""


class NamesEndpoint:
    """`NodePool.List`, `Namespace.ListNamespaces` and `Search.PrefixSearch`."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def handlers(self) -> Handlers:
        """Return what answers which method."""
        return {
            m.NODE_POOL_LIST: self.node_pools,
            m.NAMESPACE_LIST: self.list_namespaces,
            m.SEARCH_PREFIX: self.search,
        }

    async def node_pools(self, request: m.Request) -> m.NamesResponse:
        """Return the node pools: those that are always there, and those that clients are in."""
        return await self._context.read(
            request, (Table.NODES,), lambda state: m.NamesResponse(names=_beginning(pools(state), request.prefix))
        )

    async def list_namespaces(self, request: m.Request) -> m.NamesResponse:
        """Return the namespaces: the default one, and those that jobs are in."""
        return await self._context.read(
            request, (Table.JOBS,), lambda state: m.NamesResponse(names=_beginning(namespaces(state), request.prefix))
        )

    async def search(self, request: m.SearchRequest) -> m.SearchResponse:
        """Return the ids that begin with a prefix; raises RequestRefused (400) for a context that there is not."""
        if request.context not in {ALL_CONTEXTS, *CONTEXTS}:
            known = ", ".join((ALL_CONTEXTS, *CONTEXTS))
            raise RequestRefused(f"context {request.context!r} cannot be searched; name one of {known}", 400)
        contexts = [*CONTEXTS] if request.context == ALL_CONTEXTS else [request.context]
        return await self._context.read(request, tuple(Table), lambda state: _found(state, request, contexts))


def pools(state: State) -> list[str]:
    """Return the names of the node pools, sorted."""
    return sorted({ALL_POOL, DEFAULT_POOL, *(node.node_pool for node in state.nodes())})


def namespaces(state: State) -> list[str]:
    """Return the names of the namespaces, sorted."""
    return sorted({DEFAULT_NAMESPACE, *(job.namespace for job in state.jobs())})


def _beginning(names: Iterable[str], prefix: str) -> list[str]:
    return [name for name in names if name.startswith(prefix)]


def _found(state: State, request: m.SearchRequest, contexts: list[str]) -> m.SearchResponse:
    found = {context: list(CONTEXTS[context](state, request)) for context in contexts}
    return m.SearchResponse(
        matches={context: ids[:MATCHES_MAX] for context, ids in found.items()},
        truncations={context: len(ids) > MATCHES_MAX for context, ids in found.items()},
    )

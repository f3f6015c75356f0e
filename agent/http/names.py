"""What there is by name: /v1/node/pools, /v1/namespaces and /v1/search. Source: bodies recorded from Nomad 2.0.5."""

from typing import Any

import msgspec
from aiohttp import web

from agent.http.api import AgentApi
from agent.http.bodies import meta
from agent.http.decode import decode_body, read_body
from agent.http.query import CALL_TIMEOUT_SECONDS, read_query
from agent.http.reply import Reply, Route, get, json_reply, read_headers
from agent.model.base import Model
from agent.rpc.methods import NAMESPACE_LIST, NODE_POOL_LIST, SEARCH_PREFIX, Request, SearchRequest

_POOLS = {"all": "Node pool with all nodes in the cluster.", "default": "Default node pool."}
_NAMESPACES = {"default": "Default shared namespace"}


class SearchBody(Model, frozen=True):
    """What is posted to search."""

    prefix: str = ""
    context: str = ""


async def node_pools(api: AgentApi, request: web.Request) -> Reply:
    """Answer with the node pools; nobody can make or change one, so each is as it was made."""
    response = await api.caller.call(
        NODE_POOL_LIST, Request(**read_query(api, request).options()), CALL_TIMEOUT_SECONDS
    )
    body = [{"Name": name, "Description": _POOLS.get(name, ""), **_NEVER_CHANGED, **_POOL} for name in response.names]
    return json_reply(body, headers=read_headers(response))


async def namespaces(api: AgentApi, request: web.Request) -> Reply:
    """Answer with the namespaces; nobody can make or change one, so each is as it was made."""
    response = await api.caller.call(
        NAMESPACE_LIST, Request(**read_query(api, request).options()), CALL_TIMEOUT_SECONDS
    )
    body = [
        {"Name": name, "Description": _NAMESPACES.get(name, ""), **_NEVER_CHANGED, **_NAMESPACE}
        for name in response.names
    ]
    return json_reply(body, headers=read_headers(response))


async def search(api: AgentApi, request: web.Request) -> Reply:
    """Answer with the ids that begin with a prefix, at most twenty of each context."""
    posted = decode_body(await read_body(request), SearchBody)
    options = msgspec.structs.asdict(Request(**read_query(api, request).options())) | {"prefix": posted.prefix}
    asked = SearchRequest(**options, context=posted.context or "all")
    response = await api.caller.call(SEARCH_PREFIX, asked, CALL_TIMEOUT_SECONDS)
    body = {"Matches": response.matches, "Truncations": response.truncations, **meta(response)}
    return json_reply(body, headers=read_headers(response))


_NEVER_CHANGED: dict[str, Any] = {"CreateIndex": 1, "ModifyIndex": 1, "Hash": None, "Meta": None}
_POOL: dict[str, Any] = {"NodeIdentityTTL": 0, "SchedulerConfiguration": None}
_NAMESPACE: dict[str, Any] = {
    "Capabilities": None, "ConsulConfiguration": None, "NodePoolConfiguration": None, "OptionalExtraClaims": None,
    "Quota": "", "RequiredExtraClaims": None, "VaultConfiguration": None,
}  # fmt: skip

ROUTES = (
    get("/v1/node/pools", node_pools),
    get("/v1/namespaces", namespaces),
    Route("/v1/search", {"POST": search, "PUT": search}),
)

"""Clients: /v1/nodes, /v1/node/:id and its allocations."""

from aiohttp import web

from agent.http.api import AgentApi
from agent.http.bodies import allocation_body, node_body
from agent.http.failures import require_uuid
from agent.http.query import CALL_TIMEOUT_SECONDS, read_query
from agent.http.reply import Reply, get, json_reply, paged, read_headers, text_reply
from agent.model.base import NodeID
from agent.rpc.methods import NODE_GET_ALLOCS, NODE_GET_NODE, NODE_LIST, NodeSpecificRequest, Request


async def nodes(api: AgentApi, request: web.Request) -> Reply:
    """Answer with the nodes, by id."""
    query = read_query(api, request)
    response = await api.caller.call(NODE_LIST, Request(**query.options()), CALL_TIMEOUT_SECONDS)
    page = paged(response.nodes, lambda node: node.id, query)
    return json_reply(page.items, headers={**read_headers(response), **page.headers()})


async def node(api: AgentApi, request: web.Request) -> Reply:
    """Answer with one node, without its secret."""
    asked = _asked(api, request)
    response = await api.caller.call(NODE_GET_NODE, asked, CALL_TIMEOUT_SECONDS)
    if response.node is None:
        return text_reply("node not found", 404, read_headers(response))
    return json_reply(node_body(response.node), headers=read_headers(response))


async def allocations(api: AgentApi, request: web.Request) -> Reply:
    """Answer with the whole allocations of one node."""
    asked = _asked(api, request)
    response = await api.caller.call(NODE_GET_ALLOCS, asked, CALL_TIMEOUT_SECONDS)
    return json_reply([allocation_body(alloc) for alloc in response.allocs], headers=read_headers(response))


def _asked(api: AgentApi, request: web.Request) -> NodeSpecificRequest:
    """Return the question about the node in the path; refuses what cannot be an id."""
    query = read_query(api, request)
    node_id = NodeID(request.match_info["node_id"])
    require_uuid("node", node_id)
    return NodeSpecificRequest(node_id=node_id, **query.options())


ROUTES = (
    get("/v1/nodes", nodes),
    get("/v1/node/{node_id}/allocations", allocations),
    get("/v1/node/{node_id}", node),
)

"""Clients: /v1/nodes, /v1/node/:id, its allocations, its eligibility and its drain."""

from aiohttp import web

from agent.errors import RequestRefused
from agent.http.api import AgentApi
from agent.http.bodies import allocation_body, drain_body, eligibility_body, node_body
from agent.http.decode import decode_body, read_body
from agent.http.failures import require_uuid
from agent.http.query import CALL_TIMEOUT_SECONDS, read_query
from agent.http.reply import Reply, Route, get, json_reply, paged, read_headers, text_reply, write_headers
from agent.model.base import Model, NodeID
from agent.model.node import DrainSpec
from agent.rpc.methods import (
    NODE_GET_ALLOCS,
    NODE_GET_NODE,
    NODE_LIST,
    NODE_UPDATE_DRAIN,
    NODE_UPDATE_ELIGIBILITY,
    NodeSpecificRequest,
    NodeUpdateDrainRequest,
    NodeUpdateEligibilityRequest,
    Request,
)


class EligibilityBody(Model, frozen=True):
    """What is posted to change a node's eligibility; the node is the one in the path."""

    eligibility: str = ""


class DrainBody(Model, frozen=True):
    """What is posted to drain a node or, without a specification, to end that; the node is the one in the path."""

    drain_spec: DrainSpec | None = None
    mark_eligible: bool = False
    meta: dict[str, str] | None = None


DEADLINE_LIMIT_NS = 2**63
"""Go's durations are below it, both ways."""


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


async def set_eligibility(api: AgentApi, request: web.Request) -> Reply:
    """Let new work onto one node, or keep it off."""
    query = read_query(api, request)
    posted = decode_body(await read_body(request), EligibilityBody)
    asked = NodeUpdateEligibilityRequest(region=query.region, node_id=_node_id(request), eligibility=posted.eligibility)
    response = await api.caller.call(NODE_UPDATE_ELIGIBILITY, asked, CALL_TIMEOUT_SECONDS)
    return json_reply(eligibility_body(response), headers=write_headers(response))


async def set_drain(api: AgentApi, request: web.Request) -> Reply:
    """Drain one node, change its drain, or end it."""
    query = read_query(api, request)
    posted = decode_body(await read_body(request), DrainBody)
    spec = posted.drain_spec
    if spec is not None and not -DEADLINE_LIMIT_NS <= spec.deadline < DEADLINE_LIMIT_NS:
        message = (
            "json: cannot unmarshal number into Go struct field DrainSpec.DrainSpec.Deadline of type time.Duration"
        )
        raise RequestRefused(message, 400)
    asked = NodeUpdateDrainRequest(
        region=query.region,
        node_id=_node_id(request),
        spec=spec,
        mark_eligible=posted.mark_eligible,
        meta=posted.meta,
    )
    response = await api.caller.call(NODE_UPDATE_DRAIN, asked, CALL_TIMEOUT_SECONDS)
    return json_reply(drain_body(response), headers=write_headers(response))


async def allocations(api: AgentApi, request: web.Request) -> Reply:
    """Answer with the whole allocations of one node."""
    asked = _asked(api, request)
    response = await api.caller.call(NODE_GET_ALLOCS, asked, CALL_TIMEOUT_SECONDS)
    return json_reply([allocation_body(alloc) for alloc in response.allocs], headers=read_headers(response))


def _asked(api: AgentApi, request: web.Request) -> NodeSpecificRequest:
    """Return the question about the node in the path; refuses what cannot be an id."""
    query = read_query(api, request)
    return NodeSpecificRequest(node_id=_node_id(request), **query.options())


def _node_id(request: web.Request) -> NodeID:
    node_id = NodeID(request.match_info["node_id"])
    require_uuid("node", node_id)
    return node_id


ROUTES = (
    get("/v1/nodes", nodes),
    get("/v1/node/{node_id}/allocations", allocations),
    Route("/v1/node/{node_id}/eligibility", {"POST": set_eligibility, "PUT": set_eligibility}),
    Route("/v1/node/{node_id}/drain", {"POST": set_drain, "PUT": set_drain}),
    get("/v1/node/{node_id}", node),
)

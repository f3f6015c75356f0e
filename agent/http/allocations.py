"""Allocations: /v1/allocations and /v1/allocation/:id."""

from aiohttp import web

from agent.http.api import AgentApi
from agent.http.bodies import alloc_stub_body, allocation_body
from agent.http.failures import require_uuid
from agent.http.query import CALL_TIMEOUT_SECONDS, read_query
from agent.http.reply import Reply, get, json_reply, paged, read_headers, text_reply
from agent.model.base import AllocID
from agent.rpc.methods import ALLOC_GET_ALLOC, ALLOC_LIST, AllocSpecificRequest, Request


async def allocations(api: AgentApi, request: web.Request) -> Reply:
    """Answer with all allocations, oldest first, or newest first with `?reverse=true`."""
    query = read_query(api, request)
    response = await api.caller.call(ALLOC_LIST, Request(**query.options()), CALL_TIMEOUT_SECONDS)
    ordered = sorted(response.allocs, key=lambda alloc: (alloc.create_index, alloc.id), reverse=query.reverse)
    page = paged(ordered, lambda alloc: f"{alloc.create_index}.{alloc.id}", query)
    headers = {**read_headers(response), **page.headers()}
    return json_reply([alloc_stub_body(stub) for stub in page.items], headers=headers)


async def allocation(api: AgentApi, request: web.Request) -> Reply:
    """Answer with one allocation, its job included."""
    query = read_query(api, request)
    alloc_id = AllocID(request.match_info["alloc_id"])
    require_uuid("alloc", alloc_id)
    asked = AllocSpecificRequest(alloc_id=alloc_id, **query.options())
    response = await api.caller.call(ALLOC_GET_ALLOC, asked, CALL_TIMEOUT_SECONDS)
    if response.alloc is None:
        return text_reply("alloc not found", 404, read_headers(response))
    return json_reply(allocation_body(response.alloc), headers=read_headers(response))


ROUTES = (get("/v1/allocations", allocations), get("/v1/allocation/{alloc_id}", allocation))

"""Evaluations: /v1/evaluations and /v1/evaluation/:id."""

from aiohttp import web

from agent.http.api import AgentApi
from agent.http.bodies import alloc_stub_body, evaluation_body, meta
from agent.http.failures import require_uuid
from agent.http.query import CALL_TIMEOUT_SECONDS, read_query
from agent.http.reply import Reply, get, json_reply, paged, read_headers, text_reply
from agent.model.base import EvalID
from agent.rpc.methods import EVAL_ALLOCATIONS, EVAL_COUNT, EVAL_GET_EVAL, EVAL_LIST, EvalSpecificRequest, Request


async def evaluations(api: AgentApi, request: web.Request) -> Reply:
    """Answer with all evaluations, oldest first, or newest first with `?reverse=true`."""
    query = read_query(api, request)
    response = await api.caller.call(EVAL_LIST, Request(**query.options()), CALL_TIMEOUT_SECONDS)
    ordered = sorted(response.evals, key=lambda found: (found.create_index, found.id), reverse=query.reverse)
    page = paged(ordered, lambda found: f"{found.create_index}.{found.id}", query)
    headers = {**read_headers(response), **page.headers()}
    return json_reply([evaluation_body(found) for found in page.items], headers=headers)


async def evaluation(api: AgentApi, request: web.Request) -> Reply:
    """Answer with one evaluation."""
    query = read_query(api, request)
    eval_id = EvalID(request.match_info["eval_id"])
    require_uuid("eval", eval_id)
    asked = EvalSpecificRequest(eval_id=eval_id, **query.options())
    response = await api.caller.call(EVAL_GET_EVAL, asked, CALL_TIMEOUT_SECONDS)
    if response.eval is None:
        return text_reply("eval not found", 404, read_headers(response))
    return json_reply(evaluation_body(response.eval), headers=read_headers(response))


async def count(api: AgentApi, request: web.Request) -> Reply:
    """Answer with how many evaluations there are."""
    response = await api.caller.call(EVAL_COUNT, Request(**read_query(api, request).options()), CALL_TIMEOUT_SECONDS)
    return json_reply({"Count": response.count, **meta(response)}, headers=read_headers(response))


async def allocations(api: AgentApi, request: web.Request) -> Reply:
    """Answer with the allocations that an evaluation placed or changed last; an unknown one has none."""
    eval_id = EvalID(request.match_info["eval_id"])
    require_uuid("eval", eval_id)
    asked = EvalSpecificRequest(eval_id=eval_id, **read_query(api, request).options())
    response = await api.caller.call(EVAL_ALLOCATIONS, asked, CALL_TIMEOUT_SECONDS)
    return json_reply([alloc_stub_body(stub) for stub in response.allocs], headers=read_headers(response))


ROUTES = (
    get("/v1/evaluations", evaluations),
    get("/v1/evaluations/count", count),
    get("/v1/evaluation/{eval_id}", evaluation),
    get("/v1/evaluation/{eval_id}/allocations", allocations),
)

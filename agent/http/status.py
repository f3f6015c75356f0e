"""Who leads and who votes: /v1/status/leader and /v1/status/peers."""

from aiohttp import web

from agent.http.api import AgentApi
from agent.http.query import CALL_TIMEOUT_SECONDS, read_query
from agent.http.reply import Reply, get, json_reply
from agent.rpc.methods import STATUS_LEADER, STATUS_PEERS, Request


async def leader(api: AgentApi, request: web.Request) -> Reply:
    """Answer with the leader's address; with `?stale` an empty string when none is known."""
    query = read_query(api, request)
    response = await api.caller.call(STATUS_LEADER, Request(**query.options()), CALL_TIMEOUT_SECONDS)
    return json_reply(response.leader)


async def peers(api: AgentApi, request: web.Request) -> Reply:
    """Answer with the addresses of the servers in the Raft configuration."""
    query = read_query(api, request)
    response = await api.caller.call(STATUS_PEERS, Request(**query.options()), CALL_TIMEOUT_SECONDS)
    return json_reply(response.peers)


ROUTES = (get("/v1/status/leader", leader), get("/v1/status/peers", peers))

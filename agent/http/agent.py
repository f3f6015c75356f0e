"""The agent itself: /v1/agent/self, /members, /health, /servers, and /v1/regions."""

from dataclasses import asdict

from aiohttp import web

from agent.errors import RequestRefused
from agent.http.api import AgentApi
from agent.http.failures import INVALID_METHOD
from agent.http.reply import Reply, get, json_reply


async def self_info(api: AgentApi, _request: web.Request) -> Reply:
    """Answer with the agent's configuration, member and statistics."""
    return json_reply(api.self_info())


async def members(api: AgentApi, _request: web.Request) -> Reply:
    """Answer with the servers that gossip knows."""
    return json_reply(await api.members())


async def health(api: AgentApi, request: web.Request) -> Reply:
    """Answer 200 when both halves are well, else 500; `?type=server` or `client` asks for one half."""
    wanted = request.query.getall("type", [])
    found = await api.health()
    body = {
        name: asdict(check)
        for name, check in (("server", found.server), ("client", found.client))
        if check is not None and (not wanted or name in wanted)
    }
    return json_reply(body, 200 if all(check["ok"] for check in body.values()) else 500)


async def servers(api: AgentApi, _request: web.Request) -> Reply:
    """Answer with the servers a client knows; a server has no such list, and says 501 as Nomad's does."""
    if not api.is_client:
        raise RequestRefused(INVALID_METHOD, 501)
    return json_reply(sorted(api.known_servers()))


async def regions(api: AgentApi, _request: web.Request) -> Reply:
    """Answer with the one region there is."""
    return json_reply([api.region])


ROUTES = (
    get("/v1/agent/self", self_info),
    get("/v1/agent/members", members),
    get("/v1/agent/health", health),
    get("/v1/agent/servers", servers),
    get("/v1/regions", regions),
)

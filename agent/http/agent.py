"""The agent itself and its gossip: /v1/agent/self, /members, /join, /keyring and more, and /v1/regions."""

from dataclasses import asdict

import msgspec
from aiohttp import web

from agent.errors import RequestRefused
from agent.http.api import AgentApi, GossipApi
from agent.http.decode import decode_body, read_body
from agent.http.failures import INVALID_METHOD
from agent.http.query import boolean
from agent.http.reply import Reply, Route, get, json_reply


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
    """Answer with the regions of which servers are known."""
    return json_reply(await api.regions())


async def join(api: AgentApi, request: web.Request) -> Reply:
    """Let the server join others by their gossip addresses; what went wrong with some is said beside the others."""
    gossip = _gossip(api)
    addresses = [address for address in request.query.getall("address", []) if address]
    if not addresses:
        raise RequestRefused("missing address to join", 400)
    joined, errors = await gossip.join(addresses[:JOIN_MAX])
    return json_reply({"error": "; ".join(errors) if not joined else "", "num_joined": joined})


async def force_leave(api: AgentApi, request: web.Request) -> Reply:
    """Let a failed server count as left, and with `?prune` forget it; a name that nobody has is passed over."""
    gossip = _gossip(api)
    node = request.query.get("node", "")
    if not node:
        raise RequestRefused("missing node to force leave", 400)
    gossip.force_leave(node, prune=boolean(request.query, "prune", bare=True))
    return Reply(b"", content_type="")


async def keyring(api: AgentApi, request: web.Request) -> Reply:
    """List the keys that encrypt gossip, or install, use or remove one, on all servers that live."""
    gossip = _gossip(api)
    operation = request.match_info["operation"]
    if operation not in _KEYRING:
        raise RequestRefused("resource not found", 404)
    key = ""
    if operation != "list":
        if request.method == "GET":
            raise RequestRefused(INVALID_METHOD, 405)
        key = decode_body(await read_body(request), KeyBody).key
    answers = await gossip.keyring(operation, key)
    if answers.messages:
        told = "; ".join(f"{name}: {message}" for name, message in sorted(answers.messages.items()))
        raise RequestRefused(f"{len(answers.messages)}/{answers.asked} servers reported failure: {told}", 500)
    return json_reply(answers.body())


def _gossip(api: AgentApi) -> GossipApi:
    """Return the agent's gossip; a client has none, and says 501 as Nomad's does."""
    if api.gossip is None:
        raise RequestRefused(INVALID_METHOD, 501)
    return api.gossip


class KeyBody(msgspec.Struct, frozen=True, rename="pascal"):
    """The body that names a key, in base64."""

    key: str = ""


JOIN_MAX = 64
"""Addresses in one request to join."""

_KEYRING = frozenset({"list", "install", "use", "remove"})


ROUTES = (
    get("/v1/agent/self", self_info),
    get("/v1/agent/members", members),
    get("/v1/agent/health", health),
    get("/v1/agent/servers", servers),
    get("/v1/regions", regions),
    Route("/v1/agent/join", {"PUT": join, "POST": join}),
    Route("/v1/agent/force-leave", {"PUT": force_leave, "POST": force_leave}),
    Route("/v1/agent/keyring/{operation}", {"GET": keyring, "PUT": keyring, "POST": keyring}),
)

"""For operators: /v1/operator/raft/configuration and /raft/peer, /v1/operator/autopilot/health."""

from aiohttp import web

from agent.errors import RequestRefused
from agent.http.api import AgentApi
from agent.http.query import CALL_TIMEOUT_SECONDS, read_query
from agent.http.reply import Reply, Route, get, json_reply
from agent.rpc.methods import (
    OPERATOR_RAFT_CONFIGURATION,
    OPERATOR_RAFT_REMOVE_PEER,
    OPERATOR_SERVER_HEALTH,
    RaftPeerRequest,
    Request,
)


async def raft_configuration(api: AgentApi, request: web.Request) -> Reply:
    """Answer with the servers in the Raft configuration; the index is 0, as Nomad's is."""
    query = read_query(api, request)
    response = await api.caller.call(OPERATOR_RAFT_CONFIGURATION, Request(**query.options()), CALL_TIMEOUT_SECONDS)
    return json_reply({"Index": 0, "Servers": response.servers})


async def remove_peer(api: AgentApi, request: web.Request) -> Reply:
    """Remove the server that `?id=` or `?address=` names from the Raft configuration; the answer has no body."""
    query = read_query(api, request)
    server_id, address = request.query.get("id", ""), request.query.get("address", "")
    if not server_id and not address:
        raise RequestRefused(
            "Must specify either ?id with the server's ID or ?address with IP:port of peer to remove", 400
        )
    if server_id and address:
        raise RequestRefused("Must specify only one of ?id or ?address", 400)
    asked = RaftPeerRequest(region=query.region, id=server_id, address=address)
    await api.caller.call(OPERATOR_RAFT_REMOVE_PEER, asked, CALL_TIMEOUT_SECONDS)
    return Reply(b"", content_type="")


async def autopilot_health(api: AgentApi, request: web.Request) -> Reply:
    """Answer with the health of all servers: 200 when healthy, 429 with the same body when not.

    Only the leader knows, so `?stale` changes nothing.
    """
    query = read_query(api, request)
    asked = Request(region=query.region, namespace=query.namespace)
    response = await api.caller.call(OPERATOR_SERVER_HEALTH, asked, CALL_TIMEOUT_SECONDS)
    body = {
        "Healthy": response.healthy,
        "FailureTolerance": response.failure_tolerance,
        "Leader": response.leader,
        "Voters": response.voters,
        "Servers": response.servers,
    }
    return json_reply(body, 200 if response.healthy else 429)


ROUTES = (
    get("/v1/operator/raft/configuration", raft_configuration),
    Route("/v1/operator/raft/peer", {"DELETE": remove_peer}),
    get("/v1/operator/autopilot/health", autopilot_health),
)

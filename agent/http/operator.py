"""For operators: /v1/operator/raft/configuration, raft/peer, raft/transfer-leadership and autopilot/health."""

from aiohttp import web

from agent.errors import RequestRefused
from agent.http.api import AgentApi
from agent.http.query import CALL_TIMEOUT_SECONDS, read_query
from agent.http.reply import Reply, Route, get, json_reply
from agent.rpc.methods import (
    OPERATOR_RAFT_CONFIGURATION,
    OPERATOR_RAFT_REMOVE_PEER,
    OPERATOR_RAFT_TRANSFER,
    OPERATOR_SERVER_HEALTH,
    RaftPeerRequest,
    RaftTransferRequest,
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


async def transfer_leadership(api: AgentApi, request: web.Request) -> Reply:
    """Let the server `?id` or `?address` (of gRPC) lead, and say who led and who leads once it does."""
    query = read_query(api, request)
    peer_id, address = request.query.get("id", ""), request.query.get("address", "")
    if not peer_id and not address:
        text = "must specify either ?id with the server's id or ?address with host:port of the server that is to lead"
        raise RequestRefused(text, 400)
    if peer_id and address:
        raise RequestRefused("must specify only one of ?id or ?address", 400)
    asked = RaftTransferRequest(region=query.region, peer_id=peer_id, peer_address=address)
    response = await api.caller.call(OPERATOR_RAFT_TRANSFER, asked, CALL_TIMEOUT_SECONDS)
    body = {
        "From": {"Address": response.from_address, "ID": response.from_id},
        "To": {"Address": response.to_address, "ID": response.to_id},
        "Noop": response.from_id == response.to_id,
        "Err": None,
    }
    return json_reply(body)


ROUTES = (
    get("/v1/operator/raft/configuration", raft_configuration),
    Route("/v1/operator/raft/peer", {"DELETE": remove_peer}),
    Route("/v1/operator/raft/transfer-leadership", {"PUT": transfer_leadership, "POST": transfer_leadership}),
    get("/v1/operator/autopilot/health", autopilot_health),
)

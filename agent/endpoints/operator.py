"""Servers: who leads, who votes, who is healthy. Source: nomad/status_endpoint.go, nomad/operator_endpoint.go."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from agent.consensus.replicator import Peer, ReplicatorStatus, Standing
from agent.endpoints.context import Context, Handlers
from agent.endpoints.health import others
from agent.errors import NotFound, RequestRefused
from agent.model.command import UpdateAutopilot
from agent.rpc import methods as m
from agent.rpc.caller import Caller
from agent.state.fsm import CHANGED_STATUS

CHANGE_SECONDS = 5.0
"""Deadline of a change of the servers, as of any write."""


@dataclass(frozen=True, slots=True)
class Group:
    """What changes the servers of the group. `hand_over` returns once this server leads no more."""

    caller: Callable[[], Caller]
    hand_over: Callable[[], Awaitable[None]]
    remove: Callable[[str, float], Awaitable[None]]


class OperatorEndpoint:
    """`Status.*` and `Operator.*`."""

    def __init__(
        self,
        context: Context,
        own: Peer,
        health: Callable[[], m.AutopilotHealthResponse],
        members: Callable[[], list[dict[str, Any]]],
        group: Group,
    ) -> None:
        self._context = context
        self._own = own
        self._health = health
        self._members = members
        self._group = group

    def handlers(self) -> Handlers:
        """Return what answers which method."""
        return {
            m.STATUS_PING: self.ping,
            m.STATUS_LEADER: self.leader,
            m.STATUS_PEERS: self.peers,
            m.STATUS_MEMBERS: self.members,
            m.OPERATOR_RAFT_CONFIGURATION: self.raft_configuration,
            m.OPERATOR_RAFT_REMOVE_PEER: self.remove_peer,
            m.OPERATOR_AUTOPILOT_CONFIG: self.autopilot_config,
            m.OPERATOR_AUTOPILOT_SET_CONFIG: self.set_autopilot_config,
            m.OPERATOR_SERVER_HEALTH: self.server_health,
        }

    async def ping(self, request: m.Request) -> m.Response:
        """Show that this server answers."""
        del request
        return self._context.fresh(m.Response(), self._context.state.index)

    async def leader(self, request: m.Request) -> m.StatusLeaderResponse:
        """Return the leader's gRPC address, empty without one."""
        del request
        leader = self._context.status().leader
        return self._fresh(m.StatusLeaderResponse(leader=leader.rpc_address if leader else ""))

    async def peers(self, request: m.Request) -> m.StatusPeersResponse:
        """Return the gRPC addresses of all servers in the configuration."""
        del request
        status = self._context.status()
        own = [] if status.standing is Standing.NONE else [self._own.rpc_address]
        peers = [*own, *(entry.peer.rpc_address for entry in others(status, self._own))]
        return self._fresh(m.StatusPeersResponse(peers=peers))

    async def members(self, request: m.Request) -> m.MembersResponse:
        """Return the servers as this one knows them."""
        del request
        return self._fresh(m.MembersResponse(members=self._members()))

    async def raft_configuration(self, request: m.Request) -> m.RaftConfigurationResponse:
        """Return the Raft configuration."""
        del request
        status = self._context.status()
        own = [] if status.standing is Standing.NONE else [(self._own, status.standing is Standing.VOTER)]
        voters = [*own, *((entry.peer, entry.voter) for entry in others(status, self._own))]
        servers = [_raft_server(peer, voter, status, self._context.region) for peer, voter in voters]
        return self._fresh(m.RaftConfigurationResponse(servers=servers))

    async def remove_peer(self, request: m.RaftPeerRequest) -> m.Response:
        """Remove a server; the leader itself hands the leadership over, and the next one removes it."""
        text = request.id or request.address
        if not text or (request.id and request.address):
            raise RequestRefused("name the server to remove either by its id or by its address", 400)
        if text in {self._own.server_id, self._own.rpc_address, self._own.raft_address}:
            if not others(self._context.status(), self._own):
                raise RequestRefused("this is the only server of the group, and is not removed")
            await self._group.hand_over()
            onward = msgspec.structs.replace(request, forwarded=False)
            return await self._group.caller().call(m.OPERATOR_RAFT_REMOVE_PEER, onward, CHANGE_SECONDS)
        try:
            await self._group.remove(text, CHANGE_SECONDS)
        except NotFound as error:
            raise RequestRefused(f"{'id' if request.id else 'address'} {error}") from error
        return self._fresh(m.Response())

    async def autopilot_config(self, request: m.Request) -> m.AutopilotConfigResponse:
        """Return the settings of autopilot."""
        del request
        return self._fresh(m.AutopilotConfigResponse(config=self._context.state.autopilot))

    async def set_autopilot_config(self, request: m.AutopilotSetConfigRequest) -> m.AutopilotSetConfigResponse:
        """Change the settings of autopilot, or not, when they were changed since the index that the request names."""
        context = self._context
        command = UpdateAutopilot(
            request_id=context.new_id(), at=context.now_ns(), config=request.config, check_index=request.check_index
        )
        try:
            result = await context.propose(command)
        except RequestRefused as error:
            if error.status != CHANGED_STATUS:
                raise
            return self._fresh(m.AutopilotSetConfigResponse(updated=False))
        return context.fresh(m.AutopilotSetConfigResponse(), result.index)

    async def server_health(self, request: m.Request) -> m.AutopilotHealthResponse:
        """Return autopilot's last judgement; empty for a moment after an election, as on Nomad."""
        del request
        return self._fresh(self._health())

    def _fresh(self, response: m.R) -> m.R:
        return self._context.fresh(response, self._context.state.index)


def _raft_server(peer: Peer, voter: bool, status: ReplicatorStatus, region: str) -> m.RaftServer:
    return m.RaftServer(
        id=peer.server_id,
        node=f"{peer.name}.{region}" if peer.name else "(unknown)",
        address=peer.rpc_address,
        leader=status.leader is not None and peer.raft_address == status.leader.raft_address,
        voter=voter,
    )

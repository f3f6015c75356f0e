"""Servers: who leads, who votes, who is healthy. Source: nomad/status_endpoint.go, nomad/operator_endpoint.go."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from agent.consensus.replicator import Peer, ReplicatorStatus, Standing
from agent.endpoints.context import Context, Handlers
from agent.endpoints.health import others
from agent.errors import NotFound, RequestRefused, UnknownOutcome
from agent.model.command import UpdateAutopilot
from agent.rpc import methods as m
from agent.rpc.caller import Caller
from agent.state.fsm import CHANGED_STATUS

CHANGE_SECONDS = 5.0
"""Deadline of a change of the servers, as of any write."""


@dataclass(frozen=True, slots=True)
class Group:
    """What changes the servers of the group.

    `hand_over` returns once this server leads no more; `transfer` asks the server with an id to lead, as `Replicator`
    does.
    """

    caller: Callable[[], Caller]
    hand_over: Callable[[], Awaitable[None]]
    remove: Callable[[str, float], Awaitable[None]]
    transfer: Callable[[str], Awaitable[bool]]


CATCH_UP_SECONDS = 2.0
"""How long a follower that is to lead may take to have the whole log: on a busy cluster it has it between two writes."""

TRANSFER_SECONDS = 5.0
"""How long the new leader may take to be known; an election takes a few hundredths of a second."""

_LOOK_SECONDS = 0.02


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
            m.OPERATOR_RAFT_TRANSFER: self.transfer_leadership,
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

    async def transfer_leadership(self, request: m.RaftTransferRequest) -> m.RaftTransferResponse:
        """Let another server lead and return once it does; raises RequestRefused when it cannot."""
        wanted = self._wanted(request)
        if wanted != self._own:
            await self._ask_to_lead(wanted)
            await self._until_it_leads(wanted)
        return self._fresh(
            m.RaftTransferResponse(
                from_id=self._own.server_id,
                from_address=self._own.rpc_address,
                to_id=wanted.server_id,
                to_address=wanted.rpc_address,
            )
        )

    def _wanted(self, request: m.RaftTransferRequest) -> Peer:
        peers = [self._own, *(entry.peer for entry in others(self._context.status(), self._own))]
        for peer in peers:
            if request.peer_id == peer.server_id if request.peer_id else request.peer_address == peer.rpc_address:
                return peer
        kind, text = ("id", request.peer_id) if request.peer_id else ("address", request.peer_address)
        raise RequestRefused(f'{kind} "{text}" was not found in the Raft configuration', 400)

    async def _ask_to_lead(self, wanted: Peer) -> None:
        """Ask *wanted* once it has the whole log; raises RequestRefused when it does not get it in time."""
        clock = self._context.clock
        give_up = clock.monotonic() + CATCH_UP_SECONDS
        while not await self._group.transfer(wanted.server_id):
            if clock.monotonic() >= give_up:
                status = self._context.status()
                entry = next(entry for entry in others(status, self._own) if entry.peer == wanted)
                has = f"it has {entry.match_index or 0} of {status.last_index} entries"
                reason = (
                    ("it has no vote yet" if not entry.voter else has) if entry.connected else "it is not connected"
                )
                raise RequestRefused(f"{wanted.name or wanted.rpc_address} cannot lead now: {reason}", 409)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _until_it_leads(self, wanted: Peer) -> None:
        clock = self._context.clock
        give_up = clock.monotonic() + TRANSFER_SECONDS
        while (leader := self._context.status().leader) is None or leader.server_id != wanted.server_id:
            if clock.monotonic() >= give_up:
                leads = "nobody" if leader is None else leader.name
                raise UnknownOutcome(f"{wanted.name} was asked to lead, and {leads} leads")
            await asyncio.sleep(_LOOK_SECONDS)

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

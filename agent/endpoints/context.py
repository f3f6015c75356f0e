"""What the endpoints of a server share."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from agent.consensus.replicator import ReplicatorStatus
from agent.endpoints.replicated import ReplicatedState
from agent.leader.duties import LeaderDuties
from agent.model.command import AnyCommand, Result
from agent.rpc.methods import Method, Request, Response
from agent.state.store import State, Table
from telemetry.clock import Clock
from telemetry.recorder import Recorder

R = TypeVar("R", bound=Response)

Handler = Callable[[Any], Awaitable[Response]]
Handlers = dict[Method[Any, Any], Handler]


@dataclass(frozen=True, slots=True)
class Context:
    """The server as its endpoints see it. Everything belongs to the event loop."""

    replicated: ReplicatedState
    duties: LeaderDuties
    propose: Callable[[AnyCommand], Awaitable[Result]]
    """Replicate a command and return its result; raises RequestRefused when the state machine refused it."""
    status: Callable[[], ReplicatorStatus]
    server_addresses: Callable[[], list[str]]
    """The gRPC addresses of all servers, for clients."""
    leads: Callable[[], bool]
    """Whether this server has the leader's duties and may believe that it still leads."""
    confirm_read: Callable[[], Awaitable[None]]
    """Returns once what is read from the state now is no older than the call; raises NotLeader where it may be."""
    leader_news: asyncio.Event
    """Wakes its waiters whenever this server learns of another leader, or of none; never stays set."""
    new_id: Callable[[], str]
    clock: Clock
    recorder: Recorder
    logger: logging.Logger
    name: str
    """The node name of this server, as the `outrider_*` series say it."""
    region: str
    datacenter: str

    @property
    def state(self) -> State:
        """The newest applied state."""
        return self.replicated.state

    def now_ns(self) -> int:
        """Return Unix nanoseconds."""
        return int(self.clock.wall() * 1e9)

    def fresh(self, response: R, index: int) -> R:
        """Return *response* with its index and how fresh it is."""
        status = self.status()
        return msgspec.structs.replace(
            response,
            index=index,
            last_contact_seconds=status.last_contact_seconds or 0.0,
            known_leader=status.leader is not None,
        )

    async def read(self, request: Request, tables: tuple[Table, ...], build: Callable[[State], R]) -> R:
        """Answer a read; with `min_query_index`, once one of *tables* has passed it or the time is over.

        The index of the answer is at least 1, as a watcher that asks again from 0 would not wait.
        """
        if request.min_query_index > 0 and self.state.table_index(*tables) <= request.min_query_index:
            await self.replicated.wait_for_tables(tables, request.min_query_index, request.max_query_time_seconds)
        state = self.state
        return self.fresh(build(state), max(1, state.table_index(*tables)))

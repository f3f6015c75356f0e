"""Keeps the servers believing in this node: registers it, then heartbeats at the time to live the leader gives.

Source: Nomad, client/client.go, registerAndHeartbeat.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from agent.client import heartbeat
from agent.errors import NotFound, OutriderError
from agent.model.node import Eligibility, Node, NodeStatus
from agent.rpc.caller import Caller
from agent.rpc.methods import (
    NODE_REGISTER,
    NODE_UPDATE_STATUS,
    NodeRegisterRequest,
    NodeUpdateResponse,
    NodeUpdateStatusRequest,
)
from telemetry.clock import Clock

CALL_SECONDS = 5.0
"""Longest a heartbeat may take: less than half of the least time to live, 10 s, so that one lost call is repeated."""

TTL_FALLBACK_SECONDS = 10.0
"""Where an answer names no time to live; Nomad's least."""


@dataclass(frozen=True, slots=True)
class HeartbeatStatus:
    """How the node stands with the servers; both times are seconds, the first since the last heartbeat or None."""

    registered: bool
    last_heartbeat_age_seconds: float | None
    ttl_seconds: float
    failures: int


class NodeSync:
    """One loop: register, be ready, renew; register again when the servers know the node no more."""

    def __init__(
        self,
        node: Callable[[], Node],
        region: str,
        caller: Caller,
        clock: Clock,
        rng: random.Random,
        logger: logging.Logger,
        on_servers: Callable[[list[str]], None],
    ) -> None:
        """*node* gives the node as it is now; *on_servers* takes the addresses that answers name."""
        self.registered = asyncio.Event()
        """Set once the node has been registered for the first time."""
        self._on_registered: Callable[[], None] = lambda: None
        self._node = node
        self._region = region
        self._caller = caller
        self._clock = clock
        self._rng = rng
        self._logger = logger
        self._on_servers = on_servers
        self._status = NodeStatus.INITIALIZING
        self._eligibility: str = Eligibility.ELIGIBLE
        self._last: float | None = None
        self._ttl = 0.0
        self._failures = 0
        self._failures_total = 0

    @property
    def node_status(self) -> NodeStatus:
        """What the servers were last told, and accepted."""
        return self._status

    @property
    def eligibility(self) -> str:
        """What the servers said last of the node; a heartbeat tells, as Nomad's client learns it."""
        return self._eligibility

    def status(self) -> HeartbeatStatus:
        """Return how the node stands; `failures` counts since the start."""
        age = None if self._last is None else self._clock.monotonic() - self._last
        return HeartbeatStatus(self._status is NodeStatus.READY, age, self._ttl, self._failures_total)

    def on_registered(self, hook: Callable[[], None]) -> None:
        """Call *hook* each time the node was registered: what was known of the servers' state may be void."""
        self._on_registered = hook

    async def run(self) -> None:
        """Keep on until cancelled."""
        while True:
            pause_seconds = await (self._renew() if self._status is NodeStatus.READY else self._begin())
            await asyncio.sleep(pause_seconds)

    async def leave(self, timeout_seconds: float) -> None:
        """Tell the servers that this node is down, so that they need not wait for it; raises OutriderError."""
        await self._update(NodeStatus.DOWN, timeout_seconds)
        self._status = NodeStatus.INITIALIZING

    async def _begin(self) -> float:
        """Register and become ready; return the seconds until the next step."""
        try:
            node = msgspec.structs.replace(self._node(), status=NodeStatus.INITIALIZING)
            request = NodeRegisterRequest(region=self._region, node=node)
            self._accepted(await self._caller.call(NODE_REGISTER, request, CALL_SECONDS))
            self._accepted(await self._update(NodeStatus.READY, CALL_SECONDS))
        except OutriderError as error:
            self._status = NodeStatus.INITIALIZING
            self._failed("node not registered", error)
            return heartbeat.before_register(self._failures, self._rng)
        self._logger.info("node registered: node=%s ttl=%.1fs", node.id, self._ttl)
        self._status = NodeStatus.READY
        self._on_registered()
        self.registered.set()
        return heartbeat.after_success(self._ttl, self._rng)

    async def _renew(self) -> float:
        """Send one heartbeat; return the seconds until the next step."""
        try:
            self._accepted(await self._update(NodeStatus.READY, CALL_SECONDS))
        except NotFound as error:
            self._failed("the servers do not know this node, registering again", error)
            self._status = NodeStatus.INITIALIZING
            return 0.0
        except OutriderError as error:
            self._failed("heartbeat failed", error)
            since = self._clock.monotonic() - (self._last or 0.0)
            return heartbeat.after_failure(self._failures, self._ttl - since, self._rng)
        return heartbeat.after_success(self._ttl, self._rng)

    async def _update(self, status: NodeStatus, timeout_seconds: float) -> NodeUpdateResponse:
        request = NodeUpdateStatusRequest(region=self._region, node_id=self._node().id, status=status)
        return await self._caller.call(NODE_UPDATE_STATUS, request, timeout_seconds)

    def _accepted(self, response: NodeUpdateResponse) -> None:
        if self._failures:
            self._logger.info("servers answer again: failures=%d", self._failures)
        self._failures = 0
        self._last = self._clock.monotonic()
        self._ttl = response.heartbeat_ttl_seconds or self._ttl or TTL_FALLBACK_SECONDS
        self._eligibility = response.scheduling_eligibility or self._eligibility
        self._on_servers(response.servers)

    def _failed(self, what: str, error: OutriderError) -> None:
        self._failures += 1
        self._failures_total += 1
        # The first of a row and then ever fewer: a long outage is one event, not one a second.
        if self._failures & (self._failures - 1) == 0:
            self._logger.warning("%s: failures=%d reason=%s", what, self._failures, error)

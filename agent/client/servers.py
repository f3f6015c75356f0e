"""The servers a client may ask: known from its configuration, refreshed by what heartbeats answer.

Source: Nomad, client/servers/manager.go.
"""

import logging
import random
from typing import Protocol, TypeVar

from agent.client.settings import DEFAULT_RPC_PORT
from agent.errors import NotLeader, OutriderError, RetryElsewhere, UnknownOutcome, Unreachable
from agent.rpc.methods import Method, Request, Response
from telemetry.clock import Clock

Q = TypeVar("Q", bound=Request)
R = TypeVar("R", bound=Response)

ATTEMPT_MIN_SECONDS = 1.0
"""Least time that one server gets to answer while there are others to ask."""

SERVERS_MAX = 64


class Wire(Protocol):
    """What a pool needs to reach a server: `agent.rpc.client.RpcClient`, or a simulated network."""

    async def call(self, address: str, method: Method[Q, R], request: Q, timeout_seconds: float) -> R:
        """Return the answer of the server at *address*."""

    def is_connected(self, address: str) -> bool:
        """Say whether a connection to *address* is ready."""


class ServerPool:
    """Asks the servers in turn, beginning with the one that answered last; a `Caller` for client agents."""

    def __init__(
        self, addresses: tuple[str, ...], wire: Wire, clock: Clock, rng: random.Random, logger: logging.Logger
    ) -> None:
        """Begin with *addresses*, in an order of this client's own, so that clients spread over servers."""
        self._configured = tuple(dict.fromkeys(with_port(address) for address in addresses))
        self._wire = wire
        self._clock = clock
        self._rng = rng
        self._logger = logger
        self._servers = list(self._configured)
        rng.shuffle(self._servers)

    @property
    def servers(self) -> list[str]:
        """The addresses known, the one to be asked next first."""
        return list(self._servers)

    def connected(self) -> int:
        """Return how many of the servers known a connection is ready to."""
        return sum(self._wire.is_connected(address) for address in self._servers)

    def refresh(self, addresses: list[str]) -> None:
        """Take *addresses*, as the leader told them, for the servers there are; an empty list changes nothing."""
        fresh = dict.fromkeys(with_port(address) for address in addresses[:SERVERS_MAX])
        if not fresh or set(fresh) == set(self._servers):
            return
        kept = [address for address in self._servers if address in fresh]
        added = [address for address in fresh if address not in kept]
        self._rng.shuffle(added)
        self._logger.info("servers changed: now=%s before=%s", ",".join(sorted(fresh)), ",".join(sorted(self._servers)))
        self._servers = kept + added

    async def call(self, method: Method[Q, R], request: Q, timeout_seconds: float) -> R:
        """Return the first answer; raises what a server raised, or Unreachable when none could be asked in time.

        A write without an answer is not repeated here (UnknownOutcome), but the next call begins elsewhere.
        """
        deadline = self._clock.monotonic() + timeout_seconds
        waiting = self._candidates()
        asked: set[str] = set()
        last: OutriderError = Unreachable("no server is known: set client.servers or client.server_join")
        while waiting:
            left = deadline - self._clock.monotonic()
            if left <= 0:
                break
            address = waiting.pop(0)
            asked.add(address)
            share = max(left / (len(waiting) + 1), min(ATTEMPT_MIN_SECONDS, left))
            try:
                return await self._wire.call(address, method, request, share)
            except UnknownOutcome:
                self._demote(address)
                raise
            except RetryElsewhere as error:
                self._logger.debug("server passed over: server=%s method=%s reason=%s", address, method.name, error)
                self._demote(address)
                last = error
                if isinstance(error, NotLeader) and error.leader and error.leader not in asked:
                    waiting = [error.leader, *(address for address in waiting if address != error.leader)]
        raise last if isinstance(last, Unreachable) else Unreachable(f"{method.name}: no server took it: {last}")

    def _candidates(self) -> list[str]:
        """Return all to ask: those known now, then those of the configuration, should the former all be gone."""
        return self._servers + [address for address in self._configured if address not in self._servers]

    def _demote(self, address: str) -> None:
        if address in self._servers:
            self._servers.remove(address)
            self._servers.append(address)


def with_port(address: str) -> str:
    """Return *address* as host:port, with the port of RPC where it names none; IPv6 hosts wear brackets."""
    if address.startswith("["):
        return address if "]:" in address else f"{address}:{DEFAULT_RPC_PORT}"
    if address.count(":") > 1:
        return f"[{address}]:{DEFAULT_RPC_PORT}"
    return address if ":" in address else f"{address}:{DEFAULT_RPC_PORT}"

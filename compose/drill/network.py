"""The network of a cluster under drill: relays before each server's RPC, gossip and Raft, and before scrapes.

Everybody reaches a server at the addresses it advertises, which are the same for all, as they stand in the servers' log:
who calls is told apart by the process that holds the other end of the connection, and who sent a packet by the port
that it came from. Prometheus has relays of its own, so that a cut between agents leaves `up` at 1, and a cut of scrapes
leaves the cluster alone.
"""

import asyncio
import os
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Self

from compose.links import LOOPBACK, PORTS_PER_SERVER, Cut, Link, Pair, PortBlock, Relays
from compose.local_settings import LocalAgent, LocalSettings

PROMETHEUS = "prometheus"
_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LOOPBACK_IN_PROC = ("0100007F", "0000000000000000FFFF00000100007F")
"""127.0.0.1 as the two tables write it; gRPC opens IPv6 sockets for IPv4 addresses, too."""
_NOBODY = ""

CallersOf = Callable[[Collection[int]], Mapping[int, str]]
"""Names the agents that hold the connections made from ports; those unknown or gone are left out."""


class AdvertisedRelays(Relays):
    """Ports before each server, as it advertises them to all; the link depends on who calls.

    Who that is is looked up only when it matters: for all at once when something is cut, and for each new one while
    it is. Clients whose servers are dead try a hundred times a second. A server advertises its three ports in a row,
    of which each kind of relays takes one.
    """

    def __init__(
        self,
        targets: Mapping[str, PortBlock],
        callers: Collection[str],
        base_port: int,
        callers_of: CallersOf,
    ) -> None:
        self._targets = dict(targets)
        self._callers = tuple(sorted(callers))
        self._callers_of = callers_of
        self.blocks = {
            name: PortBlock(serf=base_port + PORTS_PER_SERVER * number + 1)
            for number, name in enumerate(sorted(targets))
        }
        super().__init__(product([_NOBODY, *self._callers], targets), type(self).__name__)

    def _link_to(self, server: str) -> Callable[[int], Coroutine[Any, Any, Link]]:
        async def find(port: int) -> Link:
            nobody = self._links[_NOBODY, server]
            if all(self._links[caller, server].cut is None for caller in self._callers):
                return nobody
            callers = await asyncio.to_thread(self._callers_of, (port,))
            return self._links.get((callers.get(port, _NOBODY), server), nobody)

        return find

    async def _set(self, pairs: tuple[Pair, ...], how: Cut | None) -> None:
        if how is not None:
            await self._tell_apart({server for _, server in pairs})
        await super()._set(pairs, how)

    async def _tell_apart(self, servers: Collection[str]) -> None:
        """Move every connection to *servers* whose caller was not looked up to the link that is its own."""
        unknown = {(server, one) for server in servers for one in self._links[_NOBODY, server].connections}
        callers = await asyncio.to_thread(self._callers_of, {connection.port for _, connection in unknown})
        for server, connection in unknown:
            caller = callers.get(connection.port)
            if (caller, server) in self._links and connection in self._links[_NOBODY, server].connections:
                connection.move(self._links[caller or _NOBODY, server])


class RpcRelays(AdvertisedRelays):
    """One port before each server's RPC port."""

    async def _open(self) -> None:
        for server, block in self.blocks.items():
            await self._relay_port(block.ports[0], self._targets[server].ports[0], self._link_to(server))


class RaftRelays(AdvertisedRelays):
    """One port before each server's Raft port."""

    async def _open(self) -> None:
        for server, block in self.blocks.items():
            await self._relay_port(block.ports[2], self._targets[server].ports[2], self._link_to(server))


class GossipRelays(AdvertisedRelays):
    """One port before each server's serf port, for streams and for packets."""

    _doors: dict[str, asyncio.DatagramTransport]

    async def _open(self) -> None:
        self._doors = {}
        for server, block in self.blocks.items():
            await self._relay_port(block.serf, self._targets[server].serf, self._link_to(server))
            door, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                partial(_Door, partial(self._pass_on, server)), local_addr=(LOOPBACK, block.serf)
            )
            self._doors[server] = door
            self._datagrams.append(door)

    def _pass_on(self, receiver: str, packet: bytes, port: int) -> None:
        """Carry a packet that was sent from *port*; to its receiver it comes from where the sender is reached."""
        sender = next((name for name, block in self._targets.items() if block.serf == port), _NOBODY)
        if sender and self._links[sender, receiver].cut is None:
            self._doors[sender].sendto(packet, (LOOPBACK, self._targets[receiver].serf))


class _Door(asyncio.DatagramProtocol):
    """Hands each packet on, with the port that it came from."""

    def __init__(self, pass_on: Callable[[bytes, int], None]) -> None:
        self._pass_on = pass_on

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self._pass_on(data, addr[1])


class ScrapeRelays(Relays):
    """One port before each agent's HTTP port, for Prometheus alone."""

    def __init__(self, targets: Mapping[str, int], base_port: int) -> None:
        self._targets = dict(targets)
        self.routes = {name: base_port + number for number, name in enumerate(targets)}
        super().__init__([(PROMETHEUS, name) for name in targets], "scrape-relays")

    async def _open(self) -> None:
        for name, port in self.routes.items():
            link = self._links[PROMETHEUS, name]

            async def give(_port: int, link: Link = link) -> Link:
                return link

            await self._relay_port(port, self._targets[name], give)


@dataclass(frozen=True, slots=True)
class Routes:
    """Where the processes of a cluster find each other behind the relays; see `LocalSettings`."""

    rpc: Mapping[str, int]
    scrapes: Mapping[str, int]


class Network:
    """All relays of one cluster. Usable as a context manager; `start` raises OSError when a port is taken."""

    def __init__(self, settings: LocalSettings, base_port: int, pids: Callable[[], Mapping[str, int]]) -> None:
        """Take ports from *base_port* on; *pids* gives the process of every agent that lives."""
        servers = _servers(settings)
        self._pids = pids
        self._servers = tuple(server.name for server in servers)
        self._clients = tuple(client.name for client in settings.client_agents)
        blocks = {server.name: PortBlock(server.serf) for server in servers}
        self._rpc = RpcRelays(blocks, [*self._servers, *self._clients], base_port, self._callers_of)
        self._gossip = GossipRelays(blocks, self._servers, base_port, self._callers_of)
        self._raft = RaftRelays(blocks, self._servers, base_port, self._callers_of)
        free = base_port + PORTS_PER_SERVER * len(blocks)
        self._scrapes = ScrapeRelays({agent.name: agent.http for agent in settings.agents}, free)
        self.ports_end = free + len(self._scrapes.routes)

    @property
    def routes(self) -> Routes:
        """The ports of the relays."""
        advertised = {name: block.ports[0] for name, block in self._rpc.blocks.items()}
        return Routes(advertised, self._scrapes.routes)

    def start(self) -> None:
        """Listen on every port, everything whole."""
        try:
            for relays in self._all:
                relays.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all relays; idempotent."""
        for relays in self._all:
            relays.stop()

    def __enter__(self) -> Self:
        """Start and return the network."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()

    def isolate(self, names: Iterable[str], how: Cut) -> None:
        """Cut each of *names* from every other server and from all clients, both ways."""
        alone = set(names)
        self._cut([pair for pair in self._agent_pairs if alone.intersection(pair)], how)

    def cut_one_way(self, senders: Iterable[str], receivers: Iterable[str], how: Cut) -> None:
        """Let no connection that *senders* make reach *receivers*; those the other way stay."""
        wanted = set(product(senders, receivers))
        self._cut([pair for pair in self._agent_pairs if pair in wanted], how)

    def cut_gossip(self, names: Iterable[str], how: Cut) -> None:
        """Cut the gossip of each of *names* with every other server, both ways, and nothing else."""
        alone = set(names)
        self._gossip.cut_pairs([pair for pair in self._server_pairs if alone.intersection(pair)], how)

    def cut_between_servers(self, how: Cut) -> None:
        """Cut all servers from each other; their clients still reach them."""
        self._cut(self._server_pairs, how)

    def cut_scrapes(self, names: Iterable[str], how: Cut) -> None:
        """Keep Prometheus from the agents *names*."""
        self._scrapes.cut_pairs([(PROMETHEUS, name) for name in names], how)

    def mend(self) -> None:
        """Make every link whole again."""
        for relays in self._all:
            relays.heal()

    @property
    def _all(self) -> list[Relays]:
        return [self._rpc, self._gossip, self._raft, self._scrapes]

    @property
    def _agent_pairs(self) -> list[Pair]:
        callers = (*self._servers, *self._clients)
        return [(caller, server) for caller, server in product(callers, self._servers) if caller != server]

    @property
    def _server_pairs(self) -> list[Pair]:
        return [pair for pair in self._agent_pairs if pair[0] in self._servers]

    def _cut(self, pairs: list[Pair], how: Cut) -> None:
        self._rpc.cut_pairs(pairs, how)
        for relays in (self._gossip, self._raft):
            relays.cut_pairs([pair for pair in pairs if pair[0] in self._servers], how)

    def _callers_of(self, ports: Collection[int]) -> dict[int, str]:
        sockets = _sockets_on(ports)
        held = {socket: name for name, pid in self._pids().items() for socket in sockets.keys() & _sockets_of(pid)}
        return {sockets[socket]: name for socket, name in held.items()}


def _sockets_on(ports: Collection[int]) -> dict[str, int]:
    """Return the sockets of loopback whose own port is one of *ports*, as /proc names them."""
    wanted = {f"{address}:{port:04X}": port for address in _LOOPBACK_IN_PROC for port in ports}
    lines = [line for table in _TABLES if table.exists() for line in table.read_text("ascii").splitlines()[1:]]
    rows = (line.split() for line in lines)
    return {f"socket:[{row[9]}]": wanted[row[1]] for row in rows if row[1] in wanted}


def _sockets_of(pid: int) -> set[str]:
    """Return what the process *pid* has open, sockets among it; nothing when it is gone."""
    found = set()
    with suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                found.add(str(Path(entry.path).readlink()))
    return found


def _servers(settings: LocalSettings) -> list[LocalAgent]:
    regions = dict.fromkeys(agent.region for agent in settings.agents)
    return [server for region in regions for server in settings.servers_of(region)]

"""TCP relays between the servers of a local cluster, so that a network can be cut while every process lives.

For each ordered pair (from, to) there is a block of three ports, laid out as a server's own (RPC, serf, Raft in a
row), which forwards to the real ports of the second. A server that is told the relays' addresses reaches its peers
through them alone; Prometheus goes past them, so `up` stays 1 during a cut.
"""

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum
from itertools import permutations
from typing import Any, Self

LOOPBACK = "127.0.0.1"
PORTS_PER_LINK = 3
"""RPC, serf and Raft: serf's port less one, serf's, serf's plus one."""
_CHUNK_BYTES = 64 * 1024
_CALL_TIMEOUT_SECONDS = 10.0


class Cut(Enum):
    """How a cut link looks to the side that uses it."""

    REFUSE = "refuse"
    """Connections break at once and new ones are closed as soon as they are made: a firewall that rejects."""
    BLACKHOLE = "blackhole"
    """Nothing arrives and nothing is said; what was sent goes on after the cut: a cable pulled out."""


@dataclass(frozen=True, slots=True)
class PortBlock:
    """The port a server's peers reach it by, with its neighbours for RPC and Raft."""

    serf: int

    @property
    def ports(self) -> tuple[int, int, int]:
        """RPC, serf and Raft port."""
        return (self.serf - 1, self.serf, self.serf + 1)


@dataclass(slots=True)
class _Link:
    """The state of one ordered pair; touched only in the relays' loop."""

    cut: Cut | None = None
    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    connections: set[asyncio.Task[None]] = field(default_factory=set)


class LinkRelays:
    """Relays for every ordered pair of *servers*, in one thread with its own event loop.

    *servers* gives each server's real ports; the relays take *base_port* and the following ports, three a pair, in
    sorted order of the pairs. Usable as a context manager. `start` raises OSError when a port is taken.
    """

    def __init__(self, servers: Mapping[str, PortBlock], base_port: int) -> None:
        self._targets = dict(servers)
        self._blocks = {
            pair: PortBlock(serf=base_port + PORTS_PER_LINK * number + 1)
            for number, pair in enumerate(sorted(permutations(servers, 2)))
        }
        self._links: dict[tuple[str, str], _Link] = {}
        self._listeners: list[asyncio.Server] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def routes(self) -> dict[tuple[str, str], int]:
        """For each pair (from, to): the serf port by which the first reaches the second."""
        return {pair: block.serf for pair, block in self._blocks.items()}

    def start(self) -> None:
        """Listen on every port of every pair, all links whole."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="link-relays", daemon=True)
        self._thread.start()
        try:
            self._call(self._listen())
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Close every connection and listener and end the thread; idempotent."""
        if self._thread is None or self._loop is None:
            return
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=_CALL_TIMEOUT_SECONDS)
        self._loop.close()
        self._thread = self._loop = None

    def __enter__(self) -> Self:
        """Start and return the relays."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the relays."""
        self.stop()

    def cut(self, sender: str, receiver: str, how: Cut = Cut.REFUSE) -> None:
        """Cut the link by which *sender* reaches *receiver*; the way back is a link of its own."""
        self._call(self._set([(sender, receiver)], how))

    def cut_all(self, how: Cut = Cut.REFUSE) -> None:
        """Cut every server from every other."""
        self._call(self._set(list(self._blocks), how))

    def isolate(self, server: str, how: Cut = Cut.REFUSE) -> None:
        """Cut *server* from all others, both ways."""
        self._call(self._set([pair for pair in self._blocks if server in pair], how))

    def heal(self) -> None:
        """Make every link whole again."""
        self._call(self._set(list(self._blocks), None))

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        """Run *work* in the relays' loop and wait for it."""
        assert self._loop is not None, "the relays are not started"
        future: Future[None] = asyncio.run_coroutine_threadsafe(work, self._loop)
        future.result(timeout=_CALL_TIMEOUT_SECONDS)

    async def _listen(self) -> None:
        for pair, block in self._blocks.items():
            link = self._links[pair] = _Link()
            link.flowing.set()
            for port, target in zip(block.ports, self._targets[pair[1]].ports, strict=True):
                self._listeners.append(await asyncio.start_server(_accepting(link, target), LOOPBACK, port))

    async def _set(self, pairs: list[tuple[str, str]], how: Cut | None) -> None:
        for pair in pairs:
            link = self._links[pair]
            link.cut = how
            if how is None or how is Cut.REFUSE:
                link.flowing.set()
            else:
                link.flowing.clear()
            if how is Cut.REFUSE:
                for connection in link.connections:
                    connection.cancel()

    async def _close(self) -> None:
        for listener in self._listeners:
            listener.close()
        connections = [connection for link in self._links.values() for connection in link.connections]
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


def _accepting(link: _Link, target_port: int) -> Any:
    """Return what asyncio calls for each connection made to one port of *link*."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if link.cut is Cut.REFUSE:
            writer.transport.abort()
            return
        task = asyncio.ensure_future(_relay(link, target_port, reader, writer))
        link.connections.add(task)
        task.add_done_callback(link.connections.discard)

    return accept


async def _relay(link: _Link, target_port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry one connection until either side ends it or the link is cut by refusing."""
    far: asyncio.StreamWriter | None = None
    is_whole = False
    try:
        await link.flowing.wait()
        far_reader, far = await asyncio.open_connection(LOOPBACK, target_port)
        async with asyncio.TaskGroup() as both:
            both.create_task(_pump(link, reader, far))
            both.create_task(_pump(link, far_reader, writer))
        is_whole = True
    except* OSError:
        # The far side is down or the connection broke: all that the near side may see of it is the end.
        pass
    finally:
        for side in (writer, far):
            if side is not None and is_whole:
                side.close()
            elif side is not None:
                side.transport.abort()


async def _pump(link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction until its end, holding back what arrives while the link swallows everything."""
    while data := await reader.read(_CHUNK_BYTES):
        await link.flowing.wait()
        writer.write(data)
        await writer.drain()
    await link.flowing.wait()
    if writer.can_write_eof():
        writer.write_eof()

"""TCP relays between the processes of a local cluster, so that a network can be cut while every process lives.

`Relays` is what all kinds share: a thread, listeners, and links that can be cut. The kinds that stand before the ports
of a cluster are in `drill.network`.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Self

LOOPBACK = "127.0.0.1"
PORTS_PER_SERVER = 3
"""RPC, serf and Raft: serf's port less one, serf's, serf's plus one."""
_CHUNK_BYTES = 64 * 1024
_CALL_TIMEOUT_SECONDS = 10.0

Pair = tuple[str, str]
"""Who makes the connections of a link, and to whom."""


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
class Link:
    """The state of one ordered pair; touched only in the relays' loop."""

    cut: Cut | None = None
    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    connections: "set[Connection]" = field(default_factory=set)

    def __post_init__(self) -> None:
        self.flowing.set()

    def set(self, how: Cut | None) -> None:
        """Cut the link, or make it whole with None."""
        self.cut = how
        if how is Cut.BLACKHOLE:
            self.flowing.clear()
        else:
            self.flowing.set()
        if how is Cut.REFUSE:
            for connection in self.connections:
                connection.end()


class Connection:
    """One connection that is carried, made from *port* on loopback; belongs to one link at a time."""

    def __init__(self, port: int, link: Link) -> None:
        self.port = port
        self.link = link
        self._task: asyncio.Task[None] | None = None

    def carry(self, work: Coroutine[Any, Any, None]) -> None:
        """Run *work*, which carries it to its end."""
        self._task = asyncio.ensure_future(work)
        self.link.connections.add(self)
        self._task.add_done_callback(lambda _task: self.link.connections.discard(self))

    def move(self, link: Link) -> None:
        """Let it run over another link from now on."""
        self.link.connections.discard(self)
        self.link = link
        link.connections.add(self)

    def end(self) -> None:
        """Break it."""
        if self._task is not None:
            self._task.cancel()

    async def ended(self) -> None:
        """Wait until it has ended."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)


class Relays:
    """Listeners in one thread with its own event loop; each connection runs over a link that can be cut.

    Kinds of relays say in `_open` what is listened on. Usable as a context manager. `start` raises OSError when a
    port is taken.
    """

    def __init__(self, pairs: Iterable[Pair], name: str) -> None:
        self._name = name
        self._pairs = tuple(pairs)
        self._links: dict[Pair, Link] = {}
        self._listeners: list[asyncio.Server] = []
        self._datagrams: list[asyncio.DatagramTransport] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen on every port, all links whole."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=self._name, daemon=True)
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
        self.cut_pairs([(sender, receiver)], how)

    def cut_pairs(self, pairs: Iterable[Pair], how: Cut = Cut.REFUSE) -> None:
        """Cut the links of *pairs*, all at one time; raises KeyError for a pair that has none."""
        self._call(self._set(tuple(pairs), how))

    def heal(self) -> None:
        """Make every link whole again."""
        self._call(self._set(self._pairs, None))

    async def _open(self) -> None:
        """Listen on every port of this kind of relays, with `_relay_port`."""

    async def _relay_port(self, port: int, target_port: int, link_of: "LinkOf") -> None:
        """Listen on *port* and carry each connection to *target_port*, over the link that *link_of* gives."""
        self._listeners.append(await asyncio.start_server(_accepting(link_of, target_port), LOOPBACK, port))

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        """Run *work* in the relays' loop and wait for it."""
        assert self._loop is not None, "the relays are not started"
        future: Future[None] = asyncio.run_coroutine_threadsafe(work, self._loop)
        future.result(timeout=_CALL_TIMEOUT_SECONDS)

    async def _listen(self) -> None:
        self._links = {pair: Link() for pair in self._pairs}
        await self._open()

    async def _set(self, pairs: tuple[Pair, ...], how: Cut | None) -> None:
        for pair in pairs:
            self._links[pair].set(how)

    async def _close(self) -> None:
        for listener in self._listeners:
            listener.close()
        for transport in self._datagrams:
            transport.close()
        self._listeners.clear()
        self._datagrams.clear()
        connections = [connection for link in self._links.values() for connection in link.connections]
        for connection in connections:
            connection.end()
        for connection in connections:
            await connection.ended()
        # A socket of packets is closed in the loop's next round.
        await asyncio.sleep(0)


LinkOf = Callable[[int], Awaitable[Link]]
"""Gives the link of a new connection; takes the port on loopback that it was made from."""


def _accepting(link_of: LinkOf, target_port: int) -> Any:
    """Return what asyncio calls for each connection made to one port."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = int(writer.get_extra_info("peername")[1])
        link = await link_of(port)
        if link.cut is Cut.REFUSE:
            writer.transport.abort()
            return
        connection = Connection(port, link)
        connection.carry(_relay(connection, target_port, reader, writer))

    return accept


async def _relay(
    connection: Connection, target_port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Carry one connection until either side ends it or its link is cut by refusing."""
    far: asyncio.StreamWriter | None = None
    is_whole = False
    try:
        await connection.link.flowing.wait()
        far_reader, far = await asyncio.open_connection(LOOPBACK, target_port)
        async with asyncio.TaskGroup() as both:
            both.create_task(_pump(connection, reader, far))
            both.create_task(_pump(connection, far_reader, writer))
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


async def _pump(connection: Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction until its end, holding back what arrives while the link swallows everything."""
    while data := await reader.read(_CHUNK_BYTES):
        await connection.link.flowing.wait()
        writer.write(data)
        await writer.drain()
    await connection.link.flowing.wait()
    if writer.can_write_eof():
        writer.write_eof()

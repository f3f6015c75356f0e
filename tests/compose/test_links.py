import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import permutations

import pytest

from compose.links import PORTS_PER_SERVER, Cut, Link, PortBlock, Relays
from tests.ports import lane

ANSWER_SECONDS = 5.0
SILENCE_SECONDS = 0.3


class LinkRelays(Relays):
    """A block of three ports for every ordered pair of servers, from the first port on."""

    def __init__(self, servers: dict[str, PortBlock], base_port: int) -> None:
        self._targets = servers
        pairs = sorted(permutations(servers, 2))
        self._blocks = {pair: PortBlock(base_port + PORTS_PER_SERVER * n + 1) for n, pair in enumerate(pairs)}
        super().__init__(self._blocks, "link-relays")

    @property
    def routes(self) -> dict[tuple[str, str], int]:
        """By pair (from, to), the serf port by which the first reaches the second."""
        return {pair: block.serf for pair, block in self._blocks.items()}

    async def _open(self) -> None:
        for pair, block in self._blocks.items():
            link = self._links[pair]

            async def give(_port: int, link: Link = link) -> Link:
                return link

            for port, target in zip(block.ports, self._targets[pair[1]].ports, strict=True):
                await self._relay_port(port, target, give)


def free_block(ports: int) -> int:
    """Return the first of *ports* consecutive ports of loopback that are free now."""
    for first in range(lane(23_100), lane(32_000), ports + 7):
        with closing(socket.socket()) as probe, suppress(OSError):
            for port in range(first, first + ports):
                with closing(socket.socket()) as each:
                    each.bind(("127.0.0.1", port))
            probe.bind(("127.0.0.1", first))
            return first
    raise AssertionError("no free ports")


class EchoServer:
    """Answers each line with its own name and the line; one thread a connection."""

    def __init__(self, name: str, port: int) -> None:
        self._name = name.encode()
        self._listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection, connection.makefile("rb") as lines:
            for line in lines:
                connection.sendall(self._name + b" " + line)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def relays() -> Iterator[LinkRelays]:
    """Relays between servers a and b, whose real Raft ports echo."""
    first = free_block(12)
    blocks = {"a": PortBlock(first + 1), "b": PortBlock(first + 4)}
    servers = [EchoServer(name, block.ports[2]) for name, block in blocks.items()]
    with LinkRelays(blocks, first + 6) as running:
        yield running
    for server in servers:
        server.close()


def connect(relays: LinkRelays, sender: str, receiver: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", relays.routes[sender, receiver] + 1), timeout=ANSWER_SECONDS)


def ask(connection: socket.socket, line: bytes = b"hello\n") -> bytes:
    connection.sendall(line)
    return connection.recv(100)


def is_cut(relays: LinkRelays, sender: str, receiver: str) -> bool:
    """Tell whether a new connection brings no answer but its end."""
    try:
        with connect(relays, sender, receiver) as connection:
            return ask(connection) == b""
    except ConnectionError:
        return True


def test_a_whole_link_carries_both_ways(relays):
    """
    A server reaches its peer's real port through the relay of that ordered pair.
    """
    with connect(relays, "a", "b") as to_b, connect(relays, "b", "a") as to_a:
        answers = [ask(to_b), ask(to_a)]

    assert [b"b hello\n", b"a hello\n"] == answers


def test_a_refusing_cut_breaks_old_and_new_connections(relays):
    """
    Cutting a link by refusing ends the connections on it and every later one.
    """
    with connect(relays, "a", "b") as old:
        ask(old)

        relays.cut("a", "b")

        with suppress(ConnectionError):
            assert old.recv(100) == b""
    assert is_cut(relays, "a", "b")


def test_a_cut_is_of_one_direction(relays):
    """
    Cutting a from b leaves the relay from b to a whole.
    """
    relays.cut("a", "b")

    assert not is_cut(relays, "b", "a")


def test_isolating_a_server_cuts_both_directions(relays):
    """
    An isolated server neither reaches nor is reached.
    """
    relays.cut_pairs(relays.routes)

    assert [True, True] == [is_cut(relays, "a", "b"), is_cut(relays, "b", "a")]


def test_healing_lets_new_connections_through(relays):
    """
    After a heal a link that was cut carries again.
    """
    relays.cut_pairs(relays.routes)
    cut_before = is_cut(relays, "a", "b")

    relays.heal()

    assert [True, False] == [cut_before, is_cut(relays, "a", "b")]


def test_a_black_hole_is_silent_and_goes_on_after_healing(relays):
    """
    In a black hole a connection stays open without an answer, and the answer comes once the link is whole.
    """
    with connect(relays, "a", "b") as connection:
        ask(connection)
        relays.cut_pairs(relays.routes, Cut.BLACKHOLE)
        connection.settimeout(SILENCE_SECONDS)
        with pytest.raises(TimeoutError):
            ask(connection, b"during\n")

        relays.heal()

        connection.settimeout(ANSWER_SECONDS)
        assert connection.recv(100) == b"b during\n"


def test_a_dead_target_ends_the_connection(relays):
    """
    Where nobody listens behind a relay, the near side sees the end of its connection.
    """
    with socket.create_connection(("127.0.0.1", relays.routes["a", "b"]), timeout=ANSWER_SECONDS) as connection:
        received = b"?"
        with suppress(ConnectionError):
            received = connection.recv(100)

    assert received in {b"", b"?"}


def test_a_taken_port_is_an_error_at_start():
    """
    Relays that cannot have their ports say so and leave no thread behind.
    """
    first = free_block(12)
    with socket.create_server(("127.0.0.1", first + 6)):
        relays = LinkRelays({"a": PortBlock(first + 1), "b": PortBlock(first + 4)}, first + 6)

        with pytest.raises(OSError, match="in use"):
            relays.start()

    assert "link-relays" not in {thread.name for thread in threading.enumerate()}

"""The links between servers: who is let in, what is refused, what a relay in between changes."""

import logging
import random
import select
import socket
import threading

import pytest

from agent.consensus import codec, transport
from agent.consensus.codec import Accepted, FrameReader, Hello, Refused, TimeoutNow, decode_handshake, encode_frame
from agent.consensus.greeting import hello_of
from agent.consensus.transport import TcpTransport, TransportSettings
from agent.errors import ConfigError
from telemetry.clock import SystemClock

RETRY = (0.01, 0.02)


class Ear:
    """Keeps what the transport told."""

    def __init__(self):
        self.messages, self.connected, self.lost, self.silent = [], [], [], []

    def on_message(self, node, message):
        self.messages.append((node, message))

    def on_connected(self, node):
        self.connected.append(node)

    def on_disconnected(self, node):
        self.lost.append(node)

    def on_silent(self, node):
        self.silent.append(node)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        return reserved.getsockname()[1]


def transport_of(name, port, peers, *, region="global", server_id=None, advertised=None):
    """Return a transport that listens on *port* and dials *peers*, and what it reports to."""
    address = f"127.0.0.1:{port}"
    hello = hello_of(server_id or f"id-{name}", name, (advertised or address, address), region)
    taken = []
    links = TcpTransport(
        TransportSettings(
            hello, address, tuple(f"127.0.0.1:{peer}" for peer in peers), RETRY, taken=lambda: taken.append("taken")
        ),
        SystemClock(),
        random.Random(1),
        logging.getLogger("raft-test"),
    )
    links.taken = taken
    ear = Ear()
    links.bind(ear)
    return links, ear


@pytest.fixture
def made():
    """Makes transports, and closes them at the end."""
    transports = []

    def make(name, port, peers, *, region="global", server_id=None, advertised=None):
        links, ear = transport_of(name, port, peers, region=region, server_id=server_id, advertised=advertised)
        transports.append(links)
        return links, ear

    yield make
    for links in transports:
        links.close()


def poll_until(condition, *transports, rounds=400):
    for _ in range(rounds):
        if condition():
            return True
        for links in transports:
            links.poll(0.005)
    return condition()


def relay(to_port):
    """A TCP relay on a thread: returns its port, and a function that cuts it."""
    server = socket.create_server(("127.0.0.1", 0))
    stopped = threading.Event()

    def run():
        pairs = {}
        while not stopped.is_set():
            for ready in select.select([server, *pairs], [], [], 0.02)[0]:
                if ready is server:
                    inner = server.accept()[0]
                    try:
                        outer = socket.create_connection(("127.0.0.1", to_port), 1)
                    except OSError:
                        inner.close()
                        continue
                    pairs[inner], pairs[outer] = outer, inner
                    continue
                if ready not in pairs:
                    continue
                try:
                    data = ready.recv(65536)
                except OSError:
                    data = b""
                if data:
                    pairs[ready].sendall(data)
                else:
                    other = pairs.pop(ready)
                    pairs.pop(other, None)
                    ready.close()
                    other.close()
        for open_socket in [server, *pairs]:
            open_socket.close()

    threading.Thread(target=run, daemon=True).start()
    return server.getsockname()[1], stopped.set


def handshake(port, *frames):
    """Dial *port*, send *frames* and return all handshakes it answers before it closes or falls silent."""
    answers, reader = [], FrameReader()
    with socket.create_connection(("127.0.0.1", port), 1) as dialled:
        dialled.settimeout(0.3)
        for frame in frames:
            dialled.sendall(frame)
        try:
            while data := dialled.recv(65536):
                answers += [decode_handshake(body) for body in reader.feed(data)]
        except (TimeoutError, ConnectionResetError):
            return answers
    return answers


def answers_of(links, port, *frames):
    """As `handshake`, while *links* is polled."""
    found = []
    dialler = threading.Thread(target=lambda: found.extend(handshake(port, *frames)))
    dialler.start()
    poll_until(lambda: not dialler.is_alive(), links)
    dialler.join()
    return found


def test_two_servers_find_and_hear_each_other(made):
    """Each learns who the other is from the connection it dialled, and messages arrive in order."""
    a_port, b_port = free_port(), free_port()
    a, _ = made("a", a_port, [b_port])
    b, b_ear = made("b", b_port, [a_port])
    node_b, node_a = f"127.0.0.1:{b_port}", f"127.0.0.1:{a_port}"
    assert poll_until(lambda: a.connected(node_b) and b.connected(node_a), a, b)

    for term in range(100):
        assert a.send(node_b, TimeoutNow(term))

    assert poll_until(lambda: len(b_ear.messages) == 100, a, b)
    assert [(node_a, TimeoutNow(term)) for term in range(100)] == b_ear.messages
    assert ["taken"] == a.taken == b.taken
    assert "id-b" == a.identity(node_b).server_id


def test_servers_behind_relays_know_each_other_by_id(made):
    """With relays in between no advertised address is a dialled one; the server id decides."""
    a_port, b_port = free_port(), free_port()
    to_a, stop_a = relay(a_port)
    to_b, stop_b = relay(b_port)
    a, a_ear = made("a", a_port, [to_b])
    b, b_ear = made("b", b_port, [to_a])
    node_b, node_a = f"127.0.0.1:{to_b}", f"127.0.0.1:{to_a}"
    assert poll_until(lambda: a.connected(node_b) and b.connected(node_a), a, b)

    a.send(node_b, TimeoutNow(1))
    b.send(node_a, TimeoutNow(2))

    assert poll_until(lambda: a_ear.messages and b_ear.messages, a, b)
    assert [(node_a, TimeoutNow(1))] == b_ear.messages
    stop_b()
    assert poll_until(lambda: not a.connected(node_b), a, b)
    assert b.connected(node_a)
    assert [node_a] == b_ear.silent
    stop_a()


def test_an_unknown_server_is_told_and_closed(made):
    """Whoever is not a configured peer hears who is here and why not, and gets no further."""
    port = free_port()
    links, ear = made("a", port, [])

    answers = answers_of(links, port, encode_frame(hello_of("id-x", "x", ("1.1.1.1:1", ""), "global")))

    assert [Hello, Refused] == [type(answer) for answer in answers]
    assert "not a configured peer" in answers[1].reason
    assert [] == ear.messages


@pytest.mark.parametrize(
    ("changed", "reason"),
    [({"region": "other"}, "region"), ({"version": 99}, "version"), ({"server_id": "id-a"}, "itself")],
)
def test_a_hello_that_does_not_fit_is_refused(made, changed, reason):
    """Another region, another version and this server's own id are refused with their reason."""
    import msgspec

    port = free_port()
    links, _ = made("a", port, [1])
    hello = msgspec.structs.replace(hello_of("id-b", "b", ("127.0.0.1:1", ""), "global"), **changed)

    answers = answers_of(links, port, encode_frame(hello))

    assert reason in answers[-1].reason


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff\xff\xff\xff",
        codec.FRAME_HEADER.pack(codec.HELLO_BYTES_MAX + 1),
        codec.FRAME_HEADER.pack(3) + b"\x80\x02.",
        encode_frame(Accepted()),
        encode_frame(TimeoutNow(1)),
    ],
)
def test_garbage_before_a_hello_closes_the_connection(made, garbage):
    """Lengths above the cap, pickles and messages of nobody end the connection and are counted."""
    port = free_port()
    links, ear = made("a", port, [1])

    answers = answers_of(links, port, garbage)

    assert [Hello] == [type(answer) for answer in answers]
    assert 1 == links.counters["frames_malformed"]
    assert [] == ear.messages


def test_a_malformed_message_of_a_peer_closes_its_connection(made):
    """A known peer that sends garbage is dropped, and what it sent before counts."""
    port = free_port()
    links, ear = made("a", port, [1])
    hello = encode_frame(hello_of("id-b", "b", ("127.0.0.1:1", ""), "global"))

    answers_of(links, port, hello + encode_frame(TimeoutNow(5)) + codec.FRAME_HEADER.pack(2) + b"xx")

    assert [("127.0.0.1:1", TimeoutNow(5))] == ear.messages
    assert ["127.0.0.1:1"] == ear.silent
    assert 1 == links.counters["frames_malformed"]


def test_a_peer_that_does_not_read_is_dropped(made, monkeypatch):
    """What a peer leaves unread is held up to the limit, then its connection goes."""
    monkeypatch.setattr(transport, "SEND_BUFFER_BYTES_MAX", 1024 * 1024)
    a_port, b_port = free_port(), free_port()
    a, a_ear = made("a", a_port, [b_port])
    b, _ = made("b", b_port, [a_port])
    node_b = f"127.0.0.1:{b_port}"
    assert poll_until(lambda: a.connected(node_b), a, b)
    piece = codec.InstallSnapshot(1, b"x" * 500_000, False, False, 0.0, 0)

    sent = sum(a.send(node_b, piece) for _ in range(100))

    assert 2 <= sent < 100
    assert [node_b] == a_ear.lost
    assert 1 == a.counters["connections_dropped"]


def test_a_newer_connection_replaces_the_older(made):
    """A peer that dials again is heard on the new connection, and its former one is no loss."""
    port = free_port()
    links, ear = made("a", port, [1])
    hello = encode_frame(hello_of("id-b", "b", ("127.0.0.1:1", ""), "global"))
    with socket.create_connection(("127.0.0.1", port), 1) as first:
        first.sendall(hello)
        assert poll_until(lambda: any(peer.node for peer in links._incoming), links)

        with socket.create_connection(("127.0.0.1", port), 1) as second:
            second.sendall(hello + encode_frame(TimeoutNow(1)))
            assert poll_until(lambda: ear.messages, links)

            assert 1 == len(links._incoming)
            assert [] == ear.silent


def test_an_address_in_use_is_a_configuration_error(made):
    """The message names the address and the setting."""
    port = free_port()
    made("a", port, [])

    with pytest.raises(ConfigError, match=rf"127.0.0.1:{port}.*ports.raft"):
        made("b", port, [])


def test_only_the_bind_address_is_listened_on(made):
    """Nothing listens on the other addresses of the machine."""
    port = free_port()
    made("a", port, [])

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), 0.5)


def test_wake_ends_a_poll_from_another_thread(made):
    """A poll that waits returns when another thread has work for it."""
    links, _ = made("a", free_port(), [])
    threading.Timer(0.05, links.wake).start()
    began = SystemClock().monotonic()

    links.poll(10)

    assert SystemClock().monotonic() - began < 5

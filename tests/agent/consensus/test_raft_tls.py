"""Raft's links under mutual TLS: who is let in, what is never decoded, and that nobody makes the others wait."""

import contextlib
import functools
import logging
import random
import socket
import ssl
import struct
import threading

import pytest

from agent.consensus import codec, handshakes, transport
from agent.consensus.codec import FrameReader, TimeoutNow, decode_handshake, encode_frame
from agent.consensus.greeting import hello_of
from agent.consensus.streams import TlsStream
from agent.consensus.transport import TcpTransport, TransportSettings
from agent.tls.contexts import TlsKeeper
from agent.tls.identity import TlsRole
from telemetry.clock import SystemClock
from tests.agent.consensus.test_raft_transport import RETRY, Ear, free_port, poll_until
from tests.agent.tls.test_tls_contexts import tls_of
from tests.certificates import Authority, plain_context

SERVER = "server.global.nomad"

until = functools.partial(poll_until, rounds=4_000)
"""A handshake takes two threads: on a busy machine the polls of plain links would be over before it is."""


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def files(authority):
    return authority.certificate("server")


@pytest.fixture
def made():
    """Makes transports that speak TLS with a keeper, or plain text with None."""
    transports = []

    def make(name, port, peers, keeper):
        address = f"127.0.0.1:{port}"
        settings = TransportSettings(
            hello_of(f"id-{name}", name, (address, address), "global"),
            address,
            tuple(f"127.0.0.1:{peer}" for peer in peers),
            RETRY,
            keeper,
        )
        links = TcpTransport(settings, SystemClock(), random.Random(1), logging.getLogger("raft-test"))
        ear = Ear()
        links.bind(ear)
        transports.append(links)
        return links, ear

    yield make
    for links in transports:
        links.close()


def pair(made, one, other):
    """Return two transports that dial each other, what they hear, and how each is dialled."""
    a_port, b_port = free_port(), free_port()
    a, a_ear = made("a", a_port, [b_port], one)
    b, b_ear = made("b", b_port, [a_port], other)
    return a, a_ear, b, b_ear, f"127.0.0.1:{a_port}", f"127.0.0.1:{b_port}"


def test_two_servers_hear_each_other(made, files):
    """Messages arrive whole and in order, among them one of many records of TLS."""
    keeper = TlsKeeper(tls_of(files))
    a, _, b, b_ear, node_a, node_b = pair(made, keeper, keeper)
    assert until(lambda: a.connected(node_b) and b.connected(node_a), a, b)
    sent = [TimeoutNow(term) for term in range(100)]
    sent += [codec.InstallSnapshot(term, bytes([term]) * 900_000, False, False, 0.0, 0) for term in range(5)]
    sent += [TimeoutNow(7)]

    for message in sent:
        assert a.send(node_b, message)

    assert until(lambda: len(b_ear.messages) == len(sent), a, b)
    assert [(node_a, message) for message in sent] == b_ear.messages
    assert 0 == a.backlog(node_b)


def test_a_peer_that_does_not_read_is_dropped(made, files, monkeypatch):
    """The limit on what is held counts the same; what fills a connection half-way through a record is sent on later."""
    monkeypatch.setattr(transport, "SEND_BUFFER_BYTES_MAX", 1024 * 1024)
    keeper = TlsKeeper(tls_of(files))
    a, a_ear, b, b_ear, _, node_b = pair(made, keeper, keeper)
    assert until(lambda: a.connected(node_b), a, b)
    piece = codec.InstallSnapshot(1, b"x" * 500_000, False, False, 0.0, 0)
    taken = 0
    while a.backlog(node_b) < 200_000:
        assert a.send(node_b, piece)
        taken += 1

    assert until(lambda: len(b_ear.messages) == taken, a, b)
    sent = sum(a.send(node_b, piece) for _ in range(100))

    assert 2 <= sent < 100
    assert [node_b] == a_ear.lost


def never_connect(made, caplog, one, other):
    """Let two dial each other; return the lines about who is let in, once neither was."""
    a, a_ear, b, b_ear, node_a, node_b = pair(made, one, other)
    assert until(lambda: any("refused a connection" in line for line in caplog.messages), a, b)
    poll_until(lambda: False, a, b, rounds=60)
    assert not a.connected(node_b)
    assert not b.connected(node_a)
    assert ([], [], [], []) == (a_ear.messages, b_ear.messages, a_ear.connected, b_ear.connected)
    assert (0, 0) == (a.counters["frames_malformed"], b.counters["frames_malformed"])
    assert not a._identities
    assert not b._identities
    return [line for line in caplog.messages if line.startswith("raft:")]


@pytest.mark.parametrize("who", ["client", "stranger", "expired", "another region"])
def test_others_never_get_to_a_hello(made, authority, files, tmp_path, who, caplog):
    """A client's certificate, another CA's, one that ended, another region's: each side says so once, and goes on."""
    match who:
        case "client":
            other = tls_of(authority.certificate("client"), TlsRole.CLIENT)
        case "stranger":
            other = tls_of(Authority(tmp_path, "other").certificate("server"))
        case "expired":
            other = tls_of(authority.expired("server"))
        case _:
            other = tls_of(authority.certificate("server", "eu"), verify_server_hostname=False)

    lines = never_connect(made, caplog, TlsKeeper(tls_of(files)), TlsKeeper(other))

    assert 1 <= sum("refused a connection from=127.0.0.1:" in line for line in lines), lines
    assert 6 >= len(lines), lines


def test_a_plain_server_and_a_tls_one_do_not_meet(made, files, caplog):
    """Neither decodes what the other says."""
    a_port, b_port = free_port(), free_port()
    a, a_ear = made("a", a_port, [b_port], TlsKeeper(tls_of(files)))
    b, b_ear = made("b", b_port, [a_port], None)

    assert until(lambda: any("it does not speak TLS" in line for line in caplog.messages), a, b)
    poll_until(lambda: False, a, b, rounds=60)

    assert not a._identities
    assert ([], []) == (a_ear.messages, b_ear.messages)


def dial(port, context):
    """Return a connection to *port* after its handshake."""
    plain = socket.create_connection(("127.0.0.1", port), 2)
    return context.wrap_socket(plain, server_hostname=SERVER)


def in_background(work):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_nothing_is_decoded_of_who_is_no_server(made, authority, files, caplog):
    """Garbage from one with a client's certificate is not even malformed: nobody looks at it."""
    port = free_port()
    links, ear = made("a", port, [1], TlsKeeper(tls_of(files)))
    client = plain_context(authority.certificate("client"), server_side=False)
    heard = []

    def speak():
        with contextlib.suppress(OSError), dial(port, client) as connection:
            connection.sendall(encode_frame(hello_of("id-b", "b", ("127.0.0.1:1", ""), "global")) + b"\xff" * 64)
            heard.append(connection.recv(1000))

    thread = in_background(speak)
    assert until(lambda: not thread.is_alive() and links.counters["connections_refused"] > 0, links)

    assert heard in ([], [b""])
    assert 0 == links.counters["frames_malformed"]
    assert 0 == links.counters["bytes_received"]
    assert 1 == links.counters["connections_refused"]
    assert [] == ear.messages
    (told,) = [line for line in caplog.messages if "refused" in line]
    assert "client.global.nomad" in told
    assert SERVER in told


def test_a_server_of_the_region_says_and_hears_hello(made, authority, files):
    """With OpenSSL alone at the other end, in TLS 1.2 as in 1.3."""
    port = free_port()
    links, ear = made("a", port, [1], TlsKeeper(tls_of(files)))
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = plain_context(files, server_side=False)
        context.maximum_version = version
        answers = []

        def speak(context=context, answers=answers):
            reader = FrameReader()
            with dial(port, context) as connection:
                connection.sendall(encode_frame(hello_of("id-b", "b", ("127.0.0.1:1", ""), "global")))
                connection.sendall(encode_frame(TimeoutNow(1)))
                while len(answers) < 2:
                    answers.extend(decode_handshake(body) for body in reader.feed(connection.recv(1000)))

        thread = in_background(speak)
        assert until(lambda thread=thread: not thread.is_alive(), links)
        assert ["Hello", "Accepted"] == [type(answer).__name__ for answer in answers]
    assert until(lambda: len(ear.messages) == 2, links)


def test_the_silent_delay_nobody(made, files, monkeypatch):
    """Connections that never begin their handshake take places for its time, and a server gets in beside them."""
    monkeypatch.setattr(transport, "_HANDSHAKE_SECONDS", 0.4)
    keeper = TlsKeeper(tls_of(files))
    a_port, b_port = free_port(), free_port()
    a, _ = made("a", a_port, [b_port], keeper)
    silent = [socket.create_connection(("127.0.0.1", a_port), 2) for _ in range(20)]
    assert until(lambda: len(a._incoming) == 20, a)

    b, _ = made("b", b_port, [a_port], keeper)
    assert until(lambda: b.connected(f"127.0.0.1:{a_port}"), a, b)

    assert 20 < len(a._incoming)
    assert until(lambda: len(a._incoming) == 1, a, b)
    assert 20 == a.counters["connections_refused"]
    for one in silent:
        assert b"" == one.recv(1)
        one.close()


def test_above_the_limit_connections_are_closed_at_once(made, files, monkeypatch):
    """Those in their handshake count."""
    monkeypatch.setattr(transport, "INCOMING_MAX", 3)
    port = free_port()
    links, _ = made("a", port, [], TlsKeeper(tls_of(files)))
    silent = [socket.create_connection(("127.0.0.1", port), 2) for _ in range(5)]

    assert until(lambda: links.counters["connections_refused"] == 2, links)

    assert 3 == len(links._incoming)
    for one in silent:
        one.close()


def test_a_peer_that_hangs_in_its_handshake_is_given_up(made, files, monkeypatch):
    """Whoever accepts and says nothing is dialled again later."""
    monkeypatch.setattr(transport, "_HANDSHAKE_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        links, _ = made("a", free_port(), [port], TlsKeeper(tls_of(files)))
        accepted = []

        def accept():
            accepted.extend(deaf.accept()[0] for _ in range(3))

        thread = in_background(accept)

        assert until(lambda: not thread.is_alive(), links)
        assert not links.connected(f"127.0.0.1:{port}")
        for one in accepted:
            one.close()


def test_new_certificates_leave_connections_alone(made, authority, files, tmp_path):
    """What is connected stays so under a new CA; the next handshake is made with it alone."""
    keeper = TlsKeeper(tls_of(files))
    a, a_ear, b, b_ear, node_a, node_b = pair(made, keeper, keeper)
    assert until(lambda: a.connected(node_b) and b.connected(node_a), a, b)
    new = Authority(tmp_path, "new")

    keeper.replace(tls_of(new.certificate("server")))
    a.send(node_b, TimeoutNow(1))
    assert until(lambda: b_ear.messages, a, b)
    assert ([], []) == (a_ear.lost, b_ear.lost)

    port = int(node_a.rpartition(":")[2])
    with pytest.raises((ssl.SSLError, ConnectionError)):
        polled_dial(a, port, plain_context(files, server_side=False))
    polled_dial(a, port, plain_context(new.certificate("server", as_name="x"), server_side=False))


def polled_dial(links, port, context):
    """Dial while *links* is polled, and read the hello; raises what the dialling side met."""
    met = []

    def speak():
        try:
            with dial(port, context) as connection:
                assert connection.recv(1000)
        except OSError as error:
            met.append(error)

    thread = in_background(speak)
    assert until(lambda: not thread.is_alive(), links)
    if met:
        raise met[0]


def test_closing_ends_the_thread_and_its_sockets(made, files):
    """Also in the middle of a handshake."""
    port = free_port()
    links, _ = made("a", port, [1], TlsKeeper(tls_of(files)))
    with socket.create_connection(("127.0.0.1", port), 2) as silent:
        assert until(lambda: links._incoming, links)

        links.close()

        assert b"" == silent.recv(1)
    assert not any(thread.name == "raft-tls" for thread in threading.enumerate())


def test_a_handshake_that_is_abandoned_is_closed(files):
    """Whatever comes of it is not handed out."""
    clock, told = SystemClock(), threading.Event()
    making = handshakes.Handshakes(TlsKeeper(tls_of(files)), clock, logging.getLogger("t"), told.set)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)

    number = making.begin(ours, is_server=True, deadline=clock.monotonic() + 0.05)
    making.abandon(number)

    assert told.wait(5)
    assert [] == making.take()
    assert b"" == theirs.recv(1)
    making.close()
    theirs.close()


class Odd:
    """An SSL socket that says what a test wants, one thing a call."""

    def __init__(self, *script, pending=0):
        self.script, self.left = list(script), pending

    def recv(self, size):
        said = self.script.pop(0)
        if isinstance(said, Exception):
            raise said
        return said

    def send(self, data):
        said = self.script.pop(0)
        if isinstance(said, Exception):
            raise said
        return min(said, len(data))

    def pending(self):
        return self.left


def test_a_stream_says_what_it_waits_for():
    """Reading that waits for room to write says so; what came before is handed out first."""
    full = b"x" * 16384
    stream = TlsStream(Odd(full, ssl.SSLWantWriteError(), ssl.SSLWantReadError(), b"y"))

    assert full == stream.recv(1 << 18)
    assert stream.wants_write
    with pytest.raises(BlockingIOError):
        stream.recv(1 << 18)
    assert not stream.wants_write
    assert b"y" == stream.recv(1 << 18)


def test_a_stream_sends_record_by_record():
    """Until there is no room; with no room at all it says so."""
    stream = TlsStream(Odd(16384, 16384, ssl.SSLWantWriteError(), ssl.SSLWantWriteError()))

    assert 32768 == stream.send(bytearray(100_000))
    with pytest.raises(BlockingIOError):
        stream.send(b"x")


def test_a_thread_that_failed_is_replaced(files, monkeypatch, caplog):
    """A bug in it costs the handshakes that it had, and not those to come."""
    clock, told = SystemClock(), threading.Event()
    making = handshakes.Handshakes(TlsKeeper(tls_of(files)), clock, logging.getLogger("t"), told.set)
    turn = handshakes.Handshakes._turn
    monkeypatch.setattr(handshakes.Handshakes, "_turn", lambda *_: 1 / 0)
    first, second = socket.socketpair(), socket.socketpair()
    for ours, _ in (first, second):
        ours.setblocking(False)

    making.begin(first[0], is_server=True, deadline=clock.monotonic() + 0.05)
    assert b"" == first[1].recv(1)
    making._thread.join(5)
    monkeypatch.setattr(handshakes.Handshakes, "_turn", turn)
    number = making.begin(second[0], is_server=True, deadline=clock.monotonic() + 0.05)

    assert told.wait(5)
    assert [(number, None)] == [(outcome.number, outcome.stream) for outcome in making.take()]
    assert any("failed by a bug" in line for line in caplog.messages)
    making.close()
    first[1].close()
    second[1].close()


def test_who_hangs_up_before_the_handshake_costs_nobody(made, files):
    """A connection that is reset with words unread is one more that came to nothing."""
    keeper = TlsKeeper(tls_of(files))
    a_port, b_port = free_port(), free_port()
    a, _ = made("a", a_port, [b_port], keeper)
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", a_port), 2) as rude:
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            rude.sendall(b"x" * 100)
    assert until(lambda: a.counters["connections_refused"] == 20, a)

    b, _ = made("b", b_port, [a_port], keeper)

    assert until(lambda: b.connected(f"127.0.0.1:{a_port}"), a, b)

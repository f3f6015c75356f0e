"""A sink sends to real sockets on loopback, loses without waiting, and comes back."""

import contextlib
import logging
import socket
import threading
from functools import partial

import pytest

from telemetry.catalogue import broker, raft
from telemetry.sinks import sender as sender_module
from telemetry.sinks.channel import datagrams, stream
from telemetry.sinks.lines import Series, statsd_line
from telemetry.sinks.sender import QUEUE_MAX, RETRY_TURNS, Sender

READY = statsd_line(Series(broker.TOTAL_READY, "", ()))
APPLY = statsd_line(Series(raft.APPLY, "", ()))
TEXT = b"nomad.nomad.broker.total_ready:1.000000|g\n"


@pytest.fixture
def udp():
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)
        yield sock


@pytest.fixture
def tcp():
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as sock:
        sock.settimeout(5)
        yield sock


def address(sock):
    return "{}:{}".format(*sock.getsockname())


def closed_address(kind=socket.SOCK_STREAM):
    with contextlib.closing(socket.socket(socket.AF_INET, kind)) as sock:
        sock.bind(("127.0.0.1", 0))
        return address(sock)


def test_values_of_one_turn_are_one_packet(udp):
    """
    What waited goes out in order as one datagram, and a turn without values sends nothing.
    """
    sink = Sender("statsd", partial(datagrams, address(udp)), statsd_line)
    sink.turn()
    sink.push(READY, 1.0)
    sink.push(APPLY, 2.0)

    sink.turn()

    assert TEXT + b"nomad.raft.apply:2.000000|c\n" == udp.recv(2000)
    udp.setblocking(False)
    with pytest.raises(BlockingIOError):
        udp.recv(1)


def test_what_has_no_digits_is_left_out(udp):
    """
    An infinite gauge does not spoil the lines around it, and is not counted as lost.
    """
    sink = Sender("statsd", partial(datagrams, address(udp)), statsd_line)
    sink.push(READY, float("inf"))
    sink.push(READY, 1.0)

    sink.turn()

    assert TEXT == udp.recv(2000)
    assert 0 == sink.dropped


def test_a_unix_socket_takes_datagrams(tmp_path):
    """
    unix:///path is a socket of a dogstatsd agent.
    """
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sock:
        sock.bind(str(tmp_path / "dsd.sock"))
        sink = Sender("dogstatsd", partial(datagrams, f"unix://{tmp_path}/dsd.sock"), statsd_line)
        sink.push(READY, 1.0)

        sink.turn()

        assert TEXT == sock.recv(2000)


def test_statsite_gets_a_stream(tcp):
    """
    One connection carries the lines of many turns.
    """
    sink = Sender("statsite", partial(stream, address(tcp)), statsd_line)
    sink.push(READY, 1.0)
    sink.turn()
    connection, _ = tcp.accept()
    with connection:
        connection.settimeout(5)
        sink.push(READY, 1.0)

        sink.turn()

        assert TEXT * 2 == connection.recv(len(TEXT) * 2, socket.MSG_WAITALL)


def test_statsite_is_connected_anew(tcp):
    """
    When the receiver hangs up, what waits is lost and counted until the next attempt, 5 s of turns later.
    """
    sink = Sender("statsite", partial(stream, address(tcp)), statsd_line)
    sink.push(READY, 1.0)
    sink.turn()
    tcp.accept()[0].close()
    turns = 0
    while not sink.dropped and turns < 100:  # the first lines after the end still go into the void
        sink.push(READY, 1.0)
        sink.turn()
        turns += 1
    before = sink.dropped
    for _ in range(RETRY_TURNS):
        sink.push(READY, 2.0)
        sink.turn()
    between = sink.dropped
    sink.push(READY, 1.0)

    sink.turn()

    connection, _ = tcp.accept()
    with connection:
        assert TEXT == connection.recv(2000)
    assert (before + RETRY_TURNS, between) == (between, sink.dropped)


def test_an_unreachable_receiver_is_told_once(caplog):
    """
    Attempts follow every 5 s for ever; the log has one line, with the sink and the reason.
    """
    sink = Sender("statsite", partial(stream, closed_address()), statsd_line)
    with caplog.at_level(logging.INFO):
        for _ in range(3 * (RETRY_TURNS + 1)):
            sink.push(READY, 1.0)
            sink.turn()

    assert 3 * (RETRY_TURNS + 1) == sink.dropped
    (record,) = caplog.records
    assert "telemetry is lost, the receiver cannot be reached; tried again every 5 s: sink=statsite" in record.message
    assert "refused" in record.message


def test_a_receiver_that_comes_back_is_told(caplog, tcp):
    """
    Two turns that go well after a failure are worth a line of the log; one may have gone into the void.
    """
    addresses = [closed_address(), address(tcp)]
    sink = Sender("statsite", lambda: stream(addresses.pop(0)), statsd_line)
    with caplog.at_level(logging.INFO):
        for _ in range(RETRY_TURNS + 2):
            sink.push(READY, 1.0)
            sink.turn()
        assert 1 == len(caplog.records)
        sink.turn()
        assert 1 == len(caplog.records)
        sink.push(READY, 1.0)
        sink.turn()

    assert "telemetry is sent again: sink=statsite" == caplog.records[-1].message
    assert 2 == len(caplog.records)


def test_datagrams_to_nobody_are_no_news(caplog):
    """
    The kernel takes the first one and refuses the second, every 5 s: one line in the log tells it all.
    """
    sink = Sender("statsd", partial(datagrams, closed_address(socket.SOCK_DGRAM)), statsd_line)
    with caplog.at_level(logging.INFO):
        for _ in range(3 * (RETRY_TURNS + 2)):
            sink.push(READY, 1.0)
            sink.turn()

    (record,) = caplog.records
    assert "sink=statsd reason=[Errno 111] Connection refused" in record.message
    assert 3 * (RETRY_TURNS + 1) == sink.dropped


def test_a_name_that_does_not_resolve_is_like_a_receiver_that_is_away(caplog):
    """
    The name may be known tomorrow: it is tried again, as on a Nomad.
    """

    def unknown():
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    sink = Sender("statsd", unknown, statsd_line)
    sink.push(READY, 1.0)

    sink.turn()

    assert 1 == sink.dropped
    assert "Name or service not known" in caplog.text


@pytest.mark.parametrize("connect", [datagrams, stream])
def test_a_name_that_cannot_be_asked_for_is_unknown(caplog, connect):
    """
    What no resolver takes is told like any name that nobody knows, and ends no thread.
    """
    sink = Sender("statsd", partial(connect, "a..b:8125"), statsd_line)
    sink.push(READY, 1.0)

    sink.turn()

    assert 1 == sink.dropped
    assert "no name of a host" in caplog.text


def test_a_sink_survives_what_nobody_expected(udp, caplog, monkeypatch):
    """
    Its thread goes on after an error that is no matter of the network, and the log has the trace.
    """
    monkeypatch.setattr(sender_module, "RETRY_TURNS", 1)
    ways = [{}, {"address": address(udp)}]
    second = threading.Event()

    def connect():
        way = ways.pop(0)
        if not ways:
            second.set()
        return datagrams(**way)  # the first attempt raises a TypeError

    sink = Sender("statsd", connect, statsd_line)
    sink.start()
    try:
        assert second.wait(10)
        sink.push(READY, 1.0)

        assert udp.recv(2000).startswith(TEXT)
    finally:
        sink.close()
    assert "sink failed, tried again in 5 s" in caplog.text


def test_a_full_queue_loses_what_comes():
    """
    Nobody who records waits: beyond the bound values are lost and counted, and what waited is kept.
    """
    sent = []
    sink = Sender("statsd", lambda: Kept(sent), statsd_line)
    for number in range(QUEUE_MAX + 3):
        sink.push(READY, float(number))

    sink.turn()

    assert 3 == sink.dropped
    lines = b"".join(sent).splitlines()
    assert QUEUE_MAX == len(lines)
    assert b"nomad.nomad.broker.total_ready:65535.000000|g" == lines[-1]


class Kept:
    """A channel that keeps what is sent."""

    def __init__(self, sent):
        self._sent = sent

    def send(self, packet):
        self._sent.append(packet)

    def close(self):
        pass


def test_what_was_sent_before_a_failure_is_not_lost():
    """
    Of three packets the second fails: the lines of the first are sent, those of the others are counted.
    """

    class Breaks(Kept):
        def send(self, packet):
            if self._sent:
                raise ConnectionResetError(104, "Connection reset by peer")
            super().send(packet)

    sent = []
    sink = Sender("statsite", lambda: Breaks(sent), statsd_line)
    for _ in range(100):
        sink.push(READY, 1.0)

    sink.turn()

    assert 33 == sent[0].count(b"\n")
    assert 67 == sink.dropped


def test_closing_sends_what_waits(udp, monkeypatch):
    """
    The last values before a stop arrive though no turn was due.
    """
    monkeypatch.setattr(sender_module, "FLUSH_SECONDS", 60.0)
    sink = Sender("statsd", partial(datagrams, address(udp)), statsd_line)
    sink.start()
    sink.push(READY, 1.0)

    sink.close()

    assert TEXT == udp.recv(2000)


def test_a_thread_sends_by_itself(udp):
    """
    A started sink sends without anybody asking.
    """
    sink = Sender("statsd", partial(datagrams, address(udp)), statsd_line)
    sink.start()
    try:
        sink.push(READY, 1.0)

        assert TEXT == udp.recv(2000)
    finally:
        sink.close()

"""The server bounds what strangers may cost, and stops cleanly."""

import asyncio
import gc
import gzip
import logging
import tracemalloc

import pytest

from agent.errors import ConfigError
from agent.http.guard import HttpLimits
from agent.http.server import HttpServer
from agent.rpc import methods as rpc
from telemetry.catalogue.http import CONNECTIONS

REQUEST = b"GET /v1/regions HTTP/1.1\r\nHost: a\r\n\r\n"
LOGGER = logging.getLogger("test.http")


class LastValues:
    """A recorder that keeps every gauge written."""

    def __init__(self):
        self.values = []

    def add(self, metric, amount=1.0, labels=(), expansion=""):
        raise AssertionError(metric)

    def set(self, metric, value, labels=(), expansion=""):
        self.values.append((metric, value))

    def observe(self, metric, value, labels=(), expansion=""):
        raise AssertionError(metric)


async def read_head(reader):
    return await reader.readuntil(b"\r\n\r\n")


def test_port_in_use(agent):
    """
    A port that is taken stops the start with one sentence that names it and the remedy.
    """

    async def two():
        first = HttpServer(agent, "127.0.0.1", 0, LastValues(), LOGGER)
        await first.start()
        second = HttpServer(agent, "127.0.0.1", first.port, LastValues(), LOGGER)
        try:
            with pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{first.port} is already in use.*ports"):
                await second.start()
        finally:
            await first.stop()

    asyncio.run(two())


def test_connections_are_counted(agent):
    """
    The gauge follows the connections that are open, and says 0 from the start.
    """
    recorder = LastValues()

    async def session():
        server = HttpServer(agent, "127.0.0.1", 0, recorder, LOGGER)
        await server.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(REQUEST)
        await read_head(reader)
        during = server.connections
        writer.close()
        await writer.wait_closed()
        while server.connections:  # noqa: ASYNC110 - bounded by the test's own timeout
            await asyncio.sleep(0)
        await server.stop()
        return during

    during = asyncio.run(asyncio.wait_for(session(), 10))

    assert 1 == during
    assert [(CONNECTIONS, value) for value in (0.0, 1.0, 0.0)] == recorder.values[:3]


def test_too_many_connections(serve):
    """
    A client above its number of connections gets 429 and is closed; the others go on.
    """

    async def use(server):
        first_reader, first = await asyncio.open_connection("127.0.0.1", server.port)
        first.write(REQUEST)
        await read_head(first_reader)
        second_reader, second = await asyncio.open_connection("127.0.0.1", server.port)
        refused = await second_reader.read()
        first.write(REQUEST)
        again = await first_reader.readuntil(b"200 OK")
        first.close()
        second.close()
        return refused, again

    refused, again = serve(use, connections_per_client_max=1)

    assert refused.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert again.endswith(b"200 OK")


def test_slow_header(serve):
    """
    A connection that never finishes its header is dropped, with nothing said.
    """

    async def use(server):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /v1/regions HTTP/1.1\r\nX-Slow: ")
        rest = await reader.read()
        writer.close()
        return rest

    assert b"" == serve(use, header_timeout_seconds=0.05)


def test_headers_that_trickle_keep_nobody_out(serve):
    """
    Whoever sends a header byte by byte is dropped when its time is up, be it the first one or the next on a connection
    that had an answer; others are served meanwhile.
    """

    async def trickle(server, *, after_another):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        if after_another:
            writer.write(REQUEST)
            await reader.readuntil(b"200 OK")
        ended = asyncio.create_task(reader.read())
        writer.write(b"GET /v1/regions HTTP/1.1\r\nX-Slow: ")
        sent = 0
        while not ended.done():
            writer.write(b"a")
            sent += 1
            await asyncio.sleep(0.02)
        writer.close()
        return sent

    async def use(server):
        slow = [asyncio.create_task(trickle(server, after_another=after)) for after in (False, True)]
        await asyncio.sleep(0.1)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(REQUEST)
        answer = await reader.readuntil(b"200 OK")
        writer.close()
        still = [not each.done() for each in slow]
        return answer, still, await asyncio.gather(*slow)

    answer, still, sent = serve(use, header_timeout_seconds=1.0)

    assert answer.endswith(b"200 OK")
    assert [True, True] == still
    assert [True, True] == [many < 500 for many in sent]


def test_a_connection_may_rest_between_requests(serve):
    """
    The time of a header begins with its first byte: a connection that was idle for longer has its next answer, too.
    """

    async def use(server):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        answers = 0
        for _ in range(2):
            writer.write(REQUEST)
            answers += (await reader.readuntil(b'["global"]')).count(b"200 OK")
            await asyncio.sleep(0.6)
        writer.close()
        return answers

    assert 2 == serve(use, header_timeout_seconds=0.3)


def test_header_timer_ends_with_the_header(agent, serve):
    """
    A request that came whole may take as long as it likes: the timer of its header is off before it is answered.
    """

    async def use(server):
        timers = []

        async def call(method, request, timeout_seconds):
            timers.extend(connection._timer for connection in server._door._open.values())
            return rpc.NodeListResponse()

        agent.caller.call = call
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /v1/nodes HTTP/1.1\r\nHost: a\r\n\r\n")
        await read_head(reader)
        writer.close()
        return timers

    assert [None] == serve(use)


def test_write_outlives_its_sender(agent, serve):
    """
    A write whose sender hangs up is carried to its end; a read is given up.
    """
    ended = []

    async def use(server):
        begun, release = asyncio.Event(), asyncio.Event()

        async def call(method, request, timeout_seconds):
            begun.set()
            try:
                await release.wait()
            finally:
                ended.append((method.name, release.is_set()))
            return rpc.JobRegisterResponse()

        agent.caller.call = call
        for data in (b"GET /v1/jobs HTTP/1.1\r\nHost: a\r\n\r\n", b"DELETE /v1/job/web HTTP/1.1\r\nHost: a\r\n\r\n"):
            begun.clear()
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(data)
            await begun.wait()
            writer.close()
            await writer.wait_closed()
            while server.connections:  # noqa: ASYNC110 - bounded by the timeout of serve
                await asyncio.sleep(0)
        # A cancellation, were there one, takes a few turns of the loop to arrive.
        for _ in range(20):
            await asyncio.sleep(0)
        release.set()
        while len(ended) < 2:  # noqa: ASYNC110 - the same
            await asyncio.sleep(0)

    serve(use)

    assert [("Job.List", False), ("Job.Deregister", True)] == ended


def test_stop_does_not_wait_for_blocking_queries(agent, serve, monkeypatch):
    """
    A blocking query is cut off when the server stops, however long requests under way are given.
    """
    from agent.http import server as module

    monkeypatch.setattr(module, "STOP_TIMEOUT_SECONDS", 60.0)
    ended = []

    async def use(server):
        begun = asyncio.Event()

        async def call(method, request, timeout_seconds):
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(method.name)

        agent.caller.call = call
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /v1/nodes?index=7&wait=5m HTTP/1.1\r\nHost: a\r\n\r\n")
        await begun.wait()
        await server.stop()
        writer.close()

    serve(use)

    assert ["Node.List"] == ended


def test_stop_is_harmless_before_start(agent):
    """
    A server that never started can be stopped.
    """
    asyncio.run(HttpServer(agent, "127.0.0.1", 0, LastValues(), LOGGER, limits=HttpLimits()).stop())


def test_bytes_that_are_no_http_are_told_once_and_without_a_traceback(agent, caplog):
    """
    However often a stranger sends nonsense, and whatever is in it, the log has one line for its host and kind.
    """

    async def send_nonsense():
        server = HttpServer(agent, "127.0.0.1", 0, LastValues(), LOGGER)
        await server.start()
        answers = []
        for number in range(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET /\xff%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
            answers.append((await read_head(reader)).split(b"\r\n")[0])
            writer.close()
        await server.stop()
        return answers

    with caplog.at_level(logging.INFO):
        answers = asyncio.run(send_nonsense())

    assert {b"HTTP/1.0 400 Bad Request"} == set(answers)
    told = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert ["http: refused a request from=127.0.0.1:* reason='it is no HTTP: InvalidURLError'"] == [
        record.getMessage() for record in told
    ]
    assert told[0].exc_info is None


def test_a_body_that_is_not_packed_as_it_says_is_refused(agent, caplog):
    """
    A damaged gzip body gets one sentence and the status 400; it was an internal error with a traceback.
    """

    async def send_damaged():
        server = HttpServer(agent, "127.0.0.1", 0, LastValues(), LOGGER)
        await server.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = b"PUT /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n"
        writer.write(head + b"\x1f\x8bno")
        answer = await asyncio.wait_for(reader.readuntil(b"gzip"), 5)
        writer.close()
        await server.stop()
        return answer

    with caplog.at_level(logging.INFO):
        answer = asyncio.run(send_damaged())

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b"the body cannot be read: Can not decode content-encoding: gzip")
    assert [] == [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_body_that_unpacks_to_too_much_is_not_kept(agent):
    """
    What was unpacked of a small bomb is free once it is refused, without waiting for the collector of cycles.
    """
    bomb = gzip.compress(bytes(32 * 1024 * 1024), 9)
    head = f"PUT /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n"

    async def send_bombs():
        server = HttpServer(agent, "127.0.0.1", 0, LastValues(), LOGGER)
        await server.start()
        for _ in range(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(head.encode() + bomb)
            assert (await read_head(reader)).startswith(b"HTTP/1.1 413 ")
            writer.close()
            await writer.wait_closed()
        kept = tracemalloc.get_traced_memory()[0]
        await server.stop()
        return kept

    gc.disable()
    tracemalloc.start()
    try:
        kept = asyncio.run(send_bombs())
    finally:
        tracemalloc.stop()
        gc.enable()

    assert kept < 8 * 1024 * 1024, "a refused body is kept"

"""The two ends of the wire against each other, over real gRPC on loopback."""

import asyncio
import contextlib
import logging
import re
import socket

import msgspec
import pytest

from agent import errors
from agent.rpc.client import RpcClient, waiting_seconds
from agent.rpc.methods import (
    EVAL_DEQUEUE,
    METHODS,
    NODE_GET_NODE,
    NODE_UPDATE_STATUS,
    STATUS_PING,
    Access,
    EvalDequeueRequest,
    NodeSpecificRequest,
    NodeUpdateStatusRequest,
    Request,
    Response,
)
from agent.rpc.service import RpcServer, join_host_port, peer_of
from telemetry.catalogue import rpc as catalogue
from telemetry.recorder import NullRecorder
from tests.agent.rpc.test_wire import EVERY_ERROR

LOGGER = logging.getLogger("test.rpc")
HEARTBEAT = NodeUpdateStatusRequest(node_id="n", status="ready")
QUESTION = NodeSpecificRequest(node_id="n")


class Counting:
    """A recorder that counts what was added."""

    def __init__(self):
        self.counts = {}

    def add(self, metric, amount=1.0, labels=(), expansion=""):
        self.counts[metric] = self.counts.get(metric, 0) + amount

    def set(self, metric, value, labels=(), expansion=""):
        raise AssertionError(metric)

    def observe(self, metric, value, labels=(), expansion=""):
        raise AssertionError(metric)


class Scripted:
    """A dispatcher that answers with what *answer* returns or raises."""

    def __init__(self, answer):
        self.answer = answer
        self.seen = []

    async def dispatch(self, method, request, peer):
        self.seen.append((method.name, request, peer))
        result = self.answer(method, request)
        return await result if asyncio.iscoroutine(result) else result


def raising(error):
    def answer(method, request):
        raise error

    return answer


@contextlib.asynccontextmanager
async def wired(answer, recorder=None):
    """Yield (client, address, dispatcher) of a server that answers with *answer*."""
    dispatcher = Scripted(answer)
    server = RpcServer("127.0.0.1", 0, dispatcher, recorder or NullRecorder(), LOGGER)
    await server.start()
    client = RpcClient(NullRecorder(), LOGGER)
    try:
        yield client, f"127.0.0.1:{server.port}", dispatcher
    finally:
        await client.close()
        await server.stop(0)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def sample(kind):
    """Return a value of the struct *kind* with something in each required field."""
    body = {}
    for field in msgspec.structs.fields(kind):
        if field.required:
            body[field.encode_name] = _sample_of(field.type)
    return msgspec.convert(body, kind)


def _sample_of(kind):
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return msgspec.to_builtins(sample(kind))
    if kind is str or getattr(kind, "__supertype__", None) is str:
        return "x"
    return {int: 1, float: 1.0, bool: True, bytes: b""}.get(kind, [])


def test_every_method_carries_its_request_and_its_response():
    """
    Each method's request arrives as it was, and its response comes back as it was.
    """

    async def run():
        async with wired(lambda method, request: sample(method.response)) as (client, address, dispatcher):
            for method in METHODS.values():
                request = sample(method.request)
                assert sample(method.response) == await client.call(address, method, request, 5)
                assert (method.name, request) == dispatcher.seen[-1][:2]
            assert dispatcher.seen[-1][2].startswith("127.0.0.1:")

    asyncio.run(run())


def test_every_kind_of_error_is_raised_at_the_caller():
    """
    What the far side raises is raised here with class, message and fields.
    """

    async def run():
        for error in EVERY_ERROR:
            async with wired(raising(error)) as (client, address, _):
                with pytest.raises(errors.OutriderError) as caught:
                    await client.call(address, NODE_UPDATE_STATUS, HEARTBEAT, 5)
                assert (type(error), str(error), vars(error)) == (
                    type(caught.value),
                    str(caught.value),
                    {key: value for key, value in vars(caught.value).items() if not key.startswith("__")},
                )

    asyncio.run(run())


def test_a_bug_at_the_server_is_logged_with_the_method(caplog):
    """
    An unexpected exception is logged there, and leaves a write unknown and a read refused with 500.
    """

    async def run():
        async with wired(raising(KeyError("secret-detail"))) as (client, address, _):
            with pytest.raises(errors.UnknownOutcome, match=r"Node\.UpdateStatus: internal error") as write:
                await client.call(address, NODE_UPDATE_STATUS, HEARTBEAT, 5)
            with pytest.raises(errors.RequestRefused, match="internal error") as read:
                await client.call(address, NODE_GET_NODE, QUESTION, 5)
            return write.value, read.value

    write, read = asyncio.run(run())

    assert 500 == read.status
    assert "secret-detail" not in str(write)
    assert "method=Node.UpdateStatus" in caplog.text


def test_calls_are_counted_by_endpoint():
    """
    Each call counts as a request, a read as a query, and each at its endpoint.
    """
    recorder = Counting()

    async def run():
        async with wired(lambda method, request: sample(method.response), recorder) as (client, address, _):
            await client.call(address, NODE_UPDATE_STATUS, HEARTBEAT, 5)
            await client.call(address, NODE_GET_NODE, QUESTION, 5)

    asyncio.run(run())

    assert {
        catalogue.RPC_REQUEST: 2,
        catalogue.RPC_QUERY: 1,
        catalogue.RPC_NODE_WRITE: 1,
        catalogue.RPC_NODE_READ: 1,
    } == recorder.counts


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_call_belongs_to_a_rate(name):
    """
    A call counts as its endpoint's read or list when it only reads, and as its write when it changes something.
    """
    method = METHODS[name]
    recorder = Counting()

    async def run():
        async with wired(lambda asked, request: sample(asked.response), recorder) as (client, address, _):
            await client.call(address, method, sample(method.request), 5)

    asyncio.run(run())

    rates = recorder.counts.keys() - {catalogue.RPC_REQUEST, catalogue.RPC_QUERY}
    (rate,) = rates
    changes = method.access in {Access.WRITE, Access.LEADER_LOCAL}
    endpoint = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", method.name.partition(".")[0]).lower()
    assert rate.name.startswith(f"nomad_nomad_rpc_{endpoint}_")
    assert changes is rate.name.endswith("_write")


def test_nobody_listening_is_unreachable_at_once():
    """
    A refused connection raises Unreachable long before the deadline, for a write, too.
    """

    async def run():
        client = RpcClient(NullRecorder(), LOGGER)
        try:
            async with asyncio.timeout(3):
                with pytest.raises(errors.Unreachable):
                    await client.call(f"127.0.0.1:{free_port()}", NODE_UPDATE_STATUS, HEARTBEAT, 30)
        finally:
            await client.close()

    asyncio.run(run())


def test_a_peer_that_accepts_and_says_nothing_is_unreachable_by_the_deadline():
    """
    A process that is stopped accepts connections in its kernel; the call still ends at its deadline.
    """

    async def run():
        with socket.create_server(("127.0.0.1", 0)) as mute:
            client = RpcClient(NullRecorder(), LOGGER)
            try:
                async with asyncio.timeout(3):
                    with pytest.raises(errors.Unreachable):
                        await client.call(f"127.0.0.1:{mute.getsockname()[1]}", NODE_UPDATE_STATUS, HEARTBEAT, 0.3)
            finally:
                await client.close()

    asyncio.run(run())


def test_a_write_without_an_answer_is_unknown_and_a_read_is_unreachable():
    """
    After the deadline of a call that was sent, a write says that it may have happened.
    """

    async def never():
        await asyncio.Event().wait()

    async def run():
        async with wired(lambda method, request: never()) as (client, address, _):
            with pytest.raises(errors.UnknownOutcome):
                await client.call(address, NODE_UPDATE_STATUS, HEARTBEAT, 0.2)
            with pytest.raises(errors.Unreachable):
                await client.call(address, NODE_GET_NODE, QUESTION, 0.2)

    asyncio.run(run())


def test_a_connection_that_breaks_after_the_write_was_sent_leaves_it_unknown():
    """
    A server that goes away in the middle of a write leaves its outcome unknown.
    """

    async def run():
        arrived = asyncio.Event()

        async def hold():
            arrived.set()
            await asyncio.Event().wait()

        server = RpcServer("127.0.0.1", 0, Scripted(lambda method, request: hold()), NullRecorder(), LOGGER)
        await server.start()
        client = RpcClient(NullRecorder(), LOGGER)
        call = asyncio.create_task(client.call(f"127.0.0.1:{server.port}", NODE_UPDATE_STATUS, HEARTBEAT, 20))
        await asyncio.wait_for(arrived.wait(), 5)
        await server.stop(0)
        with pytest.raises(errors.UnknownOutcome):
            await asyncio.wait_for(call, 5)
        await client.close()

    asyncio.run(run())


def test_a_server_that_comes_back_is_found_within_seconds():
    """
    The same client reaches a server again soon after it returned to its port.
    """

    async def run():
        port = free_port()
        client = RpcClient(NullRecorder(), LOGGER)
        with pytest.raises(errors.Unreachable):
            await client.call(f"127.0.0.1:{port}", STATUS_PING, Request(), 1)
        server = RpcServer("127.0.0.1", port, Scripted(lambda method, request: Response()), NullRecorder(), LOGGER)
        await server.start()
        try:
            async with asyncio.timeout(3):
                while True:
                    try:
                        await client.call(f"127.0.0.1:{port}", STATUS_PING, Request(), 1)
                        break
                    except errors.Unreachable:
                        await asyncio.sleep(0.02)
        finally:
            await client.close()
            await server.stop(0)

    asyncio.run(run())


def test_a_port_in_use_is_a_configuration_error():
    """
    Two servers on one port are an error that names the address, not half of the calls each.
    """

    async def run():
        async with wired(lambda method, request: Response()) as (_, address, _dispatcher):
            port = int(address.rpartition(":")[2])
            with pytest.raises(errors.ConfigError, match=f"cannot listen on 127.0.0.1:{port}"):
                await RpcServer("127.0.0.1", port, Scripted(lambda m, r: Response()), NullRecorder(), LOGGER).start()

    asyncio.run(run())


def test_closing_the_client_ends_its_calls():
    """
    A call in flight when the client closes fails instead of hanging.
    """

    async def never():
        await asyncio.Event().wait()

    async def run():
        async with wired(lambda method, request: never()) as (client, address, _):
            call = asyncio.create_task(client.call(address, NODE_UPDATE_STATUS, HEARTBEAT, 20))
            await asyncio.sleep(0.2)
            await client.close()
            done, _ = await asyncio.wait({call}, timeout=5)
            assert done

            with contextlib.suppress(asyncio.CancelledError, errors.OutriderError):
                await call

    asyncio.run(run())


def test_the_wait_of_a_blocking_query_extends_the_deadline():
    """
    A blocking query may wait its own time and a sixteenth on top; a plain one may not; a dequeue waits what it says.
    """
    assert 0.0 == waiting_seconds(Request(max_query_time_seconds=60))
    assert 63.75 == waiting_seconds(Request(min_query_index=1, max_query_time_seconds=60))
    assert 0.5 == waiting_seconds(EvalDequeueRequest(schedulers=["service"]))
    assert EVAL_DEQUEUE.request is EvalDequeueRequest


def test_addresses_are_written_as_people_do():
    """
    IPv6 addresses wear brackets, in what is listened on and in what a peer is called.
    """
    assert "[::1]:4647" == join_host_port("::1", 4647)
    assert "127.0.0.1:4647" == join_host_port("127.0.0.1", 4647)
    assert "127.0.0.1:5000" == peer_of("ipv4:127.0.0.1:5000")
    assert "[::1]:5000" == peer_of("ipv6:%5B::1%5D:5000")

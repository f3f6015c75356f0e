"""A caller against a server process that is stopped, continued and killed."""

import asyncio
import logging
import signal
import sys
from pathlib import Path

import grpc
import pytest

from agent.errors import UnknownOutcome, Unreachable
from agent.rpc.client import RpcClient
from agent.rpc.methods import NODE_UPDATE_STATUS, STATUS_PING, NodeUpdateStatusRequest, Request
from telemetry.recorder import NullRecorder

pytestmark = pytest.mark.integration

LOGGER = logging.getLogger("test.rpc")
HEARTBEAT = NodeUpdateStatusRequest(node_id="n", status="ready")


async def started():
    """Return a server process and its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.agent.rpc.server_process",
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    async with asyncio.timeout(20):
        line = await process.stdout.readline()
    return process, f"127.0.0.1:{int(line)}"


async def ended(process):
    if process.returncode is None:
        process.kill()
    await process.wait()


def test_a_stopped_server_costs_no_more_than_the_deadline_and_answers_when_it_goes_on():
    """
    SIGSTOP: a write is unknown and a read unreachable at their deadlines; SIGCONT: the same connection serves again.
    """

    async def run():
        process, address = await started()
        client = RpcClient(NullRecorder(), LOGGER)
        loop = asyncio.get_running_loop()
        try:
            await client.call(address, NODE_UPDATE_STATUS, HEARTBEAT, 5)
            process.send_signal(signal.SIGSTOP)
            begun = loop.time()
            with pytest.raises(UnknownOutcome):
                await client.call(address, NODE_UPDATE_STATUS, HEARTBEAT, 0.4)
            with pytest.raises(Unreachable):
                await client.call(address, STATUS_PING, Request(), 0.4)
            took = loop.time() - begun
            process.send_signal(signal.SIGCONT)
            answer = await client.call(address, NODE_UPDATE_STATUS, HEARTBEAT, 5)
            return took, answer.index
        finally:
            await client.close()
            await ended(process)

    took, index = asyncio.run(run())

    assert 0.8 <= took < 4.0
    assert 1 == index


def test_a_killed_server_is_unreachable_at_once():
    """
    SIGKILL: the kernel closes the connection, and the next call fails long before its deadline.
    """

    async def run():
        process, address = await started()
        client = RpcClient(NullRecorder(), LOGGER)
        loop = asyncio.get_running_loop()
        try:
            await client.call(address, NODE_UPDATE_STATUS, HEARTBEAT, 5)
            await ended(process)
            begun = loop.time()
            with pytest.raises((Unreachable, UnknownOutcome)):
                await client.call(address, NODE_UPDATE_STATUS, HEARTBEAT, 10)
            with pytest.raises(Unreachable):
                await client.call(address, NODE_UPDATE_STATUS, HEARTBEAT, 10)
            return loop.time() - begun
        finally:
            await client.close()
            await ended(process)

    assert asyncio.run(run()) < 4.0


@pytest.mark.parametrize(("number", "seconds"), [(signal.SIGKILL, 5.0), (signal.SIGSTOP, 30.0)], ids=["kill", "stop"])
def test_a_connection_to_a_server_that_is_gone_is_no_connection(number, seconds):
    """
    A killed server is disconnected at once, a stopped one when it has not answered the keepalive.
    """

    async def run():
        process, address = await started()
        client = RpcClient(NullRecorder(), LOGGER)
        try:
            await client.call(address, STATUS_PING, Request(), 5)
            before = client.is_connected(address)
            process.send_signal(number)
            channel = client._channels[address]
            async with asyncio.timeout(seconds):
                await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
            return before, client.is_connected(address)
        finally:
            await client.close()
            await ended(process)

    assert (True, False) == asyncio.run(run())

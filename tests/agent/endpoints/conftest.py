"""A server alone, in this process, in memory: real Raft, real RPC on loopback, real endpoints."""

import logging

import pytest

from agent.config.load import AgentFlags, load
from agent.consensus.pysyncobj_replicator import PysyncobjReplicator, RaftSettings
from agent.consensus.replicator import Peer
from agent.server import ServerAgent, ServerIdentity
from telemetry.clock import SystemClock
from telemetry.registry import Registry
from tests.integration.watch import free_ports

CONFIG = """
name = "alone"
bind_addr = "127.0.0.1"
ports {{ http = {0} rpc = {1} serf = {2} raft = {3} }}
advertise {{ http = "127.0.0.1" rpc = "127.0.0.1" serf = "127.0.0.1" raft = "127.0.0.1" }}
data_dir = "{folder}"
server {{ enabled = true bootstrap_expect = 1 min_heartbeat_ttl = "1s" heartbeat_grace = "200ms" }}
"""


@pytest.fixture
def start_server(tmp_path):
    """Return a coroutine function that starts a server and waits until it leads."""

    async def start():
        file = tmp_path / "server.hcl"
        file.write_text(CONFIG.format(*free_ports(4), folder=tmp_path))
        config = load([file], AgentFlags(), {}).config
        clock = SystemClock()
        registry = Registry(clock)
        peer = Peer("id-alone", "alone", config.advertise.raft, config.advertise.rpc)
        settings = RaftSettings(me=peer, bind_address=config.advertise.raft)

        def make(fsm, observer):
            return PysyncobjReplicator(settings, fsm, observer, registry, clock, logging.getLogger("raft"))

        server = ServerAgent(config, ServerIdentity(peer, config.advertise.serf, "0.0.0"), make, clock, registry)
        await server.start()
        await server.until_established(10)
        return server

    return start

"""From an agent's configuration to its gossip. Shell."""

import os
import random
from collections.abc import Callable
from pathlib import Path

from agent.config.addresses import server_addresses
from agent.config.schema import AgentConfig
from agent.consensus.replicator import Peer
from agent.data_dir import DataDir
from agent.gossip.service import Gossip, GossipSettings
from agent.gossip.timings import PROFILES, WAN
from agent.members import server_tags
from telemetry.clock import Clock
from telemetry.recorder import Recorder

KEYRING_FILE = "serf.keyring"
"""In the server's directory, as a Nomad's."""

KNOWN_FILE = Path("serf") / "local.snapshot"
"""In the server's directory, at a Nomad's place."""


def gossip_of(
    config: AgentConfig,
    peer: Peer,
    version: str,
    data_dir: DataDir,
    clock: Clock,
    recorder: Recorder,
    on_given_up: Callable[[str], None],
) -> Gossip:
    """Return the gossip of the server that is *peer*; raises ConfigError for a key or keyring that is none."""
    server = config.server
    settings = GossipSettings(
        name=f"{config.name}.{config.region}",
        region=config.region,
        bind_host=config.addresses.serf,
        bind_port=config.ports.serf,
        advertise=config.advertise.serf,
        tags=server_tags(peer, config.region, config.datacenter, version, server.bootstrap_expect),
        join=tuple(address.serf for address in server_addresses(config) if not address.is_self),
        retry_interval_seconds=server.server_join.retry_interval_seconds,
        retry_max=server.server_join.retry_max,
        near=PROFILES[server.gossip_timings],
        far=WAN,
        label=server.gossip_label,
        encrypt=server.encrypt,
        keyring_file=None if data_dir.temporary else data_dir.path / "server" / KEYRING_FILE,
        known_file=None if data_dir.temporary else data_dir.path / "server" / KNOWN_FILE,
        rejoin_after_leave=server.rejoin_after_leave,
    )
    return Gossip(settings, random.Random(os.urandom(16)), clock, recorder, on_given_up=on_given_up)

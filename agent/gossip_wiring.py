"""From an agent's configuration to its gossip. Shell."""

import os
import random
from collections.abc import Callable
from pathlib import Path

from agent.config.addresses import server_addresses
from agent.config.schema import AgentConfig
from agent.consensus.replicator import Peer
from agent.consensus.wal import cluster_of
from agent.gossip.bootstrap import CLUSTER_TAG
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
    folder: Path | None,
    clock: Clock,
    recorder: Recorder,
    on_given_up: Callable[[str], None],
) -> Gossip:
    """Return the gossip of the server that is *peer* and keeps its state in *folder*, None for one that keeps none.

    Raises ConfigError for a key or keyring that is none, and for a damaged vote file.
    """
    server = config.server
    settings = GossipSettings(
        name=f"{config.name}.{config.region}",
        region=config.region,
        bind_host=config.addresses.serf,
        bind_port=config.ports.serf,
        advertise=config.advertise.serf,
        tags={
            **server_tags(peer, config.region, config.datacenter, version, server.bootstrap_expect),
            **_cluster_tag(folder),
        },
        join=tuple(address.serf for address in server_addresses(config) if not address.is_self),
        retry_interval_seconds=server.server_join.retry_interval_seconds,
        retry_max=server.server_join.retry_max,
        near=PROFILES[server.gossip_timings],
        far=WAN,
        label=server.gossip_label,
        encrypt=server.encrypt,
        keyring_file=folder and folder / KEYRING_FILE,
        known_file=folder and folder / KNOWN_FILE,
        rejoin_after_leave=server.rejoin_after_leave,
    )
    return Gossip(settings, random.Random(os.urandom(16)), clock, recorder, on_given_up=on_given_up)


def _cluster_tag(folder: Path | None) -> dict[str, str]:
    """Return the tag that says of which cluster the log is.

    From the first word on: a leader would take in a server that says it a moment after it is alive.
    """
    cluster_id = "" if folder is None else cluster_of(folder / "raft")
    return {CLUSTER_TAG: cluster_id} if cluster_id else {}

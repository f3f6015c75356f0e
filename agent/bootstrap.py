"""Waits until gossip has found the servers that are expected, or a group that there is, and begins Raft. Shell.

The choice is on the disk before it is told, and again once the group has begun: a server that starts again needs nobody's
word.
"""

import asyncio
import logging
from pathlib import Path

import msgspec

from agent.client.files import write_atomically
from agent.consensus.deferred import DeferredReplicator
from agent.errors import ConfigError
from agent.gossip.bootstrap import TAG, Choice, Waiting, agreed, choose, joinable
from agent.gossip.service import Gossip

LOOK_SECONDS = 0.2

FILE = "bootstrap.json"
"""In the server's directory: whom it chose."""


class Bootstrap:
    """Forms the group of the server *own_id* of *region*, among as many servers as *expect* says.

    *path* None keeps the choice in memory. Raises ConfigError when the file is damaged.
    """

    def __init__(self, own_id: str, region: str, expect: int, path: Path | None) -> None:
        self._own_id = own_id
        self._region = region
        self._expect = expect
        self._path = path
        self._choice = _read(path) if path is not None else None
        self._logger = logging.getLogger("nomad")
        self._said = ""

    async def run(self, gossip: Gossip, replicator: DeferredReplicator) -> None:
        """Return once Raft has begun; raises ConfigError when it cannot."""
        if self._choice is not None and self._choice.peers:
            gossip.add_tags({TAG: self._choice.tag})
        while self._choice is None or not self._choice.formed:
            views = gossip.members()
            chosen = self._choice
            if joinable(chosen, self._own_id, self._region, views):
                await self._keep(Choice({}, formed=True))
                gossip.add_tags({TAG: ""})
                break
            found = choose(views, self._region, self._expect) if chosen is None else agreed(chosen, self._own_id, views)
            if isinstance(found, Choice):
                await self._keep(found)
                gossip.add_tags({TAG: found.tag})
            else:
                self._say(found)
                await asyncio.sleep(LOOK_SECONDS)
        assert self._choice is not None
        if not self._choice.peers:
            self._logger.info("bootstrap: there is a group: waiting for its leader to take this server in")
            await asyncio.to_thread(replicator.form, None)
            return
        peers = tuple(address for peer, address in sorted(self._choice.peers.items()) if peer != self._own_id)
        self._logger.info("bootstrap: the servers are found: peers=%s", ",".join(peers))
        await asyncio.to_thread(replicator.form, peers)

    async def _keep(self, choice: Choice) -> None:
        if self._path is not None:
            data = msgspec.json.encode({"peers": dict(choice.peers), "formed": choice.formed})
            await asyncio.to_thread(write_atomically, self._path, data, durable=True)
        self._choice = choice

    def _say(self, waiting: Waiting) -> None:
        if waiting.reason != self._said:
            self._said = waiting.reason
            self._logger.info("bootstrap: waiting: %s", waiting.reason)


class _File(msgspec.Struct):
    peers: dict[str, str]
    formed: bool


def _read(path: Path) -> Choice | None:
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=_File)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(
            f"{path} cannot be read: {error}; restore it: without it this server cannot know its group"
        ) from error
    return Choice(kept.peers, kept.formed)

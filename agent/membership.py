"""Brings the servers of the Raft group into line with those that gossip knows. Shell.

On every server it tells in a tag whether that one is of a group; on the leader it takes in, promotes and removes, as
`leader.autopilot` decides, one server at a time.
"""

import asyncio
import logging
from collections.abc import Callable

from agent.consensus.identity import difference
from agent.consensus.replicator import Peer, RaftState, Replicator, ReplicatorStatus, Standing
from agent.endpoints.health import HealthWatch, others
from agent.errors import OutriderError
from agent.gossip.bootstrap import CLUSTER_TAG, GROUP_TAG, RAFT_TAG
from agent.gossip.members import MemberView, Status
from agent.gossip.service import Gossip
from agent.leader import autopilot
from agent.leader.autopilot import Decision, Step, Word
from agent.model.autopilot import AutopilotConfig
from telemetry.catalogue import leader as metrics
from telemetry.catalogue.metric import Metric
from telemetry.clock import Clock
from telemetry.recorder import Recorder

LOOK_SECONDS = 0.2
"""Between two looks: a server that leaves waits until it is removed."""

CHANGE_SECONDS = 5.0
"""Deadline of a change, as of any write."""

LEADERLESS_SECONDS = 30.0
"""After so long without a leader a server does not say any more that it is of a group: elections are no news."""

STRANGERS_MAX = 64
"""Servers of other clusters that the log tells of, each once."""

_WORDS = {Status.ALIVE: Word.ALIVE, Status.LEAVING: Word.ALIVE, Status.LEFT: Word.LEFT, Status.FAILED: Word.FAILED}


class Membership:
    """The servers of the group that *own* is of; everything belongs to one event loop."""

    def __init__(
        self,
        own: Peer,
        region: str,
        gossip: Gossip,
        replicator: Replicator,
        health: HealthWatch,
        leads: Callable[[], bool],
        config: Callable[[], AutopilotConfig],
        clock: Clock,
        recorder: Recorder,
        logger: logging.Logger,
    ) -> None:
        self._own = own
        self._region = region
        self._gossip = gossip
        self._replicator = replicator
        self._health = health
        self._leads = leads
        self._config = config
        self._clock = clock
        self._recorder = recorder
        self._logger = logger
        self._tag = ""
        self._cluster_id = ""
        self._strangers: set[str] = set()
        self._leaving = False
        self._leader_at = clock.monotonic()
        self._since: dict[str, tuple[Word, float]] = {}
        self._sent_away: dict[str, float] = {}
        self._members: dict[str, Peer] = {}
        self._learning: dict[str, float] = {}
        self._trouble = ""

    async def run(self) -> None:
        """Look for what is to be done, for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._tell()
            if self._leads():
                began = self._clock.monotonic()
                await self._lead()
                self._took(metrics.RECONCILE, began)
            else:
                self._since.clear()
                self._learning.clear()
                self._sent_away.clear()

    def leave(self) -> None:
        """Say no more in gossip: a word of one that left would be taken for its return."""
        self._leaving = True

    def send_away(self, server_id: str) -> None:
        """Do not take the removed *server_id* in again before it was away: an operator wants it out."""
        self._sent_away[server_id] = self._clock.wall()

    def _tell(self) -> None:
        status, now = self._replicator.status(), self._clock.monotonic()
        if status.leader is not None:
            self._leader_at = now
        of_a_group = status.standing is not Standing.NONE and (
            status.leader is not None or (bool(self._tag) and now - self._leader_at <= LEADERLESS_SECONDS)
        )
        tag = "1" if of_a_group else ""
        if tag != self._tag and not self._leaving:
            self._tag = tag
            self._gossip.add_tags({GROUP_TAG: tag})
        if status.cluster_id != self._cluster_id and not self._leaving:
            self._cluster_id = status.cluster_id
            self._gossip.add_tags({CLUSTER_TAG: status.cluster_id})

    async def _lead(self) -> None:
        status = self._replicator.status()
        if status.state is not RaftState.LEADER:
            return
        views = {
            view.tags["id"]: view
            for view in self._gossip.members()
            if view.tags.get("region") == self._region and view.tags.get("id") and view.tags.get(RAFT_TAG)
        }
        decision = autopilot.decide(self._servers(status, views), self._config())
        if decision is None:
            return
        try:
            await self._carry_out(decision, views)
            self._trouble = ""
        except OutriderError as error:
            trouble = f"{decision.step.name.lower()} {decision.key}: {error}"
            if trouble != self._trouble:
                self._trouble = trouble
                self._logger.warning("autopilot: cannot change the servers: %s", trouble)

    async def _carry_out(self, decision: Decision, views: dict[str, MemberView]) -> None:
        key = decision.key
        name = views[key].name if key in views else key
        match decision.step:
            case Step.REMOVE:
                await self._replicator.remove_server(_key(self._members[key]), CHANGE_SECONDS)
            case Step.ADD:
                await self._replicator.add_server(_peer_of(views[key]), voter=False, timeout_seconds=CHANGE_SECONDS)
            case Step.PROMOTE:
                await self._replicator.add_server(self._members[key], voter=True, timeout_seconds=CHANGE_SECONDS)
        self._logger.info("autopilot: %s server=%s id=%s reason=%r", _DONE[decision.step], name, key, decision.reason)

    def _servers(self, status: ReplicatorStatus, views: dict[str, MemberView]) -> list[autopilot.Standing]:
        by_address = {view.tags[RAFT_TAG]: key for key, view in views.items()}
        entries = {
            e.peer.server_id or by_address.get(e.peer.raft_address, e.peer.raft_address): e
            for e in others(status, self._own)
        }
        self._members = {key: entry.peer for key, entry in entries.items()}
        own = self._standing(self._own.server_id, self._own, views, voter=True, is_leader=True)
        now = self._clock.monotonic()
        self._learning = {key: self._learning.get(key, now) for key, entry in entries.items() if not entry.voter}
        members = [self._standing(key, entry.peer, views, voter=entry.voter) for key, entry in entries.items()]
        strangers = [
            self._standing(key, _peer_of(view), views, voter=None)
            for key, view in views.items()
            if key not in entries and key != own.key
        ]
        return [own, *members, *strangers]

    def _standing(
        self, key: str, peer: Peer, views: dict[str, MemberView], *, voter: bool | None, is_leader: bool = False
    ) -> autopilot.Standing:
        began = now = self._clock.monotonic()
        view = views.get(key)
        word = Word.UNKNOWN if view is None else _WORDS[view.status]
        was, since = self._since.get(key, (word, now))
        if was is not word:
            since = now
        self._since[key] = (word, since)
        standing = autopilot.Standing(
            key=key,
            raft_address=peer.raft_address,
            word=word,
            word_seconds=now - since,
            voter=voter,
            healthy_seconds=None if voter is None else self._healthy_seconds(key, peer),
            is_leader=is_leader,
            may_join=view is not None and self._may_join(key, view),
        )
        self._took(metrics.RECONCILE_MEMBER, began)
        return standing

    def _took(self, metric: Metric, began: float) -> None:
        self._recorder.observe(metric, (self._clock.monotonic() - began) * 1000)

    def _healthy_seconds(self, key: str, peer: Peer) -> float | None:
        """Return how long a server has been healthy: at most since it was added, whatever it was in a former life."""
        healthy = self._health.healthy_seconds(_key(peer))
        if healthy is None or key not in self._learning:
            return healthy
        return min(healthy, self._clock.monotonic() - self._learning[key])

    def _may_join(self, key: str, view: MemberView) -> bool:
        sent_away_at = self._sent_away.get(key)
        # An incarnation begins at the seconds of the clock when the process starts.
        if sent_away_at is not None and view.status is Status.ALIVE and view.incarnation < sent_away_at:
            return False
        self._sent_away.pop(key, None)
        stranger = difference(self._cluster_id, view.tags.get(CLUSTER_TAG, ""))
        if stranger:
            if key not in self._strangers and len(self._strangers) < STRANGERS_MAX:
                self._strangers.add(key)
                self._logger.warning("autopilot: not taken in: server=%s id=%s reason=%r", view.name, key, stranger)
            return False
        return view.status is Status.ALIVE and not view.suspected and not view.tags.get(GROUP_TAG)


_DONE = {Step.ADD: "added without a vote", Step.PROMOTE: "promoted", Step.REMOVE: "removed"}


def _key(peer: Peer) -> str:
    return peer.server_id or peer.raft_address


def _peer_of(view: MemberView) -> Peer:
    host, port = view.tags.get("rpc_addr", ""), view.tags.get("port", "")
    rpc_address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return Peer(view.tags["id"], view.name.removesuffix(f".{view.tags['region']}"), view.tags[RAFT_TAG], rpc_address)

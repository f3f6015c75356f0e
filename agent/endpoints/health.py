"""Autopilot's rounds on the leader: the judgement behind the health body and the two autopilot gauges."""

from collections.abc import Callable

from agent.config.units import format_duration
from agent.consensus.replicator import Peer, PeerStatus, RaftState, ReplicatorStatus
from agent.leader.autopilot import DEFAULTS, INTERVAL_SECONDS, ServerView, Verdict, judge
from agent.model.autopilot import AutopilotConfig
from agent.model.times import rfc3339_seconds
from agent.rpc import methods as m
from telemetry.catalogue import autopilot as metrics
from telemetry.clock import Clock
from telemetry.recorder import Recorder


class HealthWatch:
    """Judges the servers every two seconds while this one leads; keeps since when each has been as it is."""

    def __init__(
        self,
        own: Peer,
        status: Callable[[], ReplicatorStatus],
        clock: Clock,
        recorder: Recorder,
        version: str,
        region: str,
        raft_multiplier: float = 1.0,
        serf_status: Callable[[Peer], str] = lambda _: "",
        config: Callable[[], AutopilotConfig] = lambda: DEFAULTS,
    ) -> None:
        self._own = own
        self._status = status
        self._clock = clock
        self._recorder = recorder
        self._version = version
        self._region = region
        self._raft_multiplier = raft_multiplier
        self._serf_status = serf_status
        self._config = config
        self._next_round = 0.0
        self._since: dict[str, tuple[bool, float]] = {}
        self._response = m.AutopilotHealthResponse()

    def collect(self) -> None:
        """Hold a round if one is due; forgets everything on a server that does not lead."""
        status = self._status()
        if status.state is not RaftState.LEADER:
            self._response = m.AutopilotHealthResponse()
            self._next_round = self._clock.monotonic() + INTERVAL_SECONDS
            self._since.clear()
            return
        now = self._clock.monotonic()
        if now < self._next_round:
            return
        self._next_round = now + INTERVAL_SECONDS
        views = self._views(status)
        verdict = judge(tuple(view for view, _ in views), status.last_index, self._raft_multiplier, self._config())
        self._recorder.set(metrics.HEALTHY, float(verdict.healthy))
        self._recorder.set(metrics.FAILURE_TOLERANCE, float(verdict.failure_tolerance))
        self._response = self._body(status, verdict, views)
        # Whoever was away begins anew.
        judged = {view.server_id for view, _ in views}
        self._since = {key: since for key, since in self._since.items() if key in judged}

    def response(self) -> m.AutopilotHealthResponse:
        """Return the last judgement; empty before the first one."""
        return self._response

    def healthy_seconds(self, key: str) -> float | None:
        """Return how long the server *key* has been judged healthy; None for one that is not, or was not judged."""
        healthy, since = self._since.get(key, (False, 0.0))
        return max(0.0, self._clock.wall() - since) if healthy else None

    def _views(self, status: ReplicatorStatus) -> list[tuple[ServerView, Peer]]:
        own = ServerView(self._key(self._own), True, True, 0.0, status.last_index, is_leader=True)
        return [(own, self._own), *((self._view(entry), entry.peer) for entry in others(status, self._own))]

    def _view(self, entry: PeerStatus) -> ServerView:
        return ServerView(
            server_id=self._key(entry.peer), voter=entry.voter, alive=entry.connected,
            last_contact_seconds=entry.last_contact_seconds, last_index=entry.match_index or 0,
        )  # fmt: skip

    @staticmethod
    def _key(peer: Peer) -> str:
        return peer.server_id or peer.raft_address

    def _body(
        self, status: ReplicatorStatus, verdict: Verdict, views: list[tuple[ServerView, Peer]]
    ) -> m.AutopilotHealthResponse:
        return m.AutopilotHealthResponse(
            healthy=verdict.healthy,
            failure_tolerance=verdict.failure_tolerance,
            leader=self._own.server_id,
            voters=[view.server_id for view, _ in views if view.voter],
            servers=[self._health(status, verdict, view, peer) for view, peer in views],
        )

    def _health(self, status: ReplicatorStatus, verdict: Verdict, view: ServerView, peer: Peer) -> m.ServerHealth:
        healthy = view.server_id in verdict.healthy_ids
        wall = self._clock.wall()
        was, since = self._since.get(view.server_id, (not healthy, wall))
        if was != healthy:
            since = wall
        self._since[view.server_id] = (healthy, since)
        return m.ServerHealth(
            id=view.server_id, name=f"{peer.name}.{self._region}" if peer.name else "(unknown)", address=peer.rpc_address,
            serf_status=self._serf_status(peer) or ("alive" if view.alive else "failed"), version=self._version, leader=view.is_leader,
            last_contact=format_duration(view.last_contact_seconds or 0.0), last_term=status.last_term,
            last_index=view.last_index, healthy=healthy, voter=view.voter, stable_since=rfc3339_seconds(since),
        )  # fmt: skip


def others(status: ReplicatorStatus, own: Peer) -> list[PeerStatus]:
    """Return the servers of the configuration besides *own*."""
    return [entry for entry in status.peers if entry.peer.raft_address != own.raft_address]

"""Values read of an API to series; pure. The names are those our own agent has, wherever it has them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from telemetry.catalogue import exporter, outrider
from telemetry.catalogue.metric import Metric
from telemetry.exporting.bodies import Autopilot, NodeCounts, OwnView
from telemetry.exporting.source import Source
from telemetry.registry import Sampled

Counts = Mapping[str, int]
Found = Autopilot | NodeCounts | Counts
"""What a source of the cluster gave."""

_COUNTED = {
    Source.JOBS: exporter.JOBS,
    Source.DEPLOYMENTS: exporter.DEPLOYMENTS,
    Source.EVALUATIONS: exporter.EVALUATIONS,
}


@dataclass(frozen=True, slots=True)
class ServerView:
    """What one poll of a server brought; None for what it did not say. *leader* is an address, empty for none."""

    leader: str | None = None
    own: OwnView | None = None

    @property
    def has_leader(self) -> bool | None:
        """Whether the server knows of a leader; None when it did not say."""
        if self.leader is not None:
            return bool(self.leader)
        return bool(self.own.leader_address) if self.own is not None else None

    @property
    def leads(self) -> bool:
        """Whether the server says that it is the leader."""
        return self.own is not None and self.own.leads


def server_series(server: str, view: ServerView, pilot: Autopilot | None) -> Iterator[Sampled]:
    """Yield the series of *server*; *pilot* is what the leader's autopilot said, if it was read."""
    me = (server,)
    has_leader = view.has_leader
    if has_leader is not None:
        yield Sampled(outrider.SERVER_HAS_LEADER, float(has_leader), me)
    own = view.own
    if own is None:
        return
    yield Sampled(outrider.SERVER_IS_LEADER, float(own.leads), me)
    yield Sampled(outrider.RAFT_TERM, float(own.term), me)
    yield Sampled(outrider.RAFT_LAST_CONTACT_SECONDS, own.last_contact_seconds, me)
    yield Sampled(outrider.RAFT_LAST_INDEX, float(own.last_index), me)
    yield Sampled(outrider.RAFT_COMMIT_INDEX, float(own.commit_index), me)
    yield Sampled(outrider.RAFT_APPLIED_INDEX, float(own.applied_index), me)
    yield Sampled(outrider.RAFT_LOG_ENTRIES, float(own.log_entries), me)
    yield Sampled(outrider.RAFT_VOTERS, float(own.voters), me)
    healthy = _voters_healthy(view, own, pilot)
    if healthy is not None:
        yield Sampled(outrider.RAFT_VOTERS_HEALTHY, float(healthy), me)
    for status, count in own.members.items():
        yield Sampled(exporter.MEMBERS, float(count), (server, status))
    yield Sampled(exporter.BOOTSTRAP_EXPECT, float(own.expect), me)


def cluster_series(server: str, source: Source, found: Found) -> Iterator[Sampled]:
    """Yield the series of what *source* gave; *server* is the one whose state it is."""
    match found:
        case Autopilot():
            yield Sampled(exporter.AUTOPILOT_HEALTHY, float(found.healthy), (server,))
            yield Sampled(exporter.AUTOPILOT_FAILURE_TOLERANCE, float(found.failure_tolerance), (server,))
        case NodeCounts():
            for kind, count in found.kinds.items():
                yield Sampled(outrider.NODES, float(count), (server, *kind))
            yield Sampled(outrider.NODES_DRAINING, float(found.draining), (server,))
        case _:
            metric: Metric = _COUNTED[source]
            for status, count in found.items():
                yield Sampled(metric, float(count), (server, status))


def _voters_healthy(view: ServerView, own: OwnView, pilot: Autopilot | None) -> int | None:
    """As our agent says it: a leader its healthy voters, another server itself and a leader heard."""
    if not own.leads:
        return 1 + int(bool(view.has_leader))
    # After a change of leader the body may still be the former one's.
    return pilot.voters_healthy if pilot is not None and pilot.leader == own.member else None

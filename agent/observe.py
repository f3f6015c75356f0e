"""What a server says of itself: gauges at each collection, as Nomad's stats loops, and `outrider_*` at each scrape.

Nomad's gauges exist on every server; those of the leader's parts are 0 elsewhere. What only a leader knows is emitted
only by it, and so stays for 60 s on a server that was it: rules must live with that, as they must on a real Nomad.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from agent.consensus.engine_parts import POLL_SECONDS_MAX, Timing
from agent.consensus.replicator import RaftState, ReplicatorStatus, Standing
from agent.leader.duties import LeaderDuties
from agent.leader.plan_queue import DEPTH_MAX
from agent.model.job import GroupSummary, Job, JobStatus
from agent.model.node import Eligibility, NodeStatus
from agent.state.store import State, Table
from agent.worker import Worker
from telemetry.catalogue import broker, heartbeat, job, outrider, plan
from telemetry.catalogue import state as state_metrics
from telemetry.catalogue.metric import Metric
from telemetry.clock import Clock
from telemetry.recorder import Recorder
from telemetry.registry import Sampled

HEARTBEAT_SECONDS = 5.0
"""How often nomad_nomad_heartbeat_active is refreshed, as Nomad does."""

_STATUSES: tuple[tuple[JobStatus, Metric], ...] = (
    (JobStatus.PENDING, job.STATUS_PENDING),
    (JobStatus.RUNNING, job.STATUS_RUNNING),
    (JobStatus.DEAD, job.STATUS_DEAD),
)

_SUMMARIES: tuple[tuple[Metric, Callable[[GroupSummary], int]], ...] = (
    (job.SUMMARY_QUEUED, lambda summary: summary.queued),
    (job.SUMMARY_STARTING, lambda summary: summary.starting),
    (job.SUMMARY_RUNNING, lambda summary: summary.running),
    (job.SUMMARY_COMPLETE, lambda summary: summary.complete),
    (job.SUMMARY_FAILED, lambda summary: summary.failed),
    (job.SUMMARY_LOST, lambda summary: summary.lost),
    (job.SUMMARY_UNKNOWN, lambda summary: summary.unknown),
)


_NODE_KINDS = tuple((status.value, eligibility.value) for status in NodeStatus for eligibility in Eligibility)


@dataclass(frozen=True, slots=True)
class Observed:
    """The parts of a server that are looked at; `name` is its node name."""

    name: str
    status: Callable[[], ReplicatorStatus]
    state: Callable[[], State]
    duties: LeaderDuties
    workers: Sequence[Worker]
    raft_multiplier: float
    summarises_dispatched: bool = True


class ServerObserver:
    """Emits a server's gauges. Belongs to the event loop; `sample` may be called from the thread of a scrape."""

    def __init__(self, observed: Observed, clock: Clock, recorder: Recorder) -> None:
        self._observed = observed
        self._clock = clock
        self._recorder = recorder
        self._timing = Timing().scaled(observed.raft_multiplier)
        self._heartbeat_due = 0.0
        self._server = (observed.name,)
        self._nodes_index = -1
        self._nodes: tuple[Sampled, ...] = ()

    def collect(self) -> None:
        """Emit everything that is due at a collection interval."""
        self._queues()
        self._recorder.set(state_metrics.SNAPSHOT_INDEX, float(self._observed.state().index))
        now = self._clock.monotonic()
        if now >= self._heartbeat_due:
            self._heartbeat_due = now + HEARTBEAT_SECONDS
            self._recorder.set(heartbeat.ACTIVE, float(len(self._observed.duties.heartbeats)))
        if self._observed.duties.established:
            self._of_leader()

    def sample(self) -> Iterator[Sampled]:
        """Yield the present values of the `outrider_*` series of a server."""
        status = self._observed.status()
        age = max(0.0, self._clock.monotonic() - status.taken_at_seconds)
        # After a longer silence of its Raft thread another may lead: this process may have been stopped.
        leads = status.state is RaftState.LEADER and status.has_quorum and age <= self._timing.lease_seconds
        hears = self._hears_leader(status, age)
        me = self._server
        yield Sampled(outrider.SERVER_IS_LEADER, float(leads), me)
        yield Sampled(outrider.SERVER_HAS_LEADER, float(leads or hears), me)
        voters = _own_vote(status) + sum(entry.voter for entry in status.peers)
        yield Sampled(outrider.RAFT_VOTERS, float(voters), me)
        yield Sampled(outrider.RAFT_VOTERS_HEALTHY, float(self._voters_healthy(status, age, hears=hears)), me)
        yield Sampled(outrider.RAFT_LAST_CONTACT_SECONDS, self._last_contact(status) + age, me)
        yield from self._log(status, age)
        yield from self._counted_nodes()
        duties, workers = self._observed.duties, self._observed.workers
        yield Sampled(outrider.EVALUATIONS_FAILED_TOTAL, float(duties.evaluations_failed), me)
        yield Sampled(outrider.WORKER_COUNT, float(len(workers)), me)
        yield Sampled(outrider.WORKER_BUSY_COUNT, float(sum(worker.busy for worker in workers)), me)
        yield Sampled(outrider.QUEUE_DEPTH, float(duties.plans.depth), (*me, "plan"))
        yield Sampled(outrider.QUEUE_CAPACITY, float(DEPTH_MAX), (*me, "plan"))

    def _log(self, status: ReplicatorStatus, age: float) -> Iterator[Sampled]:
        me = self._server
        yield Sampled(outrider.RAFT_TERM, float(status.term), me)
        # A Raft thread that hangs is late for as long as its last status is old.
        yield Sampled(
            outrider.RAFT_TICK_LATENESS_SECONDS, max(status.tick_lateness_seconds, age - POLL_SECONDS_MAX), me
        )
        yield Sampled(outrider.RAFT_LAST_INDEX, float(status.last_index), me)
        yield Sampled(outrider.RAFT_COMMIT_INDEX, float(status.commit_index), me)
        yield Sampled(outrider.RAFT_APPLIED_INDEX, float(status.applied_index), me)
        yield Sampled(outrider.RAFT_LOG_ENTRIES, float(status.log_entries), me)
        yield Sampled(outrider.RAFT_LOG_BYTES, float(status.log_bytes), me)
        yield Sampled(outrider.RAFT_SNAPSHOT_AGE_SECONDS, status.snapshot_age_seconds + age, me)
        yield Sampled(outrider.RAFT_ELECTIONS_TOTAL, float(status.totals.elections_won), me)
        yield Sampled(outrider.RAFT_LEASE_LOSSES_TOTAL, float(status.totals.lease_losses), me)

    def _counted_nodes(self) -> tuple[Sampled, ...]:
        """Count anew only when a node has changed: 5,000 of them cost milliseconds, and seldom change."""
        state = self._observed.state()
        index = state.table_index(Table.NODES)
        if index != self._nodes_index:
            nodes = state.nodes()
            counts = dict.fromkeys(_NODE_KINDS, 0) | Counter(
                (node.status, node.scheduling_eligibility) for node in nodes
            )
            self._nodes = (
                *(Sampled(outrider.NODES, float(count), (*self._server, *kind)) for kind, count in counts.items()),
                Sampled(outrider.NODES_DRAINING, float(sum(node.drain for node in nodes)), self._server),
            )
            self._nodes_index = index
        return self._nodes

    def _hears_leader(self, status: ReplicatorStatus, age: float) -> bool:
        if status.state is RaftState.LEADER or status.leader is None or status.last_contact_seconds is None:
            return False
        # A follower that heard nothing for the longest election timeout has no leader.
        return status.last_contact_seconds + age <= self._timing.election_max_seconds

    def _voters_healthy(self, status: ReplicatorStatus, age: float, *, hears: bool) -> int:
        if status.state is not RaftState.LEADER:
            return _own_vote(status) + int(hears)
        return 1 + sum(
            entry.voter
            and entry.last_contact_seconds is not None
            and entry.last_contact_seconds + age <= self._timing.election_max_seconds
            for entry in status.peers
        )

    def _last_contact(self, status: ReplicatorStatus) -> float:
        """As leader, since when a quorum was last heard: the slowest of the fastest followers that make a majority."""
        if status.state is not RaftState.LEADER:
            # Never heard is not 0: a server that starts into a cluster without a leader must not look fresh.
            return float("inf") if status.last_contact_seconds is None else status.last_contact_seconds
        heard = sorted(
            float("inf") if entry.last_contact_seconds is None else entry.last_contact_seconds
            for entry in status.peers
            if entry.voter
        )
        needed = (1 + len(heard)) // 2
        return heard[needed - 1] if needed else 0.0

    def _queues(self) -> None:
        duties, put = self._observed.duties, self._recorder.set
        stats = duties.broker.stats()
        put(broker.TOTAL_READY, float(stats.ready))
        put(broker.TOTAL_UNACKED, float(stats.unacked))
        put(broker.TOTAL_PENDING, float(stats.pending))
        put(broker.TOTAL_WAITING, float(stats.waiting))
        put(broker.TOTAL_CANCELABLE, float(stats.cancelable))
        for scheduler, (ready, unacked) in stats.by_scheduler.items():
            if scheduler in broker.SCHEDULER_READY.expansions:
                put(broker.SCHEDULER_READY, float(ready), (), scheduler)
                put(broker.SCHEDULER_UNACKED, float(unacked), (), scheduler)
        for (namespace, job_id), seconds in duties.broker.waiting_seconds(self._clock.monotonic()).items():
            put(broker.EVAL_WAITING, seconds, (job_id, namespace))
        blocked = duties.blocked.stats()
        put(broker.BLOCKED_TOTAL_BLOCKED, float(blocked.blocked))
        put(broker.BLOCKED_TOTAL_ESCAPED, float(blocked.escaped))
        put(broker.BLOCKED_TOTAL_QUOTA_LIMIT, float(blocked.quota_limit))
        for (namespace, job_id), (cpu_mhz, memory_mb) in blocked.by_job.items():
            put(broker.BLOCKED_JOB_CPU, float(cpu_mhz), (job_id, namespace))
            put(broker.BLOCKED_JOB_MEMORY, float(memory_mb), (job_id, namespace))
        for place, (cpu_mhz, memory_mb) in blocked.by_place.items():
            put(broker.BLOCKED_CPU, float(cpu_mhz), place)
            put(broker.BLOCKED_MEMORY, float(memory_mb), place)
        put(plan.QUEUE_DEPTH, float(duties.plans.depth))

    def _of_leader(self) -> None:
        state = self._observed.state()
        jobs = state.jobs()
        for status, metric in _STATUSES:
            self._recorder.set(metric, float(sum(entry.status == status for entry in jobs)))
        for entry in jobs:
            if entry.dispatched and not self._observed.summarises_dispatched:
                continue
            summary = state.job_summary(entry.namespace, entry.id)
            for group, counts in sorted(summary.summary.items()) if summary else ():
                self._group(entry, group, counts)

    def _group(self, entry: Job, group: str, counts: GroupSummary) -> None:
        labels = (entry.id, entry.namespace, group, entry.parent_id, "")
        for metric, count in _SUMMARIES:
            self._recorder.set(metric, float(count(counts)), labels)


def _own_vote(status: ReplicatorStatus) -> int:
    """One for a server that votes itself, none for one that was removed or waits to be taken in."""
    return int(status.standing is Standing.VOTER)

"""Whole rounds of scheduling on random clusters: process, plan check, commit, as the agent does them.

Safety (nothing wrong is ever placed) and liveness (what fits is placed) are separate tests.
"""

import itertools
import random
from collections import Counter

import msgspec
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from agent.leader.plan_apply import evaluate_plan
from agent.model.alloc import ClientStatus
from agent.model.base import EvalID, JobID, NodeID
from agent.model.canonical import canonicalize
from agent.model.command import (
    AnyCommand,
    ApplyPlanResults,
    DeregisterJob,
    RegisterJob,
    RegisterNode,
    UpdateAllocsFromClient,
    UpdateEvals,
    UpdateNodeStatus,
)
from agent.model.evaluation import Evaluation
from agent.model.job import Job, JobType, Resources, Task, TaskGroup
from agent.model.node import DriverInfo, Node, NodeCpu, NodeDisk, NodeMemory, NodeResources, NodeStatus
from agent.scheduler.process import Outcome, process
from agent.state.fsm import apply
from agent.state.store import State
from agent.state.usage import node_capacity

SECOND = 1_000_000_000
_SETTINGS = settings(max_examples=40, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])


class Cluster:
    """A state and what is needed to move it: the log's index, a clock, ids and chance."""

    def __init__(self, seed: int) -> None:
        self.state = State()
        self.now = 1_000 * SECOND
        self.rng = random.Random(seed)
        self._ids = itertools.count(1)

    def new_id(self) -> str:
        return f"id-{next(self._ids):05}"

    def commit(self, command_type, **fields) -> None:
        command: AnyCommand = command_type(request_id=self.new_id(), at=self.now, **fields)
        self.state = apply(self.state, self.state.index + 1, command).state
        self.state.check_invariants()

    def register(self, job: Job) -> None:
        self.commit(RegisterJob, job=canonicalize(job), eval=self.evaluation(job, "job-register"))

    def evaluation(self, job: Job, trigger: str) -> Evaluation:
        return Evaluation(id=EvalID(self.new_id()), job_id=job.id, type=job.type, triggered_by=trigger)

    def settle(self) -> None:
        """Process what is pending until nothing is, as one worker would; later evaluations are left to `pass_time`."""
        for _ in range(100):
            ready = [e for e in self.state.evals() if e.status == "pending" and e.wait_until <= self.now]
            if not ready:
                return
            self.work(ready[0])
        raise AssertionError("scheduling does not come to rest")

    def work(self, evaluation: Evaluation) -> None:
        for _ in range(5):
            outcome = self.processed(evaluation)
            if not self.submit(outcome):
                break
        self.commit(UpdateEvals, evals=outcome.evals)

    def processed(self, evaluation: Evaluation) -> Outcome:
        return process(evaluation, self.state, self.now, random.Random(self.rng.getrandbits(32)), self.new_id)

    def submit(self, outcome: Outcome) -> int:
        """Commit what of a plan is accepted and return the index to look again from, 0 when all was."""
        plan = outcome.plan
        result = evaluate_plan(self.state, plan)
        updated = [
            a for part in (result.node_update, result.node_allocation) for allocs in part.values() for a in allocs
        ]
        if updated:
            self.commit(ApplyPlanResults, eval_id=plan.eval_id, updated=updated, snapshot_index=plan.snapshot_index)
        check_safe(self.state)
        return result.refresh_index

    def report(self, status: ClientStatus, count: int = 1) -> None:
        """Let clients report *status* for some of their live allocations, with an evaluation for each job."""
        live = [alloc for alloc in self.state.allocs() if not alloc.terminal]
        chosen = self.rng.sample(live, min(count, len(live)))
        updates = [msgspec.structs.replace(a, client_status=status, modify_time=self.now) for a in chosen]
        jobs = {a.job_id: a.job for a in chosen if a.job is not None}
        evals = [self.evaluation(job, "alloc-failure") for _, job in sorted(jobs.items())]
        self.commit(UpdateAllocsFromClient, allocs=updates, evals=evals)

    def node_status(self, node_id: str, status: NodeStatus) -> None:
        jobs = {job.id: job for job in self.state.jobs()}
        evals = [self.evaluation(job, "node-update") for _, job in sorted(jobs.items())]
        self.commit(UpdateNodeStatus, node_id=NodeID(node_id), status=status, evals=evals)


def check_safe(state: State) -> None:
    """Raise AssertionError if a node has too much, or a service has two live allocations of one name."""
    for node in state.nodes():
        assert "" == state.usage(node.id).exceeded(node_capacity(node)), node.id
    for job in state.jobs():
        live = [alloc for alloc in state.allocs_by_job("default", job.id) if not alloc.terminal]
        if job.type in {JobType.SERVICE, JobType.BATCH}:
            names = Counter(alloc.name for alloc in live)
            assert all(count == 1 for count in names.values()), names
            for group in job.task_groups:
                assert sum(alloc.task_group == group.name for alloc in live) <= max(
                    group.count, _largest_count_ever(state, job, group.name)
                )
        else:
            places = Counter((alloc.node_id, alloc.task_group) for alloc in live)
            assert all(count == 1 for count in places.values()), places


def _largest_count_ever(state: State, job: Job, group: str) -> int:
    versions = state.job_versions("default", job.id)
    counts = [found.count for version in versions if (found := version.group(group)) is not None]
    return max(counts, default=0)


def make_node(number: int, cpu: int = 1000, memory_mb: int = 1000) -> Node:
    """Return a ready node that can run raw_exec."""
    return Node(
        id=NodeID(f"node-{number:04}"),
        name=f"n{number}",
        status=NodeStatus.READY,
        drivers={"raw_exec": DriverInfo(detected=True, healthy=True)},
        node_resources=NodeResources(
            cpu=NodeCpu(cpu_shares=cpu), memory=NodeMemory(memory_mb=memory_mb), disk=NodeDisk(disk_mb=100_000)
        ),
    )


def make_job(name: str = "web", count: int = 3, kind: str = JobType.SERVICE, cpu: int = 100, command: str = "a") -> Job:
    """Return a job with one group of one task."""
    task = Task(name="t", driver="raw_exec", config={"command": command}, resources=Resources(cpu=cpu, memory_mb=100))
    return canonicalize(Job(id=JobID(name), type=kind, task_groups=[TaskGroup(name="app", count=count, tasks=[task])]))


_STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("register"),
            st.sampled_from(["a", "b"]),
            st.sampled_from([JobType.SERVICE, JobType.BATCH, JobType.SYSTEM]),
            st.integers(0, 6),
            st.sampled_from([100, 300, 700]),
            st.sampled_from(["x", "y"]),
        ),
        st.tuples(st.just("stop"), st.sampled_from(["a", "b"]), st.booleans()),
        st.tuples(st.just("report"), st.sampled_from(ClientStatus), st.integers(1, 4)),
        st.tuples(st.just("node"), st.integers(0, 3), st.sampled_from([NodeStatus.READY, NodeStatus.DOWN])),
        st.tuples(st.just("time"), st.integers(1, 60)),
        st.tuples(st.just("race")),
    ),
    max_size=14,
)


def _play(seed: int, steps) -> Cluster:
    cluster = Cluster(seed)
    for number in range(4):
        cluster.commit(RegisterNode, node=make_node(number))
    for step in steps:
        match step:
            case ("register", name, kind, count, cpu, command):
                cluster.register(
                    make_job(f"{name}-{kind}", min(count, 1) if kind == "system" else count, kind, cpu, command)
                )
            case ("stop", name, purge):
                job = make_job(f"{name}-service")
                evaluation = cluster.evaluation(job, "job-deregister")
                cluster.commit(DeregisterJob, namespace="default", job_id=job.id, purge=purge, eval=evaluation)
            case ("report", status, count):
                cluster.report(status, count)
            case ("node", number, status):
                cluster.node_status(f"node-{number:04}", status)
            case ("time", seconds):
                cluster.now += seconds * SECOND
            case ("race",):
                _race(cluster)
        cluster.settle()
    return cluster


def _race(cluster: Cluster) -> None:
    """Two workers plan for different jobs on the same snapshot, and submit one after the other."""
    jobs = [make_job(f"race-{n}", count=4, cpu=600) for n in range(2)]
    for job in jobs:
        cluster.register(job)
    pending = [e for e in cluster.state.evals() if e.status == "pending" and e.job_id in {job.id for job in jobs}]
    for outcome in [cluster.processed(evaluation) for evaluation in pending]:
        cluster.submit(outcome)


@_SETTINGS
@given(st.integers(0, 2**32), _STEPS)
def test_nothing_wrong_is_ever_placed(seed, steps):
    """
    Whatever happens, no node gets more than it has and no name is given twice; `check_safe` sees every commit.
    """
    cluster = _play(seed, steps)

    check_safe(cluster.state)


@_SETTINGS
@given(st.integers(0, 2**32), _STEPS)
def test_the_same_input_gives_the_same_state(seed, steps):
    """
    Two runs with the same seed end in equal states: no decision depends on anything that is not handed in.
    """
    first, second = _play(seed, steps), _play(seed, steps)

    assert first.state == second.state


@_SETTINGS
@given(st.integers(0, 2**32), st.integers(1, 8), st.lists(st.integers(1, 12), min_size=1, max_size=4))
def test_what_fits_is_placed_in_one_pass(seed, node_count, counts):
    """
    With room for all, everything is placed by the first evaluation of each job and nothing waits.
    """
    assume(sum(counts) <= node_count * 10)
    cluster = Cluster(seed)
    for number in range(node_count):
        cluster.commit(RegisterNode, node=make_node(number))

    for number, count in enumerate(counts):
        cluster.register(make_job(f"job-{number}", count))
        cluster.settle()

    for number, count in enumerate(counts):
        live = [alloc for alloc in cluster.state.allocs_by_job("default", f"job-{number}") if not alloc.terminal]
        assert [f"job-{number}.app[{place}]" for place in range(count)] == sorted(
            (alloc.name for alloc in live), key=lambda name: int(name.split("[")[1][:-1])
        )
    assert all(evaluation.status == "complete" for evaluation in cluster.state.evals())


@_SETTINGS
@given(st.integers(0, 2**32), _STEPS)
def test_after_the_trouble_services_recover(seed, steps):
    """
    Once all nodes are back, clients run what they got and enough time has passed, each service has what it wants.
    """
    cluster = _play(seed, steps)
    for number in range(4, 12):
        cluster.commit(RegisterNode, node=make_node(number, cpu=20_000, memory_mb=20_000))
    for number in range(4):
        cluster.node_status(f"node-{number:04}", NodeStatus.READY)

    for _ in range(30):
        cluster.report(ClientStatus.RUNNING, 1000)
        cluster.now += 4000 * SECOND
        cluster.settle()

    for job in cluster.state.jobs():
        if job.type == JobType.SERVICE:
            live = [a for a in cluster.state.allocs_by_job("default", job.id) if not a.terminal]
            assert (0 if job.stop else job.task_groups[0].count) == len(live)
            assert all(a.job.task_groups[0].tasks == job.task_groups[0].tasks for a in live if a.job)

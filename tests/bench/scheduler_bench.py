"""Placements a second of the scheduler alone, on one core: one evaluation, the plan not submitted.

Run as `python -m tests.bench.scheduler_bench`. The baselines are a real Nomad's on a machine of two cores, the middle
of its range in the same case; there a ratio above 1 is faster than Nomad.
"""

import itertools
import random
import statistics
import sys
import time

from agent.model.base import EvalID, JobID, NodeID
from agent.model.canonical import canonicalize
from agent.model.command import RegisterJob, RegisterNode
from agent.model.evaluation import Evaluation
from agent.model.job import Job, JobType, Resources, Task, TaskGroup
from agent.model.node import DriverInfo, Node, NodeCpu, NodeDisk, NodeMemory, NodeResources, NodeStatus
from agent.scheduler.process import process
from agent.state.fsm import apply
from agent.state.store import State

ROUNDS = 5

CASES = {
    (JobType.SERVICE, 1000, 300): 5045.0,
    (JobType.SERVICE, 1000, 900): 3480.0,
    (JobType.SERVICE, 5000, 300): 2880.0,
    (JobType.SERVICE, 5000, 900): 2485.0,
    (JobType.BATCH, 1000, 300): 25400.0,
    (JobType.BATCH, 1000, 900): 20750.0,
    (JobType.BATCH, 5000, 300): 20250.0,
    (JobType.BATCH, 5000, 900): 21550.0,
}
"""Nomad's placements a second by job type, nodes and allocations."""


def cluster(nodes: int) -> State:
    """Return a state with so many ready nodes in three datacenters."""
    state = State()
    for number in range(nodes):
        node = Node(
            id=NodeID(f"node-{number:05}"),
            name=f"n{number}",
            datacenter=f"dc{number % 3}",
            status=NodeStatus.READY,
            drivers={"exec": DriverInfo(detected=True, healthy=True)},
            node_resources=NodeResources(
                cpu=NodeCpu(cpu_shares=14_000), memory=NodeMemory(memory_mb=32_000), disk=NodeDisk(disk_mb=100_000)
            ),
        )
        state = apply(state, state.index + 1, RegisterNode(request_id="", at=0, node=node)).state
    return state


def seconds_of(state: State, kind: str, allocs: int, seed: int) -> float:
    """Return how many seconds of CPU one evaluation takes that places *allocs*; raises RuntimeError if it places fewer."""
    task = Task(name="t", driver="exec", resources=Resources(cpu=100, memory_mb=100))
    job = canonicalize(Job(id=JobID("bench"), type=kind, task_groups=[TaskGroup(name="g", count=allocs, tasks=[task])]))
    state = apply(state, state.index + 1, RegisterJob(request_id="", at=0, job=job)).state
    evaluation = Evaluation(id=EvalID("e"), job_id=job.id, type=kind, triggered_by="job-register")
    ids = itertools.count()
    started = time.process_time()
    outcome = process(evaluation, state, 0, random.Random(seed), lambda: f"alloc-{next(ids)}")
    took = time.process_time() - started
    placed = sum(map(len, outcome.plan.node_allocation.values()))
    if placed != allocs:
        raise RuntimeError(f"placed {placed} of {allocs}")
    return took


def main() -> None:
    """Print one figure for each case, the median of the rounds."""
    states = {nodes: cluster(nodes) for nodes in {nodes for _, nodes, _ in CASES}}
    for (kind, nodes, allocs), baseline in CASES.items():
        times = [seconds_of(states[nodes], kind, allocs, seed) for seed in range(ROUNDS)]
        rate = allocs / statistics.median(times)
        name = f"scheduler.{kind}.{nodes}x{allocs}"
        sys.stdout.write(f"{name} {rate:.0f} placements/s {baseline:.0f} {rate / baseline:.2f}\n")


if __name__ == "__main__":
    main()

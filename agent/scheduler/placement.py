"""Finding places on one snapshot: nodes in random order, what the plan takes and frees so far, and what was seen.

A service looks at about log2 of the nodes, a batch job at two: with the nodes in random order, the best of a few is
nearly as good as the best of all, and that is what keeps scheduling fast. Source: Nomad, scheduler/stack.go.
"""

import math
import random
from collections import Counter
from dataclasses import dataclass, field

from agent.model.alloc import Allocation, AllocMetric, NodeScore
from agent.model.base import NodeID
from agent.model.job import Job, JobType, Resources, TaskGroup
from agent.model.node import Node
from agent.scheduler.feasible import ANY_POOL, DISTINCT_HOSTS, GroupNeeds, in_datacenters, nodes_in_pool
from agent.scheduler.rank import RESCHEDULE_PENALTY, anti_affinity, bin_pack, normalized
from agent.state.store import State
from agent.state.usage import Usage, alloc_usage, node_capacity

BATCH_CHOICES = 2
SERVICE_CHOICES_MIN = 2
SKIPPED_MAX = 3
"""So many poor places (score 0 or below) are passed over in the hope of a better one."""

SCORES_KEPT = 5
"""As many ranked nodes as Nomad shows with an allocation."""


@dataclass(frozen=True, slots=True)
class GroupAsk:
    """A group as the placer sees it: its needs, and the resources of one allocation of it."""

    group: TaskGroup
    needs: GroupNeeds
    usage: Usage
    task_resources: dict[str, Resources]
    shared: Resources
    total: Resources

    @classmethod
    def of(cls, job: Job, group: TaskGroup) -> "GroupAsk":
        """Return what one allocation of *group* in *job* asks for."""
        tasks = {task.name: task.resources or Resources() for task in group.tasks}
        disk_mb = group.ephemeral_disk.size_mb if group.ephemeral_disk else 0
        cpu, memory = sum(part.cpu for part in tasks.values()), sum(part.memory_mb for part in tasks.values())
        memory_max = sum(max(part.memory_mb, part.memory_max_mb) for part in tasks.values())
        return cls(
            group=group,
            needs=GroupNeeds.of(job, group),
            usage=Usage(cpu, memory, disk_mb),
            task_resources=tasks,
            shared=Resources(cpu=0, memory_mb=0, disk_mb=disk_mb),
            total=Resources(cpu=cpu, memory_mb=memory, memory_max_mb=memory_max, disk_mb=disk_mb),
        )


@dataclass(frozen=True, slots=True)
class Found:
    """A place, or None, and what was seen on the way."""

    node: Node | None
    metric: AllocMetric


@dataclass(slots=True)
class _Seen:
    """Counts of one search."""

    evaluated: int = 0
    filtered: int = 0
    exhausted: int = 0
    obstacles: Counter[str] = field(default_factory=Counter)
    dimensions: Counter[str] = field(default_factory=Counter)
    classes_filtered: Counter[str] = field(default_factory=Counter)
    classes_exhausted: Counter[str] = field(default_factory=Counter)


Option = tuple[float, Node, float, float, float]
"""Normalized score, node, and the scores by fit, by neighbours and by former failures."""


class Placer:
    """Places for the allocations of one job. Mutable: it remembers what the plan takes and frees."""

    def __init__(self, state: State, job: Job, rng: random.Random) -> None:
        self._state = state
        self._job = job
        self._rng = rng
        self._datacenters = tuple(job.datacenters or ("*",))
        self._pool = job.node_pool or "default"
        in_pool = nodes_in_pool(state.nodes(), self._pool)
        covered = {name for name in {node.datacenter for node in in_pool} if in_datacenters(name, self._datacenters)}
        self.nodes = [node for node in in_pool if node.datacenter in covered]
        """The ready nodes of the job's pool and datacenters, by id."""
        self._in_pool = len(in_pool)
        self._available = dict(sorted(Counter(node.datacenter for node in self.nodes).items()))
        # Shuffled as far as it is read: ordering all of 5,000 nodes would cost more than placing.
        self._order = list(self.nodes)
        self._shuffled = 0
        self._next = 0
        self._usage: dict[str, Usage] = {}
        self._capacities: dict[str, Usage] = {}
        self._obstacles: dict[tuple[str, str], str] = {}
        self._neighbours: Counter[tuple[str, str]] = Counter()
        self._on_node: Counter[str] = Counter()
        for alloc in state.allocs_by_job(job.namespace, job.id):
            if not alloc.terminal:
                self._count(alloc.node_id, alloc.task_group, 1)
        choices = max(SERVICE_CHOICES_MIN, math.ceil(math.log2(max(1, len(self.nodes)))))
        self._choices = BATCH_CHOICES if job.type == JobType.BATCH else choices

    def covers(self, node: Node) -> bool:
        """Tell whether *node*, ready or not, is of the job's pool and datacenters."""
        return self._pool in {node.node_pool, ANY_POOL} and in_datacenters(node.datacenter, self._datacenters)

    def free(self, alloc: Allocation) -> None:
        """Count a live allocation that the plan stops as gone."""
        self._usage[alloc.node_id] = self._used(alloc.node_id).minus(alloc_usage(alloc))
        self._count(alloc.node_id, alloc.task_group, -1)

    def restore(self, alloc: Allocation) -> None:
        """Take back `free`."""
        self._usage[alloc.node_id] = self._used(alloc.node_id).plus(alloc_usage(alloc))
        self._count(alloc.node_id, alloc.task_group, 1)

    def take(self, node_id: NodeID, ask: GroupAsk) -> None:
        """Count an allocation that the plan places."""
        self._usage[node_id] = self._used(node_id).plus(ask.usage)
        self._count(node_id, ask.group.name, 1)

    def find(self, ask: GroupAsk, wanted: int, penalty: frozenset[str]) -> Found:
        """Return the best of the first few places for *ask*, of which *wanted* shall run; *penalty* names poor nodes."""
        seen = _Seen()
        options: list[Option] = []
        skipped: list[Option] = []
        for _ in range(len(self._order)):
            option = self._judge(self._following(), ask, wanted, penalty, seen)
            if option is None:
                continue
            if option[0] <= 0 and len(skipped) < SKIPPED_MAX:
                skipped.append(option)
                continue
            options.append(option)
            if len(options) == self._choices:
                break
        options += skipped[: self._choices - len(options)]
        return self._chosen(ask, options, seen)

    def find_on(self, node: Node, ask: GroupAsk) -> Found:
        """Return *node* if it can take *ask*."""
        seen = _Seen()
        option = self._judge(node, ask, 1, frozenset(), seen)
        return self._chosen(ask, [] if option is None else [option], seen)

    def _judge(self, node: Node, ask: GroupAsk, wanted: int, penalty: frozenset[str], seen: _Seen) -> Option | None:
        seen.evaluated += 1
        obstacle = self._obstacle(node, ask.needs)
        if obstacle:
            seen.filtered += 1
            seen.obstacles[obstacle] += 1
            if node.node_class:
                seen.classes_filtered[node.node_class] += 1
            return None
        capacity = self._capacities.get(node.id)
        if capacity is None:
            capacity = self._capacities[node.id] = node_capacity(node)
        used = self._used(node.id).plus(ask.usage)
        dimension = used.exceeded(capacity)
        if dimension:
            seen.exhausted += 1
            seen.dimensions[dimension] += 1
            if node.node_class:
                seen.classes_exhausted[node.node_class] += 1
            return None
        fit = bin_pack(used, capacity)
        apart = anti_affinity(self._neighbours[node.id, ask.group.name], wanted)
        poor = RESCHEDULE_PENALTY if node.id in penalty else 0.0
        return normalized(fit, apart, poor), node, fit, apart, poor

    def _obstacle(self, node: Node, needs: GroupNeeds) -> str:
        if needs.distinct_job and self._on_node[node.id]:
            return DISTINCT_HOSTS
        if needs.distinct_group and self._neighbours[node.id, needs.group]:
            return DISTINCT_HOSTS
        key = (node.id, needs.group)
        known = self._obstacles.get(key)
        if known is None:
            known = self._obstacles[key] = needs.obstacle(node)
        return known

    def _chosen(self, ask: GroupAsk, options: list[Option], seen: _Seen) -> Found:
        # The first of equals wins: sorting is stable and the order of the nodes is random.
        ranked = sorted(options, key=_score, reverse=True)
        metric = AllocMetric(
            nodes_evaluated=seen.evaluated,
            nodes_filtered=seen.filtered,
            nodes_exhausted=seen.exhausted,
            nodes_in_pool=self._in_pool,
            nodes_available=self._available,
            class_filtered=dict(seen.classes_filtered) or None,
            class_exhausted=dict(seen.classes_exhausted) or None,
            constraint_filtered=dict(seen.obstacles) or None,
            dimension_exhausted=dict(seen.dimensions) or None,
            resources_exhausted=None if options else _exhausted(ask, seen),
            score_meta_data=[_shown(option) for option in ranked[:SCORES_KEPT]] or None,
            node_pool=self._pool,
        )
        return Found(ranked[0][1] if ranked else None, metric)

    def _following(self) -> Node:
        """Return the next node of the random order; each search goes on where the last one ended."""
        place, order = self._next, self._order
        if place == self._shuffled:
            other = self._rng.randrange(place, len(order))
            order[place], order[other] = order[other], order[place]
            self._shuffled += 1
        self._next = (place + 1) % len(order)
        return order[place]

    def _used(self, node_id: str) -> Usage:
        known = self._usage.get(node_id)
        return self._state.usage(node_id) if known is None else known

    def _count(self, node_id: str, group: str, by: int) -> None:
        self._neighbours[node_id, group] += by
        self._on_node[node_id] += by


def _exhausted(ask: GroupAsk, seen: _Seen) -> dict[str, Resources] | None:
    """Return what each task asked of the dimensions that had run out."""
    if not seen.dimensions:
        return None
    return {
        name: Resources(
            cpu=part.cpu if "cpu" in seen.dimensions else 0,
            memory_mb=part.memory_mb if "memory" in seen.dimensions else 0,
        )
        for name, part in ask.task_resources.items()
    }


def _shown(option: Option) -> NodeScore:
    score, node, fit, apart, poor = option
    scores = {"binpack": fit, "job-anti-affinity": apart, "node-reschedule-penalty": poor}
    return NodeScore(node_id=node.id, norm_score=score, scores=scores)


def _score(option: Option) -> float:
    return option[0]

"""Whether a node may run a group at all: datacenter, pool, drivers, constraints. What fits is `rank`'s question.

Source: Nomad, scheduler/feasible.go, and job specification, constraint.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from agent.model.base import JobKey
from agent.model.job import Constraint, Job, TaskGroup
from agent.model.node import Node
from agent.scheduler.versions import satisfies

DISTINCT_HOSTS = "distinct_hosts"
UNSCHEDULED_OPERANDS = frozenset({"distinct_property"})
"""Operands that Nomad knows and this scheduler does not; a job that uses one is refused, never placed anyhow."""

ANY_POOL = "all"
MISSING_DRIVERS = "missing drivers"


@dataclass(frozen=True, slots=True)
class GroupNeeds:
    """What a group asks of a node, gathered from its job, itself and its tasks."""

    job_key: JobKey
    group: str
    constraints: tuple[Constraint, ...]
    drivers: tuple[str, ...]
    distinct_job: bool
    """No other allocation of the job on the same node."""
    distinct_group: bool
    """No other allocation of the group on the same node."""

    @classmethod
    def of(cls, job: Job, group: TaskGroup) -> "GroupNeeds":
        """Return the needs of *group* in *job*."""
        of_job, of_group = job.constraints or [], group.constraints or []
        of_tasks = [constraint for task in group.tasks for constraint in task.constraints or []]
        plain = [item for item in (*of_job, *of_group, *of_tasks) if item.operand != DISTINCT_HOSTS]
        return cls(
            job_key=job.key,
            group=group.name,
            constraints=tuple(plain),
            drivers=tuple(sorted({task.driver for task in group.tasks})),
            distinct_job=any(map(_asks_distinct, of_job)),
            distinct_group=any(map(_asks_distinct, of_group)),
        )

    def obstacle(self, node: Node) -> str:
        """Return what keeps *node* from running the group, as Nomad counts it, or "" when nothing does."""
        if not all(has_driver(node, driver) for driver in self.drivers):
            return MISSING_DRIVERS
        for constraint in self.constraints:
            if not meets(constraint, node):
                return described(constraint)
        return ""


def unscheduled_operand(job: Job) -> str:
    """Return the first operand in *job* that this scheduler cannot judge, or ""."""
    of_groups = [item for group in job.task_groups for item in group.constraints or []]
    of_tasks = [item for group in job.task_groups for task in group.tasks for item in task.constraints or []]
    every = (*(job.constraints or []), *of_groups, *of_tasks)
    return next((item.operand for item in every if item.operand in UNSCHEDULED_OPERANDS), "")


def nodes_in_pool(nodes: Iterable[Node], pool: str) -> list[Node]:
    """Return the ready nodes of *pool* in their order; "all" means every pool."""
    return [node for node in nodes if node.ready and pool in {node.node_pool, ANY_POOL}]


def in_datacenters(name: str, datacenters: tuple[str, ...]) -> bool:
    """Tell whether a node's datacenter matches one of *datacenters*, where * stands for any text."""
    return any(_glob(pattern).fullmatch(name) is not None for pattern in datacenters)


def has_driver(node: Node, driver: str) -> bool:
    """Tell whether *driver* is there and healthy; nodes that report no driver are judged by their attributes."""
    info = node.drivers.get(driver)
    if info is not None:
        return info.detected and info.healthy
    return node.attributes.get(f"driver.{driver}", "") in {"1", "true"}


def described(constraint: Constraint) -> str:
    """Return a constraint as Nomad counts it in an allocation's metrics."""
    return f"{constraint.l_target} {constraint.operand} {constraint.r_target}"


def meets(constraint: Constraint, node: Node) -> bool:
    """Tell whether *node* meets *constraint*; an operand that does not exist is met by no node."""
    left, right = resolve(constraint.l_target, node), resolve(constraint.r_target, node)
    operand = constraint.operand or "="
    if operand in {"!=", "not"}:
        return left != right
    if operand == "is_set":
        return left is not None
    if operand == "is_not_set":
        return left is None
    test = _TESTS.get(operand)
    return test is not None and left is not None and right is not None and test(left, right)


def resolve(target: str, node: Node) -> str | None:
    """Return the value of a constraint's side for *node*: literal text, or None for a reference to nothing."""
    if not (target.startswith("${") and target.endswith("}")):
        return target
    name = target[2:-1]
    if name.startswith("attr."):
        return node.attributes.get(name[len("attr.") :])
    if name.startswith("meta."):
        return node.meta.get(name[len("meta.") :])
    read = _NODE_VALUES.get(name)
    return read(node) if read is not None else None


_NODE_VALUES: dict[str, Callable[[Node], str]] = {
    "node.unique.id": lambda node: node.id,
    "node.unique.name": lambda node: node.name,
    "node.datacenter": lambda node: node.datacenter,
    "node.class": lambda node: node.node_class,
    "node.pool": lambda node: node.node_pool,
}


def _set_of(text: str) -> set[str]:
    return {part.strip() for part in text.split(",")}


def _matches(text: str, pattern: str) -> bool:
    compiled = _regexp(pattern)
    return compiled is not None and compiled.search(text) is not None


def _sign(left: str, right: str) -> int:
    """Return -1, 0 or 1: by whole numbers if both are, else by numbers, else by text."""
    for kind in (int, float):
        try:
            ours, theirs = kind(left), kind(right)
        except ValueError:
            continue
        return (ours > theirs) - (ours < theirs)
    return (left > right) - (left < right)


_TESTS: dict[str, Callable[[str, str], bool]] = {
    "=": lambda left, right: left == right,
    "==": lambda left, right: left == right,
    "is": lambda left, right: left == right,
    "<": lambda left, right: _sign(left, right) < 0,
    "<=": lambda left, right: _sign(left, right) <= 0,
    ">": lambda left, right: _sign(left, right) > 0,
    ">=": lambda left, right: _sign(left, right) >= 0,
    "regexp": _matches,
    "version": satisfies,
    "semver": lambda left, right: satisfies(left, right, strict=True),
    "set_contains": lambda left, right: _set_of(right) <= _set_of(left),
    "set_contains_all": lambda left, right: _set_of(right) <= _set_of(left),
    "set_contains_any": lambda left, right: bool(_set_of(right) & _set_of(left)),
}


def _asks_distinct(constraint: Constraint) -> bool:
    return constraint.operand == DISTINCT_HOSTS and constraint.r_target.lower() in {"", "true"}


@lru_cache(maxsize=512)
def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)


@lru_cache(maxsize=512)
def _regexp(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern)
    except re.error:
        return None

"""What a new version of a job means for an allocation of an old one: nothing, a change in place, or a new one.

Source: Nomad, scheduler/util.go, tasksUpdated.
"""

from enum import Enum
from typing import Any

import msgspec

from agent.model.alloc import Allocation
from agent.model.job import SECOND_NS, Job, TaskGroup


class Update(Enum):
    """What an allocation needs to follow its job."""

    NONE = "none"
    IN_PLACE = "in_place"
    DESTRUCTIVE = "destructive"


MIN_HEALTHY_NS = 10 * SECOND_NS
"""Nomad's default of `min_healthy_time`."""


def needed(alloc: Allocation, job: Job, group: TaskGroup) -> Update:
    """Return what *alloc* needs to be an allocation of *group* as *job* has it now."""
    theirs = alloc.job
    if theirs is None:
        return Update.DESTRUCTIVE
    if theirs.job_modify_index == job.job_modify_index and theirs.create_index == job.create_index:
        return Update.NONE
    former = theirs.group(group.name)
    if former is None or _run_alike(theirs, former) != _run_alike(job, group):
        return Update.DESTRUCTIVE
    return Update.IN_PLACE


def max_parallel(group: TaskGroup) -> int:
    """Return how many allocations of a group may be replaced at a time; 0 means all."""
    value = group.update.get("MaxParallel", 1) if isinstance(group.update, dict) else 0
    return value if isinstance(value, int) and value > 0 else 0


def min_healthy_ns(group: TaskGroup) -> int:
    """Return how long a replaced allocation is watched before the next one is replaced."""
    value = group.update.get("MinHealthyTime", MIN_HEALTHY_NS) if isinstance(group.update, dict) else MIN_HEALTHY_NS
    return value if isinstance(value, int) and value > 0 else MIN_HEALTHY_NS


def _run_alike(job: Job, group: TaskGroup) -> Any:
    """Return what of a group cannot change under a running task; count, policies and constraints can."""
    tasks = [
        msgspec.structs.replace(
            task,
            meta={**(job.meta or {}), **(group.meta or {}), **(task.meta or {})},
            constraints=None,
            affinities=None,
            restart_policy=None,
            leader=False,
            kill_timeout=0,
            shutdown_delay=0,
            scaling_policies=None,
        )
        for task in group.tasks
    ]
    return (tasks, group.ephemeral_disk, group.networks, group.volumes, group.consul)

"""Metadata of a job as labels of its tasks' series. Pure.

Source: Nomad, task_runner.go (initLabels) and structs.go (CombinedTaskMeta).
"""

import re
from collections.abc import Collection

from agent.model.job import Job, Task
from telemetry.catalogue.client import ALLOC_LABELS

_NOT_IN_A_LABEL = re.compile(r"^[0-9]|[^a-zA-Z0-9_]")
_TAKEN = frozenset({*ALLOC_LABELS, "host", "quantile"})


def metadata_labels(job: Job, group: str, task: str, allowed: Collection[str]) -> tuple[str, ...]:
    """Return name and value in turn, sorted by name, of the metadata of *task* whose keys are *allowed*; empty means all.

    A Nomad replaces a dash by an underscore and leaves other signs to its exporter, which does the same to them. Left
    out are names that a series has already, of which a Nomad would make a second label or a false one, those with two
    underscores in front, which are Prometheus' own, and the second of two that become the same name.
    """
    found: dict[str, str] = {}
    for key, value in sorted(combined_metadata(job, group, _task(job, group, task)).items()):
        if allowed and key not in allowed:
            continue
        name = _NOT_IN_A_LABEL.sub("_", key)
        if name and name not in _TAKEN and not name.startswith("__"):
            found.setdefault(name, value)
    return tuple(part for pair in sorted(found.items()) for part in pair)


def combined_metadata(job: Job | None, group: str, task: Task | None) -> dict[str, str]:
    """Return the metadata of a task: its own before its group's before its job's."""
    of_group = job.group(group) if job else None
    merged: dict[str, str] = {}
    for meta in (job.meta if job else None, of_group.meta if of_group else None, task.meta if task else None):
        merged |= meta or {}
    return merged


def _task(job: Job, group: str, name: str) -> Task | None:
    of_group = job.group(group)
    return next((task for task in of_group.tasks if task.name == name), None) if of_group else None

"""What a task sees: its environment, and the words of its configuration with `${...}` filled in. Pure.

Source: Nomad, client/taskenv; interpolation reference.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.client.metadata import combined_metadata
from agent.model.alloc import Allocation
from agent.model.job import Task
from agent.model.node import Node

_REFERENCE = re.compile(r"\$\{\s*([^}\s]+)\s*\}")
_INDEXED = re.compile(r"""\A(env|attr|meta)\[["']?([^"'\]]+)["']?\]\Z""")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_]")

INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR")
"""What a task inherits of the agent's own environment. Nomad passes all but a list of known secrets; a list of known
good ones also keeps back the secrets that nobody has listed."""


@dataclass(frozen=True, slots=True)
class TaskPaths:
    """The directories of a task, as the task sees them."""

    alloc: str
    local: str
    secrets: str


def task_env(
    alloc: Allocation, task: Task, node: Node, region: str, paths: TaskPaths, inherited: Mapping[str, str]
) -> dict[str, str]:
    """Return the whole environment of *task*; its own `env` block, interpolated, wins."""
    job = alloc.job
    resources = alloc.task_resources.get(task.name) or task.resources
    env = {name: inherited[name] for name in INHERITED if name in inherited}
    env |= {
        "NOMAD_ALLOC_DIR": paths.alloc,
        "NOMAD_TASK_DIR": paths.local,
        "NOMAD_SECRETS_DIR": paths.secrets,
        "NOMAD_ALLOC_ID": alloc.id,
        "NOMAD_SHORT_ALLOC_ID": alloc.id[:8],
        "NOMAD_ALLOC_NAME": alloc.name,
        "NOMAD_ALLOC_INDEX": _index(alloc.name),
        "NOMAD_GROUP_NAME": alloc.task_group,
        "NOMAD_TASK_NAME": task.name,
        "NOMAD_JOB_ID": alloc.job_id,
        "NOMAD_JOB_NAME": job.name if job else alloc.job_id,
        "NOMAD_NAMESPACE": alloc.namespace,
        "NOMAD_DC": node.datacenter,
        "NOMAD_REGION": region,
    }
    if job is not None and job.parent_id:
        env["NOMAD_JOB_PARENT_ID"] = job.parent_id
    if resources is not None:
        env["NOMAD_CPU_LIMIT"] = str(resources.cpu)
        env["NOMAD_MEMORY_LIMIT"] = str(resources.memory_mb)
    for key, value in combined_metadata(alloc.job, alloc.task_group, task).items():
        name = _NOT_IN_A_NAME.sub("_", key)
        env[f"NOMAD_META_{name}"] = value
        env[f"NOMAD_META_{name.upper()}"] = value
    known = Words(env, node, region)
    return env | {key: known.fill(value) for key, value in (task.env or {}).items()}


class Words:
    """Fills references in: `${NOMAD_*}`, `${env["X"]}`, `${node.*}`, `${attr.*}`, `${meta.*}`."""

    def __init__(self, env: Mapping[str, str], node: Node, region: str) -> None:
        self._env = env
        self._node = node
        self._node_words = {
            "node.unique.id": node.id,
            "node.unique.name": node.name,
            "node.datacenter": node.datacenter,
            "node.class": node.node_class,
            "node.pool": node.node_pool,
            "node.region": region,
        }

    def fill(self, text: str) -> str:
        """Return *text* with all known references replaced; an unknown one stays as it is, as in Nomad."""
        return _REFERENCE.sub(lambda matched: self._lookup(matched[1], matched[0]), text)

    def fill_all(self, value: Any) -> Any:
        """Return *value*, of a driver's configuration, with every string in it filled, keys of maps apart."""
        match value:
            case str():
                return self.fill(value)
            case list() | tuple():
                return [self.fill_all(item) for item in value]
            case dict():
                return {key: self.fill_all(item) for key, item in value.items()}
            case _:
                return value

    def _lookup(self, name: str, default: str) -> str:
        indexed = _INDEXED.match(name)
        root, _, rest = name.partition(".")
        if indexed:
            root, rest = indexed[1], indexed[2]
        match root:
            case "env":
                return self._env.get(rest, default)
            case "attr":
                return self._node.attributes.get(rest, default)
            case "meta":
                return self._node.meta.get(rest, default)
            case _:
                return self._node_words.get(name) or self._env.get(name, default)


def _index(name: str) -> str:
    """Return the number in an allocation's name such as `web.app[3]`, empty when it has none."""
    return name.rpartition("[")[2].rstrip("]") if name.endswith("]") else ""

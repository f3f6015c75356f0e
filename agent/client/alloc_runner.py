"""The life of an allocation: what its tasks' states make of it, and what one task's end means to the others.

Source: Nomad, client/allocrunner/alloc_runner.go, getClientStatus and handleTaskStateUpdates.
"""

from collections.abc import Mapping

from agent.client.task_runner import Kill, TaskRules
from agent.model.alloc import Allocation, ClientStatus, TaskState, TaskStateInfo
from agent.model.job import SECOND_NS, JobType, RestartPolicy, Task, TaskGroup

RUNS_FOR_EVER = frozenset({JobType.SERVICE, JobType.SYSTEM})

UNSUPPORTED = ("lifecycle", "artifacts", "templates", "vault", "dispatch_payload", "volume_mounts", "csi_plugin_config")
"""What a task may ask for and does not get here: running it without would be wrong, so it is refused."""


def client_status(states: Mapping[str, TaskStateInfo]) -> tuple[ClientStatus, str]:
    """Return the status of an allocation with these tasks, and Nomad's description of it."""
    infos = list(states.values())
    if any(info.state == TaskState.DEAD and info.failed for info in infos):
        return ClientStatus.FAILED, "Failed tasks"
    if any(info.state == TaskState.RUNNING for info in infos):
        return ClientStatus.RUNNING, "Tasks are running"
    if any(info.state == TaskState.PENDING for info in infos):
        return ClientStatus.PENDING, "No tasks have started"
    return ClientStatus.COMPLETE, "All tasks have completed"


def consequences(group: TaskGroup, name: str, states: Mapping[str, TaskStateInfo]) -> dict[str, Kill]:
    """Return which other tasks must end because the task *name* is dead, by name; empty while it is not."""
    info = states[name]
    if info.state != TaskState.DEAD:
        return {}
    others = [task.name for task in group.tasks if task.name != name and states[task.name].state != TaskState.DEAD]
    if info.failed:
        kill = Kill("Sibling Task Failed", f'Task\'s sibling "{name}" failed')
    elif any(task.leader for task in group.tasks if task.name == name):
        kill = Kill("Leader Task Dead", "Leader Task in Group dead")
    else:
        return {}
    return dict.fromkeys(others, kill)


def rules_of(alloc: Allocation, task: Task, kill_timeout_max_seconds: float) -> TaskRules:
    """Return what rules the life of *task*; a task's own restart policy goes before its group's."""
    group = alloc.job.group(alloc.task_group) if alloc.job else None
    policy = task.restart_policy or (group.restart_policy if group else None) or RestartPolicy()
    return TaskRules(
        policy=policy,
        restart_on_success=alloc.job is not None and alloc.job.type in RUNS_FOR_EVER,
        kill_signal=task.kill_signal,
        kill_timeout_seconds=min(task.kill_timeout / SECOND_NS, kill_timeout_max_seconds),
    )


def unsupported(task: Task) -> list[str]:
    """Return what *task* asks for that this client does not have."""
    return [name for name in UNSUPPORTED if getattr(task, name)]

"""Jobs made whole: what a request leaves out is filled with Nomad's defaults, and what is wrong is named.

Source: Nomad, Job.Canonicalize and Job.Validate; bodies of `GET /v1/job/:id` and of a refused `POST /v1/jobs`.
"""

from typing import Any

import msgspec

from agent.model.job import (
    SECOND_NS,
    EphemeralDisk,
    Job,
    JobType,
    LogConfig,
    ReschedulePolicy,
    Resources,
    RestartPolicy,
    Task,
    TaskGroup,
)

PRIORITY_DEFAULT = 50
PRIORITY_MIN, PRIORITY_MAX = 1, 100
CPU_MHZ_MIN, MEMORY_MB_MIN = 1, 10
_DAY_NS = 86_400 * SECOND_NS

_SCHEDULED_TYPES = frozenset({JobType.SERVICE, JobType.BATCH, JobType.SYSTEM, JobType.SYSBATCH})
_RUN_TO_END = frozenset({JobType.BATCH, JobType.SYSBATCH})
_ROLLING = frozenset({JobType.SERVICE, JobType.SYSTEM})

_SERVICE_RESTART = RestartPolicy()
_BATCH_RESTART = RestartPolicy(attempts=3, delay=15 * SECOND_NS, interval=_DAY_NS)
_BATCH_RESCHEDULE = ReschedulePolicy(
    attempts=1, delay=5 * SECOND_NS, delay_function="constant", interval=_DAY_NS, max_delay=0, unlimited=False
)
_RESCHEDULE: dict[str, ReschedulePolicy] = {
    JobType.SERVICE: ReschedulePolicy(),
    JobType.BATCH: _BATCH_RESCHEDULE,
}
"""A failed allocation of a system job has no elsewhere, so these have no policy."""


def canonicalize(job: Job) -> Job:
    """Return *job* with Nomad's defaults where it says nothing; canonicalizing twice changes nothing more."""
    job_type = job.type or JobType.SERVICE
    job_update = job.update if job.update is not None else _job_update(job_type)
    return msgspec.structs.replace(
        job,
        name=job.name or job.id,
        namespace=job.namespace or "default",
        region=job.region or "global",
        type=job_type,
        priority=job.priority or PRIORITY_DEFAULT,
        datacenters=job.datacenters or ["*"],
        node_pool=job.node_pool or "default",
        update=job_update,
        task_groups=[_group(group, job_type) for group in job.task_groups],
    )


def validate(job: Job) -> list[str]:
    """Return what is wrong with a canonical *job*, in Nomad's words and order; nothing when it may be registered."""
    problems = []
    if not job.id:
        problems.append("Missing job ID")
    elif " " in job.id:
        problems.append("Job ID contains a space")
    elif "\0" in job.id:
        problems.append("Job ID contains a null character")
    if job.type not in _SCHEDULED_TYPES:
        problems.append(f"Invalid job type: {_quoted(job.type)}")
    if not PRIORITY_MIN <= job.priority <= PRIORITY_MAX:
        problems.append(f"Job priority must be between [{PRIORITY_MIN}, {PRIORITY_MAX}]")
    if not all(job.datacenters or []):
        problems.append("datacenter must be non-empty string")
    if not job.task_groups:
        problems.append("Missing job task groups")
    problems += _repeated("Job task group", "group", [group.name for group in job.task_groups])
    for group in job.task_groups:
        if job.type == JobType.SYSTEM and group.count > 1:
            problems.append(
                f"Job task group {group.name} has count {group.count}. Count cannot exceed 1 with system scheduler"
            )
        inner = _group_problems(group)
        if inner:
            problems.append(f"Task group {group.name} validation failed: {several(inner)}")
    return problems


def refusal(job: Job) -> str:
    """Return the body that refuses *job*, empty when nothing is wrong with it."""
    problems = validate(job)
    return several(problems) if problems else ""


def several(problems: list[str]) -> str:
    """Return *problems* as Nomad lists them: their number, then one a line."""
    head = "1 error occurred:" if len(problems) == 1 else f"{len(problems)} errors occurred:"
    return head + "".join(f"\n\t* {problem}" for problem in problems) + "\n\n"


def _group(group: TaskGroup, job_type: str) -> TaskGroup:
    restart = group.restart_policy or (_BATCH_RESTART if job_type in _RUN_TO_END else _SERVICE_RESTART)
    return msgspec.structs.replace(
        group,
        ephemeral_disk=group.ephemeral_disk or EphemeralDisk(),
        restart_policy=restart,
        reschedule_policy=group.reschedule_policy or _RESCHEDULE.get(job_type),
        update=group.update if group.update is not None else _group_update(job_type),
        migrate=group.migrate if group.migrate is not None else _migrate(job_type),
        tasks=[_task(task, restart) for task in group.tasks],
    )


def _task(task: Task, restart: RestartPolicy) -> Task:
    return msgspec.structs.replace(
        task,
        resources=task.resources or Resources(),
        restart_policy=task.restart_policy or restart,
        log_config=task.log_config or LogConfig(),
    )


def _job_update(job_type: str) -> dict[str, Any]:
    """Return the job's own update block: what Nomad keeps of it for old clients."""
    rolling = job_type in _ROLLING
    return {
        "AutoPromote": False, "AutoRevert": False, "Canary": 0, "HealthCheck": "", "HealthyDeadline": 0,
        "MaxParallel": 1 if rolling else 0, "MinHealthyTime": 0, "ProgressDeadline": 0,
        "Stagger": 30 * SECOND_NS if rolling else 0,
    }  # fmt: skip


def _group_update(job_type: str) -> dict[str, Any] | None:
    if job_type not in _ROLLING:
        return None
    return {
        "AutoPromote": False, "AutoRevert": False, "Canary": 0, "HealthCheck": "checks",
        "HealthyDeadline": 300 * SECOND_NS, "MaxParallel": 1, "MinHealthyTime": 10 * SECOND_NS,
        "ProgressDeadline": 600 * SECOND_NS, "Stagger": 30 * SECOND_NS,
    }  # fmt: skip


def _migrate(job_type: str) -> dict[str, Any] | None:
    if job_type != JobType.SERVICE:
        return None
    return {
        "HealthCheck": "checks", "HealthyDeadline": 300 * SECOND_NS, "MaxParallel": 1,
        "MinHealthyTime": 10 * SECOND_NS,
    }  # fmt: skip


def _group_problems(group: TaskGroup) -> list[str]:
    problems = []
    if not group.name:
        problems.append("Missing task group name")
    if group.count < 0:
        problems.append("Task group count can't be negative")
    if not group.tasks:
        problems.append("Missing tasks for task group")
    problems += _repeated("Task", "task", [task.name for task in group.tasks])
    if sum(task.leader for task in group.tasks) > 1:
        problems.append("Only one task may be marked as leader")
    for task in group.tasks:
        inner = _task_problems(task)
        if inner:
            problems.append(f"Task {task.name} validation failed: {several(inner)}")
    return problems


def _task_problems(task: Task) -> list[str]:
    problems = []
    if not task.name:
        problems.append("Missing task name")
    if "/" in task.name or "\\" in task.name:
        problems.append("Task name cannot include slashes")
    if not task.driver:
        problems.append("Missing task driver")
    if task.kill_timeout < 0:
        problems.append("KillTimeout must be a positive value")
    if task.shutdown_delay < 0:
        problems.append("ShutdownDelay must be a positive value")
    resources = task.resources or Resources()
    if resources.cpu < CPU_MHZ_MIN and not resources.cores:
        problems.append(f"minimum CPU value is {CPU_MHZ_MIN}; got {resources.cpu}")
    if resources.memory_mb < MEMORY_MB_MIN:
        problems.append(f"minimum MemoryMB value is {MEMORY_MB_MIN}; got {resources.memory_mb}")
    return problems


def _repeated(subject: str, kind: str, names: list[str]) -> list[str]:
    """Return a problem for each name that is missing or was there before, counted from 1."""
    first: dict[str, int] = {}
    problems = []
    for place, name in enumerate(names, start=1):
        if not name:
            problems.append(f"{subject} {place} missing name")
        elif name in first:
            problems.append(f"{subject} {place} redefines '{name}' from {kind} {first[name]}")
        else:
            first[name] = place
    return problems


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

"""Jobs, task groups and tasks, under the names of Nomad's API. Durations are nanoseconds, as on Nomad's wire.

Source: Nomad, job specification and `GET /v1/job/:id`.
"""

from enum import StrEnum
from typing import Any

import msgspec

from agent.model.base import DEFAULT_NAMESPACE, JobID, JobKey, Model

SECOND_NS = 1_000_000_000


class JobType(StrEnum):
    """Which scheduler looks after a job."""

    SERVICE = "service"
    BATCH = "batch"
    SYSTEM = "system"
    SYSBATCH = "sysbatch"
    CORE = "_core"


class JobStatus(StrEnum):
    """What has become of a job."""

    PENDING = "pending"
    RUNNING = "running"
    DEAD = "dead"


class Resources(Model, frozen=True):
    """What a task asks for: MHz, MB."""

    cpu: int = 100
    cores: int = 0
    devices: Any = None
    disk_mb: int = 0
    iops: int = 0
    memory_mb: int = 300
    memory_max_mb: int = 0
    numa: Any = None
    networks: Any = None
    secrets_mb: int = 0


class RestartPolicy(Model, frozen=True):
    """How often a client restarts a failed task on the same node. `mode` is "fail" or "delay"."""

    attempts: int = 2
    delay: int = 15 * SECOND_NS
    interval: int = 1800 * SECOND_NS
    mode: str = "fail"
    render_templates: bool = False


class ReschedulePolicy(Model, frozen=True):
    """How often the scheduler replaces a failed allocation elsewhere."""

    attempts: int = 0
    delay: int = 30 * SECOND_NS
    delay_function: str = "exponential"
    interval: int = 0
    max_delay: int = 3600 * SECOND_NS
    unlimited: bool = True


class Constraint(Model, frozen=True):
    """A condition on a node: left target, operand, right target."""

    l_target: str = msgspec.field(name="LTarget", default="")
    r_target: str = msgspec.field(name="RTarget", default="")
    operand: str = "="


class EphemeralDisk(Model, frozen=True):
    """The allocation's own disk, in MB."""

    migrate: bool = False
    size_mb: int = 300
    sticky: bool = False


class LogConfig(Model, frozen=True):
    """Rotation of a task's stdout and stderr."""

    disabled: bool = False
    max_file_size_mb: int = 10
    max_files: int = 10


class Task(Model, frozen=True):
    """One process of a group. Fields typed Any are carried through unread."""

    name: str = ""
    driver: str = ""
    config: dict[str, Any] | None = None
    env: dict[str, str] | None = None
    resources: Resources | None = None
    restart_policy: RestartPolicy | None = None
    constraints: list[Constraint] | None = None
    meta: dict[str, str] | None = None
    user: str = ""
    leader: bool = False
    kind: str = ""
    kill_signal: str = ""
    kill_timeout: int = 5 * SECOND_NS
    log_config: LogConfig | None = None
    shutdown_delay: int = 0
    actions: Any = None
    affinities: Any = None
    artifacts: Any = None
    csi_plugin_config: Any = msgspec.field(name="CSIPluginConfig", default=None)
    consul: Any = None
    dispatch_payload: Any = None
    identities: Any = None
    identity: Any = None
    lifecycle: Any = None
    scaling_policies: Any = None
    schedule: Any = None
    secrets: Any = None
    services: Any = None
    templates: Any = None
    vault: Any = None
    volume_mounts: Any = None


class TaskGroup(Model, frozen=True):
    """Tasks that are placed together, `count` times. Fields typed Any are carried through unread."""

    name: str = ""
    count: int = 1
    tasks: list[Task] = []
    constraints: list[Constraint] | None = None
    ephemeral_disk: EphemeralDisk | None = None
    restart_policy: RestartPolicy | None = None
    reschedule_policy: ReschedulePolicy | None = None
    meta: dict[str, str] | None = None
    affinities: Any = None
    consul: Any = None
    disconnect: Any = None
    max_client_disconnect: Any = None
    max_run_duration: Any = None
    migrate: Any = None
    networks: Any = None
    prevent_reschedule_on_lost: bool = False
    scaling: Any = None
    services: Any = None
    shutdown_delay: int | None = None
    spreads: Any = None
    stop_after_client_disconnect: int | None = None
    update: Any = None
    volumes: Any = None


class Job(Model, frozen=True):
    """What an operator wants to run. Fields typed Any are carried through unread."""

    id: JobID = JobID("")
    name: str = ""
    namespace: str = DEFAULT_NAMESPACE
    region: str = "global"
    type: str = JobType.SERVICE
    priority: int = 50
    datacenters: list[str] | None = None
    node_pool: str = ""
    task_groups: list[TaskGroup] = []
    constraints: list[Constraint] | None = None
    meta: dict[str, str] | None = None
    all_at_once: bool = False
    stop: bool = False
    stable: bool = False
    status: str = JobStatus.PENDING
    status_description: str = ""
    version: int = 0
    submit_time: int = 0
    create_index: int = 0
    modify_index: int = 0
    job_modify_index: int = 0
    parent_id: str = ""
    dispatched: bool = False
    affinities: Any = None
    consul_namespace: str = ""
    dispatch_idempotency_token: str = ""
    multiregion: Any = None
    nomad_token_id: str = ""
    parameterized_job: Any = None
    payload: Any = None
    periodic: Any = None
    spreads: Any = None
    ui: Any = None
    update: Any = None
    vault_namespace: str = ""
    version_tag: Any = None

    @property
    def key(self) -> JobKey:
        """What the job is known by."""
        return (self.namespace, self.id)

    def group(self, name: str) -> TaskGroup | None:
        """Return the group called *name*, or None."""
        return next((group for group in self.task_groups if group.name == name), None)


class GroupSummary(Model, frozen=True):
    """Allocations of one group by client status; `queued` waits for a place."""

    complete: int = 0
    failed: int = 0
    lost: int = 0
    queued: int = 0
    running: int = 0
    starting: int = 0
    unknown: int = 0


class ChildSummary(Model, frozen=True):
    """Children of a periodic or parameterized job by status."""

    dead: int = 0
    pending: int = 0
    running: int = 0


class JobSummary(Model, frozen=True):
    """Counts of a job's allocations, by group."""

    job_id: JobID
    namespace: str = DEFAULT_NAMESPACE
    summary: dict[str, GroupSummary] = {}
    children: ChildSummary = ChildSummary()
    create_index: int = 0
    modify_index: int = 0

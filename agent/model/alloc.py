"""Allocations: a group of a job, placed on a node. Times are Unix nanoseconds, as on Nomad's wire.

Source: Nomad, `GET /v1/allocation/:id` and `GET /v1/allocations`.
"""

from enum import StrEnum
from typing import Any

import msgspec

from agent.model.base import DEFAULT_NAMESPACE, AllocID, EvalID, JobID, Model, NodeID
from agent.model.job import Job, Resources


class DesiredStatus(StrEnum):
    """What the servers want of an allocation."""

    RUN = "run"
    STOP = "stop"
    EVICT = "evict"


class ClientStatus(StrEnum):
    """What the client says of an allocation; `LOST` and `UNKNOWN` are set by the servers."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"
    LOST = "lost"
    UNKNOWN = "unknown"


TERMINAL_CLIENT_STATUSES = frozenset({ClientStatus.COMPLETE, ClientStatus.FAILED, ClientStatus.LOST})


class TaskState(StrEnum):
    """Where a task is in its life."""

    PENDING = "pending"
    RUNNING = "running"
    DEAD = "dead"


class TaskEvent(Model, frozen=True):
    """One step in a task's life. `type` is Nomad's word: Received, Task Setup, Started, Terminated, Restarting and others."""

    type: str
    time: int
    message: str = ""
    display_message: str = ""
    details: dict[str, str] = {}
    exit_code: int = 0
    signal: int = 0
    fails_task: bool = False
    driver_error: str = ""
    restart_reason: str = ""
    start_delay: int = 0
    kill_timeout: int = 0


TASK_EVENTS_MAX = 10
"""As many as Nomad keeps for a task."""


class TaskStateInfo(Model, frozen=True):
    """The state of one task; `started_at` and `finished_at` are RFC 3339 or None."""

    state: str = TaskState.PENDING
    failed: bool = False
    restarts: int = 0
    last_restart: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    events: list[TaskEvent] = []
    paused: str = ""
    task_handle: Any = None


class AllocDeploymentStatus(Model, frozen=True):
    """Health of an allocation in its deployment."""

    healthy: bool | None = None
    canary: bool = False
    modify_index: int = 0
    timestamp: str = ""


class DesiredTransition(Model, frozen=True):
    """What the servers ask of an allocation besides its desired status."""

    migrate: bool | None = None
    reschedule: bool | None = None
    force_reschedule: bool | None = None
    migrate_disable_placement: bool | None = None
    no_shutdown_delay: bool | None = None


class NodeScore(Model, frozen=True):
    """How one node was ranked for a placement."""

    node_id: NodeID
    norm_score: float
    scores: dict[str, float] = {}


class AllocMetric(Model, frozen=True):
    """What a scheduler saw while it looked for a place; `allocation_time` in ns."""

    allocation_time: int = 0
    coalesced_failures: int = 0
    nodes_evaluated: int = 0
    nodes_filtered: int = 0
    nodes_exhausted: int = 0
    nodes_in_pool: int = 0
    nodes_available: dict[str, int] | None = None
    class_filtered: dict[str, int] | None = None
    class_exhausted: dict[str, int] | None = None
    constraint_filtered: dict[str, int] | None = None
    dimension_exhausted: dict[str, int] | None = None
    resources_exhausted: dict[str, Resources] | None = None
    quota_exhausted: list[str] | None = None
    scores: dict[str, float] | None = None
    score_meta_data: list[NodeScore] | None = msgspec.field(name="ScoreMetaData", default=None)
    node_pool: str = "default"


class Allocation(Model, frozen=True):
    """A group of a job on a node."""

    id: AllocID
    name: str
    eval_id: EvalID
    node_id: NodeID
    node_name: str
    job_id: JobID
    task_group: str
    namespace: str = DEFAULT_NAMESPACE
    job: Job | None = None
    resources: Resources | None = None
    task_resources: dict[str, Resources] = {}
    shared_resources: Resources | None = None
    metrics: AllocMetric | None = None
    desired_status: str = DesiredStatus.RUN
    desired_description: str = ""
    desired_transition: DesiredTransition = DesiredTransition()
    client_status: str = ClientStatus.PENDING
    client_description: str = ""
    task_states: dict[str, TaskStateInfo] | None = None
    deployment_id: str = ""
    deployment_status: AllocDeploymentStatus | None = None
    previous_allocation: str = ""
    next_allocation: str = ""
    followup_eval_id: str = ""
    reschedule_tracker: Any = None
    preempted_allocations: list[str] | None = None
    preempted_by_allocation: str = ""
    create_index: int = 0
    modify_index: int = 0
    alloc_modify_index: int = 0
    create_time: int = 0
    modify_time: int = 0

    @property
    def client_terminal(self) -> bool:
        """Whether the allocation will never run again, as the client sees it."""
        return self.client_status in TERMINAL_CLIENT_STATUSES

    @property
    def terminal(self) -> bool:
        """Whether the allocation no longer counts against its node: stopped, or ended."""
        return self.desired_status != DesiredStatus.RUN or self.client_terminal


class AllocStub(Model, frozen=True):
    """An allocation in a list. Source: `GET /v1/allocations`."""

    id: AllocID
    name: str
    namespace: str
    eval_id: EvalID
    node_id: NodeID
    node_name: str
    job_id: JobID
    job_type: str
    job_version: int
    task_group: str
    desired_status: str
    desired_description: str
    desired_transition: DesiredTransition
    client_status: str
    client_description: str
    task_states: dict[str, TaskStateInfo] | None
    deployment_status: AllocDeploymentStatus | None
    followup_eval_id: str
    next_allocation: str
    reschedule_tracker: Any
    preempted_allocations: list[str] | None
    preempted_by_allocation: str
    create_index: int
    modify_index: int
    create_time: int
    modify_time: int

    @classmethod
    def of(cls, alloc: Allocation) -> "AllocStub":
        """Return what a list shows of *alloc*."""
        job = alloc.job
        return cls(
            id=alloc.id, name=alloc.name, namespace=alloc.namespace, eval_id=alloc.eval_id, node_id=alloc.node_id,
            node_name=alloc.node_name, job_id=alloc.job_id, job_type=job.type if job else "",
            job_version=job.version if job else 0, task_group=alloc.task_group, desired_status=alloc.desired_status,
            desired_description=alloc.desired_description, desired_transition=alloc.desired_transition,
            client_status=alloc.client_status, client_description=alloc.client_description,
            task_states=alloc.task_states, deployment_status=alloc.deployment_status,
            followup_eval_id=alloc.followup_eval_id, next_allocation=alloc.next_allocation,
            reschedule_tracker=alloc.reschedule_tracker, preempted_allocations=alloc.preempted_allocations,
            preempted_by_allocation=alloc.preempted_by_allocation, create_index=alloc.create_index,
            modify_index=alloc.modify_index, create_time=alloc.create_time, modify_time=alloc.modify_time,
        )  # fmt: skip

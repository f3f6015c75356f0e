"""Evaluations: the reasons to look at a job again, and what came of it. Times are Unix nanoseconds.

Source: Nomad, `GET /v1/evaluations`; concepts, scheduling.
"""

from enum import StrEnum
from typing import Any

import msgspec

from agent.model.alloc import AllocMetric
from agent.model.base import DEFAULT_NAMESPACE, EvalID, JobID, JobKey, Model, NodeID
from agent.model.job import JobType


class EvalStatus(StrEnum):
    """Where an evaluation is."""

    PENDING = "pending"
    BLOCKED = "blocked"
    COMPLETE = "complete"
    FAILED = "failed"
    CANCELED = "canceled"


class Trigger(StrEnum):
    """Why an evaluation was made, in Nomad's words."""

    JOB_REGISTER = "job-register"
    JOB_DEREGISTER = "job-deregister"
    NODE_UPDATE = "node-update"
    NODE_DRAIN = "node-drain"
    ALLOC_FAILURE = "alloc-failure"
    ALLOC_RESCHEDULE = "alloc-reschedule"
    QUEUED_ALLOCS = "queued-allocs"
    SCHEDULED = "scheduled"
    MAX_PLANS = "max-plan-attempts"
    FAILED_FOLLOW_UP = "failed-follow-up"


class Evaluation(Model, frozen=True):
    """A request to bring a job's allocations to what is wanted."""

    id: EvalID
    job_id: JobID
    triggered_by: str
    type: str = JobType.SERVICE
    namespace: str = DEFAULT_NAMESPACE
    priority: int = 50
    status: str = EvalStatus.PENDING
    status_description: str = ""
    node_id: NodeID = NodeID("")
    job_modify_index: int = 0
    node_modify_index: int = 0
    deployment_id: str = ""
    wait_until: int = 0
    """Unix nanoseconds before which the evaluation is not ready; 0 for at once."""
    previous_eval: str = ""
    next_eval: str = ""
    blocked_eval: str = ""
    failed_tg_allocs: dict[str, AllocMetric] | None = msgspec.field(name="FailedTGAllocs", default=None)
    class_eligibility: dict[str, bool] | None = None
    escaped_computed_class: bool = False
    quota_limit_reached: str = ""
    queued_allocations: dict[str, int] | None = None
    plan_annotations: Any = None
    snapshot_index: int = 0
    create_index: int = 0
    modify_index: int = 0
    create_time: int = 0
    modify_time: int = 0

    @property
    def job_key(self) -> JobKey:
        """The job to look at."""
        return (self.namespace, self.job_id)

    @property
    def terminal(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status in {EvalStatus.COMPLETE, EvalStatus.FAILED, EvalStatus.CANCELED}

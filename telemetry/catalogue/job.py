"""Jobs as the leader sums them up, and the rescheduling of their failed allocations.

These gauges exist for each task group of each job: on a large cluster they are most of a scrape.
"""

from telemetry.catalogue.metric import Absent, Kind, Metric, Presence, Role, Unit

_SUMMARY_LABELS = ("job", "namespace", "task_group", "parent_id", "periodic_id")
_RESCHEDULE_LABELS = ("alloc_id", "followup_eval_id", "job", "namespace", "task_group")


def _status(name: str, key: str, meaning: str) -> Metric:
    return Metric(
        name=name,
        kind=Kind.GAUGE,
        unit=Unit.COUNT,
        exporter=Role.SERVER,
        present=Presence.LEADER_ONLY,
        meaning=meaning,
        source="nomad/leader.go",
        key=key,
    )


def _summary(name: str, key: str, meaning: str) -> Metric:
    return Metric(
        name=name,
        kind=Kind.GAUGE,
        unit=Unit.COUNT,
        labels=_SUMMARY_LABELS,
        exporter=Role.SERVER,
        present=Presence.AFTER_FIRST_EVENT,
        meaning=meaning,
        source="nomad/leader.go",
        key=key,
    )


def _reschedule(name: str, key: str, unit: Unit, meaning: str) -> Metric:
    return Metric(
        name=name,
        kind=Kind.GAUGE,
        unit=unit,
        labels=_RESCHEDULE_LABELS,
        exporter=Role.SERVER,
        present=Presence.AFTER_FIRST_EVENT,
        meaning=meaning,
        source="scheduler/reconciler",
        key=key,
        absent=Absent.SCHEDULING,
    )


STATUS_PENDING = _status(
    "nomad_nomad_job_status_pending", "nomad.nomad.job_status.pending", "Jobs that have not started yet; on the leader."
)
STATUS_RUNNING = _status(
    "nomad_nomad_job_status_running", "nomad.nomad.job_status.running", "Jobs that run; on the leader."
)
STATUS_DEAD = _status(
    "nomad_nomad_job_status_dead", "nomad.nomad.job_status.dead", "Jobs that ended or were stopped; on the leader."
)

SUMMARY_QUEUED = _summary(
    "nomad_nomad_job_summary_queued",
    "nomad.nomad.job_summary.queued",
    "Allocations of a task group that wait to be placed; on the leader.",
)
SUMMARY_STARTING = _summary(
    "nomad_nomad_job_summary_starting",
    "nomad.nomad.job_summary.starting",
    "Allocations of a task group that are placed and not running yet; on the leader.",
)
SUMMARY_RUNNING = _summary(
    "nomad_nomad_job_summary_running",
    "nomad.nomad.job_summary.running",
    "Allocations of a task group that run; on the leader.",
)
SUMMARY_COMPLETE = _summary(
    "nomad_nomad_job_summary_complete",
    "nomad.nomad.job_summary.complete",
    "Allocations of a task group that ended well; on the leader.",
)
SUMMARY_FAILED = _summary(
    "nomad_nomad_job_summary_failed",
    "nomad.nomad.job_summary.failed",
    "Allocations of a task group that failed; on the leader.",
)
SUMMARY_LOST = _summary(
    "nomad_nomad_job_summary_lost",
    "nomad.nomad.job_summary.lost",
    "Allocations of a task group that went down with their client; on the leader.",
)
SUMMARY_UNKNOWN = _summary(
    "nomad_nomad_job_summary_unknown",
    "nomad.nomad.job_summary.unknown",
    "Allocations of a task group whose client is disconnected; on the leader.",
)

RESCHEDULE_ATTEMPTED = _reschedule(
    "nomad_scheduler_allocs_reschedule_attempted",
    "",
    Unit.COUNT,
    "How often a failed allocation was rescheduled so far.",
)
RESCHEDULE_LIMIT = _reschedule(
    "nomad_scheduler_allocs_reschedule_limit",
    "",
    Unit.COUNT,
    "How often a failed allocation may be rescheduled; -1 is without limit.",
)
RESCHEDULE_WAIT_UNTIL = _reschedule(
    "nomad_scheduler_allocs_reschedule_wait_until",
    "nomad.scheduler.allocs.reschedule.wait_until",
    Unit.UNIX_SECONDS,
    "When the failed allocation is to be rescheduled.",
)

"""The evaluation broker and the blocked evaluations: work that waits for a scheduler or for capacity."""

from telemetry.catalogue.metric import Kind, Metric, Presence, Role, Unit

CORE = "_core"
"""The scheduler by which a Nomad tidies up after itself; our agent has none."""

SCHEDULERS = ("service", "batch", "system", "sysbatch", CORE)
"""The words in names that hold a scheduler type."""

FAILED = "_failed"
"""Stands for a scheduler type where evaluations are kept that were delivered too often."""

_BROKER_GO = "nomad/eval_broker.go"
_BLOCKED_GO = "nomad/blocked_evals.go"
_EVAL_LABELS = ("eval_type", "job", "namespace", "triggered_by")
_PLACE_LABELS = ("datacenter", "node_class", "node_pool")
_JOB_LABELS = ("job", "namespace")


def _total(name: str, meaning: str, key: str, source: str = _BROKER_GO) -> Metric:
    return Metric(
        name=name,
        kind=Kind.GAUGE,
        unit=Unit.COUNT,
        exporter=Role.SERVER,
        present=Presence.ALWAYS,
        meaning=meaning,
        source=source,
        key=key,
    )


def _of_scheduler(name: str, meaning: str, key: str) -> Metric:
    return Metric(
        name=name,
        kind=Kind.GAUGE,
        unit=Unit.COUNT,
        exporter=Role.SERVER,
        present=Presence.AFTER_FIRST_EVENT,
        meaning=meaning,
        source=_BROKER_GO,
        key=key,
        expansions=(*SCHEDULERS, FAILED),
        unused=(CORE,),
    )


def _evaluation_time(name: str, meaning: str, key: str) -> Metric:
    return Metric(
        name=name,
        kind=Kind.SAMPLE,
        unit=Unit.MILLISECONDS,
        labels=_EVAL_LABELS,
        exporter=Role.SERVER,
        present=Presence.AFTER_FIRST_EVENT,
        meaning=meaning,
        source=_BROKER_GO,
        key=key,
    )


def _blocked_resource(name: str, unit: Unit, labels: tuple[str, ...], meaning: str, key: str) -> Metric:
    return Metric(
        name=name,
        kind=Kind.GAUGE,
        unit=unit,
        labels=labels,
        exporter=Role.SERVER,
        present=Presence.AFTER_FIRST_EVENT,
        meaning=meaning,
        source=_BLOCKED_GO,
        key=key,
    )


TOTAL_READY = _total(
    "nomad_nomad_broker_total_ready",
    "Evaluations that a worker may take now; 0 on every server but the leader.",
    "nomad.nomad.broker.total_ready",
)
TOTAL_UNACKED = _total(
    "nomad_nomad_broker_total_unacked",
    "Evaluations that a worker has taken and not yet finished; at most one a worker.",
    "nomad.nomad.broker.total_unacked",
)
TOTAL_PENDING = _total(
    "nomad_nomad_broker_total_pending",
    "Evaluations that wait behind another one of the same job.",
    "nomad.nomad.broker.total_pending",
)
TOTAL_WAITING = _total(
    "nomad_nomad_broker_total_waiting",
    "Evaluations that are to be worked on later, such as a delayed rescheduling.",
    "nomad.nomad.broker.total_waiting",
)
TOTAL_CANCELABLE = _total(
    "nomad_nomad_broker_total_cancelable",
    "Evaluations that a newer one of the same job made superfluous and that are about to be cancelled.",
    "nomad.nomad.broker.total_cancelable",
)
SCHEDULER_READY = _of_scheduler(
    "nomad_nomad_broker_{}_ready",
    "Evaluations for one type of scheduler that a worker may take now, or `_failed` for the leader to give up; "
    "on the leader, once there was one.",
    "nomad.nomad.broker.{}.ready",
)
SCHEDULER_UNACKED = _of_scheduler(
    "nomad_nomad_broker_{}_unacked",
    "Evaluations for one type of scheduler that are being worked on, or `_failed` given up; on the leader, once "
    "there was one.",
    "nomad.nomad.broker.{}.unacked",
)
EVAL_WAITING = Metric(
    name="nomad_nomad_broker_eval_waiting",
    kind=Kind.GAUGE,
    unit=Unit.SECONDS,
    labels=_JOB_LABELS,
    exporter=Role.SERVER,
    present=Presence.AFTER_FIRST_EVENT,
    meaning="Seconds until the delayed evaluation of a job is due; on the leader.",
    source=_BROKER_GO,
    key="nomad.nomad.broker.eval_waiting",
)
WAIT_TIME = _evaluation_time(
    "nomad_nomad_broker_wait_time",
    "From ready to taken by a worker; one summary for each job and trigger, on the leader.",
    "nomad.nomad.broker.wait_time",
)
PROCESS_TIME = _evaluation_time(
    "nomad_nomad_broker_process_time",
    "From taken by a worker to finished; one summary for each job and trigger, on the leader.",
    "nomad.nomad.broker.process_time",
)
RESPONSE_TIME = _evaluation_time(
    "nomad_nomad_broker_response_time",
    "From queued to finished; one summary for each job and trigger, on the leader.",
    "nomad.nomad.broker.response_time",
)

BLOCKED_TOTAL_BLOCKED = _total(
    "nomad_nomad_blocked_evals_total_blocked",
    "Evaluations that wait for capacity; 0 on every server but the leader, so also when there is none.",
    "nomad.nomad.blocked_evals.total_blocked",
    _BLOCKED_GO,
)
BLOCKED_TOTAL_ESCAPED = _total(
    "nomad_nomad_blocked_evals_total_escaped",
    "Blocked evaluations that any change of any node retries, because their constraints name single nodes.",
    "nomad.nomad.blocked_evals.total_escaped",
    _BLOCKED_GO,
)
BLOCKED_TOTAL_QUOTA_LIMIT = _total(
    "nomad_nomad_blocked_evals_total_quota_limit",
    "Evaluations that a quota blocks; 0 where there are no quotas.",
    "nomad.nomad.blocked_evals.total_quota_limit",
    _BLOCKED_GO,
)
BLOCKED_CPU = _blocked_resource(
    "nomad_nomad_blocked_evals_cpu",
    Unit.MEGAHERTZ,
    _PLACE_LABELS,
    "CPU that blocked evaluations ask for and lack, those that lack something else left out; each counts whole in every place that had no room; on the leader.",
    "nomad.nomad.blocked_evals.cpu",
)
BLOCKED_MEMORY = _blocked_resource(
    "nomad_nomad_blocked_evals_memory",
    Unit.MEGABYTES,
    _PLACE_LABELS,
    "Memory that blocked evaluations ask for and lack, those that lack something else left out; each counts whole in every place that had no room; on the leader.",
    "nomad.nomad.blocked_evals.memory",
)
BLOCKED_JOB_CPU = _blocked_resource(
    "nomad_nomad_blocked_evals_job_cpu",
    Unit.MEGAHERTZ,
    _JOB_LABELS,
    "CPU that the blocked evaluations of a job ask for and lack; 0 where they lack something else; on the leader.",
    "nomad.nomad.blocked_evals.job.cpu",
)
BLOCKED_JOB_MEMORY = _blocked_resource(
    "nomad_nomad_blocked_evals_job_memory",
    Unit.MEGABYTES,
    _JOB_LABELS,
    "Memory that the blocked evaluations of a job ask for and lack; 0 where they lack something else; on the leader.",
    "nomad.nomad.blocked_evals.job.memory",
)

"""Scheduling workers: the steps from taking an evaluation to acknowledging it, on every server."""

from telemetry.catalogue.broker import CORE, SCHEDULERS
from telemetry.catalogue.metric import Kind, Metric, Presence, Role, Unit


def _timer(name: str, meaning: str, key: str, expansions: tuple[str, ...] = ()) -> Metric:
    return Metric(
        name=name,
        kind=Kind.SAMPLE,
        unit=Unit.MILLISECONDS,
        exporter=Role.SERVER,
        present=Presence.AFTER_FIRST_EVENT,
        meaning=meaning,
        source="nomad/worker.go",
        key=key,
        expansions=expansions,
        unused=(CORE,) if expansions else (),
    )


DEQUEUE_EVAL = _timer(
    "nomad_nomad_worker_dequeue_eval",
    "Waiting for an evaluation; mostly idle time.",
    "nomad.nomad.worker.dequeue_eval",
)
WAIT_FOR_INDEX = _timer(
    "nomad_nomad_worker_wait_for_index",
    "Waiting until this server's state is as new as the evaluation.",
    "nomad.nomad.worker.wait_for_index",
)
INVOKE_SCHEDULER = _timer(
    "nomad_nomad_worker_invoke_scheduler_{}",
    "One run of one type of scheduler, the submission of its plans included.",
    "nomad.nomad.worker.invoke_scheduler.{}",
    SCHEDULERS,
)
SUBMIT_PLAN = _timer(
    "nomad_nomad_worker_submit_plan",
    "Submitting a plan to the leader and waiting for its result.",
    "nomad.nomad.worker.submit_plan",
)
CREATE_EVAL = _timer(
    "nomad_nomad_worker_create_eval",
    "Creating a further evaluation, such as a blocked one.",
    "nomad.nomad.worker.create_eval",
)
UPDATE_EVAL = _timer(
    "nomad_nomad_worker_update_eval",
    "Writing the new status of an evaluation.",
    "nomad.nomad.worker.update_eval",
)
REBLOCK_EVAL = _timer(
    "nomad_nomad_worker_reblock_eval",
    "Putting an evaluation back among the blocked ones.",
    "nomad.nomad.worker.reblock_eval",
)
SEND_ACK = _timer(
    "nomad_nomad_worker_send_ack",
    "Telling the leader that an evaluation is finished, or that it failed.",
    "nomad.nomad.worker.send_ack",
)

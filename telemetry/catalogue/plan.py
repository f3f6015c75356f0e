"""Plans: what schedulers want, checked and committed one at a time by the leader."""

from telemetry.catalogue.metric import Absent, Kind, Metric, Presence, Role, Unit

_APPLY_GO = "nomad/plan_apply.go"


def _timer(name: str, meaning: str, key: str = "", source: str = _APPLY_GO, *, absent: Absent | None = None) -> Metric:
    return Metric(
        name=name,
        kind=Kind.SAMPLE,
        unit=Unit.MILLISECONDS,
        exporter=Role.SERVER,
        present=Presence.AFTER_FIRST_EVENT,
        meaning=meaning,
        source=source,
        key=key,
        absent=absent,
    )


QUEUE_DEPTH = Metric(
    name="nomad_nomad_plan_queue_depth",
    kind=Kind.GAUGE,
    unit=Unit.COUNT,
    exporter=Role.SERVER,
    present=Presence.ALWAYS,
    meaning="Plans that wait for the leader to check them; 0 on every other server.",
    source="nomad/plan_queue.go",
    key="nomad.nomad.plan.queue_depth",
)
SUBMIT = _timer(
    "nomad_nomad_plan_submit",
    "The whole call that submits a plan, from its arrival at the leader to the answer.",
    source="nomad/plan_endpoint.go",
)
EVALUATE = _timer("nomad_nomad_plan_evaluate", "Checking a plan against the state; on the leader.")
APPLY = _timer("nomad_nomad_plan_apply", "Committing a plan, from its dispatch to Raft to its result; on the leader.")
WAIT_FOR_INDEX = _timer(
    "nomad_nomad_plan_wait_for_index",
    "Waiting until the leader's own state is as new as the plan's; on the leader.",
    key="nomad.nomad.plan.wait_for_index",
)
RAFT_DISPATCH = _timer(
    "nomad_nomad_plan_raft_dispatch",
    "Handing a plan to Raft; on the leader.",
    key="nomad.nomad.plan.raft_dispatch",
    absent=Absent.PLANS,
)
OPTIMISTIC_APPLY = _timer(
    "nomad_nomad_plan_optimistic_apply",
    "Applying a plan to a private snapshot, so that the next one can be checked meanwhile; on the leader.",
    key="nomad.nomad.plan.optimistic_apply",
    absent=Absent.PLANS,
)
OUTSTANDING_APPLY = Metric(
    name="nomad_nomad_plan_outstanding_apply",
    kind=Kind.SAMPLE,
    unit=Unit.COUNT,
    exporter=Role.SERVER,
    present=Presence.AFTER_FIRST_EVENT,
    meaning="Plans on their way through Raft whenever the next one is taken; on the leader.",
    source=_APPLY_GO,
    key="nomad.nomad.plan.outstanding_apply",
    absent=Absent.PLANS,
)
NODE_REJECTED = Metric(
    name="nomad_nomad_plan_node_rejected",
    kind=Kind.COUNTER,
    unit=Unit.COUNT,
    labels=("node_id",),
    exporter=Role.SERVER,
    present=Presence.AFTER_FIRST_EVENT,
    meaning="Times the part of a plan that was for one client was refused, as it no longer fitted; on the leader.",
    source=f"{_APPLY_GO} evaluatePlanPlacements",
    key="nomad.nomad.plan.node_rejected",
)
REJECTION_TRACKER_NODE_SCORE = Metric(
    name="nomad_nomad_plan_rejection_tracker_node_score",
    kind=Kind.GAUGE,
    unit=Unit.COUNT,
    labels=("node_id",),
    exporter=Role.SERVER,
    present=Presence.WHEN_CONFIGURED,
    meaning="Refusals of one client within plan_rejection_tracker's node_window; only where that block is enabled.",
    source="nomad/plan_apply_node_tracker.go",
    key="nomad.nomad.plan.rejection_tracker.node_score",
    absent=Absent.PLANS,
)
SIGN_IDENTITIES = _timer(
    "nomad_nomad_plan_sign_identities",
    "Signing the identities of a plan's workloads; on the leader.",
    key="nomad.nomad.plan.sign_identities",
    absent=Absent.OUTSIDE,
)

"""Applying committed commands to the state, by type of command, on every server."""

from telemetry.catalogue.metric import Absent, Kind, Metric, Presence, Role, Unit


def _apply(name: str, key: str, what: str, *, absent: Absent | None = None) -> Metric:
    return Metric(
        name=name,
        kind=Kind.SAMPLE,
        unit=Unit.MILLISECONDS,
        exporter=Role.SERVER,
        present=Presence.AFTER_FIRST_EVENT,
        meaning=f"Applying a command that {what}.",
        source="nomad/fsm.go",
        key=key,
        absent=absent,
    )


REGISTER_NODE = _apply("nomad_nomad_fsm_register_node", "nomad.nomad.fsm.register_node", "registers a client")
NODE_STATUS_UPDATE = _apply(
    "nomad_nomad_fsm_node_status_update", "nomad.nomad.fsm.node_status_update", "changes the status of a client"
)
NODE_ELIGIBILITY_UPDATE = _apply(
    "nomad_nomad_fsm_node_eligibility_update",
    "nomad.nomad.fsm.node_eligibility_update",
    "lets new work onto a client or keeps it off",
)
NODE_DRAIN_UPDATE = _apply(
    "nomad_nomad_fsm_node_drain_update", "nomad.nomad.fsm.node_drain_update", "begins, changes or ends a drain"
)
BATCH_NODE_DRAIN_UPDATE = _apply(
    "nomad_nomad_fsm_batch_node_drain_update",
    "nomad.nomad.fsm.batch_node_drain_update",
    "ends drains that have nothing left to do",
)
UPSERT_NODE_EVENTS = _apply(
    "nomad_nomad_fsm_upsert_node_events",
    "nomad.nomad.fsm.upsert_node_events",
    "records events of a client",
    absent=Absent.CALL,
)
REGISTER_JOB = _apply("nomad_nomad_fsm_register_job", "nomad.nomad.fsm.register_job", "registers or changes a job")
DEREGISTER_JOB = _apply("nomad_nomad_fsm_deregister_job", "nomad.nomad.fsm.deregister_job", "stops or removes a job")
UPDATE_EVAL = _apply("nomad_nomad_fsm_update_eval", "nomad.nomad.fsm.update_eval", "writes evaluations")
APPLY_PLAN_RESULTS = _apply(
    "nomad_nomad_fsm_apply_plan_results", "nomad.nomad.fsm.apply_plan_results", "writes the result of a plan"
)
ALLOC_CLIENT_UPDATE = _apply(
    "nomad_nomad_fsm_alloc_client_update",
    "nomad.nomad.fsm.alloc_client_update",
    "writes what clients say of their allocations",
)
ALLOC_UPDATE_DESIRED_TRANSITION = _apply(
    "nomad_nomad_fsm_alloc_update_desired_transition",
    "nomad.nomad.fsm.alloc_update_desired_transition",
    "asks for allocations to be moved or rescheduled",
)
APPLY_DEPLOYMENT_STATUS_UPDATE = _apply(
    "nomad_nomad_fsm_apply_deployment_status_update",
    "nomad.nomad.fsm.apply_deployment_status_update",
    "changes the status of a deployment",
    absent=Absent.SCHEDULING,
)
APPLY_SCHEDULER_CONFIG = _apply(
    "nomad_nomad_fsm_apply_scheduler_config",
    "nomad.nomad.fsm.apply_scheduler_config",
    "changes the configuration of the schedulers",
    absent=Absent.CALL,
)
APPLY_WRAPPED_ROOT_KEY_UPSERT = _apply(
    "nomad_nomad_fsm_apply_wrapped_root_key_upsert",
    "nomad.nomad.fsm.apply_wrapped_root_key_upsert",
    "writes an encryption key",
    absent=Absent.OUTSIDE,
)
AUTOPILOT = _apply("nomad_nomad_fsm_autopilot", "nomad.nomad.fsm.autopilot", "changes the configuration of autopilot")
CLUSTER_META = _apply(
    "nomad_nomad_fsm_cluster_meta",
    "nomad.nomad.fsm.cluster_meta",
    "writes the identity of the cluster",
    absent=Absent.CALL,
)

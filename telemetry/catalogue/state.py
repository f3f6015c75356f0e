"""The state store and what a server keeps beside it."""

from telemetry.catalogue.metric import Absent, Kind, Metric, Presence, Role, Unit

SNAPSHOT_INDEX = Metric(
    name="nomad_state_snapshotIndex",
    kind=Kind.GAUGE,
    unit=Unit.INDEX,
    exporter=Role.SERVER,
    present=Presence.ALWAYS,
    meaning="Index of the latest write in the state; float32, so in steps of more than 1 above 16.7 million. A Nomad "
    "refreshes it every 10 s.",
    source="nomad/server.go",
)


def _leader_gauge(name: str, key: str, meaning: str, source: str) -> Metric:
    return Metric(
        name=name,
        kind=Kind.GAUGE,
        unit=Unit.COUNT,
        exporter=Role.SERVER,
        present=Presence.LEADER_ONLY,
        meaning=meaning,
        source=source,
        key=key,
        absent=Absent.OUTSIDE,
    )


VARIABLES_LOCKS_DELAY_TIMER_NUM = _leader_gauge(
    "nomad_variables_locks_delay_timer_num",
    "nomad.variables.locks.delay_timer.num",
    "Variables whose lock was lost and may not be taken again yet.",
    "nomad/lock/timer.go",
)
VARIABLES_LOCKS_TTL_TIMER_NUM = _leader_gauge(
    "nomad_variables_locks_ttl_timer_num",
    "nomad.variables.locks.ttl_timer.num",
    "Variables whose lock has to be renewed in time.",
    "nomad/lock/timer.go",
)
ACL_ACCESSOR_FOR_SECRET_TOKEN = Metric(
    name="nomad_nomad_acl_accessorForSecretToken",
    kind=Kind.SAMPLE,
    unit=Unit.MILLISECONDS,
    exporter=Role.SERVER,
    present=Presence.AFTER_FIRST_EVENT,
    meaning="Finding the token that a request's secret belongs to.",
    source="nomad/acl.go",
    absent=Absent.OUTSIDE,
)

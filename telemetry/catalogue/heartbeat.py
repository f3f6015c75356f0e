"""Heartbeats of clients, as the leader keeps them."""

from telemetry.catalogue.metric import Kind, Metric, Presence, Role, Unit

ACTIVE = Metric(
    name="nomad_nomad_heartbeat_active",
    kind=Kind.GAUGE,
    unit=Unit.COUNT,
    exporter=Role.SERVER,
    present=Presence.ALWAYS,
    meaning="Clients whose deadline this server keeps: all live clients on the leader, 0 on the others.",
    source="nomad/heartbeat.go",
)
INVALIDATE = Metric(
    name="nomad_nomad_heartbeat_invalidate",
    kind=Kind.SAMPLE,
    unit=Unit.MILLISECONDS,
    exporter=Role.SERVER,
    present=Presence.AFTER_FIRST_EVENT,
    meaning="Marking a client down that missed its deadline; its _count is the number of clients lost.",
    source="nomad/heartbeat.go",
)

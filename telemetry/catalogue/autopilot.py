"""Autopilot: what the leader believes about the health of the servers."""

from telemetry.catalogue.metric import Kind, Metric, Presence, Role, Unit

HEALTHY = Metric(
    name="nomad_nomad_autopilot_healthy",
    kind=Kind.GAUGE,
    unit=Unit.BOOLEAN,
    exporter=Role.SERVER,
    present=Presence.LEADER_ONLY,
    meaning=(
        "1 when every known server is healthy; a server that was leader goes on saying its last word for 60 s,"
        " so it never says 0 when the quorum is lost."
    ),
    source="nomad/autopilot.go",
)
FAILURE_TOLERANCE = Metric(
    name="nomad_nomad_autopilot_failure_tolerance",
    kind=Kind.GAUGE,
    unit=Unit.COUNT,
    exporter=Role.SERVER,
    present=Presence.LEADER_ONLY,
    meaning="Voters that may still fail before the quorum is lost, counted among the voters known now.",
    source="nomad/autopilot.go",
    key="nomad.nomad.autopilot.failure_tolerance",
)

"""Serf: membership of servers across regions."""

from telemetry.catalogue.metric import Absent, Kind, Metric, Presence, Role, Unit


def _metric(name: str, kind: Kind, unit: Unit, meaning: str, key: str = "", absent: Absent | None = None) -> Metric:
    return Metric(
        name=name,
        kind=kind,
        unit=unit,
        exporter=Role.SERVER,
        present=Presence.AFTER_FIRST_EVENT,
        meaning=meaning,
        source="hashicorp/serf serf/serf.go",
        key=key,
        absent=absent,
    )


MEMBER_JOIN = _metric("nomad_serf_member_join", Kind.COUNTER, Unit.COUNT, "Members that joined.")
MEMBER_LEFT = _metric("nomad_serf_member_left", Kind.COUNTER, Unit.COUNT, "Members that left of their own will.")
MEMBER_FAILED = _metric("nomad_serf_member_failed", Kind.COUNTER, Unit.COUNT, "Members that were declared failed.")
MEMBER_FLAP = _metric("nomad_serf_member_flap", Kind.COUNTER, Unit.COUNT, "Members that came back soon after failing.")
MEMBER_UPDATE = _metric("nomad_serf_member_update", Kind.COUNTER, Unit.COUNT, "Members whose tags changed.")
MSGS_RECEIVED = _metric("nomad_serf_msgs_received", Kind.SAMPLE, Unit.BYTES, "Size of a message received.")
MSGS_SENT = _metric("nomad_serf_msgs_sent", Kind.SAMPLE, Unit.BYTES, "Size of a message sent.")
QUEUE_EVENT = _metric(
    "nomad_serf_queue_Event", Kind.SAMPLE, Unit.COUNT, "User events that wait to be spread.", absent=Absent.GOSSIP
)
QUEUE_INTENT = _metric("nomad_serf_queue_Intent", Kind.SAMPLE, Unit.COUNT, "Joins and leaves that wait to be spread.")
QUEUE_QUERY = _metric(
    "nomad_serf_queue_Query", Kind.SAMPLE, Unit.COUNT, "Queries that wait to be spread.", absent=Absent.GOSSIP
)
SNAPSHOT_APPEND_LINE = _metric(
    "nomad_serf_snapshot_appendLine",
    Kind.SAMPLE,
    Unit.MILLISECONDS,
    "Writing what is new of the known members to their file.",
)
COORDINATE_ADJUSTMENT_MS = _metric(
    "nomad_serf_coordinate_adjustment_ms",
    Kind.SAMPLE,
    Unit.MILLISECONDS,
    "How far one measurement moved this server's network coordinate.",
    key="nomad.serf.coordinate.adjustment-ms",
    absent=Absent.GOSSIP,
)

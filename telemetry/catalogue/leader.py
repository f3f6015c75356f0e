"""The leader's duties: taking them up, laying them down, and reconciling members."""

from telemetry.catalogue.metric import Kind, Metric, Presence, Role, Unit


def _timer(name: str, present: Presence, meaning: str, key: str = "") -> Metric:
    return Metric(
        name=name,
        kind=Kind.SAMPLE,
        unit=Unit.MILLISECONDS,
        exporter=Role.SERVER,
        present=present,
        meaning=meaning,
        source="nomad/leader.go",
        key=key,
    )


ESTABLISH_LEADERSHIP = _timer(
    "nomad_nomad_leader_establish_leadership",
    Presence.AFTER_FIRST_EVENT,
    "Taking up the duties of the leader; its _count is there only on a server elected within the last 60 s.",
    key="nomad.nomad.leader.establish_leadership",
)
REVOKE_LEADERSHIP = _timer(
    "nomad_nomad_leader_revoke_leadership",
    Presence.AFTER_FIRST_EVENT,
    "Laying down the duties of the leader after losing the leadership.",
    key="nomad.nomad.leader.revoke_leadership",
)
BARRIER = _timer(
    "nomad_nomad_leader_barrier",
    Presence.LEADER_ONLY,
    "Waiting until all earlier writes are applied; at the start of a leadership and every 60 s.",
)
RECONCILE = _timer(
    "nomad_nomad_leader_reconcile",
    Presence.LEADER_ONLY,
    "Comparing all known members with the Raft configuration, and changing it where they differ.",
)
RECONCILE_MEMBER = _timer(
    "nomad_nomad_leader_reconcileMember", Presence.LEADER_ONLY, "Comparing one member with the Raft configuration."
)

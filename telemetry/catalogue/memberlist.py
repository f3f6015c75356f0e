"""Memberlist: the gossip beneath Serf."""

from telemetry.catalogue.metric import Absent, Kind, Metric, Presence, Role, Unit


def _metric(
    name: str,
    kind: Kind,
    unit: Unit,
    meaning: str,
    key: str = "",
    labels: tuple[str, ...] = (),
    absent: Absent | None = None,
) -> Metric:
    return Metric(
        name=name,
        kind=kind,
        unit=unit,
        labels=labels,
        exporter=Role.SERVER,
        present=Presence.AFTER_FIRST_EVENT,
        meaning=meaning,
        source="hashicorp/memberlist",
        key=key,
        absent=absent,
    )


def _timer(name: str, meaning: str, absent: Absent | None = None) -> Metric:
    return _metric(name, Kind.SAMPLE, Unit.MILLISECONDS, meaning, absent=absent)


def _count(name: str, meaning: str, unit: Unit = Unit.COUNT, key: str = "", absent: Absent | None = None) -> Metric:
    return _metric(name, Kind.COUNTER, unit, meaning, key, absent=absent)


NODE_INSTANCES = _metric(
    "nomad_memberlist_node_instances",
    Kind.GAUGE,
    Unit.COUNT,
    "Members by state, as of the last full exchange: a minute and more out of date.",
    labels=("node_state",),
)
HEALTH_SCORE = _metric(
    "nomad_memberlist_health_score",
    Kind.GAUGE,
    Unit.COUNT,
    "How badly this server itself keeps up, 0 is well; set only when it changes.",
    key="nomad.memberlist.health.score",
)
SIZE_LOCAL = _metric(
    "nomad_memberlist_size_local",
    Kind.GAUGE,
    Unit.BYTES,
    "Size of the state this server sends in a full exchange; a real Nomad exports a wrong number.",
)
GOSSIP = _timer("nomad_memberlist_gossip", "One round of gossip.")
PROBE_NODE = _timer("nomad_memberlist_probeNode", "Probing one member until it answers.")
PUSH_PULL_NODE = _timer("nomad_memberlist_pushPullNode", "A full exchange with one member.")
QUEUE_BROADCASTS = _metric(
    "nomad_memberlist_queue_broadcasts", Kind.SAMPLE, Unit.COUNT, "Messages that wait to be spread."
)
DEGRADED_PROBE = _count("nomad_memberlist_degraded_probe", "Probes that failed while this server itself lagged.")
MSG_ALIVE = _count("nomad_memberlist_msg_alive", "News that a member is alive.")
MSG_SUSPECT = _count("nomad_memberlist_msg_suspect", "News that a member may have failed.")
MSG_DEAD = _count("nomad_memberlist_msg_dead", "News that a member has failed.")
TCP_ACCEPT = _count("nomad_memberlist_tcp_accept", "Connections accepted for gossip.")
TCP_CONNECT = _count("nomad_memberlist_tcp_connect", "Connections made for gossip.")
TCP_SENT = _count("nomad_memberlist_tcp_sent", "Bytes sent over connections.", Unit.BYTES)
UDP_RECEIVED = _count("nomad_memberlist_udp_received", "Bytes received in packets.", Unit.BYTES)
UDP_SENT = _count("nomad_memberlist_udp_sent", "Bytes sent in packets.", Unit.BYTES)

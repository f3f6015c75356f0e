"""The series that our recording rules write, as entries of the catalogue, so that rules and panels resolve them.

All but the ones that say otherwise carry `cluster` and `region` alone, and are there for every region whose servers
are expected, whatever is scraped.
"""

from telemetry.catalogue import CATALOGUE
from telemetry.catalogue.metric import Kind, Metric, Presence, Role, Unit

_SOURCE = "alert_rules/recording.py"
_REGION = ("cluster", "region")
_SERVER = ("cluster", "region", "instance")


def _recorded(
    name: str,
    meaning: str,
    *,
    unit: Unit = Unit.COUNT,
    labels: tuple[str, ...] = _REGION,
    present: Presence = Presence.ALWAYS,
) -> Metric:
    return Metric(
        name=name,
        kind=Kind.GAUGE,
        unit=unit,
        labels=labels,
        exporter=Role.RULE,
        present=present,
        meaning=meaning,
        source=_SOURCE,
        exported=False,
    )


SERVERS_EXPECTED = _recorded("outrider:servers_expected", "Servers the region is meant to have, from outrider.yaml.")
SERVERS_QUORUM = _recorded("outrider:servers_quorum", "The majority of the expected servers.")
SERVERS_UP = _recorded("outrider:servers_up", "Servers whose last scrape succeeded.")
SERVERS_BLIND = _recorded("outrider:servers_blind", "Servers that answer scrapes without a single series about Raft.")
LEADER_HEARD = _recorded(
    "outrider:leader_heard",
    "1 for each server that proves a live leader: it hears one, or is one.",
    unit=Unit.BOOLEAN,
    labels=_SERVER,
    present=Presence.WHEN_CONFIGURED,
)
LEADER = _recorded(
    "outrider:leader",
    "1 for the server that leads; two for the moments in which a deposed leader has not noticed.",
    unit=Unit.BOOLEAN,
    labels=_SERVER,
    present=Presence.LEADER_ONLY,
)
LEADER_SIGNALS = _recorded("outrider:leader_signals", "Servers that prove a live leader; 0 when there is none.")
FAILURE_TOLERANCE = _recorded(
    "outrider:failure_tolerance",
    "Voters that may still be lost, as the live leader counts them; absent without a live leader.",
    present=Presence.LEADER_ONLY,
)
VOTERS_HEALTHY = _recorded(
    "outrider:voters_healthy",
    "Voters the live leader hears, itself included; absent without a live leader.",
    present=Presence.LEADER_ONLY,
)
SERVER_LEFT = _recorded(
    "outrider:server_left",
    "1 for each server that is gone since a graceful leave, until it answers again.",
    unit=Unit.BOOLEAN,
    labels=_SERVER,
    present=Presence.WHEN_CONFIGURED,
)
ELECTIONS_10M = _recorded(
    "outrider:elections_10m",
    "Elections won in the last ten minutes, counted by births and growth of a series that lives for 60 s.",
    present=Presence.AFTER_FIRST_EVENT,
)

RECORDED = (
    SERVERS_EXPECTED,
    SERVERS_QUORUM,
    SERVERS_UP,
    SERVERS_BLIND,
    LEADER_HEARD,
    LEADER,
    LEADER_SIGNALS,
    FAILURE_TOLERANCE,
    VOTERS_HEALTHY,
    SERVER_LEFT,
    ELECTIONS_10M,
)

KNOWN = CATALOGUE.with_(RECORDED)
"""What a rule or panel may use: every metric of the catalogue, and what our recording rules write."""

"""Which alert silences which: one fault is one notification, so consequences give way to their cause.

Alertmanager drops what is inhibited, the end of an alert included: a consequence that ends while its cause fires is
never reported as resolved. And one that outlives its cause is notified when all is over. So a consequence that may
have been notified before its cause came must end after it, and none that was not may be there when it ends. The rules
see to both by not letting NomadQuorumAtRisk and NomadServerDown begin under a cause, and by keeping them longer.

Every pair is equal in `cluster` and `region`, which all alerts about a region carry. A label that both sides lack
would count as equal, and silence across clusters.
"""

from dataclasses import dataclass

EQUAL_LABELS = ("cluster", "region")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inhibition:
    """While *cause* fires, *consequences* of the same region are not notified."""

    cause: str
    consequences: tuple[str, ...]
    why: str


INHIBITIONS = (
    Inhibition(
        cause="NomadQuorumLost",
        consequences=("NomadNoLeader", "NomadQuorumAtRisk", "NomadServerDown", "NomadLeaderFlapping"),
        why="Without a majority there is no leader, and the servers that are down are the reason.",
    ),
    Inhibition(
        cause="NomadNoLeader",
        consequences=("NomadQuorumAtRisk", "NomadServerDown", "NomadLeaderFlapping"),
        why="A region that has no leader is past being at risk.",
    ),
    Inhibition(
        cause="NomadQuorumAtRisk",
        consequences=("NomadServerDown",),
        why="The server that is down is why the quorum is at risk.",
    ),
    Inhibition(
        cause="NomadMetricsMissing",
        consequences=("NomadServerDown",),
        why="The leader counts the server as healthy; only its metrics are missing.",
    ),
)
"""In the order of the file that is generated."""


def inhibited_by(alert: str) -> tuple[str, ...]:
    """Return the alerts that silence *alert*, in the order of the table."""
    return tuple(row.cause for row in INHIBITIONS if alert in row.consequences)

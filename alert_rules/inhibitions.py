"""Which alert silences which: one fault is one notification, so consequences give way to their cause.

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
        consequences=(
            "NomadNoLeader",
            "NomadQuorumAtRisk",
            "NomadServerDown",
            "NomadLeaderFlapping",
            "NomadClientDown",
            "NomadMetricsMissing",
        ),
        why="Without a majority there is no leader, and nothing else about the region can be acted on first.",
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

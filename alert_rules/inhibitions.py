"""Which alert silences which: one fault is one notification, so consequences give way to their cause.

Alertmanager drops what is inhibited, the end of an alert included: a consequence that ends while its cause fires is
never reported as resolved. And one that outlives its cause is notified when all is over. So every consequence is
written to neither begin under its cause nor end before it (`alert_rules.spec.yielding`), and is held until its cause
can have fired (`alert_rules.rules`).

Every pair is equal in `cluster` and `region`, which all alerts about a region carry. A label that both sides lack
would count as equal, and silence across clusters.
"""

from collections.abc import Iterable
from dataclasses import dataclass

EQUAL_LABELS = ("cluster", "region")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inhibition:
    """While *cause* fires, *consequences* of the same region are not notified.

    *shares_onset* says that both wait for the same evidence, so that only the holds tell which comes first.
    """

    cause: str
    consequences: tuple[str, ...]
    why: str
    shares_onset: bool = False


_OF_AN_OUTAGE = (
    "NomadQuorumAtRisk",
    "NomadClusterShrunk",
    "NomadServerDown",
    "NomadServerUnhealthy",
    "NomadLeaderFlapping",
    "NomadLeaseLost",
    "NomadFollowersSlow",
    "NomadFollowerLagging",
    "NomadMemberFlapping",
    "NomadMemberFailed",
    "NomadMembersDisagree",
)
_OF_A_LOST_SERVER = (
    "NomadServerUnhealthy",
    "NomadFollowersSlow",
    "NomadFollowerLagging",
    "NomadMemberFailed",
    "NomadMembersDisagree",
)

INHIBITIONS = (
    Inhibition(
        cause="NomadQuorumLost",
        consequences=("NomadNoLeader",),
        why="Without a majority there is no leader; both wait for the last sign of one.",
        shares_onset=True,
    ),
    Inhibition(
        cause="NomadQuorumLost",
        consequences=_OF_AN_OUTAGE,
        why="Without a majority there is no leader, and the servers that are down are the reason.",
    ),
    Inhibition(
        cause="NomadNoLeader",
        consequences=_OF_AN_OUTAGE,
        why="A region that has no leader is past being at risk, and what its servers say of each other is its echo.",
    ),
    Inhibition(
        cause="NomadQuorumAtRisk",
        consequences=("NomadServerDown", "NomadMemberFlapping", *_OF_A_LOST_SERVER),
        why="The server that is down is why the quorum is at risk.",
    ),
    Inhibition(
        cause="NomadMetricsMissing",
        consequences=("NomadClusterShrunk", "NomadServerDown", "NomadMetricsFrozen"),
        why="The leader counts the server as healthy; only its metrics are missing.",
    ),
    Inhibition(
        cause="NomadClusterShrunk",
        consequences=("NomadServerDown", "NomadServerUnhealthy", "NomadMemberFailed"),
        why="The servers that are down, or have no vote, are those that autopilot removed.",
    ),
    Inhibition(
        cause="NomadServerDown",
        consequences=_OF_A_LOST_SERVER,
        why="A dead server is unhealthy, is not heard, and lags.",
    ),
    Inhibition(
        cause="NomadRaftSaturated",
        consequences=("NomadCommitSlow", "NomadFollowersSlow"),
        why="A Raft thread that is always busy commits late and answers late; all are means over the same window.",
        shares_onset=True,
    ),
    Inhibition(
        cause="NomadFollowersSlow",
        consequences=("NomadServerUnhealthy",),
        why="Autopilot calls a server unhealthy that is heard too seldom.",
    ),
    Inhibition(
        cause="NomadServerUnhealthy",
        consequences=("NomadMembersDisagree",),
        why="A server that is cut off from the others hears nothing of them.",
    ),
    Inhibition(
        cause="NomadLeaseLost",
        consequences=("NomadLeaderFlapping",),
        why="A leader that loses its lease again and again makes an election each time.",
    ),
    Inhibition(
        cause="NomadCommitSlow",
        consequences=("NomadSchedulingSlow",),
        why="A schedule waits for the log; both are means over the same window.",
        shares_onset=True,
    ),
    Inhibition(
        cause="NomadCommitSlow",
        consequences=("NomadPlanQueueBacklog", "NomadEvaluationBacklog"),
        why="What cannot be committed queues.",
    ),
    Inhibition(
        cause="NomadSchedulingSlow",
        consequences=("NomadPlanQueueBacklog", "NomadEvaluationBacklog"),
        why="What is scheduled slowly queues.",
    ),
    Inhibition(
        cause="NomadPlanQueueBacklog",
        consequences=("NomadEvaluationBacklog",),
        why="Workers that wait for the plan queue take no evaluation.",
    ),
    Inhibition(
        cause="NomadEvaluationsStuck",
        consequences=("NomadEvaluationBacklog",),
        why="Workers that hang take no evaluation.",
    ),
    Inhibition(
        cause="NomadManyClientsDown",
        consequences=("NomadClientDown",),
        why="Many clients that go at once are one fault; both wait for the scrapes to fail.",
        shares_onset=True,
    ),
    Inhibition(
        cause="NomadDrainStuck",
        consequences=("NomadClientIneligible",),
        why="A client that drains takes no work; both have lasted an hour.",
        shares_onset=True,
    ),
    Inhibition(
        cause="NomadMemberFlapping",
        consequences=("NomadMemberFailed", "NomadMembersDisagree"),
        why="A member that comes and goes fails each time.",
    ),
    Inhibition(
        cause="NomadMemberFailed",
        consequences=("NomadMembersDisagree",),
        why="Members hear of a failure one after the other.",
    ),
    Inhibition(
        cause="NomadScrapeSlow",
        consequences=("NomadMetricsFrozen",),
        why="An agent that answers late collects late.",
    ),
    Inhibition(
        cause="NomadCertificateAlmostExpired",
        consequences=("NomadCertificateExpiring",),
        why="The warning has become the page.",
    ),
)
"""In the order of the file that is generated."""


def inhibited_by(alert: str) -> tuple[str, ...]:
    """Return the alerts that silence *alert*, in the order of the table."""
    return tuple(dict.fromkeys(row.cause for row in INHIBITIONS if alert in row.consequences))


def in_order(alerts: Iterable[str]) -> list[str]:
    """Return *alerts* so that each stands behind all that silence it, otherwise as they came.

    Raises ValueError when two silence each other in the end.
    """
    waiting, ordered = list(dict.fromkeys(alerts)), []
    while waiting:
        ready = next((name for name in waiting if not set(inhibited_by(name)) & set(waiting)), None)
        if ready is None:
            raise ValueError(f"these alerts silence each other: {', '.join(waiting)}")
        waiting.remove(ready)
        ordered.append(ready)
    return ordered

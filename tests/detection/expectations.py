"""What must be heard of a recorded fault, by when, and what else may be heard for reasons of the recordings' own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from alert_rules.rules import RuleSet
from alert_rules.settings import Times

STEP_SECONDS = 1.0
"""Recordings tell to the second when something was; a promise is kept to the second."""


@dataclass(frozen=True, slots=True)
class Expected:
    """An alert that must be heard of; its condition comes about *onset* seconds after the fault."""

    alert: str
    onset: float = 0.0


@dataclass(frozen=True, slots=True)
class Heard:
    """A notification: when it came, in seconds after the fault, or from the start of a recording without one."""

    alert: str
    after: float
    labels: Mapping[str, str]


class Verdict(Enum):
    """How a notification, or its absence, is judged."""

    IN_TIME = "in time"
    LATE = "late"
    MISSING = "missing"
    BACKGROUND = "background"
    UNEXPECTED = "unexpected"

    @property
    def is_good(self) -> bool:
        """Whether all is as it should be."""
        return self in {Verdict.IN_TIME, Verdict.BACKGROUND}


@dataclass(frozen=True, slots=True)
class Judged:
    """One alert with its verdict; *after* is None when it was not heard of, *promised* when nothing was promised."""

    alert: str
    verdict: Verdict
    after: float | None = None
    promised: float | None = None


EXPECTED: dict[str, tuple[Expected, ...]] = {
    "i-kill-leader": (Expected("NomadQuorumAtRisk"),),  # dead for 82 s
    "iia-quorum-lost-kill-2-followers": (Expected("NomadQuorumLost"),),  # for 59 s, the former leader lives on
    "iib-quorum-lost-kill-leader-and-follower": (Expected("NomadQuorumLost"),),  # for 70 s
    "iii-kill-client": (Expected("NomadClientDown"),),  # dead for 64 s
}
"""For each recording, in the order in which its alerts may come."""

BACKGROUND = {
    "NomadEvaluationsBlocked": "one job cannot be placed throughout",
    "NomadCommitSlow": "the machine was loaded, and a commit took 13 to 24 ms in the mean",
}
"""What the recordings themselves are in the state for, fault or not, with the reason. One job also keeps failing, of
which no alert of the cluster speaks."""


def judge(
    expected: Sequence[Expected], heard: Sequence[Heard], rules: RuleSet, times: Times, background: Mapping[str, str]
) -> list[Judged]:
    """Return a verdict for each alert that was to be heard of or was: the expected ones first, in their order.

    Only the first notification of an alert counts. Nothing may be heard of before the fault, unless it is background.
    """
    first: dict[str, float] = {}
    for each in heard:
        first[each.alert] = min(each.after, first.get(each.alert, each.after))
    judged = []
    for each in expected:
        promised = each.onset + rules.alert(each.alert).promised_seconds(times)
        judged.append(Judged(each.alert, _verdict(first.get(each.alert), promised), first.get(each.alert), promised))
    named = {each.alert for each in expected}
    judged += [
        Judged(alert, Verdict.BACKGROUND if alert in background else Verdict.UNEXPECTED, after)
        for alert, after in sorted(first.items())
        if alert not in named
    ]
    return judged


def _verdict(after: float | None, promised: float) -> Verdict:
    if after is None:
        return Verdict.MISSING
    if after < 0:
        return Verdict.UNEXPECTED
    return Verdict.IN_TIME if after <= promised + STEP_SECONDS else Verdict.LATE

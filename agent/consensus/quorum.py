"""The arithmetic of majorities: how many servers a group needs, and what a majority has stored.

Pure. Source: Raft paper, sections 5.2 and 5.4.2.
"""

from collections.abc import Sequence


def majority(voters: int) -> int:
    """Return the least number of voters that is more than half of *voters*.

    Any two majorities of one group share a voter; that is what makes one leader a term. Raises ValueError when
    *voters* is less than 1.
    """
    if voters < 1:
        raise ValueError(f"a group has at least one voter, not {voters}")
    return voters // 2 + 1


def has_quorum(voters: int, healthy: int) -> bool:
    """Tell whether *healthy* of *voters* can commit; raises ValueError as `failures_tolerated` does."""
    _check(voters, healthy)
    return healthy >= majority(voters)


def failures_tolerated(voters: int, healthy: int) -> int:
    """Return how many of the *healthy* voters may fail before the group can commit nothing.

    Dead voters count in *voters* until they are removed: 2 healthy of 3 tolerate 0. Never negative: a group
    without a quorum tolerates 0 as well, so ask `has_quorum` to tell the two apart. Raises ValueError when
    *healthy* is negative or greater than *voters*.

    Source: nomad/autopilot.go, FailureTolerance.
    """
    _check(voters, healthy)
    return max(0, healthy - majority(voters))


def majority_index(stored: Sequence[int]) -> int:
    """Return the highest log index that a majority has stored; *stored* has one index for each voter.

    The order of *stored* does not matter. Only an entry of the leader's own term may be committed by this count
    (Raft paper, figure 8); the caller checks the term.
    """
    return sorted(stored, reverse=True)[majority(len(stored)) - 1]


def _check(voters: int, healthy: int) -> None:
    if not 0 <= healthy <= voters:
        raise ValueError(f"healthy={healthy} is not between 0 and voters={voters}")

"""How long a silent member is doubted before it counts as failed. Pure arithmetic.

The doubt of one member alone may be its own fault: it is slow, or its link is bad. So it lasts long at first, and
shrinks with each further member that doubts as well. Source: Lifeguard (Dadgar, Phillips, Currey), section IV-C.
"""

import math
from dataclasses import dataclass, field

from agent.gossip.timings import Timings


@dataclass(slots=True)
class Suspicion:
    """A doubt that began at `began_at`; `confirmed_by` are the members that share it, the first one included."""

    began_at: float
    shortest_seconds: float
    longest_seconds: float
    confirmations_wanted: int
    confirmed_by: set[str] = field(default_factory=set)

    def confirm(self, member: str) -> bool:
        """Count the doubt of *member*; return whether that is news worth passing on."""
        if member in self.confirmed_by or len(self.confirmed_by) > self.confirmations_wanted:
            return False
        self.confirmed_by.add(member)
        return True

    def deadline(self, witnesses: int) -> float:
        """Return when the member counts as failed, where *witnesses* undoubted members, this one included, are left.

        More of them cannot share the doubt: of five servers of which three die at once, two are left to say so.
        """
        further = max(0, len(self.confirmed_by) - 1)
        wanted = min(self.confirmations_wanted, witnesses - 1)
        return self.began_at + remaining_seconds(further, wanted, self.shortest_seconds, self.longest_seconds)

    def postpone(self, seconds: float) -> None:
        """Move the doubt by *seconds*, for which the doubter itself was away."""
        self.began_at += seconds


def suspicion_of(timings: Timings, members: int, by: str, now: float) -> Suspicion:
    """Return the doubt of *by* that begins *now*, among so many live *members*."""
    shortest = shortest_seconds(timings, members)
    longest = shortest * timings.suspicion_longest_multiplier
    return Suspicion(now, shortest, longest, timings.suspicion_multiplier - 2, {by})


def shortest_seconds(timings: Timings, members: int) -> float:
    """Return the shortest doubt; it grows with the size, as news take longer to reach everybody."""
    return timings.suspicion_multiplier * max(1.0, math.log10(max(1, members))) * timings.probe_interval_seconds


def remaining_seconds(further: int, wanted: int, shortest: float, longest: float) -> float:
    """Return how long a doubt lasts that *further* members share, where *wanted* would make it the shortest."""
    if wanted < 1 or further >= wanted:
        return shortest
    share = math.log(further + 1.0) / math.log(wanted + 1.0)
    return max(shortest, longest - share * (longest - shortest))

"""Probes under way, those made for others, and how well this member itself keeps up. Pure.

Source: Lifeguard (Dadgar, Phillips, Currey), section IV-A: a member whose probes go unanswered although others are
there (they answer with a nack) suspects itself first, and gives its probes more time.
"""

from dataclasses import dataclass, field

from agent.gossip.wire import Address

AWARENESS_MAX = 7
"""Above this a member would hardly probe at all. Source: memberlist's `AwarenessMaxMultiplier`, 8."""

RELAYS_MAX = 256
"""Probes made for others at one time."""


@dataclass(slots=True)
class Probe:
    """A ping that waits for its answer: others are asked at `ask_at`, and at `deadline` the target is suspected."""

    target: str
    began_at: float
    ask_at: float
    deadline: float
    asked: bool = False
    helpers: tuple[Address, ...] = ()
    nacks: int = 0


@dataclass(frozen=True, slots=True)
class Relay:
    """A ping made for another: *origin* hears of an answer under *sequence*, or at `nack_at` that there is none."""

    origin: Address
    sequence: int
    nack_at: float


@dataclass(slots=True)
class Awareness:
    """How badly this member itself keeps up: 0 is well, each step gives probes one more time their patience."""

    score: int = 0

    def add(self, steps: int) -> bool:
        """Change the score by *steps*; return whether it is another one now."""
        before, self.score = self.score, min(AWARENESS_MAX, max(0, self.score + steps))
        return before != self.score

    def stretch(self, seconds: float) -> float:
        """Return *seconds*, lengthened by the score."""
        return seconds * (1 + self.score)


@dataclass(slots=True)
class Probes:
    """All probes by sequence, own ones and those made for others."""

    own: dict[int, Probe] = field(default_factory=dict)
    relays: dict[int, Relay] = field(default_factory=dict)

    def next_deadline(self) -> float:
        """Return when one of them has to go on; infinity without any."""
        own = (probe.deadline if probe.asked else probe.ask_at for probe in self.own.values())
        return min([*own, *(relay.nack_at for relay in self.relays.values())], default=float("inf"))

    def postpone(self, seconds: float) -> None:
        """Move all deadlines by *seconds*, in which this member was away."""
        for probe in self.own.values():
            probe.ask_at += seconds
            probe.deadline += seconds

    def unasked(self, now: float) -> list[tuple[int, Probe]]:
        """Return own probes for which it is time to ask others, the oldest first."""
        return [(sequence, probe) for sequence, probe in self.own.items() if not probe.asked and probe.ask_at <= now]

    def overdue(self, now: float) -> list[tuple[int, Probe]]:
        """Return and forget own probes whose time is over."""
        found = [(sequence, probe) for sequence, probe in self.own.items() if probe.deadline <= now]
        for sequence, _ in found:
            del self.own[sequence]
        return found

    def unanswered(self, now: float) -> list[Relay]:
        """Return and forget probes made for others that got no answer."""
        found = [(sequence, relay) for sequence, relay in self.relays.items() if relay.nack_at <= now]
        for sequence, _ in found:
            del self.relays[sequence]
        return [relay for _, relay in found]

    def relay(self, sequence: int, relay: Relay) -> bool:
        """Remember *relay*; return False when there are too many."""
        if len(self.relays) >= RELAYS_MAX:
            return False
        self.relays[sequence] = relay
        return True

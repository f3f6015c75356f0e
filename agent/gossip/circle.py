"""The neighbours of one kind, near or far: in which order they are probed, and which news they have yet to hear. Pure."""

import math
import random

from agent.gossip.broadcast import BroadcastQueue
from agent.gossip.members import Member, State
from agent.gossip.timings import Timings
from agent.gossip.wire import Alive, Dead, JoinIntent, LeaveIntent, Left, PacketMessage, Suspect, encode


class Circle:
    """Members with the same timings, without this one."""

    def __init__(self, timings: Timings, rng: random.Random, now: float) -> None:
        self.timings = timings
        self.queue = BroadcastQueue(timings.retransmit_multiplier)
        # At times of its own: members that start together must not all probe at the same moment.
        self.probe_due = now + rng.random() * timings.probe_interval_seconds
        self.gossip_due = now + rng.random() * timings.gossip_interval_seconds
        self.push_pull_due = now + rng.uniform(0.5, 1.0) * timings.push_pull_interval_seconds
        self._rng = rng
        self._ring: list[Member] = []
        self.names: set[str] = set()
        """The names of all neighbours, gone ones included."""
        self._at = 0

    def next_deadline(self, *, left: bool) -> float:
        """Return when there is something to do: nothing without neighbours, only gossip for one that has left."""
        if not self._ring:
            return math.inf
        return self.gossip_due if left else min(self.probe_due, self.gossip_due, self.push_pull_due)

    @property
    def live_count(self) -> int:
        """How many neighbours have not failed or left."""
        return sum(not member.gone for member in self._ring)

    def add(self, member: Member) -> None:
        """Take *member* in, at a random place of the order of probes, unless it is there."""
        if member.name not in self.names:
            self.names.add(member.name)
            self._ring.insert(self._rng.randint(0, len(self._ring)), member)

    def remove(self, name: str) -> None:
        """Forget the member of that name, if it is there."""
        if name in self.names:
            self.names.remove(name)
            self._ring = [member for member in self._ring if member.name != name]

    def live(self) -> list[Member]:
        """Return those that have not failed or left, by name."""
        return sorted((member for member in self._ring if not member.gone), key=lambda member: member.name)

    def to_probe(self) -> list[Member]:
        """Return those whose turn it is: as many as make a round last no longer than it may."""
        live = self.live_count
        wanted = math.ceil(live / self.timings.round_intervals_max)
        chosen: list[Member] = []
        for _ in range(len(self._ring)):
            if len(chosen) == wanted:
                break
            member = self._ring[self._at % len(self._ring)]
            self._at = (self._at + 1) % len(self._ring)
            if not member.gone:
                chosen.append(member)
        return chosen

    def to_tell(self, now: float) -> list[Member]:
        """Return a few members at random for news; one that failed lately may live, and is among those it concerns."""
        limit = self.timings.gossip_to_failed_seconds
        candidates = [
            member
            for member in sorted(self._ring, key=lambda member: member.name)
            if not member.gone or (member.state is State.DEAD and now - member.changed_at < limit)
        ]
        return self._rng.sample(candidates, min(len(candidates), self.timings.gossip_members))

    def put(self, message: PacketMessage) -> None:
        """Queue *message* as news, in place of what it makes old; without neighbours there is nobody to tell."""
        if not self._ring:
            return
        match message:
            case Suspect(name, _, sender):
                # Each doubt counts, so one does not replace another.
                subject = f"doubt:{name}:{sender}"
            case JoinIntent(name) | LeaveIntent(name):
                subject = f"intent:{name}"
            case Alive(name) | Dead(name) | Left(name):
                self.queue.drop(f"doubt:{name}:")
                subject = f"state:{name}"
            case _:
                raise ValueError(f"{type(message).__name__} is no news")
        self.queue.put(subject, encode(message))

    def failed(self) -> list[Member]:
        """Return those that failed, by name."""
        failed = (member for member in self._ring if member.state is State.DEAD)
        return sorted(failed, key=lambda member: member.name)

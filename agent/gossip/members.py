"""The list of members, and what news do to it. Pure.

Two kinds of news meet here. Whether a member lives is ordered by its incarnation, which only itself raises: alive
counts from a greater one only, doubt and death from the same one. Whether it means to be a member is ordered by a
Lamport clock over join and leave intents, so that a leave that was said before a join does not undo it, however late it
arrives. Source: SWIM, section 4.2; hashicorp/serf, `handleNodeLeaveIntent` and `handleNodeJoinIntent`.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum

from agent.gossip.suspicion import Suspicion, suspicion_of
from agent.gossip.timings import Timings
from agent.gossip.wire import (
    Address,
    Alive,
    Dead,
    JoinIntent,
    LeaveIntent,
    Left,
    MemberState,
    PacketMessage,
    Suspect,
)

REAP_SECONDS = 24 * 3600.0
"""How long a member that failed or left is remembered. Source: serf's `ReconnectTimeout` and `TombstoneTimeout`."""

FLAP_SECONDS = 60.0
"""One that fails and is back within this flaps. Source: serf's `FlapTimeout`."""

INTENTS_MAX = 64
"""Intents kept of members that are not known yet."""

TOMBSTONES_MAX = 1024

MEMBERS_MAX = 1000
"""More are not taken in: a flood of invented ones must not fill the memory."""


class State(IntEnum):
    """Whether a member lives; the numbers are the wire's."""

    ALIVE = 0
    SUSPECT = 1
    DEAD = 2
    LEFT = 3


class Status(Enum):
    """A member as operators see it, in Nomad's words."""

    ALIVE = "alive"
    LEAVING = "leaving"
    LEFT = "left"
    FAILED = "failed"


class Event(Enum):
    """What happened to a member, in Serf's words."""

    JOIN = "member-join"
    LEAVING = "member-leaving"
    LEFT = "member-leave"
    FAILED = "member-failed"
    FLAP = "member-flap"
    UPDATE = "member-update"
    REAP = "member-reap"
    SUSPECTED = "member-suspected"
    REFUTED = "refuted"
    CONFLICT = "name-conflict"
    NO_PACKETS = "member-no-packets"


@dataclass(frozen=True, slots=True)
class MemberView:
    """A member at one moment."""

    name: str
    address: Address
    tags: Mapping[str, str]
    status: Status
    incarnation: int
    suspected: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happened to a member; `by` says who told, or at which address a conflicting one is."""

    event: Event
    member: MemberView
    by: str = ""


@dataclass(slots=True)
class Member:
    """What is known of one member. `changed_at` is when its state was entered."""

    name: str
    address: Address
    tags: Mapping[str, str]
    incarnation: int
    state: State = State.ALIVE
    leaving: bool = False
    intent_time: int = 0
    changed_at: float = 0.0
    suspicion: Suspicion | None = None

    @property
    def gone(self) -> bool:
        """Whether it failed or left."""
        return self.state >= State.DEAD

    @property
    def status(self) -> Status:
        """As operators see it: a doubt is no state yet."""
        if self.state is State.LEFT:
            return Status.LEFT
        if self.state is State.DEAD:
            return Status.FAILED
        return Status.LEAVING if self.leaving else Status.ALIVE

    def view(self) -> MemberView:
        """Return it as it is now."""
        return MemberView(
            self.name, self.address, self.tags, self.status, self.incarnation, self.state is State.SUSPECT
        )

    def alive_message(self) -> Alive:
        """Return the news that it lives."""
        return Alive(self.name, self.address.host, self.address.port, self.incarnation, dict(self.tags))


@dataclass(frozen=True, slots=True)
class _Tombstone:
    incarnation: int
    until: float


class Membership:
    """All members by name, this one among them.

    What a call changed is in `changes`, what others must hear in `news`, what one address must hear in `told`; the
    caller takes them with `drain`.
    """

    def __init__(self, own: Member, timings_of: Callable[[Member], Timings]) -> None:
        self.own = own
        self.clock = 1
        self.left = False
        """Whether this member itself has left."""
        self._timings_of = timings_of
        self._members: dict[str, Member] = {own.name: own}
        self._intents: dict[str, JoinIntent | LeaveIntent] = {}
        self._tombstones: dict[str, _Tombstone] = {}
        self._changes: list[Change] = []
        self._news: list[PacketMessage] = []
        self._told: list[tuple[Address, PacketMessage]] = []
        self._adopted: list[Member] = []
        self.refutations = 0

    # --- asking ---------------------------------------------------------------------------------------------------

    def listed(self) -> list[Member]:
        """Return all members by name."""
        return [self._members[name] for name in sorted(self._members)]

    def __len__(self) -> int:
        return len(self._members)

    def get(self, name: str) -> Member | None:
        """Return the member of that name."""
        return self._members.get(name)

    def drain(self) -> tuple[list[Change], list[PacketMessage], list[tuple[Address, PacketMessage]]]:
        """Return and forget what happened since the last call, what all must hear, and what one must."""
        drained = self._changes, self._news, self._told
        self._changes, self._news, self._told = [], [], []
        return drained

    def adopted(self) -> list[Member]:
        """Return and forget members that were gone before this one came, of which no change tells."""
        adopted, self._adopted = self._adopted, []
        return adopted

    def live_count(self, like: Member) -> int:
        """Return how many members have the same timings as *like* and have not failed or left."""
        timings = self._timings_of(like)
        return sum(not member.gone and self._timings_of(member) is timings for member in self._members.values())

    def _doubts(self) -> list[tuple[Member, float]]:
        """Return every doubted member with the time at which it counts as failed.

        Who could share a doubt is counted once for all of them: among a thousand invented members, each doubted, once
        for each would stop the event loop.
        """
        doubted = [member for member in self.listed() if member.suspicion is not None]
        if not doubted:
            return []
        witnesses = Counter(
            id(self._timings_of(member))
            for member in self._members.values()
            if member.state is State.ALIVE and member is not self.own
        )
        return [
            (member, member.suspicion.deadline(1 + witnesses[id(self._timings_of(member))]))
            for member in doubted
            if member.suspicion is not None
        ]

    # --- news of life and death -----------------------------------------------------------------------------------

    def alive(self, news: Alive, now: float) -> None:
        """Take in that a member lives."""
        address = Address(news.host, news.port)
        member = self._members.get(news.name)
        if member is self.own:
            self._alive_self(news, address)
        elif member is None:
            self._alive_new(news, address, now)
        elif news.incarnation > member.incarnation:
            self._alive_known(member, news, address, now)
        elif news.incarnation == member.incarnation and address != member.address and not member.gone:
            self._conflict(member, address)

    def _alive_new(self, news: Alive, address: Address, now: float) -> None:
        tombstone = self._tombstones.get(news.name)
        if tombstone is not None and news.incarnation <= tombstone.incarnation:
            # It does not know that it was given up, and cannot ask about what nobody lists any more.
            self._told.append((address, Dead(news.name, tombstone.incarnation, self.own.name)))
            return
        if len(self._members) >= MEMBERS_MAX:
            return
        self._tombstones.pop(news.name, None)
        member = Member(news.name, address, dict(news.tags), news.incarnation, changed_at=now)
        self._members[news.name] = member
        self._news.append(news)
        self.note(Event.JOIN, member)
        intent = self._intents.pop(news.name, None)
        if isinstance(intent, LeaveIntent):
            self.leave_intent(intent, now)
        elif intent is not None:
            self.join_intent(intent)

    def _alive_known(self, member: Member, news: Alive, address: Address, now: float) -> None:
        same_server = news.tags.get("id") == member.tags.get("id")
        if address != member.address and not member.gone and not same_server:
            self._conflict(member, address)
            return
        was_gone, was_failed, away = member.gone, member.state is State.DEAD, now - member.changed_at
        changed = address != member.address or dict(news.tags) != member.tags
        member.incarnation, member.address, member.tags = news.incarnation, address, dict(news.tags)
        member.suspicion = None
        if member.state is not State.ALIVE:
            member.state, member.changed_at = State.ALIVE, now
        self._news.append(news)
        if was_gone:
            member.leaving = False
            self.note(Event.JOIN, member)
            if was_failed and away < FLAP_SECONDS:
                self.note(Event.FLAP, member)
        elif changed:
            self.note(Event.UPDATE, member)

    def _alive_self(self, news: Alive, address: Address) -> None:
        own = self.own
        if self.left or news.incarnation < own.incarnation:
            return
        if address != own.address and news.tags.get("id") != own.tags.get("id"):
            self._conflict(own, address)
        elif news.incarnation > own.incarnation or address != own.address or dict(news.tags) != own.tags:
            self._refute(news.incarnation, "")  # somebody knows a former life of this member

    def suspect(self, news: Suspect, now: float) -> None:
        """Take in that *news.sender* doubts whether a member lives."""
        member = self._members.get(news.name)
        if member is None or news.incarnation < member.incarnation or member.gone:
            return
        if member is self.own:
            self._refute(news.incarnation, news.sender)
            return
        if member.suspicion is not None:
            if member.suspicion.confirm(news.sender):
                self._news.append(news)
            return
        member.incarnation = max(member.incarnation, news.incarnation)
        member.state, member.changed_at = State.SUSPECT, now
        member.suspicion = suspicion_of(self._timings_of(member), self.live_count(member), news.sender, now)
        self._news.append(news)
        self.note(Event.SUSPECTED, member, news.sender)

    def dead(self, news: Dead, now: float) -> None:
        """Take in that a member was given up: one that said that it leaves has left, any other has failed."""
        member = self._members.get(news.name)
        if member is None or news.incarnation < member.incarnation or member.gone:
            return
        if member is self.own:
            self._refute(news.incarnation, news.sender)
            return
        member.incarnation, member.changed_at, member.suspicion = news.incarnation, now, None
        member.state = State.LEFT if member.leaving else State.DEAD
        self._news.append(news)
        self.note(Event.LEFT if member.leaving else Event.FAILED, member, news.sender)

    def departed(self, news: Left, now: float) -> None:
        """Take in that a member went of its own will."""
        member = self._members.get(news.name)
        if member is None or news.incarnation < member.incarnation or member.state is State.LEFT:
            return
        if member is self.own:
            self._refute(news.incarnation, "")
            return
        member.incarnation, member.changed_at, member.suspicion = news.incarnation, now, None
        member.state = State.LEFT
        self._news.append(news)
        self.note(Event.LEFT, member)

    def expire_suspicions(self, now: float) -> None:
        """Give up every member that was doubted for long enough."""
        for member, deadline in self._doubts():
            if deadline <= now:
                self.dead(Dead(member.name, member.incarnation, self.own.name), now)

    def next_suspicion(self) -> float:
        """Return when the next doubt may end; infinity without one."""
        return min((deadline for _, deadline in self._doubts()), default=float("inf"))

    def postpone(self, seconds: float) -> None:
        """Lengthen every doubt by *seconds*, in which this member itself was away and could hear nothing."""
        for member in self._members.values():
            if member.suspicion is not None:
                member.suspicion.postpone(seconds)

    # --- intents --------------------------------------------------------------------------------------------------

    def join_intent(self, news: JoinIntent) -> None:
        """Take in that a member means to be one."""
        self.witness(news.time)
        member = self._members.get(news.name)
        if member is None:
            self._keep(news)
        elif news.time > member.intent_time and member is not self.own:
            member.intent_time = news.time
            if not member.gone:
                member.leaving = False
            self._news.append(news)

    def leave_intent(self, news: LeaveIntent, now: float) -> None:
        """Take in that a member is about to leave, or that an operator says that a failed one left."""
        self.witness(news.time)
        member = self._members.get(news.name)
        if member is None:
            self._keep(news)
            return
        if news.time <= member.intent_time:
            return
        if member is self.own:
            if not self.own.leaving:
                self.announce()
            return
        member.intent_time = news.time
        self._news.append(news)
        if member.state is State.DEAD:
            member.state, member.changed_at = State.LEFT, now
            self.note(Event.LEFT, member)
        elif not member.gone and not member.leaving:
            member.leaving = True
            self.note(Event.LEAVING, member)
        if news.prune and member.gone:
            self._bury(member, now)

    def announce(self) -> None:
        """Say that this member means to be one, later than any leave that it has heard of."""
        self.own.intent_time = self._tick()
        self._news.append(JoinIntent(self.own.name, self.own.intent_time))

    def say_leaving(self, name: str, now: float, *, prune: bool = False) -> bool:
        """Say that a member leaves: this one, or another that an operator calls gone. Return whether it is known."""
        member = self._members.get(name)
        if member is None:
            return False
        if member is self.own:
            member.leaving, member.intent_time = True, self._tick()
            self._news.append(LeaveIntent(name, member.intent_time, prune=False))
            self.note(Event.LEAVING, member)
        else:
            self.leave_intent(LeaveIntent(name, self._tick(), prune), now)
        return True

    def say_left(self, now: float) -> None:
        """Say that this member has left."""
        self.left = True
        self.own.state, self.own.changed_at = State.LEFT, now
        self._news.append(Left(self.own.name, self.own.incarnation))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Change the tags of this member, which begins a new incarnation."""
        if dict(tags) != self.own.tags:
            self.own.tags = dict(tags)
            self.own.incarnation += 1
            self._news.append(self.own.alive_message())

    def witness(self, time: int) -> None:
        """Put the clock beyond *time*."""
        self.clock = max(self.clock, time + 1)

    def _tick(self) -> int:
        time, self.clock = self.clock, self.clock + 1
        return time

    def _keep(self, intent: JoinIntent | LeaveIntent) -> None:
        known = self._intents.get(intent.name)
        if known is not None and known.time >= intent.time:
            return
        if len(self._intents) >= INTENTS_MAX and known is None:
            del self._intents[next(iter(self._intents))]
        self._intents[intent.name] = intent

    # --- full exchanges -------------------------------------------------------------------------------------------

    def states(self, now: float) -> list[MemberState]:
        """Return all members for a full exchange."""
        return [
            MemberState(
                member.name, member.address.host, member.address.port, member.incarnation, dict(member.tags),
                int(member.state), member.leaving, member.intent_time, min(1e9, max(0.0, now - member.changed_at)),
            )
            for member in self.listed()
        ]  # fmt: skip

    def merge(self, state: MemberState, sender: str, now: float) -> None:
        """Take in what another knows of a member.

        A death is taken for a doubt, so that one who lives can object; whoever is not known here is taken over as is.
        """
        known = self._members.get(state.name)
        if state.state == State.LEFT:
            self.departed(Left(state.name, state.incarnation), now)
        elif state.state == State.ALIVE or (known is None and state.state == State.SUSPECT):
            self.alive(Alive(state.name, state.host, state.port, state.incarnation, state.tags), now)
        else:
            self.suspect(Suspect(state.name, state.incarnation, sender), now)
        if known is None and state.state >= State.DEAD:
            self._adopt(state, now)
        elif state.leaving and state.state < State.DEAD:
            self.leave_intent(LeaveIntent(state.name, state.intent_time, prune=False), now)
        elif state.state == State.ALIVE:
            self.join_intent(JoinIntent(state.name, state.intent_time))

    def _adopt(self, state: MemberState, now: float) -> None:
        """List one that failed or left before this member came."""
        tombstone = self._tombstones.get(state.name)
        buried = tombstone is not None and state.incarnation <= tombstone.incarnation
        if buried or len(self._members) >= MEMBERS_MAX or state.age_seconds >= REAP_SECONDS:
            return
        self.witness(state.intent_time)
        adopted = self._members[state.name] = Member(
            state.name, Address(state.host, state.port), dict(state.tags), state.incarnation, State(state.state),
            intent_time=state.intent_time, changed_at=now - state.age_seconds,
        )  # fmt: skip
        self._adopted.append(adopted)

    # --- forgetting -----------------------------------------------------------------------------------------------

    def reap(self, now: float) -> None:
        """Forget members that have been gone for long, and graves that nobody can remember any more."""
        for member in self.listed():
            if member is not self.own and member.gone and now - member.changed_at >= REAP_SECONDS:
                self._bury(member, now)
        for name in [name for name, stone in self._tombstones.items() if stone.until <= now]:
            del self._tombstones[name]

    def _bury(self, member: Member, now: float) -> None:
        del self._members[member.name]
        while len(self._tombstones) >= TOMBSTONES_MAX:
            del self._tombstones[next(iter(self._tombstones))]
        self._tombstones[member.name] = _Tombstone(member.incarnation, now + REAP_SECONDS)
        self.note(Event.REAP, member)

    # --- helpers --------------------------------------------------------------------------------------------------

    def _refute(self, incarnation: int, by: str) -> None:
        if self.left:
            return
        self.refutations += 1
        self.own.incarnation = max(self.own.incarnation, incarnation) + 1
        self._news.append(self.own.alive_message())
        self.note(Event.REFUTED, self.own, by)

    def _conflict(self, member: Member, address: Address) -> None:
        self.note(Event.CONFLICT, member, f"{address.host}:{address.port}")

    def note(self, event: Event, member: Member, by: str = "") -> None:
        """Add to the changes."""
        self._changes.append(Change(event, member.view(), by))

    def check_invariants(self) -> None:
        """Assert what must hold between calls."""
        assert self._members[self.own.name] is self.own, "the own member is listed"
        for name, member in self._members.items():
            assert name == member.name, f"{name} is listed as {member.name}"
            assert (member.suspicion is not None) == (member.state is State.SUSPECT), f"{name}: {member.state}"
            assert member.intent_time < self.clock or member.intent_time == 0, f"{name}: an intent of the future"
        assert not self.own.suspicion, "nobody doubts itself"

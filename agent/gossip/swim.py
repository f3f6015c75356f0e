"""The gossip of one member: probes, doubt, news and full exchanges, as a state machine in step form. Pure.

Packets, streams and the passing of time come in, effects go out; the shell carries them out. Payloads are plain here:
the shell encrypts, and hands in only what it could authenticate. Whatever cannot be decoded is counted and dropped.
"""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from agent.gossip import wire
from agent.gossip.circle import Circle
from agent.gossip.effects import Departed, Effect, Exchanged, OpenStream, SendPacket
from agent.gossip.members import Event, Member, Membership, MemberView, State
from agent.gossip.probes import Awareness, Probe, Probes, Relay
from agent.gossip.timings import LAN, WAN, Timings
from agent.gossip.wire import Address, PacketMessage
from telemetry.catalogue import memberlist, serf
from telemetry.recorder import Recorder

TICK_SECONDS_MAX = 0.25
"""The shell ticks at least this often, so that a longer silence is known to be its own."""

AWAY_SECONDS = 0.75
"""A silence longer than this was a pause of this process: what ran out meanwhile is not the others' fault."""

HOUSEKEEPING_SECONDS = 30.0
"""Between two looks for failed members to reconnect to, old ones to forget, and depths of queues. Source: serf's
`ReconnectInterval`, and the pace at which a real Nomad sets nomad_serf_queue_*."""

LEAVING_SECONDS = 0.3
"""Between the word that this member leaves and the word that it has left: the first must be everywhere before."""

DEPARTING_SECONDS = 0.4
"""How long this member spreads that it has left: two rounds of gossip."""

TOLD_DIRECTLY_MAX = 64
"""Members that hear from a leaving one itself; of more, gossip tells the rest."""

NACK_SHARE = 0.8
"""The share of the probe's patience after which a helper says that it got no answer either: the word must be in time."""

EXCHANGES_MAX = 64

HEARD_MAX = 2048
"""Addresses of which it is known when they were last heard."""


@dataclass(frozen=True, slots=True)
class SwimSettings:
    """Who this member is; `incarnation` is greater than in any former life. `near` are the timings of its region."""

    name: str
    address: Address
    tags: Mapping[str, str]
    region: str
    incarnation: int = 1
    near: Timings = LAN
    far: Timings = WAN
    payload_bytes_max: int = wire.PACKET_BYTES_MAX


@dataclass(frozen=True, slots=True)
class _Exchange:
    """A stream under way: a full exchange, of which a caller may want to know the end, or the probe of *sequence*."""

    to: Address
    began_at: float
    asked: bool = False
    sequence: int | None = None


class Swim:
    """One member. Every method that takes *now* returns what is to be done; *now* never goes back."""

    def __init__(self, settings: SwimSettings, rng: random.Random, recorder: Recorder, now: float) -> None:
        self._settings = settings
        self._rng = rng
        self._recorder = recorder
        own = Member(settings.name, settings.address, dict(settings.tags), settings.incarnation, changed_at=now)
        self.members = Membership(own, self._timings_of)
        self._near = Circle(settings.near, rng, now)
        self._far = Circle(settings.far, rng, now)
        self._probes = Probes()
        self.awareness = Awareness()
        self._heard: dict[Address, float] = {}
        self._exchanges: dict[int, _Exchange] = {}
        self._effects: list[Effect] = []
        self._now = now
        self._housekeeping_due = now + rng.uniform(0.5, 1.0) * HOUSEKEEPING_SECONDS
        self._say_left_at = math.inf
        self._departed_at = math.inf
        self._refutations = 0
        self.undecodable = 0
        """Packets and streams that held no message of this protocol."""
        self.rounds = 0
        """Rounds of gossip."""
        self.members.note(Event.JOIN, own)

    # --- asking ---------------------------------------------------------------------------------------------------

    @property
    def leaving(self) -> bool:
        """Whether this member leaves or has left."""
        return self.members.own.leaving

    def listed(self) -> list[MemberView]:
        """Return all members by name, this one included."""
        return [member.view() for member in self.members.listed()]

    def next_deadline(self) -> float:
        """Return when `on_tick` has something to do; never further away than TICK_SECONDS_MAX."""
        left = self.members.left
        own = math.inf if left else min(self._probes.next_deadline(), self.members.next_suspicion())
        circles = min(circle.next_deadline(left=left) for circle in (self._near, self._far))
        return min(
            self._now + TICK_SECONDS_MAX, circles, own, self._housekeeping_due, self._say_left_at, self._departed_at
        )

    # --- what comes in --------------------------------------------------------------------------------------------

    def on_packet(self, source: Address, payload: bytes, now: float) -> list[Effect]:
        """Take in a packet that *source* sent."""
        self._advance(now)
        try:
            messages = wire.decode_packet(payload)
        except wire.WireError:
            self.undecodable += 1
            return self._taken()
        if len(self._heard) >= HEARD_MAX:
            self._heard.clear()
        self._heard[source] = self._now
        for message in messages:
            self._on_message(source, message)
        return self._taken()

    def on_stream(self, payload: bytes, now: float) -> tuple[bytes | None, list[Effect]]:
        """Take in what a stream brought that another member opened; return the answer to send back, if any."""
        self._advance(now)
        answer = None
        try:
            message = wire.decode_stream(payload)
        except wire.WireError:
            self.undecodable += 1
            return None, self._taken()
        if self.members.left:
            return None, self._taken()
        if isinstance(message, wire.Ping):
            answer = wire.encode(wire.Ack(message.sequence)) if message.target == self._settings.name else None
        elif isinstance(message, wire.PushPull) and not message.answer:
            # The answer says what this member knew before: the sender has the rest already.
            answer = self._state(message.token, answer=True)
            self._merge(message)
        return answer, self._taken()

    def on_answer(self, token: int, payload: bytes, now: float) -> list[Effect]:
        """Take in the answer to the stream of *token*."""
        self._advance(now)
        exchange = self._exchanges.pop(token, None)
        if exchange is None:
            return self._taken()
        try:
            message = wire.decode_stream(payload)
        except wire.WireError as error:
            self.undecodable += 1
            return self._ended(exchange, token, str(error))
        if isinstance(message, wire.PushPull) and message.answer and message.token == token:
            self._recorder.observe(memberlist.PUSH_PULL_NODE, (now - exchange.began_at) * 1000)
            self._merge(message)
            if exchange.asked:
                self.members.announce()
            return self._ended(exchange, token, "")
        if isinstance(message, wire.Ack) and exchange.sequence == message.sequence:
            self._on_stream_ack(exchange.sequence)
            return self._taken()
        return self._ended(exchange, token, "it gave another answer than was asked for")

    def on_stream_failed(self, token: int, reason: str, now: float) -> list[Effect]:
        """Take in that the stream of *token* brought no answer."""
        self._advance(now)
        exchange = self._exchanges.pop(token, None)
        return self._taken() if exchange is None else self._ended(exchange, token, reason)

    def on_tick(self, now: float) -> list[Effect]:
        """Do what is due."""
        self._advance(now)
        if not self.members.left:
            self._go_on_probing()
            self.members.expire_suspicions(now)
            for circle in (self._near, self._far):
                self._probe_some(circle)
                self._push_pull_one(circle)
        for circle in (self._near, self._far):
            self._gossip(circle)
        if now >= self._housekeeping_due:
            self._housekeeping_due = now + HOUSEKEEPING_SECONDS
            self._keep_house()
        self._go_on_leaving()
        return self._taken()

    # --- what an operator asks ------------------------------------------------------------------------------------

    def join(self, address: Address, now: float) -> tuple[int, list[Effect]]:
        """Exchange everything with *address*; return the token under which `Exchanged` will tell the end."""
        self._advance(now)
        token = self._exchange(address, asked=True)
        return token, self._taken()

    def leave(self, now: float) -> list[Effect]:
        """Leave of this member's own will; `Departed` comes when it is done."""
        self._advance(now)
        if not self.leaving:
            self.members.say_leaving(self._settings.name, now)
            alone = not self._near.live_count + self._far.live_count
            self._say_left_at = now + (0.0 if alone else LEAVING_SECONDS)
            self._spread()
            self._tell_all()
        return self._taken()

    def force_leave(self, name: str, now: float, *, prune: bool = False) -> tuple[bool, list[Effect]]:
        """Say that *name*, which failed, has left, and with *prune* that it is to be forgotten; return if it is known.

        A member that lives objects, and stays.
        """
        self._advance(now)
        known = name != self._settings.name and self.members.say_leaving(name, now, prune=prune)
        return known, self._taken()

    def set_tags(self, tags: Mapping[str, str], now: float) -> list[Effect]:
        """Change what this member says of itself."""
        self._advance(now)
        self.members.set_tags(tags)
        return self._taken()

    # --- messages -------------------------------------------------------------------------------------------------

    def _on_message(self, source: Address, message: PacketMessage) -> None:
        now, members = self._now, self.members
        match message:
            case wire.Ping():
                self._on_ping(source, message)
            case wire.PingRequest():
                self._on_ping_request(source, message)
            case wire.Ack():
                self._on_ack(message.sequence)
            case wire.Nack():
                if (probe := self._probes.own.get(message.sequence)) is not None:
                    probe.nacks += 1
            case wire.Alive():
                members.alive(message, now)
            case wire.Suspect():
                members.suspect(message, now)
            case wire.Dead():
                members.dead(message, now)
            case wire.Left():
                members.departed(message, now)
            case wire.JoinIntent():
                self._recorder.observe(serf.MSGS_RECEIVED, float(len(wire.encode(message))))
                members.join_intent(message)
            case wire.LeaveIntent():
                self._recorder.observe(serf.MSGS_RECEIVED, float(len(wire.encode(message))))
                members.leave_intent(message, now)
            case _:
                assert_never(message)

    def _on_ping(self, source: Address, ping: wire.Ping) -> None:
        if ping.target != self._settings.name or self.members.left:
            return
        messages: list[PacketMessage] = [wire.Ack(ping.sequence)]
        sender = self.members.get(ping.sender)
        if sender is None or sender.address.host != source.host:
            # An answer that is longer than the question only for those that are known: no amplifier for others.
            self._send(source, messages)
            return
        if sender.gone:
            messages.append(self._verdict(sender))
        self._send(source, messages, self._circle_of(sender))

    def _on_ping_request(self, source: Address, request: wire.PingRequest) -> None:
        target = self.members.get(request.target)
        if target is None or target is self.members.own or self.members.left:
            return
        sequence = self._new_sequence()
        patience = self._timings_of(target).probe_timeout_seconds * NACK_SHARE
        if self._probes.relay(sequence, Relay(source, request.sequence, self._now + patience)):
            self._send(target.address, [wire.Ping(sequence, target.name, self._settings.name)])

    def _on_ack(self, sequence: int) -> None:
        if (relay := self._probes.relays.pop(sequence, None)) is not None:
            self._send(relay.origin, [wire.Ack(relay.sequence)])
        elif (probe := self._probes.own.pop(sequence, None)) is not None:
            self._recorder.observe(memberlist.PROBE_NODE, (self._now - probe.began_at) * 1000)
            self._keep_up(-1)

    def _on_stream_ack(self, sequence: int) -> None:
        probe = self._probes.own.pop(sequence, None)
        member = self.members.get(probe.target) if probe is not None else None
        if probe is not None and member is not None:
            self._recorder.observe(memberlist.PROBE_NODE, (self._now - probe.began_at) * 1000)
            self.members.note(Event.NO_PACKETS, member)

    # --- probing --------------------------------------------------------------------------------------------------

    def _probe_some(self, circle: Circle) -> None:
        if self._now < circle.probe_due:
            return
        circle.probe_due = _next(circle.probe_due, circle.timings.probe_interval_seconds, self._now)
        for member in circle.to_probe():
            sequence, timings = self._new_sequence(), circle.timings
            if self.awareness.score:
                self._recorder.add(memberlist.DEGRADED_PROBE)
            self._probes.own[sequence] = Probe(
                member.name,
                self._now,
                self._now + self.awareness.stretch(timings.probe_timeout_seconds),
                self._now + self.awareness.stretch(timings.probe_interval_seconds),
            )
            messages: list[PacketMessage] = [wire.Ping(sequence, member.name, self._settings.name)]
            if member.state is State.SUSPECT:
                # It must hear of the doubt to object, and this may be the packet that reaches it.
                messages.append(wire.Suspect(member.name, member.incarnation, self._settings.name))
            self._send(member.address, messages, circle)

    def _go_on_probing(self) -> None:
        for sequence, probe in self._probes.unasked(self._now):
            self._ask_others(sequence, probe)
        for relay in self._probes.unanswered(self._now):
            self._send(relay.origin, [wire.Nack(relay.sequence)])
        for _, probe in self._probes.overdue(self._now):
            self._recorder.observe(memberlist.PROBE_NODE, (self._now - probe.began_at) * 1000)
            member = self.members.get(probe.target)
            # A helper that is there, but whose word that it got no answer did not arrive, speaks against this member.
            there = sum(self._heard.get(helper, -math.inf) >= probe.ask_at for helper in probe.helpers)
            self._keep_up(max(0, there - probe.nacks))
            if member is not None:
                self.members.suspect(wire.Suspect(member.name, member.incarnation, self._settings.name), self._now)

    def _ask_others(self, sequence: int, probe: Probe) -> None:
        probe.asked = True
        target = self.members.get(probe.target)
        if target is None:
            return
        circle = self._circle_of(target)
        others = [member for member in circle.live() if member is not target and member.state is State.ALIVE]
        helpers = self._rng.sample(others, min(len(others), circle.timings.indirect_probes))
        probe.helpers = tuple(helper.address for helper in helpers)
        for helper in helpers:
            self._send(helper.address, [wire.PingRequest(sequence, target.name, self._settings.name)])
        payload = wire.encode(wire.Ping(sequence, target.name, self._settings.name))
        self._open(target.address, payload, self._new_sequence(), probe.deadline - self._now, sequence=sequence)

    def _keep_up(self, steps: int) -> None:
        if self.awareness.add(steps):
            self._recorder.set(memberlist.HEALTH_SCORE, float(self.awareness.score))

    # --- news -----------------------------------------------------------------------------------------------------

    def _gossip(self, circle: Circle) -> None:
        if self._now < circle.gossip_due:
            return
        circle.gossip_due = _next(circle.gossip_due, circle.timings.gossip_interval_seconds, self._now)
        self.rounds += 1
        if not len(circle.queue):
            return
        for member in circle.to_tell(self._now):
            first = [self._verdict(member)] if member.gone else []
            self._send(member.address, first, circle)

    def _tell_all(self) -> None:
        """Send the news to each neighbour at once: a member that leaves has no time for gossip."""
        for circle in (self._near, self._far):
            for member in circle.live()[:TOLD_DIRECTLY_MAX]:
                own = self.members.own
                message: PacketMessage = wire.LeaveIntent(own.name, own.intent_time, prune=False)
                if self.members.left:
                    message = wire.Left(own.name, own.incarnation)
                self._send(member.address, [message], circle)

    def _go_on_leaving(self) -> None:
        if self._now >= self._say_left_at:
            self._say_left_at = math.inf
            alone = not self._near.live_count + self._far.live_count
            self._departed_at = self._now + (0.0 if alone else DEPARTING_SECONDS)
            self.members.say_left(self._now)
            self._spread()
            self._tell_all()
        if self._now >= self._departed_at:
            self._departed_at = math.inf
            self._effects.append(Departed())

    def _verdict(self, member: Member) -> PacketMessage:
        """The news that made *member* one of the gone: if it lives, it will object."""
        if member.state is State.LEFT:
            return wire.Left(member.name, member.incarnation)
        return wire.Dead(member.name, member.incarnation, self._settings.name)

    # --- full exchanges -------------------------------------------------------------------------------------------

    def _push_pull_one(self, circle: Circle) -> None:
        if self._now < circle.push_pull_due:
            return
        interval = circle.timings.push_pull_interval_seconds
        circle.push_pull_due = self._now + self._rng.uniform(0.9, 1.1) * interval
        live = circle.live()
        if live:
            self._exchange(self._rng.choice(live).address, timings=circle.timings)

    def _exchange(self, to: Address, *, asked: bool = False, timings: Timings = LAN) -> int:
        token = self._new_sequence()
        self._open(to, self._state(token, answer=False), token, timings.stream_timeout_seconds, asked=asked)
        return token

    def _open(
        self,
        to: Address,
        payload: bytes,
        token: int,
        timeout: float,
        *,
        asked: bool = False,
        sequence: int | None = None,
    ) -> None:
        if len(self._exchanges) >= EXCHANGES_MAX:
            if asked:
                self._effects.append(Exchanged(token, "too many exchanges are under way"))
            return
        self._exchanges[token] = _Exchange(to, self._now, asked, sequence)
        self._effects.append(OpenStream(to, payload, token, timeout))

    def _state(self, token: int, *, answer: bool) -> bytes:
        members = self.members
        states = members.states(self._now)
        payload = wire.encode(wire.PushPull(token, self._settings.name, answer, members.clock, states))
        self._recorder.set(memberlist.SIZE_LOCAL, float(len(payload)))
        counts = dict.fromkeys(_NODE_STATES, 0)
        for state in states:
            counts[_NODE_STATES[state.state]] += 1
        for word, number in counts.items():
            self._recorder.set(memberlist.NODE_INSTANCES, float(number), (word,))
        return payload

    def _merge(self, message: wire.PushPull) -> None:
        self.members.witness(message.time)
        for state in message.members:
            self.members.merge(state, message.sender, self._now)

    def _ended(self, exchange: _Exchange, token: int, error: str) -> list[Effect]:
        if exchange.asked:
            self._effects.append(Exchanged(token, error))
        return self._taken()

    # --- housekeeping ---------------------------------------------------------------------------------------------

    def _keep_house(self) -> None:
        self.members.reap(self._now)
        queued = len(self._near.queue) + len(self._far.queue)
        intents = self._near.queue.count("intent:") + self._far.queue.count("intent:")
        self._recorder.observe(memberlist.QUEUE_BROADCASTS, float(queued))
        self._recorder.observe(serf.QUEUE_INTENT, float(intents))
        if self.leaving:
            return
        for circle in (self._near, self._far):
            failed = circle.failed()
            # All members together ask for about one failed one each.
            if failed and self._rng.random() * (1 + circle.live_count) < len(failed):
                self._exchange(self._rng.choice(failed).address, timings=circle.timings)

    def _advance(self, now: float) -> None:
        silent = now - self._now
        self._now = max(now, self._now)
        if silent > AWAY_SECONDS:
            self.members.postpone(silent)
            self._probes.postpone(silent)
            self._keep_up(1)

    def _taken(self) -> list[Effect]:
        self._spread()
        effects, self._effects = self._effects, []
        return effects

    def _spread(self) -> None:
        """Turn what the list of members has to say into effects, queued news and series."""
        changes, news, told = self.members.drain()
        for change in changes:
            self._effects.append(change)
            if (metric := _COUNTED.get(change.event)) is not None:
                self._recorder.add(metric)
            member = self.members.get(change.member.name)
            if change.event is Event.REAP:
                self._near.remove(change.member.name)
                self._far.remove(change.member.name)
            elif change.event in {Event.JOIN, Event.UPDATE} and member is not None:
                self._place(member)
            elif change.event in _DEATHS:
                self._recorder.add(memberlist.MSG_DEAD)
        for member in self.members.adopted():
            if self.members.get(member.name) is member:
                self._place(member)
        if self.members.refutations > self._refutations:
            self._keep_up(self.members.refutations - self._refutations)
            self._refutations = self.members.refutations
        for message in news:
            if isinstance(message, wire.Alive):
                self._recorder.add(memberlist.MSG_ALIVE)
            for circle in (self._near, self._far):
                circle.put(message)
        for address, message in told:
            self._send(address, [message])

    def _place(self, member: Member) -> None:
        """Take *member* into its circle, unless it is this one."""
        if member is not self.members.own:
            circle = self._circle_of(member)
            (self._far if circle is self._near else self._near).remove(member.name)
            circle.add(member)

    # --- sending --------------------------------------------------------------------------------------------------

    def _send(self, to: Address, messages: list[PacketMessage], circle: Circle | None = None) -> None:
        """Send *messages*, and with a *circle* as many of its news as fit beside them."""
        encoded = [wire.encode(message) for message in messages]
        if circle is not None:
            budget = self._settings.payload_bytes_max - wire.PACKET_HEADER_BYTES - sum(map(len, encoded))
            for subject, payload in circle.queue.take(budget, 1 + circle.live_count):
                encoded.append(payload)
                if subject.startswith("intent:"):
                    self._recorder.observe(serf.MSGS_SENT, float(len(payload)))
        if encoded:
            self._effects.append(SendPacket(to, wire.join(encoded)))

    def _timings_of(self, member: Member) -> Timings:
        same_region = member.tags.get("region", self._settings.region) == self._settings.region
        return self._settings.near if same_region else self._settings.far

    def _circle_of(self, member: Member) -> Circle:
        return self._near if self._timings_of(member) is self._settings.near else self._far

    def _new_sequence(self) -> int:
        return self._rng.getrandbits(61)

    def check_invariants(self) -> None:
        """Assert what must hold between calls."""
        self.members.check_invariants()
        names = {member.name for member in self.members.listed()} - {self._settings.name}
        assert names == self._near.names | self._far.names, "every member is a neighbour"
        assert not self._near.names & self._far.names, "a neighbour is near or far"
        assert len(self._exchanges) <= EXCHANGES_MAX, "too many exchanges"


_NODE_STATES = ("alive", "suspect", "dead", "left")

_COUNTED = {
    Event.JOIN: serf.MEMBER_JOIN,
    Event.LEFT: serf.MEMBER_LEFT,
    Event.FAILED: serf.MEMBER_FAILED,
    Event.FLAP: serf.MEMBER_FLAP,
    Event.UPDATE: serf.MEMBER_UPDATE,
    Event.SUSPECTED: memberlist.MSG_SUSPECT,
}

_DEATHS = frozenset({Event.LEFT, Event.FAILED})


def _next(due: float, interval: float, now: float) -> float:
    """Return the next time of a rhythm; what was missed while away is not made up for."""
    return due + interval if due + interval > now else now + interval

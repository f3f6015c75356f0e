"""A network of gossiping members in virtual time: real state machines, and packets that are lost, late or doubled."""

import heapq
import itertools
import random
from collections import defaultdict

from agent.gossip.effects import Departed, Exchanged, OpenStream, SendPacket
from agent.gossip.members import Change, Event, Status
from agent.gossip.swim import Swim, SwimSettings
from agent.gossip.timings import LAN, WAN
from agent.gossip.wire import PACKET_BYTES_MAX, Address

LATENCY_SECONDS = (0.0005, 0.005)
BOOT_INCARNATION = 1_800_000_000


class Recorded:
    """A recorder that adds up."""

    def __init__(self):
        self.counts = defaultdict(float)
        self.gauges = {}
        self.samples = defaultdict(list)

    def add(self, metric, amount=1.0, labels=(), expansion=""):
        self.counts[metric.name] += amount

    def set(self, metric, value, labels=(), expansion=""):
        self.gauges[metric.name, *labels] = value

    def observe(self, metric, value, labels=(), expansion=""):
        self.samples[metric.name].append(value)


class GossipWorld:
    """Members m1, m2 ... of one region unless told otherwise; one seed decides everything."""

    def __init__(self, seed, size=0, loss=0.0, near=LAN, far=WAN):
        self.seed, self.loss, self.near, self.far = seed, loss, near, far
        self.rng = random.Random(f"world:{seed}")
        self.now = 0.0
        self.members, self.addresses, self.recorded = {}, {}, {}
        self.events, self.exchanged, self.departed = [], {}, {}
        self.paused, self.cut, self._held = set(), set(), defaultdict(list)
        self._boots = defaultdict(int)
        self._later, self._numbers = [], itertools.count()
        self._ticks = {}
        self._spins, self._spun_at = 0, -1.0
        self.highest_incarnation = defaultdict(int)
        for number in range(size):
            self.start(f"m{number + 1}")

    # Members.

    def start(self, name, region="global", tags=None, incarnation=None, address=None):
        """Start a member, anew if it was there before, and return its state machine."""
        number = int(name.lstrip("m"))
        address = address or self.addresses.get(name) or Address(f"10.0.{number // 250}.{number % 250 + 1}", 4648)
        self._boots[name] += 1
        rng = random.Random(f"{self.seed}:{name}:{self._boots[name]}")
        if incarnation is None:
            incarnation = BOOT_INCARNATION + int(self.now)
        settings = SwimSettings(
            name,
            address,
            {"region": region, "id": f"id-{name}", **(tags or {})},
            region,
            incarnation,
            self.near,
            self.far,
        )
        self.recorded[name] = Recorded()
        self.addresses[name] = address
        self.members[name] = Swim(settings, rng, self.recorded[name], self.now)
        self._ticks[name] = self.now
        return self.members[name]

    def kill(self, name):
        del self.members[name]
        self.paused.discard(name)
        self._held.pop(name, None)

    def pause(self, name):
        self.paused.add(name)

    def resume(self, name):
        self.paused.discard(name)
        for action in self._held.pop(name, []):
            self._at(self.now, action)

    def separate(self, left, right):
        self.cut |= {(a, b) for a in left for b in right} | {(b, a) for a in left for b in right}

    def heal(self):
        self.cut.clear()

    def join(self, name, other):
        token, effects = self.members[name].join(self.addresses[other], self.now)
        self._carry_out(name, effects)
        return token

    def join_all(self):
        """Let every member join the first one, and give the news time to get around."""
        first, *others = self.members
        for name in others:
            self.join(name, first)
        self.run(3.0)

    def leave(self, name):
        self._carry_out(name, self.members[name].leave(self.now))

    def force_leave(self, name, gone, prune=False):
        known, effects = self.members[name].force_leave(gone, self.now, prune=prune)
        self._carry_out(name, effects)
        return known

    def send(self, source, to, payload):
        """Deliver *payload* to the member *to* as if from the address *source*."""
        self._carry_out(to, self.members[to].on_packet(source, payload, self.now))

    # Asking.

    def statuses(self, name):
        return {view.name: view.status for view in self.members[name].listed()}

    def told(self, event, about, by=None):
        """Return (time, member) of each time that a member saw *event* happen to *about*."""
        return [
            (when, who)
            for when, who, change in self.events
            if change.event is event and change.member.name == about and (by is None or who == by)
        ]

    def agreed(self, about, status, among=None):
        """Whether every member running sees *about* in *status*."""
        return all(self.statuses(name).get(about) is status for name in among or self.members if name != about)

    def false_failures(self):
        """Return who was called failed while it ran and was neither paused nor cut off."""
        return [
            (when, who, change.member.name)
            for when, who, change in self.events
            if change.event is Event.FAILED and change.member.name in self.members
        ]

    # Time.

    def run(self, seconds):
        self.run_until(lambda: False, seconds)

    def run_until(self, condition, seconds):
        """Let time pass until *condition* holds, for *seconds* at most; return the seconds that it took, or None."""
        began, end = self.now, self.now + seconds
        if condition():
            return 0.0
        while True:
            tick = min(((when, name) for name, when in self._ticks.items() if self._runs(name)), default=None)
            ready = self._later[0][0] if self._later else float("inf")
            due = min(ready, tick[0] if tick else float("inf"))
            if due > end:
                self.now = end
                return None
            self.now = max(self.now, due)
            if ready <= due:
                heapq.heappop(self._later)[2]()
            else:
                name = tick[1]
                self._carry_out(name, self.members[name].on_tick(self.now))
            if condition():
                return self.now - began

    def _runs(self, name):
        return name in self.members and name not in self.paused

    def _at(self, when, action):
        heapq.heappush(self._later, (when, next(self._numbers), action))

    def _carry_out(self, name, effects):
        swim = self.members[name]
        for effect in effects:
            match effect:
                case SendPacket():
                    assert len(effect.payload) <= PACKET_BYTES_MAX
                    self._packet(name, effect)
                case OpenStream():
                    self._stream(name, effect)
                case Exchanged():
                    self.exchanged[effect.token] = effect.error
                case Departed():
                    self.departed[name] = self.now
                case Change():
                    self._observed(name, effect)
        swim.check_invariants()
        due = swim.next_deadline()
        self._ticks[name] = max(self.now, due)
        self._spins = 0 if self.now > self._spun_at else self._spins + 1
        self._spun_at = self.now
        assert self._spins < 10_000, f"{name} does not wait"

    def _observed(self, name, change):
        self.events.append((self.now, name, change))
        key = name, change.member.name
        assert change.member.incarnation >= self.highest_incarnation[key] or change.member.name == name
        self.highest_incarnation[key] = change.member.incarnation

    def _owner(self, address):
        return next((name for name in self.members if self.addresses[name] == address), None)

    def _latency(self):
        return self.rng.uniform(*LATENCY_SECONDS)

    def _packet(self, source, effect):
        target, origin = self._owner(effect.to), self.addresses[source]
        if target is None or (source, target) in self.cut or self.rng.random() < self.loss:
            return
        self._at(self.now + self._latency(), lambda: self._arrive(target, origin, effect.payload))

    def _arrive(self, target, origin, payload):
        if target in self.paused:
            self._held[target].append(lambda: self._arrive(target, origin, payload))
        elif target in self.members:
            self._carry_out(target, self.members[target].on_packet(origin, payload, self.now))

    def _stream(self, source, effect):
        opener = self.members[source]

        def failed(reason):
            if self.members.get(source) is opener and source not in self.paused:
                self._carry_out(source, opener.on_stream_failed(effect.token, reason, self.now))

        def arrive():
            target = self._owner(effect.to)
            if target is None:
                failed("connection refused")
            elif target in self.paused or (source, target) in self.cut or (target, source) in self.cut:
                self._at(self.now + effect.timeout_seconds, lambda: failed("no answer"))
            else:
                answer, effects = self.members[target].on_stream(effect.payload, self.now)
                self._carry_out(target, effects)
                if answer is None:
                    failed("closed without an answer")
                else:
                    self._at(self.now + self._latency(), lambda: back(answer))

        def back(answer):
            if self.members.get(source) is opener:
                self._carry_out(source, opener.on_answer(effect.token, answer, self.now))

        self._at(self.now + 2 * self._latency(), arrive)


def live(*names):
    return dict.fromkeys(names, Status.ALIVE)

"""Invariants of the list of members under any order of news, and bytes that nobody who means well would send."""

import random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.gossip import wire
from agent.gossip.members import Event, State, Status
from agent.gossip.swim import Swim, SwimSettings
from agent.gossip.wire import Address, Alive, Dead, JoinIntent, LeaveIntent, Left, Suspect
from tests.agent.gossip.gossip_world import GossipWorld, Recorded

NAMES = ("me", "a", "b", "c")
names = st.sampled_from(NAMES)
incarnations = st.integers(1, 6)
news = st.one_of(
    st.builds(Alive, names, st.just("10.0.0.9"), st.sampled_from([4648, 4649]), incarnations, st.just({"id": "x"})),
    st.builds(Suspect, names, incarnations, names),
    st.builds(Dead, names, incarnations, names),
    st.builds(Left, names, incarnations),
    st.builds(JoinIntent, names, st.integers(0, 8)),
    st.builds(LeaveIntent, names, st.integers(0, 8), st.booleans()),
)


def _member(seed=1):
    own = SwimSettings("me", Address("10.0.0.1", 4648), {"id": "me"}, "global", 3)
    return Swim(own, random.Random(seed), Recorded(), 0.0)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(news, st.floats(0, 3)), max_size=40))
def test_no_order_of_news_breaks_what_must_hold(sequence):
    """
    Incarnations never go back, who left is never called failed, and this member is always alive for itself.
    """
    swim, now = _member(), 0.0
    before = {}
    for message, pause in sequence:
        now += pause
        events = [
            *swim.on_packet(Address("10.0.0.9", 4648), wire.join([wire.encode(message)]), now),
            *swim.on_tick(now),
        ]
        swim.check_invariants()
        views = {view.name: view for view in swim.listed()}
        assert views["me"].status is Status.ALIVE
        for name, view in views.items():
            former = before.get(name)
            if former is not None:
                assert view.incarnation >= former.incarnation
                if former.status is Status.LEFT and view.status is not Status.LEFT:
                    assert view.incarnation > former.incarnation
        failed = [event.member.name for event in events if getattr(event, "event", None) is Event.FAILED]
        assert not [name for name in failed if name in before and before[name].status is Status.LEFT]
        before = views


@settings(deadline=None, max_examples=100)
@given(st.lists(news, max_size=12), st.randoms(use_true_random=False))
def test_incarnation_decides_whatever_the_order(messages, chance):
    """
    After an alive of a greater incarnation than all else, a member is alive, in whichever order the rest arrived.
    """
    swim = _member()
    chance.shuffle(messages)
    last = Alive("a", "10.0.0.9", 4648, 7, {"id": "x"})
    for message in [*messages, last]:
        swim.on_packet(Address("10.0.0.9", 4648), wire.join([wire.encode(message)]), 1.0)
    assert swim.members.get("a").state is State.ALIVE
    assert swim.members.get("a").incarnation == 7


def test_old_packets_that_are_sent_again_change_nothing_for_good():
    """
    Everything that was ever sent in a cluster, replayed in random order, leaves its members alive for each other.
    """
    world = GossipWorld(11, 3)
    kept = []
    world._arrive, arrive = lambda *packet: (kept.append(packet), arrive(*packet)), world._arrive
    world.join_all()
    world.pause("m2")
    world.run(5.0)
    world.resume("m2")
    world.run(3.0)
    world.leave("m3")
    world.run(2.0)
    world.kill("m3")
    world.start("m3")
    world.join("m3", "m1")
    world.run(2.0)
    old = list(kept)
    world.rng.shuffle(old)
    for target, origin, payload in old:
        world.send(origin, target, payload)
        world.run(0.001)
    world.run(30.0)
    assert all(world.agreed(name, Status.ALIVE) for name in world.members)


def test_thousands_of_mutated_packets_do_no_harm():
    """
    Packets and streams with bytes changed, cut, doubled or invented are dropped or taken, and nothing breaks.
    """
    world = GossipWorld(5, 3)
    kept = []
    world._arrive, arrive = lambda *packet: (kept.append(packet[2]), arrive(*packet)), world._arrive
    world.join_all()
    world.run(5.0)
    swim = world.members["m1"]
    streams = [swim._state(1, answer=False), swim._state(2, answer=True), wire.encode(wire.Ping(1, "m1", "m2"))]
    rng = random.Random(99)
    for _ in range(6000):
        payload = _mutated(rng.choice(kept), rng)
        swim.on_packet(Address("10.9.9.9", rng.randint(1, 65535)), payload, world.now)
        swim.on_stream(_mutated(rng.choice(streams), rng), world.now)
    swim.check_invariants()
    assert swim.undecodable > 6000
    assert len(swim.listed()) < 1100
    # What was invented may stand in the list, but the real members find each other again.
    world._carry_out("m1", [])
    world.run(20.0)
    assert all(world.statuses(name).get(other) is Status.ALIVE for name in world.members for other in world.members)


def test_huge_lengths_and_deep_nesting_cost_nothing():
    """
    Announced sizes are not believed, and nesting is refused.
    """
    swim = _member()
    for head in (
        b"\xdd\xff\xff\xff\xff",
        b"\x91\xdd\xff\xff\xff\xff",
        b"\x91\x95\x05\xdb\xff\xff\xff\xff",
        b"\x91" * 1300,
    ):
        swim.on_packet(Address("10.9.9.9", 1), head, 0.0)
        swim.on_stream(head, 0.0)
    swim.on_stream(b"\x91" * 900_000, 0.0)
    swim.on_packet(Address("10.9.9.9", 1), b"\x90" * 70_000, 0.0)
    assert swim.undecodable == 10
    assert [view.name for view in swim.listed()] == ["me"]


def test_a_flood_of_invented_members_is_bounded():
    """
    A hundred thousand names fill neither list nor queue.
    """
    swim = _member()
    for number in range(5000):
        alive = Alive(f"x{number}", "10.0.0.9", 4648, 1, {})
        swim.on_packet(Address("10.9.9.9", 1), wire.join([wire.encode(alive)]), 0.0)
    assert len(swim.listed()) == 1000
    assert len(swim._near.queue) <= 1024


def test_a_stranger_gets_no_more_than_it_sends():
    """
    The answer to a ping from an unknown address is not longer than the ping.
    """
    world = GossipWorld(1, 3)
    world.join_all()
    ping = wire.join([wire.encode(wire.Ping(2**60, "m1", "m2"))])
    effects = world.members["m1"].on_packet(Address("10.9.9.9", 53), ping, world.now)
    (answer,) = [effect.payload for effect in effects if hasattr(effect, "payload")]
    assert len(answer) <= len(ping)


def test_every_message_survives_its_encoding():
    """
    What is encoded is decoded as it was.
    """
    messages = [
        wire.Ping(1, "a", "b"), wire.PingRequest(2, "a", "b"), wire.Ack(3), wire.Nack(4),
        Alive("a", "fe80::1", 4648, 5, {"region": "global"}), Suspect("a", 6, "b"), Dead("a", 7, "b"), Left("a", 8),
        JoinIntent("a", 9), LeaveIntent("a", 10, True),
    ]  # fmt: skip
    assert messages == wire.decode_packet(wire.join([wire.encode(message) for message in messages]))
    for message in (wire.KeyringAsk(1, "list", b""), wire.KeyringAnswer(1, "", [b"k" * 32])):
        assert message == wire.decode_stream(wire.encode(message))


def test_what_is_out_of_bounds_is_refused():
    """
    Names for addresses, ports beyond 65535, endless tags and unknown fields are no messages.
    """
    bad = [
        [5, "a", "example.com", 4648, 1, {}], [5, "a", "10.0.0.1", 65536, 1, {}], [5, "a", "10.0.0.1", 4648, -1, {}],
        [5, "a", "10.0.0.1", 4648, 2**63, {}], [5, "", "10.0.0.1", 4648, 1, {}], [5, "a", "10.0.0.1", 4648, 1, {}, 1],
        [5, "a", "10.0.0.1", 4648, 1, {f"k{n}": "v" * 200 for n in range(4)}], [99, 1], [1, 1, "a"],
    ]  # fmt: skip
    for message in bad:
        try:
            wire.decode_packet(msgspec.msgpack.encode([message]))
        except wire.WireError:
            continue
        raise AssertionError(f"taken: {message}")


def _mutated(payload, rng):
    data = bytearray(payload)
    match rng.randrange(6):
        case 0:
            return rng.randbytes(rng.randint(0, 1500))
        case 1:
            del data[rng.randint(0, len(data)) :]
        case 2:
            at = rng.randint(0, len(data))
            data[at:at] = rng.randbytes(rng.randint(1, 9))
        case 3:
            data += bytes(data)
        case _:
            for _ in range(rng.randint(1, 4)):
                data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)

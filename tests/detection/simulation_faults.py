"""The faults of the simulation, and of each what must be heard and by when: data that a run is judged by.

A fault is a script: it acts on the world, yields how many seconds pass, and goes on; when it ends everything is mended.
Victims are drawn by the run's own generator, so that no alert can rest on which server it was.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random

from agent.leader.heartbeats import HeartbeatSettings
from alert_rules import budget
from alert_rules.settings import Times
from tests.sim.cluster_world import ClusterWorld

Script = Callable[[ClusterWorld, Random], Iterator[float]]

OUTAGE_SECONDS = 90.0
LOSS_SECONDS = 170.0
"""Long enough for what is held for up to two minutes."""

TURN_SECONDS = 15.0
"""How long the first server is down when another is lost as it comes back."""

ANEW_SECONDS = TURN_SECONDS + budget.turn_seconds(Times())
"""How long after the first server went the wait for the second has begun anew."""

_SETTINGS = HeartbeatSettings()
TTL_AND_GRACE_SECONDS = 2 * _SETTINGS.min_heartbeat_ttl_seconds + _SETTINGS.heartbeat_grace_seconds
"""The longest time to live of a heartbeat among few clients, as much jitter as itself, and its grace."""


@dataclass(frozen=True)
class Condition:
    """What an alert states comes about at most *seconds* and *elections* of the longest timeout after the fault.

    That time comes on top of the alert's promise.
    """

    seconds: float = 0.0
    elections: float = 0.0


@dataclass(frozen=True)
class Expected:
    """One notification, of any one of *alerts*: by which second after the fault it arrives 95 of 100 times."""

    alerts: Mapping[str, Condition]
    own_seconds: float
    native_seconds: float


@dataclass(frozen=True)
class Fault:
    """One fault on *size* servers; *expected* None says that nobody must hear anything.

    *elects* says that elections have a part in it, so that it is also run at the slower paces.
    """

    name: str
    script: Script
    expected: Expected | None = None
    size: int = 3
    elects: bool = False


def servers(world: ClusterWorld, rng: Random, *, leader: bool = False, followers: int = 0) -> list[str]:
    """Return the leader, if wanted, and so many followers, drawn by chance."""
    lead = world.leads().name
    others = [name for name in world.names if name != lead]
    return [lead] * leader + sorted(rng.sample(others, followers))


def killed(seconds: float | tuple[float, float], *, leader: bool = False, followers: int = 0) -> Script:
    """Kill servers, and start them after *seconds*, or after a time from a range."""

    def script(world: ClusterWorld, rng: Random) -> Iterator[float]:
        names = servers(world, rng, leader=leader, followers=followers)
        for name in names:
            world.crash(name)
        yield seconds if isinstance(seconds, float) else rng.uniform(*seconds)
        for name in names:
            world.start(name)

    return script


def paused(seconds: float, *, leader: bool = False, followers: int = 0) -> Script:
    """Stop servers, and continue them after *seconds*."""

    def script(world: ClusterWorld, rng: Random) -> Iterator[float]:
        names = servers(world, rng, leader=leader, followers=followers)
        for name in names:
            world.pause(name)
        yield seconds
        for name in names:
            world.resume(name)

    return script


def isolated(seconds: float, *, leader: bool = False, followers: int = 0) -> Script:
    """Cut servers from everybody, each other among them."""

    def script(world: ClusterWorld, rng: Random) -> Iterator[float]:
        for name in servers(world, rng, leader=leader, followers=followers):
            world.isolate(name)
        yield seconds
        world.heal()

    return script


def cut_between_servers(world: ClusterWorld, rng: Random) -> Iterator[float]:
    """Cut all servers from each other; clients still reach them."""
    for source in world.names:
        for destination in world.names:
            if source != destination:
                world.sever(source, destination)
    yield OUTAGE_SECONDS
    world.heal()


def one_way(seconds: float, *, from_leader: bool, to_all: bool = False) -> Script:
    """Drop what the leader sends to one follower or to all, or what it is sent."""

    def script(world: ClusterWorld, rng: Random) -> Iterator[float]:
        [leader] = servers(world, rng, leader=True)
        count = len(world.names) - 1 if to_all else 1
        for other in servers(world, rng, followers=count):
            world.sever(*((leader, other) if from_leader else (other, leader)))
        yield seconds
        world.heal()

    return script


def rolling_restart(world: ClusterWorld, rng: Random) -> Iterator[float]:
    """Restart every server, 8 s down each, the leader last."""
    lead = world.leads().name
    for name in [name for name in world.names if name != lead] + [lead]:
        world.crash(name)
        yield 8.0
        world.start(name)
        yield 20.0


def restarts_in_a_row(world: ClusterWorld, rng: Random) -> Iterator[float]:
    """Restart every server, up to 15 s down each, the next one as soon as the one before is started."""
    lead = world.leads().name
    for name in [name for name in world.names if name != lead] + [lead]:
        world.crash(name)
        yield rng.uniform(12.0, 15.0)
        world.start(name)
        yield rng.uniform(0.5, 2.0)


def lost_in_turn(world: ClusterWorld, rng: Random) -> Iterator[float]:
    """Restart a follower, and lose another one as the first is back."""
    first, second = rng.sample(servers(world, rng, followers=2), 2)
    world.crash(first)
    yield TURN_SECONDS
    world.start(first)
    world.crash(second)
    yield LOSS_SECONDS
    world.start(second)


def transfer(world: ClusterWorld, rng: Random) -> Iterator[float]:
    """Hand the lead over."""
    world.transfer()
    yield 60.0


def nothing(world: ClusterWorld, rng: Random) -> Iterator[float]:
    """Let time pass."""
    yield 120.0


def client(action: str, remedy: str) -> Script:
    """Do *action* to a client, and its *remedy* after a loss."""

    def script(world: ClusterWorld, rng: Random) -> Iterator[float]:
        name = rng.choice(sorted(world.clients))
        getattr(world, action)(name)
        yield LOSS_SECONDS
        getattr(world, remedy)(*([] if remedy == "heal" else [name]))

    return script


def clients_killed(world: ClusterWorld, rng: Random) -> Iterator[float]:
    """Kill every client, and start them together after a loss."""
    for name in world.clients:
        world.crash(name)
    yield LOSS_SECONDS
    for name in world.clients:
        world.start(name)


_NOTICED = Condition(elections=1)
"""Followers miss their leader after a timeout; a leader misses them after its lease, which is shorter."""

_REPLACED = Condition(elections=3)
"""Missed, elected after a split vote, and judged by the new leader."""

_DEAD = Expected({"NomadQuorumLost": _NOTICED}, 25.0, 25.0)
_HUNG = Expected({"NomadQuorumLost": _NOTICED, "NomadNoLeader": _NOTICED}, 25.0, 45.0)
_RISK = Expected({"NomadQuorumAtRisk": Condition()}, 60.0, 60.0)
_OUSTED = Expected({"NomadQuorumAtRisk": _REPLACED}, 60.0, 60.0)
_RISK_IN_TURN = Expected(
    {"NomadQuorumAtRisk": Condition(seconds=ANEW_SECONDS)}, 60.0 + ANEW_SECONDS, 60.0 + ANEW_SECONDS
)
_DOWN = Expected({"NomadServerDown": Condition()}, 300.0, 300.0)
_UNHEALTHY = Expected({"NomadServerUnhealthy": Condition()}, 300.0, 300.0)
_CLIENTS = Expected({"NomadManyClientsDown": Condition()}, 60.0, 60.0)
# An agent that answers no scrapes is down; one that does and sends no heartbeats has missed them.
_NODE = Expected(
    {"NomadClientDown": Condition(), "NomadHeartbeatsMissed": Condition(seconds=TTL_AND_GRACE_SECONDS)},
    TTL_AND_GRACE_SECONDS + 20.0,
    TTL_AND_GRACE_SECONDS + 20.0,
)

FAULTS = (
    Fault("nothing happens", nothing),
    Fault("leader killed, back after 8 to 15 s", killed((8.0, 15.0), leader=True), elects=True),
    Fault("follower killed, back after 8 to 15 s", killed((8.0, 15.0), followers=1)),
    Fault("leader paused for 10 s", paused(10.0, leader=True), elects=True),
    Fault("leader cut off for 10 s", isolated(10.0, leader=True), elects=True),
    Fault("rolling restart, 8 s each", rolling_restart, elects=True),
    Fault("restarts in a row, 12 to 15 s each", restarts_in_a_row, elects=True),
    Fault("leadership handed over", transfer, elects=True),
    Fault("both followers killed", killed(OUTAGE_SECONDS, followers=2), _DEAD, elects=True),
    Fault("leader and a follower killed", killed(OUTAGE_SECONDS, leader=True, followers=1), _DEAD, elects=True),
    Fault("all servers killed", killed(OUTAGE_SECONDS, leader=True, followers=2), _DEAD),
    Fault("three of five killed", killed(OUTAGE_SECONDS, followers=3), _DEAD, size=5),
    Fault("three of five killed, the leader too", killed(OUTAGE_SECONDS, leader=True, followers=2), _DEAD, size=5),
    Fault("both followers paused", paused(OUTAGE_SECONDS, followers=2), _HUNG, elects=True),
    Fault("leader and a follower paused", paused(OUTAGE_SECONDS, leader=True, followers=1), _HUNG, elects=True),
    Fault("all servers paused", paused(OUTAGE_SECONDS, leader=True, followers=2), _HUNG),
    Fault("three of five paused", paused(OUTAGE_SECONDS, leader=True, followers=2), _HUNG, size=5),
    Fault("servers cut from each other", cut_between_servers, _HUNG, elects=True),
    Fault("five servers cut from each other", cut_between_servers, _HUNG, size=5),
    Fault("a follower killed", killed(LOSS_SECONDS, followers=1), _RISK),
    Fault("a follower killed as another is back", lost_in_turn, _RISK_IN_TURN),
    Fault("the leader killed", killed(LOSS_SECONDS, leader=True), _OUSTED, elects=True),
    Fault("a follower paused", paused(LOSS_SECONDS, followers=1), _RISK),
    Fault("the leader cut off", isolated(LOSS_SECONDS, leader=True), _OUSTED, elects=True),
    Fault("what the leader sends to a follower lost", one_way(LOSS_SECONDS, from_leader=True), _RISK),
    Fault("what a follower sends to the leader lost", one_way(LOSS_SECONDS, from_leader=False), _RISK),
    Fault("what the leader sends lost", one_way(LOSS_SECONDS, from_leader=True, to_all=True), _OUSTED, elects=True),
    Fault("two of five killed", killed(LOSS_SECONDS, followers=2), _RISK, size=5),
    Fault("two of five cut off, the leader too", isolated(LOSS_SECONDS, leader=True, followers=1), _OUSTED, size=5),
    Fault("one of five killed", killed(240.0, followers=1), _DOWN, size=5),
    Fault("one of five cut off", isolated(320.0, followers=1), _UNHEALTHY, size=5),
    Fault("the leader of five cut off", isolated(320.0, leader=True), _UNHEALTHY, size=5),
    Fault("client killed", client("crash", "start"), _NODE),
    Fault("all clients killed", clients_killed, _CLIENTS),
    Fault("client paused", client("pause", "resume"), _NODE),
    Fault("client cut off", client("isolate", "heal"), _NODE),
)
"""What must stay silent first, then outages, then losses that the cluster survives, then clients."""

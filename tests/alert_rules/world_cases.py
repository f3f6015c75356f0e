"""Modelled faults, and what a receiver must hear of each: on a real Nomad's series and on those of our agent."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.alert_rules.nomad_series import World

FAULT = 150.0
FOREVER = 1e9
BEFORE = (-600.0, "s1")
FIVE = ("s1", "s2", "s3", "s4", "s5")

Spans = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class WorldCase:
    """One fault, and what a receiver must hear of it: alert names, in the order of the alphabet.

    *later* says how many seconds after FAULT the condition of an alert comes about, where it is not at once.
    """

    name: str
    world: World
    notified: tuple[str, ...] = ()
    later: Mapping[str, float] = field(default_factory=dict)

    @property
    def expected(self) -> int:
        """How many servers are meant to be there."""
        return len(self.world.servers)

    def onset(self, alert: str) -> float:
        """Return when the condition of *alert* comes about, in seconds."""
        return FAULT + self.later.get(alert, 0.0)


def leaders(*changes: tuple[float, str | None]) -> tuple[tuple[float, str | None], ...]:
    """Return who leads: s1, then each of *changes*, in seconds after the fault."""
    return (BEFORE, *((FAULT + after, name) for after, name in changes))


def gone(*servers: str, start: float = 0.0, end: float = FOREVER) -> dict[str, Spans]:
    """Return when each of *servers* is away, in seconds after the fault."""
    return dict.fromkeys(servers, ((FAULT + start, FAULT + end),))


WORLDS = (
    WorldCase("healthy", World(seconds=300)),
    WorldCase("leader killed, back after 15 s", World(dead=gone("s1", end=15), leaders=leaders((0, None), (4, "s2")))),
    WorldCase("follower killed, back after 15 s", World(dead=gone("s2", end=15))),
    WorldCase(
        "rolling restart of all three",
        World(
            dead={"s2": ((150.0, 162.0),), "s3": ((200.0, 212.0),), "s1": ((250.0, 262.0),)},
            leaders=(BEFORE, (250.0, None), (254.0, "s2")),
        ),
    ),
    WorldCase("leadership handed over", World(leaders=leaders((0, "s2")))),
    WorldCase(
        "slow fail-over, then the old leader comes back",
        World(paused=gone("s1", end=15), leaders=leaders((0, None), (10, "s2"))),
    ),
    WorldCase(
        "leader dead for good",
        World(dead=gone("s1"), leaders=leaders((0, None), (4, "s2"))),
        ("NomadQuorumAtRisk",),
    ),
    WorldCase(
        "leader dead for good, then pruned by autopilot",
        World(dead=gone("s1"), leaders=leaders((0, None), (4, "s2")), voters=((FAULT + 44, 2),)),
        ("NomadQuorumAtRisk",),
    ),
    WorldCase(
        "one of three leaves",
        World(dead=gone("s3", start=4), left=(FAULT + 2,), voters=((FAULT + 2, 2),)),
        ("NomadQuorumAtRisk",),
    ),
    WorldCase(
        "both followers dead, the former leader lives on and lingers",
        World(seconds=420, dead=gone("s2", "s3", end=90), leaders=leaders((0, None), (92, "s1"))),
        ("NomadQuorumLost",),
    ),
    WorldCase(
        "leader and a follower dead",
        World(dead=gone("s1", "s2", end=90), leaders=leaders((0, None), (92, "s3"))),
        ("NomadQuorumLost",),
    ),
    WorldCase(
        "all servers dead",
        World(dead=gone("s1", "s2", "s3"), leaders=leaders((0, None))),
        ("NomadQuorumLost",),
    ),
    WorldCase(
        "one dead for long, then a second, then both back",
        World(
            seconds=480,
            dead={"s1": ((FAULT, FAULT + 200),), "s2": ((FAULT + 120, FAULT + 200),)},
            leaders=leaders((0, None), (4, "s2"), (120, None), (202, "s3")),
        ),
        ("NomadQuorumAtRisk", "NomadQuorumLost"),
        {"NomadQuorumLost": 120.0},
    ),
    WorldCase(
        "both followers paused",
        World(paused=gone("s2", "s3", end=100), leaders=leaders((0, None), (101, "s1"))),
        ("NomadQuorumLost",),
    ),
    WorldCase("servers cut from each other", World(leaders=leaders((0, None), (100, "s2"))), ("NomadNoLeader",)),
    WorldCase("no target at all", World(untargeted=((FAULT, FOREVER),)), ("NomadMetricsMissing",)),
    WorldCase("two servers not scraped", World(unseen=gone("s2", "s3")), ("NomadMetricsMissing",)),
    WorldCase("leader and a follower not scraped", World(unseen=gone("s1", "s3")), ("NomadMetricsMissing",)),
    WorldCase(
        "one follower not scraped, then scraped again", World(unseen=gone("s3", end=150)), ("NomadMetricsMissing",)
    ),
    WorldCase("nothing about Raft in the scrapes", World(blind=((FAULT, FOREVER),)), ("NomadMetricsMissing",)),
    WorldCase("client dead", World(dead=gone("c1", end=120)), ("NomadClientDown",)),
    WorldCase("client back after 15 s", World(dead=gone("c1", end=15))),
    WorldCase(
        "one of five dead", World(servers=FIVE, dead=gone("s5"), voters=((FAULT + 44, 4),)), ("NomadServerDown",)
    ),
    WorldCase(
        "one of five leaves", World(servers=FIVE, dead=gone("s5", start=4), left=(FAULT + 2,), voters=((FAULT + 2, 4),))
    ),
    WorldCase("two of five dead", World(servers=FIVE, dead=gone("s4", "s5")), ("NomadQuorumAtRisk",)),
    WorldCase(
        "five pruned to three voters, then a third lost",
        World(
            servers=FIVE,
            seconds=700,
            dead={**gone("s5"), **gone("s4", start=50), **gone("s3", start=250)},
            voters=((FAULT + 44, 4), (FAULT + 94, 3)),
        ),
        # At risk from the second death until it is removed, 44 s later, and again with the third.
        ("NomadClusterShrunk", "NomadQuorumAtRisk"),
        {"NomadClusterShrunk": 94.0, "NomadQuorumAtRisk": 50.0},
    ),
    WorldCase(
        "three of five dead",
        World(servers=FIVE, dead=gone("s3", "s4", "s5"), leaders=leaders((0, None))),
        ("NomadQuorumLost",),
    ),
    WorldCase(
        "leader changes every forty seconds",
        World(seconds=480, leaders=leaders(*((40.0 * number, f"s{number % 3 + 1}") for number in range(1, 8)))),
        ("NomadLeaderFlapping",),
        # The fourth election.
        {"NomadLeaderFlapping": 160.0},
    ),
    WorldCase(
        "the only server back after 15 s",
        World(servers=("s1",), dead=gone("s1", end=15), leaders=leaders((0, None), (16, "s1"))),
    ),
    WorldCase(
        "the only server dead",
        World(servers=("s1",), dead=gone("s1"), leaders=leaders((0, None))),
        ("NomadQuorumLost",),
    ),
    WorldCase(
        "one of two back after 15 s",
        World(servers=("s1", "s2"), dead=gone("s2", end=15), leaders=leaders((0, None), (17, "s1"))),
    ),
    WorldCase(
        "one of two dead",
        World(servers=("s1", "s2"), dead=gone("s2"), leaders=leaders((0, None))),
        ("NomadQuorumLost",),
    ),
)

"""What a fault is: a value that names what is done, to whom, on which clusters, and what must arrive. Pure.

Fault ── action ──▶ inject(stage), heal(stage)        what is done
  │                    │ who
  │                    ▼
  │                  Who, Clients                      resolved when it is done: who leads is known only then
  └─── arrives ──▶ judge.Arrival                       what a receiver must get; everything else is forbidden
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from compose.drill.judge import Arrival

SIZES = (3, 5)
"""Clusters that faults are tried on: the two sizes that Nomad's users run."""


class Share(Enum):
    """How many of a cluster's servers."""

    ONE = "one"
    MINORITY = "minority"
    """As many as may be lost."""
    MAJORITY = "majority"
    """As many as must not be lost."""
    ALL = "all"

    def of(self, servers: int) -> int:
        """Return the number for a cluster of *servers*."""
        match self:
            case Share.ONE:
                return 1
            case Share.MINORITY:
                return (servers - 1) // 2
            case Share.MAJORITY:
                return servers // 2 + 1
            case Share.ALL:
                return servers


@dataclass(frozen=True, slots=True)
class Who:
    """Servers by what they are: *share* of them, the leader among them or not."""

    share: Share
    leader: bool

    def choose(self, servers: Sequence[str], leader: str, rng: random.Random) -> tuple[str, ...]:
        """Return the names, the leader first; followers are drawn by *rng*. Raises ValueError when there are too few."""
        followers = sorted(name for name in servers if name != leader)
        wanted = self.share.of(len(servers)) - self.leader
        if wanted > len(followers):
            raise ValueError(f"{self.share.value} of {len(servers)} servers cannot do without the leader")
        return ((leader,) if self.leader else ()) + tuple(rng.sample(followers, wanted))


LEADER = Who(Share.ONE, leader=True)
FOLLOWER = Who(Share.ONE, leader=False)
MINORITY = Who(Share.MINORITY, leader=False)
MINORITY_WITH_LEADER = Who(Share.MINORITY, leader=True)
MAJORITY = Who(Share.MAJORITY, leader=False)
MAJORITY_WITH_LEADER = Who(Share.MAJORITY, leader=True)
ALL_SERVERS = Who(Share.ALL, leader=True)


class Clients(Enum):
    """How many of a cluster's clients."""

    ONE = "one"
    THIRD = "a third"
    ALL = "all"

    def choose(self, clients: Sequence[str], rng: random.Random) -> tuple[str, ...]:
        """Return the names, drawn by *rng*; a third is rounded up."""
        wanted = {Clients.ONE: 1, Clients.THIRD: -(-len(clients) // 3), Clients.ALL: len(clients)}[self]
        return tuple(rng.sample(sorted(clients), wanted))


class Unable(Exception):
    """A fault cannot be made on this machine; the message says why and what would help."""


class Stage(Protocol):
    """A watched cluster as actions see it: whom there is, and what can be done to them.

    Whatever is done is remembered, so that the counterpart needs no names. Raises LocalError or Unable.
    """

    rng: random.Random
    """The source of every choice; set anew for each fault."""

    @property
    def servers(self) -> tuple[str, ...]:
        """The servers of the first region."""

    @property
    def clients(self) -> tuple[str, ...]:
        """The clients."""

    def leader(self) -> str:
        """Return the server that leads, waiting for one."""

    def wait(self, seconds: float) -> None:
        """Let *seconds* pass."""

    def kill(self, *names: str) -> None:
        """End processes without warning, all at one time."""

    def revive(self) -> None:
        """Start again every process that is dead."""

    def pause(self, *names: str) -> None:
        """Stop processes in their tracks; connections stay open."""

    def resume(self) -> None:
        """Let the paused go on."""

    def isolate(self, *names: str) -> None:
        """Cut each of *names* from every other server and from all clients, both ways."""

    def unplug(self, *names: str) -> None:
        """Cut *names* from everybody, Prometheus included."""

    def mend(self) -> None:
        """Make every connection possible again."""


class Action(Protocol):
    """What is done to a stage, and undone."""

    def inject(self, stage: Stage) -> None:
        """Make the fault."""

    def heal(self, stage: Stage) -> None:
        """Take it back, as an operator would."""


class Setup(Enum):
    """What a cluster must be made of; faults that want another one get a cluster of their own."""

    PLAIN = "plain"
    TWO_REGIONS = "two regions"
    SLOW_DISKS = "disks that can be slowed"
    EXPORTER = "an exporter beside the servers"
    TLS = "agents that speak mutual TLS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault of the drill.

    *arrives* gives for each size of cluster what must arrive; all else is forbidden. *lasts_seconds* is how long a
    fault is left alone that brings nothing, *quiet_seconds* how long all may take to resolve once it is healed. *in_containers* says
    that it is one of the core faults, which the containers know too.
    """

    name: str
    what: str
    action: Action
    arrives: Mapping[int, tuple[Arrival, ...]]
    setup: Setup = Setup.PLAIN
    lasts_seconds: float = 0.0
    quiet_seconds: float = 420.0
    in_containers: bool = False
    note: str = ""

    @property
    def long_seconds(self) -> float:
        """What it takes beyond the promises of its alerts: until it can be seen, and until all is quiet again."""
        needs = (arrival.needs_seconds for arrivals in self.arrives.values() for arrival in arrivals)
        return self.quiet_seconds + max(needs, default=0.0)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes of cluster that it is tried on."""
        return tuple(self.arrives)


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """A fault whose cause the agent does not have yet."""

    name: str
    needs: str


NOTHING: tuple[Arrival, ...] = ()


def on(sizes: Sequence[int], *arrivals: Arrival) -> dict[int, tuple[Arrival, ...]]:
    """Return that the same arrives on every size."""
    return dict.fromkeys(sizes, arrivals)


def one(*alerts: str, needs_seconds: float = 0.0, at_most: int = 1, region: str = "") -> Arrival:
    """Return the arrival of one notification of any of *alerts*."""
    return Arrival(alerts=alerts, needs_seconds=needs_seconds, at_most=at_most, region=region)

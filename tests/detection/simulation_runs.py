"""One fault on one simulated cluster, and what a Prometheus of any phase would have scraped of it."""

from dataclasses import dataclass
from random import Random

from alert_rules.settings import Times
from tests.detection.simulation_faults import Fault
from tests.sim.cluster_world import ClusterWorld, Pace
from tests.sim.scrapes import GRID_SECONDS, Outcome, Scrapes

SCRAPE_SECONDS = Times().scrape_interval_seconds
"""The shipped interval of scrapes, which is their time limit too, and of evaluations."""

STEPS = round(SCRAPE_SECONDS / GRID_SECONDS)
"""Phases that a scrape or an evaluation may have."""

SETTLED_SECONDS = 70.0
"""A cluster is watched once no series of its start is left, which takes 60 s."""

BEFORE_SECONDS = 60.0
AFTER_SECONDS = 130.0
"""Series of a former leader linger for 60 s after a recovery, and what is kept firing over that must not leak."""

PHASES_KEPT = 8
"""Phases at which each agent of a run is asked, drawn by chance: 8 of each of 5 agents are 32,768 combinations, and
asking takes more time than all else."""

Samples = tuple[tuple[int, str], ...]
"""Moment and text of each sample."""


@dataclass(frozen=True, eq=False)
class Run:
    """The recording of one fault; *fault_moment* is the last moment before it."""

    seed: str
    agents: dict[str, str]
    """Role by name."""
    outcomes: dict[str, list[Outcome]]
    columns: dict[str, dict[str, list[str | None]]]
    phases: dict[str, tuple[int, ...]]
    """At which phases the values of each agent were kept."""
    fault_moment: int
    moments: int


def run_fault(fault: Fault, number: int, names: frozenset[str], pace: Pace = Pace.QUICK) -> Run:
    """Return what the *number*-th cluster under *fault* exports; series besides *names* are not kept."""
    seed = f"{fault.name}:{pace.name.lower()}:{number}"
    rng = Random(f"fault:{seed}")
    world = ClusterWorld(seed, size=fault.size, pace=pace)
    world.run(SETTLED_SECONDS + rng.uniform(0.0, 20.0))
    while world.now - _last_election(world) < SETTLED_SECONDS:
        world.run(1.0)
    phases = {name: tuple(sorted(rng.sample(range(STEPS), PHASES_KEPT))) for name in world.agents}
    scrapes = Scrapes(world, names, lambda name, moment: moment % STEPS in phases[name])
    scrapes.run(BEFORE_SECONDS)
    fault_moment = scrapes.moments - 1
    for seconds in fault.script(world, rng):
        scrapes.run(seconds)
    scrapes.run(AFTER_SECONDS)
    world.check_no_bug()
    world.close()
    agents = {name: agent.role for name, agent in world.agents.items()}
    return Run(seed, agents, scrapes.outcomes, scrapes.columns, phases, fault_moment, scrapes.moments)


def _last_election(world: ClusterWorld) -> float:
    return max((time for server in world.servers.values() for time, *_ in server.transitions), default=0.0)


class View:
    """What Prometheus has of a run when it scrapes one agent at a phase, in steps of the grid.

    A scrape that is refused fails at once. One that hangs fails when its time is over, and is answered late when the
    process goes on before; until then the one before counts. Samples stand at the moment from which they are seen.
    The first scrape is left out, so that an evaluation may begin at any phase.
    """

    def __init__(self, run: Run, agent: str, phase: int) -> None:
        self._columns = run.columns[agent]
        self._seen = self._scrapes(run.outcomes[agent], phase)
        self.first = phase + STEPS

    def up(self) -> Samples:
        """Return the samples of `up`."""
        return tuple((moment, "0" if source is None else "1") for moment, source in self._seen)

    def series(self) -> list[str]:
        """Return the names and labels that the agent exposed at any time."""
        return list(self._columns)

    def samples(self, series: str) -> Samples:
        """Return the samples of *series*, with a marker of staleness where it ends."""
        column, found, present = self._columns[series], [], False
        for moment, source in self._seen:
            value = None if source is None else column[source]
            if value is not None:
                found.append((moment, value))
            elif present:
                found.append((moment, "stale"))
            present = value is not None
        return tuple(found)

    @staticmethod
    def _scrapes(outcomes: list[Outcome], phase: int) -> list[tuple[int, int | None]]:
        """Return (moment it is seen, moment it was taken or None) of each scrape."""
        seen: dict[int, int | None] = {}
        for begun in range(phase + STEPS, len(outcomes), STEPS):
            limit = begun + STEPS
            ended = next(
                (m for m in range(begun, min(limit, len(outcomes))) if outcomes[m] is not Outcome.HANGS), limit
            )
            answered = ended < limit and outcomes[ended] is Outcome.ANSWERS
            # A scrape that begins as the one before runs out has the last word.
            seen[ended] = ended if answered else None
        return sorted(seen.items())

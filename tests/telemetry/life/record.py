"""What one step of a life left behind: what grew, what was seen, what the script did, and how long that took."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from telemetry.scraped import Scrape
from tests.telemetry.life.growth import Key

STEADY = ("jobs", "reads", "changes", "worker", "quiet", "drain")
"""The steps in which no agent is killed or paused."""


@dataclass(slots=True)
class StepRecord:
    """One step. `grown` is by agent and series; `asked` counts the script's calls, and `took` their seconds, by name."""

    name: str
    began: float = 0.0
    ended: float = 0.0
    grown: dict[str, Counter[Key]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    asked: Counter[str] = field(default_factory=Counter)
    unsure: Counter[str] = field(default_factory=Counter)
    """Calls without an answer: whether they were carried out the script does not know."""
    took: dict[str, float] = field(default_factory=dict)
    scrapes: list[tuple[str, Scrape]] = field(default_factory=list)
    times: list[tuple[float, float]] = field(default_factory=list)
    """When each of the scrapes was asked for and answered, by the script's monotonic clock."""
    leader: str = ""
    """Who led as the step began."""
    indexes: tuple[int, int] = (0, 0)
    """The last index of the leader's log as the step began and ended."""
    evals: tuple[Mapping[str, Any], ...] = ()
    allocs: tuple[Mapping[str, Any], ...] = ()
    """What the API listed when the step ended."""
    cores: tuple[tuple[tuple[float, float, float], ...], ...] = ()
    """Seconds that each core spent for users, in the kernel and idle, as the step began and ended."""
    usage: tuple[Mapping[str, tuple[float, float, int, int]], ...] = ()
    """What the processes of each allocation had used as the step began and ended; see `Moment.usage`."""
    servers: tuple[str, ...] = ()
    """The servers that were there at its beginning and its end."""

    @property
    def seconds(self) -> float:
        """How long the step took."""
        return self.ended - self.began

    @property
    def is_steady(self) -> bool:
        """Whether one server led from its beginning to its end, and nothing was killed: calls can be counted."""
        return self.name in STEADY and not self.grew("nomad_raft_state_leader")

    def grew(self, name: str, place: str | None = None, **labels: str) -> float:
        """Return by how much the series *name* with *labels* grew, on all agents or on the one at *place*."""
        wanted = labels.items()
        return sum(
            grown
            for where, by_key in self.grown.items()
            if place in {None, where}
            for (series, own), grown in by_key.items()
            if series == name and wanted <= dict(own).items()
        )

    def places(self, name: str) -> dict[str, float]:
        """Return by how much the series *name* grew on each agent on which it did."""
        found = {place: self.grew(name, place) for place in self.grown}
        return {place: grown for place, grown in found.items() if grown}

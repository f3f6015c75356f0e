"""What scrapes of a simulated cluster bring, at every moment of a fine grid: the raw material of any Prometheus.

Each agent is asked for its exposition at each moment, and the series that somebody wants are kept as columns of text.
What one Prometheus would have seen is cut out of that later, by the phase of its scrapes.
"""

import re
from enum import Enum

GRID_SECONDS = 0.25


class Outcome(Enum):
    """What a scrape that begins at a moment meets."""

    ANSWERS = "answers"
    REFUSES = "refuses"
    HANGS = "hangs"


class Scrapes:
    """Watches a world: `run` lets time pass and asks every agent at each moment.

    *names* are the series that are kept. Where *wanted*, of an agent's name and a moment, is false, only the outcome
    is kept, which costs nothing; but for the moment at which an agent goes on, which a hung scrape may have waited for.
    """

    def __init__(self, world, names, wanted=lambda name, moment: True):
        self.world = world
        self._wanted = wanted
        self.moments = 0
        self.outcomes = {name: [] for name in world.agents}
        self.columns = {name: {} for name in world.agents}
        """For each agent: series as exposed, to its value at each moment, None where it was not exposed."""
        self._sample = re.compile(rf"^((?:{'|'.join(sorted(names))})(?:\{{.*\}})?) (\S+)$", re.MULTILINE)

    def run(self, seconds):
        """Let *seconds*, a multiple of the grid's, pass."""
        for _ in range(round(seconds / GRID_SECONDS)):
            self.world.run(GRID_SECONDS)
            for name in self.outcomes:
                self._ask(name)
            self.moments += 1

    def _ask(self, name):
        outcomes = self.outcomes[name]
        goes_on = bool(outcomes) and outcomes[-1] is Outcome.HANGS
        outcomes.append(self._outcome(name))
        samples = {}
        if outcomes[-1] is Outcome.ANSWERS and (goes_on or self._wanted(name, self.moments)):
            samples = dict(self._sample.findall(self.world.scrape(name).decode()))
        columns = self.columns[name]
        for series, value in samples.items():
            column = columns.get(series)
            if column is None:
                column = columns[series] = [None] * self.moments
            column.append(value)
        for column in columns.values():
            if len(column) == self.moments:
                column.append(None)

    def _outcome(self, name):
        if self.world.agents[name].gone:
            return Outcome.REFUSES
        return Outcome.HANGS if name in self.world.paused else Outcome.ANSWERS

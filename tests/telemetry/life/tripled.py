"""Which checks would miss a value that is three times what it is: each is judged on a life that was so. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from telemetry.catalogue import Kind, Metric
from telemetry.scraped import Sample, Scrape
from tests.telemetry.life.checks import Lived
from tests.telemetry.life.moment import Moment
from tests.telemetry.life.record import StepRecord
from tests.telemetry.life.values import CHECKS

FACTOR = 3.0
WHERE_NOTHING = 3.0
"""What stands in the place of a gauge of 0, which is its own triple."""


def blunt(lived: Lived) -> tuple[list[Metric], list[Metric]]:
    """Return the metrics whose check misses a tripled value or count, and those of which it misses tripled times only."""
    values, times = [], []
    for metric in CHECKS:
        timed = metric.kind in {Kind.SAMPLE, Kind.HISTOGRAM}
        counted = tuple(name + "_count" for name in metric.names) if timed else metric.names
        summed = tuple(name + "_sum" for name in metric.names) if timed else ()
        if not _notices(metric, lived, (*counted, *summed)):
            values.append(metric)
        elif timed and not _notices(metric, lived, summed):
            times.append(metric)
    return values, times


def _notices(metric: Metric, lived: Lived, names: tuple[str, ...]) -> bool:
    other = Lived(
        tuple(cast("StepRecord", _Record(record, names)) for record in lived.records),
        tuple(cast("Moment", _Moment(moment, names)) for moment in lived.moments),
        lived.logs,
    )
    return any(CHECKS[metric].judge(metric, other))


class _Scrape:
    """A scrape with other values of *names*."""

    def __init__(self, scrape: Scrape, names: tuple[str, ...]) -> None:
        self._scrape, self._names = scrape, names

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scrape, name)

    def of(self, name: str) -> Iterator[Sample]:
        """Yield the samples called *name*."""
        for sample in self._scrape.of(name):
            louder = FACTOR * sample.value or WHERE_NOTHING
            yield Sample(name, sample.labels, louder) if name in self._names else sample

    def value(self, name: str) -> float | None:
        """Return the value of the first sample called *name*, or None."""
        return next((sample.value for sample in self.of(name)), None)


class _Record:
    """A step in which *names* grew by more."""

    def __init__(self, record: StepRecord, names: tuple[str, ...]) -> None:
        self._record, self._names = record, names

    def __getattr__(self, name: str) -> Any:
        return getattr(self._record, name)

    @property
    def scrapes(self) -> list[tuple[str, Scrape]]:
        """The scrapes, with other values."""
        return [(place, cast("Scrape", _Scrape(scrape, self._names))) for place, scrape in self._record.scrapes]

    def grew(self, name: str, place: str | None = None, **labels: str) -> float:
        """Return by how much the series *name* grew."""
        return self._record.grew(name, place, **labels) * (FACTOR if name in self._names else 1.0)


class _Moment:
    """A moment at which *names* said something else."""

    def __init__(self, moment: Moment, names: tuple[str, ...]) -> None:
        self._moment, self._names = moment, names

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._moment, name)
        if name in {"scrapes", "neighbours"}:
            return self._louder(found)
        return found

    def _louder(self, scrapes: Mapping[str, Scrape]) -> dict[str, Scrape]:
        return {place: cast("Scrape", _Scrape(scrape, self._names)) for place, scrape in scrapes.items()}

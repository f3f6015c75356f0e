"""How much cumulative series have grown from scrape to scrape, whatever died or was forgotten in between. Pure."""

from collections.abc import Iterator

from telemetry.catalogue.comparison import find_scraped
from telemetry.scraped import Sample, Scrape

Key = tuple[str, tuple[tuple[str, str], ...]]
"""A series of one agent: its name, and its labels sorted."""


class Growth:
    """Follows the counters, sums and counts of each agent.

    A series that is new, or new again after it was forgotten, has grown by all that it says; so has every series of a
    process that was started anew. What happened between the last scrape and a kill is lost.
    """

    def __init__(self) -> None:
        self._last: dict[str, tuple[float | None, dict[Key, float]]] = {}

    def take(self, place: str, scrape: Scrape) -> Iterator[tuple[Key, float]]:
        """Yield the series of the agent *place* that grew since its scrape before, and by how much."""
        started = scrape.value("process_start_time_seconds")
        known, before = self._last.get(place, (None, {}))
        if known != started:
            before = {}
        now = {_key(sample): sample.value for sample in scrape.samples if _is_cumulative(sample)}
        self._last[place] = (started, now)
        for key, value in now.items():
            last = before.get(key, 0.0)
            grown = value - last if value >= last else value
            if grown > 0:
                yield key, grown


def _key(sample: Sample) -> Key:
    return sample.name, tuple(sorted(sample.labels.items()))


def _is_cumulative(sample: Sample) -> bool:
    entry, names_peer = find_scraped(sample.name)
    return entry is not None and not names_peer and entry.is_cumulative and "quantile" not in sample.labels

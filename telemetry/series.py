"""The values behind one series: what a counter, a gauge and a sample hold, and how each becomes lines.

Times are indexes of windows of 2 s, see `telemetry.windows`, except `updated`, which is monotonic seconds. Not
thread-safe: the registry guards them.
"""

from collections import deque
from collections.abc import Sequence

from telemetry import exposition
from telemetry.catalogue.metric import OPTIONAL_LABELS, Metric
from telemetry.exposition import Row
from telemetry.windows import KEPT_WINDOWS, QUANTILES, Sketch, Tally, quantiles

Labels = tuple[tuple[str, str], ...]


class Gauge:
    """The last value that was set."""

    __slots__ = ("_prefix", "_rounds", "_row", "_shown", "labels", "updated", "value")

    def __init__(self, name: str, labels: Labels, now: float) -> None:
        self.labels = labels
        self.updated = now
        self.value = 0.0
        self._prefix = exposition.prefix(name, labels)
        self._rounds = name.startswith("nomad_")
        self._shown: float | None = None
        self._row: Row = (self._prefix, 0.0)

    def row(self) -> Row:
        """Return the one line; Nomad's gauges are rounded to float32, as Nomad's are."""
        value = self.value
        if value != self._shown:
            self._shown = value
            self._row = (self._prefix, exposition.float32(value) if self._rounds else value)
        return self._row


class Counter:
    """A sum since its birth, and the tallies of the last windows."""

    __slots__ = ("_prefix", "labels", "tallies", "tally", "total", "updated")

    def __init__(self, name: str, labels: Labels, now: float) -> None:
        self.labels = labels
        self.updated = now
        self.total = 0.0
        self.tally = Tally(-KEPT_WINDOWS)
        self.tallies: deque[Tally] = deque((self.tally,), KEPT_WINDOWS + 1)
        self._prefix = exposition.prefix(name, labels)

    def turn(self, window: int, until: float) -> Tally:
        """Begin the tally of *window*, which is over at *until*, and return it."""
        self.tally = Tally(window, until)
        self.tallies.append(self.tally)
        return self.tally

    def row(self) -> Row:
        """Return the one line."""
        return self._prefix, self.total


class Sample:
    """Sum and count since its birth, and the sketches of the last windows."""

    __slots__ = ("_count_prefix", "_prefixes", "_sum_prefix", "count", "labels", "tallies", "tally", "total", "updated")

    def __init__(self, name: str, labels: Labels, now: float) -> None:
        self.labels = labels
        self.updated = now
        self.total = 0.0
        self.count = 0
        self.tally = Sketch(-KEPT_WINDOWS)
        self.tallies: deque[Sketch] = deque((self.tally,), KEPT_WINDOWS + 1)
        self._prefixes = tuple(exposition.prefix(name, (*labels, ("quantile", str(q)))) for q in QUANTILES)
        self._sum_prefix = exposition.prefix(f"{name}_sum", labels)
        self._count_prefix = exposition.prefix(f"{name}_count", labels)

    def turn(self, window: int, until: float) -> Sketch:
        """Begin the sketch of *window*, which is over at *until*, and return it."""
        self.tally = Sketch(window, until)
        self.tallies.append(self.tally)
        return self.tally

    def rows(self, window: int) -> Sequence[Row]:
        """Return three quantiles of the last 10 s, NaN without observations in them, then sum and count."""
        median, ninety, ninety_nine = quantiles(self.tallies, window)
        prefixes = self._prefixes
        return (
            (prefixes[0], median),
            (prefixes[1], ninety),
            (prefixes[2], ninety_nine),
            (self._sum_prefix, self.total),
            (self._count_prefix, self.count),
        )


Series = Gauge | Counter | Sample


def named_labels(metric: Metric, values: tuple[str, ...], host: str | None) -> Labels:
    """Return the labels of a series by name, in the order they are printed; *host* is a label of its own when given.

    Optional labels without a value are left out, as a Nomad does.

    Raises ValueError when there are not as many values as the metric has labels.
    """
    if len(values) != len(metric.labels):
        raise ValueError(f"metric {metric.name!r} has the labels {metric.labels}, but was given the values {values}")
    pairs = [
        (label, value)
        for label, value in zip(metric.labels, values, strict=True)
        if value or label not in OPTIONAL_LABELS
    ]
    if host is not None:
        pairs.append(("host", host))
    return tuple(sorted(pairs))

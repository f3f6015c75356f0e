"""The values behind one series: what a counter, a gauge and a sample hold, and how each becomes lines.

Times are indexes of windows, see `telemetry.windows`, except `updated`, which is monotonic seconds. Values may
be recorded from any thread; everything else is for one thread at a time, which the registry's lock sees to.
"""

from bisect import bisect_left
from collections import deque
from itertools import accumulate
from typing import Generic, TypeVar

from telemetry import exposition
from telemetry.catalogue.metric import OPTIONAL_LABELS, Metric
from telemetry.exposition import Row
from telemetry.windows import NOMADS_FRAME, QUANTILES, Frame, Sketch, Tally, quantiles

T = TypeVar("T", bound=Tally)

Labels = tuple[tuple[str, str], ...]


class Gauge:
    """The last value that was set."""

    __slots__ = ("_prefix", "_rounds", "_row", "_shown", "labels", "updated", "value")

    def __init__(self, name: str, labels: Labels, now: float, _frame: Frame = NOMADS_FRAME) -> None:
        self.labels = labels
        self.updated = now
        self.value = 0.0
        self._prefix = exposition.prefix(name, labels)
        self._rounds = name.startswith("nomad_")
        self._shown: float | None = None
        self._row: Row = (self._prefix, 0.0)

    def rows(self, _window: int) -> tuple[Row, ...]:
        """Return the one line; a gauge with Nomad's name is rounded to float32, as a Nomad does."""
        value = self.value
        if value != self._shown:
            self._shown = value
            self._row = (self._prefix, exposition.float32(value) if self._rounds else value)
        return (self._row,)


class _Windowed(Generic[T]):
    """Totals since birth and the windows that anybody reads: Nomad's are those of the last 20 s.

    Recording appends to `tally.values` without a lock; `settle` brings the totals up to date with what was appended.
    A thread that was held up between looking at `tally` and appending finds its value settled all the same, as long as
    it was for less than that.
    """

    __slots__ = ("count", "labels", "tallies", "tally", "total", "updated")

    def __init__(self, make: type[T], labels: Labels, now: float, frame: Frame) -> None:
        self.labels = labels
        self.updated = now
        self.total = 0.0
        self.count = 0
        self.tally = make(-frame.kept_windows)
        self.tallies: deque[T] = deque((self.tally,), frame.kept_windows + 1)

    def settle(self) -> None:
        """Add to the totals what was appended since the last time."""
        for tally in self.tallies:
            many = len(tally.values)
            if many > tally.settled:
                self._take(tally.values[tally.settled : many])
                tally.settled = many

    def _take(self, fresh: list[float]) -> None:
        self.total += sum(fresh)
        self.count += len(fresh)

    def turn(self, window: int, until: float) -> T:
        """Begin the tally of *window*, which is over at *until*, unless another thread has, and return it."""
        if self.tally.index != window:
            self.settle()
            self.tally = type(self.tally)(window, until)
            self.tallies.append(self.tally)
        return self.tally

    def fold(self, tally: Tally) -> None:
        """Shrink a tally that has grown long."""
        self.settle()
        tally.fold()


class Counter(_Windowed[Tally]):
    """A sum since its birth."""

    __slots__ = ("_prefix",)

    def __init__(self, name: str, labels: Labels, now: float, frame: Frame = NOMADS_FRAME) -> None:
        super().__init__(Tally, labels, now, frame)
        self._prefix = exposition.prefix(name, labels)

    def rows(self, _window: int) -> tuple[Row, ...]:
        """Return the one line."""
        self.settle()
        return ((self._prefix, self.total),)


class Sample(_Windowed[Sketch]):
    """Sum and count since its birth, and quantiles of the last 10 s."""

    __slots__ = ("_count_prefix", "_prefixes", "_read", "_sum_prefix")

    def __init__(self, name: str, labels: Labels, now: float, frame: Frame = NOMADS_FRAME) -> None:
        super().__init__(Sketch, labels, now, frame)
        self._read = frame.quantile_windows
        self._prefixes = tuple(exposition.prefix(name, (*labels, ("quantile", str(q)))) for q in QUANTILES)
        self._sum_prefix = exposition.prefix(f"{name}_sum", labels)
        self._count_prefix = exposition.prefix(f"{name}_count", labels)

    def rows(self, window: int) -> tuple[Row, ...]:
        """Return three quantiles, NaN without observations, then sum and count."""
        self.settle()
        median, ninety, ninety_nine = quantiles(self.tallies, window, self._read)
        prefixes = self._prefixes
        return (
            (prefixes[0], median),
            (prefixes[1], ninety),
            (prefixes[2], ninety_nine),
            (self._sum_prefix, self.total),
            (self._count_prefix, self.count),
        )


class Histogram(_Windowed[Tally]):
    """Observations since its birth, counted by the first of the rising *bounds* that is not below them."""

    __slots__ = ("_bounds", "_counts", "_prefixes")

    def __init__(
        self, name: str, labels: Labels, now: float, frame: Frame = NOMADS_FRAME, *, bounds: tuple[float, ...]
    ) -> None:
        super().__init__(Tally, labels, now, frame)
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        printed = [*(exposition.format_value(bound).rstrip() for bound in bounds), "+Inf"]
        self._prefixes = (
            *(exposition.prefix(f"{name}_bucket", (*labels, ("le", bound))) for bound in printed),
            exposition.prefix(f"{name}_sum", labels),
            exposition.prefix(f"{name}_count", labels),
        )

    def rows(self, _window: int) -> tuple[Row, ...]:
        """Return how many observations were at most each bound, then sum and count."""
        self.settle()
        return tuple(zip(self._prefixes, (*accumulate(self._counts), self.total, self.count), strict=True))

    def _take(self, fresh: list[float]) -> None:
        super()._take(fresh)
        for value in fresh:
            self._counts[bisect_left(self._bounds, value)] += 1


Series = Gauge | Counter | Sample | Histogram


def named_labels(metric: Metric, values: tuple[str, ...], host: str | None) -> Labels:
    """Return the labels of a series by name, in the order they are printed; *host* is a label of its own when given.

    Optional labels without a value are left out, as a Nomad does. A metric that is `labelled_by_job` may be given more:
    name and value in turn.

    Raises ValueError when there are not as many values as the metric has labels.
    """
    own = len(metric.labels)
    more = values[own:]
    if len(values) < own or (more and (not metric.labelled_by_job or len(more) % 2)):
        raise ValueError(f"metric {metric.name!r} has the labels {metric.labels}, but was given the values {values}")
    pairs = [
        (label, value)
        for label, value in zip(metric.labels, values, strict=False)
        if value or label not in OPTIONAL_LABELS
    ]
    pairs += zip(more[::2], more[1::2], strict=True)
    if host is not None:
        pairs.append(("host", host))
    return tuple(sorted(pairs))

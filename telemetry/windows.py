"""Observations of the last seconds: a tally for the JSON view and a sketch for the quantiles.

A window covers 2 s; quantiles are read over the current one and the four before it, so over the last 8 to 10 s. The
JSON view reads the five windows of one interval of 10 s. Where an operator sets another interval, windows are a whole
part of it: see `Frame`. Pure: which window it is comes in as an index.

Recording appends to a list, the cheapest thing there is; what the values mean is worked out when the list is full or
somebody asks. So quantiles of fewer than 128 values in 2 s are exact, and those of more are within 1 %.

Source: client_golang summary.go (MaxAge 10 s in 5 age buckets), go-metrics inmem.go (AggregateSample). The sketch is
DDSketch's mapping (Masson, Rim, Lee, VLDB 2019): buckets whose bounds grow by a constant factor.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

WINDOW_SECONDS = 2.0
INTERVAL_WINDOWS = 5
"""Windows in the 10 s over which quantiles are read, and in one interval of the JSON view."""

VALUES_MAX = 128
"""Values of one window that are kept as they are: 1 kB, and 64 a second is more than a quiet cluster has."""

RELATIVE_ERROR = 0.01
_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_SCALE = 1 / math.log(_GAMMA)
_MIDDLE = 2 / (1 + _GAMMA)
_NOT_POSITIVE = -(1 << 30)
"""The bucket of zero and below, under that of the smallest float."""

QUANTILES = (0.5, 0.9, 0.99)
_NOTHING = (math.nan, math.nan, math.nan)

_QUANTILES_SECONDS = INTERVAL_WINDOWS * WINDOW_SECONDS


@dataclass(frozen=True, slots=True)
class Frame:
    """How time is cut into windows, and which of them are read; the defaults are Nomad's.

    `quantile_windows` are read for quantiles, `interval_windows` make one interval of the JSON view, and
    `intervals_kept` is how many of those it remembers, the one under way included.
    """

    interval_seconds: float = INTERVAL_WINDOWS * WINDOW_SECONDS
    interval_windows: int = INTERVAL_WINDOWS
    quantile_windows: int = INTERVAL_WINDOWS
    intervals_kept: int = 6

    def __post_init__(self) -> None:
        if self.interval_seconds <= 0 or min(self.quantile_windows, self.interval_windows, self.intervals_kept) < 1:
            raise ValueError(f"{self}: windows must take time, and each view must read at least one")

    @classmethod
    def of(cls, interval_seconds: float, retention_seconds: float) -> Self:
        """Return the frame for intervals of that length that are kept that long; both are more than 0.

        Windows are as long as they can be up to 2 s so that an interval is a whole number of them, and quantiles are of
        as many whole ones as fit into 10 s.
        """
        windows = math.ceil(interval_seconds / WINDOW_SECONDS)
        kept = max(1, int(retention_seconds / interval_seconds))
        return cls(interval_seconds, windows, max(1, int(_QUANTILES_SECONDS * windows / interval_seconds)), kept)

    def window(self, seconds: float) -> int:
        """Return the window that *seconds* since the epoch lie in."""
        # Multiplied first: whole seconds stay whole numbers, and no interval begins one window late.
        return int(seconds * self.interval_windows / self.interval_seconds)

    def begins(self, window: int) -> float:
        """Return at how many seconds since the epoch *window* begins."""
        return window * self.interval_seconds / self.interval_windows

    @property
    def kept_windows(self) -> int:
        """How many windows before the current one are needed: the last finished interval began two intervals ago."""
        return 2 * max(self.interval_windows, self.quantile_windows)


NOMADS_FRAME = Frame()


class Tally:
    """Count, sum, sum of squares and extremes of the values of one window, and the values not yet folded into them.

    *until* is the monotonic seconds at which the window is over. Any thread may append to `values` at any time: an
    append cannot be torn. Everything else is for one thread at a time.
    """

    __slots__ = ("count", "high", "index", "low", "settled", "squares", "total", "until", "values")

    def __init__(self, index: int, until: float = -math.inf) -> None:
        self.index = index
        self.until = until
        self.values: list[float] = []
        self.settled = 0
        """How many of `values` are in the totals of the series already; see `telemetry.series`."""
        self.count = 0
        self.total = 0.0
        self.squares = 0.0
        self.low = math.inf
        self.high = -math.inf

    def fold(self) -> None:
        """Work the values that are settled into the figures and forget them.

        Not those that another thread has appended since: forgotten now, they would never reach the totals.
        """
        values = self.values[: self.settled]
        if values:
            del self.values[: self.settled]
            self.settled = 0
            self.work_in(values)

    def work_in(self, values: list[float]) -> None:
        """Change the figures by *values*, of which there is at least one."""
        self.count += len(values)
        self.total += sum(values)
        self.squares += sum([value * value for value in values])
        self.low = min(self.low, *values)
        self.high = max(self.high, *values)

    @property
    def stddev(self) -> float:
        """The standard deviation of the folded values as a sample, 0 for less than two."""
        if self.count < 2:
            return 0.0
        spread = self.count * self.squares - self.total * self.total
        return math.sqrt(max(0.0, spread) / (self.count * (self.count - 1)))


class Sketch(Tally):
    """A tally that folds its values into buckets as well, for quantiles with a relative error of 1 %."""

    __slots__ = ("buckets",)

    def __init__(self, index: int, until: float = -math.inf) -> None:
        super().__init__(index, until)
        self.buckets: dict[int, int] = {}

    def work_in(self, values: list[float]) -> None:
        """Change the figures and the buckets by *values*, of which there is at least one."""
        super().work_in(values)
        _count_into(self.buckets, values)


def _count_into(buckets: dict[int, int], values: Iterable[float]) -> None:
    log, ceil = math.log, math.ceil
    for value in values:
        bucket = ceil(log(value) * _SCALE) if value > 0 else _NOT_POSITIVE
        buckets[bucket] = buckets.get(bucket, 0) + 1


def merged(windows: Iterable[Tally], first: int, last: int) -> Tally | None:
    """Return the windows with an index from *first* to *last* as one tally, or None when they hold no value."""
    result = Tally(first)
    for window in windows:
        if first <= window.index <= last:
            result.values += window.values
            result.count += window.count
            result.total += window.total
            result.squares += window.squares
            result.low = min(result.low, window.low)
            result.high = max(result.high, window.high)
    if result.values:
        result.work_in(result.values)
    return result if result.count else None


def quantiles(windows: Sequence[Sketch], now_index: int, many: int = INTERVAL_WINDOWS) -> tuple[float, ...]:
    """Return the quantiles 0.5, 0.9 and 0.99 of the last *many* windows up to *now_index*; NaN when they are empty.

    Each is the value at its rank, never beyond the least and greatest value seen.
    """
    oldest = now_index - many
    values: list[float] = []
    folded = False
    for window in windows:
        if window.index > oldest:
            values += window.values
            folded = folded or window.count > 0
    if folded:
        return _estimate([window for window in windows if window.index > oldest], values)
    if not values:
        return _NOTHING
    values.sort()
    count = len(values)
    return tuple([values[math.ceil(quantile * count) - 1] for quantile in QUANTILES])


def _estimate(windows: Iterable[Sketch], values: list[float]) -> tuple[float, ...]:
    buckets: dict[int, int] = {}
    low, high, count = math.inf, -math.inf, len(values)
    for window in windows:
        low, high, count = min(low, window.low), max(high, window.high), count + window.count
        for bucket, weight in window.buckets.items():
            buckets[bucket] = buckets.get(bucket, 0) + weight
    if values:
        low, high = min(low, *values), max(high, *values)
        _count_into(buckets, values)
    found = []
    seen = 0
    ordered = iter(sorted(buckets.items()))
    value = low
    for quantile in QUANTILES:
        rank = math.ceil(quantile * count)
        while seen < rank:
            bucket, weight = next(ordered)
            seen += weight
            value = low if bucket == _NOT_POSITIVE else min(high, max(low, _MIDDLE * _GAMMA**bucket))
        found.append(value)
    return tuple(found)

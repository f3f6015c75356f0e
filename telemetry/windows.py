"""Observations of the last seconds: a tally for the JSON view and a sketch for the quantiles.

A window covers 2 s; quantiles are read over the current one and the four before it, so over the last 8 to 10 s. The
JSON view reads the five windows of one interval of 10 s. Pure: which window it is comes in as an index.

Source: client_golang summary.go (MaxAge 10 s in 5 age buckets), go-metrics inmem.go (AggregateSample). The sketch is
DDSketch's mapping (Masson, Rim, Lee, VLDB 2019): buckets whose bounds grow by a constant factor.
"""

import math
from collections.abc import Iterable, Sequence

WINDOW_SECONDS = 2.0
INTERVAL_WINDOWS = 5
"""Windows in the 10 s over which quantiles are read, and in one interval of the JSON view."""
KEPT_WINDOWS = 2 * INTERVAL_WINDOWS
"""The JSON view shows the last finished interval, which began up to 20 s ago."""

RELATIVE_ERROR = 0.01
_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_SCALE = 1 / math.log(_GAMMA)
_MIDDLE = 2 / (1 + _GAMMA)
_NOT_POSITIVE = -(1 << 30)
"""The bucket of zero and below, under that of the smallest float."""

QUANTILES = (0.5, 0.9, 0.99)

_log = math.log
_ceil = math.ceil


class Tally:
    """Count, sum, sum of squares and extremes of the values that fell into one window."""

    __slots__ = ("count", "high", "index", "low", "squares", "total")

    def __init__(self, index: int) -> None:
        self.index = index
        self.count = 0
        self.total = 0.0
        self.squares = 0.0
        self.low = math.inf
        self.high = -math.inf

    def add(self, value: float) -> None:
        """Take one value."""
        self.count += 1
        self.total += value
        self.squares += value * value
        if value < self.low:  # noqa: PLR1730 - min() costs three times as much, on the hot path
            self.low = value
        if value > self.high:  # noqa: PLR1730
            self.high = value

    @property
    def stddev(self) -> float:
        """The standard deviation of the sample, 0 for less than two values."""
        if self.count < 2:
            return 0.0
        spread = self.count * self.squares - self.total * self.total
        return math.sqrt(max(0.0, spread) / (self.count * (self.count - 1)))


class Sketch(Tally):
    """A tally that also counts its values in buckets, for quantiles with a relative error of 1 %."""

    __slots__ = ("buckets",)

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.buckets: dict[int, int] = {}

    def add(self, value: float) -> None:
        """Take one value; zero and negative ones share a bucket."""
        self.count += 1
        self.total += value
        self.squares += value * value
        if value < self.low:  # noqa: PLR1730 - min() costs three times as much, on the hot path
            self.low = value
        if value > self.high:  # noqa: PLR1730
            self.high = value
        bucket = _ceil(_log(value) * _SCALE) if value > 0 else _NOT_POSITIVE
        buckets = self.buckets
        buckets[bucket] = buckets.get(bucket, 0) + 1


def merged(windows: Iterable[Tally], first: int, last: int) -> Tally | None:
    """Return the windows with an index from *first* to *last* as one tally, or None when they hold no value."""
    result = Tally(first)
    for window in windows:
        if first <= window.index <= last and window.count:
            result.count += window.count
            result.total += window.total
            result.squares += window.squares
            result.low = min(result.low, window.low)
            result.high = max(result.high, window.high)
    return result if result.count else None


def quantiles(windows: Sequence[Sketch], now_index: int) -> tuple[float, ...]:
    """Return the quantiles 0.5, 0.9 and 0.99 of the last five windows up to *now_index*; NaN when they are empty.

    Each is the value at its rank, within 1 %, and never beyond the least and greatest value seen.
    """
    oldest = now_index - INTERVAL_WINDOWS
    recent = [window for window in windows if window.index > oldest and window.count]
    if not recent:
        return _NOTHING
    low, high = recent[0].low, recent[0].high
    count = recent[0].count
    buckets = recent[0].buckets
    if len(recent) > 1:
        buckets = buckets.copy()
        for window in recent[1:]:
            count += window.count
            low, high = min(low, window.low), max(high, window.high)
            for bucket, weight in window.buckets.items():
                buckets[bucket] = buckets.get(bucket, 0) + weight
    if low == high:
        return (low, low, low)
    return _at_ranks(buckets, count, low, high)


_NOTHING = (math.nan,) * len(QUANTILES)


def _at_ranks(buckets: dict[int, int], count: int, low: float, high: float) -> tuple[float, ...]:
    found = []
    seen = 0
    ordered = iter(sorted(buckets.items()))
    value = low
    for quantile in QUANTILES:
        rank = _ceil(quantile * count)
        while seen < rank:
            bucket, weight = next(ordered)
            seen += weight
            value = low if bucket == _NOT_POSITIVE else min(high, max(low, _MIDDLE * _GAMMA**bucket))
        found.append(value)
    return tuple(found)

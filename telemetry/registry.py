"""The agent's registry: takes observations from any thread and hands out what a scrape shows.

Series with Nomad's names behave as Nomad's do: each is dropped 60 s after its last update, a counter is born at its
first increment, a sample has the quantiles of the last 10 s and NaN when there was nothing, a gauge is a float32.
`outrider_*` series are the other way round: declared or sampled, they are always there.

Recording takes no lock, so that a scrape that loses the interpreter in the middle cannot hold up the Raft thread: a value
is appended to a list, which no thread can tear, and summed when somebody asks. The lock is for new series, for a new
window every 2 s, for lists grown long, and for reading. It is re-entrant because a signal handler or a finalizer may
record something in the middle of it. An increment of a series that is expiring in the same microsecond may be lost, as
in a real Nomad.

Source: go-metrics prometheus/prometheus.go (PrometheusSink).
"""

import logging
import math
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar, cast

from telemetry import exposition
from telemetry.catalogue import outrider
from telemetry.catalogue.metric import Kind, Metric
from telemetry.clock import Clock
from telemetry.exposition import Family, Row
from telemetry.filters import ALLOW_ALL, Filters
from telemetry.inmem import View
from telemetry.series import Counter, Gauge, Histogram, Labels, Sample, Series, named_labels
from telemetry.windows import NOMADS_FRAME, VALUES_MAX, Frame

EXPIRY_SECONDS = 60.0
"""go-metrics' default, which Nomad does not let anybody change."""

SERIES_MAX = 100_000
"""A real Nomad with 5,000 jobs exported that many, 10 MB a scrape; beyond, new series are refused and counted."""

_LARGEST = 1.7976931348623157e308

_READ_AT_ONCE = 32
"""Series a scrape reads before it lets go of the lock: about 0.1 ms."""

log = logging.getLogger(__name__)

S = TypeVar("S", Counter, Gauge, Sample | Histogram)
_Key = str | tuple[str, str]


class Sampled(NamedTuple):
    """A value that a part of the agent says at the moment of a scrape."""

    metric: Metric
    value: float
    labels: tuple[str, ...] = ()


Sampler = Callable[[], Iterable[Sampled]]


class _Family(Generic[S]):
    """The series of one printed name."""

    __slots__ = ("_ordered", "dotted", "header", "name", "never_expires", "series")

    def __init__(self, metric: Metric, expansion: str) -> None:
        self.name = metric.name.format(expansion)
        self.dotted = metric.dotted.format(expansion)
        self.header = exposition.header(metric, self.name)
        self.never_expires = not self.name.startswith("nomad_")
        self.series: dict[tuple[str, ...], S] = {}
        self._ordered: list[S] | None = None

    def put(self, labels: tuple[str, ...], series: S) -> None:
        """Add a series."""
        self.series[labels] = series
        self._ordered = None

    def drop_idle_since(self, limit: float) -> int:
        """Drop every series that was last updated before *limit*; return how many those were."""
        if self.never_expires:
            return 0
        idle = [labels for labels, series in self.series.items() if series.updated < limit]
        for labels in idle:
            del self.series[labels]
        if idle:
            self._ordered = None
        return len(idle)

    def ordered(self) -> list[S]:
        """Return the series in the order a Nomad prints them: by number of labels, then by their values."""
        if self._ordered is None:
            self._ordered = sorted(self.series.values(), key=_label_order)
        return self._ordered


def _label_order(series: Series) -> tuple[int, list[str]]:
    return len(series.labels), [value for _, value in series.labels]


class _Blocked(dict[tuple[str, ...], S], Generic[S]):
    """Stands for the series of a metric that a filter blocks: whatever is asked for, one series nobody prints."""

    def __init__(self, stand_in: S) -> None:
        super().__init__()
        self._stand_in: S = stand_in

    def __missing__(self, labels: tuple[str, ...]) -> S:
        return self._stand_in


class Registry:
    """Keeps the values of all metrics; implements `telemetry.recorder.Recorder`.

    *host_label* is the value of the label `host` on every series, or None where disable_hostname is set.
    """

    def __init__(
        self,
        clock: Clock,
        host_label: str | None = None,
        filters: Filters = ALLOW_ALL,
        series_max: int = SERIES_MAX,
        frame: Frame = NOMADS_FRAME,
    ) -> None:
        self._monotonic = clock.monotonic
        # Windows are counted from the Unix epoch, so that intervals begin at full tens of seconds as Nomad's do.
        self._epoch = clock.wall() - clock.monotonic()
        self._frame = frame
        self._born_window = self._window(clock.monotonic())
        self._host = host_label
        self._filters = filters
        self._series_max = series_max
        self._lock = threading.RLock()
        self._counters: dict[_Key, dict[tuple[str, ...], Counter]] = {}
        self._gauges: dict[_Key, dict[tuple[str, ...], Gauge]] = {}
        self._samples: dict[_Key, dict[tuple[str, ...], Sample | Histogram]] = {}
        self._families: dict[str, _Family[Any]] = {}
        self._samplers: list[tuple[str, Sampler]] = []
        self._sampled_headers: dict[str, str] = {}
        self._sampled_prefixes: dict[tuple[str, tuple[str, ...]], str] = {}
        self._series_count = 0
        self._refused = 0
        self._purged_at = -math.inf

    # Recording.

    def add(self, metric: Metric, amount: float = 1.0, labels: tuple[str, ...] = (), expansion: str = "") -> None:
        """Increase a counter by *amount*; the first call creates the series.

        Raises ValueError for a negative or infinite amount, a metric that is no counter, or labels that are not its.
        """
        if not 0 <= amount <= _LARGEST:
            raise ValueError(f"metric {metric.name!r}: a counter cannot grow by {amount}")
        now = self._monotonic()
        try:
            series = self._counters[(metric.name, expansion) if expansion else metric.name][labels]
        except KeyError:
            with self._lock:
                series = self._create(self._counters, Counter, Kind.COUNTER, metric, labels, expansion)
        series.updated = now
        tally = series.tally
        if now >= tally.until:
            with self._lock:
                tally = series.turn(*self._window_and_end(now))
        tally.values.append(amount)
        if len(tally.values) >= VALUES_MAX:
            with self._lock:
                series.fold(tally)

    def set(self, metric: Metric, value: float, labels: tuple[str, ...] = (), expansion: str = "") -> None:
        """Set a gauge; one with Nomad's name is dropped 60 s after the last call.

        Raises ValueError for a metric that is no gauge, or labels that are not its.
        """
        try:
            series = self._gauges[(metric.name, expansion) if expansion else metric.name][labels]
        except KeyError:
            with self._lock:
                series = self._create(self._gauges, Gauge, Kind.GAUGE, metric, labels, expansion)
        series.value = value
        series.updated = self._monotonic()

    def observe(self, metric: Metric, value: float, labels: tuple[str, ...] = (), expansion: str = "") -> None:
        """Add one observation, in the unit of the metric, to a sample or a histogram.

        Raises ValueError for a value that is not finite, a metric that is neither, or labels that are not its.
        """
        if not -_LARGEST <= value <= _LARGEST:
            raise ValueError(f"metric {metric.name!r}: {value} is no observation")
        now = self._monotonic()
        try:
            series = self._samples[(metric.name, expansion) if expansion else metric.name][labels]
        except KeyError:
            with self._lock:
                series = self._observed(metric, labels, expansion)
        series.updated = now
        tally = series.tally
        if now >= tally.until:
            with self._lock:
                tally = series.turn(*self._window_and_end(now))
        tally.values.append(value)
        if len(tally.values) >= VALUES_MAX:
            with self._lock:
                series.fold(tally)

    def declare(self, metric: Metric, labels: tuple[str, ...] = (), expansion: str = "") -> None:
        """Create a series at zero, so that its first increment shows as an increase; meant for `outrider_*`."""
        match metric.kind:
            case Kind.COUNTER:
                self.add(metric, 0.0, labels, expansion)
            case Kind.GAUGE:
                self.set(metric, 0.0, labels, expansion)
            case Kind.HISTOGRAM:
                with self._lock:
                    self._observed(metric, labels, expansion)
            case Kind.SAMPLE | Kind.UNTYPED:
                raise ValueError(f"metric {metric.name!r}: a {metric.kind.value} has no zero to declare")

    def register_sampler(self, sampler: Sampler, name: str = "") -> None:
        """Ask *sampler* at every scrape for values of that moment; they never expire.

        One that raises is logged, counted in outrider_task_failures_total and left out of that scrape.
        """
        name = name or getattr(sampler, "__qualname__", "sampler")
        self.declare(outrider.TASK_FAILURES_TOTAL, (f"sampler {name}",))
        self._samplers.append((name, sampler))

    # Reading.

    def families(self) -> list[Family]:
        """Return every family that is not empty, sorted by name; series nobody updated for 60 s are dropped first."""
        self._purge()
        rows, headers = self._sample()
        window = self._window(self._monotonic())
        with self._lock:
            kept = [family for family in self._families.values() if family.series]
        for family in kept:
            headers[family.name] = family.header
            rows.setdefault(family.name, []).extend(self._rows(family, window))
        return [Family(headers[name], rows[name]) for name in sorted(rows)]

    def exposition(self) -> bytes:
        """Return the body of a scrape, text 0.0.4."""
        return exposition.encode(self.families())

    def in_memory(self) -> dict[str, Any]:
        """Return the JSON body of `/v1/metrics`: the last finished interval; the one under way if no other is kept."""
        frame = self._frame
        first = self._window(self._monotonic()) // frame.interval_windows * frame.interval_windows
        if self._born_window < first and frame.intervals_kept > 1:
            first -= frame.interval_windows
        view = View(first, frame.begins(first) - self._epoch, frame)
        with self._lock:
            kept = list(self._families.values())
        for family in kept:
            if not family.never_expires:
                for series in self._series(family):
                    with self._lock:
                        view.add(family.dotted, series)
        return view.body()

    def stats(self) -> Iterator[Sampled]:
        """Say how many series there are and how many observations were refused."""
        yield Sampled(outrider.METRICS_SERIES, self._series_count)
        yield Sampled(outrider.METRICS_SERIES_REFUSED_TOTAL, self._refused)

    # Inside.

    def _window(self, now: float) -> int:
        return self._frame.window(now + self._epoch)

    def _window_and_end(self, now: float) -> tuple[int, float]:
        window = self._window(now)
        return window, self._frame.begins(window + 1) - self._epoch

    def _observed(self, metric: Metric, labels: tuple[str, ...], expansion: str) -> Sample | Histogram:
        if metric.kind is Kind.HISTOGRAM:
            make = partial(Histogram, bounds=metric.buckets)
            return self._create(self._samples, make, Kind.HISTOGRAM, metric, labels, expansion)
        return self._create(self._samples, Sample, Kind.SAMPLE, metric, labels, expansion)

    def _create(
        self,
        index: dict[_Key, dict[tuple[str, ...], S]],
        make: Callable[[str, Labels, float, Frame], S],
        kind: Kind,
        metric: Metric,
        labels: tuple[str, ...],
        expansion: str,
    ) -> S:
        if metric.kind is not kind:
            raise ValueError(f"metric {metric.name!r} is a {metric.kind.value}, but was used as a {kind.value}")
        if expansion not in (metric.expansions or ("",)):
            raise ValueError(f"metric {metric.name!r}: {expansion!r} is none of its words {metric.expansions}")
        named = named_labels(metric, labels, self._host)
        name = metric.name.format(expansion)
        now = self._monotonic()
        if not self._filters.allows(metric, expansion):
            blocked: _Blocked[S] = _Blocked(make(name, named, now, self._frame))
            index[(metric.name, expansion) if expansion else metric.name] = blocked
            return blocked[labels]
        family = self._families.get(name)
        if family is not None and (existing := family.series.get(labels)) is not None:
            return cast("S", existing)  # another thread was first
        if self._series_count >= self._series_max and not self._made_room(now):
            self._refused += 1
            return make(name, named, now, self._frame)
        if family is None:
            family = self._families[name] = _Family(metric, expansion)
        index[(metric.name, expansion) if expansion else metric.name] = family.series
        series = make(name, named, now, self._frame)
        family.put(labels, series)
        self._series_count += 1
        return series

    def _made_room(self, now: float) -> bool:
        # Nobody may be scraping, so what has expired may still be there; looking for it costs, so once a second.
        if now - self._purged_at >= 1.0:
            self._purge()
        return self._series_count < self._series_max

    def _purge(self) -> None:
        now = self._monotonic()
        self._purged_at = now
        with self._lock:
            for family in self._families.values():
                self._series_count -= family.drop_idle_since(now - EXPIRY_SECONDS)

    def _series(self, family: _Family[Any]) -> list[Series]:
        with self._lock:
            return family.ordered()

    def _rows(self, family: _Family[Any], window: int) -> list[Row]:
        rows: list[Row] = []
        ordered = self._series(family)
        for start in range(0, len(ordered), _READ_AT_ONCE):
            with self._lock:
                for series in ordered[start : start + _READ_AT_ONCE]:
                    rows += series.rows(window)
        return rows

    def _sample(self) -> tuple[dict[str, list[Row]], dict[str, str]]:
        said: dict[str, dict[str, float]] = {}
        headers: dict[str, str] = {}
        for metric, value, labels in self._ask_all():
            name = metric.name
            if name not in said:
                if not (header := self._sampled_header(metric)):
                    continue
                headers[name] = header
                said[name] = {}
            # Said twice, a series would make the whole scrape invalid; so the last word counts.
            said[name][self._sampled_prefix(metric, labels)] = value
        return {name: list(values.items()) for name, values in said.items()}, headers

    def _ask_all(self) -> list[Sampled]:
        said = list(self.stats())
        for name, sampler in self._samplers:
            try:
                said += sampler()
            except Exception:  # the root of foreign code: one broken part must not blind the whole scrape
                log.exception("sampler failed", extra={"sampler": name})
                self.add(outrider.TASK_FAILURES_TOTAL, labels=(f"sampler {name}",))
        return said

    def _sampled_header(self, metric: Metric) -> str:
        header = self._sampled_headers.get(metric.name)
        if header is None:
            header = exposition.header(metric, metric.name) if self._filters.allows(metric) else ""
            self._sampled_headers[metric.name] = header
        return header

    def _sampled_prefix(self, metric: Metric, labels: tuple[str, ...]) -> str:
        key = (metric.name, labels)
        start = self._sampled_prefixes.get(key)
        if start is None:
            # A Nomad's process_* series come from another library and never carry the host.
            host = None if metric.name.startswith("process_") else self._host
            start = exposition.prefix(metric.name, named_labels(metric, labels, host))
            if len(self._sampled_prefixes) >= self._series_max:
                self._sampled_prefixes.clear()
            self._sampled_prefixes[key] = start
        return start

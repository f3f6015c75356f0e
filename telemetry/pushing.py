"""A registry that also hands every value to sinks, as it is recorded.

A class of its own, so that an agent without sinks pays nothing for them. Filters apply to sinks, too. What is sampled at
a scrape (most of `outrider_*`) is sampled at each collection as well, as a Nomad sets all gauges that it pushes. Never
pushed are histograms, whose buckets statsd has no type for and which say again what a sample of Nomad's does, and
`process_*`, which a Nomad has from the Prometheus library alone.
"""

from collections.abc import Sequence

from telemetry.catalogue.metric import Kind, Metric
from telemetry.clock import Clock
from telemetry.filters import ALLOW_ALL, Filters
from telemetry.registry import SERIES_MAX, Registry
from telemetry.series import named_labels
from telemetry.sinks.lines import Line, Series
from telemetry.sinks.sender import Sink
from telemetry.windows import NOMADS_FRAME, Frame

_PROCESS = "process_"


class PushingRegistry(Registry):
    """Keeps all values and pushes each to *sinks*; *host_in_name* stands in gauges' names where they are pushed."""

    def __init__(
        self,
        clock: Clock,
        host_label: str | None = None,
        filters: Filters = ALLOW_ALL,
        frame: Frame = NOMADS_FRAME,
        *,
        sinks: Sequence[Sink],
        host_in_name: str = "",
    ) -> None:
        super().__init__(clock, host_label, filters, frame=frame)
        self._sinks = tuple(sinks)
        self._host_in_name = host_in_name
        self._pushed: dict[tuple[str, str, tuple[str, ...]], tuple[tuple[Sink, Line], ...]] = {}
        self._totals: dict[tuple[str, tuple[str, ...]], float] = {}

    def add(self, metric: Metric, amount: float = 1.0, labels: tuple[str, ...] = (), expansion: str = "") -> None:
        """Increase a counter and push the increase."""
        super().add(metric, amount, labels, expansion)
        self._push(metric, amount, labels, expansion)

    def set(self, metric: Metric, value: float, labels: tuple[str, ...] = (), expansion: str = "") -> None:
        """Set a gauge and push its value."""
        super().set(metric, value, labels, expansion)
        self._push(metric, value, labels, expansion)

    def observe(self, metric: Metric, value: float, labels: tuple[str, ...] = (), expansion: str = "") -> None:
        """Add an observation to a sample and push it."""
        super().observe(metric, value, labels, expansion)
        self._push(metric, value, labels, expansion)

    def push_sampled(self) -> None:
        """Ask every sampler and push what it says, of a counter by how much it grew; to be called at each collection."""
        for metric, value, labels in self._ask_all():
            if metric.name.startswith(_PROCESS):
                continue
            if metric.kind is not Kind.COUNTER:
                self._push(metric, value, labels, "")
            elif grown := value - self._totals.get((metric.name, labels), 0.0):
                self._totals[metric.name, labels] = value
                self._push(metric, grown, labels, "")

    def _push(self, metric: Metric, value: float, labels: tuple[str, ...], expansion: str) -> None:
        pushed = self._pushed.get((metric.name, expansion, labels))
        if pushed is None:
            pushed = self._lines(metric, labels, expansion)
        for sink, line in pushed:
            sink.push(line, value)

    def _lines(self, metric: Metric, labels: tuple[str, ...], expansion: str) -> tuple[tuple[Sink, Line], ...]:
        pushed: tuple[tuple[Sink, Line], ...] = ()
        if metric.kind is not Kind.HISTOGRAM and self._filters.allows(metric, expansion):
            # In the name or as a label: a Nomad never says the host twice.
            host = None if self._host_in_name else self._host
            series = Series(metric, expansion, named_labels(metric, labels, host), self._host_in_name)
            pushed = tuple((sink, sink.line(series)) for sink in self._sinks)
        if len(self._pushed) >= SERIES_MAX:
            # Series that ended are never told apart from those that live; lines are made anew in a moment.
            self._pushed.clear()
        self._pushed[metric.name, expansion, labels] = pushed
        return pushed

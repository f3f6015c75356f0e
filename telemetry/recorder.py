"""The write side of telemetry: what a part of the agent may do with a metric.

Labels are given as a tuple of values in the order of `Metric.labels`: cheap at the point of action, and wrong
arity is a bug that the registry reports at once.
"""

from typing import Protocol

from telemetry.catalogue.metric import Metric


class Recorder(Protocol):
    """Takes observations from any thread; never blocks for longer than a dictionary update."""

    def add(self, metric: Metric, amount: float = 1.0, labels: tuple[str, ...] = (), expansion: str = "") -> None:
        """Increase a counter by *amount*, which is not negative; the first call creates the series."""

    def set(self, metric: Metric, value: float, labels: tuple[str, ...] = (), expansion: str = "") -> None:
        """Set a gauge; it expires 60 s after the last call."""

    def observe(self, metric: Metric, value: float, labels: tuple[str, ...] = (), expansion: str = "") -> None:
        """Add one observation, in the unit of the metric, to a sample or a histogram."""


class NullRecorder:
    """Forgets everything; for parts used outside an agent."""

    __slots__ = ()

    def add(self, metric: Metric, amount: float = 1.0, labels: tuple[str, ...] = (), expansion: str = "") -> None:
        """Forget an increment."""

    def set(self, metric: Metric, value: float, labels: tuple[str, ...] = (), expansion: str = "") -> None:
        """Forget a value."""

    def observe(self, metric: Metric, value: float, labels: tuple[str, ...] = (), expansion: str = "") -> None:
        """Forget an observation."""

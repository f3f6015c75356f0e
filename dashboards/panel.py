"""What a dashboard is: rows of panels whose every query parses and resolves against the catalogue when constructed.

Unit and description come from the metric a panel is about; the queries stay plain PromQL, with Grafana's variables
where a dashboard has them. Nothing here knows Grafana's JSON.
"""

import re
from dataclasses import dataclass
from enum import Enum

from alert_rules.promql import Query, QueryError, resolve
from telemetry.catalogue.metric import Metric, Unit

GRID_WIDTH = 24
"""Columns of Grafana's grid."""

VARIABLES = {
    "$__rate_interval": "1m",
    "$__interval": "15s",
    "$__range": "1h",
    "$cluster": "cluster",
    "$region": "region",
}
"""Grafana's variables that a query may hold, with a value that stands for each when the query is checked."""

_UNKNOWN_VARIABLE = re.compile(r"\$\{?\w+")
_LEGEND_LABEL = re.compile(r"\{\{\s*(\w+)\s*\}\}")


class PanelError(ValueError):
    """A panel or dashboard that cannot be right; the message names it."""


class PanelKind(Enum):
    """How a panel shows its series."""

    STAT = "stat"
    """One large value, or the name of a series."""
    TIMESERIES = "timeseries"
    STATE_TIMELINE = "state-timeline"


class Color(Enum):
    """What a value means; the value is Grafana's word."""

    GOOD = "green"
    CAUTION = "orange"
    BAD = "red"
    PLAIN = "blue"


@dataclass(frozen=True, slots=True)
class Series:
    """One query of a panel and the name its series get; `{{label}}` in *legend* stands for a label's value."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A rectangle of a dashboard, *width* columns and *height* grid units of 30 pixels large.

    *about* is the metric the panel tells of: its unit and meaning are the panel's unless *unit* or *description*
    say otherwise. *steps* are (from this value on, color), lowest first; *words* give values a name and a color.
    Raises PanelError for a query that does not resolve, a legend label that no series surely has, or sizes that
    do not fit.
    """

    title: str
    about: Metric
    series: tuple[Series, ...]
    width: int
    height: int
    kind: PanelKind = PanelKind.TIMESERIES
    unit: Unit | None = None
    description: str = ""
    steps: tuple[tuple[float | None, Color], ...] = ((None, Color.PLAIN),)
    words: tuple[tuple[float, str, Color], ...] = ()
    shows_name: bool = False
    """For a `STAT`: show the name of the series, not its value."""
    when_empty: str = "no data"
    stacks: bool = False

    def __post_init__(self) -> None:
        if not self.series or not self.title:
            raise PanelError(f"panel {self.title!r} has no title or no query")
        if not 1 <= self.width <= GRID_WIDTH or self.height < 2:
            raise PanelError(f"panel {self.title!r} is {self.width} by {self.height}; at most {GRID_WIDTH} columns")
        for series in self.series:
            query = self._resolved(series)
            for label in _LEGEND_LABEL.findall(series.legend):
                if label not in query.shape.labels:
                    raise PanelError(f"panel {self.title!r}: {series.expr} does not surely have the label {label!r}")
            unit = query.shape.unit
            if unit is not None and unit is not self.shown_unit:
                raise PanelError(
                    f"panel {self.title!r} shows {self.shown_unit.name}, but {series.expr} is in {unit.name}"
                )

    @property
    def shown_unit(self) -> Unit:
        """The unit of the axis."""
        return self.about.unit if self.unit is None else self.unit

    @property
    def text(self) -> str:
        """What the panel's information mark says: what the panel is for, then what the metric means."""
        return f"{self.description} {self.about.meaning}".strip()

    def _resolved(self, series: Series) -> Query:
        try:
            return resolve(substituted(series.expr))
        except QueryError as error:
            raise PanelError(f"panel {self.title!r}: {series.expr}: {error}") from None


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading, placed from the left and wrapped at the grid's width."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """A variable at the top of a dashboard, filled from the values of *label* on *series*."""

    name: str
    title: str
    series: str
    label: str

    def __post_init__(self) -> None:
        if f"${self.name}" not in VARIABLES:
            raise PanelError(f"variable {self.name!r} is not among those that queries are checked with")
        try:
            query = resolve(substituted(self.series))
        except QueryError as error:
            raise PanelError(f"variable {self.name!r}: {error}") from None
        if self.label not in query.shape.labels:
            raise PanelError(f"variable {self.name!r}: {self.series} has no label {self.label!r}")


@dataclass(frozen=True, slots=True)
class Note:
    """Marks on the time axis of every panel, where *expr* has a value; *title* and *text* may hold `{{label}}`."""

    name: str
    expr: str
    title: str
    text: str

    def __post_init__(self) -> None:
        try:
            query = resolve(substituted(self.expr))
        except QueryError as error:
            raise PanelError(f"annotation {self.name!r}: {error}") from None
        for label in _LEGEND_LABEL.findall(self.title + self.text):
            if label not in query.shape.labels:
                raise PanelError(f"annotation {self.name!r}: {self.expr} does not surely have the label {label!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """A page of Grafana; *uid* is part of its address and must stay what it was once links point there."""

    uid: str
    title: str
    description: str
    choices: tuple[Choice, ...]
    notes: tuple[Note, ...]
    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        titles = [panel.title for panel in self.panels]
        twice = sorted({title for title in titles if titles.count(title) > 1})
        if twice:
            raise PanelError(f"dashboard {self.title!r} has {twice} twice")

    @property
    def panels(self) -> tuple[Panel, ...]:
        """Every panel in reading order."""
        return tuple(panel for row in self.rows for panel in row.panels)


def substituted(expr: str) -> str:
    """Return *expr* with a value for each of Grafana's variables; raises QueryError for one that is not known."""
    for name, value in VARIABLES.items():
        expr = expr.replace(name, value)
    unknown = _UNKNOWN_VARIABLE.search(expr)
    if unknown is not None:
        raise QueryError(f"unknown variable {unknown.group()}")
    return expr

"""What a dashboard is: rows of panels whose every query parses and resolves against the catalogue when constructed.

Unit and description come from the metric a panel is about; the queries stay plain PromQL, with Grafana's variables
where a dashboard has them. Nothing here knows Grafana's JSON.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import promql_parser as pp

from alert_rules.promql import Query, QueryError, resolve
from alert_rules.settings import Choice as AlertChoice
from alert_rules.settings import RuleSettings
from alert_rules.spec import AlertSpec
from alert_rules.views import View
from telemetry.catalogue.metric import Metric, Unit

GRID_WIDTH = 24
"""Columns of Grafana's grid."""

VARIABLES = {
    "$__rate_interval": "1m",
    "$__interval": "15s",
    "$__range": "1h",
    "$cluster": "cluster",
    "$region": "region",
    "$role": "role",
    "$instance": "instance",
    "$job": "job",
    "$namespace": "namespace",
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
    TABLE = "table"
    """One row for each set of labels, one column for each query."""
    BAR_GAUGE = "bargauge"


class Color(Enum):
    """What a value means; the value is Grafana's word."""

    GOOD = "green"
    CAUTION = "orange"
    BAD = "red"
    PLAIN = "blue"


_Steps = tuple[tuple[float | None, Color], ...]
_Words = tuple[tuple[float, str, Color], ...]


def _same(value: float, settings: RuleSettings) -> float:
    del settings
    return value


@dataclass(frozen=True, slots=True)
class Limit:
    """The line of an alert, read from the settings of its rule: *number* of *spec*, as the operator chose it.

    *at* turns it into the line where the alert reckons with it, or fires only beyond it. On the bad side of the line values have *color*; that is above,
    unless *is_floor* says below. An alert that is switched off draws no line.
    """

    spec: AlertSpec
    number: str
    color: Color = Color.BAD
    is_floor: bool = False
    at: Callable[[float, RuleSettings], float] = _same

    def value(self, settings: RuleSettings) -> float | None:
        """Return where the line is, None when the alert is off."""
        choice = settings.choices.get(self.spec.alert, AlertChoice())
        return self.at(self.spec.chosen(choice)[self.number], settings) if choice.enabled else None


@dataclass(frozen=True, slots=True)
class Series:
    """One query of a panel and the name its series get; `{{label}}` in *legend* stands for a label's value.

    In a table *legend* is the name of the column, which may have a *unit*, *steps* and *words* of its own.
    """

    expr: str
    legend: str
    unit: Unit | None = None
    steps: _Steps = ()
    words: _Words = ()


@dataclass(frozen=True, slots=True)
class Lead:
    """A link from a value to a dashboard, whose variables are filled from the labels of the value.

    *labels* are among those of the view; the variables of this dashboard fill the others.
    """

    title: str
    view: View
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A rectangle of a dashboard, *width* columns and *height* grid units of 30 pixels large.

    *about* is the metric the panel tells of: its unit and meaning are the panel's unless *unit* or *description*
    say otherwise. *good* and *bad* say what a healthy and what a sick cluster shows. *steps* are (from this value on,
    color), lowest first; *limits* are the lines of alerts, in place of steps; *words* give values a name and a color.
    *columns* are the labels of a table. *runbook_label* is the label with the name of an alert, whose runbook is linked.
    Raises PanelError for a query that does not resolve, a legend label that no series surely has, a limit in another
    unit, or sizes that do not fit.
    """

    title: str
    about: Metric
    series: tuple[Series, ...]
    good: str
    bad: str
    width: int
    height: int
    kind: PanelKind = PanelKind.TIMESERIES
    unit: Unit | None = None
    description: str = ""
    steps: _Steps = ((None, Color.PLAIN),)
    limits: tuple[Limit, ...] = ()
    words: _Words = ()
    columns: tuple[str, ...] = ()
    leads: tuple[Lead, ...] = ()
    runbook_label: str = ""
    shows_name: bool = False
    """For a `STAT`: show the name of the series, not its value."""
    when_empty: str = "no data"
    stacks: bool = False

    def __post_init__(self) -> None:
        if not self.series or not self.title:
            raise PanelError(f"panel {self.title!r} has no title or no query")
        if not self.good.endswith(".") or not self.bad.endswith("."):
            raise PanelError(f"panel {self.title!r} does not say what good and bad look like, in a sentence each")
        if not 1 <= self.width <= GRID_WIDTH or self.height < 2:
            raise PanelError(f"panel {self.title!r} is {self.width} by {self.height}; at most {GRID_WIDTH} columns")
        if (self.kind is PanelKind.TABLE) != bool(self.columns):
            raise PanelError(f"panel {self.title!r}: a table, and nothing else, has columns")
        for series in self.series:
            query = self._resolved(series)
            self._check_labels(series, query)
            unit = query.shape.unit
            if unit is not None and unit is not self.unit_of(series):
                raise PanelError(
                    f"panel {self.title!r} shows {self.unit_of(series).name}, but {series.expr} is in {unit.name}"
                )
        for limit in self.limits:
            unit = limit.spec.number(limit.number).unit
            if limit.at is _same and unit is not self.shown_unit:
                raise PanelError(
                    f"panel {self.title!r} shows {self.shown_unit.name}, but {limit.number} of {limit.spec.alert} is in "
                    f"{unit.name}"
                )

    def _check_labels(self, series: Series, query: Query) -> None:
        for label in _LEGEND_LABEL.findall(series.legend):
            if label not in query.shape.labels:
                raise PanelError(f"panel {self.title!r}: {series.expr} does not surely have the label {label!r}")
        if self.kind is not PanelKind.TABLE:
            return
        # What has no grouping keeps its name, and Grafana joins no rows of different names.
        is_grouped = isinstance(pp.parse(substituted(series.expr)), pp.AggregateExpr)
        if not is_grouped or query.shape.labels != set(self.columns):
            raise PanelError(
                f"panel {self.title!r}: {series.expr} gives {sorted(query.shape.labels)}; aggregate it by the columns "
                f"{', '.join(self.columns)}"
            )

    def unit_of(self, series: Series) -> Unit:
        """Return the unit in which *series* is shown."""
        return self.shown_unit if series.unit is None else series.unit

    def steps_by(self, settings: RuleSettings) -> _Steps:
        """Return from which value on which color is shown: by the lines of alerts, where the panel has such."""
        lines = sorted(
            ((value, limit) for limit in self.limits if (value := limit.value(settings)) is not None),
            key=lambda line: line[0],
        )
        if not lines:
            return self.steps
        if lines[0][1].is_floor:
            above = [limit.color for _, limit in lines[1:]] + [Color.GOOD]
            return (
                (None, lines[0][1].color),
                *((value, color) for (value, _), color in zip(lines, above, strict=True)),
            )
        return ((None, Color.GOOD), *((value, limit.color) for value, limit in lines))

    @property
    def shown_unit(self) -> Unit:
        """The unit of the axis."""
        return self.about.unit if self.unit is None else self.unit

    @property
    def text(self) -> str:
        """What the panel's information mark says: what it is for, what the metric means, what good and bad look like."""
        meaning = f"{self.description} {self.about.meaning}".strip()
        return f"{meaning} Good: {self.good} Bad: {self.bad}"

    def _resolved(self, series: Series) -> Query:
        try:
            return resolve(substituted(series.expr))
        except QueryError as error:
            raise PanelError(f"panel {self.title!r}: {series.expr}: {error}") from None


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading, placed from the left and wrapped at the grid's width.

    *is_ours* says that a real Nomad has nothing to show in it: its series come from Outrider's agent or exporter, which
    the heading then tells. Raises PanelError for a panel with such series in another row.
    """

    title: str
    panels: tuple[Panel, ...]
    is_ours: bool = False

    def __post_init__(self) -> None:
        for panel in self.panels:
            for series in panel.series:
                tree = pp.parse(substituted(series.expr))
                if not self.is_ours and all(_asks_for_ours(arm) for arm in _arms(tree)):
                    raise PanelError(f"panel {panel.title!r}: {series.expr} is of no Nomad: mark the row as ours")

    @property
    def heading(self) -> str:
        """The title, and whose series the row needs."""
        return f"{self.title} (only with Outrider's agent or exporter)" if self.is_ours else self.title


@dataclass(frozen=True, slots=True)
class Choice:
    """A variable at the top of a dashboard, filled from the values of *label* on *series*.

    *has_all* adds "All", which is chosen at first, and lets several be chosen: queries match it with `=~`.
    """

    name: str
    title: str
    series: str
    label: str
    has_all: bool = False

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
    color: Color = Color.BAD

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
    """A page of Grafana, at the address of *view*.

    Raises PanelError when two panels have one title, or when the variables that links fill are not among its choices.
    """

    view: View
    description: str
    choices: tuple[Choice, ...]
    notes: tuple[Note, ...]
    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        lacking = sorted(set(self.view.variables) - {choice.name for choice in self.choices})
        if lacking:
            raise PanelError(f"dashboard {self.title!r}: links fill {lacking}, for which it has no variable")
        titles = [panel.title for panel in self.panels]
        twice = sorted({title for title in titles if titles.count(title) > 1})
        if twice:
            raise PanelError(f"dashboard {self.title!r} has {twice} twice")

    @property
    def title(self) -> str:
        """What it is called."""
        return self.view.title

    @property
    def uid(self) -> str:
        """Part of its address, which must stay what it was once links point there."""
        return self.view.uid

    @property
    def panels(self) -> tuple[Panel, ...]:
        """Every panel in reading order."""
        return tuple(panel for row in self.rows for panel in row.panels)


def _arms(tree: pp.Expr) -> tuple[pp.Expr, ...]:
    """Return the alternatives of which a query is made with `or`."""
    if isinstance(tree, pp.ParenExpr):
        return _arms(tree.expr)
    if isinstance(tree, pp.BinaryExpr) and str(tree.op) == "or":
        return (*_arms(tree.lhs), *_arms(tree.rhs))
    return (tree,)


def _asks_for_ours(arm: pp.Expr) -> bool:
    return any(name.startswith("outrider_") for name in resolve(str(arm)).metrics)


def substituted(expr: str) -> str:
    """Return *expr* with a value for each of Grafana's variables; raises QueryError for one that is not known."""
    for name, value in VARIABLES.items():
        expr = expr.replace(name, value)
    unknown = _UNKNOWN_VARIABLE.search(expr)
    if unknown is not None:
        raise QueryError(f"unknown variable {unknown.group()}")
    return expr

"""PromQL resolved against the catalogue: which labels and which unit a query has, and what is wrong with it.

Found at construction: a metric or label that does not exist, `rate()` of what does not grow, a comparison across
units or with a value the unit cannot have, a `by` or `on` that names a label which is not there.
Labels are those that every arm of the query surely has: after `or`, the ones both arms have.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches

import promql_parser as pp

from alert_rules.recorded import KNOWN
from telemetry.catalogue import TARGET_LABELS, Catalogue
from telemetry.catalogue.metric import Role, Unit

_FOR_COUNTERS = {"rate", "irate", "increase", "resets"}
_FOR_GAUGES = {"delta", "idelta", "deriv", "predict_linear"}
_KEEP_UNIT = {
    "abs",
    "avg_over_time",
    "ceil",
    "clamp",
    "clamp_max",
    "clamp_min",
    "delta",
    "floor",
    "increase",
    "last_over_time",
    "max_over_time",
    "min_over_time",
    "quantile_over_time",
    "round",
    "sort",
    "sort_desc",
    "sum_over_time",
}
_COUNTING = {"count_over_time", "changes", "resets"}
_SCALARS = {"scalar", "time", "pi"}
_COMPARISONS = {"==", "!=", ">", "<", ">=", "<="}
_SET_OPERATIONS = {"and", "or", "unless"}
_KEEPS_ALL_LABELS = {"topk", "bottomk"}


class QueryError(ValueError):
    """A query that cannot be right; the message lists every problem found."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What is known of a query's result: the labels every series has, and its unit, None when unknown.

    *number* is the value of a literal; *is_scalar* says that there are no series at all.
    """

    labels: frozenset[str] = frozenset()
    unit: Unit | None = None
    is_scalar: bool = False
    number: float | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """A query that parsed and resolved."""

    text: str
    shape: Shape
    metrics: frozenset[str]
    """Names of the series it selects, in the catalogue's spelling."""


def resolve(text: str, catalogue: Catalogue = KNOWN) -> Query:
    """Return what *text* yields; raise QueryError with everything that is wrong with it."""
    try:
        tree = pp.parse(text)
    except ValueError as error:
        raise QueryError(f"not PromQL: {error}") from None
    reader = _Reader(catalogue)
    shape = reader.shape(tree)
    if reader.problems:
        raise QueryError("; ".join(reader.problems))
    return Query(text, shape, frozenset(reader.metrics))


def is_selector(matchers: str) -> bool:
    """Say whether *matchers* may stand between braces."""
    try:
        tree = pp.parse(f"up{{{matchers}}}")
    except ValueError:
        return False
    return isinstance(tree, pp.VectorSelector)


@dataclass(slots=True)
class _Reader:
    """Walks one parsed query and gathers problems on the way."""

    catalogue: Catalogue
    problems: list[str] = field(default_factory=list)
    metrics: set[str] = field(default_factory=set)

    def shape(self, tree: pp.Expr, function: str = "") -> Shape:
        """Return the shape of *tree*; *function* is the one whose argument it is."""
        match tree:
            case pp.NumberLiteral():
                return Shape(is_scalar=True, number=tree.val)
            case pp.StringLiteral():
                return Shape(is_scalar=True)
            case pp.VectorSelector():
                return self._selector(tree, function)
            case pp.MatrixSelector():
                return self._selector(tree.vector_selector, function)
            case pp.ParenExpr():
                return self.shape(tree.expr, function)
            case pp.UnaryExpr() | pp.SubqueryExpr():
                return self.shape(tree.expr)
            case pp.Call():
                return self._call(tree)
            case pp.AggregateExpr():
                return self._aggregate(tree)
            case pp.BinaryExpr():
                return self._binary(tree)
        raise QueryError(f"a form of PromQL that is not understood here: {type(tree).__name__}")

    def _selector(self, selector: pp.VectorSelector, function: str) -> Shape:
        entry = self.catalogue.find(selector.name or "")
        if entry is None:
            near = get_close_matches(selector.name or "", self.catalogue.series_names(), n=1)
            self.problems.append(f"unknown metric {selector.name!r}" + (f", did you mean {near[0]!r}?" if near else ""))
            return Shape()
        self.metrics.add(entry.name)
        labels = entry.labels if entry.metric.exporter is Role.RULE else entry.labels | TARGET_LABELS
        for matcher in selector.matchers.matchers:
            if matcher.name not in labels:
                self.problems.append(f"{entry.name} has no label {matcher.name!r}")
        # How often what is 0 or 1 fell is a sound question.
        counts_falls = function == "resets" and entry.metric.unit is Unit.BOOLEAN
        if function in _FOR_COUNTERS and not entry.is_cumulative and not counts_falls:
            self.problems.append(f"{function}() of {entry.name}, which does not only grow")
        if function in _FOR_GAUGES and entry.is_cumulative:
            self.problems.append(f"{function}() of the counter {entry.name}")
        counts = entry.is_cumulative and entry.name.endswith(("_count", "_bucket"))
        return Shape(labels, Unit.COUNT if counts else entry.metric.unit)

    def _call(self, call: pp.Call) -> Shape:
        name = str(call.func.name)
        arguments = [self.shape(argument, name) for argument in call.args]
        if name in _SCALARS:
            return Shape(is_scalar=True)
        vector = next((shape for shape in arguments if not shape.is_scalar), Shape())
        if name == "vector":
            return Shape(unit=Unit.COUNT)
        if name in {"absent", "absent_over_time"}:
            return Shape(_pinned_labels(call.args[0]), Unit.COUNT)
        if name == "label_replace":
            return Shape(vector.labels | {call.args[1].val}, vector.unit)
        if name == "histogram_quantile":
            return Shape(vector.labels - {"le"}, vector.unit)
        if name in _COUNTING:
            return Shape(vector.labels, Unit.COUNT)
        return Shape(vector.labels, vector.unit if name in _KEEP_UNIT else None)

    def _aggregate(self, tree: pp.AggregateExpr) -> Shape:
        inner = self.shape(tree.expr)
        operation = str(tree.op)
        unit = _aggregated_unit(operation, inner.unit)
        if operation in _KEEPS_ALL_LABELS:
            return Shape(inner.labels, unit)
        if tree.modifier is None:
            return Shape(frozenset(), unit)
        named = frozenset(tree.modifier.labels)
        if tree.modifier.type == pp.AggModifierType.Without:
            return Shape(inner.labels - named, unit)
        for label in sorted(named - inner.labels):
            self.problems.append(f"{operation} by {label!r}, which {tree.expr} does not surely have")
        return Shape(named & inner.labels, unit)

    def _binary(self, tree: pp.BinaryExpr) -> Shape:
        left, right = self.shape(tree.lhs), self.shape(tree.rhs)
        operation = str(tree.op)
        if operation in _COMPARISONS:
            self._compare(tree, left, right)
            self._compare(tree, right, left)
        labels = self._matched_labels(tree, left, right)
        if operation in _SET_OPERATIONS:
            if operation == "or":
                return Shape(left.labels & right.labels, left.unit if left.unit is right.unit else None)
            return Shape(left.labels, left.unit)
        return Shape(labels, _result_unit(operation, tree, left, right), left.is_scalar and right.is_scalar)

    def _matched_labels(self, tree: pp.BinaryExpr, left: Shape, right: Shape) -> frozenset[str]:
        if left.is_scalar or right.is_scalar:
            return right.labels if left.is_scalar else left.labels
        modifier = tree.modifier
        if modifier is None or modifier.matching is None:
            return left.labels & right.labels
        named = frozenset(modifier.matching.labels)
        if modifier.matching.type == pp.LabelModifierType.Exclude:
            return (left.labels & right.labels) - named
        for label in sorted(named - (left.labels & right.labels)):
            self.problems.append(f"`on` names {label!r}, which not both sides of {tree.op} surely have")
        if modifier.card == pp.VectorMatchCardinality.ManyToOne:
            return left.labels | frozenset(modifier.group_labels or ())
        if modifier.card == pp.VectorMatchCardinality.OneToMany:
            return right.labels | frozenset(modifier.group_labels or ())
        return named

    def _compare(self, tree: pp.BinaryExpr, measured: Shape, other: Shape) -> None:
        """Report a threshold that a value of this unit cannot mean."""
        if measured.unit is None or measured.is_scalar:
            return
        if other.unit is not None and not other.is_scalar and other.unit is not measured.unit:
            if measured.unit.value < other.unit.value:  # each pair comes both ways; one report is enough
                self.problems.append(f"{tree} compares {measured.unit.value!r} with {other.unit.value!r}")
            return
        refuses = _REFUSED.get(measured.unit)
        if other.number is not None and refuses is not None and refuses(other.number):
            self.problems.append(f"{tree}: {other.number:g} is no threshold for a value in {measured.unit.value!r}")


_REFUSED: dict[Unit, Callable[[float], bool]] = {
    Unit.BOOLEAN: lambda number: number not in {0.0, 1.0},
    Unit.RATIO: lambda number: not 0 <= number <= 1,
    Unit.PERCENT: lambda number: 0 < number < 1,
    # Thresholds written in seconds for Nomad's milliseconds, the commonest mistake in public rules; no latency below
    # a millisecond is worth an alert.
    Unit.MILLISECONDS: lambda number: 0 < number < 1,
    Unit.NANOSECONDS: lambda number: 0 < number < 1_000,
}
"""For each unit, the numbers that a threshold in it cannot be."""


def _aggregated_unit(operation: str, unit: Unit | None) -> Unit | None:
    if operation == "count":
        return Unit.COUNT
    if operation == "group":
        return Unit.BOOLEAN
    if unit is Unit.BOOLEAN and operation in {"sum", "avg"}:
        return Unit.COUNT if operation == "sum" else Unit.RATIO
    return unit


def _result_unit(operation: str, tree: pp.BinaryExpr, left: Shape, right: Shape) -> Unit | None:
    if operation in _COMPARISONS:
        if tree.modifier is not None and tree.modifier.return_bool:
            return Unit.BOOLEAN
        return right.unit if left.is_scalar else left.unit
    if operation in {"+", "-", "%"}:
        units = {shape.unit for shape in (left, right) if not shape.is_scalar}
        return units.pop() if len(units) == 1 else None
    if operation == "/" and left.unit is not None and left.unit is right.unit:
        return Unit.RATIO
    if operation in {"*", "/"}:
        counted = [shape.unit for shape in (left, right) if not shape.is_scalar]
        return Unit.COUNT if counted == [Unit.COUNT] else None
    return None


def _pinned_labels(tree: pp.Expr) -> frozenset[str]:
    """Return the labels that `absent()` of *tree* has: those its selector fixes with `=`."""
    selector = tree.vector_selector if isinstance(tree, pp.MatrixSelector) else tree
    if not isinstance(selector, pp.VectorSelector):
        return frozenset()
    return frozenset(matcher.name for matcher in selector.matchers.matchers if matcher.op == pp.MatchOp.Equal)

"""Changes of a rule that cannot make a difference, each with the reason; nothing else is left out of the check.

A reason speaks of a kind of change, never of one rule. What a reason says of series (never negative, 0 or 1) is what
the catalogue says of them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from alert_rules.promql import QueryError, resolve
from alert_rules.recorded import KNOWN
from telemetry.catalogue.metric import Presence, Role, Unit
from telemetry.scrape.duration import parse_duration
from tests.alert_rules.mutation_expressions import (
    COMPARISONS,
    SET_OPERATIONS,
    Aggregation,
    Binary,
    Call,
    Negative,
    Node,
    Number,
    Selector,
    Subquery,
    parse,
    walk,
)
from tests.alert_rules.mutation_graph import RuleGraph, name_of

_FALLING = frozenset({"delta", "idelta", "deriv", "predict_linear", "time"})
_OVER_TIME = frozenset({"max_over_time", "min_over_time", "avg_over_time", "last_over_time"})
_ALWAYS_ONE = frozenset({"ALERTS"})


@dataclass(frozen=True, slots=True)
class Change:
    """One node of an expression and what becomes of it.

    *read* says whether its value makes a difference beyond that it is there; *root* is the whole expression changed.
    """

    node: Node
    parent: Node | None
    read: bool
    kind: str = ""
    new: Node = field(default_factory=lambda: Number(math.nan))
    text: str = ""
    root: Node = field(default_factory=lambda: Number(math.nan))


@dataclass(frozen=True, slots=True)
class Facts:
    """What the reasons know of all rules: how often they are evaluated, and which series are 1 when they are there."""

    evaluation_seconds: float
    ones: frozenset[str]

    @classmethod
    def of(cls, graph: RuleGraph, evaluation_seconds: float) -> "Facts":
        """Gather the facts; a rule may rest on an earlier one."""
        ones = set(_ALWAYS_ONE)
        for document in graph.documents:
            known = cls(evaluation_seconds, frozenset(ones))
            if "record" in document and known.is_one(parse(document["expr"])):
                ones.add(name_of(document))
        return cls(evaluation_seconds, frozenset(ones))

    def same_hold(self, old: str | None, new: str | None) -> bool:
        """Say whether two holds end at the same evaluation."""
        evaluations = [math.ceil(parse_duration(each or "0s") / self.evaluation_seconds) for each in (old, new)]
        return evaluations[0] == evaluations[1]

    def is_one(self, node: Node) -> bool:
        """Say whether every value of *node* is 1."""
        match node:
            case Number():
                return node.value == 1
            case Selector():
                return node.name in self.ones
            case Aggregation():
                return node.operator == "group" or (node.operator in {"max", "min", "avg"} and self.is_one(node.expr))
            case Call():
                return node.function in _OVER_TIME and self.is_one(node.arguments[0])
            case Subquery():
                return self.is_one(node.expr)
            case Binary():
                if node.operator == "==" and Number(1.0) in {node.left, node.right} and not node.returns_bool:
                    return True
                if node.operator == "or":
                    return self.is_one(node.left) and self.is_one(node.right)
                return node.operator in {"and", "unless", *COMPARISONS} and self.is_one(node.left)
        return False


def reason_to_skip(change: Change, facts: Facts) -> str | None:
    """Return the first reason for which *change* makes no difference, None when it may make one."""
    return next((reason for reason, holds in REASONS.items() if holds(change, facts)), None)


def _value_unread(change: Change, facts: Facts) -> bool:
    """To the right of `and` and `unless`, below count() and group(), only the presence of a series counts."""
    if change.read:
        return False
    match change.node:
        case Aggregation():
            return change.kind.startswith("aggregation") and change.node.operator not in {"topk", "bottomk"}
        case Call():
            return change.kind == "without function" or (
                change.kind.startswith("function") and change.node.function in {*_OVER_TIME, "sum_over_time"}
            )
        case Binary():
            same = _labels(change.node.left) == _labels(change.node.right)
            return change.kind.startswith("arithmetic") or (change.kind == "swapped" and same)
        case Number():
            return True
    return False


def _all_are_one(change: Change, facts: Facts) -> bool:
    """Of values that are all 1, the largest, the smallest and the mean are 1, and the sum is their number."""
    match change.node:
        case Aggregation() if change.kind.startswith("aggregation"):
            if not facts.is_one(change.node.expr) and change.node.operator not in {"group", "count"}:
                return False
            assert isinstance(change.new, Aggregation)
            pair = {change.node.operator, change.new.operator}
            ones = {"max", "min", "avg"} if facts.is_one(change.node.expr) else set()
            return pair <= {*ones, "group"} or (pair <= {"count", "sum"} and facts.is_one(change.node.expr))
        case Call() if change.kind.startswith("function"):
            assert isinstance(change.new, Call)
            return {change.node.function, change.new.function} <= _OVER_TIME and facts.is_one(change.node.arguments[0])
        case Binary() if change.kind == "swapped" and change.node.operator in SET_OPERATIONS:
            sides = (change.node.left, change.node.right)
            return all(facts.is_one(side) for side in sides) and _labels(sides[0]) == _labels(sides[1])
    return False


def _one_in_a_group(change: Change, facts: Facts) -> bool:
    """
    A series that is alone in its group has its value in any aggregation.

    So is what an agent has once when it is grouped by instance, and what fires of one alert without what all of it has.
    """
    node = change.node
    if not isinstance(node, Aggregation) or not change.kind.startswith("aggregation"):
        return False
    assert isinstance(change.new, Aggregation)
    if not _is_what_fires_of_an_alert(node) and (
        node.grouping != "by"
        or "instance" not in node.labels
        or not all(_own_labels(each) <= set(node.labels) for each in walk(node.expr) if isinstance(each, Selector))
    ):
        return False
    pair = {node.operator, change.new.operator}
    return pair <= {"max", "min", "sum", "avg"} or pair <= {"group", "count"}


def _never_negative(change: Change, facts: Facts) -> bool:
    """What is never below 0 is at most 0 only when it is 0, and always at least 0."""
    return _compares_with(change, 0.0, {"==": "<=", "!=": ">"}) and not _may_be_negative(change.node)


def _zero_or_one(change: Change, facts: Facts) -> bool:
    """What is 0 or 1 is at least 1 only when it is 1, and other than 0 only when it is 1."""
    node = change.node
    if isinstance(node, Number) and isinstance(change.parent, Binary) and change.parent.operator in COMPARISONS:
        # With the other of the two numbers it is what the turned comparison says already.
        other = change.parent.right if change.parent.left == node else change.parent.left
        return _unit(other) is Unit.BOOLEAN and change.parent.operator in {"==", "!="}
    if not isinstance(node, Binary) or _unit(node.left) is not Unit.BOOLEAN:
        return False
    return _compares_with(change, 1.0, {"==": ">=", "!=": "<"})


def _as_without(change: Change, facts: Facts) -> bool:
    """A comparison that always holds is the one that was taken away, which is tried."""
    if _compares_with(change, 0.0, {"==": ">=", ">": ">="}) and not _may_be_negative(change.node):
        return True
    node = change.node
    is_boolean = isinstance(node, Binary) and _unit(node.left) is Unit.BOOLEAN
    return is_boolean and _compares_with(change, 1.0, {"==": "<=", "<": "<="})


def _only_servers_have_it(change: Change, facts: Facts) -> bool:
    """A matcher of the role picks nothing from series that only agents of this role export."""
    node = change.node
    if not isinstance(node, Selector) or not change.kind.endswith("dropped"):
        return False
    number = int(change.kind.split()[1])
    matcher, entry = node.matchers[number], KNOWN.find(node.name)
    if matcher.label != "role" or matcher.operator != "=" or entry is None:
        return False
    return entry.metric.exporter is {"server": Role.SERVER, "client": Role.CLIENT}.get(matcher.value)


def _one_side_at_a_time(change: Change, facts: Facts) -> bool:
    """Of what gives way to a condition and what is there under it only one can be there."""
    return change.kind == "swapped" and _gives_way(change.node)


def _rule_writes_it(change: Change, facts: Facts) -> bool:
    """An alert's name and severity are written over what its expression gives; nothing is there twice for it."""
    node = change.node
    if not isinstance(node, Aggregation) or not _is_what_fires_of_an_alert(node) or not _gives_way(change.root):
        return False
    return change.kind in {"without label alertname", "without label severity"}


def _zero_times(change: Change, facts: Facts) -> bool:
    """0 times a number is 0, and 0 divided by one that is not 0 as well."""
    node = change.node
    return isinstance(node, Binary) and node.left == Number(0.0) and change.kind == "arithmetic /"


def _born_above_zero(change: Change, facts: Facts) -> bool:
    """A counter that its first event brings is above 0 as long as it is there."""
    node = change.node
    if change.kind != "without" or change.read or not isinstance(node, Binary) or node.operator != ">":
        return False
    entry = KNOWN.find(node.left.name) if isinstance(node.left, Selector) else None
    if entry is None or node.right != Number(0.0):
        return False
    return entry.is_cumulative and entry.metric.present is Presence.AFTER_FIRST_EVENT


REASONS: dict[str, Callable[[Change, Facts], bool]] = {
    "nobody reads the value there": _value_unread,
    "all values are 1": _all_are_one,
    "one series in each group": _one_in_a_group,
    "never below 0": _never_negative,
    "0 or 1": _zero_or_one,
    "the same as without the comparison, which is tried": _as_without,
    "only agents of that role have the series": _only_servers_have_it,
    "one of the two sides at a time": _one_side_at_a_time,
    "the alert's own label is written over it": _rule_writes_it,
    "0 times anything is 0": _zero_times,
    "born above 0": _born_above_zero,
}
"""Each reason with the function that says when it holds; its docstring says why."""


def _is_what_fires_of_an_alert(node: Aggregation) -> bool:
    """Say whether *node* gathers what fires of one alert, without the labels that are the same for all of it."""
    if node.grouping != "without" or not isinstance(node.expr, Selector) or node.expr.name != "ALERTS":
        return False
    return {"alertname", "alertstate"} <= {each.label for each in node.expr.matchers if each.operator == "="}


def _gives_way(node: Node) -> bool:
    """Say whether *node* is `a unless b or c and b`, with the same matching."""
    if not isinstance(node, Binary) or not isinstance(node.left, Binary) or not isinstance(node.right, Binary):
        return False
    operators = (node.left.operator, node.operator, node.right.operator)
    same = (node.left.right, node.left.labels) == (node.right.right, node.right.labels)
    return operators == ("unless", "or", "and") and same


def _compares_with(change: Change, number: float, pairs: dict[str, str]) -> bool:
    """Say whether *change* turns a comparison with *number* on the right from an operator of *pairs* to its value."""
    node, new = change.node, change.new
    if not isinstance(node, Binary) or not isinstance(new, Binary) or not change.kind.startswith("comparison"):
        return False
    return node.right == Number(number) and pairs.get(node.operator) == new.operator


def _may_be_negative(node: Node) -> bool:
    assert isinstance(node, Binary)
    for each in walk(node.left):
        if isinstance(each, Negative) or (isinstance(each, Binary) and each.operator == "-"):
            return True
        if isinstance(each, Call) and each.function in _FALLING:
            return True
    return False


def _unit(node: Node) -> Unit | None:
    try:
        return resolve(str(node)).shape.unit
    except QueryError:
        return None


def _labels(node: Node) -> frozenset[str] | None:
    try:
        return resolve(str(node)).shape.labels
    except QueryError:
        return None


def _own_labels(node: Selector) -> frozenset[str]:
    """Return the labels that tell apart several series of one target."""
    entry = KNOWN.find(node.name)
    return frozenset({node.name}) if entry is None else entry.labels

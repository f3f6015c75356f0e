"""PromQL as values that can be rebuilt with one part changed, and written out again.

promql_parser's own trees cannot be changed. What is written has more parentheses than its source and means the same.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cache

import promql_parser as pp

from telemetry.scrape.duration import format_duration

COMPARISONS = frozenset({"==", "!=", ">", "<", ">=", "<="})
SET_OPERATIONS = frozenset({"and", "or", "unless"})
# Pairs, for the parser's own enumerations cannot be keys.
_OPERATORS = ((pp.MatchOp.Equal, "="), (pp.MatchOp.NotEqual, "!="), (pp.MatchOp.Re, "=~"), (pp.MatchOp.NotRe, "!~"))


@dataclass(frozen=True, slots=True)
class Number:
    """A literal number."""

    value: float

    def __str__(self) -> str:
        return f"{self.value:.15g}"


@dataclass(frozen=True, slots=True)
class Text:
    """A literal string, such as an argument of label_replace()."""

    value: str

    def __str__(self) -> str:
        return json.dumps(self.value, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label."""

    label: str
    operator: str
    value: str

    def __str__(self) -> str:
        return f"{self.label}{self.operator}{json.dumps(self.value, ensure_ascii=False)}"


@dataclass(frozen=True, slots=True)
class Selector:
    """Series by name and labels; with a *range*, in seconds, their samples of so long."""

    name: str
    matchers: tuple[Matcher, ...] = ()
    range: float | None = None
    offset: float = 0.0

    def __str__(self) -> str:
        matchers = "{" + ",".join(str(matcher) for matcher in self.matchers) + "}" if self.matchers else ""
        window = "" if self.range is None else f"[{format_duration(self.range)}]"
        return f"{self.name}{matchers}{window}{_offset(self.offset)}"


@dataclass(frozen=True, slots=True)
class Subquery:
    """An expression evaluated again and again over a *range*; *step* is None for the default."""

    expr: "Node"
    range: float
    step: float | None
    offset: float = 0.0

    def __str__(self) -> str:
        step = "" if self.step is None else format_duration(self.step)
        return f"{_operand(self.expr)}[{format_duration(self.range)}:{step}]{_offset(self.offset)}"


@dataclass(frozen=True, slots=True)
class Call:
    """A function."""

    function: str
    arguments: tuple["Node", ...]

    def __str__(self) -> str:
        return f"{self.function}({', '.join(str(argument) for argument in self.arguments)})"


@dataclass(frozen=True, slots=True)
class Aggregation:
    """sum, max, topk and their like; *grouping* is "by", "without" or empty."""

    operator: str
    expr: "Node"
    parameter: "Node | None" = None
    grouping: str = ""
    labels: tuple[str, ...] = ()

    def __str__(self) -> str:
        grouping = f" {self.grouping} ({', '.join(self.labels)})" if self.grouping else ""
        parameter = "" if self.parameter is None else f"{self.parameter}, "
        return f"{self.operator}{grouping} ({parameter}{self.expr})"


@dataclass(frozen=True, slots=True)
class Binary:
    """Two expressions and an operator; *matching* is "on", "ignoring" or empty, *group* "group_left" and its like."""

    operator: str
    left: "Node"
    right: "Node"
    matching: str = ""
    labels: tuple[str, ...] = ()
    group: str = ""
    included: tuple[str, ...] = ()
    returns_bool: bool = False

    def __str__(self) -> str:
        return f"{_operand(self.left)} {self.joint} {_operand(self.right)}"

    @property
    def joint(self) -> str:
        """The operator with everything that stands between the operands."""
        words = [self.operator]
        if self.returns_bool:
            words.append("bool")
        if self.matching:
            words.append(f"{self.matching} ({', '.join(self.labels)})")
        if self.group:
            words.append(f"{self.group} ({', '.join(self.included)})")
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Negative:
    """Minus an expression."""

    expr: "Node"

    def __str__(self) -> str:
        return f"-{_operand(self.expr)}"


Node = Number | Text | Selector | Subquery | Call | Aggregation | Binary | Negative
_NODES = (Number, Text, Selector, Subquery, Call, Aggregation, Binary, Negative)


@cache
def parse(text: str) -> Node:
    """Return *text* as a tree; raise ValueError when it is not PromQL."""
    return _node(pp.parse(text))


def is_valid(text: str) -> bool:
    """Say whether *text* is PromQL."""
    try:
        pp.parse(text)
    except ValueError:
        return False
    return True


def children(node: Node) -> list[tuple[str, int | None, Node]]:
    """Return the expressions directly inside *node*, each with the field, and the index in it, that it stands in."""
    found: list[tuple[str, int | None, Node]] = []
    for field in fields(node):
        value = getattr(node, field.name)
        if isinstance(value, _NODES):
            found.append((field.name, None, value))
        elif isinstance(value, tuple):
            found += [(field.name, index, each) for index, each in enumerate(value) if isinstance(each, _NODES)]
    return found


def with_child(node: Node, name: str, index: int | None, child: Node) -> Node:
    """Return *node* with another expression in one of its places."""
    if index is None:
        return replace(node, **{name: child})
    values = list(getattr(node, name))
    values[index] = child
    return replace(node, **{name: tuple(values)})


def walk(node: Node) -> Iterator[Node]:
    """Yield *node* and everything inside it."""
    yield node
    for _, _, child in children(node):
        yield from walk(child)


def _node(tree: pp.Expr) -> Node:
    match tree:
        case pp.NumberLiteral():
            return Number(tree.val)
        case pp.StringLiteral():
            return Text(tree.val)
        case pp.VectorSelector():
            return _selector(tree, None)
        case pp.MatrixSelector():
            return _selector(tree.vector_selector, tree.range.total_seconds())
        case pp.ParenExpr():
            return _node(tree.expr)
        case pp.UnaryExpr():
            return Negative(_node(tree.expr))
        case pp.SubqueryExpr():
            assert tree.at is None, f"{tree}: @ is not understood here"
            step = None if tree.step is None else tree.step.total_seconds()
            return Subquery(_node(tree.expr), tree.range.total_seconds(), step, _seconds(tree.offset))
        case pp.Call():
            return Call(str(tree.func.name), tuple(_node(argument) for argument in tree.args))
        case pp.AggregateExpr():
            return _aggregation(tree)
        case pp.BinaryExpr():
            return _binary(tree)
    raise ValueError(f"a form of PromQL that is not understood here: {type(tree).__name__}")


def _selector(tree: pp.VectorSelector, window: float | None) -> Selector:
    assert tree.at is None, f"{tree}: @ is not understood here"
    assert not tree.matchers.or_matchers, f"{tree}: matchers joined by `or` are not understood here"
    matchers = tuple(
        Matcher(each.name, next(word for kind, word in _OPERATORS if kind == each.op), each.value)
        for each in tree.matchers.matchers
    )
    return Selector(tree.name or "", matchers, window, _seconds(tree.offset))


def _aggregation(tree: pp.AggregateExpr) -> Aggregation:
    parameter = None if tree.param is None else _node(tree.param)
    if tree.modifier is None:
        return Aggregation(str(tree.op), _node(tree.expr), parameter)
    grouping = "by" if tree.modifier.type == pp.AggModifierType.By else "without"
    return Aggregation(str(tree.op), _node(tree.expr), parameter, grouping, tuple(tree.modifier.labels))


def _binary(tree: pp.BinaryExpr) -> Binary:
    plain = Binary(str(tree.op), _node(tree.lhs), _node(tree.rhs))
    modifier = tree.modifier
    if modifier is None:
        return plain
    group = ""
    if modifier.card == pp.VectorMatchCardinality.ManyToOne:
        group = "group_left"
    elif modifier.card == pp.VectorMatchCardinality.OneToMany:
        group = "group_right"
    matching = modifier.matching
    kind = "" if matching is None else "on" if matching.type == pp.LabelModifierType.Include else "ignoring"
    return replace(
        plain,
        matching=kind,
        labels=() if matching is None else tuple(matching.labels),
        group=group,
        included=tuple(modifier.group_labels or ()),
        returns_bool=bool(modifier.return_bool),
    )


def _seconds(offset: object) -> float:
    return 0.0 if offset is None else offset.total_seconds()


def _offset(seconds: float) -> str:
    if not seconds:
        return ""
    return f" offset {'-' if seconds < 0 else ''}{format_duration(abs(seconds))}"


def _operand(node: Node) -> str:
    return f"({node})" if isinstance(node, Binary | Negative) else str(node)

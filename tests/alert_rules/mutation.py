"""Rules made wrong in one place: what a case must notice.

Each rule is weakened in every place, one at a time: thresholds and constants, holds, labels and matchers, comparisons,
operands, aggregations, windows and offsets. What cannot make a difference is left out by the reasons that
mutation_equivalents.py lists.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from alert_rules.settings import Severity
from telemetry.scrape.duration import format_duration, parse_duration
from tests.alert_rules.mutation_equivalents import Change, Facts, reason_to_skip
from tests.alert_rules.mutation_expressions import (
    COMPARISONS,
    SET_OPERATIONS,
    Aggregation,
    Binary,
    Call,
    Matcher,
    Node,
    Number,
    Selector,
    Subquery,
    Text,
    children,
    is_valid,
    parse,
    with_child,
)
from tests.alert_rules.mutation_graph import Document, RuleGraph, name_of

OTHER_COMPARISONS = {
    ">": (">=", "<"),
    ">=": (">", "<"),
    "<": ("<=", ">"),
    "<=": ("<", ">"),
    "==": ("!=", ">=", "<="),
    "!=": ("==",),
}
OTHER_AGGREGATIONS = {
    "max": ("min", "sum"),
    "min": ("max", "sum"),
    "sum": ("max", "count"),
    "avg": ("max", "min"),
    "count": ("sum", "group"),
    "group": ("count",),
    "topk": ("bottomk",),
    "bottomk": ("topk",),
}
OTHER_FUNCTIONS = {
    "max_over_time": ("min_over_time",),
    "min_over_time": ("max_over_time",),
    "avg_over_time": ("max_over_time", "min_over_time"),
    "sum_over_time": ("count_over_time", "max_over_time"),
    "count_over_time": ("sum_over_time",),
    "last_over_time": ("max_over_time",),
}
REMOVABLE_FUNCTIONS = frozenset({"clamp_min", "clamp_max", "clamp", "floor", "ceil", "round", "abs", "sgn"})
OTHER_ARITHMETIC = {"+": "-", "-": "+", "*": "/", "/": "*", "%": "/", "^": "*"}
OTHER_MATCHERS = {"=": "!=", "!=": "=", "=~": "!~", "!~": "=~"}
OTHER_SEVERITIES = {"critical": "warning", "warning": "info", "info": "warning", "none": "info"}
assert set(OTHER_SEVERITIES) == {severity.value for severity in Severity}

_HOLDS = ("for", "keep_firing_for")
_NO_OTHER = "the same as another that is tried, or no PromQL"
_SAME_HOLD = "a hold of as many evaluations"
_SMALL = 5
"""Whole numbers up to this are moved by one, others doubled and halved."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One rule made wrong in one place.

    *rule* and *ordinal* say which of the rules of that name; *key* names the place and the change, the same for every
    set of settings; *text* says it to people.
    """

    rule: str
    ordinal: int
    key: str
    text: str
    document: Document

    @property
    def identity(self) -> tuple[str, int, str]:
        """What is the same wherever this rule is made wrong in this place."""
        return self.rule, self.ordinal, self.key

    def __str__(self) -> str:
        return f"{self.rule}: {self.text}"


def mutants_of(graph: RuleGraph, evaluation_seconds: float = 5.0) -> tuple[list[Mutant], Counter[str]]:
    """Return every mutant of every rule in *graph*, and how many were left out for which reason."""
    facts = Facts.of(graph, evaluation_seconds)
    found: list[Mutant] = []
    skipped: Counter[str] = Counter()
    for document, ordinal in graph.numbered():
        found += mutants_of_rule(document, ordinal, facts, skipped)
    return _told_apart(found), skipped


def document_in(mutant: Mutant, graph: RuleGraph) -> Document | None:
    """Return the rule made wrong in the same place, as the rules of *graph* have it; None when they lack the place."""
    for document, ordinal in graph.numbered():
        if (name_of(document), ordinal) == (mutant.rule, mutant.ordinal):
            return _wrong_by_key(json.dumps(document)).get(mutant.key)
    return None


@lru_cache(maxsize=200)
def _wrong_by_key(document: str) -> dict[str, Document]:
    """Return every wrong form of a rule by its key; trials differ in few rules, and ask for all forms of one."""
    return {key: wrong for key, _, wrong in _wrong(json.loads(document))}


def mutants_of_rule(document: Document, ordinal: int, facts: Facts, skipped: Counter[str]) -> Iterator[Mutant]:
    """Yield the mutants of one rule; count in *skipped* what was left out."""
    changes = dict(_expression_changes(parse(document["expr"])))
    tried = {str(parse(document["expr"]))}
    for key, text, wrong in _wrong(document):
        reason = None
        if key in changes:
            reason = reason_to_skip(changes[key], facts)
            if reason is None and (wrong["expr"] in tried or not is_valid(wrong["expr"])):
                reason = _NO_OTHER
            tried.add(wrong["expr"])
        elif all(facts.same_hold(document.get(field), wrong.get(field)) for field in _HOLDS) and "label" not in key:
            reason = _SAME_HOLD
        if reason is None:
            yield Mutant(name_of(document), ordinal, key, text, wrong)
        else:
            skipped[reason] += 1


def _wrong(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Yield every way to make a rule wrong in one place: its key, what people call it, and the rule."""
    for key, change in _expression_changes(parse(document["expr"])):
        yield key, change.text, document | {"expr": str(change.root)}
    for field in _HOLDS:
        if field in document:
            others = {each: value for each, value in document.items() if each != field}
            yield f"{field} removed", f"{field}: {document[field]} → none", others
            for word, factor in (("doubled", 2.0), ("halved", 0.5)):
                value = format_duration(parse_duration(document[field]) * factor)
                yield f"{field} {word}", f"{field}: {document[field]} → {value}", document | {field: value}
    for label, value in document.get("labels", {}).items():
        other = OTHER_SEVERITIES[value] if label == "severity" else f"{value}x"
        labels = document["labels"] | {label: other}
        yield f"label {label}", f'label {label}: "{value}" → "{other}"', document | {"labels": labels}


def _told_apart(mutants: Sequence[Mutant]) -> list[Mutant]:
    """Number mutants of one text, so that a list of them by text is one of mutants."""
    texts = Counter(str(mutant) for mutant in mutants)
    seen: Counter[str] = Counter()
    told: list[Mutant] = []
    for mutant in mutants:
        seen[str(mutant)] += 1
        number = f" ({seen[str(mutant)]})" if texts[str(mutant)] > 1 else ""
        told.append(replace(mutant, text=mutant.text + number))
    return told


Place = tuple[tuple[str, int | None], ...]


def _expression_changes(root: Node) -> Iterator[tuple[str, Change]]:
    """Yield every change of an expression, with a key that names place and kind."""
    for place, node, change in _visited(root, (), None, read=True):
        for kind, text, new in _changes(node, change.parent):
            where = ".".join(name if index is None else f"{name}{index}" for name, index in place)
            yield (
                f"{where}: {kind}",
                replace(change, kind=kind, new=new, text=text, root=_rebuilt(root, place, new)),
            )


def _visited(node: Node, place: Place, parent: Node | None, *, read: bool) -> Iterator[tuple[Place, Node, Change]]:
    yield place, node, Change(node=node, parent=parent, read=read)
    for name, index, child in children(node):
        inner = _is_read(node, name, read=read)
        yield from _visited(child, (*place, (name, index)), node, read=inner)


def _is_read(node: Node, field: str, *, read: bool) -> bool:
    """Say whether the value of a child of *node* makes a difference, beyond that it is there."""
    match node:
        case Binary() if node.operator in COMPARISONS:
            return True
        case Binary() if node.operator in {"and", "unless"} and field == "right":
            return False
        case Aggregation() if node.operator in {"count", "group"}:
            return False
        case Aggregation() if node.operator in {"topk", "bottomk", "quantile"}:
            return True
        case Call() if node.function in {"absent", "absent_over_time", "count_over_time", "present_over_time"}:
            return False
        case Call() if node.function in {"changes", "resets", "histogram_quantile"}:
            return True
    return read


def _rebuilt(root: Node, place: Place, new: Node) -> Node:
    if not place:
        return new
    (name, index), *rest = place
    child = next(each for field, number, each in children(root) if (field, number) == (name, index))
    return with_child(root, name, index, _rebuilt(child, tuple(rest), new))


def _changes(node: Node, parent: Node | None) -> Iterator[tuple[str, str, Node]]:
    """Yield (kind, text, new node) for every way to make *node* wrong."""
    match node:
        case Binary():
            yield from _binary_changes(node)
        case Aggregation():
            for operator in OTHER_AGGREGATIONS.get(node.operator, ()):
                yield f"aggregation {operator}", f"{_short(node)}: → {operator}", replace(node, operator=operator)
            yield from _label_changes(node, node.grouping)
        case Call():
            yield from _call_changes(node)
        case Selector():
            yield from _selector_changes(node)
        case Subquery():
            for word, factor in (("doubled", 2.0), ("halved", 0.5)):
                yield f"range {word}", f"{_short(node)}: range {word}", replace(node, range=node.range * factor)
                if node.step is not None:
                    yield f"step {word}", f"{_short(node)}: step {word}", replace(node, step=node.step * factor)
        case Number():
            for kind, value in _other_numbers(node.value):
                shown = node if parent is None else parent
                yield f"number {kind}", f"{_short(shown)}: {node} → {Number(value)}", Number(value)
        case Text():
            if node.value and isinstance(parent, Call) and parent.function in {"label_replace", "label_join"}:
                yield "text", f'{_short(parent)}: "{node.value}" → "{node.value}x"', Text(node.value + "x")


def _binary_changes(node: Binary) -> Iterator[tuple[str, str, Node]]:
    scalar = [isinstance(side, Number) for side in (node.left, node.right)]
    if node.operator in COMPARISONS:
        for operator in OTHER_COMPARISONS[node.operator]:
            yield f"comparison {operator}", f"{_short(node)}: → {operator}", replace(node, operator=operator)
        yield "without", f"{_short(node)}: not compared", node.right if scalar[0] else node.left
    else:
        if not scalar[0]:
            yield "left alone", f"{_short(node)}: the left side alone", node.left
        if not scalar[1]:
            yield "right alone", f"{_short(node)}: the right side alone", node.right
        if node.operator in {"and", "or", "-", "/", "%"}:
            yield "swapped", f"{_short(node)}: sides swapped", replace(node, left=node.right, right=node.left)
        if node.operator in {"and", "unless"}:
            other = "unless" if node.operator == "and" else "and"
            yield f"set {other}", f"{_short(node)}: → {other}", replace(node, operator=other)
        if node.operator not in SET_OPERATIONS:
            other = OTHER_ARITHMETIC[node.operator]
            yield f"arithmetic {other}", f"{_short(node)}: → {other}", replace(node, operator=other)
    yield from _label_changes(node, node.matching)
    for label in node.included:
        kept = tuple(each for each in node.included if each != label)
        yield (
            f"without {node.group} {label}",
            f"{_short(node)}: {node.group} without {label}",
            replace(node, included=kept),
        )


def _label_changes(node: Binary | Aggregation, word: str) -> Iterator[tuple[str, str, Node]]:
    for label in node.labels:
        kept = tuple(each for each in node.labels if each != label)
        yield f"without label {label}", f"{_short(node)}: {word} without {label}", replace(node, labels=kept)


def _call_changes(node: Call) -> Iterator[tuple[str, str, Node]]:
    for function in OTHER_FUNCTIONS.get(node.function, ()):
        yield f"function {function}", f"{_short(node)}: → {function}", replace(node, function=function)
    if node.function in REMOVABLE_FUNCTIONS:
        yield "without function", f"{_short(node)}: without {node.function}", node.arguments[0]


def _selector_changes(node: Selector) -> Iterator[tuple[str, str, Node]]:
    if node.range is not None:
        for word, factor in (("doubled", 2.0), ("halved", 0.5)):
            yield f"range {word}", f"{node}: range {word}", replace(node, range=node.range * factor)
    if node.offset:
        yield "offset doubled", f"{node}: offset doubled", replace(node, offset=node.offset * 2)
        yield "without offset", f"{node}: without offset", replace(node, offset=0.0)
    for number, matcher in enumerate(node.matchers):
        others = [*node.matchers]

        def changed(kind: str, new: list[Matcher], text: str, at: int = number) -> tuple[str, str, Node]:
            matchers = (*others[:at], *new, *others[at + 1 :])  # noqa: B023, called before the next turn
            return f"matcher {at} {kind}", f"{node}: {text}", replace(node, matchers=matchers)

        other = OTHER_MATCHERS[matcher.operator]
        yield changed("dropped", [], f"without {matcher}")
        yield changed("turned", [replace(matcher, operator=other)], f"{matcher} → {other}")
        alternatives = matcher.value.split("|") if "~" in matcher.operator and "(" not in matcher.value else []
        if len(alternatives) < 2:
            yield changed("value", [replace(matcher, value=matcher.value + "x")], f"{matcher} → {matcher.value}x")
            continue
        for index, alternative in enumerate(alternatives):
            left = "|".join(alternatives[:index] + alternatives[index + 1 :])
            yield changed(f"alternative {index}", [replace(matcher, value=left)], f"{matcher} without {alternative}")


def _other_numbers(value: float) -> list[tuple[str, float]]:
    if value == 0:
        return [("up", 1.0)]
    if value == int(value) and abs(value) <= _SMALL:
        return [("up", value + 1), ("down", value - 1)]
    return [("doubled", value * 2), ("halved", value / 2)]


def _short(node: Node) -> str:
    """Return *node* as text that fits a line."""
    if isinstance(node, Binary):
        return f"{_cut(str(node.left), 40)} {node.joint} {_cut(str(node.right), 40)}"
    return _cut(str(node), 80)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length // 2 - 1]}…{text[-length // 2 + 1 :]}"

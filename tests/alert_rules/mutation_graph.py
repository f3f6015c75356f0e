"""Which rule reads what another writes, and copies of rules under other names that read one another.

A rule reads recorded series by their name, and other alerts through ALERTS.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from tests.alert_rules.mutation_expressions import Matcher, Node, Selector, children, parse, walk, with_child

Document = dict[str, Any]
"""One rule, as it stands in a rule file."""

_STATES = frozenset({"ALERTS", "ALERTS_FOR_STATE"})
_NO_ALERT = "none"


def name_of(document: Document) -> str:
    """Return what the rule writes: the name of an alert or of a recorded series."""
    return str(document["alert"] if "alert" in document else document["record"])


class RuleGraph:
    """The rules in their order, and what each reads; those that write what is *given* are left out."""

    def __init__(self, documents: Iterable[Document], given: frozenset[str] = frozenset()) -> None:
        everything = tuple(documents)
        self.documents = tuple(document for document in everything if name_of(document) not in given)
        self.alerts = frozenset(name_of(document) for document in everything if "alert" in document)
        self._names = frozenset(name_of(document) for document in self.documents)
        self._reads: dict[str, set[str]] = {name: set() for name in self._names}
        for document in self.documents:
            self._reads[name_of(document)] |= self.read_by(document)
        self._readers: dict[str, set[str]] = {name: set() for name in self._names}
        for reader, read in self._reads.items():
            for name in read:
                self._readers[name].add(reader)

        self._descendants: dict[str, frozenset[str]] = {}

    def read_by(self, document: Document) -> frozenset[str]:
        """Return the recorded series and alerts that a rule reads."""
        found: set[str] = set()
        for each in walk(parse(document["expr"])):
            if isinstance(each, Selector):
                found |= self._alerts_of(each) if each.name in _STATES else {each.name}
        return self._names & found

    def numbered(self) -> list[tuple[Document, int]]:
        """Return each rule with its number among those of its name, from 0."""
        seen: Counter[str] = Counter()
        found = []
        for document in self.documents:
            found.append((document, seen[name_of(document)]))
            seen[name_of(document)] += 1
        return found

    def ancestors(self, names: Iterable[str]) -> frozenset[str]:
        """Return *names* and everything they rest on."""
        return self._reached(names, self._reads)

    def descendants(self, name: str) -> frozenset[str]:
        """Return *name* and everything that rests on it; nothing when *name* is given."""
        if name not in self._names:
            return frozenset()
        if name not in self._descendants:
            self._descendants[name] = self._reached({name}, self._readers)
        return self._descendants[name]

    def metrics(self, name: str) -> frozenset[str]:
        """Return the series that *name* rests on and no rule here writes, ALERTS among them."""
        wanted = self.ancestors({name})
        return frozenset(
            node.name
            for document in self.documents
            if name_of(document) in wanted
            for node in walk(parse(document["expr"]))
            if isinstance(node, Selector) and node.name not in self._names
        )

    def part(self, names: frozenset[str]) -> list[Document]:
        """Return the rules that write *names*, in their order."""
        return [document for document in self.documents if name_of(document) in names]

    def renamed(self, document: Document, names: Mapping[str, str]) -> Document:
        """Return *document* writing and reading under other *names*, without annotations.

        A matcher of alert names is spelled out, so that no copy of an alert answers to it that is not meant.
        """
        kind = "alert" if "alert" in document else "record"
        copy = {key: value for key, value in document.items() if key != "annotations"}
        copy[kind] = names.get(copy[kind], copy[kind])
        copy["expr"] = self.renamed_text(copy["expr"], names)
        return copy

    def renamed_text(self, expr: str, names: Mapping[str, str]) -> str:
        """Return *expr* reading under other *names*."""
        return str(self._renamed_node(parse(expr), names))

    def _renamed_node(self, node: Node, names: Mapping[str, str]) -> Node:
        if isinstance(node, Selector):
            if node.name in _STATES:
                return replace(node, matchers=self._spelled_out(node, names))
            return replace(node, name=names.get(node.name, node.name))
        for name, index, child in children(node):
            node = with_child(node, name, index, self._renamed_node(child, names))
        return node

    def _spelled_out(self, node: Selector, names: Mapping[str, str]) -> tuple[Matcher, ...]:
        matched = [names.get(alert, alert) for alert in sorted(self._alerts_of(node))] or [_NO_ALERT]
        others = tuple(matcher for matcher in node.matchers if matcher.label != "alertname")
        return (Matcher("alertname", "=~" if len(matched) > 1 else "=", "|".join(matched)), *others)

    def _alerts_of(self, node: Selector) -> frozenset[str]:
        conditions = [matcher for matcher in node.matchers if matcher.label == "alertname"]
        return frozenset(alert for alert in self.alerts if all(_matches(each, alert) for each in conditions))

    @staticmethod
    def _reached(start: Iterable[str], edges: Mapping[str, set[str]]) -> frozenset[str]:
        found: set[str] = set()
        left = list(start)
        while left:
            name = left.pop()
            if name not in found:
                found.add(name)
                left += edges[name]
        return frozenset(found)


def _matches(matcher: Matcher, alert: str) -> bool:
    if matcher.operator in {"=", "!="}:
        return (matcher.value == alert) == (matcher.operator == "=")
    return (re.fullmatch(matcher.value, alert) is not None) == (matcher.operator == "=~")

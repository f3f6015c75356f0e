"""Finds in a dashboard's JSON what keeps it from answering a question, or what Grafana 11 to 13 would refuse or migrate.

It judges the document alone, as Grafana will read it, and knows nothing of how it was made. There are no exclusions: a
finding is mended in the dashboard or, where a rule is wrong, in the rule.
Source: Grafana's dashboard JSON model, schema version 39 and later, and the panels that Grafana 12 dropped with Angular.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import promql_parser as pp

from alert_rules.promql import QueryError
from dashboards.lint_shapes import foreign_keys
from dashboards.panel import GRID_WIDTH, VARIABLES, substituted

Document = dict[str, Any]

OLDEST_SCHEMA = 39
UID_LETTERS_MAX = 40
KINDS = frozenset({"stat", "timeseries", "state-timeline", "table", "bargauge", "gauge", "text", "row"})
_UID = re.compile(r"[A-Za-z0-9_-]+\Z")
_UNIT = re.compile(r"(none|short|s|ms|ns|bytes|decmbytes|Mbits|percent|percentunit|dateTimeAsIso|suffix:.+)\Z")
_DATE = "dateTime"
_MILLISECONDS = re.compile(r"1000 \* \(.*\)\Z", re.DOTALL)
_VARIABLE = re.compile(r"\$\{?(\w+)")
_BUILT_IN = re.compile(r"__\w+\Z")
_FIXED_RATE = re.compile(r"\b(?:rate|irate|increase)\([^()]*\[(?!\$__rate_interval\])[^\]]*\]")
_FALLBACK = re.compile(r"\bor\s+vector\(|\babsent(_over_time)?\(")
_OF_WATCHERS = ("prometheus_", "alertmanager_")
_OF_WATCHERS_ALERTS = "Outrider"
_FILTERS = frozenset({"and", "unless", "==", "!=", ">", "<", ">=", "<="})
_QUESTION = re.compile(r".{8,}")
_INSTANT = frozenset({"stat", "table", "bargauge", "gauge"})


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong in one place of a dashboard, and what to do; *place* is empty for the dashboard as a whole."""

    dashboard: str
    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.dashboard}: {f'{self.place}: ' if self.place else ''}{self.text}"


def lint(document: Document) -> list[Finding]:
    """Return every finding in *document*, the dashboard's own first."""
    name = str(document.get("uid") or document.get("title") or "a dashboard without uid")
    return [Finding(name, place, text) for rule in _RULES for place, text in rule(document)]


_Found = Iterator[tuple[str, str]]


def _identity(document: Document) -> _Found:
    uid = str(document.get("uid") or "")
    if not _UID.match(uid) or len(uid) > UID_LETTERS_MAX:
        yield "", f"its uid is {uid!r}; give it 1 to {UID_LETTERS_MAX} letters, digits, - and _"
    if not document.get("title"):
        yield "", "it has no title; give it one"
    if document.get("schemaVersion", 0) < OLDEST_SCHEMA:
        yield "", f"its schemaVersion is {document.get('schemaVersion')}; write {OLDEST_SCHEMA} or later"
    if "id" in document:
        yield "", "it has an id of one Grafana's database; leave it out"
    if not document.get("tags"):
        yield "", "it has no tag, so that links by tag miss it; add one"


def _links(document: Document) -> _Found:
    links = document.get("links") or []
    if not any(link.get("type") == "dashboards" and link.get("tags") for link in links):
        yield "", "it leads to no other dashboard; add a link by tag"
    for link in links:
        if link.get("type") == "link" and not link.get("url"):
            yield "", f"its link {link.get('title')!r} has no url; add it"


def _dead(document: Document) -> _Found:
    yield from foreign_keys(document)
    # The lowest step of thresholds is the one place in which null says something.
    for name in sorted(set(_nulls(document)) - {"value"}):
        yield "", f"its key {name!r} is null; leave it out"


def _nulls(value: Any, name: str = "") -> Iterator[str]:
    """Yield the key of each null at any depth."""
    match value:
        case None:
            yield name
        case dict():
            for key, item in value.items():
                yield from _nulls(item, key)
        case list():
            for item in value:
                yield from _nulls(item, name)


def _grid(document: Document) -> _Found:
    places = [(_name(panel), panel.get("gridPos") or {}) for panel in document.get("panels", [])]
    for name, place in places:
        if set(place) != {"h", "w", "x", "y"}:
            yield name, f"its gridPos is {place}; write h, w, x and y"
        elif (
            place["x"] < 0 or place["y"] < 0 or place["x"] + place["w"] > GRID_WIDTH or min(place["w"], place["h"]) < 1
        ):
            yield name, f"it lies outside of the {GRID_WIDTH} columns: {place}"
    whole = [(name, place) for name, place in places if set(place) == {"h", "w", "x", "y"}]
    for (one, left), (other, right) in combinations(whole, 2):
        is_beside = left["x"] + left["w"] <= right["x"] or right["x"] + right["w"] <= left["x"]
        is_above = left["y"] + left["h"] <= right["y"] or right["y"] + right["h"] <= left["y"]
        if not is_beside and not is_above:
            yield other, f"it overlaps {one!r}; move one"


def _ids(document: Document) -> _Found:
    ids = [panel.get("id") for panel in document.get("panels", [])]
    for panel in document.get("panels", []):
        if not isinstance(panel.get("id"), int) or ids.count(panel["id"]) > 1:
            yield _name(panel), f"its id is {panel.get('id')!r}; give each panel a number of its own"


def _kinds(document: Document) -> _Found:
    for panel in document.get("panels", []):
        if panel.get("type") not in KINDS:
            yield _name(panel), f"its type is {panel.get('type')!r}; use one of {', '.join(sorted(KINDS))}"
        if panel.get("panels"):
            yield _name(panel), "a row is collapsed over its panels, which nobody sees; open it"


def _words(document: Document) -> _Found:
    titles = [panel.get("title") for panel in _panels(document)]
    for panel in _panels(document):
        title, text = panel.get("title") or "", panel.get("description") or ""
        if not _QUESTION.match(title):
            yield _name(panel), f"its title is {title!r}; write the question that it answers"
        if titles.count(title) > 1:
            yield _name(panel), "another panel has the same title; rename one"
        if panel["type"] == "text":
            continue
        good, found, bad = text.partition(" Bad: ")
        if not found or not good.partition(" Good: ")[2].strip() or not bad.strip().endswith("."):
            yield _name(panel), "its description does not say what good and bad look like: '… Good: …. Bad: ….'"


def _units(document: Document) -> _Found:
    for panel in _panels(document):
        if panel["type"] == "text":
            continue
        defaults = (panel.get("fieldConfig") or {}).get("defaults") or {}
        unit = defaults.get("unit") or ""
        if not _UNIT.match(unit):
            yield _name(panel), f"its unit is {unit!r}; take Grafana's word for the unit of the metric"
        steps = (defaults.get("thresholds") or {}).get("steps") or []
        values = [step.get("value", "missing") for step in steps]
        if not values or values[0] is not None or any(not isinstance(value, int | float) for value in values[1:]):
            yield _name(panel), f"its thresholds begin at {values}; the lowest has null, the others numbers"
        elif values[1:] != sorted(set(values[1:])):
            yield _name(panel), f"its thresholds do not rise: {values}"
        if not defaults.get("noValue"):
            yield _name(panel), "it does not say what an empty answer means; set noValue"


def _dates(document: Document) -> _Found:
    for panel in _panels(document):
        fields = panel.get("fieldConfig") or {}
        own = {
            override["matcher"].get("options"): each.get("value") or ""
            for override in fields.get("overrides") or []
            for each in override.get("properties") or []
            if each.get("id") == "unit"
        }
        shown = (fields.get("defaults") or {}).get("unit") or ""
        for target in panel.get("targets") or []:
            is_date = own.get(target.get("legendFormat"), shown).startswith(_DATE)
            expr = target.get("expr") or ""
            is_multiplied = bool(_MILLISECONDS.match(expr))
            if is_date and not is_multiplied:
                yield _name(panel), f"its unit is a date, which Grafana reads in milliseconds; write 1000 * ({expr})"
            if is_multiplied and not is_date:
                yield _name(panel), f"its unit is no date, and {expr!r} is a thousand times something; drop that"


def _targets(document: Document) -> _Found:
    for panel in _panels(document):
        if panel["type"] == "text":
            continue
        targets = panel.get("targets") or []
        refs = [target.get("refId") for target in targets]
        if not targets or len(set(refs)) != len(refs) or not all(refs):
            yield _name(panel), f"its queries are called {refs}; give it queries, and each a letter of its own"
        for target in targets:
            yield from ((_name(panel), text) for text in _of_target(target, panel["type"]))
        sources = [panel.get("datasource"), *(target.get("datasource") for target in targets)]
        if any(not isinstance(each, dict) or set(each) != {"type", "uid"} for each in sources):
            yield _name(panel), "its data source, or a query's, is not written as type and uid"
        elif any(each != sources[0] for each in sources):
            yield _name(panel), "its queries ask different data sources"


def _of_target(target: dict[str, Any], kind: str) -> Iterator[str]:
    expr = target.get("expr") or ""
    if not target.get("legendFormat"):
        yield f"{expr!r} has no legend, so that Grafana shows all labels; write one"
    if bool(target.get("instant")) == bool(target.get("range")) or bool(target.get("instant")) != (kind in _INSTANT):
        yield f"{expr!r} is asked for {'a moment' if target.get('instant') else 'a range'}, unlike what its panel shows"
    if (kind == "table") != (target.get("format") == "table"):
        yield f"{expr!r} has the format {target.get('format')!r}; a table, and nothing else, takes 'table'"
    yield from _of_query(expr)


def _of_query(expr: str) -> Iterator[str]:
    if _FIXED_RATE.search(expr):
        yield f"{expr!r} has a rate over a fixed time, empty or late at other steps; write [$__rate_interval]"
    if _FALLBACK.search(expr):
        yield f"{expr!r} makes a value where there is none; say what emptiness means with noValue"
    try:
        tree = pp.parse(substituted(_plain(expr)))
    except (QueryError, ValueError) as error:
        yield f"{expr!r} cannot be right: {error}"
        return
    names = set(_names_kept(tree))
    if len(names) > 1:
        yield f"{expr!r} gives one subject series of several names ({', '.join(sorted(names))}); take the names from all"
    for selector in _selectors(tree):
        if not _is_of_cluster(selector):
            yield f"{expr!r} mixes clusters: {selector.name} is not of $cluster"


def _selectors(tree: pp.Expr) -> Iterator[pp.VectorSelector]:
    match tree:
        case pp.VectorSelector():
            yield tree
        case pp.MatrixSelector():
            yield tree.vector_selector
        case pp.BinaryExpr():
            yield from _selectors(tree.lhs)
            yield from _selectors(tree.rhs)
        case pp.Call():
            for argument in tree.args:
                yield from _selectors(argument)
        case pp.ParenExpr() | pp.UnaryExpr() | pp.SubqueryExpr() | pp.AggregateExpr():
            yield from _selectors(tree.expr)


def _names_kept(tree: pp.Expr) -> Iterator[str]:
    """Yield the name that the series of each alternative of a query keep, "no name" for one whose series lose it."""
    match tree:
        case pp.VectorSelector():
            yield tree.name or ""
        case pp.ParenExpr():
            yield from _names_kept(tree.expr)
        case pp.BinaryExpr() if str(tree.op) == "or":
            yield from _names_kept(tree.lhs)
            yield from _names_kept(tree.rhs)
        case pp.BinaryExpr() if str(tree.op) in _FILTERS and not (tree.modifier and tree.modifier.return_bool):
            yield from _names_kept(tree.lhs)
        case _:
            yield "no name"


def _is_of_cluster(selector: pp.VectorSelector) -> bool:
    """Say whether *selector* keeps to the chosen cluster, or asks for Prometheus and Alertmanager, which have none."""
    values = [matcher.value for matcher in selector.matchers.matchers]
    if VARIABLES["$cluster"] in values or (selector.name or "").startswith(_OF_WATCHERS):
        return True
    return selector.name == "ALERTS" and any(value.startswith(_OF_WATCHERS_ALERTS) for value in values)


def _variables(document: Document) -> _Found:
    listed = document.get("templating", {}).get("list", [])
    known = [variable.get("name") for variable in listed]
    texts = [json.dumps({name: value for name, value in document.items() if name != "templating"})]
    for place, variable in enumerate(listed):
        name = f"variable {variable.get('name')}"
        if known.count(variable.get("name")) > 1:
            yield name, "it stands twice; remove one"
        used = {word for text in (*texts, *map(json.dumps, listed[place + 1 :])) for word in _VARIABLE.findall(text)}
        if variable.get("name") not in used:
            yield name, "nothing uses it; remove it"
        if variable.get("type") == "query":
            yield from ((name, text) for text in _of_variable(variable, known[:place]))
    for word in sorted(set(_VARIABLE.findall(texts[0]))):
        if not _BUILT_IN.match(word) and word not in known and word not in _inputs(document):
            yield "", f"${word} is used, and there is no such variable; add it"


def _of_variable(variable: dict[str, Any], before: list[str]) -> Iterator[str]:
    query = (variable.get("query") or {}).get("query", "")
    if not re.match(r"label_values\(.+, \w+\)\Z", query):
        yield f"its query is {query!r}; write label_values(series, label)"
    if variable.get("definition") != query:
        yield "its definition is not its query"
    if variable.get("refresh") not in {1, 2}:
        yield "it is never read anew; set refresh to 1 or 2"
    if variable.get("includeAll") and not variable.get("allValue"):
        yield "All stands for a list of every value, however long; set allValue"
    for word in _VARIABLE.findall(query):
        if word not in before:
            yield f"it is filled by ${word}, which stands behind it or not at all; move it"


def _marks(document: Document) -> _Found:
    marks = document.get("annotations", {}).get("list", [])
    if not any("ALERTS" in mark.get("expr", "") for mark in marks):
        yield "", "alerts are not marked on its time lines; add the annotation"
    for mark in marks:
        name = f"annotation {mark.get('name')}"
        if set(mark.get("datasource") or {}) != {"type", "uid"}:
            yield name, "its data source is not written as type and uid"
        yield from ((name, text) for text in _of_query(mark.get("expr", "")))


_RULES: tuple[Callable[[Document], _Found], ...] = (
    _identity,
    _links,
    _dead,
    _grid,
    _ids,
    _kinds,
    _words,
    _units,
    _dates,
    _targets,
    _variables,
    _marks,
)


def _panels(document: Document) -> Iterator[dict[str, Any]]:
    for panel in document.get("panels", []):
        if panel.get("type") != "row":
            yield panel


def _name(panel: dict[str, Any]) -> str:
    return str(panel.get("title") or f"panel {panel.get('id')}")


def _inputs(document: Document) -> set[str]:
    return {each["name"] for each in document.get("__inputs", [])}


def _plain(expr: str) -> str:
    """Return *expr* with variables that are written in braces written without."""
    return re.sub(r"\$\{(\w+)\}", r"$\1", expr)

"""From grafanalib's document to what today's Grafana writes itself: without what is dead, in the shapes read today.

grafanalib writes the schema of 2016 and keys that are dead since; what is dropped and renamed here is what Grafana would
migrate at each load.
Source: Grafana's dashboard JSON model, schema version 39.
"""

from typing import Any

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

_DEAD_DASHBOARD_KEYS = {"__inputs", "gnetId", "hideControls", "inputs", "rows", "sharedCrosshair", "style", "version"}
_DEAD_PANEL_KEYS = {
    *(
        "cacheTimeout",
        "color",
        "columns",
        "editable",
        "error",
        "fontSize",
        "height",
        "hideTimeOverride",
        "interval",
        "isNew",
    ),
    *("links", "mappings", "maxDataPoints", "maxPerRow", "minSpan", "options", "renderer", "repeat", "repeatDirection"),
    *("span", "targets", "thresholds", "timeFrom", "timeShift", "transformations", "transparent"),
}
_DEAD_TARGET_KEYS = {"format", "hide", "interval", "intervalFactor", "metric", "query", "step", "target"}
_INSTANT = {"stat", "table", "bargauge"}
"""Kinds of panels that show how it is now."""


def modernized(document: dict[str, Any], made: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """Return *document* in today's shape; *made* has for the id of each panel its options, fields and transformations."""
    return _without(document, _DEAD_DASHBOARD_KEYS) | {
        "links": [_link(link) for link in document["links"]],
        "panels": [_panel(panel, made.get(panel["id"], {})) for panel in document["panels"]],
        "timepicker": {"refresh_intervals": document["timepicker"]["refresh_intervals"]},
        "templating": {"list": [_choice(choice) for choice in document["templating"]["list"]]},
    }


def _panel(panel: dict[str, Any], made: dict[str, Any]) -> dict[str, Any]:
    if panel["type"] == "row":
        return {name: panel[name] for name in ("id", "type", "title", "gridPos", "collapsed")} | {"panels": []}
    kept = _without(panel, _DEAD_PANEL_KEYS) | made
    kept["targets"] = [_target(target, panel["type"]) for target in panel["targets"]]
    return kept


def _target(target: dict[str, Any], kind: str) -> dict[str, Any]:
    kept = _without(target, _DEAD_TARGET_KEYS) | {"datasource": DATASOURCE, "editorMode": "code"}
    if kind == "table":
        kept["format"] = "table"
    return kept | {"instant": kind in _INSTANT, "range": kind not in _INSTANT}


def _choice(choice: dict[str, Any]) -> dict[str, Any]:
    names = ["name", "label", "type", "query", "refresh", "hide", "includeAll", "multi"]
    kept = {name: choice[name] for name in names}
    if choice["type"] == "query":
        kept |= {"datasource": DATASOURCE, "definition": choice["query"], "sort": choice["sort"]}
        kept["query"] = {"query": choice["query"], "refId": f"choice-{choice['name']}"}
    if choice["includeAll"]:
        # Also what lacks the label is meant by "All", and no list of a thousand names goes into each query.
        kept |= {"allValue": ".*", "current": {"selected": True, "text": ["All"], "value": ["$__all"]}}
    return kept


def _link(link: dict[str, Any]) -> dict[str, Any]:
    kept = _without(link, {"uri"})
    return kept | ({"url": link["uri"]} if link.get("uri") else {})


def _without(value: dict[str, Any], dead: set[str]) -> dict[str, Any]:
    """Return *value* without the keys *dead*, and without nulls at any depth."""
    return {name: _dropped_nulls(item) for name, item in value.items() if name not in dead and item is not None}


def _dropped_nulls(value: Any) -> Any:
    match value:
        case dict():
            return {name: _dropped_nulls(item) for name, item in value.items() if item is not None}
        case list():
            return [_dropped_nulls(item) for item in value]
        case _:
            return value

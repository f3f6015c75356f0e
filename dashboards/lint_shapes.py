"""The keys that a dashboard of today may have, at each place: what is not among them Grafana migrates, or never reads.

Only the kinds of panels that are ours. What is allowed is the part of Grafana's model that these dashboards use, so that
a key which crept in is found, be it dead, misspelt or of an Angular panel.
Source: Grafana's published dashboard, panel and options schemas, versions 11 to 13.
"""

from collections.abc import Iterator
from typing import Any

_DASHBOARD = frozenset(
    [
        "annotations",
        "description",
        "editable",
        "graphTooltip",
        "links",
        "panels",
        "refresh",
        "schemaVersion",
        "tags",
        "templating",
        "time",
        "timepicker",
        "timezone",
        "title",
        "uid",
        "__inputs",
        "__requires",
    ]
)
_PANEL = frozenset(
    [
        "datasource",
        "description",
        "fieldConfig",
        "gridPos",
        "id",
        "options",
        "targets",
        "title",
        "transformations",
        "type",
        "pluginVersion",
    ]
)
_ROW = frozenset(["collapsed", "gridPos", "id", "panels", "title", "type"])
_DEFAULTS = frozenset(
    ["color", "custom", "decimals", "links", "mappings", "max", "min", "noValue", "thresholds", "unit"]
)
_TARGET = frozenset(["datasource", "editorMode", "expr", "format", "instant", "legendFormat", "range", "refId"])
_VARIABLE = frozenset(
    [
        "allValue",
        "current",
        "datasource",
        "definition",
        "hide",
        "includeAll",
        "label",
        "multi",
        "name",
        "query",
        "refresh",
        "sort",
        "type",
    ]
)
_MARK = frozenset(
    [
        "datasource",
        "enable",
        "expr",
        "iconColor",
        "name",
        "step",
        "tagKeys",
        "textFormat",
        "titleFormat",
        "useValueForTime",
    ]
)
_LINK = frozenset(
    ["asDropdown", "icon", "includeVars", "keepTime", "tags", "targetBlank", "title", "tooltip", "type", "url"]
)
_OPTIONS = {
    "stat": frozenset(
        ["colorMode", "graphMode", "justifyMode", "orientation", "reduceOptions", "textMode", "wideLayout"]
    ),
    "bargauge": frozenset(["displayMode", "orientation", "reduceOptions", "showUnfilled", "valueMode", "legend"]),
    "gauge": frozenset(["orientation", "reduceOptions", "showThresholdLabels", "showThresholdMarkers"]),
    "table": frozenset(["cellHeight", "footer", "showHeader", "sortBy"]),
    "text": frozenset(["code", "content", "mode"]),
    "timeseries": frozenset(["legend", "tooltip"]),
    "state-timeline": frozenset(
        ["alignValue", "legend", "mergeValues", "perPage", "rowHeight", "showValue", "tooltip"]
    ),
}
_CUSTOM = {
    "timeseries": frozenset(
        [
            "axisSoftMin",
            "axisSoftMax",
            "drawStyle",
            "fillOpacity",
            "lineInterpolation",
            "lineWidth",
            "pointSize",
            "showPoints",
            "spanNulls",
            "stacking",
            "thresholdsStyle",
        ]
    ),
    "state-timeline": frozenset(["fillOpacity", "lineWidth"]),
    "table": frozenset(["align", "cellOptions", "filterable"]),
}


def foreign_keys(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield for each key that does not belong its place, empty for the dashboard as a whole, and what to do."""
    yield from _foreign("", document, _DASHBOARD)
    for link in document.get("links") or []:
        yield from _foreign("link", link, _LINK)
    for panel in document.get("panels") or []:
        yield from _of_panel(str(panel.get("title") or f"panel {panel.get('id')}"), panel)
    for variable in document.get("templating", {}).get("list", []):
        yield from _foreign(f"variable {variable.get('name')}", variable, _VARIABLE)
    for mark in document.get("annotations", {}).get("list", []):
        yield from _foreign(f"annotation {mark.get('name')}", mark, _MARK)


def _of_panel(place: str, panel: dict[str, Any]) -> Iterator[tuple[str, str]]:
    kind = panel.get("type", "")
    if kind == "row":
        yield from _foreign(place, panel, _ROW)
        return
    yield from _foreign(place, panel, _PANEL)
    fields = panel.get("fieldConfig") or {}
    yield from _foreign(place, fields, frozenset({"defaults", "overrides"}))
    defaults = fields.get("defaults") or {}
    yield from _foreign(place, defaults, _DEFAULTS)
    yield from _foreign(place, panel.get("options") or {}, _OPTIONS.get(kind, frozenset()))
    yield from _foreign(place, defaults.get("custom") or {}, _CUSTOM.get(kind, frozenset()))
    for target in panel.get("targets") or []:
        yield from _foreign(place, target, _TARGET)


def _foreign(place: str, value: dict[str, Any], known: frozenset[str]) -> Iterator[tuple[str, str]]:
    for name in sorted(set(value) - known):
        yield place, f"the key {name!r} is dead or belongs elsewhere; remove it"

"""What a panel looks like in Grafana's words: its options, its fields with units, thresholds and links, its columns.

Source: the options and field configuration that Grafana 11 to 13 write for each kind of panel.
"""

from collections.abc import Iterator
from typing import Any, assert_never

from alert_rules.dialect import Dialect
from alert_rules.settings import RuleSettings
from dashboards.panel import Lead, Panel, PanelKind, Series
from telemetry.catalogue.metric import Unit

UNITS = {
    Unit.NONE: "none",
    Unit.SECONDS: "s",
    Unit.MILLISECONDS: "ms",
    Unit.NANOSECONDS: "ns",
    Unit.UNIX_SECONDS: "dateTimeAsIso",
    Unit.BYTES: "bytes",
    Unit.MEGABYTES: "decmbytes",
    Unit.MEGAHERTZ: "suffix: MHz",
    Unit.MEGABITS: "Mbits",
    Unit.PERCENT: "percent",
    Unit.RATIO: "percentunit",
    Unit.BOOLEAN: "short",
    Unit.COUNT: "short",
    Unit.INDEX: "none",
    Unit.TERM: "none",
}
"""Grafana's word for each unit of the catalogue."""

_TIMES = {Unit.UNIX_SECONDS: 1_000}
"""What a value is multiplied by for Grafana, whose dates are milliseconds."""

_REDUCED = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_LIST = {"displayMode": "list", "placement": "bottom", "showLegend": True}


def shape(panel: Panel, settings: RuleSettings, dialect: Dialect) -> dict[str, Any]:
    """Return options, field configuration and transformations of *panel*, as they stand in the document."""
    made: dict[str, Any] = {"options": _options(panel), "fieldConfig": _fields(panel, settings, dialect)}
    if panel.kind is PanelKind.TABLE:
        made["transformations"] = list(_joined(panel, dialect))
    return made


def query(panel: Panel, series: Series, dialect: Dialect) -> str:
    """Return the PromQL of *series* for that Prometheus, in what Grafana takes the unit of its values for."""
    expr = dialect.expression(series.expr)
    times = _times(panel.unit_of(series))
    return expr if times == 1 else f"{times:g} * ({expr})"


def legend(text: str, dialect: Dialect) -> str:
    """Return *text* with its labels named as that Prometheus names them; one that is lacking is left out."""
    for name in ("cluster", "region", "instance"):
        theirs = dialect.label(name)
        text = text.replace(f"{{{{{name}}}}}", f"{{{{{theirs}}}}}" if theirs else "")
    return text.strip()


def _options(panel: Panel) -> dict[str, Any]:
    match panel.kind:
        case PanelKind.STAT:
            text = "name" if panel.shows_name else "auto"
            return {
                "colorMode": "background",
                "graphMode": "none",
                "justifyMode": "auto",
                "orientation": "auto",
                "reduceOptions": _REDUCED,
                "textMode": text,
                "wideLayout": True,
            }
        case PanelKind.BAR_GAUGE:
            return {
                "displayMode": "basic",
                "orientation": "horizontal",
                "reduceOptions": _REDUCED,
                "showUnfilled": True,
                "valueMode": "color",
            }
        case PanelKind.TABLE:
            return {"cellHeight": "sm", "showHeader": True, "sortBy": []}
        case PanelKind.STATE_TIMELINE:
            return {
                "alignValue": "left",
                "legend": _LIST,
                "mergeValues": True,
                "rowHeight": 0.9,
                "showValue": "never",
                "tooltip": {"mode": "single", "sort": "none"},
            }
        case PanelKind.TIMESERIES:
            return {"legend": {"calcs": [], **_LIST}, "tooltip": {"mode": "multi", "sort": "desc"}}
        case _:
            assert_never(panel.kind)


def _fields(panel: Panel, settings: RuleSettings, dialect: Dialect) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "color": {"mode": "palette-classic" if panel.kind is PanelKind.TIMESERIES else "thresholds"},
        "custom": _custom(panel),
        "links": [_data_link(lead, panel, dialect) for lead in panel.leads],
        "mappings": _mappings(panel.words, panel.shown_unit),
        "noValue": panel.when_empty,
        "thresholds": _thresholds(panel.steps_by(settings), panel.shown_unit),
        "unit": UNITS[panel.shown_unit],
    }
    if panel.kind is PanelKind.BAR_GAUGE and panel.shown_unit is Unit.RATIO:
        defaults |= {"min": 0, "max": 1}
    return {
        "defaults": defaults,
        "overrides": list(_columns(panel, settings)) if panel.kind is PanelKind.TABLE else [],
    }


def _has_many(panel: Panel) -> bool:
    """Say whether a query gives a line for each of something: areas below those would hide one another."""
    return any("{{" in series.legend for series in panel.series)


def _custom(panel: Panel) -> dict[str, Any]:
    match panel.kind:
        case PanelKind.TIMESERIES:
            return {
                "axisSoftMin": 0,
                "drawStyle": "line",
                "fillOpacity": 10 if panel.stacks or not _has_many(panel) else 0,
                "lineInterpolation": "linear",
                "lineWidth": 1,
                "pointSize": 5,
                "showPoints": "auto",
                "spanNulls": False,
                "stacking": {"group": "A", "mode": "normal" if panel.stacks else "none"},
                "thresholdsStyle": {"mode": "line" if panel.limits else "off"},
            }
        case PanelKind.STATE_TIMELINE:
            return {"fillOpacity": 70, "lineWidth": 0}
        case PanelKind.TABLE:
            return {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": False}
        case PanelKind.STAT | PanelKind.BAR_GAUGE:
            return {}
        case _:
            assert_never(panel.kind)


def _columns(panel: Panel, settings: RuleSettings) -> Iterator[dict[str, Any]]:
    """Yield what is said of single columns: unit, colors and words of a query's, the runbook behind an alert's name."""
    for series in panel.series:
        properties = list(_of_column(series, panel.unit_of(series)))
        if properties:
            yield {"matcher": {"id": "byName", "options": series.legend}, "properties": properties}
    base = settings.links.runbook_base_url
    if panel.runbook_label and base.startswith(("http://", "https://")):
        link = {"title": "Runbook", "url": f"{base}/${{__value.raw}}.md", "targetBlank": True}
        matcher = {"id": "byName", "options": panel.runbook_label}
        yield {"matcher": matcher, "properties": [{"id": "links", "value": [link]}]}


def _of_column(series: Series, unit: Unit) -> Iterator[dict[str, Any]]:
    if series.unit is not None:
        yield {"id": "unit", "value": UNITS[series.unit]}
    if series.words:
        yield {"id": "mappings", "value": _mappings(series.words, unit)}
    if series.steps or series.words:
        yield {"id": "custom.cellOptions", "value": {"type": "color-text"}}
    if series.steps:
        yield {"id": "thresholds", "value": _thresholds(series.steps, unit)}


def _joined(panel: Panel, dialect: Dialect) -> Iterator[dict[str, Any]]:
    """Yield what makes one table of the queries: rows of the same labels are one, columns are named and in order."""
    labels = dialect.grouping(panel.columns)
    values = [f"Value #{ref_id(place)}" if len(panel.series) > 1 else "Value" for place in range(len(panel.series))]
    names = [series.legend for series in panel.series]
    yield {"id": "merge", "options": {}}
    yield {
        "id": "organize",
        "options": {
            "excludeByName": {"Time": True},
            "indexByName": {name: place for place, name in enumerate((*labels, *values))},
            "renameByName": dict(zip(values, names, strict=True)),
        },
    }


def ref_id(place: int) -> str:
    """Return the letter by which Grafana knows the query at *place*."""
    return chr(ord("A") + place)


def _times(unit: Unit) -> int:
    return _TIMES.get(unit, 1)


def _mappings(words: tuple[tuple[float, str, Any], ...], unit: Unit) -> list[dict[str, Any]]:
    options = {
        f"{value * _times(unit):.15g}": {"text": text, "color": color.value, "index": place}
        for place, (value, text, color) in enumerate(words)
    }
    return [{"type": "value", "options": options}] if options else []


def _thresholds(steps: tuple[tuple[float | None, Any], ...], unit: Unit) -> dict[str, Any]:
    values = [(value if value is None else value * _times(unit), color) for value, color in steps]
    return {"mode": "absolute", "steps": [{"value": value, "color": color.value} for value, color in values]}


def _data_link(lead: Lead, panel: Panel, dialect: Dialect) -> dict[str, Any]:
    """Return the link from a value: the dashboard with the value's labels, and the time and data source of this one."""
    place = "__data.fields" if panel.kind is PanelKind.TABLE else "__field.labels"
    filled = [
        f"var-{name}=${{{place}.{dialect.label(name)}}}" if name in lead.labels else f"${{{name}:queryparam}}"
        for name in lead.view.variables
        if dialect.label(name) and (name in lead.labels or name in {"cluster", "region"})
    ]
    address = "&".join(["${datasource:queryparam}", *filled, "${__url_time_range}"])
    return {"title": lead.title, "url": f"/d/{lead.view.uid}?{address}"}

"""Panels without a time axis as HTML: single values, bars, gauges, tables, texts; and the legends of plots. Pure.

Every text that comes from a file or from Prometheus is escaped here.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from markdown_it import MarkdownIt

from dashboards.preview.fields import (
    CALCULATIONS,
    Series,
    css,
    mapped_text,
    overridden,
    reduced,
    series_color,
    value_color,
)
from dashboards.preview.model import Panel
from dashboards.preview.table import TIME, Cell, frames_of, ordered, transformed
from telemetry.prometheus_api import Result

LINES_MAX = 200
"""Lines of a table that are shown."""

_SPARK_POINTS_MAX = 120
_ARC = math.pi * 40
"""Length of a gauge's half circle, of radius 40."""

_NO_RESULT = Result({}, ())

Link = Callable[[str, Mapping[str, str]], str]
"""Puts variables, times and labels into an address."""

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


def empty(panel: Panel) -> str:
    """Return what a panel shows whose queries found nothing."""
    return f'<div class="empty">{escape(str(panel.defaults.get("noValue") or "No data"))}</div>'


def stat(panel: Panel, series: Sequence[Series], link: Link) -> str:
    """Return large values, one a series, or the word for none in the color of a value that is 0."""
    mode = str(panel.options.get("colorMode") or "value")
    if not series:
        color = css(_lowest(panel))
        return f'<div class="stats">{_stat(str(panel.defaults.get("noValue") or "No data"), "", color, mode, "")}</div>'
    parts = []
    for each, value in _values(panel, series):
        color = value_color(value, each.config) if value is not None else css(_lowest(panel))
        text, name = each.text(value), each.name
        match panel.options.get("textMode") or "auto":
            case "name":
                text, name = each.name, ""
            case "value":
                name = ""
            case "none":
                text = name = ""
            case "auto" if len(series) == 1:
                name = ""
        is_drawn = panel.options.get("graphMode") == "area" and len(each.values) > 1
        spark = _spark(each.values, color if mode == "value" else "#ffffff") if is_drawn else ""
        parts.append(_linked(_stat(text, name, color, mode, spark), each, link))
    return f'<div class="stats">{"".join(parts)}</div>'


def _stat(text: str, name: str, color: str, mode: str, spark: str) -> str:
    is_filled = mode.startswith("background")
    style = f"background:{color};color:{_on(color)}" if is_filled else f"color:{color}" if mode == "value" else ""
    # The larger the text, the smaller its letters: nothing is cut.
    letters = max(3, len(text))
    caption = f'<div class="stat-name">{escape(name)}</div>' if name else ""
    return (
        f'<div class="stat{" filled" if is_filled else ""}" style="{style};--letters:{letters}">'
        f'{spark}{caption}<div class="stat-value">{escape(text)}</div></div>'
    )


def bars(panel: Panel, series: Sequence[Series], link: Link) -> str:
    """Return a bar for each series, on a scale that all share."""
    if not series:
        return empty(panel)
    values = _values(panel, series)
    real = [value for _, value in values if value is not None and math.isfinite(value)]
    low = float(panel.defaults.get("min") or 0)
    high = float(panel.defaults["max"]) if panel.defaults.get("max") is not None else max([*real, low])
    lines = []
    for each, value in values:
        part = 0.0 if value is None or high <= low else max(0.0, min(1.0, (value - low) / (high - low)))
        color = value_color(value, each.config) if value is not None else "#8e8e8e"
        line = (
            f'<div class="bar"><span class="bar-name" title="{escape(each.name)}">{escape(each.name)}</span>'
            f'<span class="bar-track"><span class="bar-fill" style="width:{part * 100:.1f}%;background:{color}"></span></span>'
            f'<span class="bar-value" style="color:{color}">{escape(each.text(value))}</span></div>'
        )
        lines.append(_linked(line, each, link))
    # One width for all values, so that all bars have one scale.
    letters = max(len(each.text(value)) for each, value in values)
    return f'<div class="bars" style="--letters:{letters}">{"".join(lines)}</div>'


def gauges(panel: Panel, series: Sequence[Series], link: Link) -> str:
    """Return a half circle for each series."""
    if not series:
        return empty(panel)
    low = float(panel.defaults.get("min") or 0)
    high = float(panel.defaults["max"]) if panel.defaults.get("max") is not None else 100.0
    parts = []
    for each, value in _values(panel, series):
        part = 0.0 if value is None or high <= low else max(0.0, min(1.0, (value - low) / (high - low)))
        color = value_color(value, each.config) if value is not None else "#8e8e8e"
        text = each.text(value)
        name = f'<div class="gauge-name">{escape(each.name)}</div>' if len(series) > 1 else ""
        drawn = (
            '<div class="gauge"><svg viewBox="0 0 100 62" role="img">'
            '<path class="gauge-track" d="M10 52 A40 40 0 0 1 90 52"/>'
            f'<path d="M10 52 A40 40 0 0 1 90 52" stroke="{color}" stroke-dasharray="{part * _ARC:.1f} 200"/>'
            f'<text x="50" y="50" fill="{color}" font-size="{min(16.0, 110 / max(1, len(text))):.1f}">{escape(text)}</text>'
            f"</svg>{name}</div>"
        )
        parts.append(_linked(drawn, each, link))
    return f'<div class="gauges">{"".join(parts)}</div>'


def table(panel: Panel, series: Sequence[Series], link: Link) -> str:
    """Return a table of the last values, with labels as columns, after the panel's transformations."""
    frame = transformed(frames_of(series), panel.transformations, series)
    if not frame.lines:
        return _notes(frame.notes) + empty(panel)
    titles = {column: frame.shown.get(column, column) for column in frame.columns}
    configs = {column: _column_config(panel, column, title) for column, title in titles.items()}
    columns = [column for column in frame.columns if not (configs[column].get("custom") or {}).get("hidden")]
    lines = frame.lines
    for wanted in reversed(panel.options.get("sortBy") or ()):
        by_title = {str(configs[column].get("displayName") or title): column for column, title in titles.items()}
        column = by_title.get(str(wanted.get("displayName")))
        if column is not None:
            lines = ordered(lines, column, is_falling=bool(wanted.get("desc")))
    heads = "".join(f"<th>{escape(str(configs[each].get('displayName') or titles[each]))}</th>" for each in columns)
    rows = []
    for line in lines[:LINES_MAX]:
        labels = {name: str(value) for name, value in line.items() if value is not None}
        labels |= {titles[name]: value for name, value in labels.items() if name in titles}
        rows.append("".join(_cell(line.get(each), each, configs[each], labels, link) for each in columns))
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    more = f'<p class="note">{len(lines) - LINES_MAX} more lines</p>' if len(lines) > LINES_MAX else ""
    return (
        f"{_notes(frame.notes)}<div class='table'><table><thead><tr>{heads}</tr></thead>"
        f"<tbody>{body}</tbody></table>{more}</div>"
    )


def _column_config(panel: Panel, column: str, title: str) -> Mapping[str, Any]:
    """Return the properties of a column: those of its heading come over those of its own name."""
    config = overridden(panel, column, "")
    if title == column:
        return config
    own = overridden(panel, title, "")
    plain = dict(panel.defaults) | {"custom": dict(panel.custom)}
    return config | {name: value for name, value in own.items() if value != plain.get(name)}


def _cell(value: Cell, column: str, config: Mapping[str, Any], labels: Mapping[str, str], link: Link) -> str:
    custom = config.get("custom") or {}
    mode = str((custom.get("cellOptions") or {}).get("type") or custom.get("displayMode") or "auto")
    style, color, is_number = "", "", isinstance(value, float | int)
    if value is None:
        text = ""
    elif isinstance(value, str):
        word = mapped_text(value, config)
        text = str((word or {}).get("text") or value)
        color = css(str(word["color"])) if word and word.get("color") else ""
    else:
        unit = "dateTimeAsIso" if column == TIME else str(config.get("unit") or "")
        series = Series("", "", _NO_RESULT, {**config, "unit": unit})
        text, color = series.text(value), value_color(value, config)
    if value is not None and color and "color" in mode:
        style = f"background:{color};color:{_on(color)}" if "background" in mode else f"color:{color}"
    shown = escape(text)
    for each in config.get("links") or ():
        shown = f'<a href="{escape(safe(link(str(each.get("url", "")), labels)))}">{shown}</a>'
    return f'<td{" class=number" if is_number else ""} style="{style}">{shown}</td>'


def text(panel: Panel, content: str) -> str:
    """Return a text of Markdown; HTML in it is shown, not obeyed."""
    if panel.options.get("mode") == "code":
        return f"<pre class='text'>{escape(content)}</pre>"
    return f'<div class="text">{_MARKDOWN.render(content)}</div>'


def legend(panel: Panel, series: Sequence[Series]) -> str:
    """Return the names of a plot's lines with their colors, and the calculations that the panel wants of them."""
    options = panel.options.get("legend") or {}
    if options.get("displayMode") == "hidden" or options.get("showLegend") is False or not series:
        return ""
    wanted = [each for each in options.get("calcs") or () if each in CALCULATIONS]
    lines = []
    for place, each in enumerate(series):
        if (each.custom.get("hideFrom") or {}).get("legend"):
            continue
        name = f'<span class="swatch" style="background:{series_color(each, place)}"></span>{escape(each.name)}'
        values = [escape(each.text(reduced(each.values, calculation))) for calculation in wanted]
        lines.append((place, name, values))
    if options.get("displayMode") == "table":
        heads = "".join(f"<th>{CALCULATIONS[each][0]}</th>" for each in wanted)
        rows = "".join(
            f'<tr class="key" data-trace="{place}"><td>{name}</td>{"".join(f"<td>{each}</td>" for each in values)}</tr>'
            for place, name, values in lines
        )
        return f'<div class="legend"><table><thead><tr><th></th>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
    titles = [CALCULATIONS[each][0] for each in wanted]
    keys = "".join(
        f'<span class="key" data-trace="{place}" tabindex="0">{name}'
        + "".join(f" <em>{title}: {value}</em>" for title, value in zip(titles, values, strict=True))
        + "</span>"
        for place, name, values in lines
    )
    return f'<div class="legend">{keys}</div>'


def state_legend(series: Sequence[Series]) -> str:
    """Return the words of a state timeline with their colors: those of its series' values, in the panel's order."""
    words: dict[str, str] = {}
    for each in series:
        for mapping in each.config.get("mappings") or ():
            found = mapping.get("options") or {}
            entries = found.values() if mapping.get("type") == "value" else [found.get("result") or {}]
            for word in sorted(entries, key=lambda entry: entry.get("index") or 0):
                if word.get("text"):
                    words.setdefault(str(word["text"]), css(str(word.get("color") or "gray")))
    keys = "".join(
        f'<span class="key"><span class="swatch" style="background:{color}"></span>{escape(word)}</span>'
        for word, color in words.items()
    )
    return f'<div class="legend">{keys}</div>' if keys else ""


def safe(url: str) -> str:
    """Return an address that may be followed: of this page, or of the web; # for any other."""
    return url if url.startswith(("/", "?", "#", "http://", "https://")) and not url.startswith("//") else "#"


def _notes(notes: Sequence[str]) -> str:
    return "".join(f'<p class="note">{escape(note)}</p>' for note in notes)


def _values(panel: Panel, series: Sequence[Series]) -> list[tuple[Series, float | None]]:
    """Return each series with the value that the panel makes of it."""
    wanted = ((panel.options.get("reduceOptions") or {}).get("calcs") or ["lastNotNull"])[0]
    return [(each, reduced(each.values, wanted)) for each in series]


def _linked(drawn: str, series: Series, link: Link) -> str:
    """Return *drawn* as a link where the series has one."""
    for each in series.config.get("links") or ():
        url = safe(link(str(each.get("url", "")), series.result.labels))
        return f'<a class="whole" href="{escape(url)}" title="{escape(str(each.get("title") or ""))}">{drawn}</a>'
    return drawn


def _lowest(panel: Panel) -> str:
    """Return the color of the lowest step: what a panel without a value is drawn in where it has a word for it."""
    steps = (panel.defaults.get("thresholds") or {}).get("steps") or ()
    return str(steps[0]["color"]) if steps else "gray"


def _spark(values: Sequence[float], color: str) -> str:
    """Return a small line of the values, without axes."""
    real = [value for value in values if math.isfinite(value)][:: max(1, len(values) // _SPARK_POINTS_MAX)]
    low, high = min(real, default=0.0), max(real, default=1.0)
    span = (high - low) or 1.0
    points = " ".join(
        f"{place / max(1, len(real) - 1) * 100:.1f},{29 - (value - low) / span * 28:.1f}"
        for place, value in enumerate(real)
    )
    return (
        '<svg class="spark" viewBox="0 0 100 30" preserveAspectRatio="none" aria-hidden="true">'
        f'<polyline points="{points}" fill="none" stroke="{color}"/></svg>'
    )


def _on(color: str) -> str:
    """Return black or white, whichever is read better on *color*."""
    if not color.startswith("#") or len(color) != len("#rrggbb"):
        return "inherit"
    red, green, blue = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in (red, green, blue)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#111217" if luminance > 0.179 else "#ffffff"

"""Panels with a time axis as figures of plotly: lines, areas, bars, points and states. Pure.

Colors of text and grid are the page's, so that light and dark share a figure. Values and ticks are written here, in the
panel's unit: plotly's own formats know neither durations nor powers of 1,024.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from dashboards.preview.fields import Series, css, mapped, series_color, value_color
from dashboards.preview.model import Panel
from dashboards.preview.shown import Mark
from dashboards.preview.times import Range, iso
from dashboards.preview.units import formatted, ticks

_FLAT = "rgba(0,0,0,0)"
_NAME_LETTERS_MAX = 22
_WIDE_NAME_LETTERS_MAX = 30
"""Letters of a name in a hint and beside narrow panels, and beside wide ones; a phone has room for these too."""
_LINE = {"linear": "linear", "smooth": "spline", "stepBefore": "vh", "stepAfter": "hv"}
_DASHES = {"dash": "dash", "dot": "dot", "solid": "solid"}


def lines(panel: Panel, series: Sequence[Series], shown: Range, step: float, marks: Sequence[Mark]) -> dict[str, Any]:
    """Return the figure of a time series panel, as plotly's JSON."""
    figure = go.Figure()
    for place, each in enumerate(series):
        figure.add_trace(_trace(each, series_color(each, place), step))
    unit = series[0].unit if series else str(panel.defaults.get("unit") or "")
    low, high = _extent(panel, series)
    values = ticks(low, high, unit)
    decimals = panel.defaults.get("decimals")
    figure.update_yaxes(
        # A line at the top is drawn whole.
        range=[values[0], values[-1] + 0.02 * (values[-1] - values[0])],
        tickvals=values,
        ticktext=[formatted(value, unit, decimals) for value in values],
        fixedrange=True,
        zeroline=False,
        automargin=True,
    )
    _lay_out(figure, shown)
    figure.update_layout(hovermode="x unified", barmode="stack" if _is_stacked(panel.custom) else "overlay")
    _add_thresholds(figure, panel, values[0], values[-1])
    _add_marks(figure, marks, shown, values[0])
    return _as_json(figure)


def states(panel: Panel, series: Sequence[Series], shown: Range, step: float, marks: Sequence[Mark]) -> dict[str, Any]:
    """Return the figure of a state timeline: a line of colored stretches for each series, the first on top."""
    figure = go.Figure()
    names = _unique([each.name for each in series])
    letters = min(_WIDE_NAME_LETTERS_MAX, max(_NAME_LETTERS_MAX, 2 * panel.width))
    for name, each in zip(names, series, strict=True):
        stretches = _stretches(each, step, shown.end)
        texts = [each.text(value) for _, _, value in stretches]
        figure.add_trace(
            go.Bar(
                orientation="h",
                base=[iso(start) for start, _, _ in stretches],
                x=[(end - start) * 1_000 for start, end, _ in stretches],
                y=[name] * len(stretches),
                width=0.8,
                marker={"color": [value_color(value, each.config) for _, _, value in stretches], "line": {"width": 0}},
                text=texts if panel.options.get("showValue") not in {"never", None} else None,
                textposition="inside",
                insidetextanchor="start",
                hovertext=[
                    f"{_shown(each.name)}: {_shown(text)}<br>{iso(start)[11:19]} to {iso(end)[11:19]} UTC"
                    for (start, end, _), text in zip(stretches, texts, strict=True)
                ],
                hoverinfo="text",
                showlegend=False,
            )
        )
    figure.update_yaxes(
        type="category",
        categoryorder="array",
        categoryarray=names[::-1],
        tickvals=names,
        ticktext=[_shown(_cut(name, letters)) for name in names],
        range=[-0.5, len(names) - 0.5],
        automargin=True,
        fixedrange=True,
        showgrid=False,
    )
    _lay_out(figure, shown)
    figure.update_layout(barmode="overlay", hovermode="closest", bargap=0.1)
    _add_marks(figure, marks, shown, None)
    return _as_json(figure)


def _trace(series: Series, color: str, step: float) -> Any:
    custom = series.custom
    times, values = _with_gaps(series, step, spans=bool(custom.get("spanNulls")))
    common: dict[str, Any] = {
        "x": [iso(at) for at in times],
        "y": values,
        "name": _shown(series.name),
        "customdata": [_shown(series.text(value)) if value is not None else "" for value in values],
        "hovertemplate": "%{customdata}<extra>" + _shown(_cut(series.name)) + "</extra>",
        "showlegend": False,
        "visible": not (custom.get("hideFrom") or {}).get("viz"),
    }
    style = custom.get("drawStyle", "line")
    if style == "bars":
        return go.Bar(**common, marker={"color": color, "line": {"width": 0}})
    opacity = float(custom.get("fillOpacity") or 0) / 100
    stacking = custom.get("stacking") or {}
    if _is_stacked(custom):
        group = str(stacking.get("group", "A"))
        common |= {"stackgroup": group, "groupnorm": "percent" if stacking.get("mode") == "percent" else ""}
    elif opacity > 0 and style == "line" and None not in values:
        # Plotly fills across gaps, as if there were values.
        common["fill"] = "tozeroy"
    dash = (custom.get("lineStyle") or {}).get("fill", "solid")
    return go.Scatter(
        **common,
        mode="markers" if style == "points" else "lines+markers",
        line={
            "color": color,
            "width": float(custom.get("lineWidth") or 1) + 0.5,
            "shape": _LINE.get(str(custom.get("lineInterpolation")), "linear"),
            "dash": _DASHES.get(dash, "solid"),
        },
        marker={"color": color, "size": _sizes(values, custom), "line": {"width": 0}},
        fillcolor=_faded(color, opacity),
        connectgaps=bool(custom.get("spanNulls")),
    )


def _is_stacked(custom: Mapping[str, Any]) -> bool:
    return (custom.get("stacking") or {}).get("mode", "none") in {"normal", "percent"}


def _sizes(values: Sequence[float | None], custom: Mapping[str, Any]) -> list[float]:
    """Return the size of each point: 0, as a line shows it, but for a value without neighbors or where all are wanted."""
    size = max(4.0, float(custom.get("pointSize") or 5))
    if custom.get("showPoints") == "always" or custom.get("drawStyle") == "points":
        return [size] * len(values)
    padded = [None, *values, None]
    return [
        size if before is None and after is None else 0.0
        for before, _, after in zip(padded, values, padded[2:], strict=False)
    ]


def _with_gaps(series: Series, step: float, *, spans: bool) -> tuple[list[float], list[float | None]]:
    """Return times and values with a None where points are further apart than a step and a half, or no number."""
    times: list[float] = []
    values: list[float | None] = []
    for at, value in series.result.points:
        if times and at - times[-1] > 1.5 * step and not spans:
            times.append(times[-1] + step)
            values.append(None)
        times.append(at)
        values.append(value if math.isfinite(value) else None)
    return times, values


def _extent(panel: Panel, series: Sequence[Series]) -> tuple[float, float]:
    """Return the least and the greatest value of the axis, as the panel sets them or its series need them."""
    custom = panel.custom
    if _is_stacked(custom) and (custom.get("stacking") or {}).get("mode") == "percent":
        return 0.0, 100.0
    if _is_stacked(custom):
        sums: dict[float, float] = {}
        for each in series:
            for at, value in each.result.points:
                sums[at] = sums.get(at, 0.0) + (value if math.isfinite(value) else 0.0)
        found = [0.0, *sums.values()]
    else:
        found = [value for each in series for value in each.values if math.isfinite(value)]
    low, high = min(found, default=0.0), max(found, default=1.0)
    if custom.get("axisSoftMin") is not None:
        low = min(low, float(custom["axisSoftMin"]))
    if custom.get("axisSoftMax") is not None:
        high = max(high, float(custom["axisSoftMax"]))
    if panel.defaults.get("min") is not None:
        low = float(panel.defaults["min"])
    if panel.defaults.get("max") is not None:
        high = float(panel.defaults["max"])
    return low, high


def _stretches(series: Series, step: float, end: float) -> list[tuple[float, float, float]]:
    """Return (start, end, value): points of one value that follow each other are one stretch."""
    found: list[list[float]] = []
    for at, value in series.result.points:
        joins = bool(found) and at - found[-1][1] <= 0.5 * step
        if joins and _is_same(found[-1][2], value, series):
            found[-1][1] = at + step
        else:
            found.append([at, at + step, value])
    return [(start, min(until, end), value) for start, until, value in found]


def _is_same(one: float, other: float, series: Series) -> bool:
    if one == other:
        return True
    words = mapped(one, series.config), mapped(other, series.config)
    return words[0] is not None and words[0] == words[1]


def _lay_out(figure: Any, shown: Range) -> None:
    figure.update_xaxes(range=[iso(shown.start), iso(shown.end)], type="date", showgrid=True, automargin=True)
    figure.update_layout(
        margin={"l": 8, "r": 12, "t": 8, "b": 8},
        paper_bgcolor=_FLAT,
        plot_bgcolor=_FLAT,
        font={"size": 11},
        hoverlabel={"namelength": -1},
        template=None,
    )


def _add_thresholds(figure: Any, panel: Panel, low: float, high: float) -> None:
    """Draw the panel's thresholds as lines or areas, where it wants them."""
    mode = str((panel.custom.get("thresholdsStyle") or {}).get("mode", "off"))
    steps = (panel.defaults.get("thresholds") or {}).get("steps") or ()
    if mode == "off" or not steps:
        return
    for step, after in itertools.zip_longest(steps, steps[1:]):
        start = low if step.get("value") is None else float(step["value"])
        end = high if after is None else float(after["value"])
        color = css(step["color"])
        if "area" in mode and start < end:
            figure.add_hrect(
                y0=max(low, start), y1=min(high, end), fillcolor=color, opacity=0.1, line_width=0, layer="below"
            )
        if ("line" in mode or "dashed" in mode) and step.get("value") is not None and low <= start <= high:
            figure.add_hline(
                y=start, line={"color": color, "width": 1, "dash": "dash" if "dashed" in mode else "solid"}
            )


def _add_marks(figure: Any, marks: Sequence[Mark], shown: Range, bottom: float | None) -> None:
    """Draw what annotations mark: a faint stretch, and on the axis of values a point that says what it is."""
    for mark in marks:
        figure.add_vrect(
            x0=iso(max(mark.start, shown.start)),
            x1=iso(min(mark.end, shown.end)),
            fillcolor=mark.color,
            opacity=0.08,
            line_width=0,
            layer="below",
        )
    if bottom is not None and marks:
        figure.add_trace(
            go.Scatter(
                x=[iso(max(mark.start, shown.start)) for mark in marks],
                y=[bottom] * len(marks),
                mode="markers",
                marker={"symbol": "triangle-up", "size": 8, "color": [mark.color for mark in marks]},
                hovertemplate=[f"{_shown(mark.title)} {_shown(mark.text)}<extra></extra>" for mark in marks],
                showlegend=False,
                cliponaxis=False,
            )
        )


def _as_json(figure: Any) -> dict[str, Any]:
    found: dict[str, Any] = figure.to_plotly_json()
    return found


def _faded(color: str, opacity: float) -> str:
    """Return a color of six hexadecimal digits with an opacity from 0 to 1; others as they are."""
    if len(color) != len("#rrggbb") or not color.startswith("#"):
        return color
    red, green, blue = (int(color[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def _unique(names: Sequence[str]) -> list[str]:
    """Return *names* with a number behind those that came before: each is a line of its own."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return found


def _cut(name: str, letters: int = _NAME_LETTERS_MAX) -> str:
    return name if len(name) <= letters else f"{name[: letters - 1]}…"


def _shown(text: str) -> str:
    """Return *text* as plotly shows it: it reads a few tags and `%{}` in what it is given."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("%{", "%&#123;")

"""What a series looks like in a panel: its name, unit, color, words for values, one value out of many. Pure.

Source: Grafana, "Configure value mappings", "Configure thresholds", "Configure field overrides", "Calculation types".
"""

import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dashboards.preview.model import Override, Panel
from dashboards.preview.units import formatted
from telemetry.prometheus_api import Result

PALETTE = (
    *("#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#705da0", "#37872d", "#fade2a"),
    *("#447ebc", "#c15c17", "#890f02", "#0a437c", "#6d1f62", "#584477"),
)
"""Colors of series in their order."""

_COLORS = {
    "green": "#73bf69",
    "dark-green": "#37872d",
    "semi-dark-green": "#56a64b",
    "light-green": "#96d98d",
    "yellow": "#fade2a",
    "dark-yellow": "#e0b400",
    "semi-dark-yellow": "#f2cc0c",
    "light-yellow": "#ffee52",
    "red": "#f2495c",
    "dark-red": "#c4162a",
    "semi-dark-red": "#e02f44",
    "light-red": "#ff7383",
    "blue": "#5794f2",
    "dark-blue": "#1f60c4",
    "semi-dark-blue": "#3274d9",
    "light-blue": "#8ab8ff",
    "orange": "#ff9830",
    "dark-orange": "#fa6400",
    "semi-dark-orange": "#ff780a",
    "light-orange": "#ffb357",
    "purple": "#b877d9",
    "dark-purple": "#8f3bb8",
    "semi-dark-purple": "#a352cc",
    "light-purple": "#ca95e5",
    "gray": "#8e8e8e",
    "grey": "#8e8e8e",
    "white": "#ffffff",
    "black": "#000000",
    "transparent": "transparent",
    "text": "#8e8e8e",
    "super-light-blue": "#c0d8ff",
    "super-light-green": "#c8f2c2",
}
_LABEL = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")
_CSS_COLOR = re.compile(r"#[0-9a-fA-F]{3,8}|rgba?\([\d.,% ]+\)")
_UNKNOWN = "#8e8e8e"


@dataclass(frozen=True, slots=True)
class Series:
    """One result of a query with the name it is shown by, and the properties that hold for it."""

    name: str
    ref: str
    result: Result
    config: Mapping[str, Any]

    @property
    def unit(self) -> str:
        """Grafana's word for the unit."""
        return str(self.config.get("unit") or "")

    @property
    def custom(self) -> Mapping[str, Any]:
        """What concerns this kind of panel alone."""
        return self.config.get("custom") or {}

    @property
    def values(self) -> list[float]:
        """The values, oldest first."""
        return [value for _, value in self.result.points]

    def text(self, value: float | None) -> str:
        """Return *value* as it is shown: its word, else its number in the unit."""
        if value is None:
            return str(self.config.get("noValue") or "-")
        word = mapped(value, self.config)
        if word is not None and word.get("text"):
            return str(word["text"])
        decimals = self.config.get("decimals")
        return formatted(value, self.unit, None if decimals is None else int(decimals))


def series_of(panel: Panel, results: Sequence[tuple[int, Result]], legend: Callable[[str], str]) -> list[Series]:
    """Return *results*, each with the place of its query in *panel*, as series; *legend* puts variables into a name."""
    found = []
    for place, result in results:
        target = panel.targets[place]
        name = named(legend(target.legend), result.labels)
        config = overridden(panel, name, target.ref)
        found.append(Series(str(config.get("displayName") or name), target.ref, result, config))
    return found


def named(legend: str, labels: Mapping[str, str]) -> str:
    """Return the name of a series: its legend with labels in it, else its labels as PromQL writes them."""
    if legend and legend != "__auto":
        return _LABEL.sub(lambda found: labels.get(found[1], ""), legend)
    inner = ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()) if name != "__name__")
    name = labels.get("__name__", "")
    if legend == "__auto" and len([key for key in labels if key != "__name__"]) == 1:
        return next(value for key, value in labels.items() if key != "__name__")
    return f"{name}{{{inner}}}" if inner else name or "Value"


def overridden(panel: Panel, name: str, ref: str) -> dict[str, Any]:
    """Return the properties that hold for the series or column *name* of query *ref*."""
    config = dict(panel.defaults)
    custom = dict(panel.custom)
    for override in panel.overrides:
        if _matches(override, name, ref):
            for key, value in override.properties.items():
                group, _, inner = key.partition(".")
                if group == "custom":
                    custom[inner] = value
                else:
                    config[key] = value
    return config | {"custom": custom}


def _matches(override: Override, name: str, ref: str) -> bool:
    match override.matcher:
        case "byName":
            return override.option == name
        case "byRegexp":
            return re.search(override.option.strip("/"), name) is not None
        case "byFrameRefID":
            return override.option == ref
        case _:
            return False


def mapped(value: float, config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the text and color that the panel's words give *value*, None where they have none."""
    for mapping in config.get("mappings") or ():
        options = mapping.get("options") or {}
        match mapping.get("type"):
            case "value":
                for key, found in options.items():
                    if _as_number(key) == value:
                        return dict(found)
            case "range":
                low, high = options.get("from"), options.get("to")
                if (low is None or value >= low) and (high is None or value <= high):
                    return dict(options.get("result") or {})
            case "special":
                if options.get("match") in {"nan", "null+nan"} and math.isnan(value):
                    return dict(options.get("result") or {})
            case "regex":
                if re.search(str(options.get("pattern", "")).strip("/"), f"{value:g}"):
                    return dict(options.get("result") or {})
    return None


def mapped_text(value: str, config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the same for a text, such as a label in a table."""
    for mapping in config.get("mappings") or ():
        if mapping.get("type") == "value" and value in (mapping.get("options") or {}):
            return dict(mapping["options"][value])
    return None


def threshold_color(value: float, config: Mapping[str, Any]) -> str:
    """Return the color of the step that *value* is in, as CSS has it."""
    thresholds = config.get("thresholds") or {}
    if thresholds.get("mode") == "percentage":
        low, high = float(config.get("min") or 0), float(config.get("max") or 100)
        value = (value - low) / (high - low) * 100 if high > low else value
    color = "green"
    for step in thresholds.get("steps") or ():
        if step.get("value") is None or value >= step["value"]:
            color = step["color"]
    return css(color)


def value_color(value: float, config: Mapping[str, Any]) -> str:
    """Return the color that a value stands in: its word's, the fixed one, or that of its step."""
    word = mapped(value, config)
    if word is not None and word.get("color"):
        return css(str(word["color"]))
    color = config.get("color") or {}
    if color.get("mode") == "fixed":
        return css(str(color.get("fixedColor") or "green"))
    return threshold_color(value, config)


def series_color(series: Series, place: int) -> str:
    """Return the color of a line: fixed, of its last value's step, or the next of the palette."""
    color = series.config.get("color") or {}
    match color.get("mode"):
        case "fixed" | "shades":
            return css(str(color.get("fixedColor") or "green"))
        case "thresholds" if series.result.points:
            return threshold_color(series.result.last, series.config)
        case _:
            return PALETTE[place % len(PALETTE)]


def css(color: str) -> str:
    """Return a color of Grafana's as CSS has it; what is neither its name nor a color of CSS is gray."""
    if color in _COLORS:
        return _COLORS[color]
    return color if _CSS_COLOR.fullmatch(color) else _UNKNOWN


def reduced(values: Sequence[float], calculation: str) -> float | None:
    """Return one value out of *values*, None where there is none. Raises ValueError for an unknown calculation."""
    real = [value for value in values if not math.isnan(value)]
    found = CALCULATIONS.get(calculation)
    if found is None:
        raise ValueError(f"the calculation {calculation!r} is not drawn here")
    return found[1](real) if real else None


def _changes(values: Sequence[float]) -> float:
    return float(sum(before != after for before, after in itertools.pairwise(values)))


CALCULATIONS: dict[str, tuple[str, Callable[[Sequence[float]], float]]] = {
    "lastNotNull": ("Last", lambda values: values[-1]),
    "last": ("Last", lambda values: values[-1]),
    "firstNotNull": ("First", lambda values: values[0]),
    "first": ("First", lambda values: values[0]),
    "min": ("Min", min),
    "max": ("Max", max),
    "mean": ("Mean", lambda values: sum(values) / len(values)),
    "sum": ("Total", sum),
    "count": ("Count", lambda values: float(len(values))),
    "range": ("Range", lambda values: max(values) - min(values)),
    "diff": ("Difference", lambda values: values[-1] - values[0]),
    "delta": ("Delta", lambda values: sum(max(0.0, b - a) for a, b in itertools.pairwise(values))),
    "changeCount": ("Changes", _changes),
}
"""Grafana's word for a calculation, to its heading and itself."""


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None

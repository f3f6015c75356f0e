"""Tables: results of instant queries as lines and columns, with Grafana's transformations of them. Pure.

Source: Grafana, "Transform data" and its table panel. A transformation that is not known is named in the result.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dashboards.preview.fields import CALCULATIONS, Series, reduced

TIME, VALUE = "Time", "Value"
Cell = str | float | None


@dataclass(slots=True)
class Frame:
    """Columns in order, lines by column, and what was not understood on the way."""

    columns: list[str]
    lines: list[dict[str, Cell]]
    notes: list[str] = field(default_factory=list)
    shown: dict[str, str] = field(default_factory=dict)
    """Column to its heading, where that is another."""


def frames_of(series: Sequence[Series]) -> list[Frame]:
    """Return a frame for each query: time, labels in order of the alphabet, and the last value."""
    by_ref: dict[str, list[Series]] = {}
    for each in series:
        by_ref.setdefault(each.ref, []).append(each)
    found = []
    for ref, members in by_ref.items():
        labels = sorted({name for each in members for name in each.result.labels})
        value = VALUE if len(by_ref) == 1 else f"{VALUE} #{ref}"
        lines: list[dict[str, Cell]] = [
            {TIME: each.result.points[-1][0] * 1_000, **each.result.labels, value: each.result.last}
            for each in members
            if each.result.points
        ]
        found.append(Frame([TIME, *labels, value], lines))
    return found


def transformed(frames: list[Frame], transformations: Sequence[Mapping[str, Any]], series: Sequence[Series]) -> Frame:
    """Return what the panel's transformations make of *frames*; the first of them where several are left."""
    notes: list[str] = []
    for each in transformations:
        name, options = each.get("id", ""), each.get("options") or {}
        if name == "reduce":
            frames = [_reduced(series, options)]
        elif name == "merge":
            frames = [_merged(frames)]
        elif name in {"joinByField", "seriesToColumns"}:
            frames = [_joined(frames, str(options.get("byField") or TIME))]
        elif name in _EACH:
            frames = [_EACH[name](frame, options) for frame in frames]
        else:
            notes.append(f"the transformation {name!r} is not drawn here")
    if len(frames) > 1:
        frames = [_merged(frames)]
    first = frames[0] if frames else Frame([], [])
    first.notes += notes
    return first


def _reduced(series: Sequence[Series], options: Mapping[str, Any]) -> Frame:
    """Return a line for each series and a column for each calculation."""
    calculations = [each for each in options.get("reducers") or ("lastNotNull",) if each in CALCULATIONS]
    titles = {each: CALCULATIONS[each][0] for each in calculations}
    lines: list[dict[str, Cell]] = [
        {"Field": each.name, **{titles[name]: reduced(each.values, name) for name in calculations}} for each in series
    ]
    return Frame(["Field", *titles.values()], lines)


def _merged(frames: Sequence[Frame]) -> Frame:
    """Return one frame; lines that agree in all columns which every frame has become one, unless they contradict."""
    columns = list(dict.fromkeys(column for frame in frames for column in frame.columns))
    keys = [column for column in columns if column != TIME and all(column in frame.columns for frame in frames)]
    keys = [column for column in keys if not _is_value(column)]
    lines: list[dict[str, Cell]] = []
    by_key: dict[tuple[Cell, ...], list[dict[str, Cell]]] = {}
    for frame in frames:
        for line in frame.lines:
            alike = by_key.setdefault(tuple(line.get(key) for key in keys), [])
            joined = next((each for each in alike if _agree(each, line)), None)
            if joined is None:
                joined = dict(line)
                alike.append(joined)
                lines.append(joined)
            joined.update(line)
    # Values come last, as in Grafana.
    columns.sort(key=_is_value)
    return Frame(columns, lines, [note for frame in frames for note in frame.notes])


def _is_value(column: str) -> bool:
    return column == VALUE or column.startswith(f"{VALUE} #")


def _agree(one: Mapping[str, Cell], other: Mapping[str, Cell]) -> bool:
    """Tell whether two lines say the same in every column that both have."""
    return all(one[column] == value for column, value in other.items() if column in one)


def _joined(frames: Sequence[Frame], column: str) -> Frame:
    """Return one frame with a line for each value of *column*."""
    lines: dict[Cell, dict[str, Cell]] = {}
    columns = [column]
    for number, frame in enumerate(frames, start=1):
        names = {
            name: name if name not in columns or name == column else f"{name} {number}"
            for name in frame.columns
            if name != column or number == 1
        }
        columns += [name for name in names.values() if name != column]
        for line in frame.lines:
            target = lines.setdefault(line.get(column), {column: line.get(column)})
            target.update({names[name]: value for name, value in line.items() if name in names and name != column})
    return Frame(columns, list(lines.values()))


def _organized(frame: Frame, options: Mapping[str, Any]) -> Frame:
    hidden = {name for name, is_hidden in (options.get("excludeByName") or {}).items() if is_hidden}
    order = options.get("indexByName") or {}
    renamed = options.get("renameByName") or {}
    columns = [column for column in frame.columns if column not in hidden]
    columns.sort(key=lambda column: order.get(column, len(order)))
    shown = frame.shown | {name: title for name, title in renamed.items() if title}
    return Frame(columns, frame.lines, frame.notes, shown)


def _kept(frame: Frame, options: Mapping[str, Any]) -> Frame:
    include = options.get("include") or {}
    names, pattern = include.get("names"), include.get("pattern")
    columns = [
        column
        for column in frame.columns
        if (names is not None and column in names)
        or (pattern is not None and re.search(str(pattern).strip("/"), column))
        or (names is None and pattern is None)
    ]
    return Frame(columns, frame.lines, frame.notes, frame.shown)


def _sorted(frame: Frame, options: Mapping[str, Any]) -> Frame:
    lines = frame.lines
    for wanted in reversed(options.get("sort") or ()):
        lines = ordered(lines, str(wanted["field"]), is_falling=bool(wanted.get("desc")))
    return Frame(frame.columns, lines, frame.notes, frame.shown)


def _limited(frame: Frame, options: Mapping[str, Any]) -> Frame:
    return Frame(frame.columns, frame.lines[: int(options.get("limitField") or 10)], frame.notes, frame.shown)


def _unchanged(frame: Frame, _options: Mapping[str, Any]) -> Frame:
    return frame


_EACH: dict[str, Callable[[Frame, Mapping[str, Any]], Frame]] = {
    "organize": _organized,
    "filterFieldsByName": _kept,
    "sortBy": _sorted,
    "limit": _limited,
    # Labels are columns already, and series keep their names.
    "labelsToFields": _unchanged,
    "seriesToRows": _unchanged,
}


def ordered(lines: Sequence[dict[str, Cell]], column: str, *, is_falling: bool) -> list[dict[str, Cell]]:
    """Return *lines* in the order of a column: numbers before texts, what is empty last."""

    def key(line: dict[str, Cell]) -> tuple[int, float, str]:
        value = line.get(column)
        return (1, 0.0, value) if isinstance(value, str) else (0, 0.0 if value is None else value, "")

    filled = [line for line in lines if line.get(column) is not None]
    return sorted(filled, key=key, reverse=is_falling) + [line for line in lines if line.get(column) is None]

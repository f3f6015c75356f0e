"""Asks Prometheus what a dashboard asks, as Grafana would: variables in their order, then every panel at once."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from dashboards.preview.fields import Series, css, named, series_of
from dashboards.preview.model import GRID_WIDTH, Annotation, Board, Panel, Section, Variable
from dashboards.preview.shown import Mark, Page, Shown
from dashboards.preview.times import Range, Steps, interval_text, steps
from dashboards.preview.variables import Chosen, asked, choose, fixed_values, in_query, in_text, narrowed
from telemetry.prometheus_api import Prometheus, PrometheusFailure

AT_ONCE_MAX = 6
"""Queries that are asked together; a browser asks no more of Grafana."""

_PER_ROW_MAX = 4
_T = TypeVar("_T")


def ask(
    prometheus: Prometheus, board: Board, shown: Range, wanted: Mapping[str, Sequence[str]], scrape_seconds: float
) -> Page:
    """Return *board* over the range *shown*; *wanted* are values by variable. What Prometheus refuses is said in the page."""
    chosen = _choices(prometheus, board, shown, wanted)
    sections = [(section, expanded(section, chosen)) for section in board.sections]
    with ThreadPoolExecutor(max_workers=AT_ONCE_MAX, thread_name_prefix="preview") as threads:
        pending = [
            (section, [threads.submit(_panel, prometheus, panel, shown, own, scrape_seconds) for panel, own in panels])
            for section, panels in sections
        ]
        notes = [threads.submit(_marks, prometheus, note, shown, chosen, scrape_seconds) for note in board.annotations]
        drawn = [(section, [each.result() for each in panels]) for section, panels in pending]
        marks = [each.result() for each in notes]
    errors = [each.error for each in chosen.values() if each.error] + [error for _, error in marks if error]
    return Page(
        board, shown, chosen, drawn, [mark for found, _ in marks for mark in found], list(dict.fromkeys(errors))
    )


def expanded(section: Section, chosen: Mapping[str, Chosen]) -> list[tuple[Panel, Mapping[str, Chosen]]]:
    """Return the panels of a section, one that repeats once for each value with that value alone chosen.

    Copies stand side by side, four a line; what is below them moves down.
    """
    found: list[tuple[Panel, Mapping[str, Chosen]]] = []
    down = 0
    for panel in section.panels:
        variable = chosen.get(panel.repeat)
        values = [] if variable is None else variable.values if variable.is_all else variable.chosen
        if variable is None or not values:
            found.append((replace(panel, top=panel.top + down), chosen))
            continue
        a_row = min(_PER_ROW_MAX, len(values))
        width = GRID_WIDTH // a_row
        for place, value in enumerate(values):
            line, column = divmod(place, a_row)
            copy = replace(panel, left=column * width, top=panel.top + down + line * panel.height, width=width)
            only = Chosen(variable.variable, variable.values, (value,))
            found.append((copy, {**chosen, panel.repeat: only}))
        down += ((len(values) - 1) // a_row) * panel.height
    return found


def _choices(
    prometheus: Prometheus, board: Board, shown: Range, wanted: Mapping[str, Sequence[str]]
) -> dict[str, Chosen]:
    chosen: dict[str, Chosen] = {}
    for variable in board.variables:
        values, error = fixed_values(variable), ""
        if values is None:
            found, error = _told(lambda each=variable: _values(prometheus, each, shown, chosen))  # type: ignore[misc]
            values = found or []
        picked = wanted.get(variable.name, ())
        chosen[variable.name] = replace(choose(variable, values, picked), error=error)
    return chosen


def _values(prometheus: Prometheus, variable: Variable, shown: Range, chosen: Mapping[str, Chosen]) -> list[str]:
    question = asked(variable, chosen)
    if question.query:
        results = prometheus.query(in_query(question.query, chosen, specials(shown, Steps(60, 60))), shown.end)
        found = [f"{named('', each.labels)} {each.last:g} {each.points[-1][0] * 1_000:.0f}" for each in results]
    else:
        found = prometheus.label_values(question.label, question.selector, shown.start, shown.end)
    return narrowed(variable, found)


def _panel(
    prometheus: Prometheus, panel: Panel, shown: Range, chosen: Mapping[str, Chosen], scrape_seconds: float
) -> Shown:
    reckoned = steps(shown, panel.width, scrape_seconds)
    special = specials(shown, reckoned)
    step = reckoned.interval_seconds
    # As Grafana does, so that points stay where they are when the page is asked again.
    start, end = (int(at // step) * step for at in (shown.start, shown.end))

    def asked_all() -> list[Series]:
        found = []
        for place, target in enumerate(panel.targets):
            expr = in_query(target.expr, chosen, special)
            is_instant = target.is_instant or target.is_table
            results = (
                prometheus.query(expr, shown.end) if is_instant else prometheus.query_range(expr, start, end, step)
            )
            found += [(place, result) for result in results]
        return series_of(panel, found, lambda text: in_text(text, chosen, special))

    series, error = _told(asked_all)
    return Shown(panel, series or [], step, chosen, error)


def specials(shown: Range, reckoned: Steps) -> dict[str, str]:
    """Return what Grafana's own variables stand for."""
    milliseconds = reckoned.interval_seconds * 1_000
    return {
        "__interval": interval_text(reckoned.interval_seconds),
        "__interval_ms": f"{milliseconds:.0f}",
        "__rate_interval": interval_text(reckoned.rate_seconds),
        "__range": f"{shown.seconds:.0f}s",
        "__range_s": f"{shown.seconds:.0f}",
        "__range_ms": f"{shown.seconds * 1_000:.0f}",
        "__from": f"{shown.start * 1_000:.0f}",
        "__to": f"{shown.end * 1_000:.0f}",
    }


def _marks(
    prometheus: Prometheus, note: Annotation, shown: Range, chosen: Mapping[str, Chosen], scrape_seconds: float
) -> tuple[list[Mark], str]:
    reckoned = steps(shown, GRID_WIDTH, scrape_seconds)
    step = reckoned.interval_seconds
    expr = in_query(note.expr, chosen, specials(shown, reckoned))
    results, error = _told(lambda: prometheus.query_range(expr, shown.start, shown.end, step))
    marks = []
    for result in results or []:
        title, text = (named(each, result.labels) if each else "" for each in (note.title, note.text))
        marks += [
            Mark(start, end, title, text, css(note.color)) for start, end in _runs(result.points, step, shown.end)
        ]
    return marks, error


def _runs(points: Sequence[tuple[float, float]], step: float, end: float) -> Iterator[tuple[float, float]]:
    """Yield the stretches in which there is a value that is not 0."""
    began = last = None
    for at, value in points:
        if not value:
            continue
        if began is None or last is None or at - last > 1.5 * step:
            if began is not None and last is not None:
                yield began, min(end, last + step)
            began = at
        last = at
    if began is not None and last is not None:
        yield began, min(end, last + step)


def _told(ask_it: Callable[[], _T]) -> tuple[_T | None, str]:
    """Return what *ask_it* returns, or why it failed."""
    try:
        return ask_it(), ""
    except (PrometheusFailure, ValueError, re.error) as error:
        return None, str(error)

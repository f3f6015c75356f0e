"""The HTML of a page: bar with choices and times, sections, panels on Grafana's grid. Pure."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from urllib.parse import urlencode

from dashboards.preview import drawing, widgets
from dashboards.preview.model import GRID_WIDTH, Board, Kind
from dashboards.preview.shown import Page, Shown
from dashboards.preview.times import Range
from dashboards.preview.variables import ALL, Chosen, in_link, in_text

_SPANS = ("15m", "1h", "6h", "24h", "7d")
_REFRESHES = ("5s", "10s", "30s", "1m")


def page(shown: Page, boards: Sequence[Board], refresh: str, prometheus: str) -> str:
    """Return the page of a dashboard; *refresh* is how often it is asked again, "" for never."""
    board = shown.board
    errors = "".join(f'<p class="failed">{escape(error)}</p>' for error in shown.errors)
    description = f'<p class="about">{escape(board.description)}</p>' if board.description else ""
    content = "".join(_section(place, shown) for place in range(len(shown.sections)))
    body = f"{_bar(shown, boards, refresh, prometheus)}<main>{description}{errors}{content}</main>"
    return _document(board.title, body)


def index(boards: Sequence[Board]) -> str:
    """Return the page that lists all dashboards."""
    items = "".join(
        f'<li><a href="/d/{escape(board.uid)}">{escape(board.title)}</a><p>{escape(board.description)}</p></li>'
        for board in boards
    )
    body = f'<header><div class="top"><h1>Dashboards</h1>{_SWITCH}</div></header><main><ul class="boards">{items}</ul></main>'
    return _document("Dashboards", body)


def failure(title: str, message: str) -> str:
    """Return a page that says why there is no other."""
    body = f'<main><p class="failed">{escape(message)}</p><p><a href="/">All dashboards</a></p></main>'
    return _document(title, body)


_SWITCH = '<button type="button" id="theme" title="Light or dark">◐</button>'


def _document(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,"><link rel="stylesheet" href="/static/page.css"><script src="/static/theme.js"></script>'
        f'</head><body>{body}<script src="/static/plotly.min.js"></script><script src="/static/page.js"></script>'
        "</body></html>"
    )


def _bar(shown: Page, boards: Sequence[Board], refresh: str, prometheus: str) -> str:
    """Return title, links to other dashboards, choices and times."""
    span = shown.shown
    links = "".join(
        f'<a href="{escape(_address(board, shown))}"{" aria-current=page" if board.uid == shown.board.uid else ""}>'
        f"{escape(board.title)}</a>"
        for board in boards
    )
    outside = "".join(
        f'<a href="{escape(widgets.safe(str(link["url"])))}">{escape(str(link.get("title") or link["url"]))}</a>'
        for link in shown.board.links
        if link.get("type") == "link" and link.get("url")
    )
    choices = "".join(_choice(each) for each in shown.chosen.values() if _is_asked(each))
    spans = "".join(
        f'<a href="?{escape(_query(shown, f"now-{each}", "now", refresh))}"'
        f"{' aria-current=true' if (span.start_text, span.end_text) == (f'now-{each}', 'now') else ''}>{each}</a>"
        for each in _SPANS
    )
    every = "".join(f"<option{' selected' if each == refresh else ''}>{each}</option>" for each in _REFRESHES)
    return (
        f'<header><div class="top"><h1>{escape(shown.board.title)}</h1>{_SWITCH}</div>'
        f"{f'<nav class=pages>{links}{outside}</nav>' if len(boards) > 1 or outside else ''}"
        f'<form method="get" id="choices" data-refresh="{escape(refresh)}">{choices}'
        f'<span class="spans">{spans}</span>'
        f'<label>From<input name="from" value="{escape(span.start_text)}" size="19"></label>'
        f'<label>To<input name="to" value="{escape(span.end_text)}" size="19"></label>'
        f'<label>Again every<select name="refresh"><option value="">never</option>{every}</select></label>'
        f'<button>Show</button></form><p class="source">Prometheus at {escape(prometheus)}, times in UTC</p></header>'
    )


def _is_asked(chosen: Chosen) -> bool:
    return chosen.variable.type not in {"datasource", "constant"} and not chosen.variable.is_hidden


def _choice(chosen: Chosen) -> str:
    """Return what chooses the values of a variable: a list, boxes to tick where it may be several, or a field."""
    variable = chosen.variable
    name, label = escape(f"var-{variable.name}"), escape(variable.label)
    if variable.type == "textbox":
        return f'<label>{label}<input name="{name}" value="{escape("".join(chosen.chosen))}"></label>'
    values = list(dict.fromkeys([*chosen.values, *chosen.chosen]))
    if variable.is_multi:
        every = [(ALL, "All", chosen.is_all)] if variable.has_all else []
        boxes = every + [(value, value, not chosen.is_all and value in chosen.chosen) for value in values]
        ticks = "".join(
            f'<label><input type="checkbox" name="{name}" value="{escape(value)}"{" checked" if is_on else ""}>'
            f"{escape(text)}</label>"
            for value, text, is_on in boxes
        )
        text = escape(chosen.text or "none")
        return f'<div class="choice"><span>{label}</span><details><summary>{text}</summary><div>{ticks}</div></details></div>'
    options = [(ALL, "All", chosen.is_all)] if variable.has_all else []
    options += [(value, value, not chosen.is_all and value in chosen.chosen) for value in values]
    listed = "".join(
        f'<option value="{escape(value)}"{" selected" if is_on else ""}>{escape(text)}</option>'
        for value, text, is_on in options
    )
    return f'<label>{label}<select name="{name}">{listed}</select></label>'


def times(span: Range) -> list[tuple[str, str]]:
    """Return the range of time as an address has it."""
    return [("from", span.start_text), ("to", span.end_text)]


def _query(shown: Page, start: str, end: str, refresh: str) -> str:
    pairs = [pair for each in shown.chosen.values() if _is_asked(each) for pair in each.address]
    return urlencode([*pairs, ("from", start), ("to", end), *([("refresh", refresh)] if refresh else [])])


def _address(board: Board, shown: Page) -> str:
    """Return the address of another dashboard, with the choices that it has too, and the times."""
    known = {variable.name for variable in board.variables}
    pairs = [pair for name, each in shown.chosen.items() if name in known and _is_asked(each) for pair in each.address]
    return f"/d/{board.uid}?{urlencode([*pairs, *times(shown.shown)])}"


def _section(place: int, shown: Page) -> str:
    section, panels = shown.sections[place]
    grid = f'<div class="grid">{"".join(_panel(each, shown) for each in panels)}</div>'
    if not section.title:
        return grid
    is_open = "" if section.is_collapsed else " open"
    return f"<details class='section'{is_open}><summary><h2>{escape(section.title)}</h2></summary>{grid}</details>"


def _panel(each: Shown, shown: Page) -> str:
    panel = each.panel
    title = in_text(panel.title, each.chosen)
    about = in_text(panel.description, each.chosen)
    mark = f'<span class="info" tabindex="0" title="{escape(about)}">i</span>' if about else ""
    links = "".join(
        f'<a href="{escape(widgets.safe(in_link(str(link.get("url", "")), each.chosen, times(shown.shown), {})))}">'
        f"{escape(str(link.get('title') or 'link'))}</a>"
        for link in panel.links
    )
    place = (
        f"--left:{panel.left + 1};--width:{min(panel.width, GRID_WIDTH)};--top:{panel.top + 1};--height:{panel.height}"
    )
    try:
        body = "".join(_body(each, shown))
    except (ValueError, TypeError, KeyError, OverflowError, re.error) as error:
        # One panel of a form that is not known leaves the others as they are.
        body = f'<p class="failed">this panel cannot be drawn: {escape(str(error))}</p>'
    head = f"<header><h3>{escape(title)}</h3>{mark}<nav>{links}</nav></header>" if title or mark or links else ""
    return f'<section class="panel kind-{escape(panel.type)}" id="panel-{panel.id}" style="{place}">{head}<div class="body">{body}</div></section>'


def _body(each: Shown, shown: Page) -> Iterator[str]:
    """Yield what is below a panel's title."""
    panel, series = each.panel, each.series
    if each.error:
        yield f'<p class="failed">{escape(each.error)}</p>'
        return

    def link(url: str, labels: Mapping[str, str]) -> str:
        return in_link(url, each.chosen, times(shown.shown), labels)

    match panel.kind:
        case None:
            yield f'<p class="note">Panels of the kind {escape(repr(panel.type))} are not drawn here; Grafana draws them.</p>'
        case Kind.TEXT:
            yield widgets.text(panel, in_text(str(panel.options.get("content") or ""), each.chosen))
        case Kind.STAT:
            yield widgets.stat(panel, series, link)
        case Kind.BARGAUGE:
            yield widgets.bars(panel, series, link)
        case Kind.GAUGE:
            yield widgets.gauges(panel, series, link)
        case Kind.TABLE:
            yield widgets.table(panel, series, link)
        case _ if not series:
            yield widgets.empty(panel)
        case Kind.TIMESERIES:
            yield _plot(drawing.lines(panel, series, shown.shown, each.step_seconds, shown.marks))
            yield widgets.legend(panel, series)
        case Kind.STATE_TIMELINE:
            yield _plot(drawing.states(panel, series, shown.shown, each.step_seconds, shown.marks))
            yield widgets.state_legend(series)


def _plot(figure: Mapping[str, object]) -> str:
    # In a script's text only "</" and "<!--" mean something.
    text = json.dumps(figure, allow_nan=False).replace("<", "\\u003c")
    return f'<div class="plot"><script type="application/json">{text}</script></div>'

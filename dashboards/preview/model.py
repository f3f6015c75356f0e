"""Grafana's dashboard JSON as values: variables, rows of panels, queries, annotations, links. Pure.

Only what is drawn is read. Source: Grafana's dashboard JSON model, schema version 39.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

GRID_WIDTH = 24
"""Columns of Grafana's grid."""


class ModelError(ValueError):
    """A file that is no dashboard; the message names the file, the value and the remedy."""


class Kind(Enum):
    """Panels that are drawn; the value is Grafana's word."""

    STAT = "stat"
    TIMESERIES = "timeseries"
    STATE_TIMELINE = "state-timeline"
    TABLE = "table"
    BARGAUGE = "bargauge"
    GAUGE = "gauge"
    TEXT = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A query of a panel."""

    ref: str
    expr: str
    legend: str = ""
    is_instant: bool = False
    is_table: bool = False
    """Whether labels become columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """Properties of some series: those that *matcher*, one of Grafana's words, finds by *option*."""

    matcher: str
    option: str
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A rectangle at (*left*, *top*) of *width* by *height* grid units, 30 pixels high each, in its section."""

    id: int
    title: str
    kind: Kind | None
    """None for a kind that is not drawn; *type* has Grafana's word."""
    type: str
    description: str = ""
    left: int = 0
    top: int = 0
    width: int = GRID_WIDTH
    height: int = 8
    targets: tuple[Target, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    overrides: tuple[Override, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    transformations: tuple[Mapping[str, Any], ...] = ()
    links: tuple[Mapping[str, Any], ...] = ()
    repeat: str = ""
    """Variable that the panel is drawn once for each value of, "" for none."""

    @property
    def custom(self) -> Mapping[str, Any]:
        """What concerns this kind of panel alone."""
        return self.defaults.get("custom") or {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A row's heading and the panels below it; panels above the first row are in a section without a title."""

    title: str
    panels: tuple[Panel, ...]
    is_collapsed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A choice at the top of a page. *query* is PromQL's `label_values(...)` and the like, or a list with commas."""

    name: str
    label: str
    type: str
    query: str = ""
    regex: str = ""
    sort: int = 0
    is_multi: bool = False
    has_all: bool = False
    all_value: str = ""
    current: tuple[str, ...] = ()
    is_hidden: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """Marks on the time axis, where *expr* has a value that is not 0."""

    name: str
    expr: str
    title: str = ""
    text: str = ""
    color: str = "red"


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A dashboard."""

    uid: str
    title: str
    description: str = ""
    tags: tuple[str, ...] = ()
    variables: tuple[Variable, ...] = ()
    sections: tuple[Section, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    links: tuple[Mapping[str, Any], ...] = ()
    time_from: str = "now-1h"
    time_to: str = "now"

    @property
    def panels(self) -> tuple[Panel, ...]:
        """Every panel in reading order."""
        return tuple(panel for section in self.sections for panel in section.panels)


def read_folder(folder: Path) -> list[Board]:
    """Return the dashboards in *folder*, by title.

    Raises ModelError when there is no folder, none is in it, one cannot be read or two have the same uid.
    """
    if not folder.is_dir():
        raise ModelError(
            f"there is no folder {folder}: write dashboards with `outrider build`, or name theirs with --dir"
        )
    try:
        paths = sorted(folder.glob("*.json"))
        boards = [read_board(path.name, path.read_text(encoding="utf-8")) for path in paths]
    except OSError as error:
        raise ModelError(f"{error.filename} cannot be read: {error.strerror}") from error
    if not boards:
        raise ModelError(
            f"{folder} has no dashboard (*.json): write them with `outrider build`, or name a folder with --dir"
        )
    for place, board in enumerate(boards):
        if any(board.uid == other.uid for other in boards[:place]):
            raise ModelError(
                f"{paths[place]}: uid {board.uid!r} belongs to another dashboard of the folder; change one"
            )
    return sorted(boards, key=lambda board: board.title)


def read_board(name: str, text: str) -> Board:
    """Return the dashboard in *text*, the content of a file called *name*. Raises ModelError."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ModelError(f"{name} is not JSON: {error}") from error
    if not isinstance(document, dict) or "panels" not in document or not document.get("title"):
        raise ModelError(f"{name} is no dashboard of Grafana: it has no title or no panels; take it out of the folder")
    try:
        return _board(document)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ModelError(
            f"{name} has a part of a form that no dashboard has: {error!r}; export it from Grafana again"
        ) from error


def _board(document: Mapping[str, Any]) -> Board:
    time = document.get("time") or {}
    return Board(
        uid=str(document.get("uid") or document["title"]),
        title=document["title"],
        description=document.get("description") or "",
        tags=tuple(document.get("tags") or ()),
        variables=tuple(_variable(each) for each in (document.get("templating") or {}).get("list") or ()),
        sections=tuple(_sections(document["panels"])),
        annotations=tuple(_annotations(document)),
        links=tuple(document.get("links") or ()),
        time_from=str(time.get("from", "now-1h")),
        time_to=str(time.get("to", "now")),
    )


def _sections(panels: Sequence[Mapping[str, Any]]) -> Iterator[Section]:
    """Yield sections; a collapsed row has its panels inside it, an open one those that follow."""
    title, is_collapsed = "", False
    inside: list[Mapping[str, Any]] = []
    for each in panels:
        if each["type"] != "row":
            inside.append(each)
            continue
        if inside or title:
            yield _section(title, inside, is_collapsed=is_collapsed)
        title, is_collapsed, inside = (
            each.get("title") or "",
            bool(each.get("collapsed")),
            list(each.get("panels") or ()),
        )
    if inside or title:
        yield _section(title, inside, is_collapsed=is_collapsed)


def _section(title: str, inside: Sequence[Mapping[str, Any]], *, is_collapsed: bool) -> Section:
    top = min((each["gridPos"]["y"] for each in inside), default=0)
    panels = sorted((_panel(each, top) for each in inside), key=lambda panel: (panel.top, panel.left))
    return Section(title=title, panels=tuple(panels), is_collapsed=is_collapsed)


def _panel(each: Mapping[str, Any], top: int) -> Panel:
    place = each["gridPos"]
    config = each.get("fieldConfig") or {}
    known = {kind.value: kind for kind in Kind}
    return Panel(
        id=int(each.get("id") or 0),
        title=each.get("title") or "",
        kind=known.get(each["type"]),
        type=each["type"],
        description=each.get("description") or "",
        left=int(place["x"]),
        top=int(place["y"]) - top,
        width=int(place["w"]),
        height=int(place["h"]),
        targets=tuple(_target(target) for target in each.get("targets") or () if not target.get("hide")),
        defaults=config.get("defaults") or {},
        overrides=tuple(_override(override) for override in config.get("overrides") or ()),
        options=each.get("options") or {},
        transformations=tuple(item for item in each.get("transformations") or () if not item.get("disabled")),
        links=tuple(each.get("links") or ()),
        repeat=each.get("repeat") or "",
    )


def _target(target: Mapping[str, Any]) -> Target:
    return Target(
        ref=target.get("refId") or "A",
        expr=target["expr"],
        legend=target.get("legendFormat") or "",
        # A panel that wants both shows the range.
        is_instant=bool(target.get("instant")) and not target.get("range"),
        is_table=target.get("format") == "table",
    )


def _override(override: Mapping[str, Any]) -> Override:
    matcher = override["matcher"]
    return Override(
        matcher=matcher["id"],
        option=str(matcher.get("options", "")),
        properties={item["id"]: item.get("value") for item in override.get("properties") or ()},
    )


def _variable(each: Mapping[str, Any]) -> Variable:
    query = each.get("query") or ""
    chosen = (each.get("current") or {}).get("value")
    return Variable(
        name=each["name"],
        label=each.get("label") or each["name"],
        type=each["type"],
        query=str(query.get("query", "") if isinstance(query, dict) else query),
        regex=each.get("regex") or "",
        sort=int(each.get("sort") or 0),
        is_multi=bool(each.get("multi")),
        has_all=bool(each.get("includeAll")),
        all_value=each.get("allValue") or "",
        current=tuple(str(value) for value in ([chosen] if isinstance(chosen, str) else chosen or ()) if value != ""),
        is_hidden=each.get("hide") == 2,
    )


def _annotations(document: Mapping[str, Any]) -> Iterator[Annotation]:
    for each in (document.get("annotations") or {}).get("list") or ():
        expr = each.get("expr") or (each.get("target") or {}).get("expr")
        if expr and each.get("enable", True):
            yield Annotation(
                name=each.get("name") or "",
                expr=expr,
                title=each.get("titleFormat") or each.get("name") or "",
                text=each.get("textFormat") or "",
                color=each.get("iconColor") or "red",
            )

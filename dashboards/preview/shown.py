"""What a page shows: a dashboard with the answers to its questions. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dashboards.preview.fields import Series
from dashboards.preview.model import Board, Panel, Section
from dashboards.preview.times import Range
from dashboards.preview.variables import Chosen


@dataclass(frozen=True, slots=True)
class Mark:
    """What an annotation marks: from Unix seconds *start* to *end*, with what a person reads of it."""

    start: float
    end: float
    title: str
    text: str
    color: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A panel with what its queries returned, or why they did not."""

    panel: Panel
    series: Sequence[Series]
    step_seconds: float
    chosen: Mapping[str, Chosen]
    error: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A dashboard with everything that is shown of it."""

    board: Board
    shown: Range
    chosen: Mapping[str, Chosen]
    sections: Sequence[tuple[Section, Sequence[Shown]]]
    marks: Sequence[Mark]
    errors: Sequence[str]

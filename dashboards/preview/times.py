"""The range of time that a page shows, and the steps that its queries are asked in, as Grafana reckons both. Pure.

Source: Grafana, "Time range controls" and "Add variables: global variables" ($__interval, $__rate_interval, $__range).
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from telemetry.scrape.duration import format_duration

PAGE_PIXELS = 1_500
"""Width of a page that steps are reckoned for: a query has about one point for each pixel of its panel."""

_ROUND_SECONDS = (
    *((1.5, 1), (3.5, 2), (7.5, 5), (12.5, 10), (17.5, 15), (25, 20), (45, 30), (90, 60), (210, 120), (450, 300)),
    *((750, 600), (1_050, 900), (1_500, 1_200), (2_700, 1_800), (5_400, 3_600), (9_000, 7_200), (16_200, 10_800)),
    *((32_400, 21_600), (86_400, 43_200), (604_800, 86_400), (1_814_400, 604_800)),
)
"""(below so many seconds, the step is this), as Grafana rounds them; the next is a month."""
_MONTH_SECONDS = 2_592_000
_RELATIVE = re.compile(r"now(?:-(\d+)([smhdw]))?\Z")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True, slots=True)
class Range:
    """From *start* to *end*, both Unix seconds, and the words they were given in."""

    start: float
    end: float
    start_text: str
    end_text: str

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Steps:
    """How closely a panel asks, and what Grafana's variables stand for in its queries."""

    interval_seconds: float
    rate_seconds: float


def read_range(start: str, end: str, now: float) -> Range:
    """Return the range between two times: "now-1h", Unix milliseconds, or ISO 8601, in UTC where it says no other zone.

    Raises ValueError for what is no time, and for an end that is not after the start.
    """
    found = Range(_moment(start, now), _moment(end, now), start, end)
    if found.seconds < 1:
        raise ValueError(f"the range from {start!r} to {end!r} is empty: choose an end after its start")
    return found


def steps(shown: Range, width: int, scrape_seconds: float, page_pixels: float = PAGE_PIXELS) -> Steps:
    """Return the steps of a panel that is *width* of 24 columns wide, over targets scraped every *scrape_seconds*.

    As in Grafana: the round step nearest to a point for each pixel, no finer than scrapes come, and for rates no less
    than four scrapes.
    """
    pixels = max(1.0, page_pixels * width / 24)
    exact = shown.seconds / pixels
    interval = float(next((step for below, step in _ROUND_SECONDS if exact < below), _MONTH_SECONDS))
    interval = max(interval, scrape_seconds)
    return Steps(interval, max(interval + scrape_seconds, 4 * scrape_seconds))


def interval_text(seconds: float) -> str:
    """Return a step as PromQL writes it; Prometheus takes nothing below a millisecond."""
    return format_duration(max(0.001, seconds))


def iso(seconds: float) -> str:
    """Return Unix seconds as the axes of the plots take them, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def _moment(text: str, now: float) -> float:
    relative = _RELATIVE.match(text)
    if relative is not None:
        count, unit = relative.groups()
        return now - (int(count) * _UNIT_SECONDS[unit] if count else 0)
    if text.isascii() and text.isdigit():
        return int(text) / 1_000
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is no time: write now-1h, Unix milliseconds, or a time such as 2026-11-29T16:00:00Z"
        ) from None
    return (read if read.tzinfo is not None else read.replace(tzinfo=UTC)).timestamp()

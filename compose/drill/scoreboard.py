"""The scoreboard as a value: what was run, how, and how it came out. Pure; `DRILL.md` beside it describes each field.

All of it is written as JSON, and every other form is rendered from it.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import groupby

import msgspec

from compose.drill.fault import Later
from compose.drill.judge import Judgement, Verdict, worst

FORMAT = 1
"""Grows when a field changes its meaning or goes."""


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """What took part."""

    outrider: str
    python: str
    prometheus: str
    alertmanager: str


class Intervals(msgspec.Struct, frozen=True, kw_only=True):
    """The intervals of Prometheus and Alertmanager, in seconds; rules and holds are always the shipped ones."""

    scrape: float
    evaluation: float
    group_wait: float
    group_interval: float


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One fault on one cluster; seconds count from when it began, which is Unix time."""

    fault: str
    what: str
    servers: int
    clients: int
    number: int
    """The how manieth time, from 1."""
    began: float
    healed_at: float
    quiet_at: float | None
    judgement: Judgement
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        """The verdict on it."""
        return self.judgement.verdict


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that cannot be made yet, and what it needs."""

    fault: str
    needs: str


class Scoreboard(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one drill."""

    format: int
    began: float
    took_seconds: float
    via: str
    seed: int
    lanes: int
    processors: int
    versions: Versions
    intervals: Intervals
    verdict: Verdict
    runs: tuple[Run, ...]
    waiting: tuple[Waiting, ...]
    drills: int = 1
    """Of how many drills the runs are: some faults may have been made again."""


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds from fault to receipt over repeated runs: of one expectation of one fault on one size of cluster."""

    fault: str
    servers: int
    alert: str
    runs: int
    received: int
    minimum: float
    median: float
    p95: float
    maximum: float
    within_seconds: float


def waiting(later: Iterable[Later]) -> tuple[Waiting, ...]:
    """Return the faults that cannot be made yet as they stand on a scoreboard."""
    return tuple(Waiting(fault=each.name, needs=each.needs) for each in later)


def joined(earlier: Scoreboard, later: Scoreboard) -> Scoreboard:
    """Return *earlier* with what *later* made again, on clusters of the same size, in the place of what it was.

    Raises ValueError that names what differs when the two were not made alike.
    """
    for field in ("via", "versions", "intervals"):
        if getattr(earlier, field) != getattr(later, field):
            raise ValueError(f"{field} of both differ: {getattr(earlier, field)} and {getattr(later, field)}")
    again: dict[tuple[str, int], Iterable[Run]] = {}
    for run in later.runs:
        again[run.fault, run.servers] = (*again.get((run.fault, run.servers), ()), run)
    runs: list[Run] = []
    for key, made in groupby(earlier.runs, key=lambda run: (run.fault, run.servers)):
        runs += again.pop(key, made)
    runs += [run for made in again.values() for run in made]
    return msgspec.structs.replace(
        later,
        began=earlier.began,
        took_seconds=earlier.took_seconds + later.took_seconds,
        verdict=overall(runs),
        runs=tuple(runs),
        drills=earlier.drills + later.drills,
    )


def overall(runs: Iterable[Run]) -> Verdict:
    """Return the worst verdict; what was skipped has none, and is no failure."""
    return worst(run.verdict for run in runs if run.verdict is not Verdict.SKIPPED)


def spreads(runs: Sequence[Run]) -> tuple[Spread, ...]:
    """Return the spread of each expectation that was run more than once, in the order of the first runs."""
    found: dict[tuple[str, int, int], list[tuple[str, float | None, float]]] = {}
    for run in runs:
        for place, line in enumerate(run.judgement.lines):
            if not line.expected or line.within_seconds is None:
                continue
            received = line.trace.received_at[0] if line.trace is not None and line.trace.received_at else None
            alert = line.trace.alert if line.trace is not None else line.expected[0]
            found.setdefault((run.fault, run.servers, place), []).append((alert, received, line.within_seconds))
    return tuple(_spread(key, tries) for key, tries in found.items() if len(tries) > 1)


def _spread(key: tuple[str, int, int], tries: list[tuple[str, float | None, float]]) -> Spread:
    seconds = sorted(second for _, second, _ in tries if second is not None) or [math.nan]
    return Spread(
        fault=key[0],
        servers=key[1],
        alert=" or ".join(sorted({alert for alert, _, _ in tries})),
        runs=len(tries),
        received=sum(second is not None for _, second, _ in tries),
        minimum=seconds[0],
        median=quantile(seconds, 0.5),
        p95=quantile(seconds, 0.95),
        maximum=seconds[-1],
        within_seconds=tries[0][2],
    )


def quantile(ascending: Sequence[float], share: float) -> float:
    """Return the smallest value that *share* of the values do not exceed."""
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)]


def to_json(board: Scoreboard) -> bytes:
    """Return the scoreboard as JSON, indented, ending in a newline."""
    return msgspec.json.format(msgspec.json.encode(board), indent=2) + b"\n"


def from_json(text: bytes) -> Scoreboard:
    """Return what `to_json` wrote; raises msgspec.MsgspecError for anything else."""
    return msgspec.json.decode(text, type=Scoreboard)

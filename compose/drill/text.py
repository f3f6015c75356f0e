"""The scoreboard in a terminal: lines of at most 120 columns, one for each notification, the first of a fault with its name.

Pure. Seconds count from the fault.
"""

from collections import Counter
from collections.abc import Sequence

from compose.drill.judge import Line, Trace, Verdict
from compose.drill.scoreboard import Run, Scoreboard, Spread, spreads
from telemetry.scrape.duration import format_duration

WIDTH = 120
_NAME = 28
_SECONDS = 5
_NOTHING = "nothing"
NO_SUCH_ALERT = "no such alert in this build"


def header() -> str:
    """Return the head of the columns."""
    return _row("VERDICT", "FAULT", "N", "EXPECTED", "RECEIVED", ("PEND", "FIRE", "GOT", "END"))


def run_lines(run: Run) -> list[str]:
    """Return the lines of one fault: its verdict and name in the first, further notifications and notes below."""
    lines = run.judgement.lines
    first = lines[0] if lines else None
    rows = [_line(run.verdict, run.fault, str(run.servers), first)]
    rows += [_line(line.verdict, "", "", line) for line in lines[1:]]
    return rows + [_cut(f"{'':11}{note}", WIDTH) for note in _notes(run)]


def summary(board: Scoreboard) -> list[str]:
    """Return what stands below the runs: the spread of repeated ones, how many of each verdict, and how long it took."""
    counts = Counter(run.verdict for run in board.runs)
    told = ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict])
    took = format_duration(round(board.took_seconds))
    return [*spread_lines(spreads(board.runs)), "", f"{told or 'nothing was run'}, in {took}; seed {board.seed}"]


def spread_lines(found: Sequence[Spread]) -> list[str]:
    """Return the table of repeated faults, empty when there are none."""
    if not found:
        return []
    head = f"{'FAULT':<26}{'N':<3}{'ALERT':<32}{'RUNS':>5}{'GOT':>5}{'MIN':>8}{'MEDIAN':>8}{'P95':>8}{'MAX':>8}{'PROMISE':>9}"
    return ["", head] + [
        f"{each.fault:<26}{each.servers:<3}{_cut(each.alert, 31):<32}{each.runs:>5}{each.received:>5}"
        f"{each.minimum:>8.1f}{each.median:>8.1f}{each.p95:>8.1f}{each.maximum:>8.1f}{each.within_seconds:>9.1f}"
        for each in found
    ]


def board_text(board: Scoreboard) -> str:
    """Return the whole scoreboard, ending in a newline."""
    rows = [header()]
    for run in board.runs:
        rows += run_lines(run)
    rows += summary(board)
    if board.waiting:
        rows += ["", *(f"{each.fault:<36}not yet: needs {each.needs}" for each in board.waiting)]
    return "\n".join(_cut(row, WIDTH) for row in rows) + "\n"


def expected_text(line: Line) -> str:
    """Return what a line expected, in a few words."""
    if line.expected:
        return line.expected[0] + (f" or {len(line.expected) - 1} more" if len(line.expected) > 1 else "")
    return f"({line.absent[0]})" if line.absent else _NOTHING


def received_text(line: Line) -> str:
    """Return what came, in a few words."""
    trace = line.trace
    if trace is not None and trace.received_at:
        often = len(trace.received_at)
        return (f"{often} x " if often > 1 else "") + trace.alert
    return NO_SUCH_ALERT if not line.expected and line.absent else _NOTHING


def seconds(value: float | None) -> str:
    """Return seconds with one digit behind the point, from a thousand on without; a dash for what was not seen."""
    if value is None:
        return "-"
    return f"{value:.1f}" if value < 999.95 else f"{value:.0f}"


def _line(verdict: Verdict, fault: str, servers: str, line: Line | None) -> str:
    if line is None:
        skipped = "-" if verdict is Verdict.SKIPPED else _NOTHING
        return _row(verdict.value, fault, servers, skipped, skipped, ("-",) * 4)
    return _row(verdict.value, fault, servers, expected_text(line), received_text(line), _times(line.trace))


def _times(trace: Trace | None) -> tuple[str, ...]:
    if trace is None:
        return ("-",) * 4
    got = trace.received_at[0] if trace.received_at else None
    return tuple(seconds(value) for value in (trace.pending_at, trace.firing_at, got, trace.resolved_at))


def _notes(run: Run) -> list[str]:
    notes = [
        f"{line.trace.alert} was promised within {seconds(line.within_seconds)} s"
        for line in run.judgement.lines
        if line.verdict is Verdict.LATE and line.trace is not None
    ]
    if run.quiet_at is None and run.verdict is not Verdict.SKIPPED:
        notes.append("alerts still fired when the wait for their end was over")
    return [*notes, run.note] if run.note else notes


def _row(verdict: str, fault: str, servers: str, expected: str, received: str, times: Sequence[str]) -> str:
    names = f"{_cut(expected, _NAME):<{_NAME}} {_cut(received, _NAME):<{_NAME}}"
    numbers = " ".join(f"{time:>{_SECONDS}}" for time in times)
    return f"{verdict:<10} {_cut(fault, 25):<25} {servers:<1} {names} {numbers}".rstrip()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"

"""The scoreboard as a page of Markdown, to be checked in: date, versions, figures. Pure."""

from collections import Counter
from datetime import UTC, datetime

from compose.drill.judge import Line, Verdict
from compose.drill.scoreboard import Run, Scoreboard, spreads
from compose.drill.text import expected_text, received_text, seconds
from telemetry.scrape.duration import format_duration


def board_markdown(board: Scoreboard) -> str:
    """Return the page, ending in a newline; the same scoreboard gives the same bytes."""
    return "\n".join([*_head(board), *_table(board), *_repeated(board), *_notes(board), *_waiting(board)]) + "\n"


def _head(board: Scoreboard) -> list[str]:
    began = datetime.fromtimestamp(board.began, UTC).strftime("%Y-%m-%d %H:%M UTC")
    versions, intervals = board.versions, board.intervals
    counts = Counter(run.verdict for run in board.runs)
    told = ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict])
    return [
        "<!-- Written by `outrider drill --markdown FILE`; do not edit. -->",
        "# Scoreboard",
        "",
        (
            f"{began}: {told or 'nothing was run'}, in {format_duration(round(board.took_seconds))} on "
            f"{board.processors} processors, {board.lanes} clusters at a time, as {board.via}; seed {board.seed}."
            + (f" Of {board.drills} drills: some faults were made again." if board.drills > 1 else "")
        ),
        "",
        (
            f"Outrider {versions.outrider}, Python {versions.python}, Prometheus {versions.prometheus}, "
            f"Alertmanager {versions.alertmanager}. Scrape {format_duration(intervals.scrape)}, evaluation "
            f"{format_duration(intervals.evaluation)}, group_wait {format_duration(intervals.group_wait)}, group_interval "
            f"{format_duration(intervals.group_interval)}; rules and holds as shipped."
        ),
        "",
        "Seconds count from the fault: until the alert was pending, firing, received; what was promised; and until the",
        "receiver knew that it was over, the fault having been healed at the time given.",
        "",
    ]


def _table(board: Scoreboard) -> list[str]:
    rows = [
        (
            "| fault | servers | expected | received | pending | firing | received after | promised | healed | resolved "
            "| verdict |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for run in board.runs:
        lines: tuple[Line | None, ...] = run.judgement.lines or (None,)
        rows += [_row(run, line, is_first=number == 0) for number, line in enumerate(lines)]
    return rows


def _row(run: Run, line: Line | None, *, is_first: bool) -> str:
    trace = None if line is None else line.trace
    nothing = "-" if run.verdict is Verdict.SKIPPED else "nothing"
    received = None if trace is None or not trace.received_at else trace.received_at[0]
    cells = [
        run.fault if is_first else "",
        str(run.servers) if is_first else "",
        nothing if line is None else expected_text(line),
        nothing if line is None else received_text(line),
        seconds(None if trace is None else trace.pending_at),
        seconds(None if trace is None else trace.firing_at),
        seconds(received),
        seconds(None if line is None else line.within_seconds),
        seconds(run.healed_at) if is_first else "",
        seconds(None if trace is None else trace.resolved_at),
        (run.verdict if is_first or line is None else line.verdict).value,
    ]
    return "| " + " | ".join(cells) + " |"


def _repeated(board: Scoreboard) -> list[str]:
    found = spreads(board.runs)
    if not found:
        return []
    rows = [
        "",
        "## Repeated",
        "",
        "| fault | servers | alert | runs | received | minimum | median | p95 | maximum | promised |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for each in found:
        numbers = (each.minimum, each.median, each.p95, each.maximum, each.within_seconds)
        cells = [
            each.fault,
            each.servers,
            each.alert,
            each.runs,
            each.received,
            *(seconds(number) for number in numbers),
        ]
        rows.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return rows


def _notes(board: Scoreboard) -> list[str]:
    notes = dict.fromkeys(f"- {run.fault}: {run.note}" for run in board.runs if run.note)
    return ["", "## Notes", "", *notes] if notes else []


def _waiting(board: Scoreboard) -> list[str]:
    if not board.waiting:
        return []
    return ["", "## Not yet", "", *(f"- {each.fault}: needs {each.needs}" for each in board.waiting)]

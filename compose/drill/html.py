"""The scoreboard as one page of HTML that needs nothing else: a table of verdicts, and a time line for each fault. Pure.

Readable on a phone, light and dark. Bars are placed in percent of the time of their fault, so that no script is needed.
"""

import re
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape

from compose.drill.judge import Line, Trace, Verdict
from compose.drill.scoreboard import Run, Scoreboard, spreads
from compose.drill.text import NO_SUCH_ALERT, seconds
from telemetry.scrape.duration import format_duration

_BETWEEN_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])")
_STYLE = """
:root{--bg:#fff;--fg:#1c2330;--dim:#5b6675;--line:#d9dee6;--track:#eef1f5;--ok:#1a7f37;--bad:#c62828;--late:#9a6700;
--skip:#5b6675;--pending:#f2c94c;--firing:#e2573b;--silent:#9fb3c8;--told:#1c2330;--heal:#1a7f37}
@media(prefers-color-scheme:dark){:root{--bg:#12161c;--fg:#e4e9f0;--dim:#98a5b5;--line:#2c3541;--track:#1d242d;
--ok:#4cc069;--bad:#ff7b6b;--late:#e3b341;--skip:#98a5b5;--pending:#b08800;--firing:#d9553c;--silent:#4b5d70;
--told:#fff;--heal:#4cc069}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:64rem;padding:1rem;background:var(--bg);color:var(--fg);
font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:.2rem 0}h2{font-size:1.15rem;margin:2rem 0 .5rem}h3{font-size:1rem;margin:0}
p{margin:.3rem 0}.dim{color:var(--dim)}a{color:inherit}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.25rem .6rem .25rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right;white-space:nowrap}
.v{font-weight:600;white-space:nowrap}.ok{color:var(--ok)}.late,.unresolved{color:var(--late)}
.missing,.unexpected{color:var(--bad)}.skipped{color:var(--skip)}
.run{border-top:1px solid var(--line);padding:.8rem 0}.head{display:flex;gap:.8rem;justify-content:space-between}
.alert{margin-top:.6rem;overflow-wrap:anywhere}
.track{position:relative;height:1.1rem;background:var(--track);border-radius:3px;margin:.15rem 0}
.track i{position:absolute;top:0;bottom:0;min-width:2px}
.pending{background:var(--pending)}.firing{background:var(--firing)}.quiet .firing{background:var(--silent)}
.heal{border-left:2px dashed var(--heal)}.promise{border-left:2px dotted var(--told)}
.told{width:.55rem;min-width:.55rem;margin-left:-.27rem;top:.27rem!important;height:.55rem;border-radius:50%;
background:var(--told);outline:2px solid var(--bg)}
.end{width:.55rem;min-width:.55rem;margin-left:-.27rem;top:.27rem!important;height:.55rem;background:var(--heal);
outline:2px solid var(--bg)}
.axis{display:flex;justify-content:space-between;font-size:.8rem;color:var(--dim)}
.legend span{display:inline-flex;align-items:center;gap:.35rem;margin-right:1rem;font-size:.9rem}
.legend .track{width:1.6rem;display:inline-block;margin:0}
""".strip()


def board_html(board: Scoreboard) -> str:
    """Return the page; the same scoreboard gives the same bytes."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>Outrider drill: {board.verdict.value}</title><style>{_STYLE}</style>",
        *_head(board),
        *_verdicts(board),
        *_repeated(board),
        "<h2>Time lines</h2>",
        _LEGEND,
        *(_run(number, run) for number, run in enumerate(board.runs)),
        *_waiting(board),
    ]
    return "\n".join(parts) + "\n"


_LEGEND = (
    '<p class="legend dim">'
    '<span><b class="track"><i class="pending" style="left:0;right:0"></i></b>pending</span>'
    '<span><b class="track"><i class="firing" style="left:0;right:0"></i></b>firing</span>'
    '<span class="quiet"><b class="track"><i class="firing" style="left:0;right:0"></i></b>silenced by its cause</span>'
    '<span><b class="track"><i class="told" style="left:50%"></i></b>received</span>'
    '<span><b class="track"><i class="promise" style="left:50%"></i></b>promised</span>'
    '<span><b class="track"><i class="heal" style="left:50%"></i></b>healed</span>'
    '<span><b class="track"><i class="end" style="left:50%"></i></b>told that it is over</span></p>'
)


def _head(board: Scoreboard) -> list[str]:
    counts = Counter(run.verdict for run in board.runs)
    told = ", ".join(f"{counts[verdict]} {_verdict(verdict)}" for verdict in Verdict if counts[verdict])
    began = datetime.fromtimestamp(board.began, UTC).strftime("%Y-%m-%d %H:%M UTC")
    versions, intervals = board.versions, board.intervals
    return [
        "<h1>Outrider drill</h1>",
        f"<p>{told or 'nothing was run'}</p>",
        (
            f'<p class="dim">{began}, in {format_duration(round(board.took_seconds))}; Outrider {escape(versions.outrider)}, '
            f"Python {escape(versions.python)}, Prometheus {escape(versions.prometheus)}, "
            f"Alertmanager {escape(versions.alertmanager)}; {board.lanes} clusters at a time on {board.processors} "
            f"processors, as {escape(board.via)}; seed {board.seed}</p>"
        ),
        (
            f'<p class="dim">Scrape {format_duration(intervals.scrape)}, evaluation {format_duration(intervals.evaluation)}, '
            f"group_wait {format_duration(intervals.group_wait)}, group_interval "
            f"{format_duration(intervals.group_interval)}; rules and holds as shipped.</p>"
        ),
    ]


def _verdicts(board: Scoreboard) -> list[str]:
    """Return the table of all runs: each leads to its time line."""
    rows = [
        f'<tr><td>{_verdict(run.verdict)}</td><td><a href="#run-{number}">{escape(run.fault)}</a></td>'
        f'<td class="n">{run.servers}</td><td>{_summary(run)}</td></tr>'
        for number, run in enumerate(board.runs)
    ]
    head = '<tr><th>verdict</th><th>fault</th><th class="n" title="servers">n</th><th>received</th></tr>'
    return ["<h2>Verdicts</h2>", '<div class="scroll"><table>', head, *rows, "</table></div>"]


def _summary(run: Run) -> str:
    told = [
        f"{_name(line.trace.alert)} after {seconds(line.trace.received_at[0])}&nbsp;s"
        for line in run.judgement.lines
        if line.trace is not None and line.trace.received_at
    ]
    return "<br>".join(told) or ("-" if run.verdict is Verdict.SKIPPED else "nothing")


def _name(alert: str) -> str:
    """Return the name of an alert, to be broken between its words."""
    return _BETWEEN_WORDS.sub("<wbr>", escape(alert))


def _repeated(board: Scoreboard) -> list[str]:
    found = spreads(board.runs)
    if not found:
        return []
    names = ("fault", "servers", "alert", "runs", "received", "minimum", "median", "p95", "maximum", "promised")
    rows = [
        f'<tr><td>{escape(each.fault)}</td><td class="n">{each.servers}</td><td>{escape(each.alert)}</td>'
        f'<td class="n">{each.runs}</td><td class="n">{each.received}</td>'
        + "".join(
            f'<td class="n">{seconds(value)}</td>'
            for value in (each.minimum, each.median, each.p95, each.maximum, each.within_seconds)
        )
        + "</tr>"
        for each in found
    ]
    head = "<tr>" + "".join(f"<th>{name}</th>" for name in names) + "</tr>"
    return ["<h2>Repeated: seconds until received</h2>", '<div class="scroll"><table>', head, *rows, "</table></div>"]


def _run(number: int, run: Run) -> str:
    ends = [run.healed_at, run.quiet_at or 0.0]
    traces = [*(line.trace for line in run.judgement.lines if line.trace is not None), *run.judgement.silent]
    ends += [moment for trace in traces for moment in _moments(trace)]
    ends += [line.within_seconds or 0.0 for line in run.judgement.lines]
    whole = max(*ends, 1.0)
    number_text = f", the {run.number}. time" if run.number > 1 else ""
    parts = [
        (
            f'<section class="run" id="run-{number}"><div class="head"><h3>{escape(run.fault)} '
            f'<span class="dim">{run.servers} servers{number_text}</span></h3>{_verdict(run.verdict)}</div>'
        ),
        f'<p class="dim">{escape(run.what)}</p>',
        *(_line(line, run, whole) for line in run.judgement.lines),
        *(_trace(trace, None, run, whole, "quiet") for trace in run.judgement.silent),
    ]
    if not traces and run.verdict is not Verdict.SKIPPED:
        parts.append(
            f'<div class="track" role="img" aria-label="no alert fired">{_mark("heal", run.healed_at, whole)}</div>'
        )
    if run.verdict is not Verdict.SKIPPED:
        parts.append(
            f'<div class="axis"><span>0 s</span><span>healed {seconds(run.healed_at)} s</span>'
            f"<span>{seconds(whole)} s</span></div>"
        )
    if run.note:
        parts.append(f'<p class="dim">{escape(run.note)}</p>')
    return "\n".join([*parts, "</section>"])


def _line(line: Line, run: Run, whole: float) -> str:
    if line.trace is not None:
        return _trace(line.trace, line, run, whole, "")
    if not line.expected:
        absent = " or ".join(line.absent)
        return f'<p class="alert dim">{escape(absent)}: {NO_SUCH_ALERT}</p>'
    return f'<p class="alert">{escape(" or ".join(line.expected))} {_verdict(line.verdict)}</p>'


def _trace(trace: Trace, line: Line | None, run: Run, whole: float, kind: str) -> str:
    said = [
        f"pending {_s(trace.pending_at)}",
        f"firing {_s(trace.firing_at)}",
        f"received {', '.join(map(_s, trace.received_at))}" if trace.received_at else "told nobody",
    ]
    if line is not None and line.within_seconds is not None:
        said.append(f"promised {_s(line.within_seconds)}")
    if trace.received_at:
        said.append(f"over {_s(trace.resolved_at)}")
    region = f' <span class="dim">{escape(trace.region)}</span>' if trace.region else ""
    verdict = "" if line is None else f" {_verdict(line.verdict)}"
    return (
        f'<div class="alert {kind}">{escape(trace.alert)}{region}{verdict}'
        f'<div class="track" role="img" aria-label="{escape(trace.alert)}: {", ".join(said)}">'
        f"{_bars(trace, line, run, whole)}</div>"
        f'<span class="dim">{" · ".join(said)}</span></div>'
    )


def _s(value: float | None) -> str:
    return "-" if value is None else f"{seconds(value)} s"


def _bars(trace: Trace, line: Line | None, run: Run, whole: float) -> str:
    end = trace.resolved_at or run.quiet_at or whole
    fires = trace.firing_at
    pieces = []
    if trace.pending_at is not None:
        pieces.append(_bar("pending", trace.pending_at, fires if fires is not None else end, whole))
    if fires is not None:
        pieces.append(_bar("firing", fires, end, whole))
    pieces.append(_mark("heal", run.healed_at, whole))
    if line is not None and line.within_seconds is not None:
        pieces.append(_mark("promise", line.within_seconds, whole))
    pieces += [_mark("told", moment, whole) for moment in trace.received_at]
    if trace.resolved_at is not None:
        pieces.append(_mark("end", trace.resolved_at, whole))
    return "".join(pieces)


def _bar(kind: str, begin: float, end: float, whole: float) -> str:
    left = _percent(begin, whole)
    return f'<i class="{kind}" style="left:{left:.2f}%;width:{max(_percent(end, whole) - left, 0.0):.2f}%"></i>'


def _mark(kind: str, moment: float, whole: float) -> str:
    return f'<i class="{kind}" style="left:{_percent(moment, whole):.2f}%"></i>'


def _percent(moment: float, whole: float) -> float:
    return min(max(moment / whole * 100, 0.0), 100.0)


def _moments(trace: Trace) -> Iterable[float]:
    times = (trace.pending_at, trace.firing_at, trace.resolved_at, *trace.received_at)
    return (moment for moment in times if moment is not None)


def _verdict(verdict: Verdict) -> str:
    return f'<span class="v {verdict.value}">{verdict.value}</span>'


def _waiting(board: Scoreboard) -> list[str]:
    if not board.waiting:
        return []
    items = [f"<li>{escape(each.fault)}: needs {escape(each.needs)}</li>" for each in board.waiting]
    return ["<h2>Not yet</h2>", "<ul>", *items, "</ul>"]

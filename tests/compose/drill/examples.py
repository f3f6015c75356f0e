"""A scoreboard with one run of every kind, the same at each call."""

from compose.drill.judge import Judgement, Line, Trace, Verdict
from compose.drill.scoreboard import FORMAT, Intervals, Run, Scoreboard, Versions, Waiting, overall

BEGAN = 1_795_608_000.0  # 2026-11-25 12:00 UTC


def trace(alert, received=(), *, pending=5.0, firing=80.0, resolved=None, region="global"):
    """Return what was seen of an alert, fired and received."""
    return Trace(
        alert=alert,
        region=region,
        severity="warning",
        pending_at=pending,
        firing_at=firing,
        received_at=tuple(received),
        resolved_at=resolved,
    )


def line(verdict, expected, seen, within=95.0, absent=()):
    """Return one line of a judgement."""
    return Line(expected=expected, region="global", within_seconds=within, trace=seen, verdict=verdict, absent=absent)


def run(fault, verdict, lines=(), *, silent=(), servers=3, number=1, quiet=260.0, note=""):
    """Return one run."""
    return Run(
        fault=fault,
        what=f"What {fault} does.",
        servers=servers,
        clients=6,
        number=number,
        began=BEGAN,
        healed_at=100.0,
        quiet_at=quiet,
        judgement=Judgement(verdict=verdict, lines=tuple(lines), silent=tuple(silent)),
        note=note,
    )


def runs():
    """Return one run of every kind."""
    risk = trace("NomadQuorumAtRisk", [86.4], resolved=230.0)
    late = trace("NomadQuorumAtRisk", [120.0], resolved=230.0)
    stray = trace("NomadServerDown", [140.0, 200.0], pending=20.0, firing=135.0, resolved=250.0)
    quiet = trace("NomadServerDown", pending=10.0, firing=90.0)
    return (
        run("silent", Verdict.OK),
        run(
            "risk",
            Verdict.OK,
            [line(Verdict.OK, ("NomadQuorumAtRisk", "NomadNoLeader"), risk)],
            silent=[quiet],
            servers=5,
        ),
        run("slow", Verdict.LATE, [line(Verdict.LATE, ("NomadQuorumAtRisk",), late)]),
        run(
            "leak",
            Verdict.UNEXPECTED,
            [
                line(Verdict.OK, ("NomadQuorumAtRisk",), risk),
                line(Verdict.UNEXPECTED, (), stray, within=None),
            ],
        ),
        run("gone", Verdict.MISSING, [line(Verdict.MISSING, ("NomadQuorumLost",), None)], quiet=None),
        run("later", Verdict.OK, [line(Verdict.OK, (), None, within=None, absent=("NomadHeartbeatsMissed",))]),
        run("unable", Verdict.SKIPPED, quiet=None, note="it takes a C compiler & <gcc>"),
    )


def board(made=None):
    """Return a scoreboard of *made*, by default of one run of every kind."""
    done = runs() if made is None else tuple(made)
    return Scoreboard(
        format=FORMAT,
        began=BEGAN,
        took_seconds=754.0,
        via="processes",
        seed=7,
        lanes=2,
        processors=2,
        versions=Versions(outrider="0.1.0", python="3.11.7", prometheus="2.42.0", alertmanager="0.25.0"),
        intervals=Intervals(scrape=5.0, evaluation=5.0, group_wait=5.0, group_interval=60.0),
        verdict=overall(done),
        runs=done,
        waiting=(Waiting(fault="member-failed", needs="gossip"),),
    )

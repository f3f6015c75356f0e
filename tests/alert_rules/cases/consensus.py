"""Cases of the alerts about leadership and quorum."""

from tests.alert_rules.case import Case, fires
from tests.alert_rules.case_series import unexplained

S1 = 'role="server",instance="s1"'
S2 = 'role="server",instance="s2"'
S3 = 'role="server",instance="s3"'
SIGNALS = "outrider:leader_signals"

QUORUM_LOST = (
    Case(
        alert="NomadQuorumLost",
        name="fewer than the majority answer, none hears a leader",
        severity="critical",
        series={
            f"up{{{S1}}}": "1x60",
            "outrider:servers_up": "3x5 2x55",
            "outrider:servers_quorum": "3x60",
            SIGNALS: "3x9 0x10 1x40",
        },
        # Kept for 60 s after the leader is back at 100 s.
        fires=(fires(60.0, value=2), fires(90.0), fires(155.0)),
        silent=(45.0, 50.0, 170.0),
    ),
    Case(
        alert="NomadQuorumLost",
        name="fewer than the majority answer, one hears a leader",
        severity="critical",
        series={
            f"up{{{S1}}}": "1x60",
            "outrider:servers_up": "3x5 1x55",
            "outrider:servers_quorum": "2x60",
            SIGNALS: "1x60",
        },
        silent=(90.0, 200.0),
    ),
    Case(
        alert="NomadQuorumLost",
        name="a majority answers, none hears a leader",
        severity="critical",
        series={
            f"up{{{S1}}}": "1x60",
            "outrider:servers_up": "2x60",
            "outrider:servers_quorum": "2x60",
            SIGNALS: "0x60",
        },
        silent=(90.0, 200.0),
    ),
    Case(
        alert="NomadQuorumLost",
        name="no server is a target",
        severity="critical",
        series={
            'up{role="client",instance="c1"}': "1x60",
            "outrider:servers_up": "0x60",
            "outrider:servers_quorum": "2x60",
            SIGNALS: "0x60",
        },
        silent=(90.0, 200.0),
    ),
)


def no_leader(name: str, series: dict[str, str], **said: object) -> Case:
    """Return a case of NomadNoLeader in a cluster of three servers that answer and hear no leader, but for *series*."""
    usual = {
        f"up{{{S1}}}": "1x60",
        SIGNALS: "0x60",
        "outrider:servers_blind": "0x60",
        "outrider:servers_up": "3x60",
        **unexplained("NomadNoLeader"),
    }
    return Case(alert="NomadNoLeader", name=name, severity="critical", series=usual | series, **said)  # type: ignore[arg-type]


NO_LEADER = (
    no_leader(
        "none hears a leader for longer than a fail-over",
        {SIGNALS: "3x5 0x20 1x30"},
        # The last sign of 25 s is out of sight of 12 s at 40 s; held for 5 s, and kept for 10 s after 130 s.
        fires=(fires(50.0, value=0), fires(120.0), fires(135.0)),
        silent=(35.0, 40.0, 150.0),
    ),
    no_leader(
        "some servers tell nothing, the others hear no leader",
        {"outrider:servers_blind": "1x60"},
        fires=(fires(55.0, value=0),),
    ),
    no_leader(
        "no server answers, so none tells nothing",
        {f"up{{{S1}}}": "0x60", "outrider:servers_up": "0x60"},
        fires=(fires(55.0, value=0),),
    ),
    no_leader("no server tells anything", {"outrider:servers_blind": "3x60"}, silent=(55.0, 200.0)),
    no_leader("one hears a leader", {SIGNALS: "1x60"}, silent=(55.0, 200.0)),
    no_leader(
        "no server is a target",
        {f"up{{{S1}}}": "_x60", 'up{role="client",instance="c1"}': "1x60", "outrider:servers_up": "0x60"},
        silent=(55.0, 200.0),
    ),
)


def at_risk(name: str, series: dict[str, str], **said: object) -> Case:
    """Return a case of NomadQuorumAtRisk in a cluster of three, of which two answer unless *series* says otherwise."""
    usual = {
        f"up{{{S1}}}": "1x60",
        "outrider:servers_up": "2x60",
        "outrider:servers_quorum": "2x60",
        "outrider:servers_expected": "3x60",
        "outrider:failure_tolerance": "_x60",
        **unexplained("NomadQuorumAtRisk"),
    }
    return Case(alert="NomadQuorumAtRisk", name=name, series=usual | series, **said)  # type: ignore[arg-type]


def turn(
    name: str,
    first: str,
    second: str,
    *,
    fires_at: float,
    first_of: str = "",
    second_of: str = "",
    started: dict[str, str] | None = None,
) -> Case:
    """Return a case of a risk from 30 s on and two servers with these `up`; labels say where else they belong.

    *started* are start times of processes by their labels; without them nobody knows whether a process ran on.
    """
    return at_risk(
        name,
        {
            f"up{{{S1}{first_of}}}": first,
            f"up{{{S2}{second_of}}}": second,
            f"up{{{S3}}}": "1x60",
            "outrider:servers_up": "3x5 2x54",
            **{f"{STARTED}{{{labels}}}": values for labels, values in (started or {}).items()},
        },
        fires=(fires(fires_at, value=2), fires(fires_at + 60.0)),
        silent=(fires_at - 5.0,),
    )


BACK, MISSED = "1x5 0x5 1x48", "1x11 0x48"
STARTED = "process_start_time_seconds"
WEST, OTHER = ',region="west"', ',cluster="other"'

AT_RISK = (
    at_risk(
        "the live leader tolerates no loss",
        {"outrider:servers_up": "3x60", "outrider:failure_tolerance": "1x5 0x20 1x30"},
        # Held for 40 s, then kept for 10 s after 130 s.
        fires=(fires(75.0, value=3), fires(125.0), fires(135.0)),
        silent=(60.0, 65.0, 155.0),
    ),
    at_risk("the live leader tolerates a loss", {"outrider:failure_tolerance": "1x60"}, silent=(95.0, 200.0)),
    at_risk(
        "only the majority answers, and the leader says nothing of tolerance",
        {},
        fires=(fires(95.0, value=2),),
    ),
    at_risk("more than the majority answers", {"outrider:servers_up": "3x60"}, silent=(95.0, 200.0)),
    at_risk("fewer than the majority answer", {"outrider:servers_up": "1x60"}, silent=(95.0, 200.0)),
    at_risk(
        "two scrapes of another server fail in the wait",
        {"outrider:servers_up": "3x5 2x4 1x1 2x48"},
        fires=(fires(70.0, value=2),),
        silent=(65.0,),
    ),
    at_risk(
        "three scrapes of another server fail in the wait",
        {"outrider:servers_up": "3x5 2x4 1x2 2x47"},
        fires=(fires(110.0, value=2),),
        silent=(70.0, 105.0),
    ),
    at_risk(
        "one and two servers can never lose one",
        {"outrider:servers_expected": "2x60", "outrider:failure_tolerance": "0x60"},
        silent=(95.0, 200.0),
    ),
    at_risk(
        "no server is a target", {f"up{{{S1}}}": "_x60", 'up{role="client",instance="c1"}': "1x60"}, silent=(95.0,)
    ),
    # Two evaluations see the turn: the wait of 40 s begins after them.
    turn("a server is missed as another is back", BACK, MISSED, fires_at=110.0),
    turn("a server is back in the scrape after another is missed", "1x5 0x6 1x47", MISSED, fires_at=110.0),
    turn("a server is missed 20 s after another was", "1x5 0x2 1x51", MISSED, fires_at=105.0),
    turn("a server is missed 25 s after another was", "1x5 0x1 1x52", MISSED, fires_at=70.0),
    turn("a server is back two scrapes after another is missed", "1x5 0x7 1x46", "1x10 0x49", fires_at=70.0),
    turn("one server comes and goes", "1x5 0x1 1x1 0x1 1x1 0x1 1x1 0x1 1x1 0x1 1x60", "1x60", fires_at=70.0),
    turn("one server comes and goes, and another is dead", "1x5 0x1 1x1 0x1 1x1 0x1 1x1 0x60", "0x60", fires_at=70.0),
    turn("one server is missed after all were there", "1x60", MISSED, fires_at=70.0),
    turn("one server is back and none is missed", BACK, "1x60", fires_at=70.0),
    turn("one whose process ran on is back", BACK, MISSED, started={S1: "1000x60"}, fires_at=70.0),
    turn("one that was started anew is back", BACK, MISSED, started={S1: "1000x5 _x6 1031x48"}, fires_at=110.0),
    turn("one that is started anew is back late", "1x5 0x6 1x47", MISSED, started={S1: "9x6 7x53"}, fires_at=110.0),
    turn("another whose process ran on", BACK, MISSED, started={S3: "1000x60"}, fires_at=110.0),
    turn(
        "one that was started anew more than a minute ago is back",
        "1x11 0x0 1x46",
        "1x12 0x46",
        started={S1: "1000x0 1020x58"},
        fires_at=70.0,
    ),
    turn("one of another cluster ran on", BACK, MISSED, started={S1 + OTHER: "1000x60"}, fires_at=110.0),
    turn(
        "a client of its name ran on", BACK, MISSED, started={S1.replace("server", "client"): "1000x60"}, fires_at=110.0
    ),
    turn("one is back, and one of another region is missed", BACK, MISSED, second_of=WEST, fires_at=70.0),
    turn("one is missed, and one of another region is back", BACK, MISSED, first_of=WEST, fires_at=70.0),
    turn("one is missed, and one of another cluster is back", BACK, MISSED, first_of=OTHER, fires_at=70.0),
    turn("another region has a turn", BACK, MISSED, first_of=WEST, second_of=WEST, fires_at=70.0),
    turn("another cluster has a turn", BACK, MISSED, first_of=OTHER, second_of=OTHER, fires_at=70.0),
)


def server_down(name: str, series: dict[str, str], **said: object) -> Case:
    """Return a case of NomadServerDown, of which nothing else is the cause."""
    usual = {'outrider:server_left{instance="s9"}': "_x90", **unexplained("NomadServerDown")}
    return Case(alert="NomadServerDown", name=name, series=usual | series, **said)  # type: ignore[arg-type]


SERVER_DOWN = (
    server_down(
        "dead for 250 s",
        {f"up{{{S1}}}": "1x5 0x50 1x30", f"up{{{S2}}}": "1x90"},
        # Held for 130 s, and kept for 10 s after 280 s.
        fires=(fires(170.0, value=0, instance="s1"), fires(275.0, instance="s1"), fires(285.0, instance="s1")),
        silent=(90.0, 150.0, 305.0),
    ),
    server_down(
        "one that left",
        {f"up{{{S1}}}": "1x5 0x80", f"up{{{S2}}}": "1x90", 'outrider:server_left{instance="s1"}': "_x5 1x80"},
        silent=(170.0, 300.0),
    ),
    server_down("back before the hold is over", {f"up{{{S1}}}": "1x5 0x24 1x60"}, silent=(90.0, 170.0, 300.0)),
    server_down(
        "a client is down",
        {'up{role="client",instance="s1"}': "1x5 0x80", f"up{{{S2}}}": "1x90"},
        silent=(170.0, 300.0),
    ),
    server_down(
        "one that left and one that did not",
        {f"up{{{S1}}}": "1x5 0x80", f"up{{{S2}}}": "1x5 0x80", 'outrider:server_left{instance="s1"}': "_x5 1x80"},
        fires=(fires(170.0, instance="s2"), fires(300.0, instance="s2")),
    ),
    server_down(
        "the one that did not leave, and one that did",
        {f"up{{{S1}}}": "1x5 0x80", f"up{{{S2}}}": "1x5 0x80", 'outrider:server_left{instance="s2"}': "_x5 1x80"},
        fires=(fires(170.0, instance="s1"), fires(300.0, instance="s1")),
    ),
)

CASES = (*QUORUM_LOST, *NO_LEADER, *AT_RISK, *SERVER_DOWN)

"""Cases of the alerts about leadership and quorum."""

from tests.alert_rules.case import Case, fires

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

NO_LEADER = (
    Case(
        alert="NomadNoLeader",
        name="none hears a leader for longer than a fail-over",
        severity="critical",
        series={
            f"up{{{S1}}}": "1x60",
            SIGNALS: "3x5 0x20 1x30",
            "outrider:servers_blind": "0x60",
            "outrider:servers_up": "3x60",
        },
        fires=(fires(55.0, value=0), fires(120.0)),
        silent=(40.0, 45.0, 140.0),
    ),
    Case(
        alert="NomadNoLeader",
        name="some servers tell nothing, the others hear no leader",
        severity="critical",
        series={
            f"up{{{S1}}}": "1x60",
            SIGNALS: "0x60",
            "outrider:servers_blind": "1x60",
            "outrider:servers_up": "3x60",
        },
        fires=(fires(55.0, value=0),),
    ),
    Case(
        alert="NomadNoLeader",
        name="no server answers, so none tells nothing",
        severity="critical",
        series={
            f"up{{{S1}}}": "0x60",
            SIGNALS: "0x60",
            "outrider:servers_blind": "0x60",
            "outrider:servers_up": "0x60",
        },
        fires=(fires(55.0, value=0),),
    ),
    Case(
        alert="NomadNoLeader",
        name="no server tells anything",
        severity="critical",
        series={
            f"up{{{S1}}}": "1x60",
            SIGNALS: "0x60",
            "outrider:servers_blind": "1x60",
            "outrider:servers_up": "1x60",
        },
        silent=(55.0, 200.0),
    ),
    Case(
        alert="NomadNoLeader",
        name="one hears a leader",
        severity="critical",
        series={
            f"up{{{S1}}}": "1x60",
            SIGNALS: "1x60",
            "outrider:servers_blind": "0x60",
            "outrider:servers_up": "3x60",
        },
        silent=(55.0, 200.0),
    ),
    Case(
        alert="NomadNoLeader",
        name="no server is a target",
        severity="critical",
        series={
            'up{role="client",instance="c1"}': "1x60",
            SIGNALS: "0x60",
            "outrider:servers_blind": "0x60",
            "outrider:servers_up": "0x60",
        },
        silent=(55.0, 200.0),
    ),
)


def at_risk(name: str, series: dict[str, str], **said: object) -> Case:
    """Return a case of NomadQuorumAtRisk in a cluster of three, of which two answer unless *series* says otherwise."""
    usual = {
        f"up{{{S1}}}": "1x120",
        "outrider:servers_up": "2x120",
        "outrider:servers_quorum": "2x120",
        "outrider:servers_expected": "3x120",
        "outrider:failure_tolerance": "_x120",
        SIGNALS: "2x120",
    }
    return Case(alert="NomadQuorumAtRisk", name=name, series=usual | series, **said)  # type: ignore[arg-type]


AT_RISK = (
    at_risk(
        "the live leader tolerates no loss",
        {"outrider:servers_up": "3x120", "outrider:failure_tolerance": "1x5 0x20 1x90"},
        # Held for 60 s, then kept for 70 s after 130 s.
        fires=(fires(95.0, value=3), fires(195.0)),
        silent=(80.0, 210.0),
    ),
    at_risk("the live leader tolerates a loss", {"outrider:failure_tolerance": "1x120"}, silent=(95.0, 200.0)),
    at_risk(
        "only the majority answers, and the leader says nothing of tolerance",
        {},
        fires=(fires(95.0, value=2),),
    ),
    at_risk("more than the majority answers", {"outrider:servers_up": "3x120"}, silent=(95.0, 200.0)),
    at_risk("fewer than the majority answer", {"outrider:servers_up": "1x120"}, silent=(95.0, 200.0)),
    at_risk(
        "one and two servers can never lose one",
        {"outrider:servers_expected": "2x120", "outrider:failure_tolerance": "0x120"},
        silent=(95.0, 200.0),
    ),
    at_risk(
        "no server is a target", {f"up{{{S1}}}": "_x120", 'up{role="client",instance="c1"}': "1x120"}, silent=(95.0,)
    ),
    at_risk(
        "the leader is gone before the hold is over",
        {SIGNALS: "2x4 0x116"},
        silent=(75.0, 95.0, 150.0, 300.0),
    ),
    at_risk(
        "a leader that is gone for 20 s is a fail-over, and one sign of the next is enough",
        {"outrider:servers_up": "3x6 2x114", SIGNALS: "2x10 0x3 1x100"},
        fires=(fires(105.0, value=2),),
        silent=(85.0,),
    ),
    at_risk(
        "it stays through the outage that follows",
        {SIGNALS: "2x30 0x90"},
        fires=(fires(95.0), fires(300.0), fires(500.0)),
    ),
)

OTHER_ALERT = {'ALERTS{alertname="NomadClientDown",alertstate="firing"}': "1x60"}

FLAPPING = (
    Case(
        alert="NomadLeaderFlapping",
        name="more elections than servers",
        series=OTHER_ALERT
        | {
            "outrider:elections_10m": "3x5 4x30 3x20",
            "outrider:servers_expected": "3x60",
            'ALERTS{alertname="NomadNoLeader",alertstate="firing"}': "_x60",
            'ALERTS{alertname="NomadQuorumLost",alertstate="pending"}': "1x60",
        },
        fires=(fires(95.0, value=4),),
        silent=(80.0, 185.0),
    ),
    Case(
        alert="NomadLeaderFlapping",
        name="as many elections as servers",
        series=OTHER_ALERT
        | {
            "outrider:elections_10m": "3x60",
            "outrider:servers_expected": "3x60",
            'ALERTS{alertname="NomadNoLeader",alertstate="firing"}': "_x60",
            'ALERTS{alertname="NomadQuorumLost",alertstate="pending"}': "1x60",
        },
        silent=(95.0,),
    ),
    Case(
        alert="NomadLeaderFlapping",
        name="a single server that starts again three times",
        expected_servers=1,
        series=OTHER_ALERT
        | {
            "outrider:elections_10m": "3x60",
            "outrider:servers_expected": "1x60",
            'ALERTS{alertname="NomadNoLeader",alertstate="firing"}': "_x60",
        },
        silent=(95.0,),
    ),
    Case(
        alert="NomadLeaderFlapping",
        name="an outage of the last ten minutes explains its elections",
        interval=15.0,
        series=OTHER_ALERT
        | {
            "outrider:elections_10m": "5x60",
            "outrider:servers_expected": "3x60",
            'ALERTS{alertname="NomadQuorumLost",alertstate="firing"}': "1x2 stale",
            'ALERTS{alertname="NomadNoLeader",alertstate="firing"}': "_x60",
        },
        # The outage is last seen at 30 s, and its ten minutes end at 630 s.
        fires=(fires(720.0, value=5),),
        silent=(120.0, 390.0, 600.0, 660.0),
    ),
    Case(
        alert="NomadLeaderFlapping",
        name="a minute without a leader explains its elections",
        interval=15.0,
        series=OTHER_ALERT
        | {
            "outrider:elections_10m": "5x60",
            "outrider:servers_expected": "3x60",
            'ALERTS{alertname="NomadQuorumLost",alertstate="firing"}': "_x60",
            'ALERTS{alertname="NomadNoLeader",alertstate="firing"}': "1x2 stale",
        },
        silent=(120.0, 390.0, 600.0),
    ),
    Case(
        alert="NomadLeaderFlapping",
        name="what fired before an outage goes on through it",
        interval=15.0,
        series=OTHER_ALERT
        | {
            "outrider:elections_10m": "5x60",
            "outrider:servers_expected": "3x60",
            'ALERTS{alertname="NomadQuorumLost",alertstate="firing"}': "_x8 1x5 stale",
            'ALERTS{alertname="NomadNoLeader",alertstate="firing"}': "_x60",
        },
        fires=(fires(90.0), fires(180.0), fires(400.0)),
    ),
    Case(
        alert="NomadLeaderFlapping",
        name="an outage begins before the hold is over",
        interval=15.0,
        series=OTHER_ALERT
        | {
            "outrider:elections_10m": "0x3 5x60",
            "outrider:servers_expected": "3x60",
            'ALERTS{alertname="NomadQuorumLost",alertstate="firing"}': "_x6 1x30",
            'ALERTS{alertname="NomadNoLeader",alertstate="firing"}': "_x60",
        },
        silent=(90.0, 180.0, 400.0),
    ),
)

CAUSES = ("NomadQuorumLost", "NomadNoLeader", "NomadQuorumAtRisk", "NomadMetricsMissing")


def server_down(name: str, series: dict[str, str], firing: str = "", **said: object) -> Case:
    """Return a case of NomadServerDown; of what may cause it, only *firing* fires, from 150 s to 400 s."""
    usual = {
        'outrider:server_left{instance="s9"}': "_x120",
        'ALERTS{alertname="NomadClientDown",alertstate="firing",instance="s1"}': "1x120",
    }
    usual |= {
        f'ALERTS{{alertname="{cause}",alertstate="{"firing" if cause == firing else "pending"}"}}': "_x30 1x50 stale"
        for cause in CAUSES
    }
    return Case(alert="NomadServerDown", name=name, series=usual | series, **said)  # type: ignore[arg-type]


SERVER_DOWN = (
    server_down(
        "dead for 250 s",
        {f"up{{{S1}}}": "1x5 0x50 1x60", f"up{{{S2}}}": "1x120"},
        # Held for 100 s, and kept for 80 s after 280 s.
        fires=(fires(140.0, value=0, instance="s1"), fires(240.0, instance="s1"), fires(350.0, instance="s1")),
        silent=(90.0, 120.0, 370.0),
    ),
    server_down(
        "one that left",
        {f"up{{{S1}}}": "1x5 0x110", f"up{{{S2}}}": "1x120", 'outrider:server_left{instance="s1"}': "_x5 1x110"},
        silent=(140.0, 300.0),
    ),
    server_down("back before the hold is over", {f"up{{{S1}}}": "1x5 0x12 1x100"}, silent=(90.0, 140.0, 300.0)),
    server_down(
        "a client is down",
        {'up{role="client",instance="s1"}': "1x5 0x110", f"up{{{S2}}}": "1x120"},
        silent=(140.0, 300.0),
    ),
    server_down(
        "one that left and one that did not",
        {
            f"up{{{S1}}}": "1x5 0x110",
            f"up{{{S2}}}": "1x5 0x110",
            'outrider:server_left{instance="s1"}': "_x5 1x110",
        },
        fires=(fires(140.0, instance="s2"), fires(300.0, instance="s2")),
    ),
    server_down(
        "the one that did not leave, and one that did",
        {
            f"up{{{S1}}}": "1x5 0x110",
            f"up{{{S2}}}": "1x5 0x110",
            'outrider:server_left{instance="s2"}': "_x5 1x110",
        },
        fires=(fires(140.0, instance="s1"), fires(300.0, instance="s1")),
    ),
    server_down(
        "the one that left is named by another cluster's server",
        {f"up{{{S1}}}": "1x120", f"up{{{S2}}}": "1x120", 'outrider:server_left{instance="s2"}': "_x120"},
        silent=(140.0, 300.0),
    ),
    *(
        server_down(
            f"{cause} is the cause of what begins while it fires",
            {f"up{{{S1}}}": "1x5 0x110", f"up{{{S2}}}": "1x25 0x100", 'up{role="client",instance="s2"}': "1x120"},
            firing=cause,
            fires=(fires(180.0, instance="s1"), fires(300.0, instance="s1")),
            silent=(120.0,),
        )
        for cause in CAUSES
    ),
    server_down(
        "dies late, while nothing that may cause it fires",
        {f"up{{{S1}}}": "1x35 0x90"},
        fires=(fires(300.0, instance="s1"),),
        silent=(270.0,),
    ),
    server_down(
        "a cause begins to fire before the hold is over",
        {f"up{{{S1}}}": "1x20 0x100"},
        firing="NomadQuorumAtRisk",
        silent=(190.0, 240.0, 380.0),
    ),
    *(
        server_down(f"{cause} is the cause", {f"up{{{S1}}}": "1x32 0x100"}, firing=cause, silent=(270.0, 300.0, 480.0))
        for cause in CAUSES
    ),
)

CASES = (*QUORUM_LOST, *NO_LEADER, *AT_RISK, *FLAPPING, *SERVER_DOWN)

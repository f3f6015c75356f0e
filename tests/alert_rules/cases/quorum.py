"""Cases of the alerts about leadership and quorum that the modelled worlds do not reach, and of their edges."""

from tests.alert_rules.case import Case, fires, recorded
from tests.alert_rules.case_series import flat, growing, led, then, up

_LONG = 900.0


def _tolerance(seconds: float, values: str) -> dict[str, str]:
    """Return three servers, a leader that the counters of a real Nomad prove, and its autopilot's tolerance."""
    return {
        **up(seconds),
        'nomad_raft_leader_lastContact_count{instance="s1"}': growing(20, seconds),
        'nomad_nomad_autopilot_failure_tolerance{instance="s1"}': values,
    }


def _five_own(voters: str, healthy: str) -> dict[str, str]:
    """Return five of our servers with a leader that counts its voters."""
    return {
        **led(_LONG, "s1", "s1", "s2", "s3", "s4", "s5"),
        'outrider_raft_voters{instance="s1",server="s1"}': voters,
        'outrider_raft_voters_healthy{instance="s1",server="s1"}': healthy,
    }


_TWO = {
    'up{role="server",instance="s1"}': flat(1, 300),
    'up{role="server",instance="s2"}': flat(1, 300),
    'up{role="server",instance="s3"}': flat(1, 300),
    'nomad_raft_leader_lastContact_count{instance="s1"}': growing(20, 300),
}

CASES = (
    Case(
        alert="NomadTwoLeaders",
        name="two servers count contacts for half a minute and more",
        severity="critical",
        series={
            **_TWO,
            # Born at 60 s, which tells that it leads.
            'nomad_raft_leader_lastContact_count{instance="s2"}': "_x12 0+20x20 420x24",
        },
        fires=(fires(85.0, value=2), fires(160.0, value=2)),
        silent=(60.0, 75.0, 180.0, 290.0),
    ),
    Case(
        alert="NomadTwoLeaders",
        name="a leader takes over from another",
        severity="critical",
        series={
            'up{role="server",instance="s1"}': flat(1, 300),
            'up{role="server",instance="s2"}': flat(1, 300),
            'nomad_raft_leader_lastContact_count{instance="s1"}': "0+20x20 400x36",
            'nomad_raft_leader_lastContact_count{instance="s2"}': "_x20 0+20x39",
        },
        silent=(100.0, 110.0, 130.0, 250.0),
    ),
    Case(
        alert="NomadQuorumAtRisk",
        name="autopilot tolerates no loss for longer than a restart",
        series=_tolerance(300, then((1, 12), (0, 20), (1, 29))),
        fires=(fires(110.0, value=3), fires(155.0, value=3)),
        silent=(55.0, 95.0, 180.0),
    ),
    Case(
        alert="NomadQuorumAtRisk",
        name="autopilot tolerates no loss while a server that left comes back",
        series=_tolerance(300, then((1, 12), (0, 8), (1, 41))),
        silent=(95.0, 105.0, 150.0),
    ),
    Case(
        alert="NomadClusterShrunk",
        name="five servers of which the leader counts three as voters",
        expected_servers=5,
        series=_five_own(then((5, 20), (3, 161)), then((5, 20), (3, 161))),
        fires=(fires(185.0, value=2), fires(600.0, value=2)),
        silent=(95.0, 170.0),
    ),
    Case(
        alert="NomadClusterShrunk",
        name="five servers of which one left: four voters need the same majority",
        expected_servers=5,
        series=_five_own(then((5, 20), (4, 161)), then((5, 20), (4, 161))),
        silent=(95.0, 300.0, 600.0),
    ),
    Case(
        alert="NomadServerUnhealthy",
        name="all servers answer and the leader tolerates one loss less",
        expected_servers=5,
        series={
            **up(_LONG, "s1", "s2", "s3", "s4", "s5"),
            'nomad_raft_leader_lastContact_count{instance="s1"}': growing(40, _LONG),
            'nomad_nomad_autopilot_failure_tolerance{instance="s1"}': then((2, 20), (1, 100), (2, 61)),
        },
        fires=(fires(330.0, value=1), fires(590.0, value=1)),
        silent=(95.0, 300.0, 640.0),
    ),
    Case(
        alert="NomadServerUnhealthy",
        name="autopilot calls a server unhealthy while a member is away",
        expected_servers=5,
        series={
            **up(_LONG, "s1", "s2", "s3", "s4"),
            'nomad_raft_leader_lastContact_count{instance="s1"}': growing(40, _LONG),
            'nomad_nomad_autopilot_failure_tolerance{instance="s1"}': flat(1, _LONG),
            'nomad_nomad_autopilot_healthy{instance="s1"}': then((1, 20), (0, 100), (1, 61)),
        },
        fires=(fires(330.0, value=1), fires(590.0, value=1)),
        silent=(95.0, 300.0, 640.0),
    ),
    Case(
        alert="NomadServerUnhealthy",
        name="a server that joins has no vote for half a minute",
        expected_servers=5,
        series={
            **up(_LONG, "s1", "s2", "s3", "s4", "s5"),
            'nomad_raft_leader_lastContact_count{instance="s1"}': growing(40, _LONG),
            'nomad_nomad_autopilot_failure_tolerance{instance="s1"}': then((2, 20), (1, 8), (2, 153)),
            'nomad_nomad_autopilot_healthy{instance="s1"}': flat(1, _LONG),
        },
        silent=(95.0, 140.0, 330.0, 800.0),
    ),
    Case(
        alert="NomadServerUnhealthy",
        name="a single server tolerates no loss for ever",
        expected_servers=1,
        series={
            'up{role="server",instance="s1"}': flat(1, _LONG),
            'nomad_nomad_eval_dequeue_count{instance="s1"}': growing(40, _LONG),
            'nomad_nomad_autopilot_failure_tolerance{instance="s1"}': flat(0, _LONG),
            'nomad_nomad_autopilot_healthy{instance="s1"}': flat(0, _LONG),
        },
        silent=(300.0, 800.0),
    ),
    Case(
        alert="NomadExpectedServersOutdated",
        name="a fourth server for longer than ten minutes",
        series={**up(_LONG), 'up{role="server",instance="s4"}': then((0, 10), (1, 171))},
        fires=(fires(660.0, value=4), fires(890.0, value=4)),
        silent=(45.0, 640.0),
    ),
    Case(
        alert="NomadExpectedServersOutdated",
        name="a replacement beside what it replaces",
        series={**up(_LONG), 'up{role="server",instance="s4"}': then((1, 100), (0, 81))},
        silent=(300.0, 610.0, 890.0),
    ),
    Case(
        alert="NomadServerCountUnwise",
        name="four servers are expected",
        severity="info",
        expected_servers=4,
        series=up(60, "s1", "s2", "s3", "s4"),
        fires=(fires(20.0, value=4),),
    ),
    Case(
        alert="NomadServerCountUnwise",
        name="nine servers are expected",
        severity="info",
        expected_servers=9,
        series=up(60, "s1"),
        fires=(fires(20.0, value=9),),
    ),
    Case(
        alert="NomadServerCountUnwise",
        name="seven servers are expected",
        severity="info",
        expected_servers=7,
        series=up(60, "s1"),
        silent=(20.0, 50.0),
    ),
    Case(
        alert="NomadNoLeader",
        name="our servers say for how long they have had no leader",
        severity="critical",
        series={
            **up(120),
            **{
                f'outrider_server_has_leader{{instance="{name}",server="{name}"}}': then((1, 6), (0, 19))
                for name in ("s1", "s2", "s3")
            },
            **{
                f'outrider_raft_last_contact_seconds{{instance="{name}",server="{name}"}}': "0x5 1 6 11 16 21 26x20"
                for name in ("s1", "s2", "s3")
            },
        },
        # 4 s without contact are first seen at 35 s, and held for 5 s.
        fires=(fires(45.0, value=0),),
        silent=(25.0, 35.0),
    ),
    Case(
        alert="NomadNoLeader",
        name="our servers have had no leader for a moment",
        severity="critical",
        series={
            **up(120),
            **{
                f'outrider_server_has_leader{{instance="{name}",server="{name}"}}': then((1, 6), (0, 2), (1, 17))
                for name in ("s1", "s2", "s3")
            },
            **{
                f'outrider_raft_last_contact_seconds{{instance="{name}",server="{name}"}}': "0x5 1 6 0x20"
                for name in ("s1", "s2", "s3")
            },
        },
        silent=(30.0, 35.0, 40.0, 60.0),
    ),
    Case(
        alert="NomadQuorumLost",
        name="no server answers, and clients are connected to them",
        severity="critical",
        series={
            **{f'up{{role="server",instance="{name}"}}': then((1, 6), (0, 30)) for name in ("s1", "s2", "s3")},
            'up{role="client",instance="c1"}': flat(1, 180),
            'outrider_client_servers_connected{instance="c1",node="c1"}': flat(1, 180),
        },
        silent=(60.0, 120.0),
    ),
    Case(
        alert="NomadQuorumLost",
        name="no server answers, and the clients have lost them too",
        severity="critical",
        series={
            **{f'up{{role="server",instance="{name}"}}': then((1, 6), (0, 30)) for name in ("s1", "s2", "s3")},
            'up{role="client",instance="c1"}': flat(1, 180),
            'outrider_client_servers_connected{instance="c1",node="c1"}': then((1, 8), (0, 28)),
        },
        fires=(fires(50.0, value=0), fires(150.0, value=0)),
        silent=(25.0, 35.0),
    ),
    Case(
        alert="NomadQuorumLost",
        name="no server answers, and a client that is gone was connected",
        severity="critical",
        series={
            **{f'up{{role="server",instance="{name}"}}': then((1, 6), (0, 30)) for name in ("s1", "s2", "s3")},
            'up{role="client",instance="c1"}': then((1, 6), (0, 30)),
            'outrider_client_servers_connected{instance="c1",node="c1"}': flat(1, 180),
        },
        fires=(fires(45.0, value=0), fires(150.0, value=0)),
        silent=(25.0,),
    ),
    Case(
        alert="NomadMetricsMissing",
        name="no server answers, and clients are connected to them",
        series={
            **{f'up{{role="server",instance="{name}"}}': then((1, 6), (0, 30)) for name in ("s1", "s2", "s3")},
            'up{role="client",instance="c1"}': flat(1, 180),
            'outrider_client_servers_connected{instance="c1",node="c1"}': flat(1, 180),
            **{
                f'outrider_server_has_leader{{instance="{name}",server="{name}"}}': "1x5 stale"
                for name in ("s1", "s2", "s3")
            },
        },
        fires=(fires(110.0, value=0),),
        silent=(25.0, 65.0),
    ),
    Case(
        name="what our agent and an exporter say of one server counts once",
        series={
            **led(60),
            'outrider_server_is_leader{instance="exporter",server="s1"}': flat(0, 60),
            'outrider_server_has_leader{instance="exporter",server="s2"}': flat(1, 60),
            'outrider_raft_voters{instance="exporter",server="s1"}': flat(3, 60),
            'outrider_raft_voters{instance="s1",server="s1"}': flat(2, 60),
        },
        recorded=(
            recorded("outrider:own_is_leader", 30.0, 1, instance="s1"),
            recorded("outrider:own_is_leader", 30.0, None, instance="exporter"),
            recorded("outrider:own_has_leader", 30.0, 1, instance="s2"),
            recorded("outrider:own_voters", 30.0, 3, instance="s1"),
            recorded("outrider:leader_signals", 30.0, 3),
        ),
    ),
)

"""Cases of the alerts about elections, leases, commits, logs and threads."""

from tests.alert_rules.case import Case, fires
from tests.alert_rules.case_series import born, flat, growing, led, then, up

_LONG = 900.0


def _mean(
    series: str, count: float, each: float, *, slow_from: int = 24, slow: float = 0.0, until: int = 181
) -> dict[str, str]:
    """Return sum and count of a summary: *count* observations a sample of *each*, of *slow* between two samples."""
    total, sums = 0.0, []
    for number in range(int(_LONG / 5) + 1):
        total += count * (slow if slow_from <= number < until else each)
        sums.append(f"{total:g}")
    return {f'{series}_sum{{instance="s1"}}': " ".join(sums), f'{series}_count{{instance="s1"}}': growing(count, _LONG)}


def _events(series: str, server: str, births: tuple[int, ...]) -> dict[str, str]:
    """Return a counter of one server that is born at 1 at each of *births*, in samples."""
    return born(f'{series}{{instance="{server}"}}', _LONG, *((birth, 1) for birth in births))


CASES = (
    Case(
        alert="NomadLeaseLost",
        name="three lost leases on three servers in five minutes",
        series={
            **led(_LONG),
            **_events("nomad_raft_transition_leader_lease_timeout", "s1", (20,)),
            **_events("nomad_raft_transition_leader_lease_timeout", "s2", (40,)),
            **_events("nomad_raft_transition_leader_lease_timeout", "s3", (60,)),
        },
        fires=(fires(400.0, value=3),),
        silent=(290.0, 340.0, 800.0),
    ),
    Case(
        alert="NomadLeaseLost",
        name="two lost leases",
        series={
            **led(_LONG),
            **_events("nomad_raft_transition_leader_lease_timeout", "s1", (20, 60)),
        },
        silent=(110.0, 330.0, 500.0),
    ),
    Case(
        alert="NomadLeaderFlapping",
        name="four elections",
        series={
            **led(_LONG),
            **_events("nomad_raft_state_leader", "s1", (20, 50)),
            **_events("nomad_raft_state_leader", "s2", (35, 65)),
        },
        fires=(fires(450.0, value=4),),
        silent=(320.0, 400.0, 850.0),
    ),
    Case(
        alert="NomadLeaderFlapping",
        name="three elections, as many as a rolling restart makes",
        series={
            **led(_LONG),
            **_events("nomad_raft_state_leader", "s1", (20, 50)),
            **_events("nomad_raft_state_leader", "s2", (35,)),
        },
        silent=(320.0, 450.0, 600.0),
    ),
    Case(
        alert="NomadLeaderFlapping",
        name="five elections of five servers",
        expected_servers=5,
        series={
            **led(_LONG, "s1", "s1", "s2", "s3", "s4", "s5"),
            **_events("nomad_raft_state_leader", "s1", (20, 50, 80)),
            **_events("nomad_raft_state_leader", "s2", (35, 65)),
        },
        silent=(450.0, 550.0, 700.0),
    ),
    Case(
        alert="NomadFollowersSlow",
        name="contacts are half a second old for minutes",
        series={**led(_LONG), **_mean("nomad_raft_leader_lastContact", 22, 80, slow=500)},
        fires=(fires(330.0), fires(800.0, value=500)),
        silent=(110.0, 250.0),
    ),
    Case(
        alert="NomadFollowersSlow",
        name="contacts are as old as a busy machine makes them, and once for a minute older",
        series={**led(_LONG), **_mean("nomad_raft_leader_lastContact", 22, 130, slow=500, until=36)},
        silent=(110.0, 250.0, 330.0, 800.0),
    ),
    Case(
        alert="NomadFollowersSlow",
        name="contacts of a server that leads no more",
        series={**led(_LONG, "s2"), **_mean("nomad_raft_leader_lastContact", 22, 80, slow=500)}
        | {'outrider_server_is_leader{instance="s1",server="s1"}': flat(0, _LONG)},
        silent=(330.0, 800.0),
    ),
    Case(
        alert="NomadCommitSlow",
        name="commits take a fifth of a second",
        series={**led(_LONG), **_mean("nomad_raft_commitTime", 10, 15, slow=200)},
        fires=(fires(290.0), fires(800.0, value=200)),
        silent=(110.0, 230.0),
    ),
    Case(
        alert="NomadCommitSlow",
        name="commits take as long as on a busy machine",
        series={**led(_LONG), **_mean("nomad_raft_commitTime", 10, 24, slow=99)},
        silent=(110.0, 330.0, 800.0),
    ),
    Case(
        alert="NomadCommitSlow",
        name="a burst of slow commits, and then none",
        series={
            **led(_LONG),
            'nomad_raft_commitTime_sum{instance="s1"}': "0+150x24 3600+2000x12 27600x144",
            'nomad_raft_commitTime_count{instance="s1"}': "0+10x24 240+10x12 360x144",
        },
        silent=(150.0, 230.0, 330.0, 800.0),
    ),
    Case(
        alert="NomadRaftLogGrowing",
        name="our agent keeps more entries than four snapshots",
        series={
            **up(300),
            'outrider_raft_log_entries{instance="s1",server="s1"}': then((40_000, 12), (40_001, 30), (100, 19)),
            'outrider_raft_log_entries{instance="s2",server="s2"}': flat(9_000, 300),
        },
        fires=(fires(140.0, value=40_001, instance="s1"),),
        silent=(55.0, 110.0, 240.0),
    ),
    Case(
        alert="NomadRaftLogGrowing",
        name="a real Nomad's log grows for an hour without a snapshot",
        interval=60.0,
        series={
            'up{role="server",instance="s1"}': "1x120",
            'nomad_raft_lastIndex{instance="s1"}': "1000000+800x120",
            'nomad_raft_lastIndex{instance="s2"}': "1000000+800x120",
            'nomad_raft_snapshot_persist_count{instance="s2"}': "_x30 1 _x20 1 _x20 1 _x20 1",
        },
        fires=(fires(3_900.0, instance="s1"), fires(6_000.0, instance="s1")),
        silent=(2_400.0,),
    ),
    Case(
        alert="NomadRaftLogGrowing",
        name="a quiet log",
        interval=60.0,
        series={
            'up{role="server",instance="s1"}': "1x120",
            'nomad_raft_lastIndex{instance="s1"}': "1000000+600x120",
            'nomad_raft_lastIndex{instance="s2"}': "1000000+800x120",
            'outrider_server_has_leader{instance="s2",server="s2"}': "1x120",
        },
        silent=(3_900.0, 6_000.0),
    ),
    Case(
        alert="NomadFollowerLagging",
        name="a follower applies nothing for minutes",
        series={
            **led(_LONG),
            'nomad_raft_lastIndex{instance="s1"}': growing(100, _LONG, 5_000),
            'nomad_raft_lastIndex{instance="s2"}': growing(100, _LONG, 5_000),
            'nomad_raft_appliedIndex{instance="s1"}': growing(100, _LONG, 5_000),
            'nomad_raft_appliedIndex{instance="s2"}': "5000+100x20 7000x90 7000+600x70",
        },
        # 20 s after the standstill the log's index of 20 s ago begins to move away, 100 entries a sample.
        fires=(fires(340.0, instance="s2"), fires(500.0, instance="s2")),
        silent=(110.0, 170.0, 310.0, 890.0),
    ),
    Case(
        alert="NomadFollowerLagging",
        name="a follower is read late, of a log that grows fast",
        series={
            **up(_LONG),
            'nomad_raft_lastIndex{instance="s1"}': growing(1_500, _LONG, 5_000),
            'nomad_raft_appliedIndex{instance="s1"}': growing(1_500, _LONG, 5_000),
            'nomad_raft_appliedIndex{instance="s2"}': growing(1_500, _LONG, 500),
        },
        silent=(110.0, 340.0, 800.0),
    ),
    Case(
        alert="NomadFollowerLagging",
        name="a server that does not answer lags by what it said last",
        series={
            'up{role="server",instance="s1"}': flat(1, _LONG),
            'up{role="server",instance="s2"}': flat(0, _LONG),
            'nomad_raft_lastIndex{instance="s1"}': growing(100, _LONG, 50_000),
            'nomad_raft_appliedIndex{instance="s1"}': growing(100, _LONG, 50_000),
            'nomad_raft_appliedIndex{instance="s2"}': flat(5_000, _LONG),
        },
        silent=(340.0, 800.0),
    ),
    Case(
        alert="NomadRaftSaturated",
        name="the thread of the state machine is busy nine tenths of the time",
        series={
            **up(_LONG),
            **_mean("nomad_raft_thread_main_saturation", 1, 0.2, slow=0.3),
            **_mean("nomad_raft_thread_fsm_saturation", 1, 0.2, slow=0.9),
        },
        fires=(fires(310.0, instance="s1"), fires(800.0, instance="s1")),
        silent=(110.0, 230.0),
    ),
    Case(
        alert="NomadRaftSaturated",
        name="the main thread is busy nine tenths of the time",
        series={
            **up(_LONG),
            **_mean("nomad_raft_thread_main_saturation", 1, 0.2, slow=0.9),
            **_mean("nomad_raft_thread_fsm_saturation", 1, 0.2, slow=0.3),
        },
        fires=(fires(310.0, instance="s1"), fires(800.0, instance="s1")),
        silent=(110.0, 230.0),
    ),
    Case(
        alert="NomadRaftSaturated",
        name="threads are busy for most of the time, and for a minute always",
        series={
            **up(_LONG),
            **_mean("nomad_raft_thread_main_saturation", 1, 0.79, slow=1.0, until=36),
        },
        silent=(110.0, 230.0, 310.0, 800.0),
    ),
)

"""Cases of what is easily mixed up: a counter's births, roles, patience, limits that are met exactly, empty sides."""

from tests.alert_rules.case import Case, fires, recorded
from tests.alert_rules.case_series import EVENTS, EVENTS_IN_FINE_STEPS, flat, growing, led, then, unexplained, up

_DEAD_MEMBER = {'nomad_memberlist_node_instances{instance="s1",node_state="dead"}': flat(1, 1_200)}


def _counted(series: str, name: str, window_seconds: float, events: str = EVENTS) -> Case:
    """Return a case of a recorded count of events: over one window, and when the first ones have left it."""
    return Case(
        name=f"births, growth and gaps of {series}",
        series={f'{series}{{instance="s1"}}': events, f'{series}{{instance="s2"}}': "_x7 1x20 stale"},
        recorded=(
            recorded(name, window_seconds - 15, 12),
            recorded(name, window_seconds + 100, 6),
        ),
    )


def _told(
    alert: str, series: str, labels: str, total: float, later: float | None = 6, other: str = "_x7 1x20 stale"
) -> Case:
    """Return a case of an alert that counts events itself: *total* in ten minutes, *later* when the first have left.

    *other* is the account of a second server.
    """
    return Case(
        alert=alert,
        name=f"births, growth and gaps of {series}",
        series={
            **led(800),
            f'{series}{{instance="s1"{labels}}}': EVENTS,
            f'{series}{{instance="s2"{labels}}}': other,
            **_DEAD_MEMBER,
            **unexplained(alert),
        },
        fires=(fires(585.0, value=total), *([] if later is None else [fires(700.0, value=later)])),
        silent=(700.0,) if later is None else (),
    )


BIRTHS = (
    _counted("nomad_raft_transition_leader_lease_timeout", "outrider:lease_losses", 600.0),
    _counted("nomad_nomad_heartbeat_invalidate_count", "outrider:heartbeats_missed", 300.0, EVENTS_IN_FINE_STEPS),
    _told(
        "NomadEvaluationsFailing",
        "nomad_nomad_broker_wait_time_count",
        ',eval_type="batch",job="b",namespace="d",triggered_by="failed-follow-up"',
        12,
    ),
    # What happens at one time is one: four moments, of which two are left.
    _told("NomadMemberFlapping", "nomad_serf_member_flap", "", 4, None, EVENTS),
    _told("NomadMemberFailed", "nomad_serf_member_failed", "", 11),
    Case(
        alert="NomadPlanRejections",
        name="births, growth and gaps of the count of one client, told by two servers",
        series={
            'nomad_nomad_plan_node_rejected{instance="s1",node_id="n1"}': EVENTS,
            'nomad_nomad_plan_node_rejected{instance="s2",node_id="n1"}': "_x7 9x20 stale",
            'nomad_nomad_plan_node_rejected{instance="s1",node_id="n2"}': "_x7 14x20 stale",
        },
        fires=(fires(585.0, value=20, node_id="n1"),),
        silent=(700.0,),
    ),
    Case(
        alert="NomadEvaluationsFailing",
        name="two that each of two leaders gave up, nine minutes before",
        series={
            f'outrider_evaluations_failed_total{{instance="{server}",server="{server}"}}': then((7, 20), (8.5, 140))
            for server in ("s1", "s2")
        },
        fires=(fires(640.0),),
        silent=(95.0, 750.0),
    ),
    Case(
        alert="NomadEvaluationsFailing",
        name="three that failed",
        series={'outrider_evaluations_failed_total{instance="s1",server="s1"}': then((7, 20), (10, 140))},
        fires=(fires(640.0),),
        silent=(95.0, 750.0),
    ),
    Case(
        alert="NomadEvaluationsFailing",
        name="follow-ups of what was registered, and of what failed twice",
        series={
            'nomad_nomad_broker_wait_time_count{instance="s1",eval_type="batch",job="b",namespace="d",'
            'triggered_by="job-register"}': growing(3, 800),
            'nomad_nomad_broker_wait_time_count{instance="s1",eval_type="batch",job="b",namespace="d",'
            'triggered_by="failed-follow-up"}': "_x5 1x5 2x5 stale",
        },
        silent=(100.0, 585.0),
    ),
    Case(
        alert="NomadEvaluationsStuck",
        name="one is finished every two minutes",
        series={
            **up(900),
            'nomad_nomad_broker_total_unacked{instance="s1"}': flat(2, 900),
            'nomad_nomad_eval_ack_count{instance="s1"}': "0x21 1x21 2x21 3x21 4x21 5x21 6x21 7x30",
        },
        silent=(310.0, 400.0, 500.0, 600.0, 700.0),
    ),
    Case(
        alert="NomadEvaluationsStuck",
        name="a single one is held",
        series={
            **up(900),
            'nomad_nomad_broker_total_unacked{instance="s1"}': flat(1, 900),
            'nomad_nomad_eval_ack_count{instance="s1"}': flat(3, 900),
        },
        fires=(fires(310.0, value=1),),
        silent=(30.0,),
    ),
)

CLIENTS = (
    Case(
        name="clients that are there, down, gone and connected, beside a server of the same name",
        series={
            'up{role="server",instance="c1"}': "0x20 1x130",
            'up{role="server",instance="c2"}': "1x5 0x5 1x140",
            'up{role="client",instance="c1"}': "1x5 0x5 1x140",
            'up{role="client",instance="c2"}': "0x150",
            'up{role="client",instance="c3"}': "1x150",
            'up{role="client",instance="c4"}': "1x150",
            'outrider_client_servers_connected{instance="c1",node="c1"}': flat(3, 750),
            'outrider_client_servers_connected{instance="c2",node="c2"}': flat(3, 750),
            'outrider_client_servers_connected{instance="c3",node="c3"}': flat(0, 750),
            'outrider_client_servers_connected{instance="c4",node="c4"}': flat(2, 750),
        },
        recorded=(
            recorded("outrider:clients_targeted", 100.0, 4),
            recorded("outrider:clients_down", 100.0, 1),
            recorded("outrider:clients_gone", 100.0, 2),
            recorded("outrider:clients_gone", 500.0, 2),
            recorded("outrider:clients_gone", 700.0, 1),
            recorded("outrider:clients_connected", 100.0, 2),
            recorded("outrider:servers_gone", 100.0, 1),
            recorded("outrider:servers_gone", 500.0, 1),
            recorded("outrider:servers_gone", 700.0, 0),
        ),
    ),
    Case(
        name="no server is a target",
        series={'up{role="client",instance="c1"}': "1x150"},
        recorded=(recorded("outrider:servers_gone", 100.0, 0),),
    ),
    Case(
        name="other clients of the same names",
        series={
            'up{role="server",instance="s1"}': "0x150",
            'up{role="client",instance="c1"}': "0x150",
            'up{role="client",instance="c2"}': "1x150",
            'up{role="client",instance="c3"}': "1x150",
            'up{role="client",instance="c4"}': "0x150",
            'outrider_client_servers_connected{instance="c1",node="c1"}': flat(3, 750),
            'outrider_client_servers_connected{instance="c2",node="c2"}': flat(3, 750),
            'outrider_client_servers_connected{instance="c4",node="c4"}': flat(2, 750),
        },
        recorded=(
            recorded("outrider:clients_gone", 100.0, 2),
            recorded("outrider:clients_connected", 100.0, 1),
            recorded("outrider:client_silent", 100.0, 1, instance="c1"),
            recorded("outrider:client_silent", 100.0, None, instance="c2"),
            recorded("outrider:client_silent", 100.0, 1, instance="c4"),
            recorded("outrider:client_silent", 100.0, None, instance="s1"),
        ),
    ),
    Case(
        name="no client is a target",
        series=up(750, "s1"),
        recorded=(
            recorded("outrider:clients_targeted", 100.0, 0),
            recorded("outrider:clients_down", 100.0, 0),
            recorded("outrider:clients_gone", 100.0, 0),
            recorded("outrider:clients_connected", 100.0, 0),
        ),
    ),
)

ROLES = (
    Case(
        alert="NomadScrapeSlow",
        name="agents that are a server and a client: slow ones that are down, beside quick ones",
        series={
            'up{role="server",instance="a1"}': flat(1, 300),
            'scrape_duration_seconds{role="server",instance="a1"}': flat(0.1, 300),
            'up{role="client",instance="a1"}': flat(0, 300),
            'scrape_duration_seconds{role="client",instance="a1"}': flat(3, 300),
            'up{role="server",instance="a2"}': flat(0, 300),
            'scrape_duration_seconds{role="server",instance="a2"}': flat(3, 300),
            'up{role="client",instance="a2"}': flat(1, 300),
            'scrape_duration_seconds{role="client",instance="a2"}': flat(0.1, 300),
        },
        silent=(130.0, 240.0),
    ),
    Case(
        alert="OutriderNotificationsFailing",
        name="two and two of two receivers, three of one, and none of another program's",
        series={
            'alertmanager_notification_requests_failed_total{job="alertmanager",instance="a1",integration="webhook"}': then(
                (7, 20), (9, 100)
            ),
            'alertmanager_notification_requests_failed_total{job="alertmanager",instance="a1",integration="email"}': then(
                (7, 20), (8, 100)
            ),
            'alertmanager_notification_requests_failed_total{job="elsewhere",instance="x1",integration="email"}': growing(
                3, 600
            ),
            'prometheus_notifications_errors_total{job="prometheus",instance="p1",alertmanager="one"}': then(
                (7, 20), (9, 100)
            ),
            'prometheus_notifications_errors_total{job="prometheus",instance="p1",alertmanager="two"}': then(
                (7, 20), (8, 100)
            ),
            'prometheus_notifications_errors_total{job="elsewhere",instance="x2",alertmanager="two"}': growing(3, 600),
            'prometheus_notifications_dropped_total{job="prometheus",instance="p2"}': then((7, 20), (10, 100)),
            'prometheus_notifications_dropped_total{job="elsewhere",instance="x3"}': growing(3, 600),
            'process_start_time_seconds{job="prometheus",instance="p2"}': flat(1_000, 600),
            'process_start_time_seconds{job="prometheus",instance="x3"}': flat(1_000, 600),
        },
        # At 350 s the failures of 100 s are four minutes old, at 450 s six.
        fires=(fires(350.0, instance="a1"), fires(350.0, instance="p1"), fires(350.0, instance="p2")),
        silent=(95.0, 450.0),
    ),
    Case(
        alert="OutriderRulesFailing",
        name="a failure now and then, on one of two groups, and on another Prometheus",
        series={
            'prometheus_rule_evaluation_failures_total{job="prometheus",instance="p1",rule_group="g"}': then(
                (7, 20), (8, 100)
            ),
            'prometheus_rule_evaluation_failures_total{job="prometheus",instance="p1",rule_group="h"}': flat(7, 600),
            'prometheus_rule_group_iterations_missed_total{job="prometheus",instance="p1",rule_group="g"}': flat(
                2, 600
            ),
            'prometheus_rule_evaluation_failures_total{job="elsewhere",instance="x1",rule_group="g"}': growing(3, 600),
            'prometheus_rule_group_iterations_missed_total{job="elsewhere",instance="x1",rule_group="g"}': growing(
                3, 600
            ),
        },
        fires=(fires(350.0, instance="p1"),),
        silent=(95.0, 450.0),
    ),
    Case(
        alert="OutriderRulesFailing",
        name="evaluations are skipped once",
        series={
            'prometheus_rule_evaluation_failures_total{job="prometheus",instance="p1",rule_group="g"}': flat(7, 600),
            'prometheus_rule_group_iterations_missed_total{job="prometheus",instance="p1",rule_group="g"}': then(
                (7, 20), (8, 100)
            ),
        },
        fires=(fires(350.0, instance="p1"),),
        silent=(95.0, 450.0),
    ),
    Case(
        alert="OutriderConfigRejected",
        name="another program of the same name",
        series={
            'prometheus_config_last_reload_successful{job="elsewhere",instance="p1"}': flat(0, 300),
            'alertmanager_config_last_reload_successful{job="elsewhere",instance="a1"}': flat(0, 300),
            'prometheus_config_last_reload_successful{job="prometheus",instance="p1"}': flat(1, 300),
        },
        silent=(130.0, 240.0),
    ),
    Case(
        alert="OutriderAlertmanagerDown",
        name="another Prometheus that knows none",
        series={
            'prometheus_notifications_alertmanagers_discovered{job="elsewhere",instance="p1"}': flat(0, 300),
            'prometheus_notifications_alertmanagers_discovered{job="prometheus",instance="p1"}': flat(1, 300),
        },
        silent=(130.0, 240.0),
    ),
    Case(
        alert="NomadFileDescriptorsLow",
        name="agents that are a server and a client",
        series={
            'process_open_fds{role="server",instance="a1"}': flat(10, 300),
            'process_max_fds{role="server",instance="a1"}': flat(100, 300),
            'process_open_fds{role="client",instance="a1"}': flat(90, 300),
            'process_max_fds{role="client",instance="a1"}': flat(1_000, 300),
        },
        silent=(130.0, 240.0),
    ),
)


def _shrunk(name: str, voters: float, expected: int, **said: object) -> Case:
    """Return a case of a cluster whose leader counts a majority of *voters* of so many servers *expected*."""
    series = {
        **led(400),
        "outrider:voters_quorum": flat(voters, 400),
        "outrider:servers_expected": flat(expected, 400),
        "outrider:servers_quorum": flat(expected // 2 + 1, 400),
        **unexplained("NomadClusterShrunk"),
    }
    return Case(alert="NomadClusterShrunk", name=name, series=series, **said)  # type: ignore[arg-type]


EMPTY_SIDES = (
    _shrunk("three of which one votes", 1, 3, fires=(fires(150.0, value=1),), silent=(50.0,)),
    _shrunk("two of which one votes", 1, 2, silent=(150.0, 300.0)),
    _shrunk("a majority of none", 0, 3, silent=(150.0, 300.0)),
    _shrunk("all vote", 2, 3, silent=(150.0, 300.0)),
    Case(
        alert="NomadFollowerLagging",
        name="a follower lags by exactly as much as it may, and a stranger without a target by more",
        series={
            **up(400, "s1", "s2"),
            'up{role="server",instance="s3"}': flat(0, 400),
            'outrider:raft_lag_entries{instance="s1"}': flat(0, 400),
            'outrider:raft_lag_entries{instance="s2"}': flat(1_000, 400),
            'outrider:raft_lag_entries{instance="s3"}': flat(5_000, 400),
            **unexplained("NomadFollowerLagging"),
        },
        silent=(200.0, 350.0),
    ),
    Case(
        alert="NomadFollowerLagging",
        name="the last of three lags",
        series={
            **up(400, "s2", "s3"),
            'up{role="server",instance="s1"}': flat(0, 400),
            'outrider:raft_lag_entries{instance="s1"}': flat(5_000, 400),
            'outrider:raft_lag_entries{instance="s3"}': flat(1_001, 400),
            **unexplained("NomadFollowerLagging"),
        },
        fires=(fires(200.0, instance="s3", value=1_001),),
        silent=(100.0,),
    ),
    *(
        Case(
            alert=alert,
            name="exactly as much as it may be",
            series={**up(400), series: flat(limit, 400), **unexplained(alert)},
            silent=(250.0, 390.0),
        )
        for alert, series, limit in (
            ("NomadCommitSlow", "outrider:commit_milliseconds", 100),
            ("NomadFollowersSlow", "outrider:contact_milliseconds", 250),
            ("NomadSchedulingSlow", 'outrider:scheduling_milliseconds{scheduler="batch"}', 2_000),
            ("NomadRaftSaturated", 'outrider:raft_busy_ratio{instance="s1"}', 0.8),
        )
    ),
    *(
        Case(
            alert="NomadFollowersSlow",
            name=name,
            series={**up(400), "outrider:contact_milliseconds": flat(mean, 400), **unexplained("NomadFollowersSlow")},
            fires=(fires(250.0, value=mean),) if mean < 5_000 else (),
            silent=(100.0,) if mean < 5_000 else (250.0, 390.0),
        )
        for name, mean in (("as late as can be without being away", 4_999), ("one is away", 5_000))
    ),
    Case(
        alert="NomadMemberFailed",
        name="one of three does not answer, and is called failed",
        series={
            **led(800, "s1", "s1", "s2"),
            'up{role="server",instance="s3"}': then((1, 12), (0, 150)),
            'nomad_serf_member_failed{instance="s1"}': "_x20 1x12 stale",
            **_DEAD_MEMBER,
            **unexplained("NomadMemberFailed"),
        },
        silent=(300.0, 500.0),
    ),
    Case(
        alert="NomadMemberFailed",
        name="nobody was called failed for ten minutes",
        series={
            **led(1_200),
            'nomad_serf_member_failed{instance="s1"}': "1x240",
            **_DEAD_MEMBER,
            **unexplained("NomadMemberFailed"),
        },
        fires=(fires(400.0, value=1),),
        silent=(100.0, 700.0, 1_000.0),
    ),
)

LOGS = (
    Case(
        alert="NomadRaftLogGrowing",
        name="two that tell of a server's log, one of a native log that grows by exactly as much as it may",
        interval=60.0,
        series={
            'up{role="server",instance="s1"}': "1x120",
            'outrider_raft_log_entries{instance="s1",server="s1"}': "30000x120",
            'outrider_raft_log_entries{instance="exporter",server="s1"}': "40001x120",
            'nomad_raft_lastIndex{instance="s2"}': "1000000x120",
        },
        fires=(fires(3_900.0, instance="s1", value=40_001),),
        silent=(30.0,),
    ),
    Case(
        alert="NomadRaftLogGrowing",
        name="a native log that grows, without a snapshot for more than an hour",
        interval=60.0,
        series={
            'up{role="server",instance="s1"}': "1x200",
            'nomad_raft_lastIndex{instance="s1"}': "1000000+800x200",
            'nomad_raft_lastIndex{instance="s2"}': "1000000x200",
            # The last one at 45 min is seen until 105 min.
            'nomad_raft_snapshot_persist_count{instance="s1"}': "_x44 1 stale",
        },
        fires=(fires(6_720.0, instance="s1"),),
        silent=(3_900.0, 5_700.0, 6_180.0),
    ),
)


def _no_leader(name: str, series: dict[str, str], expected: int = 3, **said: object) -> Case:
    """Return a case of servers that answer, of which none hears a leader from 30 s on, but for *series*."""
    usual = {
        **up(400),
        "outrider:leader_signals": "3x5 0x70",
        "outrider:servers_blind": flat(0, 400),
        "outrider:servers_up": flat(3, 400),
        "outrider:clients_connected": flat(0, 400),
        "outrider:leaderless_seconds": "_x75",
        **unexplained("NomadNoLeader"),
    }
    return Case(
        alert="NomadNoLeader",
        name=name,
        severity="critical",
        expected_servers=expected,
        series=usual | series,
        **said,  # type: ignore[arg-type]
    )


PATIENCE = (
    _no_leader(
        "an agent has been without one for as long as a fail-over takes",
        {"outrider:leaderless_seconds": "0x5 4x70"},
        fires=(fires(40.0), fires(200.0)),
        silent=(25.0, 30.0),
    ),
    _no_leader(
        "no agent has been without one for as long as a fail-over takes",
        {"outrider:leaderless_seconds": "0x5 3.5x70"},
        fires=(fires(50.0),),
        silent=(40.0,),
    ),
    _no_leader(
        "an agent has been without one, and another hears one",
        {"outrider:leaderless_seconds": "0x5 9x70", "outrider:leader_signals": "3x5 1x70"},
        silent=(40.0, 60.0, 200.0),
    ),
    _no_leader(
        "one server of two restarts",
        {"outrider:leaderless_seconds": "0x5 9x70"},
        expected=2,
        # The last sign of 25 s is out of sight of 37.5 s at 65 s.
        fires=(fires(75.0),),
        silent=(40.0, 60.0, 65.0),
    ),
    _no_leader(
        "no server answers, and a client is connected to them",
        {"outrider:servers_up": flat(0, 400), "outrider:clients_connected": flat(1, 400)},
        silent=(60.0, 200.0),
    ),
    _no_leader(
        "servers answer, and clients are connected to them",
        {"outrider:clients_connected": flat(5, 400)},
        fires=(fires(60.0),),
        silent=(25.0,),
    ),
    _no_leader(
        "the only server that answers tells nothing",
        {"outrider:servers_up": flat(1, 400), "outrider:servers_blind": flat(1, 400)},
        silent=(60.0, 200.0),
    ),
    Case(
        alert="NomadQuorumLost",
        name="one of three answers, and clients are connected to it",
        severity="critical",
        series={
            **up(400, "s1"),
            "outrider:servers_up": "3x5 1x70",
            "outrider:servers_quorum": flat(2, 400),
            "outrider:leader_signals": "3x5 0x70",
            "outrider:clients_connected": flat(5, 400),
        },
        fires=(fires(40.0, value=1),),
        silent=(25.0,),
    ),
    Case(
        alert="NomadQuorumLost",
        name="one of two restarts",
        severity="critical",
        expected_servers=2,
        series={
            **up(400, "s1"),
            "outrider:servers_up": "2x5 1x70",
            "outrider:servers_quorum": flat(2, 400),
            "outrider:leader_signals": "2x5 0x70",
            "outrider:clients_connected": flat(5, 400),
        },
        fires=(fires(75.0, value=1),),
        silent=(40.0, 60.0, 65.0),
    ),
    *(
        Case(
            alert="NomadLeaderFlapping",
            name=f"three elections of {expected}",
            expected_servers=expected,
            series={**up(400), "outrider:elections": flat(3, 400), **unexplained("NomadLeaderFlapping")},
            silent=(150.0, 300.0),
        )
        for expected in (1, 3)
    ),
)


def _frozen(name: str, malloc: str, objects: str, **said: object) -> Case:
    """Return a case of a server whose counts of the heap move so; the other's always do."""
    series = {
        **led(400),
        'nomad_runtime_malloc_count{instance="s2"}': malloc,
        'nomad_runtime_heap_objects{instance="s2"}': objects,
        **unexplained("NomadMetricsFrozen"),
    }
    return Case(alert="NomadMetricsFrozen", name=name, series=series, **said)  # type: ignore[arg-type]


FROZEN = (
    _frozen("one count of the heap stands still", flat(7, 400), growing(1, 400), silent=(150.0, 300.0)),
    _frozen("the other count of the heap stands still", growing(1, 400), flat(7, 400), silent=(150.0, 300.0)),
    _frozen("a collection every quarter of a minute", "7x2 8x2 9x2 " * 9, flat(7, 400), silent=(150.0, 300.0)),
    _frozen(
        "a collection every quarter of a minute, seen in the other",
        flat(7, 400),
        "7x2 8x2 9x2 " * 9,
        silent=(150.0, 300.0),
    ),
    _frozen(
        "both stand still from 100 s on",
        "0+1x20 20x60",
        "0+1x20 20x60",
        fires=(fires(205.0, instance="s2", value=1),),
        silent=(185.0,),
    ),
    Case(
        alert="NomadMetricsFrozen",
        name="a server that is down, of which something else tells",
        series={
            **up(400, "s1"),
            'up{role="server",instance="s2"}': flat(0, 400),
            'nomad_runtime_malloc_count{instance="s2"}': flat(7, 400),
            'nomad_runtime_heap_objects{instance="s2"}': flat(7, 400),
            **unexplained("NomadMetricsFrozen"),
        },
        silent=(205.0, 350.0),
    ),
)

CASES = (
    *BIRTHS,
    *CLIENTS,
    *ROLES,
    *EMPTY_SIDES,
    *LOGS,
    *PATIENCE,
    *FROZEN,
)

"""Cases of what is recorded: the leader's own numbers, what two tell of one server, means over a minute."""

from tests.alert_rules.case import Case, recorded
from tests.alert_rules.case_series import flat, mean_at_150, up

MEAN = 800 / 34
"""What `mean_at_150` comes to."""
_SERVERS = ("s1", "s2", "s3", "s4")
_SCHEDULERS = ("service", "batch", "system", "sysbatch")


def _each(series: str, *values: float) -> dict[str, str]:
    """Return a gauge of the servers one after the other."""
    return {
        f'{series}{{instance="{server}"}}': flat(value, 200) for server, value in zip(_SERVERS, values, strict=False)
    }


def _leaders(*servers: str) -> dict[str, str]:
    return {f'outrider:leader{{instance="{server}"}}': flat(1, 200) for server in servers}


OF_THE_LEADER = (
    Case(
        name="of several that lead the greatest counts, and nothing that a follower says",
        series={
            **up(200, *_SERVERS),
            **_leaders("s1", "s2", "s3"),
            **_each("nomad_nomad_autopilot_healthy", 1, 1, 0, 1),
            **_each("nomad_nomad_heartbeat_active", 3, 5, 4, 9),
            **_each("outrider_raft_voters", 3, 5, 4, 9),
            **mean_at_150("nomad_raft_commitTime", 'instance="s1"'),
            **mean_at_150("nomad_raft_commitTime", 'instance="s2"', 3),
            **mean_at_150("nomad_raft_commitTime", 'instance="s4"', 9),
            **mean_at_150("nomad_raft_leader_lastContact", 'instance="s1"', 2),
            **mean_at_150("nomad_raft_leader_lastContact", 'instance="s3"', 4),
            **mean_at_150("nomad_raft_leader_lastContact", 'instance="s4"', 9),
        },
        recorded=(
            recorded("outrider:autopilot_healthy", 150.0, 1),
            recorded("outrider:heartbeats_active", 150.0, 5),
            recorded("outrider:voters_quorum", 150.0, 3),
            recorded("outrider:commit_milliseconds", 150.0, 3 * MEAN),
            recorded("outrider:contact_milliseconds", 150.0, 4 * MEAN),
        ),
    ),
    Case(
        name="the last of four leads",
        series={
            **up(200, *_SERVERS),
            **_leaders("s4"),
            **_each("nomad_nomad_autopilot_healthy", 1, 1, 1, 0),
            **_each("nomad_nomad_heartbeat_active", 30, 50, 40, 2),
            **_each("outrider_raft_voters", 30, 50, 40, 2),
            **mean_at_150("nomad_raft_commitTime", 'instance="s1"', 20),
            **mean_at_150("nomad_raft_commitTime", 'instance="s4"'),
            **mean_at_150("nomad_raft_leader_lastContact", 'instance="s1"', 20),
            **mean_at_150("nomad_raft_leader_lastContact", 'instance="s4"'),
        },
        recorded=(
            recorded("outrider:autopilot_healthy", 150.0, 0),
            recorded("outrider:heartbeats_active", 150.0, 2),
            recorded("outrider:voters_quorum", 150.0, 2),
            recorded("outrider:commit_milliseconds", 150.0, MEAN),
            recorded("outrider:contact_milliseconds", 150.0, MEAN),
        ),
    ),
    Case(
        name="a leader that does nothing has no mean",
        series={
            **up(200, *_SERVERS),
            **_leaders("s1"),
            **{
                f'{series}_{part}{{instance="s1"}}': flat(7, 200)
                for series in ("nomad_raft_commitTime", "nomad_raft_leader_lastContact")
                for part in ("sum", "count")
            },
        },
        recorded=(
            recorded("outrider:commit_milliseconds", 150.0, None),
            recorded("outrider:contact_milliseconds", 150.0, None),
            recorded("outrider:autopilot_healthy", 150.0, None),
        ),
    ),
)


def _raft(series: str, *values: float) -> dict[str, str]:
    return {
        f'{series}{{instance="{server}",server="{server}"}}': flat(value, 200)
        for server, value in zip(_SERVERS, values, strict=False)
    }


OUR_OWN = (
    Case(
        name="a server that its agent and an exporter tell of, the exporter of more",
        series={
            **up(200, "s1", "s2"),
            **_raft("outrider_raft_last_contact_seconds", 2, 4),
            **_raft("outrider_raft_voters_healthy", 3, 5),
            'outrider_raft_last_contact_seconds{instance="exporter",server="s1"}': flat(7, 200),
            'outrider_raft_voters_healthy{instance="exporter",server="s1"}': flat(4, 200),
        },
        recorded=(
            recorded("outrider:own_contact_seconds", 100.0, 7, instance="s1"),
            recorded("outrider:own_contact_seconds", 100.0, 4, instance="s2"),
            recorded("outrider:own_voters_healthy", 100.0, 4, instance="s1"),
            recorded("outrider:own_voters_healthy", 100.0, 5, instance="s2"),
            recorded("outrider:own_contact_seconds", 100.0, None, instance="exporter"),
        ),
    ),
    Case(
        name="since when the servers that answer have been without a leader",
        series={
            **up(200, "s1", "s2", "s3"),
            'up{role="server",instance="s4"}': flat(0, 200),
            **_raft("outrider_server_has_leader", 0, 0, 1, 0),
            **_raft("outrider_raft_last_contact_seconds", 7, 5, 0.1, 1),
        },
        recorded=(recorded("outrider:leaderless_seconds", 100.0, 5),),
    ),
    Case(
        name="since when the others have been without a leader",
        series={
            **up(200, "s2", "s3", "s4"),
            'up{role="server",instance="s1"}': flat(0, 200),
            **_raft("outrider_server_has_leader", 0, 1, 0, 0),
            **_raft("outrider_raft_last_contact_seconds", 1, 0.1, 9, 20),
        },
        recorded=(recorded("outrider:leaderless_seconds", 100.0, 9),),
    ),
    Case(
        name="nobody is without a leader",
        series={
            **up(200, *_SERVERS),
            **_raft("outrider_server_has_leader", 1, 1, 1, 1),
            **_raft("outrider_raft_last_contact_seconds", 0.2, 0.1, 0.3, 0.1),
        },
        recorded=(recorded("outrider:leaderless_seconds", 100.0, None),),
    ),
)

WINDOWS = (
    Case(
        name="how busy two threads are, each server by its busier one",
        series={
            **up(200, *_SERVERS),
            **mean_at_150("nomad_raft_thread_main_saturation", 'instance="s1"', 0.02),
            **mean_at_150("nomad_raft_thread_fsm_saturation", 'instance="s1"', 0.01),
            **mean_at_150("nomad_raft_thread_main_saturation", 'instance="s2"', 0.01),
            **mean_at_150("nomad_raft_thread_fsm_saturation", 'instance="s2"', 0.03),
            **{
                f'nomad_raft_thread_{thread}_saturation_{part}{{instance="{server}"}}': flat(7, 200)
                for thread, server in (("main", "s3"), ("fsm", "s4"))
                for part in ("sum", "count")
            },
        },
        recorded=(
            recorded("outrider:raft_busy_ratio", 150.0, 0.02 * MEAN, instance="s1"),
            recorded("outrider:raft_busy_ratio", 150.0, 0.03 * MEAN, instance="s2"),
            recorded("outrider:raft_busy_ratio", 150.0, None, instance="s3"),
            recorded("outrider:raft_busy_ratio", 150.0, None, instance="s4"),
        ),
    ),
    Case(
        name="how long each scheduler takes",
        series={
            key: value
            for number, scheduler in enumerate(_SCHEDULERS)
            for key, value in mean_at_150(
                f"nomad_nomad_worker_invoke_scheduler_{scheduler}", 'instance="s1"', number + 1
            ).items()
        },
        recorded=tuple(
            recorded("outrider:scheduling_milliseconds", 150.0, (number + 1) * MEAN, scheduler=scheduler)
            for number, scheduler in enumerate(_SCHEDULERS)
        ),
    ),
    Case(
        name="schedulers that have nothing to do",
        series={
            f'nomad_nomad_worker_invoke_scheduler_{scheduler}_{part}{{instance="s1"}}': flat(7, 200)
            for scheduler in _SCHEDULERS
            for part in ("sum", "count")
        },
        recorded=(recorded("outrider:scheduling_milliseconds", 150.0, None),),
    ),
    Case(
        name="entries behind the newest index of any server, and never fewer than none",
        series={
            'nomad_raft_lastIndex{instance="s1"}': flat(500, 200),
            'nomad_raft_lastIndex{instance="s2"}': flat(300, 200),
            'nomad_raft_appliedIndex{instance="s1"}': flat(600, 200),
            'nomad_raft_appliedIndex{instance="s2"}': flat(300, 200),
            'nomad_raft_appliedIndex{instance="s3"}': flat(500, 200),
        },
        recorded=(
            recorded("outrider:raft_lag_entries", 150.0, 0, instance="s1"),
            recorded("outrider:raft_lag_entries", 150.0, 200, instance="s2"),
            recorded("outrider:raft_lag_entries", 150.0, 0, instance="s3"),
        ),
    ),
    Case(
        name="what every server says of the cluster is counted once",
        series={
            **_each("nomad_nomad_broker_total_ready", 5, 3),
            **_each("nomad_nomad_broker_total_unacked", 6, 2),
            **_each("nomad_nomad_blocked_evals_total_blocked", 7, 1),
            **_each("nomad_nomad_plan_queue_depth", 8, 4),
            **_raft("outrider_nodes_draining", 9, 2),
        },
        recorded=(
            recorded("outrider:evaluations_ready", 150.0, 5),
            recorded("outrider:evaluations_unacked", 150.0, 6),
            recorded("outrider:evaluations_blocked", 150.0, 7),
            recorded("outrider:plan_queue", 150.0, 8),
            recorded("outrider:nodes_draining", 150.0, 9),
        ),
    ),
)

CASES = (*OF_THE_LEADER, *OUR_OWN, *WINDOWS)

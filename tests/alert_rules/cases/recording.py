"""Cases of the recording rules: what they make of series, whichever alert rests on it."""

from tests.alert_rules.case import Case, recorded

S1 = 'role="server",instance="s1"'
S2 = 'role="server",instance="s2"'
S3 = 'role="server",instance="s3"'
UP = {f"up{{{S1}}}": "1x40", f"up{{{S2}}}": "1x40", f"up{{{S3}}}": "1x40"}
HEARD = "outrider:leader_heard"
LEADER = "outrider:leader"
SIGNALS = "outrider:leader_signals"
HEARTBEATS = "nomad_raft_rpc_processHeartbeat_count"
CONTACTS = "nomad_raft_leader_lastContact_count"
DEQUEUED = "nomad_nomad_eval_dequeue_count"
# Grows by 2 in 5 s, slower than anything that works, until 100 s; then it is frozen, as without a leader.
GROWS_UNTIL_100 = "0+2x20 40x20"

SIZES = (
    Case(
        name="the majority of three",
        series=UP,
        recorded=(
            recorded("outrider:servers_expected", 10.0, 3),
            recorded("outrider:servers_quorum", 10.0, 2),
            recorded("outrider:servers_up", 10.0, 3),
            recorded("outrider:servers_blind", 10.0, 3),
        ),
    ),
    Case(
        name="the majority of four, none of which is a target",
        series={f"up{{{S1}}}": "_x40"},
        expected_servers=4,
        recorded=(recorded("outrider:servers_quorum", 10.0, 3), recorded("outrider:servers_up", 10.0, 0)),
    ),
    Case(
        name="one of three answers and tells",
        series={
            f"up{{{S1}}}": "1x40",
            f"up{{{S2}}}": "0x40",
            f"up{{{S3}}}": "0x40",
            'up{role="client",instance="s1"}': "1x40",
            f"nomad_raft_appliedIndex{{{S1}}}": "7x40",
        },
        recorded=(recorded("outrider:servers_up", 10.0, 1), recorded("outrider:servers_blind", 10.0, 0)),
    ),
    Case(
        name="one of three tells nothing, the one beside says it has a leader",
        series={
            **UP,
            f"nomad_raft_appliedIndex{{{S1}}}": "7x40",
            f"outrider_server_has_leader{{{S2}}}": "0x40",
        },
        recorded=(recorded("outrider:servers_up", 10.0, 3), recorded("outrider:servers_blind", 10.0, 1)),
    ),
)


def heard(name: str, series: dict[str, str], *said: tuple[str, float, float | None, str]) -> Case:
    """Return a case about which servers prove a leader at which time."""
    return Case(
        name=name,
        series=UP | series,
        recorded=tuple(recorded(what, at, value, instance=instance) for what, at, value, instance in said),
    )


SIGNS_OF_A_LEADER = (
    heard(
        "a follower hears its leader until it is gone",
        {f"{HEARTBEATS}{{{S1}}}": GROWS_UNTIL_100},
        (HEARD, 60.0, 1, "s1"),
        (HEARD, 60.0, None, "s2"),
        (HEARD, 95.0, 1, "s1"),
        (HEARD, 110.0, None, "s1"),
        (LEADER, 60.0, None, "s1"),
    ),
    heard(
        "a leader reaches a follower until it is gone",
        {f"{CONTACTS}{{{S1}}}": GROWS_UNTIL_100, f"{HEARTBEATS}{{{S2}}}": "9x40"},
        (HEARD, 60.0, 1, "s1"),
        (HEARD, 60.0, None, "s2"),
        (HEARD, 95.0, 1, "s1"),
        (HEARD, 110.0, None, "s1"),
        (LEADER, 60.0, 1, "s1"),
        (LEADER, 95.0, 1, "s1"),
        (LEADER, 110.0, None, "s1"),
    ),
    heard(
        "a leader hands out evaluations until it is gone",
        {f"{DEQUEUED}{{{S1}}}": GROWS_UNTIL_100},
        (HEARD, 60.0, 1, "s1"),
        (HEARD, 95.0, 1, "s1"),
        (HEARD, 110.0, None, "s1"),
        (LEADER, 60.0, 1, "s1"),
        (LEADER, 95.0, 1, "s1"),
        (LEADER, 110.0, None, "s1"),
    ),
    heard(
        "who begins to lead is seen at once, and who was not scraped for a while leads no more for that",
        {
            f"{CONTACTS}{{{S1}}}": "_x12 1 3 5 7 7x30",
            # What it counted when it led, scraped again after 15 s, and after half a minute.
            f"{CONTACTS}{{{S2}}}": "9x5 stale _x2 9x5 stale _x5 9x20",
        },
        (LEADER, 55.0, None, "s1"),
        (LEADER, 60.0, 1, "s1"),
        (LEADER, 75.0, 1, "s1"),
        (LEADER, 85.0, None, "s1"),
        (HEARD, 60.0, None, "s1"),
        (HEARD, 65.0, 1, "s1"),
        (LEADER, 45.0, None, "s2"),
        (LEADER, 115.0, None, "s2"),
    ),
    heard(
        "each server by a sign of its own",
        {
            'up{role="server",instance="s4"}': "1x40",
            f"{HEARTBEATS}{{{S1}}}": "0+2x40",
            f"{CONTACTS}{{{S2}}}": "0+2x40",
            f"{DEQUEUED}{{{S3}}}": "0+2x40",
            'outrider_server_has_leader{role="server",instance="s4"}': "1x40",
            'outrider_server_is_leader{role="server",instance="s4"}': "1x40",
        },
        (HEARD, 60.0, 1, "s1"),
        (HEARD, 60.0, 1, "s2"),
        (HEARD, 60.0, 1, "s3"),
        (HEARD, 60.0, 1, "s4"),
        (LEADER, 60.0, 1, "s2"),
        (LEADER, 60.0, 1, "s3"),
        (LEADER, 60.0, 1, "s4"),
    ),
    heard(
        "our agents say who leads",
        {
            f"outrider_server_has_leader{{{S1}}}": "1x20 0x20",
            f"outrider_server_is_leader{{{S1}}}": "1x20 0x20",
            f"outrider_server_has_leader{{{S2}}}": "1x20 0x20",
            f"outrider_server_is_leader{{{S2}}}": "0x40",
        },
        (HEARD, 60.0, 1, "s1"),
        (HEARD, 60.0, 1, "s2"),
        (HEARD, 110.0, None, "s1"),
        (LEADER, 60.0, 1, "s1"),
        (LEADER, 60.0, None, "s2"),
        (LEADER, 110.0, None, "s1"),
    ),
    heard(
        "our agent knows better than its counters",
        {
            f"{HEARTBEATS}{{{S1}}}": "0+2x40",
            f"{CONTACTS}{{{S2}}}": "0+2x40",
            f"{DEQUEUED}{{{S2}}}": "0+2x40",
            f"{HEARTBEATS}{{{S3}}}": "0+2x40",
            f"outrider_server_has_leader{{{S1}}}": "0x40",
            f"outrider_server_has_leader{{{S2}}}": "0x40",
            f"outrider_server_is_leader{{{S2}}}": "0x40",
        },
        (HEARD, 60.0, None, "s1"),
        (HEARD, 60.0, None, "s2"),
        (HEARD, 60.0, 1, "s3"),
        (LEADER, 60.0, None, "s2"),
    ),
    heard(
        "an exporter speaks of two servers, and of one that it cannot reach its counters do",
        {
            f"{HEARTBEATS}{{{S1}}}": "0+2x40",
            f"{HEARTBEATS}{{{S2}}}": "0+2x40",
            'outrider_server_has_leader{instance="exporter",server="s2"}': "0x40",
            'outrider_server_has_leader{instance="exporter",server="s3"}': "1x40",
            'outrider_server_is_leader{instance="exporter",server="s3"}': "1x40",
        },
        (HEARD, 60.0, 1, "s1"),
        (HEARD, 60.0, None, "s2"),
        (HEARD, 60.0, 1, "s3"),
        (LEADER, 60.0, 1, "s3"),
    ),
    heard(
        "a server that is down is heard of no more",
        {
            f"up{{{S1}}}": "1x12 0x28",
            'up{role="client",instance="s1"}': "1x40",
            f"{HEARTBEATS}{{{S1}}}": "0+2x12 stale",
            f"{CONTACTS}{{{S1}}}": "0+2x12 stale",
            f"{DEQUEUED}{{{S2}}}": "0+2x40",
        },
        (HEARD, 60.0, 1, "s1"),
        (HEARD, 70.0, None, "s1"),
        (HEARD, 70.0, 1, "s2"),
        (LEADER, 60.0, 1, "s1"),
        (LEADER, 70.0, None, "s1"),
    ),
    Case(
        name="the signs are counted",
        series={f"up{{{S1}}}": "1x40", f'{HEARD}{{instance="s1"}}': "1x20", f'{HEARD}{{instance="s2"}}': "1x40"},
        recorded=(recorded(SIGNALS, 50.0, 2),),
    ),
    Case(
        name="no sign is none",
        series={f"up{{{S1}}}": "1x40", f'{HEARD}{{instance="s1"}}': "1x4 stale"},
        recorded=(recorded(SIGNALS, 10.0, 1),),
    ),
    Case(
        name="without a sign it is 0",
        series={f"up{{{S1}}}": "1x40"},
        recorded=(recorded(SIGNALS, 50.0, 0),),
    ),
)

VOTERS = (
    Case(
        name="the leader's own count, not a follower's",
        series={
            f'{LEADER}{{instance="s1"}}': "1x20",
            f"outrider_raft_voters{{{S1}}}": "5x20",
            f"outrider_raft_voters{{{S2}}}": "7x20",
            f"outrider_raft_voters_healthy{{{S1}}}": "4x20",
            f"outrider_raft_voters_healthy{{{S2}}}": "5x20",
            f"nomad_nomad_autopilot_failure_tolerance{{{S1}}}": "2x20",
        },
        recorded=(recorded("outrider:voters_healthy", 50.0, 4), recorded("outrider:failure_tolerance", 50.0, 1)),
    ),
    Case(
        name="a deposed leader that has not noticed counts less",
        series={
            f'{LEADER}{{instance="s1"}}': "1x20",
            f'{LEADER}{{instance="s2"}}': "1x20",
            f"outrider_raft_voters{{{S1}}}": "3x20",
            f"outrider_raft_voters{{{S2}}}": "5x20",
            f"outrider_raft_voters_healthy{{{S1}}}": "1x20",
            f"outrider_raft_voters_healthy{{{S2}}}": "4x20",
        },
        recorded=(recorded("outrider:voters_healthy", 50.0, 4), recorded("outrider:failure_tolerance", 50.0, 1)),
    ),
    Case(
        name="no tolerance is below 0",
        series={
            f'{LEADER}{{instance="s1"}}': "1x20",
            f"outrider_raft_voters{{{S1}}}": "4x20",
            f"outrider_raft_voters_healthy{{{S1}}}": "1x20",
        },
        recorded=(recorded("outrider:failure_tolerance", 50.0, 0),),
    ),
    Case(
        name="a real Nomad's autopilot, of the live leader",
        series={
            f'{LEADER}{{instance="s1"}}': "1x20",
            f'{LEADER}{{instance="s2"}}': "1x20",
            f"nomad_nomad_autopilot_failure_tolerance{{{S1}}}": "1x20",
            f"nomad_nomad_autopilot_failure_tolerance{{{S2}}}": "2x20",
            f"nomad_nomad_autopilot_failure_tolerance{{{S3}}}": "3x20",
        },
        recorded=(recorded("outrider:voters_healthy", 50.0, None), recorded("outrider:failure_tolerance", 50.0, 2)),
    ),
    Case(
        name="a real Nomad's autopilot without tolerance",
        series={
            f'{LEADER}{{instance="s3"}}': "1x20",
            f"nomad_nomad_autopilot_failure_tolerance{{{S1}}}": "1x20",
            f"nomad_nomad_autopilot_failure_tolerance{{{S3}}}": "0x20",
        },
        recorded=(recorded("outrider:failure_tolerance", 50.0, 0),),
    ),
    Case(
        name="nobody leads",
        series={
            f'{LEADER}{{instance="s1"}}': "_x20",
            f"outrider_raft_voters{{{S1}}}": "3x20",
            f"outrider_raft_voters_healthy{{{S1}}}": "1x20",
            f"nomad_nomad_autopilot_failure_tolerance{{{S2}}}": "1x20",
        },
        recorded=(recorded("outrider:voters_healthy", 50.0, None), recorded("outrider:failure_tolerance", 50.0, None)),
    ),
)


def left(name: str, series: dict[str, str], *said: tuple[float, float | None, str]) -> Case:
    """Return a case about which servers have left at which time."""
    return Case(
        name=name,
        series=series,
        recorded=tuple(recorded("outrider:server_left", at, value, instance=instance) for at, value, instance in said),
    )


LEFT = (
    left(
        "a server leaves and stays away, and the one that died before is not taken for it",
        {
            f"up{{{S1}}}": "1x10 0x28",
            f"up{{{S2}}}": "1x1 0x37",
            f"up{{{S3}}}": "1x38",
            f"nomad_serf_member_left{{{S3}}}": "_x14 1x4 stale",
        },
        (60.0, None, "s1"),
        (80.0, 1, "s1"),
        (80.0, None, "s2"),
        (80.0, None, "s3"),
        (180.0, 1, "s1"),
    ),
    left(
        "a server leaves, and is back",
        {
            f"up{{{S1}}}": "1x10 0x10 1x20",
            'up{role="client",instance="s1"}': "0x40",
            f"up{{{S2}}}": "1x38",
            'up{role="client",instance="s2"}': "1x10 0x30",
            f"up{{{S3}}}": "0x38",
            'up{role="client",instance="s3"}': "1x38",
            f"nomad_serf_member_left{{{S3}}}": "_x9 1x12 stale",
        },
        (45.0, None, "s1"),
        (60.0, 1, "s1"),
        (105.0, 1, "s1"),
        (120.0, None, "s1"),
        (60.0, None, "s2"),
        (60.0, None, "s3"),
    ),
    left(
        "a server dies, and nobody has left",
        {f"up{{{S1}}}": "1x10 0x28", f"up{{{S3}}}": "1x38"},
        (60.0, None, "s1"),
        (180.0, None, "s1"),
    ),
    left(
        "a server dies 50 s before another leaves, and one 75 s before",
        {
            f"up{{{S1}}}": "1x20 0x28",
            f"up{{{S2}}}": "1x15 0x36",
            f"nomad_serf_member_left{{{S3}}}": "_x30 1x1 stale",
        },
        (155.0, 1, "s1"),
        (155.0, None, "s2"),
    ),
)

ELECTIONS = (
    Case(
        name="births and growth of the elections of two servers are counted",
        series={
            # Born by an election at 30 s, grown by the next at 60 s; gone 60 s after it.
            f"nomad_raft_state_leader{{{S1}}}": "_x5 1x5 2x12 stale",
            f"nomad_raft_state_leader{{{S2}}}": "_x40 1x12 stale",
        },
        recorded=(
            recorded("outrider:elections", 50.0, 1),
            recorded("outrider:elections", 110.0, 2),
            recorded("outrider:elections", 280.0, 3),
            recorded("outrider:elections", 500.0, 3),
        ),
    ),
    Case(
        name="a server that starts again counts from its birth",
        series={f"nomad_raft_state_leader{{{S1}}}": "4x20 1x11 stale"},
        recorded=(
            recorded("outrider:elections", 90.0, 4),
            recorded("outrider:elections", 560.0, 4),
            recorded("outrider:elections", 650.0, 0),
            recorded("outrider:elections", 800.0, None),
        ),
    ),
    Case(
        name="a server that started again and leads again within a few scrapes was elected twice",
        series={f"nomad_raft_state_leader{{{S1}}}": "1x9 stale _x2 1x20"},
        recorded=(recorded("outrider:elections", 60.0, 1), recorded("outrider:elections", 100.0, 2)),
    ),
    Case(
        name="a leader of which a scrape failed was elected once",
        series={f"nomad_raft_state_leader{{{S1}}}": "1x9 stale 1x20"},
        recorded=(recorded("outrider:elections", 60.0, 1), recorded("outrider:elections", 100.0, 1)),
    ),
)

CASES = (*SIZES, *SIGNS_OF_A_LEADER, *VOTERS, *LEFT, *ELECTIONS)

"""Cases of the alerts about the servers' gossip."""

from tests.alert_rules.case import Case, fires
from tests.alert_rules.case_series import born, flat, led, then, unexplained

_LONG = 900.0


def _born(series: str, server: str, births: tuple[tuple[int, float], ...]) -> dict[str, str]:
    return born(f'{series}{{instance="{server}"}}', _LONG, *births)


def _alive(server: str, *parts: tuple[float, int], state: str = "alive") -> dict[str, str]:
    """Return how many members a server counts as *state*, at the minutes at which it looks."""
    samples = [f"{value:g} stale _x10" for value, count in parts for _ in range(count)]
    return {f'nomad_memberlist_node_instances{{instance="{server}",node_state="{state}"}}': " ".join(samples)}


def _flapping() -> dict[str, str]:
    """Return three flaps within 75 s from 80 s on by the account of two servers."""
    births = ((16, 1), (24, 2), (27, 3))
    return {
        key: value for server in ("s1", "s2") for key, value in _born("nomad_serf_member_flap", server, births).items()
    }


CASES = (
    Case(
        alert="NomadMemberFlapping",
        name="two servers see three flaps in five minutes, and the one that flaps sees one",
        series={
            **led(_LONG),
            **_born("nomad_serf_member_flap", "s1", ((20, 1), (28, 2), (50, 1))),
            **_born("nomad_serf_member_flap", "s2", ((20, 1), (28, 2), (35, 3), (50, 1))),
            **_born("nomad_serf_member_flap", "s3", ((20, 1),)),
        },
        fires=(fires(330.0, value=3), fires(600.0, value=3)),
        silent=(110.0, 240.0, 305.0, 850.0),
    ),
    Case(
        alert="NomadMemberFlapping",
        name="a server that nobody reaches, and whom all hear, calls the others failed, and is unhealthy all the time",
        series={
            **led(_LONG),
            **_flapping(),
            'nomad_nomad_autopilot_healthy{instance="s1"}': then((1, 16), (0, 20), (1, 145)),
            **unexplained("NomadMemberFlapping"),
        },
        # Well again at 180 s, and the flaps are counted until 10 minutes after the first.
        silent=(110.0, 140.0, 160.0, 200.0, 240.0, 300.0, 600.0, 850.0),
    ),
    Case(
        alert="NomadMemberFlapping",
        name="a member of five that flaps is unhealthy each time, for less than a minute",
        expected_servers=5,
        series={
            **led(_LONG, "s1", "s1", "s2", "s3", "s4", "s5"),
            **_flapping(),
            'nomad_nomad_autopilot_healthy{instance="s1"}': then((1, 16), (0, 11), (1, 2), (0, 11), (1, 141)),
        },
        fires=(fires(240.0, value=3), fires(600.0, value=3)),
        silent=(110.0, 140.0, 185.0, 850.0),
    ),
    Case(
        alert="NomadMemberFlapping",
        name="by the account of one server, whose own packets are lost, the others come and go",
        series={
            **led(_LONG),
            **_born("nomad_serf_member_flap", "s1", tuple((20 + 7 * number, 2 + 2 * number) for number in range(12))),
        },
        silent=(110.0, 240.0, 300.0, 600.0, 850.0),
    ),
    Case(
        alert="NomadMemberFlapping",
        name="one of five was cut off, twice, and saw the four others come back at one time",
        expected_servers=5,
        series={
            **led(_LONG, "s1", "s1", "s5"),
            **_born("nomad_serf_member_flap", "s1", ((20, 4), (28, 8))),
            **_born("nomad_serf_member_flap", "s2", ((20, 1), (28, 2))),
        },
        silent=(110.0, 240.0, 300.0, 600.0, 850.0),
    ),
    Case(
        alert="NomadMemberFlapping",
        name="a rolling restart: two flaps on each server",
        series={
            **led(_LONG),
            **{
                key: value
                for server in ("s1", "s2", "s3")
                for key, value in _born("nomad_serf_member_flap", server, ((20, 1), (40, 1))).items()
            },
        },
        silent=(110.0, 300.0, 600.0),
    ),
    Case(
        alert="NomadMemberFlapping",
        name="a rolling restart of five that gossip notices: four flaps on each server",
        expected_servers=5,
        series={
            **led(_LONG, "s1", "s1", "s5"),
            **{
                f'up{{role="server",instance="s{number}"}}': then((1, 10 * number), (0, 2), (1, 181 - 10 * number - 2))
                for number in (2, 3, 4)
            },
            'up{role="server",instance="s6"}': then((1, 50), (0, 2), (1, 129)),
            **_born("nomad_serf_member_flap", "s1", ((22, 1), (32, 2), (42, 3), (52, 4))),
            **_born("nomad_serf_member_flap", "s5", ((22, 1), (32, 2), (42, 3), (52, 4))),
        },
        silent=(110.0, 280.0, 300.0, 600.0, 640.0, 850.0),
    ),
    Case(
        alert="NomadMemberFailed",
        name="a server was restarted without leaving, and the others know that it is back",
        series={
            **led(_LONG),
            **_born("nomad_serf_member_failed", "s1", ((20, 1),)),
            **_alive("s1", (0, 2), (1, 2), (0, 11), state="dead"),
            **_alive("s1", (3, 2), (2, 2), (3, 11)),
        },
        silent=(110.0, 230.0, 260.0, 300.0, 600.0),
    ),
    Case(
        alert="NomadMemberFailed",
        name="a server that answers is cut off, and autopilot calls it unhealthy",
        series={
            **led(_LONG),
            **_alive("s1", (0, 1), (1, 14), state="dead"),
            **_born("nomad_serf_member_failed", "s1", ((20, 1),)),
            'nomad_nomad_autopilot_healthy{instance="s1"}': then((1, 20), (0, 161)),
        },
        silent=(110.0, 300.0, 600.0),
    ),
    Case(
        alert="NomadMemberFailed",
        name="a server that answers is called failed, and autopilot removed it and calls the four others healthy",
        expected_servers=5,
        series={
            **led(_LONG, "s1", "s1", "s2", "s3", "s4", "s5"),
            **_alive("s1", (0, 1), (1, 14), state="dead"),
            'nomad_nomad_autopilot_healthy{instance="s1"}': flat(1, _LONG),
            'nomad_nomad_autopilot_failure_tolerance{instance="s1"}': then((2, 28), (1, 153)),
            **_born("nomad_serf_member_failed", "s1", ((20, 1),)),
            **unexplained("NomadMemberFailed"),
        },
        silent=(110.0, 300.0, 600.0),
    ),
    Case(
        alert="NomadMemberFailed",
        name="a server that answers is called failed, and autopilot still counts on all five",
        expected_servers=5,
        series={
            **led(_LONG, "s1", "s1", "s2", "s3", "s4", "s5"),
            **_alive("s1", (0, 1), (1, 14), state="dead"),
            'nomad_nomad_autopilot_healthy{instance="s1"}': flat(1, _LONG),
            'nomad_nomad_autopilot_failure_tolerance{instance="s1"}': flat(2, _LONG),
            **_born("nomad_serf_member_failed", "s1", ((20, 1),)),
        },
        fires=(fires(300.0, value=1),),
        silent=(110.0, 230.0),
    ),
    Case(
        alert="NomadMemberFailed",
        name="a member that failed long ago is still on the list",
        series={**led(_LONG), **_alive("s1", (1, 15), state="dead")},
        silent=(110.0, 300.0, 600.0),
    ),
    Case(
        alert="NomadMemberFailed",
        name="a server that answers is called failed by the others",
        series={
            **led(_LONG),
            # The one that is cut off has everybody else on its list; the third has not heard yet.
            **_alive("s1", (0, 1), (1, 14), state="dead"),
            **_alive("s3", (0, 15), state="dead"),
            'nomad_nomad_autopilot_healthy{instance="s1"}': flat(1, _LONG),
            **_born("nomad_serf_member_failed", "s1", ((20, 1),)),
            **_born("nomad_serf_member_failed", "s2", ((20, 1), (25, 2))),
        },
        fires=(fires(300.0, value=2), fires(600.0, value=2)),
        silent=(110.0, 230.0, 850.0),
    ),
    Case(
        alert="NomadMemberFailed",
        name="a server that is gone is called failed",
        expected_servers=5,
        series={
            **led(_LONG, "s1", "s1", "s2", "s3", "s4"),
            'up{role="server",instance="s5"}': then((1, 12), (0, 169)),
            **_alive("s1", (0, 1), (1, 14), state="dead"),
            **_born("nomad_serf_member_failed", "s1", ((20, 1),)),
        },
        silent=(300.0, 600.0),
    ),
    Case(
        alert="NomadMembersDisagree",
        name="one server misses another for more than ten minutes",
        series={**led(960.0), **_alive("s1", (3, 16)), **_alive("s2", (3, 3), (2, 13))},
        # The last 3 that the second one said is forgotten after three minutes.
        fires=(fires(930.0, value=1),),
        silent=(170.0, 890.0),
    ),
    Case(
        alert="NomadMembersDisagree",
        name="a server is gone, and the others hear of it one after the other",
        series={**led(960.0), **_alive("s1", (3, 3), (2, 13)), **_alive("s2", (3, 5), (2, 11))},
        silent=(170.0, 500.0, 930.0),
    ),
    Case(
        alert="NomadMembersDisagree",
        name="all count the same",
        series={**led(960.0), **_alive("s1", (3, 16)), **_alive("s2", (3, 16))}
        | {'nomad_memberlist_node_instances{instance="s2",node_state="dead"}': flat(1, 960)},
        silent=(500.0, 930.0),
    ),
)

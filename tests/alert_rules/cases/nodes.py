"""Cases of the alerts about clients and their heartbeats."""

from tests.alert_rules.case import Case, fires
from tests.alert_rules.case_series import born, flat, led, then


def _clients(seconds: float, count: int, **other: str) -> dict[str, str]:
    """Return *count* clients that answer, but for those in *other*."""
    names = [f"c{number + 1}" for number in range(count)]
    return {f'up{{role="client",instance="{name}"}}': other.get(name, flat(1, seconds)) for name in names}


def _missed(seconds: float, *births: tuple[int, float]) -> dict[str, str]:
    """Return the leader's count of missed heartbeats: (from which sample, how many)."""
    return born('nomad_nomad_heartbeat_invalidate_count{instance="s1"}', seconds, *births)


_DEAD = then((1, 4), (0, 57))

CASES = (
    Case(
        alert="NomadClientDown",
        name="dead for longer than a restart",
        series=_clients(300, 12, c1=_DEAD) | {'up{role="server",instance="s1"}': _DEAD},
        fires=(fires(55.0, instance="c1", value=0), fires(290.0, instance="c1", value=0)),
        silent=(15.0, 40.0),
    ),
    Case(
        alert="NomadClientDown",
        name="back after a restart",
        series=_clients(300, 12, c1=then((1, 4), (0, 4), (1, 53))),
        silent=(30.0, 40.0, 50.0, 140.0),
    ),
    Case(
        alert="NomadManyClientsDown",
        name="a fifth of ten at once",
        severity="critical",
        series=_clients(300, 10, c1=then((1, 4), (0, 30), (1, 27)), c2=then((1, 4), (0, 30), (1, 27))),
        fires=(fires(50.0, value=2), fires(160.0, value=2)),
        silent=(15.0, 35.0, 200.0),
    ),
    Case(
        alert="NomadManyClientsDown",
        name="two of eleven are no fifth",
        severity="critical",
        series=_clients(300, 11, c1=_DEAD, c2=_DEAD),
        silent=(50.0, 200.0),
    ),
    Case(
        alert="NomadManyClientsDown",
        name="one of three is one",
        severity="critical",
        series=_clients(300, 3, c1=_DEAD),
        silent=(50.0, 200.0),
    ),
    Case(
        alert="NomadManyClientsDown",
        name="all restart at once",
        severity="critical",
        series=_clients(300, 3, **{name: then((1, 4), (0, 3), (1, 54)) for name in ("c1", "c2", "c3")}),
        silent=(25.0, 35.0, 45.0, 200.0),
    ),
    Case(
        alert="NomadHeartbeatsMissed",
        name="a client that answers scrapes misses its heartbeat",
        series={**led(600), **_clients(600, 3), **_missed(600, (20, 1))},
        fires=(fires(115.0, value=1), fires(380.0, value=1)),
        silent=(95.0, 430.0),
    ),
    Case(
        alert="NomadHeartbeatsMissed",
        name="two miss it of which one is gone",
        series={
            **led(600),
            **_clients(600, 12, c1=then((1, 14), (0, 40), (1, 67))),
            **_missed(600, (20, 1), (23, 2)),
        },
        fires=(fires(130.0, value=1),),
        silent=(95.0, 110.0),
    ),
    Case(
        alert="NomadHeartbeatsMissed",
        name="a client that goes twice misses it twice",
        series={
            **led(600),
            **_clients(600, 12, c1=then((1, 14), (0, 15), (1, 10), (0, 10), (1, 72))),
            **_missed(600, (20, 1), (45, 1)),
        },
        silent=(115.0, 240.0, 390.0, 420.0, 500.0),
    ),
    Case(
        alert="NomadHeartbeatsMissed",
        name="after restarts that nobody missed, one is cut from the servers",
        series={
            **led(600),
            **_clients(600, 12, c1=then((1, 4), (0, 2), (1, 115)), c2=then((1, 8), (0, 2), (1, 111))),
            'nomad_nomad_heartbeat_active{instance="s1"}': then((12, 40), (11, 81)),
            **_missed(600, (40, 1)),
        },
        fires=(fires(260.0, value=1), fires(400.0, value=1)),
        silent=(195.0, 225.0, 550.0),
    ),
    Case(
        alert="NomadHeartbeatsMissed",
        name="a client that was missed is back, and not yet counted",
        series={
            **led(600),
            **_clients(600, 12, c1=then((1, 4), (0, 20), (1, 97))),
            'nomad_nomad_heartbeat_active{instance="s1"}': then((12, 10), (11, 17), (12, 94)),
            **_missed(600, (10, 1)),
        },
        silent=(95.0, 130.0, 150.0, 300.0),
    ),
    Case(
        alert="NomadHeartbeatsMissed",
        name="all that were missed are back, and not yet counted",
        series={
            **led(600),
            **_clients(600, 3, **dict.fromkeys(("c1", "c2", "c3"), then((1, 4), (0, 20), (1, 97)))),
            'nomad_nomad_heartbeat_active{instance="s1"}': then((3, 10), (0, 17), (3, 94)),
            **_missed(600, (10, 3)),
        },
        silent=(95.0, 120.0, 125.0, 130.0, 150.0, 300.0),
    ),
    Case(
        alert="NomadHeartbeatsMissed",
        name="a client that is gone misses it",
        series={
            **led(600),
            **_clients(600, 12, c1=then((1, 14), (0, 107))),
            **_missed(600, (20, 1)),
        },
        silent=(95.0, 115.0, 250.0, 500.0),
    ),
    Case(
        alert="NomadHeartbeatsStretched",
        name="more than three thousand clients share fifty heartbeats a second",
        series={**led(900), 'nomad_nomad_heartbeat_active{instance="s1"}': then((3_000, 10), (3_050, 171))},
        fires=(fires(670.0, value=61),),
        silent=(45.0, 640.0),
    ),
    Case(
        alert="NomadHeartbeatsStretched",
        name="three thousand clients, and more on a server that leads no more",
        series={
            **led(900),
            'nomad_nomad_heartbeat_active{instance="s1"}': flat(3_000, 900),
            'nomad_nomad_heartbeat_active{instance="s2"}': flat(4_000, 900),
        },
        silent=(670.0, 800.0),
    ),
    Case(
        alert="NomadClientIneligible",
        name="ineligible for more than an hour",
        interval=60.0,
        series={
            **dict.fromkeys(('up{role="client",instance="c1"}',), "1x120"),
            'nomad_client_allocations_running{instance="c1",node_id="n1",node_scheduling_eligibility="eligible"}': "3x9 _x110",
            'nomad_client_allocations_running{instance="c1",node_id="n1",node_scheduling_eligibility="ineligible"}': "_x10 2x109",
            'nomad_client_allocations_running{instance="c2",node_id="n2",node_scheduling_eligibility="eligible"}': "5x119",
        },
        fires=(fires(4_380.0, value=2, instance="c1"),),
        silent=(540.0, 4_140.0),
    ),
    Case(
        alert="NomadClientIneligible",
        name="maintenance of half an hour",
        interval=60.0,
        series={
            'nomad_client_allocations_running{instance="c1",node_id="n1",node_scheduling_eligibility="ineligible"}': "0x30 _x90",
        },
        silent=(1_500.0, 4_380.0, 6_000.0),
    ),
    Case(
        alert="NomadDrainStuck",
        name="a drain of more than an hour",
        interval=60.0,
        series={
            'outrider_nodes_draining{instance="s1",server="s1"}': "0x9 1x100",
            'outrider_nodes_draining{instance="s2",server="s2"}': "0x11 1x98",
        },
        fires=(fires(4_380.0, value=1),),
        silent=(540.0, 4_140.0),
    ),
    Case(
        alert="NomadDrainStuck",
        name="a drain of half an hour",
        interval=60.0,
        series={'outrider_nodes_draining{instance="s1",server="s1"}': "0x9 1x30 0x80"},
        silent=(1_500.0, 4_380.0, 6_000.0),
    ),
)

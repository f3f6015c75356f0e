"""Each alert over what a real Nomad and our own agent export under a fault, evaluated by promtool."""

from dataclasses import dataclass, replace

import pytest

from tests.alert_rules.nomad_series import World
from tests.alert_rules.timeline import PROOF, SHIPPED, Timeline, evaluate, settings
from tests.alert_rules.worlds import wrong
from tests.tools import find_or_explain

FAULT = 150.0
FOREVER = 1e9
BEFORE = (-600.0, "s1")
FIVE = ("s1", "s2", "s3", "s4", "s5")
PROMTOOLS, ABSENT = find_or_explain("promtool")


@dataclass(frozen=True)
class Case:
    """One fault, and what a receiver must hear of it: alert names, in the order of the alphabet."""

    name: str
    world: World
    notified: tuple[str, ...] = ()

    @property
    def expected(self) -> int:
        return len(self.world.servers)


def leaders(*changes):
    return (BEFORE, *((FAULT + after, name) for after, name in changes))


def gone(*servers, start=0.0, end=FOREVER):
    return dict.fromkeys(servers, ((FAULT + start, FAULT + end),))


CASES = (
    Case("healthy", World(seconds=300)),
    Case("leader killed, back after 15 s", World(dead=gone("s1", end=15), leaders=leaders((0, None), (4, "s2")))),
    Case("follower killed, back after 15 s", World(dead=gone("s2", end=15))),
    Case(
        "rolling restart of all three",
        World(
            dead={"s2": ((150.0, 162.0),), "s3": ((200.0, 212.0),), "s1": ((250.0, 262.0),)},
            leaders=(BEFORE, (250.0, None), (254.0, "s2")),
        ),
    ),
    Case("leadership handed over", World(leaders=leaders((0, "s2")))),
    Case(
        "slow fail-over, then the old leader comes back",
        World(paused=gone("s1", end=15), leaders=leaders((0, None), (10, "s2"))),
    ),
    Case(
        "leader dead for good",
        World(dead=gone("s1"), leaders=leaders((0, None), (4, "s2"))),
        ("NomadQuorumAtRisk",),
    ),
    Case(
        "leader dead for good, then pruned by autopilot",
        World(dead=gone("s1"), leaders=leaders((0, None), (4, "s2")), voters=((FAULT + 44, 2),)),
        ("NomadQuorumAtRisk",),
    ),
    Case(
        "one of three leaves",
        World(dead=gone("s3", start=4), left=(FAULT + 2,), voters=((FAULT + 2, 2),)),
        ("NomadQuorumAtRisk",),
    ),
    Case(
        "both followers dead, the former leader lives on and lingers",
        World(seconds=420, dead=gone("s2", "s3", end=90), leaders=leaders((0, None), (92, "s1"))),
        ("NomadQuorumLost",),
    ),
    Case(
        "leader and a follower dead",
        World(dead=gone("s1", "s2", end=90), leaders=leaders((0, None), (92, "s3"))),
        ("NomadQuorumLost",),
    ),
    Case(
        "all servers dead",
        World(dead=gone("s1", "s2", "s3"), leaders=leaders((0, None))),
        ("NomadQuorumLost",),
    ),
    Case(
        "one dead for long, then a second, then both back",
        World(
            seconds=480,
            dead={"s1": ((FAULT, FAULT + 200),), "s2": ((FAULT + 120, FAULT + 200),)},
            leaders=leaders((0, None), (4, "s2"), (120, None), (202, "s3")),
        ),
        ("NomadQuorumAtRisk", "NomadQuorumLost"),
    ),
    Case(
        "both followers paused",
        World(paused=gone("s2", "s3", end=100), leaders=leaders((0, None), (101, "s1"))),
        ("NomadQuorumLost",),
    ),
    Case("servers cut from each other", World(leaders=leaders((0, None), (100, "s2"))), ("NomadNoLeader",)),
    Case("no target at all", World(untargeted=((FAULT, FOREVER),)), ("NomadMetricsMissing",)),
    Case("two servers not scraped", World(unseen=gone("s2", "s3")), ("NomadMetricsMissing",)),
    Case("leader and a follower not scraped", World(unseen=gone("s1", "s3")), ("NomadMetricsMissing",)),
    Case("one follower not scraped, then scraped again", World(unseen=gone("s3", end=150)), ("NomadMetricsMissing",)),
    Case("nothing about Raft in the scrapes", World(blind=((FAULT, FOREVER),)), ("NomadMetricsMissing",)),
    Case("client dead", World(dead=gone("c1", end=120)), ("NomadClientDown",)),
    Case("client back after 15 s", World(dead=gone("c1", end=15))),
    Case("one of five dead", World(servers=FIVE, dead=gone("s5"), voters=((FAULT + 44, 4),)), ("NomadServerDown",)),
    Case(
        "one of five leaves", World(servers=FIVE, dead=gone("s5", start=4), left=(FAULT + 2,), voters=((FAULT + 2, 4),))
    ),
    Case("two of five dead", World(servers=FIVE, dead=gone("s4", "s5")), ("NomadQuorumAtRisk",)),
    Case(
        "five pruned to three voters, then a third lost",
        World(
            servers=FIVE,
            seconds=700,
            dead={**gone("s5"), **gone("s4", start=50), **gone("s3", start=250)},
            voters=((FAULT + 44, 4), (FAULT + 94, 3)),
        ),
        ("NomadClusterShrunk", "NomadQuorumAtRisk", "NomadServerDown"),
    ),
    Case(
        "three of five dead",
        World(servers=FIVE, dead=gone("s3", "s4", "s5"), leaders=leaders((0, None))),
        ("NomadQuorumLost",),
    ),
    Case(
        "leader changes every forty seconds",
        World(seconds=480, leaders=leaders(*((40.0 * number, f"s{number % 3 + 1}") for number in range(1, 8)))),
        ("NomadLeaderFlapping",),
    ),
    Case(
        "the only server back after 15 s",
        World(servers=("s1",), dead=gone("s1", end=15), leaders=leaders((0, None), (16, "s1"))),
    ),
    Case(
        "the only server dead",
        World(servers=("s1",), dead=gone("s1"), leaders=leaders((0, None))),
        ("NomadQuorumLost",),
    ),
    Case(
        "one of two back after 15 s",
        World(servers=("s1", "s2"), dead=gone("s2", end=15), leaders=leaders((0, None), (17, "s1"))),
    ),
    Case(
        "one of two dead",
        World(servers=("s1", "s2"), dead=gone("s2"), leaders=leaders((0, None))),
        ("NomadQuorumLost",),
    ),
)
CAUSED_LATER = {
    ("one dead for long, then a second, then both back", "NomadQuorumLost"): 120.0,
    ("five pruned to three voters, then a third lost", "NomadClusterShrunk"): 94.0,
    ("five pruned to three voters, then a third lost", "NomadQuorumAtRisk"): 250.0,
    ("leader changes every forty seconds", "NomadLeaderFlapping"): 160.0,
}
"""How long after FAULT the condition of an alert comes about, where it is not at once; the fourth election is at 160."""

pytestmark = [pytest.mark.integration, pytest.mark.skipif(not PROMTOOLS, reason=ABSENT)]


@pytest.fixture(params=PROMTOOLS, ids=str)
def promtool(request):
    return request.param


def timeline(promtool, folder, case, *, own, times=SHIPPED) -> Timeline:
    world = replace(case.world, own=own, step=times.scrape_interval_seconds, seconds=case.world.seconds)
    return evaluate(promtool, folder, world.input_series(), settings(case.expected, times))


@pytest.mark.parametrize("own", [False, True], ids=["nomad", "outrider"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_right_notifications_arrive_in_time_and_no_other(promtool, tmp_path, case, own):
    """
    A receiver hears of each fault by its promised time, and of nothing else.
    """
    onsets = {alert: FAULT + CAUSED_LATER.get((case.name, alert), 0.0) for alert in case.notified}

    course = timeline(promtool, tmp_path, case, own=own)

    assert None is wrong(case, course, onsets)


@pytest.mark.parametrize("own", [False, True], ids=["nomad", "outrider"])
@pytest.mark.parametrize(
    "name", ["both followers dead, the former leader lives on and lingers", "servers cut from each other"]
)
def test_an_outage_is_reported_in_time_at_one_second_intervals(promtool, tmp_path, name, own):
    """
    With scrapes each second, a killed quorum is known within 13 s on a Nomad and 10 s on our agent, a cut within 30 s.
    """
    [case] = [case for case in CASES if case.name == name]
    [alert] = case.notified
    limit = 30.0 if alert == "NomadNoLeader" else 10.0 if own else 13.0

    heard = timeline(
        promtool, tmp_path, replace(case, world=replace(case.world, seconds=300)), own=own, times=PROOF
    ).notified()

    assert [alert] == list(heard)
    assert heard[alert] - FAULT <= limit


def test_what_was_notified_ends_after_its_cause(promtool, tmp_path):
    """
    An alert that was notified before its cause came is still firing when the cause ends, or its end would be lost.
    """
    [case] = [case for case in CASES if case.name == "one dead for long, then a second, then both back"]

    fired = timeline(promtool, tmp_path, case, own=False)

    assert fired.last("NomadQuorumAtRisk") > fired.last("NomadQuorumLost")

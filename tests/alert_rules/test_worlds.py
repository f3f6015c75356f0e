"""What is heard of a world is held against what should be."""

from dataclasses import dataclass, field

import pytest

from tests.alert_rules.nomad_series import World
from tests.alert_rules.timeline import Timeline
from tests.alert_rules.worlds import wrong


@dataclass(frozen=True)
class Told:
    """A world of which something is heard."""

    notified: tuple = ("NomadQuorumLost",)
    name: str = "told"
    world: World = field(default_factory=World)
    expected: int = 3


def course(**spans):
    """Return a timeline in which alerts fire from one time to another."""
    moments = [5.0 * number for number in range(100)]
    return Timeline(
        {at: frozenset(a for a, (start, end) in spans.items() if start <= at <= end) for at in moments}, 5.0
    )


@pytest.mark.parametrize(
    ("spans", "problem"),
    [
        ({"NomadQuorumLost": (120.0, 200.0)}, None),
        ({}, "heard of []"),
        ({"NomadQuorumLost": (120.0, 200.0), "NomadClientDown": (300.0, 310.0)}, "heard of ['NomadClientDown', "),
        ({"NomadQuorumLost": (180.0, 300.0)}, "heard of NomadQuorumLost after 85 s, promised within 42 s"),
        ({"NomadQuorumLost": (90.0, 300.0)}, "heard of NomadQuorumLost after -5 s"),
    ],
)
def test_what_is_heard_at_the_wrong_time_or_not_at_all_is_told(spans, problem):
    """
    Another set of alerts, or a time outside the promise, is wrong.
    """
    told = wrong(Told(), course(**spans), {"NomadQuorumLost": 100.0})

    assert problem is told if problem is None else problem in told


@pytest.mark.parametrize(("end", "problem"), [(300.0, None), (240.0, "ends at 240 s, no later than its cause")])
def test_a_consequence_that_was_heard_must_outlast_its_cause(end, problem):
    """
    Alertmanager never tells the end of what is inhibited.
    """
    case = Told(("NomadQuorumAtRisk", "NomadQuorumLost"))
    spans = {"NomadQuorumAtRisk": (165.0, end), "NomadQuorumLost": (220.0, 250.0)}

    told = wrong(case, course(**spans), {"NomadQuorumAtRisk": 100.0, "NomadQuorumLost": 200.0})

    assert problem is told if problem is None else problem in told

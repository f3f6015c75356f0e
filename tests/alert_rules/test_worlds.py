"""What is heard of a world is held against what should be."""

import pytest

from tests.alert_rules.nomad_series import World
from tests.alert_rules.timeline import Timeline
from tests.alert_rules.world_cases import WorldCase
from tests.alert_rules.worlds import wrong


def told(*notified, **later):
    """Return a world of which alerts should be heard, whose conditions come about so long after 150 s."""
    return WorldCase("told", World(), notified, later)


def course(**spans):
    """Return a timeline in which alerts fire from one time to another."""
    moments = [5.0 * number for number in range(100)]
    return Timeline(
        {at: frozenset(a for a, (start, end) in spans.items() if start <= at <= end) for at in moments}, 5.0
    )


@pytest.mark.parametrize(
    ("spans", "problem"),
    [
        ({"NomadQuorumLost": (165.0, 250.0)}, None),
        ({}, "heard of []"),
        ({"NomadQuorumLost": (165.0, 250.0), "NomadClientDown": (300.0, 310.0)}, "heard of ['NomadClientDown', "),
        ({"NomadQuorumLost": (230.0, 350.0)}, "heard of NomadQuorumLost after 85 s, promised within 26 s"),
        ({"NomadQuorumLost": (140.0, 350.0)}, "heard of NomadQuorumLost after -5 s"),
    ],
)
def test_what_is_heard_at_the_wrong_time_or_not_at_all_is_told(spans, problem):
    """
    Another set of alerts, or a time outside the promise, is wrong.
    """
    said = wrong(told("NomadQuorumLost"), course(**spans))

    assert problem is said if problem is None else problem in said


@pytest.mark.parametrize(("end", "problem"), [(350.0, None), (290.0, "ends at 290 s, no later than its cause")])
def test_a_consequence_that_was_heard_must_outlast_its_cause(end, problem):
    """
    Alertmanager never tells the end of what is inhibited.
    """
    case = told("NomadQuorumAtRisk", "NomadQuorumLost", NomadQuorumLost=100.0)
    spans = {"NomadQuorumAtRisk": (195.0, end), "NomadQuorumLost": (265.0, 300.0)}

    said = wrong(case, course(**spans))

    assert problem is said if problem is None else problem in said

"""Each alert over what a real Nomad and our own agent export under a fault, evaluated by promtool."""

from dataclasses import replace
from functools import cache

import pytest

from tests.alert_rules.asking import ask
from tests.alert_rules.timeline import PROOF
from tests.alert_rules.trial import files_of
from tests.alert_rules.world_cases import FAULT, WORLDS
from tests.alert_rules.worlds import world_trials, wrong
from tests.tools import find_or_explain

PROMTOOLS, ABSENT = find_or_explain("promtool")
NAMES = [part.name for trial in world_trials(None) for part in trial.parts]
QUICK = {
    "both followers dead, the former leader lives on and lingers (nomad)": 13.0,
    "both followers dead, the former leader lives on and lingers (outrider)": 10.0,
    "servers cut from each other (nomad)": 30.0,
    "servers cut from each other (outrider)": 30.0,
}
"""What must be heard soon after the fault at intervals of a second, and within how many."""

pytestmark = [pytest.mark.integration, pytest.mark.skipif(not PROMTOOLS, reason=ABSENT), pytest.mark.timeout(600)]


@pytest.fixture(params=PROMTOOLS, ids=str)
def promtool(request):
    return request.param


@cache
def courses(promtool):
    """Return each world, and what fires in it, by its name: evaluated by the shipped rule files, in one Prometheus."""
    return courses_of(world_trials(promtool))


@cache
def quick_courses(promtool):
    """Return the same of some worlds at intervals of a second."""
    worlds = [
        replace(case, world=replace(case.world, seconds=300)) for case in WORLDS if f"{case.name} (nomad)" in QUICK
    ]
    return courses_of(world_trials(promtool, worlds, PROOF))


def courses_of(trials):
    found = {}
    for trial in trials:
        files = list(files_of(trial.settings).values())
        answers = ask(trial.promtool, files, trial.series, trial.step, trial.questions({}))
        found |= {part.name: (part.case, course) for part, course in trial.courses(answers, {})}
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_right_notifications_arrive_in_time_and_no_other(promtool, name):
    """
    A receiver hears of each fault by its promised time, and of nothing else.
    """
    case, course = courses(promtool)[name]

    assert None is wrong(case, course)


@pytest.mark.parametrize("name", QUICK)
def test_an_outage_is_reported_in_time_at_one_second_intervals(promtool, name):
    """
    With scrapes each second, a killed quorum is known within 13 s on a Nomad and 10 s on our agent, a cut within 30 s.
    """
    case, course = quick_courses(promtool)[name]

    heard = course.notified()

    assert case.notified == tuple(heard)
    assert heard[case.notified[0]] - FAULT <= QUICK[name]


def test_what_was_notified_ends_after_its_cause(promtool):
    """
    An alert that was notified before its cause came is still firing when the cause ends, or its end would be lost.
    """
    _, course = courses(promtool)["one dead for long, then a second, then both back (nomad)"]

    assert course.last("NomadQuorumAtRisk") > course.last("NomadQuorumLost")

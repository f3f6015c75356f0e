"""Each alert's cases on promtool, what a case must say, and that a wrong answer is told."""

from functools import cache

import pytest

from alert_rules.alertmanager import WATCHDOG
from alert_rules.rules import rule_set
from tests.alert_rules.asking import Question, RulesFailed, Sample, ask
from tests.alert_rules.case import Case, fires, recorded
from tests.alert_rules.collection import WORLDS, case_trials, cases
from tests.alert_rules.mutation_expressions import parse
from tests.alert_rules.mutation_graph import RuleGraph, flattened, name_of
from tests.alert_rules.prove import problem_of
from tests.alert_rules.timeline import settings
from tests.alert_rules.trial import CaseTrial, Part, files_of, trial_of
from tests.tools import find_or_explain

PROMTOOLS, ABSENT = find_or_explain("promtool")
CASES = cases()
ALERTS = [rule.alert for rule in rule_set(settings()).alerts if rule.alert != WATCHDOG]
GRAPH = RuleGraph(flattened(files_of(settings())))
DEAD = Case(
    alert="NomadClientDown",
    name="dead",
    series={'up{role="client",instance="c1"}': "1 0x20"},
    fires=(fires(70.0, value=0, instance="c1"),),
    silent=(30.0,),
)
FINE = Case(alert="NomadClientDown", name="fine", series={'up{role="client",instance="c1"}': "1x20"}, silent=(70.0,))
needs_promtool = [pytest.mark.integration, pytest.mark.skipif(not PROMTOOLS, reason=ABSENT)]


def firing(instance="c1", cluster="demo", region="global", severity="warning"):
    labels = {"alertname": "NomadClientDown", "cluster": cluster, "region": region, "severity": severity}
    return Sample(labels | {"instance": instance}, 1.0)


def with_marks(*marks):
    def mark(function):
        for each in marks:
            function = each(function)
        return function

    return mark


# On one Prometheus, for every rule is evaluated; what differs between them is found beside others.
@with_marks(*needs_promtool)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_case_alone_is_as_it_says(case):
    """
    With every rule file and nothing but its own series, a case fires and is silent when it says so, and no rule fails.
    """
    trial = CaseTrial((Part(case),))
    files = [without(case.given, content) for content in files_of(case.rules).values()]

    answers = ask(PROMTOOLS[0], files, trial.series, trial.step, trial.questions({}))

    assert None is trial.failure(answers, {})


def without(given, content):
    """Return the content of a rule file without the rules that write what is given."""
    return {
        "groups": [
            group | {"rules": [rule for rule in group["rules"] if name_of(rule) not in given]}
            for group in content["groups"]
        ]
    }


@with_marks(*needs_promtool)
@pytest.mark.parametrize("promtool", PROMTOOLS, ids=str)
@pytest.mark.parametrize("trial", case_trials(), ids=lambda trial: trial.name)
def test_a_case_beside_others_is_as_it_says(promtool, trial):
    """
    Another region and another cluster with the same names, where the opposite happens, change nothing.
    """
    assert None is problem_of(promtool, trial)


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_a_firing_and_a_silent_case(alert):
    """
    An alert is shown firing and silent over series that it reads, by cases of its own or in a modelled world.
    """
    own = [case for case in CASES if case.alert == alert]
    worlds = [world for world, names in names_in_worlds() if names & GRAPH.metrics(alert)]

    assert any(case.is_firing for case in own) or any(alert in world.notified for world in worlds)
    assert any(not case.is_firing for case in own) or any(alert not in world.notified for world in worlds)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_case_has_series_that_its_rules_read(case):
    """
    A case is silent for a reason: its alert reads what it gives.
    """
    graph = CaseTrial((Part(case),)).graph
    read = frozenset().union(*(graph.metrics(subject) for subject in case.subjects))

    assert names_in(case.series) & read or not read


def names_in(series):
    return {parse(selector).name for selector in series}


@cache
def names_in_worlds():
    """Return each modelled world with the names of its series."""
    return [(world, names_in(world.world.input_series())) for world in WORLDS]


def test_no_two_cases_have_one_name():
    """
    A failure says which case it was.
    """
    names = [str(case) for case in CASES]

    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, "asserts nothing"),
        ({"fires": (fires(5.0),), "silent": (5.0,)}, "choose one"),
        ({"alert": ""}, "recorded series alone"),
        ({"alert": "", "silent": (5.0,), "recorded": (recorded("up", 5.0, 1),)}, "recorded series alone"),
    ],
)
def test_a_case_that_says_nothing_sound_cannot_be_built(changes, problem):
    """
    A case without an assertion, or with two about one moment, is refused.
    """
    with pytest.raises(ValueError, match=problem):
        Case(**({"alert": "A", "name": "n", "series": {"up": "1"}} | changes))


@pytest.mark.parametrize("selector", ["up == 1", 'up{role=~"server"}', "rate(up[5m])"])
def test_a_selector_that_is_no_series_is_refused(selector):
    """
    What samples are given of is one series by its labels.
    """
    case = Case(alert="A", name="n", series={selector: "1"}, silent=(5.0,))

    with pytest.raises(ValueError, match="is no series"):
        case.placed()


@pytest.mark.parametrize(
    ("selector", "labels"),
    [
        (
            'up{role="server",instance="s1"}',
            'cluster="demo",instance="s1",job="nomad-server",region="global",role="server"',
        ),
        ('up{role="client",region="eu"}', 'cluster="demo",job="nomad-client",region="eu",role="client"'),
        ('up{job="prometheus"}', 'cluster="demo",job="prometheus"'),
    ],
)
def test_a_series_gets_the_labels_of_its_target(selector, labels):
    """
    Cluster, region and job are added where a series does not say them; what watches has no region.
    """
    case = Case(alert="A", name="n", series={selector: "1"}, silent=(5.0,))

    assert {f"up{{{labels}}}": "1"} == case.placed()


def test_the_prometheus_series_have_no_region():
    """
    What Prometheus says of itself has the cluster it watches, and no region.
    """
    case = Case(alert="A", name="n", series={"prometheus_build_info": "1"}, silent=(5.0,))

    assert {'prometheus_build_info{cluster="demo"}': "1"} == case.placed()


def test_a_firing_case_stands_beside_silent_ones():
    """
    The opposite happens in another region of the cluster and in another cluster.
    """
    trial = trial_of(DEAD, [DEAD, FINE])

    places = [(part.case.name, part.cluster, part.region) for part in trial.parts]
    assert [("dead", "demo", "global"), ("fine", "demo", "west"), ("fine", "other", "global")] == places


@pytest.mark.parametrize(
    ("samples", "problem"),
    [
        ([firing()], None),
        ([], "wants"),
        ([firing(severity="critical")], "wants"),
        ([firing(instance="c2")], "wants"),
        ([firing(), firing(instance="c2")], "wants no more"),
        ([firing(), firing(region="west")], "wants no more"),
        ([firing(), firing(cluster="third")], "outside every place"),
    ],
)
def test_what_fires_is_held_against_what_should(samples, problem):
    """
    A missing alert, another label, one too many, or one of no place is told.
    """
    trial = CaseTrial((Part(DEAD), Part(FINE, "demo", "west")))

    told = trial.failure([[], samples, [Sample({"cluster": "demo", "region": "global", "instance": "c1"}, 0.0)]], {})

    assert problem is told if problem is None else problem in told


def test_an_alert_in_its_silence_is_told():
    """
    What fires when a case says that it is silent is wrong.
    """
    told = CaseTrial((Part(DEAD),)).failure([[firing()], [firing()], []], {})

    assert "at 30 s" in told


@pytest.mark.parametrize(("value", "problem"), [(0.0, None), (1.0, "is not 0")])
def test_the_value_of_an_alert_is_held_against_what_it_should_be(value, problem):
    """
    The value that the description shows is part of a case.
    """
    trial = CaseTrial((Part(DEAD),))

    told = trial.failure(
        [[], [firing()], [Sample({"cluster": "demo", "region": "global", "instance": "c1"}, value)]], {}
    )

    assert problem is told if problem is None else problem in told


@pytest.mark.parametrize(
    ("wanted", "samples", "problem"),
    [
        (2.0, [2.0], None),
        (2.0, [3.0], "is not 2"),
        (2.0, [], "is not 2"),
        (None, [], None),
        (None, [2.0], "is there"),
    ],
)
def test_a_recorded_series_is_held_against_what_it_should_be(wanted, samples, problem):
    """
    A recorded series has the value a case says, or is not there.
    """
    case = Case(name="n", series={"up": "1"}, recorded=(recorded("outrider:servers_up", 5.0, wanted),))
    place = {"cluster": "demo", "region": "global"}

    told = CaseTrial((Part(case),)).failure([[Sample(place, value) for value in samples]], {})

    assert problem is told if problem is None else problem in told


@with_marks(*needs_promtool)
@pytest.mark.parametrize("promtool", PROMTOOLS, ids=str)
def test_promtool_answers_each_question(promtool):
    """
    Answers come in the order of the questions, with labels and values as they are, and empty ones.
    """
    rules = {"groups": [{"name": "g", "rules": [{"record": "double", "expr": "2 * x"}]}]}
    series = {'x{a="},\\" {",b="2"}': "1 2 NaN 1234567.25"}

    answers = ask(
        promtool, [rules], series, 5.0, [Question("double", 5.0), Question("x > 9e9", 5.0), Question("x", 15.0)]
    )

    [[doubled], [], [last]] = answers
    assert Sample({"__name__": "double", "a": '}," {', "b": "2"}, 4.0) == doubled
    assert 1234567.25 == last.value


@with_marks(*needs_promtool)
@pytest.mark.parametrize("promtool", PROMTOOLS, ids=str)
def test_a_rule_that_fails_is_named(promtool):
    """
    A rule that cannot be evaluated over the series of a case is an error with its name, not an empty answer.
    """
    rules = {"groups": [{"name": "g", "rules": [{"record": "bad", "expr": "x * on (a) y"}]}]}
    series = {'x{a="1"}': "1x3", 'y{a="1",b="1"}': "1x3", 'y{a="1",b="2"}': "1x3"}

    with pytest.raises(RulesFailed) as failed:
        ask(promtool, [rules], series, 5.0, [Question("x", 10.0)])

    assert {"bad"} == set(failed.value.errors)

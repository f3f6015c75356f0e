"""Each alert's cases on promtool, what a case must say, and that a wrong answer is told."""

from collections import defaultdict
from functools import cache

import pytest

from alert_rules.alertmanager import WATCHDOG
from alert_rules.rules import rule_set
from alert_rules.watchers import WATCHERS
from tests.alert_rules.asking import Question, RulesFailed, Sample, ask
from tests.alert_rules.case import Case, Place, fires, recorded
from tests.alert_rules.case_series import unexplained
from tests.alert_rules.collection import FOREIGN, cases, shared_trials, single_trials
from tests.alert_rules.mutation_expressions import parse
from tests.alert_rules.mutation_graph import name_of
from tests.alert_rules.timeline import settings
from tests.alert_rules.trial import CaseTrial, Part, files_of
from tests.tools import find_or_explain

PROMTOOLS, ABSENT = find_or_explain("promtool")
CASES = cases()
SHARED = shared_trials()
ALERTS = [rule.alert for rule in rule_set(settings()).alerts if rule.alert != WATCHDOG]
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


@cache
def problems(promtool, number):
    """Return what is wrong with each case of a shared trial, by its name, and under None what is of no place."""
    trial = SHARED[number]
    files = [without(trial.given, content) for content in files_of(trial.settings).values()]
    found = defaultdict(list)
    for case, problem in trial.problems(ask(promtool, files, trial.series, trial.step, trial.questions({}))):
        found[case and str(case)].append(problem)
    return found


def without(given, content):
    """Return the content of a rule file without the rules that write what is given."""
    return {
        "groups": [
            group | {"rules": [rule for rule in group["rules"] if name_of(rule) not in given]}
            for group in content["groups"]
        ]
    }


@with_marks(*needs_promtool)
@pytest.mark.timeout(600)  # the first of a trial evaluates them all
@pytest.mark.parametrize("promtool", PROMTOOLS, ids=str)
@pytest.mark.parametrize(
    ("number", "name"),
    [
        (number, name)
        for number, trial in enumerate(SHARED)
        for name in sorted({str(part.case) for part in trial.parts})
    ],
)
def test_a_case_is_as_it_says(promtool, number, name):
    """
    By the shipped rule files, beside others in other clusters and regions, a case fires and is silent when it says so.
    """
    assert [] == problems(promtool, number)[name]


@with_marks(*needs_promtool)
@pytest.mark.timeout(600)
@pytest.mark.parametrize("promtool", PROMTOOLS, ids=str)
@pytest.mark.parametrize("number", range(len(SHARED)), ids=lambda number: SHARED[number].name)
def test_nothing_fires_outside_the_named_clusters(promtool, number):
    """
    The same faults in a cluster that the settings do not name are nobody's, and no alert lacks its cluster and region.
    """
    assert [] == problems(promtool, number)[None]


def test_every_case_is_tried():
    """
    Both ways to put cases together leave none out.
    """
    for trials in (SHARED, single_trials()):
        assert {str(case) for case in CASES} == {str(part.case) for trial in trials for part in trial.parts}


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_a_firing_and_a_silent_case(alert):
    """
    An alert is shown firing and silent by cases of its own.
    """
    own = [case for case in CASES if case.alert == alert]

    assert {True, False} == {case.is_firing for case in own}


@pytest.mark.parametrize("number", range(len(SHARED)), ids=lambda number: SHARED[number].name)
def test_a_case_has_series_that_its_rules_read(number):
    """
    A case is silent for a reason: its alert reads what it gives.
    """
    trial = SHARED[number]
    blind = [
        str(part.case)
        for part in trial.parts
        for read in [frozenset().union(*(trial.graph.metrics(subject) for subject in part.case.subjects))]
        if read and not read & {parse(selector).name for selector in part.case.series}
    ]

    assert [] == blind


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
    ("selector", "placed"),
    [
        (
            'up{role="server",instance="s1"}',
            'up{cluster="demo",instance="s1",job="nomad-server",region="global",role="server"}',
        ),
        ('up{role="client",region="eu"}', 'up{cluster="demo",job="nomad-client",region="eu",role="client"}'),
        ('up{job="prometheus"}', 'up{cluster="demo",job="prometheus"}'),
        ("prometheus_build_info", 'prometheus_build_info{cluster="demo"}'),
        (
            'outrider_raft_voters{instance="s1"}',
            'outrider_raft_voters{cluster="demo",instance="s1",region="global",server="s1"}',
        ),
        (
            'outrider_raft_voters{instance="e",server="s1"}',
            'outrider_raft_voters{cluster="demo",instance="e",region="global",server="s1"}',
        ),
        ('outrider:leader{instance="s1"}', 'outrider:leader{cluster="demo",instance="s1",region="global"}'),
    ],
)
def test_a_series_gets_the_labels_of_its_target(selector, placed):
    """
    Cluster, region, job and server are added where a series does not say them; what watches has no region.
    """
    case = Case(alert="A", name="n", series={selector: "1"}, silent=(5.0,))

    assert {placed: "1"} == case.placed()


def test_a_case_is_moved_to_another_place():
    """
    Cluster and region are those of the place; of what watches, the instances have other names.
    """
    case = Case(alert="A", name="n", series={'up{role="server",instance="s1"}': "1"}, silent=(5.0,))

    assert ['up{cluster="c",instance="s1",job="nomad-server",region="r",role="server"}'] == list(
        case.placed(Place("c", "r"))
    )
    assert ['up{cluster="demo",instance="s1-2",job="nomad-server",region="global",role="server"}'] == list(
        case.placed(Place(suffix="-2"))
    )


def kinds(trial):
    """Return the places of the cases that fire, and of those that do not."""
    return [[part.place for part in trial.parts if part.case.is_firing is kind] for kind in (True, False)]


@pytest.mark.parametrize(
    "trial",
    [trial for trial in single_trials() if all(kinds(trial)) and not trial.parts[0].case.is_of_watchers],
    ids=lambda trial: trial.name,
)
def test_what_fires_stands_in_a_row_and_in_a_column_with_what_does_not(trial):
    """
    Some case that fires has a silent one in another region of its cluster, and one in its region of another cluster.
    """
    loud, quiet = kinds(trial)

    assert any(a.cluster == b.cluster and a.region != b.region for a in loud for b in quiet)
    assert any(a.cluster != b.cluster and a.region == b.region for a in loud for b in quiet)


def test_each_firing_alert_is_repeated_in_a_foreign_cluster():
    """
    Faults of a cluster that the settings do not name are among the series, once for each alert about a cluster.
    """
    repeated = [part.case.alert for trial in SHARED for part in trial.foreign]

    assert {FOREIGN} == {part.place.cluster for trial in SHARED for part in trial.foreign}
    assert set(ALERTS) - {spec.alert for spec in WATCHERS} == set(repeated)


def test_no_cause_of_an_alert_fires_unless_a_case_says_so():
    """
    What silences an alert is given as absent, so that its own rules are left out.
    """
    case = Case(alert="A", name="n", series=unexplained("NomadClientDown"), silent=(5.0,))

    assert {"NomadManyClientsDown"} == case.given


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
    trial = CaseTrial("two", (Part(DEAD), Part(FINE, Place("demo", "west"))))

    told = trial.failure([[], samples, [Sample({"cluster": "demo", "region": "global", "instance": "c1"}, 0.0)]], {})

    assert problem is told if problem is None else problem in told


def test_an_alert_in_its_silence_is_told():
    """
    What fires when a case says that it is silent is wrong.
    """
    told = CaseTrial("dead", (Part(DEAD),)).failure([[firing()], [firing()], []], {})

    assert "at 30 s" in told


@pytest.mark.parametrize(("value", "problem"), [(0.0, None), (1.0, "is not 0")])
def test_the_value_of_an_alert_is_held_against_what_it_should_be(value, problem):
    """
    The value that the description shows is part of a case.
    """
    trial = CaseTrial("dead", (Part(DEAD),))

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

    told = CaseTrial("n", (Part(case),)).failure([[Sample(place, value) for value in samples]], {})

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

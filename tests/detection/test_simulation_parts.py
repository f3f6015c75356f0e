"""The parts of the simulated detection, each alone: scrapes at a phase, notifications, verdicts."""

from dataclasses import replace
from random import Random

import pytest

from alert_rules.rules import rule_set
from tests.detection.simulation import QUICK, SLOWER, Measured, line, percentile, run_clusters
from tests.detection.simulation_faults import FAULTS, Condition, Expected, Fault, nothing
from tests.detection.simulation_heard import Alertmanager, Heard
from tests.detection.simulation_promtool import Watcher, _of_agents, _Texts, draw, firing, rule_names, settings, values
from tests.detection.simulation_runs import STEPS, Run, View
from tests.sim.cluster_world import Pace
from tests.sim.scrapes import Outcome
from tests.tools import find_or_explain

PROMTOOLS, ABSENT = find_or_explain("promtool")
OWN, NATIVE = QUICK
OK, REFUSED, HANGS = Outcome.ANSWERS, Outcome.REFUSES, Outcome.HANGS


def recording(*spans, **columns):
    """Return a run of one server; *spans* are (moments, outcome), *columns* give a series' value at a moment."""
    outcomes = [outcome for moments, outcome in spans for _ in range(moments)]
    kept = {
        name: [value(moment) if outcome is OK else None for moment, outcome in enumerate(outcomes)]
        for name, value in columns.items()
    }
    return Run("seed", {"s1": "server"}, {"s1": outcomes}, {"s1": kept}, {"s1": (0, 7)}, 0, len(outcomes))


def test_a_scrape_stands_at_its_phase():
    """
    Samples are an interval apart, from the second scrape on, with the value of their moment.
    """
    view = View(recording((3 * STEPS + 1, OK), a=str), "s1", 1)

    assert ((21, "1"), (41, "1")) == view.up()
    assert ((21, "21"), (41, "41")) == view.samples("a")


def test_a_refused_scrape_fails_at_once_and_ends_its_series():
    """
    A dead process is seen down at the next scrape, and its series end there.
    """
    view = View(recording((30, OK), (STEPS, REFUSED), (50, OK), a=str), "s1", 0)

    assert ((20, "1"), (40, "0"), (60, "1"), (80, "1")) == view.up()
    assert ((20, "20"), (40, "stale"), (60, "60"), (80, "80")) == view.samples("a")


def test_a_scrape_that_hangs_fails_when_its_time_is_over():
    """
    Until then the last good one counts, and the next scrape begins as the hung one ends.
    """
    view = View(recording((30, OK), (50, HANGS), (60, OK), a=str), "s1", 0)

    assert ((20, "1"), (60, "0"), (80, "1"), (100, "1"), (120, "1")) == view.up()
    assert ((20, "20"), (60, "stale"), (80, "80"), (100, "100"), (120, "120")) == view.samples("a")


def test_a_process_that_goes_on_in_time_answers_late():
    """
    A scrape that hangs for less than its limit brings what the process says when it goes on.
    """
    view = View(recording((30, OK), (15, HANGS), (50, OK), a=str), "s1", 0)

    assert ((20, "1"), (45, "1"), (60, "1"), (80, "1")) == view.up()
    assert "45" == view.samples("a")[1][1]


def test_a_process_killed_while_it_hangs_breaks_the_scrape_off():
    """
    The connection is closed at that moment, before the limit.
    """
    view = View(recording((30, OK), (15, HANGS), (50, REFUSED), a=str), "s1", 0)

    assert ((20, "1"), (45, "0"), (60, "0"), (80, "0")) == view.up()


def test_a_series_that_is_no_longer_exposed_ends():
    """
    A gap in one series of an answered scrape is a marker of staleness once, and nothing after it.
    """
    view = View(recording((100, OK), a=lambda moment: None if 40 <= moment < 80 else str(moment)), "s1", 0)

    assert ((20, "20"), (40, "stale"), (80, "80")) == view.samples("a")


def test_samples_are_written_with_the_gaps_between_them():
    """
    A moment has one value in promtool's notation; what lies between is left out and counted.
    """
    assert "_x2 1 _x18 stale 3" == values(20, ((22, "1"), (41, "stale"), (42, "3")))


def test_a_watcher_counts_from_its_first_evaluation():
    """
    Scrapes and the fault stand as many steps before or after an evaluation as the phases say; labels are a target's.
    """
    run = recording((60, OK), a=str, **{'outrider_b{role="x"}': str})
    watcher = Watcher(run, {"s1": 7}, 3)
    labels = 'cluster="c",region="global",role="server",instance="s1",job="nomad-server"'

    own = dict(_of_agents(watcher, "c", _Texts(), native=False))
    native = dict(_of_agents(watcher, "c", _Texts(), native=True))

    assert -0.75 == watcher.fault_seconds
    assert "_x24 27 _x19 47" == own[f"a{{{labels}}}"]
    assert f'outrider_b{{exported_role="x",{labels}}}' in own
    assert [f"up{{{labels}}}", f"a{{{labels}}}"] == list(native)


@pytest.fixture(scope="module")
def alertmanager():
    return Alertmanager(settings(3))


def evaluations(**alerts):
    """Return the alerts that fire at each of 40 evaluations; each is given its first and its last."""
    return [
        frozenset(name for name, (first, last) in alerts.items() if first <= number <= last) for number in range(40)
    ]


def test_a_notification_comes_after_the_group_has_waited(alertmanager):
    """
    An alert that fires from the third evaluation on, at 10 s, is heard 5 s later, once.
    """
    assert [Heard("NomadServerDown", 15.0, raced=False)] == alertmanager.heard(evaluations(NomadServerDown=(2, 39)))


def test_a_consequence_is_not_heard_under_its_cause(alertmanager):
    """
    What begins with its cause and ends with it stays silent.
    """
    firing_alerts = evaluations(NomadQuorumLost=(2, 20), NomadServerDown=(2, 20))

    assert ["NomadQuorumLost"] == [one.alert for one in alertmanager.heard(firing_alerts)]


def test_a_consequence_that_outlives_its_cause_is_heard_at_the_next_look(alertmanager):
    """
    Alertmanager looks again an interval of a minute after its first look.
    """
    firing_alerts = evaluations(NomadQuorumLost=(2, 10), NomadServerDown=(2, 39))

    assert Heard("NomadServerDown", 75.0, raced=False) == alertmanager.heard(firing_alerts)[1]


@pytest.mark.parametrize("cause", [(3, 20), (0, 2)], ids=["begins", "ends"])
def test_a_cause_that_changes_as_the_group_is_looked_at_is_a_race(alertmanager, cause):
    """
    A consequence whose cause begins, or ended, at the very look is heard some of the time.
    """
    heard = alertmanager.heard(evaluations(NomadQuorumLost=cause, NomadServerDown=(2, 39)))

    assert Heard("NomadServerDown", 15.0, raced=True) in heard


def test_an_alert_that_ended_before_the_look_is_not_heard(alertmanager):
    """
    One evaluation of firing ends as the group is looked at, which is a race; none after it is left.
    """
    assert [Heard("NomadServerDown", 15.0, raced=True)] == alertmanager.heard(evaluations(NomadServerDown=(2, 2)))


PROMISED = rule_set(settings(3)).alert("NomadQuorumAtRisk").promised_seconds(settings(3).times)
LIMIT, NATIVE_LIMIT = PROMISED - 20.0, PROMISED - 10.0
EXPECTED = Expected({"NomadQuorumAtRisk": Condition(elections=1)}, LIMIT, NATIVE_LIMIT)
FAULT = Fault("a fault", nothing, EXPECTED)


def measured(*times, fault=FAULT, variant=OWN, others=()):
    """Return a measurement of receivers that heard of the risk at *times*, None for nothing, each *others* as well."""
    return Measured(
        fault,
        variant,
        [([] if time is None else [Heard("NomadQuorumAtRisk", time, raced=False)]) + list(others) for time in times],
    )


def test_what_is_heard_in_time_is_right():
    """
    No problem is found where everybody hears the right thing by the limit.
    """
    assert [] == measured(5.0, LIMIT).problems()
    assert [] == measured(NATIVE_LIMIT, variant=NATIVE).problems()


def test_the_limit_is_that_of_the_series():
    """
    Native series have a limit of their own.
    """
    [said] = measured(NATIVE_LIMIT).problems()

    assert f"p95 {NATIVE_LIMIT:.1f} s is over {LIMIT:g} s" == said


def test_a_receiver_that_hears_nothing_is_counted():
    """
    Silence is named, however early all others heard.
    """
    one = measured(5.0, None, 5.0)

    assert ["nothing is heard by 1 of 3"] == one.problems()
    assert 1 / 3 == one.silent


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (Heard("NomadServerDown", 80.0, raced=False), "NomadServerDown is heard by 1 of 1"),
        (Heard("NomadServerDown", 80.0, raced=True), "NomadServerDown in a race is heard by 1 of 1"),
        (Heard("NomadServerDown", -5.0, raced=False), "NomadServerDown before the fault is heard by 1 of 1"),
    ],
)
def test_what_was_not_to_come_is_named(other, words):
    """
    Any other notification is a problem, one in a race and one before the fault too; so is any where none was to come.
    """
    assert [words] == measured(5.0, others=[other]).problems()
    assert words in measured(None, others=[other], fault=replace(FAULT, expected=None)).problems()


@pytest.mark.parametrize(
    "one", [Heard("NomadQuorumAtRisk", -5.0, raced=False), Heard("NomadQuorumAtRisk", 9.0, raced=True)]
)
def test_what_is_heard_too_early_or_by_chance_does_not_count(one):
    """
    A fault is not heard by what came before it, nor by what comes some of the time.
    """
    said = measured(None, others=[one]).problems()

    assert 2 == len(said)
    assert "nothing is heard by 1 of 1" == said[1]


def test_a_broken_promise_is_named():
    """
    What one receiver heard later than the alert promises is a problem, whatever the percentile says.
    """
    said = measured(*[5.0] * 99, 500.0).problems()

    assert 1 == len(said)
    assert said[0].startswith("NomadQuorumAtRisk takes 500.0 s and promises ")
    assert said[0].endswith(" after 1 s")


def test_the_condition_grows_with_the_pace():
    """
    Where elections are slower, what an alert states comes about later.
    """
    assert measured(500.0, variant=SLOWER[0]).problems()[-1].endswith(" after 4 s")


def test_the_limit_grows_with_elections_an_operator_chose():
    """
    With a multiplier our agent has so much longer as its elections take; a Nomad has none to choose.
    """
    slower = Pace.SLOW.election_seconds - Pace.QUICK.election_seconds

    assert [] == measured(LIMIT + slower, variant=SLOWER[0]).problems()
    assert 1 == len(measured(LIMIT + slower + 0.1, variant=SLOWER[0]).problems())
    assert 1 == len(measured(NATIVE_LIMIT + 0.1, variant=SLOWER[1]).problems())


@pytest.mark.parametrize(("percent", "value"), [(50, 5.0), (95, 10.0), (90, 9.0), (100, 10.0)])
def test_a_percentile_is_one_of_the_values(percent, value):
    """
    So many of 100 values do not exceed it.
    """
    assert value == percentile([float(number) for number in range(1, 11)], percent)


def test_a_line_says_what_is_wrong_below():
    """
    The table has a line a measurement, and a marked line a problem.
    """
    first, second = line(measured(5.0, NATIVE_LIMIT)).splitlines()

    assert f"  5.0 {NATIVE_LIMIT:5.1f} {NATIVE_LIMIT:5.1f}  NomadQuorumAtRisk" in first
    assert f"    ! p95 {NATIVE_LIMIT:.1f} s is over {LIMIT:g} s" == second


def test_every_expected_alert_is_a_rule_or_will_be():
    """
    A fault names at least one alert that the rules have.
    """
    for fault in FAULTS:
        if fault.expected is not None:
            assert set(fault.expected.alerts) & set(Alertmanager(settings(fault.size))._severities), fault.name


@pytest.mark.integration
@pytest.mark.skipif(not PROMTOOLS, reason=ABSENT)
@pytest.mark.parametrize("promtool", PROMTOOLS, ids=str)
def test_promtool_sees_what_each_watcher_would(promtool, tmp_path):
    """
    Each watcher is a cluster of its own: a client that stops answering fires for its watcher only, at its evaluations.
    """

    def run(fault_moment, outcomes):
        seed, phases = str(len(outcomes)), {"c1": tuple(range(STEPS))}
        return Run(seed, {"c1": "client"}, {"c1": outcomes}, {"c1": {}}, phases, fault_moment, len(outcomes))

    rng = Random(1)
    down = draw(run(99, [OK] * 100 + [REFUSED] * 401), rng)
    well = draw(run(99, [OK] * 500), rng)

    seen, unseen = firing(promtool, tmp_path, [down, well], settings(3), native=True)

    shipped = settings(3)
    promised = rule_set(shipped).alert("NomadClientDown").promised_seconds(shipped.times)
    first = next(number for number, alerts in enumerate(seen) if "NomadClientDown" in alerts) * 5.0
    assert down.fault_seconds < first <= down.fault_seconds + promised
    assert not any("NomadClientDown" in alerts for alerts in unseen)
    assert "nomad_raft_appliedIndex" in rule_names(3)


@pytest.mark.integration
@pytest.mark.skipif(not PROMTOOLS, reason=ABSENT)
def test_sharing_the_rules_changes_nothing(tmp_path):
    """
    What each watcher sees by the rules for all is what it sees by its own, as they are shipped.
    """
    [killed] = [fault for fault in FAULTS if fault.name == "leader and a follower killed"]
    runs, rng = run_clusters(killed, 2), Random(5)
    watchers = [draw(run, rng) for run in runs * 2]

    shared, separate = (
        firing(PROMTOOLS[0], tmp_path, watchers, settings(killed.size), native=True, shared=shared)
        for shared in (True, False)
    )

    assert any("NomadQuorumLost" in alerts for watcher in separate for alerts in watcher)
    assert separate == shared


@pytest.mark.integration
@pytest.mark.skipif(not PROMTOOLS, reason=ABSENT)
def test_the_same_draws_ask_promtool_the_same(tmp_path):
    """
    The files that promtool reads are the same bytes for the same recordings and generator.
    """
    run = recording((500, OK), nomad_raft_appliedIndex=str)
    asked = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        rng = Random(3)
        firing(PROMTOOLS[0], folder, [draw(run, rng) for _ in range(3)], settings(3), native=False)
        asked.append([(folder / name).read_bytes() for name in ("rules.yml", "test.yml")])

    assert asked[0] == asked[1]

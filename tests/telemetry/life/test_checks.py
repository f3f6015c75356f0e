"""Each kind of check passes what is right, refuses what is wrong, and says when it compared nothing."""

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest

from telemetry.catalogue import broker, client, leader, outrider, raft, runtime
from telemetry.scraped import read_exposition
from tests.telemetry.life.checks import (
    Ages,
    All,
    Always,
    Averaged,
    Beside,
    Counted,
    Equals,
    Lived,
    Logged,
    Overall,
    Reached,
    Rose,
    Timed,
)
from tests.telemetry.life.judged import judged, unseen_by_step
from tests.telemetry.life.record import StepRecord
from tests.telemetry.life.seen import STEP_OF

TERM = 'outrider_raft_term{server="s1"} 4\n'


def lived(text="", *, grown=None, step="jobs", seconds=10.0, took=None):
    """Return a life of one step and one moment, with one server `s1`."""
    scrape = read_exposition(text)
    by_key = Counter({(name, labels): amount for (name, labels), amount in (grown or {}).items()})
    record = StepRecord(
        step, ended=seconds, grown={"s1": by_key}, scrapes=[("s1", scrape)], servers=("s1",), took=took or {}
    )
    moment = SimpleNamespace(step=step, scrapes={"s1": scrape}, nodes=())
    return Lived((record,), (moment,))


def wrong(check, metric, life):
    """Return the sentences of *check*; None when it compared nothing."""
    verdicts = list(check.judge(metric, life))
    return [verdict for verdict in verdicts if verdict] if verdicts else None


@pytest.mark.parametrize(
    ("want", "off", "said"),
    [
        (4.0, 0.0, []),
        ((3.0, 5.0), 0.0, []),
        (5.0, 1.0, []),
        (5.0, 0.5, ["jobs, s1: 4, expected 4.5 to 5.5"]),
        (3.0, 0.0, ["jobs, s1: 4, expected 3"]),
    ],
)
def test_a_value_is_held_against_its_oracle(want, off, said):
    """
    It is a number or a range, and may be off by as much as is said.
    """
    assert said == wrong(Equals(lambda moment, place: want, off=off), outrider.RAFT_TERM, lived(TERM))


def test_a_series_that_is_missing_or_too_much_is_wrong():
    """
    Each label value that the oracle names must be there, and no other.
    """
    text = 'outrider_nodes{server="s1",status="ready",eligibility="eligible"} 2\n'
    check = Equals(lambda moment, place: {("down",): 1.0}, by=("status",))

    assert [
        "jobs, s1 down: nothing is there, expected 1",
        "jobs, s1 ready: 2 is there, nothing is expected",
    ] == wrong(check, outrider.NODES, lived(text))


def test_words_of_a_name_are_labels():
    """
    A metric with a word in its name is compared by it.
    """
    check = Equals(lambda moment, place: {("batch",): 1.0}, by=("word",), other=0.0)
    text = "nomad_nomad_broker_batch_unacked 1\nnomad_nomad_broker_system_unacked 0\n"

    assert [] == wrong(check, broker.SCHEDULER_UNACKED, lived(text))
    assert wrong(check, broker.SCHEDULER_UNACKED, lived(text.replace("system_unacked 0", "system_unacked 3")))


def test_bounds_hold_for_every_sample():
    """
    One sample outside is enough.
    """
    assert [] == wrong(Always(0.0, 4.0), outrider.RAFT_TERM, lived(TERM))
    assert ["jobs, s1: 4, expected 0 to 3"] == wrong(Always(0.0, 3.0), outrider.RAFT_TERM, lived(TERM))


def test_what_the_script_brought_about_must_show():
    """
    The highest or lowest scrape of the step decides; a step without the series fails.
    """
    assert [] == wrong(Reached("jobs", least=4.0), outrider.RAFT_TERM, lived(TERM))
    assert wrong(Reached("jobs", least=5.0), outrider.RAFT_TERM, lived(TERM))
    assert wrong(Reached("jobs", most=3.0), outrider.RAFT_TERM, lived(TERM))
    assert ["jobs: was not there"] == wrong(Reached("jobs", most=3.0), outrider.RAFT_TERM, lived())


def test_a_counter_is_held_against_a_count():
    """
    On all agents together, on each server, or by a label.
    """
    life = lived(grown={("nomad_raft_apply", ()): 3.0})

    assert [] == wrong(Counted(lambda whole, record: 3), raft.APPLY, life)
    assert [] == wrong(Counted(lambda whole, record: 3, each=True), raft.APPLY, life)
    assert ["jobs: 3, expected 4"] == wrong(Counted(lambda whole, record: 4), raft.APPLY, life)
    assert wrong(Counted(lambda whole, record: None), raft.APPLY, life) is None


def test_a_counter_is_held_against_the_lines_of_logs_less_others():
    """
    Each line that says it counts once, and one that takes it back does not.
    """
    grown = {("nomad_nomad_leader_establish_leadership_count", ()): 2.0}
    logs = {"s1": "acquired: 1\nacquired: 2\nnot established\n", "s2": "acquired: 3\n"}
    life = replace(lived(grown=grown), logs=logs)

    assert [] == wrong(Logged("acquired", less="not established"), leader.ESTABLISH_LEADERSHIP, life)
    assert wrong(Logged("acquired"), leader.ESTABLISH_LEADERSHIP, life)


def test_a_whole_life_is_held_against_a_range():
    """
    What grew in all of its steps counts.
    """
    life = replace(lived(grown={("nomad_raft_candidate_electSelf_count", ()): 3.0}), logs={"s1": ""})

    assert [] == wrong(Overall(lambda whole: (2.0, 3.0)), raft.CANDIDATE_ELECT_SELF, life)
    assert ["the whole life: 3, expected 4"] == wrong(Overall(lambda whole: 4.0), raft.CANDIDATE_ELECT_SELF, life)


def test_a_neighbour_is_held_against_what_the_agents_say():
    """
    Each server's value must be there, be the same, and no other be there.
    """
    scrape = read_exposition(TERM)
    moment = SimpleNamespace(step="neighbours", neighbours={"exporter": scrape})
    life, without = (Lived((), (each,)) for each in (moment, SimpleNamespace(neighbours={})))

    def said(wanted):
        return wrong(Beside(lambda moment: wanted, ("server",)), outrider.RAFT_TERM, life)

    assert [] == said({("s1",): 4.0})
    assert ["neighbours, exporter s1: 4, expected 5"] == said({("s1",): 5.0})
    assert ["neighbours, exporter s2: nothing is there, expected 4"] == said({("s1",): 4.0, ("s2",): 4.0})
    assert ["neighbours, exporter s1: 4 is there, nothing is expected"] == said({})
    assert wrong(Beside(lambda moment: {}), outrider.RAFT_TERM, without) is None


@pytest.mark.parametrize(
    ("values", "is_right"),
    [((3.0, 13.0), True), ((3.0, 3.0 + 9.5), True), ((3.0, 4.0), True), ((30.0, 13.0), False), ((3.0, 19.0), False)],
    ids=["grows", "a slow answer", "begins anew", "falls to what cannot be", "grows too fast"],
)
def test_an_age_grows_with_the_clock_or_begins_anew(values, is_right):
    """
    Between two answers it grows by the time between, no more and no less.
    """
    name = outrider.CLIENT_LAST_HEARTBEAT_SECONDS.name
    scrapes = [("c1", read_exposition(f"{name} {value}\n")) for value in values]
    record = StepRecord("quiet", scrapes=scrapes, times=[(0.0, 0.5), (10.0, 10.5)])

    assert is_right is (wrong(Ages(), outrider.CLIENT_LAST_HEARTBEAT_SECONDS, Lived((record,), ())) == [])


def test_a_counter_is_told_apart_by_a_label():
    """
    Each value of the label has its own number.
    """
    key = ("nomad_client_allocs_restart", (("job", "web"),))
    check = Counted(lambda whole, record: {"web": 2.0, "once": 0.0}, by="job")

    assert [] == wrong(check, client.ALLOCS_RESTART, lived(grown={key: 2.0}))
    assert ["jobs web: 1, expected 2"] == wrong(check, client.ALLOCS_RESTART, lived(grown={key: 1.0}))


@pytest.mark.parametrize(("milliseconds", "good"), [(4_000.0, True), (0.0, False), (300_000.0, False)])
def test_a_duration_fits_the_time_of_its_step(milliseconds, good):
    """
    Nothing takes no time, and two of a kind cannot take longer than the step.
    """
    grown = {("nomad_raft_commitTime_sum", ()): milliseconds, ("nomad_raft_commitTime_count", ()): 2.0}

    assert good is (wrong(Timed(), raft.COMMIT_TIME, lived(grown=grown)) == [])


def test_a_call_takes_no_longer_than_the_caller_waited():
    """
    The script's clock around its own calls bounds what the server measured of them.
    """
    grown = {("nomad_raft_commitTime_sum", ()): 3_000.0, ("nomad_raft_commitTime_count", ()): 2.0}

    assert [] == wrong(Timed(call="x"), raft.COMMIT_TIME, lived(grown=grown, took={"x": 4.0}))
    assert wrong(Timed(call="x"), raft.COMMIT_TIME, lived(grown=grown, took={"x": 2.0}))


def test_of_several_checks_each_must_compare_something():
    """
    One that had nothing to look at does not hide behind another.
    """
    check = All((Equals(lambda moment, place: 4.0), Counted(lambda whole, record: None)))

    assert ["Counted compared nothing"] == wrong(check, outrider.RAFT_TERM, lived(TERM))


def test_a_life_in_which_nothing_was_compared_is_wrong_altogether():
    """
    Checks cannot pass by having had nothing to look at.
    """
    found = judged(Lived((), ()))

    assert ["compared nothing"] == found[raft.APPLY]


def test_a_mean_over_scrapes_is_held_against_the_system():
    """
    By label, and only where the oracle speaks.
    """
    text = 'nomad_client_allocs_cpu_user{alloc_id="a"} 30\n'

    def of(want):
        return wrong(
            Averaged("jobs", lambda *_: {("a",): want}, ("alloc_id",), off=5.0), client.ALLOCS_CPU_USER, lived(text)
        )

    assert [] == of(26.0)
    assert ["jobs, s1 a, mean: 30, expected 5 to 15"] == of(10.0)
    assert wrong(Averaged("none", lambda *_: None, ("alloc_id",)), client.ALLOCS_CPU_USER, lived(text)) is None


def test_a_gauge_that_only_rises_is_held_against_a_count():
    """
    Its first and its last scrape of a step count; a short step is left out.
    """
    scrapes = [("s1", read_exposition(f"nomad_runtime_total_gc_runs {value}\n")) for value in (10, 12, 15)]
    record = StepRecord("jobs", scrapes=scrapes, times=[(0.0, 0.5), (10.0, 10.5), (20.0, 20.5)])
    short = StepRecord("jobs", scrapes=scrapes, times=[(0.0, 0.5), (1.0, 1.5), (2.0, 2.5)])

    assert [] == wrong(Rose(lambda step, place: (4, 6)), runtime.TOTAL_GC_RUNS, Lived((record,), ()))
    assert wrong(Rose(lambda step, place: (6, 9)), runtime.TOTAL_GC_RUNS, Lived((record,), ()))
    assert wrong(Rose(lambda step, place: (6, 9)), runtime.TOTAL_GC_RUNS, Lived((short,), ())) is None


def test_a_counter_is_held_against_the_logs():
    """
    As many lines as it grew by.
    """
    records = lived(grown={("nomad_raft_apply", ()): 2.0}).records

    assert [] == wrong(Logged("stored"), raft.APPLY, Lived(records, (), {"s1": "stored a\nstored b\nother\n"}))
    assert wrong(Logged("stored"), raft.APPLY, Lived(records, (), {"s1": "stored a\n"}))


def test_a_name_that_comes_after_its_step_or_never_is_said():
    """
    It counts from the end of its step on, whoever exported it.
    """
    first, second = StepRecord("start"), StepRecord("lease")
    first.seen = {name for name, step in STEP_OF.items() if step == "start"} - {"outrider_raft_term", "outrider_nodes"}
    second.seen = {"outrider_raft_term"}

    late = unseen_by_step(Lived((first, second), ()))

    assert "seen in lease, expected by the end of start" == late["outrider_raft_term"]
    assert "never seen, expected by the end of start" == late["outrider_nodes"]
    assert "outrider_raft_voters" not in late

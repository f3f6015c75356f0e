"""Which checks would miss three times the value is found out by judging a life that had it."""

from collections import Counter
from types import SimpleNamespace

import pytest

from telemetry.catalogue import outrider, raft
from telemetry.scraped import read_exposition
from tests.telemetry.life import tripled
from tests.telemetry.life.checks import All, Always, Counted, Equals, Lived, Reached, Timed
from tests.telemetry.life.record import StepRecord

TEXT = 'outrider_raft_term{server="s1"} 4\nnomad_raft_last_contact 1\n'
GROWN = {("nomad_raft_commitTime_count", ()): 3.0, ("nomad_raft_commitTime_sum", ()): 600.0}


def lived(text=TEXT):
    """Return a life of one step of ten seconds with one scrape, and one moment with it."""
    scrape = read_exposition(text)
    record = StepRecord("quiet", ended=10.0, grown={"s1": Counter(GROWN)}, scrapes=[("s1", scrape)], servers=("s1",))
    moment = SimpleNamespace(step="quiet", scrapes={"s1": scrape}, neighbours={}, nodes=())
    return Lived((record,), (moment,))


def found(monkeypatch, metric, check, life):
    """Return whether *check* misses a tripled value of *metric*, and whether only tripled times."""
    monkeypatch.setattr(tripled, "CHECKS", {metric: check})
    values, times = tripled.blunt(life)
    return bool(values), bool(times)


@pytest.mark.parametrize(
    ("check", "misses"),
    [
        (Equals(lambda moment, place: 4.0), False),
        (Equals(lambda moment, place: (0.0, 20.0)), True),
        (Always(0.0, 12.0), True),
        (Always(0.0, 11.0), False),
        (Reached("quiet", least=4.0), True),
        (All((Reached("quiet", least=4.0), Always(4.0, 4.0))), False),
    ],
)
def test_a_gauge_is_tripled_in_scrapes_and_moments(monkeypatch, check, misses):
    """
    What is exact notices, and what is only plausible does not; one exact check among several is enough.
    """
    assert (misses, False) == found(monkeypatch, outrider.RAFT_TERM, check, lived())


def test_nothing_becomes_something(monkeypatch):
    """
    A gauge of 0 would be its own triple: three stand in its place.
    """
    life = lived(TEXT.replace(" 4", " 0"))

    assert (False, False) == found(monkeypatch, outrider.RAFT_TERM, Always(0.0, 2.0), life)
    assert (True, False) == found(monkeypatch, outrider.RAFT_TERM, Always(0.0, 3.0), life)


@pytest.mark.parametrize(
    ("check", "wanted"),
    [
        (Counted(lambda whole, record: 3), (False, True)),
        (Counted(lambda whole, record: (1, 9)), (True, False)),
        (All((Counted(lambda whole, record: 3), Timed())), (False, True)),
        (All((Counted(lambda whole, record: 3), Timed(at_once=0))), (False, False)),
    ],
    ids=["a count", "a wide count", "a count and a wide time", "a count and a time that is wrong already"],
)
def test_the_count_and_the_time_of_a_summary_are_told_apart(monkeypatch, check, wanted):
    """
    Whoever knows how often something happened need not know how long it took.
    """
    assert wanted == found(monkeypatch, raft.COMMIT_TIME, check, lived())

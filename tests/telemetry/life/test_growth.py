"""Growth of counters over scrapes, and how checks judge what was scraped."""

import pytest

from telemetry.scraped import read_exposition
from tests.telemetry.life.growth import Growth

START = "process_start_time_seconds 100\n"


@pytest.fixture
def grown():
    """
    A function that takes scrapes one after the other and returns what each made the counter grow by.
    """

    def take(*texts):
        growth = Growth()
        found = []
        for text in texts:
            scrape = read_exposition(text)
            found.append({name: amount for (name, _), amount in growth.take("s1", scrape) if name in text})
        return [each.get("nomad_raft_apply", 0) for each in found]

    return take


def test_a_counter_grows_by_its_differences(grown):
    """
    The first scrape counts whole, as the process began at nothing.
    """
    assert [5, 2, 0] == grown(*(f"{START}nomad_raft_apply {value}\n" for value in (5, 7, 7)))


def test_a_counter_that_was_forgotten_counts_whole_again(grown):
    """
    A series that was gone in between is a new one, even if it says more than before.
    """
    assert [5, 0, 6] == grown(f"{START}nomad_raft_apply 5\n", START, f"{START}nomad_raft_apply 6\n")


def test_a_counter_that_fell_was_born_again(grown):
    """
    Between two scrapes it was forgotten, and grew by what it says since.
    """
    assert [5, 2] == grown(f"{START}nomad_raft_apply 5\n", f"{START}nomad_raft_apply 2\n")


def test_a_process_that_was_restarted_begins_at_nothing(grown):
    """
    What the new process says is all growth.
    """
    assert [5, 9] == grown(f"{START}nomad_raft_apply 5\n", "process_start_time_seconds 200\nnomad_raft_apply 9\n")


def test_gauges_and_quantiles_do_not_grow():
    """
    Of a summary its sum and count do; a gauge may be anything.
    """
    text = (
        f'{START}nomad_raft_peers 3\nnomad_raft_commitTime{{quantile="0.5"}} 4\n'
        "nomad_raft_commitTime_sum 8\nnomad_raft_commitTime_count 2\n"
    )

    found = dict(Growth().take("s1", read_exposition(text)))

    assert {("nomad_raft_commitTime_sum", ()): 8, ("nomad_raft_commitTime_count", ()): 2} == found

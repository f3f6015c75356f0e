"""Series keep their totals whatever order threads append, settle, turn and fold in."""

import pytest

from telemetry.catalogue import client, job
from telemetry.series import Counter, Histogram, Sample, named_labels


@pytest.fixture
def sample():
    return Sample("nomad_x", (), 0.0)


def total_and_count(sample):
    sample.settle()
    return sample.total, sample.count


def test_a_value_appended_between_settling_and_folding_is_kept(sample):
    """
    Folding forgets only what is in the totals already.
    """
    tally = sample.turn(1, 2.0)
    tally.values.extend([1.0, 2.0])
    sample.settle()
    tally.values.append(4.0)

    tally.fold()

    assert [4.0] == tally.values
    assert (7.0, 3) == total_and_count(sample)


def test_a_value_appended_to_a_window_that_is_over_is_kept(sample):
    """
    A thread that was held up while the window turned has its value counted all the same.
    """
    held = sample.turn(1, 2.0)
    sample.turn(2, 4.0)
    sample.turn(3, 6.0)

    held.values.append(5.0)

    assert (5.0, 1) == total_and_count(sample)


def test_windows_that_are_dropped_stay_in_the_totals(sample):
    """
    Sum and count are those since birth, however many windows have passed.
    """
    for window in range(100):
        sample.turn(window, 0.0).values.append(1.0)

    assert (100.0, 100) == total_and_count(sample)
    assert 11 == len(sample.tallies)


def test_turning_twice_to_one_window_turns_once(sample):
    """
    Two threads that find the window over share the next one.
    """
    first = sample.turn(1, 2.0)

    second = sample.turn(1, 2.0)

    assert first is second


def test_folding_keeps_the_totals(sample):
    """
    Quantiles may become estimates, sum and count never.
    """
    tally = sample.turn(1, 2.0)
    for value in range(1_000):
        tally.values.append(float(value))
        if len(tally.values) >= 100:
            sample.fold(tally)

    assert (499_500.0, 1_000) == total_and_count(sample)
    assert (1_000, 0.0, 999.0) == (tally.count, tally.low, tally.high)


def test_a_counter_is_one_line():
    """
    A counter is printed as its sum since birth.
    """
    counter = Counter("nomad_x", (("a", "b"),), 0.0)
    counter.tally.values.extend([1.0, 2.5])

    rows = counter.rows(0)

    assert (('nomad_x{a="b"} ', 3.5),) == rows


def test_labels_of_a_job_follow_those_of_the_catalogue():
    """
    Metadata comes behind the metric's own labels, name and value in turn, and is printed among them.
    """
    own = ("a-1", "web", "default", "main", "app", "", "")

    labels = dict(named_labels(client.ALLOCS_CPU_USER, (*own, "owner", "core", "tier", ""), None))

    assert {
        "alloc_id": "a-1", "job": "web", "namespace": "default", "task": "main", "task_group": "app",
        "owner": "core", "tier": "",
    } == labels  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "values"),
    [
        (client.ALLOCS_CPU_USER, ("a-1",)),
        (client.ALLOCS_CPU_USER, ("a-1", "web", "default", "main", "app", "", "", "owner")),
        (job.SUMMARY_LOST, ("web", "default", "app", "", "", "owner", "core")),
    ],
)
def test_labels_that_do_not_fit_are_an_error(metric, values):
    """
    Too few, a name without a value, and labels of a job on a metric that has none.
    """
    with pytest.raises(ValueError, match="has the labels"):
        named_labels(metric, values, None)


def test_labels_are_named_and_sorted():
    """
    Values come in the order of the catalogue; names are printed by the alphabet, with the host among them.
    """
    labels = named_labels(job.SUMMARY_LOST, ("web", "default", "app", "", "7"), "s1")

    assert (
        ("host", "s1"),
        ("job", "web"),
        ("namespace", "default"),
        ("periodic_id", "7"),
        ("task_group", "app"),
    ) == labels


def test_a_histogram_counts_by_the_first_bound_that_is_not_below():
    """
    Buckets add up, a bound belongs to its bucket, and what is above all bounds is in the last one alone.
    """
    histogram = Histogram("x", (("server", "a"),), 0.0, bounds=(0.5, 1.0, 25.0))

    for value in (0.1, 0.5, 0.75, 25.0, 1e6):
        histogram.tally.values.append(value)

    assert (
        ('x_bucket{server="a",le="0.5"} ', 2),
        ('x_bucket{server="a",le="1"} ', 3),
        ('x_bucket{server="a",le="25"} ', 4),
        ('x_bucket{server="a",le="+Inf"} ', 5),
        ('x_sum{server="a"} ', 1_000_026.35),
        ('x_count{server="a"} ', 5),
    ) == histogram.rows(0)
    assert 5 == histogram.rows(1)[-1][1], "read twice, counted once"

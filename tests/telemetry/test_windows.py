"""Windows: exact while values are few, within 1 % when they are many, and forgotten in time."""

import math
import random
import statistics

import pytest

from telemetry.windows import INTERVAL_WINDOWS, VALUES_MAX, Sketch, Tally, merged, quantiles


def sketch(index, values, fold_every=VALUES_MAX):
    made = Sketch(index)
    for value in values:
        made.values.append(value)
        made.settled = len(made.values)
        if made.settled >= fold_every:
            made.fold()
    return made


def test_few_values_give_exact_quantiles():
    """
    Below 128 values the quantiles are values that were observed.
    """
    windows = [sketch(7, [3.25, 1.125]), sketch(8, [2.5, 40.0])]

    assert (2.5, 40.0, 40.0) == quantiles(windows, 8)


def test_no_value_gives_nan():
    """
    Empty and outdated windows have no quantiles.
    """
    windows = [sketch(1, [5.0]), sketch(9, [])]

    assert all(math.isnan(value) for value in quantiles(windows, 1 + INTERVAL_WINDOWS))
    assert (5.0, 5.0, 5.0) == quantiles(windows, INTERVAL_WINDOWS)


@pytest.mark.parametrize("seed", range(10))
def test_many_values_are_estimated_within_one_percent(seed):
    """
    Whatever part of the values was folded, each quantile is within 1 % of the value at its rank.
    """
    print(f"seed={seed}")
    rng = random.Random(seed)
    lists = [[rng.lognormvariate(0, 4) for _ in range(rng.randrange(400))] for _ in range(INTERVAL_WINDOWS)]
    windows = [sketch(index, values) for index, values in enumerate(lists)]
    every = sorted(value for values in lists for value in values)

    found = quantiles(windows, INTERVAL_WINDOWS - 1)

    truth = [every[math.ceil(q * len(every)) - 1] for q in (0.5, 0.9, 0.99)]
    assert any(window.count for window in windows)
    assert pytest.approx(truth, rel=0.0101) == list(found)


def test_zero_and_negative_values_share_a_bucket():
    """
    Values without a logarithm are counted below all others and shown as the least of them.
    """
    windows = [sketch(0, [0.0, -2.0, 0.0, 10.0], fold_every=1)]

    median, _, highest = quantiles(windows, 0)

    assert -2.0 == median
    assert 10.0 == highest


def test_merging_gives_the_figures_of_all_values():
    """
    Count, sum, extremes and standard deviation are those of every value in the range, folded or not.
    """
    rng = random.Random(1)
    lists = [[rng.uniform(-5, 5) for _ in range(200)] for _ in range(3)]
    windows = [sketch(index, values) for index, values in enumerate(lists)]
    inside = lists[1] + lists[2]

    tally = merged(windows, 1, 2)

    assert (400, min(inside), max(inside)) == (tally.count, tally.low, tally.high)
    assert pytest.approx(sum(inside)) == tally.total
    assert pytest.approx(statistics.stdev(inside)) == tally.stddev
    assert merged(windows, 3, 9) is None


def test_the_deviation_of_one_value_is_zero():
    """
    A single value has no spread, and rounding never makes it negative.
    """
    one, same = Tally(0), Tally(0)

    one.work_in([0.1])
    same.work_in([0.1] * 10)

    assert 0.0 == one.stddev
    assert pytest.approx(0.0, abs=1e-8) == same.stddev

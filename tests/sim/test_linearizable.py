"""The judge of histories: what one register can explain, what none can, and what an open outcome allows."""

import math
import random

import pytest

from tests.sim.linearizable import Operation, TooHardError, violation


def wrote(value, called, returned=math.inf, key="k"):
    return Operation("c", key, True, value, called, returned)


def read(value, called, returned, key="k"):
    return Operation("c", key, False, value, called, returned)


GOOD = {
    "nothing at all": [],
    "a read of what was there first": [read("", 0, 1)],
    "one after the other": [wrote("1", 0, 1), read("1", 2, 3), wrote("2", 4, 5), read("2", 6, 7)],
    "two writes at once, either last": [wrote("1", 0, 3), wrote("2", 0, 3), read("1", 4, 5)],
    "a read within a write, before it": [wrote("1", 0, 9), read("", 2, 3), read("1", 4, 5)],
    "reads that overlap and differ": [wrote("1", 0, 9), read("1", 1, 8), read("", 2, 7)],
    "a write of unknown outcome that happened": [wrote("1", 0), read("", 1, 2), read("1", 3, 4)],
    "a write of unknown outcome that did not": [wrote("1", 0), read("", 1, 2), read("", 100, 101)],
    "one that happened long after": [wrote("1", 0), wrote("2", 1, 2), read("2", 3, 4), read("1", 5, 6)],
    "registers do not know of each other": [wrote("1", 0, 1), read("", 2, 3, key="other")],
}

BAD = {
    "a write that is lost": [wrote("1", 0, 1), read("", 2, 3)],
    "a value that nobody wrote": [wrote("1", 0, 1), read("7", 2, 3)],
    "a value from before": [wrote("1", 0, 1), wrote("2", 2, 3), read("1", 4, 5)],
    "a value that comes and goes": [wrote("1", 0), read("1", 1, 2), read("", 3, 4)],
    "a read before its write": [read("1", 0, 1), wrote("1", 2, 3)],
    "two readers that see two orders": [
        wrote("1", 0, 9),
        wrote("2", 0, 9),
        read("1", 1, 2),
        read("2", 3, 4),
        read("1", 5, 6),
    ],
    "a write of unknown outcome that happened twice": [
        wrote("1", 0),
        wrote("2", 1, 6),
        read("1", 2, 3),
        read("2", 4, 5),
        read("1", 7, 8),
    ],
    "one register of two": [
        wrote("1", 0, 1),
        read("1", 2, 3),
        wrote("1", 0, 1, key="other"),
        read("", 2, 3, key="other"),
    ],
}


@pytest.mark.parametrize("name", GOOD)
def test_what_one_register_explains_is_accepted(name):
    """There is an order."""
    assert violation(GOOD[name]) is None


@pytest.mark.parametrize("name", BAD)
def test_what_no_register_explains_is_rejected(name):
    """There is none, and the sentence names the key and every operation on it that matters."""
    found = violation(BAD[name])

    assert found.startswith("no order explains what clients saw of ")
    assert "read" in found


@pytest.mark.parametrize("seed", range(20))
def test_a_real_register_is_accepted_and_a_swap_of_two_reads_is_not(seed):
    """Operations that did take effect one after the other are explained; one value changed for an older one is not."""
    rng = random.Random(seed)
    history, value, now = [], "", 0.0
    for number in range(60):
        now += rng.uniform(0.1, 1)
        span = rng.uniform(0, 2)
        if rng.random() < 0.5:
            value = str(number)
            history.append(wrote(value, now - span, now + span if rng.random() < 0.9 else math.inf))
        else:
            history.append(read(value, now - span, now + span))
    written = [operation for operation in history if operation.writes]

    assert violation(history) is None
    history.append(wrote("end", now + 10, now + 11))
    history.append(read(written[0].value, now + 12, now + 13))
    assert (written[0].returned == math.inf) == (violation(history) is None)


def test_a_search_that_is_too_long_says_so():
    """It is no verdict."""
    history = [wrote(str(number), 0, 100) for number in range(12)] + [read("none", 101, 102)]

    with pytest.raises(TooHardError, match="13 operations, more than 50 steps"):
        violation(history, steps_max=50)

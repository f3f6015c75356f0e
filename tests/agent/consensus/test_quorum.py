"""The arithmetic of majorities."""

import pytest

from agent.consensus.quorum import failures_tolerated, has_quorum, majority, majority_index


@pytest.mark.parametrize(("voters", "expected"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (7, 4)])
def test_majority_is_more_than_half(voters, expected):
    """A majority is the least number that is more than half, so that any two share a voter."""
    assert expected == majority(voters)


@pytest.mark.parametrize(
    ("voters", "healthy", "expected"), [(1, 1, 0), (3, 3, 1), (3, 2, 0), (3, 1, 0), (5, 5, 2), (5, 4, 1), (5, 2, 0)]
)
def test_dead_voters_still_count_in_the_size(voters, healthy, expected):
    """What a group tolerates comes from its configured size, and is never negative."""
    assert expected == failures_tolerated(voters, healthy)


def test_quorum_is_told_apart_from_tolerating_nothing():
    """Two of three have a quorum, one of three has none, though both tolerate no failure."""
    assert has_quorum(3, 2)
    assert not has_quorum(3, 1)


@pytest.mark.parametrize(
    ("stored", "expected"), [([5], 5), ([5, 0], 0), ([9, 7, 3], 7), ([3, 9, 7, 1], 3), ([1, 2, 3, 4, 5], 3)]
)
def test_majority_index_is_on_a_majority(stored, expected):
    """The committed index is the highest that a majority stores, in whatever order they are given."""
    assert expected == majority_index(stored)


@pytest.mark.parametrize(("voters", "healthy"), [(0, 0), (3, 4), (3, -1)])
def test_impossible_groups_are_refused(voters, healthy):
    """No voters, more healthy than voters, or fewer than none are bugs of the caller."""
    with pytest.raises(ValueError, match="voter"):
        failures_tolerated(voters, healthy)

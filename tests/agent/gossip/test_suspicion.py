"""The arithmetic of doubt, and news that are sent often enough."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.gossip.broadcast import QUEUE_LENGTH_MAX, BroadcastQueue, sends_max
from agent.gossip.suspicion import remaining_seconds, shortest_seconds, suspicion_of
from agent.gossip.timings import LAN, WAN


@pytest.mark.parametrize(("members", "seconds"), [(1, 4.0), (3, 4.0), (10, 4.0), (100, 8.0)])
def test_the_shortest_doubt_grows_with_the_powers_of_ten(members, seconds):
    """
    Four probe intervals up to ten members, eight for a hundred.
    """
    assert shortest_seconds(LAN, members) == pytest.approx(seconds)


def test_each_confirmation_shortens_a_doubt():
    """
    Alone it lasts six times the shortest, with two further members it is the shortest.
    """
    doubt = suspicion_of(LAN, 5, "m1", 100.0)
    lasts = [doubt.deadline(4) - 100.0]
    for member in ("m2", "m3"):
        assert doubt.confirm(member)
        lasts.append(doubt.deadline(4) - 100.0)
    assert lasts == pytest.approx([24.0, 11.38, 4.0], abs=0.01)


def test_a_doubt_is_not_confirmed_twice_by_one_nor_by_more_than_needed():
    """
    Only what shortens the doubt is news.
    """
    doubt = suspicion_of(LAN, 9, "m1", 0.0)
    assert [doubt.confirm(name) for name in ("m1", "m2", "m2", "m3", "m4")] == [False, True, False, True, False]


def test_a_doubt_does_not_wait_for_more_witnesses_than_there_are():
    """
    Two that are left of five agree as soon as both doubt.
    """
    doubt = suspicion_of(WAN, 5, "m1", 0.0)
    assert doubt.deadline(1) == doubt.shortest_seconds
    doubt.confirm("m2")
    assert doubt.deadline(2) == doubt.shortest_seconds
    assert doubt.deadline(3) > doubt.shortest_seconds


@given(st.integers(0, 10), st.integers(0, 6), st.floats(0.1, 10), st.floats(1, 10))
def test_a_doubt_lasts_between_the_shortest_and_the_longest_and_shrinks(further, wanted, shortest, times):
    """
    More confirmations never lengthen it.
    """
    longest = shortest * times
    now, later = (remaining_seconds(count, wanted, shortest, longest) for count in (further, further + 1))
    assert shortest <= later <= now <= longest * (1 + 1e-9)


def test_news_are_sent_a_limited_number_of_times_and_the_newest_first():
    """
    The least sent go first, and are gone after their share.
    """
    queue = BroadcastQueue(1)
    queue.put("a", b"aaaa")
    queue.put("b", b"bb")
    assert queue.take(5, 2) == [("b", b"bb")]
    assert queue.take(5, 2) == [("a", b"aaaa")]
    assert sends_max(1, 2) == 2
    assert queue.take(100, 2) == [("b", b"bb"), ("a", b"aaaa")]
    assert queue.take(100, 2) == []


def test_newer_news_replace_older_ones_of_the_same_subject():
    """
    Nobody hears that a member is doubted after it objected.
    """
    queue = BroadcastQueue(4)
    queue.put("state:m1", b"doubt")
    queue.put("state:m1", b"alive")
    assert [payload for _, payload in queue.take(100, 3)] == [b"alive"]


def test_the_queue_of_news_is_bounded():
    """
    Above the limit the most often sent news go.
    """
    queue = BroadcastQueue(4)
    queue.put("old", b"x")
    queue.take(10, 3)
    for number in range(QUEUE_LENGTH_MAX):
        queue.put(f"new:{number}", b"x")
    assert len(queue) == QUEUE_LENGTH_MAX
    assert queue.count("old") == 0

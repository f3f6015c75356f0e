"""Deadlines of clients."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.leader.heartbeats import Heartbeats, HeartbeatSettings

NOW = 500.0
SETTINGS = HeartbeatSettings()


def heartbeats(seed=1, settings=SETTINGS):
    return Heartbeats(settings, random.Random(seed))


def test_few_clients_get_the_least_time_to_live():
    """
    The floor of 10 s holds, with jitter of up to as much again.
    """
    ttl = heartbeats().renew("a", NOW)

    assert 10.0 <= ttl <= 20.0


def test_the_time_to_live_grows_with_the_number_of_clients():
    """
    10,000 clients at 50 heartbeats a second renew every 200 s and more.
    """
    many = heartbeats()
    for number in range(9_999):
        many.renew(f"node-{number}", NOW)

    ttl = many.renew("node-9999", NOW)

    assert 200.0 <= ttl <= 400.0


def test_a_client_is_lost_a_grace_after_its_time_to_live():
    """
    Not before ttl + grace, and then once.
    """
    beats = heartbeats()
    ttl = beats.renew("a", NOW)

    assert [] == beats.expire(NOW + ttl + 9.999)
    assert ["a"] == beats.expire(NOW + ttl + 10.0)
    assert [] == beats.expire(NOW + ttl + 1000)


def test_a_renewed_client_is_not_lost_at_its_old_deadline():
    """
    The newest deadline counts.
    """
    beats = heartbeats()
    beats.renew("a", NOW)
    ttl = beats.renew("a", NOW + 15)

    assert [] == beats.expire(NOW + 15 + ttl + 9.9)
    assert NOW + 15 + ttl + 10 == beats.next_deadline()


def test_an_election_gives_every_client_the_fail_over_time():
    """
    Nobody is lost because the leader was.
    """
    beats = heartbeats()
    beats.begin(["a", "b"], NOW)

    assert [] == beats.expire(NOW + 299.9)
    assert ["a", "b"] == beats.expire(NOW + 300.0)


def test_a_forgotten_client_is_never_lost():
    """
    A client that left on purpose raises no alarm.
    """
    beats = heartbeats()
    beats.renew("a", NOW)

    beats.forget("a")

    assert [] == beats.expire(NOW + 1000)
    assert beats.next_deadline() is None


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.floats(0, 60)), max_size=60), st.integers())
def test_no_client_expires_early_and_none_is_forgotten(steps, seed):
    """
    Whatever the order of renewals, each client expires exactly a grace after its last one.
    """
    beats, now, deadlines, lost = heartbeats(seed), NOW, {}, []
    for node_id, pause in steps:
        now += pause
        expired = beats.expire(now)
        assert all(deadlines.pop(node) <= now for node in expired)
        lost.extend(expired)
        deadlines[node_id] = now + beats.renew(node_id, now) + SETTINGS.heartbeat_grace_seconds
        beats.check_invariants()

    assert sorted(deadlines) == sorted(beats.expire(now + 1000))


def test_a_rate_of_zero_is_refused():
    """
    The field and its value are named.
    """
    with pytest.raises(ValueError, match="max_heartbeats_per_second is 0"):
        HeartbeatSettings(max_heartbeats_per_second=0)

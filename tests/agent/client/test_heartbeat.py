"""When heartbeats are due."""

import random

import pytest

from agent.client.heartbeat import (
    REGISTER_RETRY_MAX_SECONDS,
    RENEW_EARLIEST,
    RENEW_LATEST,
    RETRY_MAX_SECONDS,
    after_failure,
    after_success,
    before_register,
)


@pytest.fixture
def rng():
    return random.Random(11)


def test_a_renewal_comes_before_the_time_to_live_is_over(rng):
    """
    Renewals are spread over the last part of the time to live, and never reach its end.
    """
    waits = [after_success(10.0, rng) for _ in range(500)]

    assert 10 * RENEW_EARLIEST <= min(waits) < 8.0
    assert 9.0 < max(waits) <= 10 * RENEW_LATEST < 10


def test_failures_are_retried_quickly_and_then_less_often(rng):
    """
    The first retry comes within a quarter of a second, later ones within five seconds.
    """
    assert all(0.125 <= after_failure(1, 10.0, rng) <= 0.25 for _ in range(100))
    assert all(0.5 <= after_failure(3, 10.0, rng) <= 1.0 for _ in range(100))
    assert all(after_failure(failures, 0.0, rng) <= RETRY_MAX_SECONDS for failures in range(1, 2000))


def test_little_time_left_makes_retries_quicker(rng):
    """
    With one second left there are still several tries in it.
    """
    assert all(after_failure(9, 1.0, rng) <= 0.25 for _ in range(100))


def test_registration_is_retried_within_nomads_limit(rng):
    """
    However long the servers are away, a client looks again within 15 seconds.
    """
    assert all(before_register(failures, rng) <= REGISTER_RETRY_MAX_SECONDS for failures in range(1, 2000))
    assert before_register(1, rng) <= 0.25

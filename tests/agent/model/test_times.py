"""Times as the API spells them."""

import pytest

from agent.model.times import rfc3339_nanoseconds, unix_nanoseconds

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (1_795_375_511_742_934_321, "2026-11-22T19:25:11.742934321Z"),
        (1_795_375_510 * SECOND, "2026-11-22T19:25:10Z"),
        (1_795_375_511 * SECOND + 500_000_000, "2026-11-22T19:25:11.5Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
    ],
)
def test_a_moment_is_written_as_go_writes_it_and_read_back(nanoseconds, text):
    """
    To the nanosecond, with as many decimals as it takes.
    """
    assert text == rfc3339_nanoseconds(nanoseconds)
    assert nanoseconds == unix_nanoseconds(text)


@pytest.mark.parametrize("text", ["", "0001-01-01T00:00:00Z", "soon"])
def test_no_moment_is_zero(text):
    """
    Go's zero time stands for none.
    """
    assert 0 == unix_nanoseconds(text)

"""Durations in Prometheus' spelling."""

import pytest

from telemetry.scrape.duration import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5s", 5.0), ("1m30s", 90.0), ("250ms", 0.25), ("4h", 14_400.0), ("4s400ms", 4.4), ("0s", 0.0), ("1d", 86_400.0)],
)
def test_a_duration_goes_both_ways(text, seconds):
    """
    What is read is written back in the same words.
    """
    assert seconds == parse_duration(text)
    assert text == format_duration(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "-5s", "five"])
def test_what_is_no_duration_is_refused(text):
    """
    A number without a unit is refused rather than guessed.
    """
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)

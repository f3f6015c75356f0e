import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.units import format_duration, parse_duration, parse_duration_nanoseconds, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10s", 10.0),
        ("1h30m", 5400.0),
        ("500ms", 0.5),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("-5m", -300.0),
        ("+5m", 300.0),
        ("0", 0.0),
        ("2us", 2e-6),
        ("2µs", 2e-6),
        ("3ns", 3e-9),
        ("1000000000", 1.0),
        (1_500_000_000, 1.5),
        (0, 0.0),
    ],
)
def test_durations_are_read_as_go_reads_them(text, seconds):
    """
    Go's units, signs and fractions; numbers without a unit are nanoseconds.
    """
    assert seconds == parse_duration(text)


@pytest.mark.parametrize(
    "text", ["", "s", "10 s", "1d", "h", "1h-5m", "1e3s", ".s", "-", "5S", "9" * 30 + "h", "x" * 99]
)
def test_what_is_no_duration_is_refused(text):
    """
    Anything else raises ValueError that says what to write.
    """
    with pytest.raises(ValueError, match=r"duration|longer than"):
        parse_duration(text)


def test_fractions_do_not_lose_a_nanosecond():
    """
    0.3 s is 300 million nanoseconds, not one less as in floating point.
    """
    assert 300_000_000 == parse_duration_nanoseconds("0.3s")
    assert 4_100_000_000 == parse_duration_nanoseconds("4.1s")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (10.5, "10.5s"),
        (60, "1m0s"),
        (3600, "1h0m0s"),
        (5400.25, "1h30m0.25s"),
        (0.0015, "1.5ms"),
        (0.000002, "2µs"),
        (0.0000000035, "4ns"),
        (0.999999999, "999.999999ms"),
        (-90, "-1m30s"),
    ],
)
def test_durations_are_printed_as_go_prints_them(seconds, text):
    """
    The largest unit is hours, the smallest part keeps its fraction without trailing zeros.
    """
    assert text == format_duration(seconds)


@given(st.integers(-(10**15), 10**15))
def test_what_is_printed_reads_back(nanoseconds):
    """
    Formatting and parsing are inverse, to the nanosecond for up to eleven days.
    """
    assert nanoseconds == parse_duration_nanoseconds(format_duration(nanoseconds / 1e9))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("256MB", 256_000_000),
        ("256 MiB", 268_435_456),
        ("1.5GB", 1_500_000_000),
        ("512", 512),
        ("10kb", 10_000),
        (7, 7),
        ("2G", 2 * 10**9),
    ],
)
def test_sizes_are_decimal_unless_they_say_binary(text, size):
    """
    MB is a million, MiB is 2 to the 20th; a number alone is bytes.
    """
    assert size == parse_size(text)


@pytest.mark.parametrize("text", ["", "MB", "-1MB", "1.5B", "1XB", -1, True, "9" * 80])
def test_what_is_no_size_is_refused(text):
    """
    Negative sizes, parts of a byte and unknown units raise ValueError.
    """
    with pytest.raises(ValueError, match=r"size|bytes"):
        parse_size(text)

"""Durations and sizes as Go and Nomad write them, to float seconds and int bytes and back.

Source: Go's `time.ParseDuration` and `Duration.String` for durations; github.com/dustin/go-humanize for sizes.
"""

import math
import re
from fractions import Fraction

NANOSECONDS_PER_SECOND = 1_000_000_000

# Go counts a duration in a signed 64-bit number of nanoseconds: about 292 years.
MAX_DURATION_SECONDS = (2**63 - 1) / NANOSECONDS_PER_SECOND

_UNIT_SECONDS = {
    "ns": Fraction(1, 10**9),
    "us": Fraction(1, 10**6),
    "µs": Fraction(1, 10**6),  # U+00B5, as Go prints it
    "μs": Fraction(1, 10**6),  # U+03BC, which Go reads too
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
}
_DURATION_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_INTEGER = re.compile(r"[+-]?[0-9]+")

_SIZE_BYTES = {
    "": 1,
    "b": 1,
    **{f"{letter}b": 1000**power for power, letter in enumerate("kmgtp", start=1)},
    **{letter: 1000**power for power, letter in enumerate("kmgtp", start=1)},
    **{f"{letter}ib": 1024**power for power, letter in enumerate("kmgtp", start=1)},
    **{f"{letter}i": 1024**power for power, letter in enumerate("kmgtp", start=1)},
}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)", re.IGNORECASE)


def parse_duration(text: str | float) -> float:
    """Return the seconds of a duration such as "10s", "1h30m", "1.5h", "-5m" or "0".

    A number, or a string of digits alone, is nanoseconds, as Nomad takes them. Raises ValueError with the reason,
    in words that fit after "because".
    """
    return _nanoseconds(text) / NANOSECONDS_PER_SECOND


def parse_duration_nanoseconds(text: str | float) -> int:
    """Return a duration as the whole nanoseconds that Nomad's API carries. Raises ValueError like parse_duration."""
    return _nanoseconds(text)


def _nanoseconds(text: str | float) -> int:
    """Do the parsing, in exact arithmetic, so that "0.3s" is 300000000 and not one less."""
    if isinstance(text, bool):
        raise ValueError(f"{str(text).lower()} is no duration; write one such as 30s, 5m or 1h30m")  # noqa: TRY004 - one error for the caller
    if isinstance(text, int | float):
        if not math.isfinite(text) or text != int(text):
            raise ValueError(f"{text} is no whole number of nanoseconds; write a duration such as 30s, 5m or 1h30m")
        return _bounded(int(text), str(text))
    if len(text) > 64:
        raise ValueError(f"a duration of {len(text)} characters is too long")
    if _INTEGER.fullmatch(text):
        return _bounded(int(text), text)
    sign = -1 if text.startswith("-") else 1
    rest = text.removeprefix("-") if sign < 0 else text.removeprefix("+")
    total, at = Fraction(0), 0
    for part in _DURATION_PART.finditer(rest):
        if part.start() != at:
            break
        total += Fraction(part[1].rstrip(".") if part[1].endswith(".") else part[1]) * _UNIT_SECONDS[part[2]]
        at = part.end()
    if not rest or at != len(rest):
        raise ValueError(f'"{text}" is no duration; write a number and a unit, such as 500ms, 30s, 5m or 1h30m')
    return _bounded(sign * int(total * NANOSECONDS_PER_SECOND), text)


def _bounded(nanoseconds: int, text: str) -> int:
    if abs(nanoseconds) > 2**63 - 1:
        raise ValueError(f'"{text}" is longer than 292 years')
    return nanoseconds


def format_duration(seconds: float) -> str:
    """Return *seconds* as Go prints a duration: 0s, 1.5ms, 10.5s, 1m0s, 1h0m0s."""
    nanoseconds = round(seconds * NANOSECONDS_PER_SECOND)
    if nanoseconds == 0:
        return "0s"
    sign = "-" if nanoseconds < 0 else ""
    nanoseconds = abs(nanoseconds)
    for unit, size in (("ns", 1), ("µs", 1000), ("ms", 1_000_000)):
        if nanoseconds < size * 1000:
            return f"{sign}{_decimal(nanoseconds, size)}{unit}"
    minutes, rest = divmod(nanoseconds, 60 * NANOSECONDS_PER_SECOND)
    text = f"{_decimal(rest, NANOSECONDS_PER_SECOND)}s"
    if minutes:
        hours, minutes = divmod(minutes, 60)
        text = f"{minutes}m{text}"
        if hours:
            text = f"{hours}h{text}"
    return sign + text


def _decimal(value: int, size: int) -> str:
    """Return value / size, exactly, without trailing zeros."""
    whole, rest = divmod(value, size)
    if not rest:
        return str(whole)
    return f"{whole}.{str(rest).zfill(len(str(size)) - 1).rstrip('0')}"


def parse_size(text: str | int) -> int:
    """Return the bytes of a size such as "256MB" (decimal), "256MiB" (binary), "1.5GB" or "512".

    Raises ValueError with the reason for anything else, negative sizes and fractions of a byte included.
    """
    if isinstance(text, bool):
        raise ValueError(f"{str(text).lower()} is no size; write one such as 256MB or 1GiB")  # noqa: TRY004 - one error for the caller
    if isinstance(text, int):
        if text < 0:
            raise ValueError(f"{text} is no size: it is negative")
        return text
    matched = _SIZE.fullmatch(text.strip()) if len(text) <= 64 else None
    factor = _SIZE_BYTES.get(matched[2].lower()) if matched else None
    if matched is None or factor is None:
        raise ValueError(f'"{text[:64]}" is no size; write a number and a unit, such as 512KB, 256MB or 1GiB')
    size = Fraction(matched[1]) * factor
    if size.denominator != 1:
        raise ValueError(f'"{text}" is no whole number of bytes')
    return int(size)

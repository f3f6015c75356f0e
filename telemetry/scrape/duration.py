"""Durations as Prometheus writes them ("5s", "1m", "4h"), and back; inside they are float seconds."""

import re

_PART_SECONDS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|d|h|m|s))+\Z")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|d|h|m|s)")


def parse_duration(text: str) -> float:
    """Return the seconds of *text*, such as "5s", "1m30s" or "250ms"; raise ValueError when it is not a duration."""
    if not _DURATION.match(text):
        raise ValueError(f'{text!r} is not a duration; write a number and a unit, such as "5s", "1m" or "4h"')
    return sum(float(number) * _PART_SECONDS[unit] for number, unit in _PART.findall(text))


def format_duration(seconds: float) -> str:
    """Return *seconds*, not negative, in the largest units that stay whole numbers: 90.0 becomes "1m30s".

    Prometheus knows nothing finer than a millisecond, so the rest is rounded away.
    """
    if seconds < 0:
        raise ValueError(f"a duration is not negative: {seconds}")
    left = round(seconds * 1_000)
    if left == 0:
        return "0s"
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)

"""Times as Nomad's API spells them. Pure."""

from datetime import UTC, datetime

_SECOND_NS = 1_000_000_000


def rfc3339(wall_seconds: float) -> str:
    """Return Unix seconds as RFC 3339 in UTC, to the microsecond: "2026-11-22T19:25:11.742934Z"."""
    return datetime.fromtimestamp(wall_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def rfc3339_seconds(wall_seconds: float) -> str:
    """Return Unix seconds as RFC 3339 in UTC, to the second: "2026-11-22T19:25:11Z"."""
    return datetime.fromtimestamp(wall_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc3339_nanoseconds(nanoseconds: int) -> str:
    """Return Unix *nanoseconds* as Go writes a time in UTC: as many decimals as it takes."""
    seconds, rest = divmod(nanoseconds, _SECOND_NS)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:09d}".rstrip("0").rstrip(".") + "Z"


def unix_nanoseconds(text: str) -> int:
    """Return what `rfc3339_nanoseconds` wrote as Unix nanoseconds, exactly; 0 for Go's zero time and for no time."""
    whole, _, decimals = text.removesuffix("Z").partition(".")
    try:
        moment = datetime.fromisoformat(whole).replace(tzinfo=UTC)
    except ValueError:
        return 0
    if moment.year == 1:
        return 0
    return int(moment.timestamp()) * _SECOND_NS + int(f"{decimals:0<9}"[:9])

"""Times as Nomad's API spells them. Pure."""

from datetime import UTC, datetime


def rfc3339(wall_seconds: float) -> str:
    """Return Unix seconds as RFC 3339 in UTC, to the microsecond: "2026-11-22T19:25:11.742934Z"."""
    return datetime.fromtimestamp(wall_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def rfc3339_seconds(wall_seconds: float) -> str:
    """Return Unix seconds as RFC 3339 in UTC, to the second: "2026-11-22T19:25:11Z"."""
    return datetime.fromtimestamp(wall_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""Times, sizes and ids as Nomad's command line writes them. Pure: *now* is Unix seconds. Times are shown in UTC.

Source: Nomad, command/helpers.go (prettyTimeDiff); github.com/dustin/go-humanize (IBytes).
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

NANOSECONDS = 1_000_000_000
SHORT_ID = 8
MIB = 1024 * 1024

_PERIODS = (("s", 60), ("m", 60), ("h", 24), ("d", 30), ("mo", 12), ("y", None))


def short(identifier: str) -> str:
    """Return the part of an id that is shown in lists."""
    return identifier[:SHORT_ID]


def boolean(value: object) -> str:
    """Return true or false, as Go prints them."""
    return "true" if value else "false"


def wall_time(nanoseconds: int) -> str:
    """Return Unix nanoseconds as a time of day in UTC; N/A for none."""
    if nanoseconds < NANOSECONDS:
        return "N/A"
    return datetime.fromtimestamp(nanoseconds // NANOSECONDS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stamp(text: str | None) -> str:
    """Return an RFC 3339 time to the second; N/A for none."""
    seconds = unix_seconds(text)
    return "N/A" if seconds is None else wall_time(int(seconds) * NANOSECONDS)


def unix_seconds(text: str | None) -> float | None:
    """Return an RFC 3339 time as Unix seconds; None for none, for Go's zero time and for what is no time."""
    if not text or text.startswith("0001-"):
        return None
    # Python reads at most six decimals, Go writes nine.
    whole, dot, rest = text.replace("Z", "+00:00").partition(".")
    if dot:
        digits = len(rest) - len(rest.lstrip("0123456789"))
        whole += f".{rest[:digits][:6]}{rest[digits:]}"
    try:
        return datetime.fromisoformat(whole).timestamp()
    except ValueError:
        return None


def ago(nanoseconds: int, now: float) -> str:
    """Return how long ago Unix *nanoseconds* was, or how far ahead it is, in its two largest units: "1m2s ago"."""
    if not nanoseconds:
        return ""
    difference = round(now) - round(nanoseconds / NANOSECONDS)
    return f"{_largest(abs(difference))} {'ago' if difference >= 0 else 'from now'}"


def _largest(seconds: int) -> str:
    parts: list[str] = []
    rest = seconds
    for unit, size in _PERIODS:
        value = rest if size is None else rest % size
        rest = 0 if size is None else rest // size
        if value:
            parts.insert(0, f"{value}{unit}")
    return "".join(parts[:2]) or "0s"


def mebibytes(count: int) -> str:
    """Return a number of MiB in its largest unit: 48 MiB, 1.5 GiB, 252 GiB."""
    size, unit = float(count * MIB), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    # Rounded half up to one decimal, and shown with it below 10.
    size = int(size * 10 + 0.5) / 10
    return f"{size:.1f} {unit}" if size < 10 and unit != "B" else f"{size:.0f} {unit}"


def job_type(job: Mapping[str, Any]) -> str:
    """Return the type of a job in a list, with what makes it special."""
    if job.get("Periodic"):
        return f"{job['Type']}/periodic"
    return f"{job['Type']}/parameterized" if job.get("ParameterizedJob") else str(job["Type"])


def job_status(job: Mapping[str, Any]) -> str:
    """Return the status of a job; one that was stopped says so."""
    return f"{job['Status']} (stopped)" if job.get("Stop") else str(job["Status"])

"""Series that many cases share: who leads, who answers, and what stays as it is."""

from alert_rules.inhibitions import inhibited_by
from tests.alert_rules.nomad_series import values_text

STEP_SECONDS = 5


def flat(value: float, seconds: float) -> str:
    """Return samples that stay at *value* for *seconds*, both ends included."""
    return f"{value:g}x{int(seconds / STEP_SECONDS)}"


def then(*parts: tuple[float, int]) -> str:
    """Return samples of one value after the other: (value, how many)."""
    return " ".join(f"{value:g}x{count - 1}" for value, count in parts)


def growing(each: float, seconds: float, start: float = 0.0) -> str:
    """Return a counter that grows by *each* a sample."""
    return f"{start:g}+{each:g}x{int(seconds / STEP_SECONDS)}"


def up(seconds: float, *servers: str) -> dict[str, str]:
    """Return servers that answer throughout."""
    return {f'up{{role="server",instance="{server}"}}': flat(1, seconds) for server in servers or ("s1", "s2", "s3")}


def led(seconds: float, server: str = "s1", *servers: str) -> dict[str, str]:
    """Return servers that answer and say that they have a leader, which is *server*."""
    names = servers or ("s1", "s2", "s3")
    return {
        **up(seconds, *names),
        **{f'outrider_server_has_leader{{instance="{name}",server="{name}"}}': flat(1, seconds) for name in names},
        f'outrider_server_is_leader{{instance="{server}",server="{server}"}}': flat(1, seconds),
    }


def born(selector: str, seconds: float, *births: tuple[int, float]) -> dict[str, str]:
    """Return a counter as a real Nomad exports it: set at each (sample, value), and gone 60 s after the last time."""
    samples: list[float | None] = [None] * (int(seconds / STEP_SECONDS) + 1)
    for birth, value in births:
        for number in range(birth, min(birth + 13, len(samples))):
            samples[number] = value
    return {selector: values_text(samples)}


def unexplained(alert: str) -> dict[str, str]:
    """Return the causes that would silence *alert*, none of which fires; their rules are left out."""
    return {f'ALERTS{{alertname="{cause}",alertstate="firing"}}': "_x1" for cause in inhibited_by(alert)}


EVENTS = "_x6 2x5 5x5 stale _x1 5x9 stale _x2 5x5 1 2x5 stale"
"""Eleven events of a counter: born at 30 s with 2, 3 more at 60 s; not there for 10 s, which is nothing; not there for
15 s, so that its 5 count anew at 165 s; begun again at 195 s, and one more at 200 s."""

EVENTS_IN_FINE_STEPS = "_x6 2x5 5x5 stale 5x10 stale _x2 5x5 1 2x5 stale"
"""The same; not there for 5 s, which is nothing in steps of a second."""


def climbing(*parts: tuple[int, float], start: float = 1_000.0) -> str:
    """Return a counter: (how many samples, how much more at each)."""
    values, total = [start], start
    for count, more in parts:
        for _ in range(count):
            total += more
            values.append(total)
    return " ".join(f"{value:.15g}" for value in values)


def mean_at_150(series: str, labels: str, times: float = 1.0) -> dict[str, str]:
    """
    Return sum and count of a summary whose mean over the minute before 150 s is 23.53 *times*.

    Over half of it and over two it is another, in the sum and in the count; nothing happens on the edge of the windows.
    """
    sums = climbing((6, 0.0), (12, 10.0 * times), (1, 0.0), (5, 40.0 * times), (6, 100.0 * times))
    return {
        f"{series}_sum{{{labels}}}": sums,
        f"{series}_count{{{labels}}}": climbing((6, 0.0), (12, 1.0), (1, 0.0), (5, 2.0), (6, 4.0)),
    }

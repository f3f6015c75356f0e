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

"""What a server is doing, as one number for a time line: silent, without a leader, hearing one, or leading."""

from dashboards.panel import Color

SERVER_STATES = (
    (0, "silent", Color.BAD),
    (1, "no leader", Color.CAUTION),
    (2, "follows", Color.GOOD),
    (3, "leads", Color.PLAIN),
)


def server_state(matchers: str) -> str:
    """Return PromQL with the state of each server that *matchers* pick."""
    return (
        f"3 * outrider:leader{{{matchers}}}"
        f" or on (cluster, region, instance) 2 * outrider:leader_heard{{{matchers}}}"
        # Not as it stands: it would keep its name, and be a second series of the same server.
        f" or on (cluster, region, instance) 1 * outrider:server_up{{{matchers}}}"
    )

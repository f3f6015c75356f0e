"""The pieces of PromQL that the dashboards have in common: which series are meant, and how they are averaged.

Gauges that only the leader keeps current are read from the live leader alone: on a server that lost the leadership they
stand still for a minute, and a sum would count both.
"""

from collections.abc import Callable

from alert_rules import views
from dashboards.panel import Choice, Color, Lead, Note

WHERE = 'cluster="$cluster", region="$region"'
SERVERS = f'role="server", {WHERE}'
CLIENTS = f'role="client", {WHERE}'
LED = f"and on (cluster, region, instance) outrider:leader{{{WHERE}}} == 1"
"""What keeps of a query the series of the live leader."""
PICKED = 'instance=~"$instance"'
FIRING = f'ALERTS{{alertstate="firing", severity=~"critical|warning", {WHERE}}}'

CLUSTER = Choice("cluster", "Cluster", "outrider:servers_expected", "cluster")
REGION = Choice("region", "Region", 'outrider:servers_expected{cluster="$cluster"}', "region")
SERVER = Choice("instance", "Server", f"up{{{SERVERS}}}", "instance", has_all=True)
CLIENT = Choice("instance", "Client", f"up{{{CLIENTS}}}", "instance", has_all=True)

ALERTS_NOTE = Note("Alerts", FIRING, "{{alertname}}", "{{severity}}")
LEADERS_NOTE = Note(
    "New leaders",
    # For the minute after a server took the lead, whatever led before.
    f"outrider:leader{{{WHERE}}} unless on (cluster, region, instance) outrider:leader{{{WHERE}}} offset 1m",
    "{{instance}} leads",
    "{{region}}",
    Color.PLAIN,
)
NOTES = (ALERTS_NOTE, LEADERS_NOTE)

TO_SERVER = Lead("This server", views.RAFT, ("instance",))
TO_CLIENT = Lead("This client", views.CLIENTS, ("instance",))


SHOWN_MAX = 12
"""How many clients, targets or tasks one panel draws: more cannot be told apart, and a thousand make a page slow."""

Seen = Callable[[str], str]
"""Takes a selector and returns PromQL for its values, at each moment or at the end."""

_THE_INSTANCE = "cluster, region, instance"


def foremost(expr: str, ranked: str, by: str = _THE_INSTANCE, pick: str = "topk") -> str:
    """Return PromQL that keeps of *expr* the `SHOWN_MAX` first by *ranked*, "bottomk" the last; rows are told apart *by*.

    *ranked* looks back from the end of the time that is shown (`@ end()`), so that each moment has the same ones: by
    the value of each moment there would be `SHOWN_MAX` others at each.
    """
    inner = f"({expr})" if " or " in expr else expr
    return f"{inner} and on ({by}) {pick}({SHOWN_MAX}, {ranked})"


def highest(made: Callable[[Seen], str], by: str = _THE_INSTANCE, pick: str = "topk") -> str:
    """Return PromQL that keeps of what is *made* the `SHOWN_MAX` with the highest last value, "bottomk" the lowest.

    *made* is given what to make of each selector: itself, or the last value that it had. What is gone by the end had one.
    """
    return foremost(made(_as_it_is), made(last), by, pick)


def last(selector: str) -> str:
    """Return PromQL for the last value of *selector* in the time that is shown."""
    return f"last_over_time({selector}[$__range] @ end())"


def _as_it_is(selector: str) -> str:
    return selector


SILENT_CLIENTS = foremost(
    f"outrider:client_silent{{{WHERE}}}", f"count_over_time(outrider:client_silent{{{WHERE}}}[$__range] @ end())"
)
"""The clients that were silent for the longest of the time shown, at the moments at which they were."""


def mean(series: str, matchers: str, keeping: str = "") -> str:
    """Return PromQL for the mean of what the sample *series* measured lately; nothing where nothing was measured.

    *keeping* stands behind it, such as `LED`. Sums and counts, never quantiles: those are of ten seconds, and NaN when
    they were idle.
    """
    rate = f"rate({series}_sum{{{matchers}}}[$__rate_interval]) / (rate({series}_count{{{matchers}}}[$__rate_interval]) > 0)"
    return f"{rate} {keeping}".strip()

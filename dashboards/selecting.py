"""The pieces of PromQL that the dashboards have in common: which series are meant, and how they are averaged.

Gauges that only the leader keeps current are read from the live leader alone: on a server that lost the leadership they
stand still for a minute, and a sum would count both.
"""

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


def mean(series: str, matchers: str, keeping: str = "") -> str:
    """Return PromQL for the mean of what the sample *series* measured lately; nothing where nothing was measured.

    *keeping* stands behind it, such as `LED`. Sums and counts, never quantiles: those are of ten seconds, and NaN when
    they were idle.
    """
    rate = f"rate({series}_sum{{{matchers}}}[$__rate_interval]) / (rate({series}_count{{{matchers}}}[$__rate_interval]) > 0)"
    return f"{rate} {keeping}".strip()

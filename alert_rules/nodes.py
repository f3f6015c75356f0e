"""Alerts about clients: gone alone or together, unheard by the servers, and kept from work for too long."""

from alert_rules import budget
from alert_rules.budget import Onset
from alert_rules.quorum import KEPT_SECONDS
from alert_rules.settings import Severity
from alert_rules.spec import AlertSpec, Number
from telemetry.catalogue.external import UP
from telemetry.catalogue.metric import Unit

MANY_DOWN = AlertSpec(
    alert="NomadManyClientsDown",
    expr="""
    outrider:clients_down
    and outrider:clients_down >= $clients
    and outrider:clients_down / outrider:clients_targeted >= $share
    """,
    onset=budget.GONE,
    hold_seconds=20.0,
    hold_why="Longer than a restart of many agents at once, for a new configuration.",
    keep_firing_seconds=KEPT_SECONDS,
    numbers=(
        Number(
            name="clients",
            default=2.0,
            unit=Unit.COUNT,
            least=1.0,
            why="One client that is gone is NomadClientDown, however few there are.",
        ),
        Number(
            name="share",
            default=0.2,
            unit=Unit.RATIO,
            least=0.01,
            most=1.0,
            why="HashiCorp advises to keep a fifth of the capacity free: what more takes away has no place to go.",
        ),
    ),
    severity=Severity.CRITICAL,
    summary="Many clients of Nomad cluster {{ $labels.cluster }} are down at once in region {{ $labels.region }}.",
    description="""
    {{ $value }} clients, at least $share of all, give no answer. They fell together, so look for what they share: a
    rack, a network, an update. What ran on them is started elsewhere as far as there is room.
    """,
)

CLIENT_DOWN = AlertSpec(
    alert="NomadClientDown",
    expr='up{role="client"} == 0',
    onset=budget.GONE,
    hold_seconds=25.0,
    hold_why="Longer than a restart of 15 s is seen. With it the warning arrives no later than 20 s after the servers"
    " call the client down (10 to 20 s to live, 10 s of grace).",
    keep_firing_seconds=KEPT_SECONDS,
    severity=Severity.WARNING,
    unit=UP.unit,
    summary="Nomad client {{ $labels.instance }} of cluster {{ $labels.cluster }} is down.",
    description="""
    Prometheus gets no answer from this client in region {{ $labels.region }} (up is {{ $value }}). The servers
    reschedule its work once its heartbeat is missed; tasks on it may still run if only the agent died.
    """,
)

HEARTBEATS_MISSED = AlertSpec(
    alert="NomadHeartbeatsMissed",
    # More were missed than Prometheus misses: those have NomadClientDown. After restarts, which nobody missed, that says
    # less than it should: then those count that answer scrapes and are not heard, for longer than a restart takes.
    expr="""
    outrider:heartbeats_missed - outrider:clients_gone > 0
    or
    (
      min_over_time(outrider:clients_unheard[$restart]) > 0
      and outrider:heartbeats_missed > 0
    )
    """,
    onset=Onset(scrapes=1.2),
    hold_seconds=0.0,
    hold_why="The servers have waited long enough, and the scrapes of a client that was killed fail long before.",
    severity=Severity.WARNING,
    summary="Servers of Nomad cluster {{ $labels.cluster }} miss heartbeats of clients that run, in region {{ $labels.region }}.",
    description="""
    {{ $value }} clients missed their heartbeat within $recent and were called down, although Prometheus
    reaches them or does not scrape them. They are cut from the servers, or stand still; their work is started elsewhere
    while it still runs there.
    """,
)

HEARTBEATS_STRETCHED = AlertSpec(
    alert="NomadHeartbeatsStretched",
    expr="outrider:heartbeats_active / $rate > $limit",
    onset=budget.SCRAPE,
    hold_seconds=600.0,
    hold_why="A size of the cluster, not an event.",
    hold_is_stated=True,
    numbers=(
        Number(
            name="rate",
            default=50.0,
            unit=Unit.COUNT,
            least=1.0,
            why="The servers' max_heartbeats_per_second; set it to yours.",
        ),
        Number(
            name="limit",
            default=60.0,
            unit=Unit.SECONDS,
            least=10.0,
            why="A lost client goes unnoticed for one to two times as long, and ten seconds of grace.",
        ),
    ),
    severity=Severity.WARNING,
    summary="Heartbeats of Nomad cluster {{ $labels.cluster }} are stretched by their rate limit in region {{ $labels.region }}.",
    description="""
    So many clients share $rate heartbeats a second that each has {{ $value | printf "%.0f" }} s and more to live (limit
    $limit, for longer than $hold). Lost clients are noticed that much later: raise max_heartbeats_per_second.
    """,
)

INELIGIBLE = AlertSpec(
    alert="NomadClientIneligible",
    # The value says how much runs there: a drain that does not come to its end, where it is not 0.
    expr="""
    max by (cluster, region, instance) (
      nomad_client_allocations_running{node_scheduling_eligibility="ineligible"}
    )
    """,
    onset=budget.SCRAPE,
    hold_seconds=3_600.0,
    hold_why="Maintenance takes an hour; what takes longer may be forgotten.",
    hold_is_stated=True,
    keep_firing_seconds=KEPT_SECONDS,
    severity=Severity.WARNING,
    summary="Nomad client {{ $labels.instance }} of cluster {{ $labels.cluster }} has taken no new work for long.",
    description="""
    It is ineligible or drains for longer than $hold, in region {{ $labels.region }}; {{ $value }} allocations run on it.
    The cluster lacks its capacity: make it eligible again, or remove it.
    """,
)

DRAIN_STUCK = AlertSpec(
    alert="NomadDrainStuck",
    expr="outrider:nodes_draining > 0",
    onset=budget.SCRAPE,
    hold_seconds=3_600.0,
    hold_why="Nomad's own deadline of a drain is an hour.",
    hold_is_stated=True,
    severity=Severity.WARNING,
    summary="A drain in Nomad cluster {{ $labels.cluster }} does not come to its end in region {{ $labels.region }}.",
    description="""
    {{ $value }} clients have been draining for longer than $hold. What is left on them has no place to go, or its
    group's migrate block lets too few go at once.
    """,
)

NODES = (MANY_DOWN, CLIENT_DOWN, HEARTBEATS_MISSED, HEARTBEATS_STRETCHED, DRAIN_STUCK, INELIGIBLE)

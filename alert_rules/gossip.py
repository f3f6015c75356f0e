"""Alerts about the servers' gossip: who is called failed, comes and goes, and whether all have the same list."""

from alert_rules import budget
from alert_rules.budget import Onset
from alert_rules.quorum import KEPT_SECONDS
from alert_rules.recording import events
from alert_rules.settings import Severity
from alert_rules.spec import AlertSpec, Context, Number
from telemetry.catalogue.metric import Unit

LISTS_SECONDS = 120.0
"""How long a real Nomad was seen to take until a server counts its list of members anew."""


def _lists_number(why: str) -> Number:
    return Number(
        name="lists", default=180.0, unit=Unit.SECONDS, least=LISTS_SECONDS, most=600.0, is_window=True, why=why
    )


FLAPPING = AlertSpec(
    alert="NomadMemberFlapping",
    # By the account of the second of those that saw most: one whose own packets are lost sees all others come and go.
    # Members that come back at one time are one: a server that was cut off, once, sees all others flap. More often than
    # Prometheus missed a server: a restart that gossip notices is no flapping. And unless a server was unhealthy without
    # a break for longer than a member that flaps is gone: one that nobody can reach, but whom all hear, calls all others
    # failed again and again.
    expr="(min by (cluster, region) (topk by (cluster, region) (2,"
    + events(
        "nomad_serf_member_flap", "$events", "cluster, region, instance", aggregate="max", as_moments=True
    ).rstrip()
    + "\n    or 0 * outrider:server_up))\n    - outrider:servers_gone) >= $flaps\n"
    "    unless on (cluster, region) min_over_time(max_over_time(outrider:autopilot_healthy[$gone])[$events:$scrape]) == 0",
    onset=budget.EVENT,
    hold_seconds=60.0,
    hold_why="The count is patience enough, but what explains it takes longer to show: a server that is gone for good.",
    keep_firing_seconds=KEPT_SECONDS,
    counts_events=True,
    numbers=(
        Number(
            name="flaps",
            default=3.0,
            unit=Unit.COUNT,
            least=1.0,
            why="A restart or a pause between two scrapes is missed by nobody but gossip, and flaps once.",
        ),
        Number(
            name="gone",
            default=60.0,
            unit=Unit.SECONDS,
            least=30.0,
            most=300.0,
            is_window=True,
            why="Serf calls it a flap when a member is back within 60 s of its failure.",
        ),
    ),
    severity=Severity.WARNING,
    summary="Servers of Nomad cluster {{ $labels.cluster }} keep failing and coming back in region {{ $labels.region }}.",
    description="""
    {{ $value | printf "%.0f" }} times within $events two servers saw members that were back soon after they had been
    called failed, and answered scrapes all the while. A host stands still now and then, or packets of UDP between the
    servers are lost.
    """,
)

FAILED = AlertSpec(
    alert="NomadMemberFailed",
    # While all servers answer: a server that is gone has an alert of its own. While autopilot calls all healthy and
    # counts all of them: one that it does not, or that it removed, has an alert, too. And while one is still on a list of
    # the dead: one that was restarted without leaving was called failed, and is no more.
    expr=events("nomad_serf_member_failed", "$events", aggregate="max").rstrip()
    + """ > 0
    and on (cluster, region)
      max by (cluster, region) (last_over_time(nomad_memberlist_node_instances{node_state="dead"}[$lists])) > 0
    and outrider:servers_up >= outrider:servers_expected
    unless on (cluster, region) outrider:autopilot_healthy == 0
    unless on (cluster, region) outrider:failure_tolerance < outrider:servers_expected - outrider:servers_quorum
    """,
    onset=budget.EVENT.plus(seconds=LISTS_SECONDS),
    hold_seconds=150.0,
    hold_why="Longer than a dead server takes to be noticed, and than a list may say that one is dead that was restarted.",
    keep_firing_seconds=KEPT_SECONDS,
    counts_events=True,
    numbers=(
        _lists_number("Each server refreshes its list once a minute at best, was seen to take two, and forgets it."),
    ),
    severity=Severity.WARNING,
    summary="A server of Nomad cluster {{ $labels.cluster }} that answers is called failed in region {{ $labels.region }}.",
    description="""
    {{ $value | printf "%.0f" }} failures within $events by the account of one server, while Prometheus reaches all of
    them. Gossip (port 4648, TCP and UDP) does not pass between them: autopilot will remove the one that is called failed.
    """,
)


def _lists(context: Context) -> Onset:
    return budget.over(context.numbers["lists"])


DISAGREE = AlertSpec(
    alert="NomadMembersDisagree",
    expr="""
    max by (cluster, region) (max_over_time(nomad_memberlist_node_instances{node_state="alive"}[$lists]))
    - min by (cluster, region) (max_over_time(nomad_memberlist_node_instances{node_state="alive"}[$lists]))
    > 0
    """,
    onset=_lists,
    hold_seconds=600.0,
    hold_why="The lists are up to two minutes old, and changes take rounds.",
    hold_is_stated=True,
    numbers=(
        _lists_number(
            "Each server refreshes its list once a minute at best, was seen to take two, and forgets it in between."
        ),
    ),
    keep_firing_seconds=KEPT_SECONDS,
    severity=Severity.WARNING,
    summary="Servers of Nomad cluster {{ $labels.cluster }} disagree on who is alive in region {{ $labels.region }}.",
    description="""
    For longer than $hold the longest list of live members has been {{ $value }} longer than the shortest. Gossip is split:
    compare `nomad server members` of each server, and look at port 4648 between those that differ.
    """,
)

GOSSIP = (FLAPPING, FAILED, DISAGREE)
"""Causes before what they bring about."""

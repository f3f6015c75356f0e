"""Alerts about leadership and quorum: the reasons for which work is lost.

Each stands on what a real Nomad exports alone; the recording rules prefer what our own agent or exporter says where
it is there. The expected size comes from the settings: whatever is measured shrinks with the losses.
"""

from alert_rules import budget
from alert_rules.budget import Onset
from alert_rules.settings import Severity
from alert_rules.spec import AlertSpec, Context, Number
from telemetry.catalogue.external import UP
from telemetry.catalogue.metric import Unit

_SMALL = 2
"""Clusters of one or two servers lose their quorum with each restart."""

KEPT_SECONDS = 10.0
"""How long a consequence outlasts its cause, so that its end is not swallowed with the cause's."""


def _outage(context: Context) -> Onset:
    """Return what the loss of the quorum waits for; in a small cluster also for a restart to be over."""
    if context.settings.smallest_region > _SMALL:
        return budget.OUTAGE
    return budget.OUTAGE.plus(seconds=budget.restart_seconds(context.times))


def _leaderless(context: Context) -> Onset:
    """Return what the loss of the leader waits for where only counters tell it."""
    if context.settings.smallest_region > _SMALL:
        return budget.FROZEN.plus(seconds=context.numbers["patience"])
    return budget.FROZEN.plus(seconds=budget.restart_seconds(context.times))


QUORUM_LOST = AlertSpec(
    alert="NomadQuorumLost",
    # Fewer answer than the majority, and none of those that answer proves a leader: while one does, it is the scrapes
    # that fail. The third line keeps a region whose targets vanished for NomadMetricsMissing, the fourth one whose
    # clients still reach servers that Prometheus does not. In a cluster of one or two any restart loses the quorum.
    expr="""
    outrider:servers_up < outrider:servers_quorum
    and outrider:leader_signals == 0
    and on (cluster, region) outrider:server_up
    unless (outrider:servers_up == 0 and outrider:clients_connected > 0)
    and (
        outrider:servers_expected > 2
      or
        max_over_time(outrider:servers_up[$restart]) < outrider:servers_quorum
    )
    """,
    onset=_outage,
    hold_seconds=5.0,
    hold_why="Two evaluations, so that one scrape that fails everywhere at once pages nobody.",
    # Over the minute in which a former leader's series linger, so that no consequence shows when this one ends.
    keep_firing_seconds=budget.LINGER_SECONDS,
    severity=Severity.CRITICAL,
    summary="Nomad cluster {{ $labels.cluster }} has lost its quorum in region {{ $labels.region }}.",
    description="""
    Servers that answer: {{ $value }}. That is no majority, and none of them hears a leader. Running tasks go on;
    nothing is scheduled, no lost client is noticed and every write fails until a majority is back.
    """,
)

NO_LEADER = AlertSpec(
    alert="NomadNoLeader",
    # Whatever `up` says. Servers that export nothing about Raft are left to NomadMetricsMissing. Servers that say
    # themselves how long they have had no leader need less patience: theirs is no counter that may stand still.
    expr="""
    outrider:leader_signals == 0
    and on (cluster, region) outrider:server_up
    unless (outrider:servers_blind > 0 and outrider:servers_blind == outrider:servers_up)
    unless (outrider:servers_up == 0 and outrider:clients_connected > 0)
    and (
        (outrider:leaderless_seconds >= $contact and outrider:servers_expected > 2)
      or
        (max_over_time(outrider:leader_signals[$patience]) == 0 and outrider:servers_expected > 2)
      or
        max_over_time(outrider:leader_signals[$restart]) == 0
    )
    """,
    onset=_leaderless,
    hold_seconds=5.0,
    hold_why="Two evaluations. With `patience` it is longer than a fail-over, which takes a real Nomad 2 to 4 s.",
    numbers=(
        Number(
            name="contact",
            default=4.0,
            unit=Unit.SECONDS,
            least=1.0,
            most=60.0,
            why="Where servers say how long they have been without a leader: with the hold and two evaluations no"
            " fail-over of up to 8 s is notified, twice what the slowest measured took.",
        ),
        Number(
            name="patience",
            default=12.0,
            unit=Unit.SECONDS,
            least=5.0,
            most=60.0,
            is_window=True,
            why="Where only counters tell: how long none may have been seen to grow. A fail-over on a busy real Nomad"
            " took 4 s, one with lost votes may take 10 s.",
        ),
    ),
    severity=Severity.CRITICAL,
    keep_firing_seconds=KEPT_SECONDS,
    summary="Nomad cluster {{ $labels.cluster }} has no leader in region {{ $labels.region }}.",
    description="""
    {{ $value }} servers prove a live leader, for longer than any fail-over takes. Servers may all answer: they are
    cut from each other, paused, or their disks hang. Nothing is scheduled and every write fails.
    """,
)

TWO_LEADERS = AlertSpec(
    alert="NomadTwoLeaders",
    # A deposed leader steps down within its lease; its counters look alive for two scrapes more.
    expr="count by (cluster, region) (outrider:leader) > 1",
    onset=budget.SCRAPE,
    hold_seconds=20.0,
    hold_why="Longer than a deposed leader's counters look alive beside its successor's: two scrapes and a lease.",
    severity=Severity.CRITICAL,
    summary="Two servers of Nomad cluster {{ $labels.cluster }} lead at once in region {{ $labels.region }}.",
    description="""
    {{ $value }} servers work as leaders, for longer than any fail-over takes. Either two clusters were bootstrapped
    where one was meant, or a leader cannot be deposed: both sides take writes, and one of them will lose its own.
    """,
)

AT_RISK = AlertSpec(
    alert="NomadQuorumAtRisk",
    # First the live leader's own count, which knows of servers that answer scrapes and not each other, and of a
    # cluster that autopilot shrank. Without it, how many answer.
    # Restarts that follow each other count one by one: the wait begins anew when a server is missed as another is just
    # back. One that comes and goes by itself is no such turn, nor is one whose process ran on: its scrape failed. For
    # two such scrapes in a row fewer than the majority may answer and the wait goes on.
    # One and two servers can never lose one, so they are never "at risk".
    expr="""
    outrider:servers_up
    and outrider:servers_expected > 2
    and on (cluster, region) outrider:server_up
    and (
        outrider:failure_tolerance == 0
      or
        (
        outrider:servers_up <= outrider:servers_quorum
        and max_over_time(outrider:servers_up[$bridge]) >= outrider:servers_quorum
        unless outrider:failure_tolerance > 0
      )
    )
    unless on (cluster, region) (
      (outrider:server_up == 0 and max_over_time(outrider:server_up[$turn]) == 1)
      and on (cluster, region)
      (
        outrider:server_up == 1 and min_over_time(outrider:server_up[$window]) == 0
        unless on (cluster, region, instance) changes(process_start_time_seconds{role="server"}[$mean]) == 0
      )
    )
    """,
    onset=budget.JUDGED,
    hold_seconds=40.0,
    hold_why="Longer than a restart, and than the 20 to 33 s for which a server that left and came back has no vote.",
    keep_firing_seconds=KEPT_SECONDS,
    severity=Severity.WARNING,
    summary="Nomad cluster {{ $labels.cluster }} cannot lose another server in region {{ $labels.region }}.",
    description="""
    Servers that answer: {{ $value }}. With one less there is no majority: no leader, no scheduling, no writes.
    Bring a server back, or lower expected_servers if one was removed on purpose.
    """,
)

SHRUNK = AlertSpec(
    alert="NomadClusterShrunk",
    # Autopilot removes the dead, so that the cluster calls itself healthy with a smaller majority: two of five may
    # then go on alone, and the other three, should they come back as they were, may believe the same.
    expr="""
    outrider:voters_quorum < outrider:servers_quorum
    and outrider:servers_expected > 2
    and outrider:voters_quorum > 0
    """,
    onset=Onset(scrapes=1, seconds=budget.AUTOPILOT_SECONDS),
    hold_seconds=75.0,
    hold_why="Longer than NomadMetricsMissing takes: servers that are not scraped look as if they were removed.",
    keep_firing_seconds=KEPT_SECONDS,
    severity=Severity.WARNING,
    summary="Nomad cluster {{ $labels.cluster }} has shrunk below its expected size in region {{ $labels.region }}.",
    description="""
    Its majority is now {{ $value }} servers, fewer than the expected size needs: autopilot removed servers that were
    dead. It calls itself healthy and tolerates fewer losses than it was built for. Bring servers back, or lower
    expected_servers if they were removed on purpose.
    """,
)

SERVER_DOWN = AlertSpec(
    alert="NomadServerDown",
    # A server that said goodbye is no loss; when it is missed, NomadQuorumAtRisk says so.
    expr="""
    up{role="server"} == 0
    unless on (cluster, region, instance) outrider:server_left
    """,
    onset=budget.GONE,
    hold_seconds=130.0,
    hold_why="Longer than NomadQuorumAtRisk takes, and than autopilot takes to remove dead servers (44 s) and"
    " NomadClusterShrunk to say so.",
    keep_firing_seconds=KEPT_SECONDS,
    severity=Severity.WARNING,
    unit=UP.unit,
    summary="Nomad server {{ $labels.instance }} of cluster {{ $labels.cluster }} is down.",
    description="""
    Prometheus gets no answer from this server in region {{ $labels.region }} (up is {{ $value }}). The others
    still form a majority; bring it back before another one fails.
    """,
)

SERVER_UNHEALTHY = AlertSpec(
    alert="NomadServerUnhealthy",
    # All servers answer, and the leader tolerates fewer losses than so many voters would: one of them has no vote or
    # is not healthy. Or autopilot itself says so.
    expr="""
    outrider:failure_tolerance
    and outrider:servers_expected > 1
    and (
        outrider:autopilot_healthy == 0
      or
        (
          outrider:servers_up >= outrider:servers_expected
          and outrider:failure_tolerance < outrider:servers_expected - outrider:servers_quorum
        )
    )
    """,
    onset=budget.JUDGED,
    hold_seconds=215.0,
    hold_why="Longer than what else explains it takes to be said: a dead server, or followers that are heard late."
    " A server that joins has no vote until it was stable for ten seconds.",
    keep_firing_seconds=KEPT_SECONDS,
    severity=Severity.WARNING,
    summary="A server of Nomad cluster {{ $labels.cluster }} is unhealthy or has no vote in region {{ $labels.region }}.",
    description="""
    The leader would survive the loss of {{ $value }} voters, fewer than the servers of this region could bear. One of
    them is heard too seldom, lags behind or is no voter: `nomad operator autopilot health` names it.
    """,
)

EXPECTED_OUTDATED = AlertSpec(
    alert="NomadExpectedServersOutdated",
    expr="""
    outrider:servers_up > outrider:servers_expected
    """,
    onset=budget.SCRAPE,
    hold_seconds=600.0,
    hold_why="A server that replaces another stands beside it for a while.",
    hold_is_stated=True,
    severity=Severity.WARNING,
    summary="Nomad cluster {{ $labels.cluster }} has more servers than expected in region {{ $labels.region }}.",
    description="""
    {{ $value }} servers have answered for longer than $hold, more than outrider.yaml expects. Alerts about the quorum
    reckon with too small a majority and would come too late: raise expected_servers and run `outrider build`.
    """,
)

COUNT_UNWISE = AlertSpec(
    alert="NomadServerCountUnwise",
    # An even number tolerates no more losses than one less; beyond seven each write waits for more answers.
    # The value is the number: a comparison of the remainder would give the remainder.
    expr="""
    outrider:servers_expected and outrider:servers_expected % 2 == 0
    or
    outrider:servers_expected > $most
    """,
    onset=budget.NOTHING,
    hold_why="It follows from the settings alone.",
    numbers=(
        Number(
            name="most",
            default=7.0,
            unit=Unit.COUNT,
            least=3.0,
            why="Nomad's own advice: three or five servers, seven at most.",
        ),
    ),
    severity=Severity.INFO,
    summary="Nomad cluster {{ $labels.cluster }} is meant to have an unwise number of servers.",
    description="""
    {{ $value }} servers are expected in region {{ $labels.region }}. An even number tolerates no more losses than one
    server less; with more than $most each write waits for more answers. Three or five are best.
    """,
)

QUORUM = (
    QUORUM_LOST,
    NO_LEADER,
    TWO_LEADERS,
    AT_RISK,
    SHRUNK,
    SERVER_DOWN,
    SERVER_UNHEALTHY,
    EXPECTED_OUTDATED,
    COUNT_UNWISE,
)
"""In the order of an operator's worries."""

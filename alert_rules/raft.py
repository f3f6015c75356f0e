"""Alerts about how well Raft works while it works: elections, leases, commits, logs and the threads behind them."""

from alert_rules import budget
from alert_rules.budget import Onset
from alert_rules.quorum import KEPT_SECONDS
from alert_rules.recording import own
from alert_rules.settings import Severity
from alert_rules.spec import AlertSpec, Context, Number
from telemetry.catalogue.metric import Unit


def _mean(context: Context) -> Onset:
    return budget.over(context.settings.windows.mean_seconds)


FLAPPING = AlertSpec(
    alert="NomadLeaderFlapping",
    # A rolling restart that hits the leader each time makes one election for each server.
    expr="outrider:elections > clamp_min(outrider:servers_expected, $elections)",
    onset=budget.EVENT,
    hold_seconds=90.0,
    hold_why="Longer than an outage, or a lease lost for the third time, takes to be noticed: those explain it.",
    keep_firing_seconds=KEPT_SECONDS,
    counts_events=True,
    numbers=(
        Number(
            name="elections",
            default=3.0,
            unit=Unit.COUNT,
            least=1.0,
            why="More than this within windows.events, and more than there are servers, is more than restarting every server"
            " makes.",
        ),
    ),
    severity=Severity.WARNING,
    summary="Nomad cluster {{ $labels.cluster }} keeps changing its leader in region {{ $labels.region }}.",
    description="""
    {{ $value }} elections within $events, more than restarting every server explains. Each stops writes
    and scheduling for seconds; look for slow disks, a busy host or a lossy network between the servers.
    """,
)

LEASE_LOST = AlertSpec(
    alert="NomadLeaseLost",
    expr="outrider:lease_losses >= $losses",
    onset=budget.EVENT,
    hold_seconds=60.0,
    hold_why="Longer than an outage takes to be noticed, which costs the leader its lease as well.",
    keep_firing_seconds=KEPT_SECONDS,
    counts_events=True,
    numbers=(
        Number(
            name="losses",
            default=3.0,
            unit=Unit.COUNT,
            least=1.0,
            why="One pause of a host or one cut costs one lease, and another server takes over; three within"
            " windows.events are no accident.",
        ),
    ),
    severity=Severity.WARNING,
    summary="The leader of Nomad cluster {{ $labels.cluster }} keeps losing its lease in region {{ $labels.region }}.",
    description="""
    {{ $value }} times within $events a leader was not answered by a majority within its lease (half a second
    at raft_multiplier 1) and stepped down. Either its host stands still, or the network between the servers does.
    """,
)

FOLLOWERS_SLOW = AlertSpec(
    alert="NomadFollowersSlow",
    # A follower that is away, and not removed, makes the mean grow without end; other alerts tell of it.
    expr="outrider:contact_milliseconds > $limit < $away * $limit",
    onset=_mean,
    hold_seconds=150.0,
    hold_why="A dead server counts until autopilot removes it (44 s), and its own alert takes 150 s.",
    keep_firing_seconds=KEPT_SECONDS,
    unit=Unit.MILLISECONDS,
    numbers=(
        Number(
            name="limit",
            default=250.0,
            unit=Unit.MILLISECONDS,
            least=50.0,
            most=60_000.0,
            why="Half of the lease of 500 ms. Healthy means were 69 to 130 ms on a busy machine; multiply it with"
            " raft_multiplier.",
        ),
        Number(
            name="away",
            default=20.0,
            unit=Unit.COUNT,
            least=4.0,
            why="Times the limit. No slow network: a follower calls an election after a second or two. One of four that"
            " is cut off makes so much of the mean within 50 s.",
        ),
    ),
    severity=Severity.WARNING,
    summary="The leader of Nomad cluster {{ $labels.cluster }} hears its followers late in region {{ $labels.region }}.",
    description="""
    On average a follower was last heard {{ $value | printf "%.0f" }} ms ago (limit $limit). At 500 ms the leader loses
    its lease: look at the network between the servers, and at the hosts of those that answer late.
    """,
)

COMMIT_SLOW = AlertSpec(
    alert="NomadCommitSlow",
    expr="outrider:commit_milliseconds > $limit",
    onset=_mean,
    hold_seconds=120.0,
    hold_why="A snapshot or a burst of registrations passes.",
    keep_firing_seconds=KEPT_SECONDS,
    unit=Unit.MILLISECONDS,
    numbers=(
        Number(
            name="limit",
            default=100.0,
            unit=Unit.MILLISECONDS,
            least=1.0,
            most=60_000.0,
            why="Means were 13 to 24 ms on a busy machine with slow disks, below 5 ms on an idle one. At 100 ms a"
            " scheduler waits longer than it works.",
        ),
    ),
    severity=Severity.WARNING,
    summary="Nomad cluster {{ $labels.cluster }} commits slowly in region {{ $labels.region }}.",
    description="""
    A write takes {{ $value | printf "%.0f" }} ms on average until a majority has it (limit $limit). Everything that
    changes anything waits as long. Usually a disk is slow: that of the leader, or those of most followers.
    """,
)

LOG_GROWING = AlertSpec(
    alert="NomadRaftLogGrowing",
    # What our agent keeps is known exactly. A real Nomad says when it takes a snapshot, and how far its log is: so many
    # entries without a snapshot are several times what sets one off.
    expr=own("outrider_raft_log_entries").strip()
    + """ > $entries
    or on (cluster, region, instance)
      (
        max by (cluster, region, instance) (delta(nomad_raft_lastIndex[$span])) > $entries
        unless on (cluster, region, instance) present_over_time(nomad_raft_snapshot_persist_count[$span])
        unless on (cluster, region, instance) outrider:own_has_leader
      )
    """,
    onset=budget.SCRAPE,
    hold_seconds=60.0,
    hold_why="A snapshot that has begun comes to its end.",
    keep_firing_seconds=KEPT_SECONDS,
    unit=Unit.INDEX,
    numbers=(
        Number(
            name="entries",
            default=40_000.0,
            unit=Unit.INDEX,
            least=10_000.0,
            why="Nomad takes a snapshot after 8,192 entries and keeps 10,240 behind it; four times that is a snapshot"
            " that fails.",
        ),
        Number(
            name="span",
            default=3_600.0,
            unit=Unit.SECONDS,
            least=600.0,
            is_window=True,
            why="In which a real Nomad must have taken a snapshot when its log grew by so much; the series that tells"
            " lives for 60 s after each.",
        ),
    ),
    severity=Severity.WARNING,
    summary="Nomad server {{ $labels.instance }} of cluster {{ $labels.cluster }} takes no snapshot of its log.",
    description="""
    Its log has grown by {{ $value | printf "%.0f" }} entries without one, in region {{ $labels.region }}. It fills the
    disk, and a restart has to read all of it. Look for errors about snapshots in its log, and at the space on its disk.
    """,
)

LAGGING = AlertSpec(
    alert="NomadFollowerLagging",
    expr="""
    outrider:raft_lag_entries > $entries
    and on (cluster, region, instance) outrider:server_up == 1
    """,
    onset=Onset(scrapes=3, seconds=10.0),
    hold_seconds=150.0,
    hold_why="A server that comes back reads what it missed, and one that is dead has its own alert after 150 s.",
    keep_firing_seconds=KEPT_SECONDS,
    unit=Unit.INDEX,
    numbers=(
        Number(
            name="entries",
            default=1_000.0,
            unit=Unit.INDEX,
            least=250.0,
            why="Autopilot calls a server unhealthy at 250. Nomad's gauges are 32-bit floats, exact to 8 entries at an"
            " index of 100 million.",
        ),
    ),
    severity=Severity.WARNING,
    summary="Nomad server {{ $labels.instance }} of cluster {{ $labels.cluster }} lags behind the log.",
    description="""
    It has not applied {{ $value | printf "%.0f" }} entries that the log of region {{ $labels.region }} held a while
    ago (limit $entries), and does not catch up. Its schedulers work on old state, and it would make a slow leader.
    """,
)

SATURATED = AlertSpec(
    alert="NomadRaftSaturated",
    expr="outrider:raft_busy_ratio > $share",
    onset=_mean,
    hold_seconds=120.0,
    hold_why="A burst of registrations passes.",
    keep_firing_seconds=KEPT_SECONDS,
    unit=Unit.RATIO,
    numbers=(
        Number(
            name="share",
            default=0.8,
            unit=Unit.RATIO,
            least=0.1,
            most=1.0,
            why="Beyond it what arrives waits for its turn, heartbeats and votes included.",
        ),
    ),
    severity=Severity.WARNING,
    summary="A Raft thread of Nomad server {{ $labels.instance }} of cluster {{ $labels.cluster }} is always busy.",
    description="""
    It worked {{ $value | humanizePercentage }} of the last $mean (limit $share) in region {{ $labels.region }}. Commits
    are late, and soon heartbeats and elections too: give the server faster disks and more CPU, or write less.
    """,
)

RAFT = (SATURATED, LEASE_LOST, FLAPPING, FOLLOWERS_SLOW, COMMIT_SLOW, LOG_GROWING, LAGGING)
"""Causes before what they bring about."""

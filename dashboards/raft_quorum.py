"""Raft and gossip between the servers: who was what, how late contact, commits, applying and replication are."""

from alert_rules import recorded, views
from alert_rules.raft import COMMIT_SLOW, FOLLOWERS_SLOW, LAGGING, LOG_GROWING, SATURATED
from alert_rules.settings import RuleSettings
from dashboards.elections import candidates, elections_won, leases_lost
from dashboards.panel import Color, Dashboard, Limit, Panel, PanelKind, Row, Series
from dashboards.selecting import CLUSTER, LED, NOTES, PICKED, REGION, SERVER, SERVERS, WHERE, mean
from dashboards.server_states import SERVER_STATES, server_state
from telemetry.catalogue import memberlist, outrider, raft, serf
from telemetry.catalogue.metric import Unit

_MINE = f"{SERVERS}, {PICKED}"
_RECORDED = f"{WHERE}, {PICKED}"


def _counted(entries: float, settings: RuleSettings) -> float:
    """Return a difference of indexes as the number of entries it is."""
    del settings
    return entries


_WHO = Row(
    "Who leads",
    (
        Panel(
            title="What was each server?",
            about=recorded.LEADER_HEARD,
            unit=Unit.NONE,
            kind=PanelKind.STATE_TIMELINE,
            series=(Series(server_state(_RECORDED), "{{instance}}"),),
            words=SERVER_STATES,
            good="One leads, all others follow; changes of a few seconds at a restart.",
            bad="Two that lead for longer than 20 s, one that never hears a leader, or none that leads.",
            width=24,
            height=7,
        ),
        elections_won(8),
        leases_lost(8),
        candidates(_MINE, 8),
        Panel(
            title="How many voters may still be lost?",
            about=recorded.FAILURE_TOLERANCE,
            series=(
                Series(f"outrider:failure_tolerance{{{WHERE}}}", "may be lost"),
                Series(f"outrider:voters_quorum{{{WHERE}}}", "majority the cluster works with"),
                Series(f"outrider:servers_quorum{{{WHERE}}}", "majority of the expected servers"),
            ),
            when_empty="no leader",
            good="1 with three servers, 2 with five; both majorities are the same.",
            bad="0, or a majority below the expected one: autopilot removed servers.",
            width=12,
            height=8,
        ),
        Panel(
            title="Does autopilot call every server healthy?",
            about=recorded.AUTOPILOT_HEALTHY,
            kind=PanelKind.STATE_TIMELINE,
            series=(Series(f"outrider:autopilot_healthy{{{WHERE}}}", "autopilot on the leader"),),
            words=((0, "unhealthy", Color.BAD), (1, "healthy", Color.GOOD)),
            when_empty="no leader",
            good="Healthy.",
            bad="Unhealthy for longer than a server takes to join.",
            width=12,
            height=8,
        ),
    ),
)

_LOG = Row(
    "Contact, commit, apply",
    (
        Panel(
            title="How old is the leader's contact with its followers?",
            about=recorded.CONTACT_MILLISECONDS,
            series=(Series(f"outrider:contact_milliseconds{{{WHERE}}}", "mean age"),),
            limits=(Limit(FOLLOWERS_SLOW, "limit"),),
            when_empty="no leader",
            good="Below 150 ms, also on a busy machine.",
            bad="Above the line followers are heard late; at 500 ms the leader loses its lease.",
            width=8,
            height=8,
        ),
        Panel(
            title="How long does a write take until a majority has it?",
            about=recorded.COMMIT_MILLISECONDS,
            series=(Series(f"outrider:commit_milliseconds{{{WHERE}}}", "mean"),),
            limits=(Limit(COMMIT_SLOW, "limit"),),
            when_empty="nothing written",
            good="1 to 25 ms.",
            bad="Above the line everything that changes anything waits: look at the disks.",
            width=8,
            height=8,
        ),
        Panel(
            title="How busy is the busier Raft thread?",
            about=recorded.RAFT_BUSY_RATIO,
            series=(Series(f"outrider:raft_busy_ratio{{{_RECORDED}}}", "{{instance}}"),),
            limits=(Limit(SATURATED, "share"),),
            good="Far below the line.",
            bad="Above the line what arrives waits for its turn, heartbeats and votes included.",
            width=8,
            height=8,
        ),
        Panel(
            title="How many entries has each server not applied?",
            about=recorded.RAFT_LAG_ENTRIES,
            series=(Series(f"outrider:raft_lag_entries{{{_RECORDED}}}", "{{instance}}"),),
            limits=(Limit(LAGGING, "entries"),),
            good="0, or a few for moments; a server that comes back catches up within seconds.",
            bad="A line that stays above the alert's, or grows.",
            width=8,
            height=8,
        ),
        Panel(
            title="How far is each log?",
            about=raft.LAST_INDEX,
            series=(
                Series(f"nomad_raft_lastIndex{{{_MINE}}}", "{{instance}} last"),
                Series(f"nomad_raft_appliedIndex{{{_MINE}}}", "{{instance}} applied"),
            ),
            good="All lines lie on one another and rise with the work.",
            bad="A server whose line stays behind, or lines that all stand still while jobs are registered.",
            width=8,
            height=8,
        ),
        Panel(
            title="How long does applying one entry take?",
            about=raft.FSM_APPLY,
            series=(Series(mean("nomad_raft_fsm_apply", _MINE), "{{instance}}"),),
            when_empty="nothing applied",
            good="Below a millisecond.",
            bad="A server that takes many times as long as the others is short of CPU.",
            width=8,
            height=8,
        ),
    ),
)


def _of_event(series: str, matchers: str) -> str:
    """Return PromQL for the mean of what *series* measured of a rare event, for the minute for which that is told.

    `mean` says nothing: its series is born with the event, does not grow, and is gone a minute later.
    """
    return f"{series}_sum{{{matchers}}} / {series}_count{{{matchers}}}"


def _to_followers(series: str) -> str:
    """Return PromQL for the mean of *series* to each follower: one line for each, whoever led."""
    return f"max by (peer_id) ({mean(series, SERVERS, LED)})"


_REPLICATION = Row(
    "Replication to each follower",
    (
        Panel(
            title="How long does a heartbeat to each follower take?",
            about=raft.REPLICATION_HEARTBEAT,
            series=(Series(_to_followers("nomad_raft_replication_heartbeat"), "{{peer_id}}"),),
            description="`nomad operator raft list-peers` names the followers of these ids.",
            when_empty="no followers",
            good="All alike, a few milliseconds.",
            bad="One that is slower by far: its host or the network to it. All of them: the leader's.",
            width=8,
            height=8,
        ),
        Panel(
            title="How long does an append to each follower take?",
            about=raft.REPLICATION_APPEND_ENTRIES_RPC,
            series=(Series(_to_followers("nomad_raft_replication_appendEntries_rpc"), "{{peer_id}}"),),
            when_empty="nothing written",
            good="All alike; it holds the follower's write to disk.",
            bad="One slow follower of three delays nobody, two do.",
            width=8,
            height=8,
        ),
        Panel(
            title="How long does each follower take to store entries?",
            about=raft.RPC_APPEND_ENTRIES_STORE_LOGS,
            series=(Series(mean("nomad_raft_rpc_appendEntries_storeLogs", _MINE), "{{instance}}"),),
            when_empty="nothing stored",
            good="A few milliseconds, as the disk syncs.",
            bad="Tens of milliseconds: the disk of that server is slow or shared.",
            width=8,
            height=8,
        ),
    ),
)

_SNAPSHOTS = Row(
    "Snapshots and gossip",
    (
        Panel(
            title="How long did snapshots take?",
            about=raft.SNAPSHOT_TAKE_SNAPSHOT,
            series=(Series(_of_event("nomad_raft_snapshot_takeSnapshot", _MINE), "{{instance}}"),),
            when_empty="none lately",
            good="A point now and then: one after every 8,192 entries.",
            bad="None for an hour while the log grows, or minutes for one.",
            width=8,
            height=8,
        ),
        Panel(
            title="How many members does each server count?",
            about=memberlist.NODE_INSTANCES,
            series=(Series(f"nomad_memberlist_node_instances{{{_MINE}}} > 0", "{{instance}} {{node_state}}"),),
            when_empty="not told lately",
            good="The same numbers on every server, though up to two minutes old; nobody dead or suspected.",
            bad="Different numbers for ten minutes: gossip is split.",
            width=8,
            height=8,
        ),
        Panel(
            title="Who failed, left or came back?",
            about=serf.MEMBER_FAILED,
            series=(
                Series(f"nomad_serf_member_failed{{{_MINE}}}", "{{instance}}: failed"),
                Series(f"nomad_serf_member_left{{{_MINE}}}", "{{instance}}: left"),
                Series(f"nomad_serf_member_flap{{{_MINE}}}", "{{instance}}: flapped"),
            ),
            when_empty="nobody",
            good="Nobody; a member that left at a planned stop.",
            bad="Flaps again and again: packets of UDP are lost, or a host stands still.",
            width=8,
            height=8,
        ),
    ),
)

_OURS = Row(
    "Terms, voters and the log itself",
    (
        Panel(
            title="In which term is each server?",
            about=outrider.RAFT_TERM,
            series=(Series(f"max by (server) (outrider_raft_term{{{WHERE}}})", "{{server}}"),),
            good="One number for all, which grows by one an election.",
            bad="A server whose term runs ahead of the others' campaigns alone.",
            width=8,
            height=8,
        ),
        Panel(
            title="How many voters does the leader hear?",
            about=outrider.RAFT_VOTERS_HEALTHY,
            series=(
                Series(f"outrider:voters_healthy{{{WHERE}}}", "heard"),
                Series(f"max(outrider_raft_voters{{{WHERE}}})", "voters"),
            ),
            when_empty="no leader",
            good="As many heard as there are.",
            bad="Fewer: those are cut off or dead, whatever answers scrapes.",
            width=8,
            height=8,
        ),
        Panel(
            title="How long has each server not heard its leader?",
            about=outrider.RAFT_LAST_CONTACT_SECONDS,
            series=(Series(f"outrider:own_contact_seconds{{{_RECORDED}}}", "{{instance}}"),),
            good="A fraction of a second.",
            bad="A line that climbs: that server has lost the leader.",
            width=8,
            height=8,
        ),
        Panel(
            title="How many entries does no snapshot cover?",
            about=outrider.RAFT_LOG_ENTRIES,
            series=(Series(f"max by (server) (outrider_raft_log_entries{{{WHERE}}})", "{{server}}"),),
            limits=(Limit(LOG_GROWING, "entries", at=_counted),),
            good="A saw-tooth: it falls at each snapshot.",
            bad="Above the line no snapshot succeeds: the disk fills, and a restart reads all of it.",
            width=12,
            height=8,
        ),
        Panel(
            title="How late is the Raft thread?",
            about=outrider.RAFT_TICK_LATENESS_SECONDS,
            series=(Series(f"outrider_raft_tick_lateness_seconds{{{_MINE}}}", "{{instance}}"),),
            when_empty="an agent of ours says it, no exporter",
            good="Milliseconds.",
            bad="Tenths of a second: the host has no CPU for it, and the next election is near.",
            width=12,
            height=8,
        ),
    ),
    is_ours=True,
)

RAFT_QUORUM = Dashboard(
    view=views.RAFT,
    description="Leadership, log, replication and gossip of the servers of one region.",
    choices=(CLUSTER, REGION, SERVER),
    notes=NOTES,
    rows=(_WHO, _LOG, _REPLICATION, _SNAPSHOTS, _OURS),
)

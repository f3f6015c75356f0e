"""The first page to open: who leads, how many servers stand between now and the loss of quorum, what work waits."""

from alert_rules import recorded, views
from alert_rules.raft import COMMIT_SLOW, FLAPPING, FOLLOWERS_SLOW
from alert_rules.scheduler import BACKLOG, PLAN_QUEUE, SCHEDULING_SLOW
from dashboards.elections import candidates, more_than_servers
from dashboards.panel import Color, Dashboard, Lead, Limit, Panel, PanelKind, Row, Series
from dashboards.selecting import (
    CLUSTER,
    FIRING,
    NOTES,
    REGION,
    SERVERS,
    SHOWN_MAX,
    SILENT_CLIENTS,
    TO_CLIENT,
    TO_SERVER,
    WHERE,
)
from dashboards.server_states import SERVER_STATES, server_state
from telemetry.catalogue import external, heartbeat, outrider, rpc
from telemetry.catalogue.metric import Unit

_TO_REVIEW = Lead("The time line", views.REVIEW)
_TO_RAFT = Lead("Raft & quorum", views.RAFT)
_TO_SCHEDULER = Lead("Scheduler & heartbeats", views.SCHEDULER)

_NUMBERS = (
    Panel(
        title="Who leads?",
        about=recorded.LEADER,
        kind=PanelKind.STAT,
        series=(Series(f"outrider:leader{{{WHERE}}} == 1", "{{instance}}"),),
        shows_name=True,
        when_empty="no leader",
        steps=((None, Color.BAD), (1, Color.GOOD)),
        leads=(TO_SERVER,),
        good="One name.",
        bad="No leader: nothing is scheduled and every write fails. Two names for longer than 20 s are worse.",
        width=4,
        height=4,
    ),
    Panel(
        title="How long has it led, of the last day?",
        about=recorded.LEADER,
        unit=Unit.SECONDS,
        kind=PanelKind.STAT,
        series=(
            Series(
                # In its first minute a leader was seen at no full one.
                f"(60 * sum_over_time(outrider:leader{{{WHERE}}}[1d:1m]) or 0 * outrider:leader{{{WHERE}}})"
                f" and on (cluster, region, instance) outrider:leader{{{WHERE}}} == 1",
                "{{instance}}",
            ),
        ),
        description="Counted by the minute, as far back as Prometheus has watched.",
        when_empty="no leader",
        good="A day, or the time since the last restart of a server.",
        bad="Minutes, and nobody restarted anything: the marks on the time lines say when the leader changed.",
        leads=(_TO_REVIEW,),
        width=4,
        height=4,
    ),
    Panel(
        title="How many servers are alive?",
        about=recorded.SERVERS_UP,
        kind=PanelKind.STAT,
        series=(
            Series(f"outrider:servers_up{{{WHERE}}}", "alive"),
            Series(f"outrider:servers_quorum{{{WHERE}}}", "needed"),
        ),
        good="As many as there should be, and more than are needed for the quorum.",
        bad="As many as are needed, or fewer.",
        width=4,
        height=4,
    ),
    Panel(
        title="How many servers are to spare?",
        about=recorded.SERVERS_UP,
        kind=PanelKind.STAT,
        series=(Series(f"outrider:servers_up{{{WHERE}}} - outrider:servers_quorum{{{WHERE}}}", "to spare"),),
        description="Servers alive beyond the majority.",
        steps=((None, Color.BAD), (0, Color.CAUTION), (1, Color.GOOD)),
        good="1 with three servers, 2 with five.",
        bad="0: the next loss stops all writes. Below 0 the quorum is lost.",
        width=4,
        height=4,
    ),
    Panel(
        title="How many elections were there lately?",
        about=recorded.ELECTIONS,
        kind=PanelKind.STAT,
        series=(Series(f"outrider:elections{{{WHERE}}}", "elections"),),
        when_empty="0",
        limits=(Limit(FLAPPING, "elections", at=more_than_servers),),
        leads=(_TO_REVIEW,),
        good="0, or one for each server that was restarted.",
        bad="Red: more than restarting every server explains.",
        width=4,
        height=4,
    ),
    Panel(
        title="How many alerts fire?",
        about=external.ALERTS,
        unit=Unit.COUNT,
        kind=PanelKind.STAT,
        series=(Series(f"count({FIRING})", "firing"),),
        when_empty="0",
        steps=((None, Color.GOOD), (1, Color.BAD)),
        leads=(_TO_REVIEW,),
        good="0.",
        bad="1 and more: the list below names them, with their runbooks.",
        width=4,
        height=4,
    ),
)

_QUORUM = Row(
    "Quorum",
    (
        *_NUMBERS,
        Panel(
            title="What was each server?",
            about=recorded.LEADER_HEARD,
            unit=Unit.NONE,
            kind=PanelKind.STATE_TIMELINE,
            series=(Series(server_state(WHERE), "{{instance}}"),),
            words=SERVER_STATES,
            leads=(TO_SERVER,),
            good="One leads, all others follow.",
            bad="Silent servers, or time in which none leads.",
            width=12,
            height=8,
        ),
        Panel(
            title="Which alerts fire?",
            about=external.ALERTS,
            kind=PanelKind.TABLE,
            columns=("alertname", "severity", "region"),
            series=(
                Series(f"max by (alertname, severity, region) ({FIRING})", "state", words=((1, "fires", Color.BAD),)),
            ),
            description="The name of an alert opens its runbook, where those are published.",
            when_empty="none",
            runbook_label="alertname",
            good="No row.",
            bad="A row that is critical: act now; a warning: redundancy is gone, or trouble is ahead.",
            width=12,
            height=8,
        ),
        Panel(
            title="How many servers are alive, and how many are needed?",
            about=recorded.SERVERS_UP,
            series=(
                Series(f"outrider:servers_up{{{WHERE}}}", "alive"),
                Series(f"outrider:servers_quorum{{{WHERE}}}", "needed for quorum"),
                Series(f"outrider:servers_expected{{{WHERE}}}", "expected"),
                Series(f"outrider:failure_tolerance{{{WHERE}}}", "may be lost, says the leader"),
            ),
            leads=(_TO_RAFT,),
            good="Alive and expected are one line, well above what is needed.",
            bad="Alive touches what is needed, or the leader says that none may be lost.",
            width=12,
            height=8,
        ),
        Panel(
            title="How many servers know a leader?",
            about=recorded.LEADER_SIGNALS,
            series=(
                Series(f"outrider:leader_signals{{{WHERE}}}", "know a leader"),
                Series(f"outrider:servers_up{{{WHERE}}}", "alive"),
            ),
            leads=(_TO_RAFT,),
            good="All that are alive.",
            bad="0: nobody leads, whatever answers scrapes.",
            width=12,
            height=8,
        ),
    ),
)

_ELECTIONS = Row(
    "Elections and the log",
    (
        candidates(SERVERS, 8),
        Panel(
            title="How old is the leader's contact with its followers?",
            about=recorded.CONTACT_MILLISECONDS,
            series=(Series(f"outrider:contact_milliseconds{{{WHERE}}}", "mean age"),),
            limits=(Limit(FOLLOWERS_SLOW, "limit"),),
            when_empty="no leader",
            leads=(_TO_RAFT,),
            good="Below 150 ms, also on a busy machine.",
            bad="Above the line followers are heard late; at 500 ms the leader loses its lease.",
            width=8,
            height=8,
        ),
        Panel(
            title="How long does a write take?",
            about=recorded.COMMIT_MILLISECONDS,
            series=(Series(f"outrider:commit_milliseconds{{{WHERE}}}", "mean"),),
            limits=(Limit(COMMIT_SLOW, "limit"),),
            when_empty="nothing written",
            leads=(_TO_RAFT,),
            good="1 to 25 ms.",
            bad="Above the line everything that changes anything waits: look at the disks.",
            width=8,
            height=8,
        ),
    ),
)

_NODES = Row(
    "Nodes",
    (
        Panel(
            title="Which clients does the leader hear?",
            about=recorded.HEARTBEATS_ACTIVE,
            series=(
                Series(f"outrider:heartbeats_active{{{WHERE}}}", "heard by the leader"),
                Series(f"outrider:clients_targeted{{{WHERE}}}", "scraped"),
                Series(f"outrider:clients_down{{{WHERE}}}", "of them down"),
            ),
            when_empty="no leader",
            leads=(_TO_SCHEDULER,),
            good="As many heard as are scraped, none down.",
            bad="Fewer heard than answer: clients are cut from the servers.",
            width=8,
            height=8,
        ),
        Panel(
            title="Which clients missed their heartbeat?",
            about=heartbeat.INVALIDATE,
            unit=Unit.COUNT,
            description="Clients marked down in the last minute or so: the series is gone 60 s after the last one.",
            series=(Series(f"nomad_nomad_heartbeat_invalidate_count{{{SERVERS}}}", "{{instance}}"),),
            when_empty="none lately",
            good="None.",
            bad="Several at once: a rack or a network is gone.",
            width=8,
            height=8,
        ),
        Panel(
            title="Which clients are silent?",
            about=recorded.CLIENT_SILENT,
            kind=PanelKind.STATE_TIMELINE,
            series=(Series(SILENT_CLIENTS, "{{instance}}"),),
            words=((1, "silent", Color.BAD),),
            description=f"At most {SHOWN_MAX}: those that were silent longest.",
            when_empty="none",
            leads=(TO_CLIENT,),
            good="None, and no bar.",
            bad="A bar: the client, or the way to it, is gone for as long as the bar is.",
            width=8,
            height=8,
        ),
    ),
)

_EVALUATIONS = Row(
    "Evaluations",
    (
        Panel(
            title="Which evaluations wait?",
            about=recorded.EVALUATIONS_READY,
            series=(
                Series(f"outrider:evaluations_ready{{{WHERE}}}", "ready"),
                Series(f"outrider:evaluations_unacked{{{WHERE}}}", "being worked on"),
                Series(f"outrider:evaluations_blocked{{{WHERE}}}", "blocked"),
            ),
            limits=(Limit(BACKLOG, "evaluations"),),
            leads=(_TO_SCHEDULER,),
            good="Ready ones are taken at once.",
            bad="Ready ones above the line for minutes; blocked ones wait for capacity.",
            width=8,
            height=8,
        ),
        Panel(
            title="How many plans wait?",
            about=recorded.PLAN_QUEUE,
            series=(Series(f"outrider:plan_queue{{{WHERE}}}", "plans"),),
            limits=(Limit(PLAN_QUEUE, "plans"),),
            leads=(_TO_SCHEDULER,),
            good="0.",
            bad="Above the line: the leader applies plans too slowly.",
            width=8,
            height=8,
        ),
        Panel(
            title="How long does one scheduling take?",
            about=recorded.SCHEDULING_MILLISECONDS,
            series=(Series(f"outrider:scheduling_milliseconds{{{WHERE}}}", "{{scheduler}}"),),
            limits=(Limit(SCHEDULING_SLOW, "limit"),),
            when_empty="nothing scheduled",
            leads=(_TO_SCHEDULER,),
            good="Milliseconds to tenths of a second.",
            bad="Above the line new and lost work waits for its place.",
            width=8,
            height=8,
        ),
    ),
)

_PROCESSES = Row(
    "Agents",
    (
        Panel(
            title="How many calls arrive from the network a second?",
            about=rpc.RPC_REQUEST,
            series=(Series(f"rate(nomad_nomad_rpc_request{{{SERVERS}}}[$__rate_interval])", "{{instance}}"),),
            good="Shares of servers that are alike, in step with the number of clients.",
            bad="A server that gets none, or a flood after a fail-over that does not end.",
            width=12,
            height=8,
        ),
        Panel(
            title="How much memory do the servers hold?",
            about=external.PROCESS_RESIDENT_MEMORY_BYTES,
            series=(Series(f"process_resident_memory_bytes{{{SERVERS}}}", "{{instance}}"),),
            good="Level, growing with the number of jobs and clients.",
            bad="A line that climbs for days, or falls to nothing: the process was ended.",
            width=12,
            height=8,
        ),
    ),
)

_OURS = Row(
    "Nodes by status",
    (
        Panel(
            title="Which status do the nodes have?",
            about=outrider.NODES,
            series=(
                Series(f"max by (status, eligibility) (outrider_nodes{{{WHERE}}}) > 0", "{{status}}, {{eligibility}}"),
            ),
            stacks=True,
            when_empty="no agent or exporter of ours",
            good="All ready and eligible.",
            bad="Down ones that nobody stopped, or ineligible ones that were forgotten.",
            width=24,
            height=8,
        ),
    ),
    is_ours=True,
)

CLUSTER_OVERVIEW = Dashboard(
    view=views.CLUSTER,
    description="Leader, quorum, elections, clients and evaluations of one region of a Nomad cluster.",
    choices=(CLUSTER, REGION),
    notes=NOTES,
    rows=(_QUORUM, _ELECTIONS, _NODES, _EVALUATIONS, _PROCESSES, _OURS),
)

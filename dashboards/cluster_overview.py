"""The first page to open: who leads, how many servers stand between now and the loss of quorum, what work waits.

Every query holds on a real Nomad too, except the row that says otherwise. Gauges that only the leader keeps current
are read from the live leader alone: on a server that lost the leadership they stand still for a minute.
"""

from alert_rules import recorded
from dashboards.panel import Choice, Color, Dashboard, Note, Panel, PanelKind, Row, Series
from telemetry.catalogue import broker, external, heartbeat, outrider, plan, raft, rpc, worker
from telemetry.catalogue.metric import Unit

_WHERE = 'cluster="$cluster", region="$region"'
_SERVERS = f'role="server", {_WHERE}'
_CLIENTS = f'role="client", {_WHERE}'
_LEADS = f"and on (cluster, region, instance) outrider:leader{{{_WHERE}}} == 1"

_QUORUM = Row(
    "Quorum",
    (
        Panel(
            title="Leader",
            about=recorded.LEADER,
            kind=PanelKind.STAT,
            series=(Series(f"outrider:leader{{{_WHERE}}} == 1", "{{instance}}"),),
            shows_name=True,
            when_empty="no leader",
            steps=((None, Color.BAD), (1, Color.GOOD)),
            width=4,
            height=4,
        ),
        Panel(
            title="Servers alive",
            about=recorded.SERVERS_UP,
            kind=PanelKind.STAT,
            series=(Series(f"outrider:servers_up{{{_WHERE}}}", "alive"),),
            steps=((None, Color.PLAIN),),
            width=4,
            height=4,
        ),
        Panel(
            title="Needed for quorum",
            about=recorded.SERVERS_QUORUM,
            kind=PanelKind.STAT,
            series=(Series(f"outrider:servers_quorum{{{_WHERE}}}", "needed"),),
            width=4,
            height=4,
        ),
        Panel(
            title="To spare",
            about=recorded.SERVERS_UP,
            description="Servers alive beyond the majority: at 0 the next loss stops all writes.",
            kind=PanelKind.STAT,
            series=(Series(f"outrider:servers_up{{{_WHERE}}} - outrider:servers_quorum{{{_WHERE}}}", "to spare"),),
            steps=((None, Color.BAD), (0, Color.CAUTION), (1, Color.GOOD)),
            width=4,
            height=4,
        ),
        Panel(
            title="Recent elections",
            about=recorded.ELECTIONS,
            kind=PanelKind.STAT,
            series=(Series(f"outrider:elections{{{_WHERE}}}", "elections"),),
            when_empty="0",
            steps=((None, Color.GOOD), (1, Color.CAUTION), (3, Color.BAD)),
            width=4,
            height=4,
        ),
        Panel(
            title="Alerts firing",
            about=external.ALERTS,
            unit=Unit.COUNT,
            kind=PanelKind.STAT,
            series=(
                Series(
                    'count(ALERTS{alertstate="firing", cluster="$cluster", severity=~"critical|warning"})', "firing"
                ),
            ),
            when_empty="0",
            steps=((None, Color.GOOD), (1, Color.BAD)),
            width=4,
            height=4,
        ),
        Panel(
            title="Who led when",
            about=recorded.LEADER,
            description="A gap in every line is time without a leader.",
            kind=PanelKind.STATE_TIMELINE,
            series=(Series(f"outrider:leader{{{_WHERE}}} == 1", "{{instance}}"),),
            words=((1, "leader", Color.GOOD),),
            width=12,
            height=8,
        ),
        Panel(
            title="Servers alive against needed",
            about=recorded.SERVERS_UP,
            series=(
                Series(f"outrider:servers_up{{{_WHERE}}}", "alive"),
                Series(f"outrider:servers_quorum{{{_WHERE}}}", "needed for quorum"),
                Series(f"outrider:servers_expected{{{_WHERE}}}", "expected"),
                Series(f"outrider:failure_tolerance{{{_WHERE}}}", "may be lost, says the leader"),
            ),
            width=12,
            height=8,
        ),
        Panel(
            title="Servers that know a leader",
            about=recorded.LEADER_SIGNALS,
            description="At 0 nobody leads, whatever answers scrapes.",
            series=(
                Series(f"outrider:leader_signals{{{_WHERE}}}", "know a leader"),
                Series(f"outrider:servers_up{{{_WHERE}}}", "alive"),
            ),
            width=12,
            height=8,
        ),
        Panel(
            title="Which server answers",
            about=external.UP,
            kind=PanelKind.STATE_TIMELINE,
            series=(Series(f"up{{{_SERVERS}}}", "{{instance}}"),),
            words=((0, "silent", Color.BAD), (1, "answers", Color.GOOD)),
            width=12,
            height=8,
        ),
    ),
)

_ELECTIONS = Row(
    "Elections and the log",
    (
        Panel(
            title="Candidacies",
            about=raft.STATE_CANDIDATE,
            description="Steady growth means that servers campaign in vain.",
            series=(Series(f"nomad_raft_state_candidate{{{_SERVERS}}}", "{{instance}}"),),
            width=8,
            height=8,
        ),
        Panel(
            title="Contact of the leader with its followers",
            about=raft.LEADER_LAST_CONTACT,
            series=(
                Series(f'nomad_raft_leader_lastContact{{quantile="0.5", {_SERVERS}}} {_LEADS}', "{{instance}} median"),
                Series(f'nomad_raft_leader_lastContact{{quantile="0.99", {_SERVERS}}} {_LEADS}', "{{instance}} p99"),
            ),
            width=8,
            height=8,
        ),
        Panel(
            title="Time to commit",
            about=raft.COMMIT_TIME,
            series=(
                Series(f'nomad_raft_commitTime{{quantile="0.5", {_SERVERS}}} {_LEADS}', "{{instance}} median"),
                Series(f'nomad_raft_commitTime{{quantile="0.99", {_SERVERS}}} {_LEADS}', "{{instance}} p99"),
            ),
            width=8,
            height=8,
        ),
    ),
)

_CLIENT_ROW = Row(
    "Clients",
    (
        Panel(
            title="Clients the leader hears",
            about=heartbeat.ACTIVE,
            series=(
                Series(f"max(nomad_nomad_heartbeat_active{{{_SERVERS}}} {_LEADS})", "heard by the leader"),
                Series(f"sum(up{{{_CLIENTS}}})", "answer scrapes"),
            ),
            unit=Unit.COUNT,
            width=8,
            height=8,
        ),
        Panel(
            title="Missed heartbeats",
            about=heartbeat.INVALIDATE,
            unit=Unit.COUNT,
            description="Clients marked down in the last minute or so: the series is gone 60 s after the last one.",
            series=(Series(f"nomad_nomad_heartbeat_invalidate_count{{{_SERVERS}}}", "{{instance}}"),),
            width=8,
            height=8,
        ),
        Panel(
            title="Which client answers",
            about=external.UP,
            kind=PanelKind.STATE_TIMELINE,
            series=(Series(f"up{{{_CLIENTS}}}", "{{instance}}"),),
            words=((0, "silent", Color.BAD), (1, "answers", Color.GOOD)),
            width=8,
            height=8,
        ),
    ),
)

_EVALUATIONS = Row(
    "Evaluations",
    (
        Panel(
            title="Evaluations waiting",
            about=broker.TOTAL_READY,
            description="Ready ones should be taken at once; blocked ones wait for capacity.",
            series=(
                Series(f"max(nomad_nomad_broker_total_ready{{{_SERVERS}}} {_LEADS})", "ready"),
                Series(f"max(nomad_nomad_broker_total_unacked{{{_SERVERS}}} {_LEADS})", "being worked on"),
                Series(f"max(nomad_nomad_broker_total_pending{{{_SERVERS}}} {_LEADS})", "behind another of the job"),
                Series(f"max(nomad_nomad_blocked_evals_total_blocked{{{_SERVERS}}} {_LEADS})", "blocked"),
            ),
            width=8,
            height=8,
        ),
        Panel(
            title="Plans waiting",
            about=plan.QUEUE_DEPTH,
            series=(Series(f"max(nomad_nomad_plan_queue_depth{{{_SERVERS}}} {_LEADS})", "plans"),),
            width=8,
            height=8,
        ),
        Panel(
            title="Time of a service scheduling",
            about=worker.INVOKE_SCHEDULER,
            series=(
                Series(
                    f"sum by (instance) (rate(nomad_nomad_worker_invoke_scheduler_service_sum{{{_SERVERS}}}[$__rate_interval]))"
                    " / "
                    f"sum by (instance) (rate(nomad_nomad_worker_invoke_scheduler_service_count{{{_SERVERS}}}[$__rate_interval]))",
                    "{{instance}} mean",
                ),
            ),
            width=8,
            height=8,
        ),
    ),
)

_PROCESSES = Row(
    "Agents",
    (
        Panel(
            title="Calls from the network",
            about=rpc.RPC_REQUEST,
            description="Per second.",
            series=(Series(f"rate(nomad_nomad_rpc_request{{{_SERVERS}}}[$__rate_interval])", "{{instance}}"),),
            width=8,
            height=8,
        ),
        Panel(
            title="Memory",
            about=external.PROCESS_RESIDENT_MEMORY_BYTES,
            series=(Series(f'process_resident_memory_bytes{{role=~"server|client", {_WHERE}}}', "{{instance}}"),),
            width=8,
            height=8,
        ),
        Panel(
            title="Time of a scrape",
            about=external.SCRAPE_DURATION_SECONDS,
            series=(Series(f'scrape_duration_seconds{{role=~"server|client", {_WHERE}}}', "{{instance}}"),),
            width=8,
            height=8,
        ),
        Panel(
            title="Voters the leader hears",
            about=outrider.RAFT_VOTERS_HEALTHY,
            description="From Outrider's agents and its exporter alone.",
            series=(
                Series(f"max(outrider_raft_voters_healthy{{{_SERVERS}}} {_LEADS})", "heard"),
                Series(f"max(outrider_raft_voters{{{_SERVERS}}} {_LEADS})", "voters"),
            ),
            width=12,
            height=8,
        ),
        Panel(
            title="Lateness of the Raft thread",
            about=outrider.RAFT_TICK_LATENESS_SECONDS,
            description="From Outrider's agents alone.",
            series=(Series(f"outrider_raft_tick_lateness_seconds{{{_SERVERS}}}", "{{instance}}"),),
            width=12,
            height=8,
        ),
    ),
)

CLUSTER_OVERVIEW = Dashboard(
    uid="outrider-cluster",
    title="Outrider: cluster overview",
    description="Leader, quorum, elections, clients and evaluations of one region of a Nomad cluster.",
    choices=(
        Choice("cluster", "Cluster", "outrider:servers_expected", "cluster"),
        Choice("region", "Region", 'outrider:servers_expected{cluster="$cluster"}', "region"),
    ),
    notes=(
        Note(
            "Alerts",
            'ALERTS{alertstate="firing", cluster="$cluster", severity=~"critical|warning"}',
            "{{alertname}}",
            "{{severity}}",
        ),
    ),
    rows=(_QUORUM, _ELECTIONS, _CLIENT_ROW, _EVALUATIONS, _PROCESSES),
)

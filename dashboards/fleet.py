"""Every cluster and region at a glance: which has no leader, which cannot lose a server, where alerts fire."""

from alert_rules import recorded, views
from dashboards.panel import Choice, Color, Dashboard, Lead, Note, Panel, PanelKind, Row, Series
from telemetry.catalogue import external
from telemetry.catalogue.metric import Unit

_WHERE = 'cluster=~"$cluster"'
_REGION = ("cluster", "region")
_FIRING = 'ALERTS{alertstate="firing", severity=~"critical|warning", cluster=~"$cluster"}'
_OF_REGIONS = _FIRING.replace("}", ', region!=""}')
"""Alerts about the watchers are of no region: in a table of regions they would be a row without a name."""
_TO_REGION = Lead("This region", views.CLUSTER, _REGION)


def _each(expr: str) -> str:
    return f"max by (cluster, region) ({expr})"


def _versions(series: str) -> str:
    servers = f'{series}{{role="server", {_WHERE}}}'
    return f"count by (cluster, region) (count by (cluster, region, version) ({servers}))"


_SUMS = Row(
    "All clusters",
    (
        Panel(
            title="How many regions have no leader?",
            about=recorded.LEADER_SIGNALS,
            unit=Unit.COUNT,
            kind=PanelKind.STAT,
            series=(Series(f"count(outrider:leader_signals{{{_WHERE}}} == 0)", "without a leader"),),
            good="0.",
            bad="1 and more: nothing is scheduled there and every write fails; the table below names the region.",
            when_empty="0",
            steps=((None, Color.GOOD), (1, Color.BAD)),
            width=6,
            height=4,
        ),
        Panel(
            title="How many regions cannot lose a server?",
            about=recorded.SERVERS_UP,
            kind=PanelKind.STAT,
            series=(
                Series(
                    f"count(outrider:servers_up{{{_WHERE}}} <= outrider:servers_quorum{{{_WHERE}}})",
                    "without a server to spare",
                ),
            ),
            good="0, regions of one or two servers apart, which can never lose one.",
            bad="1 and more: the next loss stops all writes of that region.",
            when_empty="0",
            steps=((None, Color.GOOD), (1, Color.CAUTION)),
            width=6,
            height=4,
        ),
        Panel(
            title="How many pages fire?",
            about=external.ALERTS,
            unit=Unit.COUNT,
            kind=PanelKind.STAT,
            series=(Series(f'count(ALERTS{{alertstate="firing", severity="critical", {_WHERE}}})', "critical"),),
            good="0.",
            bad="1 and more: work is lost until somebody acts.",
            when_empty="0",
            steps=((None, Color.GOOD), (1, Color.BAD)),
            width=6,
            height=4,
        ),
        Panel(
            title="How many warnings fire?",
            about=external.ALERTS,
            unit=Unit.COUNT,
            kind=PanelKind.STAT,
            series=(Series(f'count(ALERTS{{alertstate="firing", severity="warning", {_WHERE}}})', "warning"),),
            good="0.",
            bad="1 and more: redundancy is gone somewhere, or trouble is ahead.",
            when_empty="0",
            steps=((None, Color.GOOD), (1, Color.CAUTION)),
            width=6,
            height=4,
        ),
    ),
)

_TABLES = Row(
    "Region by region",
    (
        Panel(
            title="How is each region?",
            about=recorded.SERVERS_UP,
            unit=Unit.COUNT,
            kind=PanelKind.TABLE,
            columns=_REGION,
            series=(
                Series(
                    _each(f"outrider:leader_signals{{{_WHERE}}}"),
                    "servers with a leader",
                    steps=((None, Color.BAD), (1, Color.GOOD)),
                ),
                Series(_each(f"outrider:servers_up{{{_WHERE}}}"), "servers alive"),
                Series(_each(f"outrider:servers_expected{{{_WHERE}}}"), "expected"),
                Series(
                    _each(f"outrider:servers_up{{{_WHERE}}} - outrider:servers_quorum{{{_WHERE}}}"),
                    "to spare",
                    steps=((None, Color.BAD), (0, Color.CAUTION), (1, Color.GOOD)),
                ),
                Series(_each(f"outrider:clients_targeted{{{_WHERE}}}"), "clients"),
                Series(
                    _each(f"outrider:clients_down{{{_WHERE}}}"),
                    "clients down",
                    steps=((None, Color.GOOD), (1, Color.CAUTION)),
                ),
                Series(
                    _each(f"outrider:evaluations_blocked{{{_WHERE}}}"),
                    "blocked",
                    steps=((None, Color.GOOD), (1, Color.CAUTION)),
                ),
                Series(
                    f"count by (cluster, region) ({_OF_REGIONS})", "alerts", steps=((None, Color.GOOD), (1, Color.BAD))
                ),
            ),
            description="The margin of a region is what it has to spare: servers alive beyond the majority.",
            good="Every server knows a leader, as many are alive as expected, one and more are to spare.",
            bad="No server with a leader, or nothing to spare; a row opens the region.",
            leads=(_TO_REGION,),
            width=24,
            height=8,
        ),
        Panel(
            title="Who leads each region?",
            about=recorded.LEADER,
            kind=PanelKind.TABLE,
            columns=("cluster", "region", "instance"),
            series=(
                Series(
                    f"max by (cluster, region, instance) (outrider:leader{{{_WHERE}}})",
                    "state",
                    words=((1, "leads", Color.GOOD),),
                ),
            ),
            good="One row for each region.",
            bad="A region without a row has no leader; one with two rows for long has two, which is worse.",
            leads=(Lead("This server", views.RAFT, ("cluster", "region", "instance")),),
            when_empty="no leader anywhere",
            width=8,
            height=8,
        ),
        Panel(
            title="Which alerts fire?",
            about=external.ALERTS,
            kind=PanelKind.TABLE,
            columns=("alertname", "severity", "cluster", "region"),
            series=(
                Series(
                    f"max by (alertname, severity, cluster, region) ({_FIRING})",
                    "state",
                    words=((1, "fires", Color.BAD),),
                ),
            ),
            description="The name of an alert opens its runbook, where those are published.",
            good="No row.",
            bad="A row that is critical: work is lost until somebody acts.",
            when_empty="none",
            runbook_label="alertname",
            leads=(_TO_REGION,),
            width=10,
            height=8,
        ),
        Panel(
            title="How many versions does each region run?",
            about=external.GO_INFO,
            unit=Unit.COUNT,
            kind=PanelKind.BAR_GAUGE,
            series=(Series(f"{_versions('outrider_agent_info')} or {_versions('go_info')}", "{{cluster}} {{region}}"),),
            description="A real Nomad says no version of its own: that of the Go it was built with stands for it.",
            good="1.",
            bad="2 for longer than an upgrade takes.",
            when_empty="no server says",
            steps=((None, Color.GOOD), (2, Color.CAUTION)),
            width=6,
            height=8,
        ),
    ),
)

_TIME = Row(
    "Over time",
    (
        Panel(
            title="When did each region have a leader?",
            about=recorded.LEADER_SIGNALS,
            unit=Unit.BOOLEAN,
            kind=PanelKind.STATE_TIMELINE,
            series=(Series(f"outrider:leader_signals{{{_WHERE}}} > bool 0", "{{cluster}} {{region}}"),),
            words=((0, "no leader", Color.BAD), (1, "leader", Color.GOOD)),
            good="One unbroken bar; a gap of seconds is a fail-over.",
            bad="A red stretch longer than ten seconds.",
            width=12,
            height=8,
        ),
        Panel(
            title="How many servers has each region to spare?",
            about=recorded.SERVERS_UP,
            series=(
                Series(
                    f"outrider:servers_up{{{_WHERE}}} - outrider:servers_quorum{{{_WHERE}}}", "{{cluster}} {{region}}"
                ),
            ),
            good="1 with three servers, 2 with five; one less for the time of a restart.",
            bad="0: the next loss stops all writes. Below 0 the quorum is lost.",
            steps=((None, Color.BAD), (0, Color.CAUTION), (1, Color.GOOD)),
            width=12,
            height=8,
        ),
    ),
)

FLEET = Dashboard(
    view=views.FLEET,
    description="All clusters and regions: leader, servers to spare, clients, alerts.",
    choices=(Choice("cluster", "Cluster", "outrider:servers_expected", "cluster", has_all=True),),
    notes=(Note("Alerts", _FIRING, "{{alertname}}", "{{cluster}} {{region}}"),),
    rows=(_SUMS, _TABLES, _TIME),
)

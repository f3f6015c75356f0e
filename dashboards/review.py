"""One time line on which an incident can be read afterwards: what fired, who led, who answered, what work waited."""

from alert_rules import recorded, views
from dashboards.elections import candidates, elections_won, leases_lost
from dashboards.panel import Color, Dashboard, Panel, PanelKind, Row, Series
from dashboards.selecting import (
    CLUSTER,
    LEADERS_NOTE,
    NOTES,
    REGION,
    SHOWN_MAX,
    SILENT_CLIENTS,
    TO_CLIENT,
    TO_SERVER,
    WHERE,
)
from dashboards.selecting import SERVERS as IN_SERVERS
from dashboards.server_states import SERVER_STATES, server_state
from telemetry.catalogue import external, memberlist, serf
from telemetry.catalogue.metric import Unit

_WIDE = 24


_LINES = Row(
    "What happened when",
    (
        Panel(
            title="Which alerts were pending or firing?",
            about=external.ALERTS,
            kind=PanelKind.STATE_TIMELINE,
            series=(
                # One query: an alert is one bar, which turns from pending to firing.
                Series(
                    f'max by (alertname) (2 * ALERTS{{alertstate="firing", {WHERE}}})'
                    f' or max by (alertname) (ALERTS{{alertstate="pending", {WHERE}}})',
                    "{{alertname}}",
                ),
            ),
            words=((1, "pending", Color.CAUTION), (2, "firing", Color.BAD)),
            when_empty="none",
            good="Empty.",
            bad="The first bar from the left is the cause, or the nearest to it; those that follow are silenced by it.",
            width=_WIDE,
            height=8,
        ),
        Panel(
            title="What was each server doing?",
            about=recorded.LEADER_HEARD,
            unit=Unit.NONE,
            kind=PanelKind.STATE_TIMELINE,
            series=(Series(server_state(WHERE), "{{instance}}"),),
            words=SERVER_STATES,
            leads=(TO_SERVER,),
            good="One leads, all others hear it.",
            bad="Silent ones, or several that hear no leader; when none leads nothing is scheduled.",
            width=_WIDE,
            height=7,
        ),
        Panel(
            title="Which clients were silent?",
            about=recorded.CLIENT_SILENT,
            kind=PanelKind.STATE_TIMELINE,
            series=(Series(SILENT_CLIENTS, "{{instance}}"),),
            words=((1, "silent", Color.BAD),),
            description=f"At most {SHOWN_MAX}: those that were silent longest.",
            when_empty="none",
            leads=(TO_CLIENT,),
            good="None, and no bar.",
            bad="Several that fall silent at one moment share a rack, a network or an update.",
            width=_WIDE,
            height=7,
        ),
    ),
)

_ELECTIONS = Row(
    "Elections and members",
    (
        elections_won(7),
        leases_lost(7),
        candidates(IN_SERVERS, 7),
        Panel(
            title="Whom did gossip call failed?",
            about=serf.MEMBER_FAILED,
            series=(
                Series(f"nomad_serf_member_failed{{{IN_SERVERS}}}", "{{instance}} called failed"),
                Series(f"nomad_serf_member_left{{{IN_SERVERS}}}", "{{instance}} saw leave"),
            ),
            when_empty="nobody",
            good="Nobody.",
            bad="A failure while all servers answer scrapes: gossip does not pass between them.",
            width=12,
            height=7,
        ),
        Panel(
            title="How many members did each server count alive?",
            about=memberlist.NODE_INSTANCES,
            series=(Series(f'nomad_memberlist_node_instances{{node_state="alive", {IN_SERVERS}}}', "{{instance}}"),),
            when_empty="not told lately",
            good="The same number everywhere, though up to two minutes old.",
            bad="Different numbers for ten minutes: gossip is split.",
            width=12,
            height=7,
        ),
    ),
)

_WORK = Row(
    "Work",
    (
        Panel(
            title="Which evaluations waited?",
            about=recorded.EVALUATIONS_READY,
            series=(
                Series(f"outrider:evaluations_ready{{{WHERE}}}", "ready"),
                Series(f"outrider:evaluations_unacked{{{WHERE}}}", "being worked on"),
                Series(f"outrider:evaluations_blocked{{{WHERE}}}", "blocked"),
                Series(f"outrider:plan_queue{{{WHERE}}}", "plans"),
            ),
            good="Ready ones are taken at once; a burst after a lost client is worked off in seconds.",
            bad="Ready ones that stay for minutes, or all lines at 0 while there is no leader.",
            width=8,
            height=7,
        ),
        Panel(
            title="Which clients did the leader hear?",
            about=recorded.HEARTBEATS_ACTIVE,
            series=(
                Series(f"outrider:heartbeats_active{{{WHERE}}}", "heard by the leader"),
                Series(f"outrider:clients_targeted{{{WHERE}}} - outrider:clients_down{{{WHERE}}}", "answer scrapes"),
                Series(f"outrider:heartbeats_missed{{{WHERE}}}", "missed heartbeats lately"),
            ),
            when_empty="no leader",
            good="The leader hears as many as answer.",
            bad="Fewer heard than answer: clients are cut from the servers, and their work is started elsewhere.",
            width=8,
            height=7,
        ),
        Panel(
            title="How long did a write take?",
            about=recorded.COMMIT_MILLISECONDS,
            series=(
                Series(f"outrider:commit_milliseconds{{{WHERE}}}", "commit"),
                Series(f"outrider:contact_milliseconds{{{WHERE}}}", "age of contact"),
            ),
            when_empty="nothing written",
            good="Commits of a few milliseconds, contacts below 150 ms.",
            bad="A rise before the first alert: slow disks or a slow network were the cause.",
            width=8,
            height=7,
        ),
    ),
)

REVIEW = Dashboard(
    view=views.REVIEW,
    description="An incident on one time line: choose its time, and read from the top.",
    choices=(CLUSTER, REGION),
    notes=(LEADERS_NOTE, NOTES[0]),
    rows=(_LINES, _ELECTIONS, _WORK),
)

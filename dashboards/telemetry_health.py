"""Whether what the alerts rest on can be trusted: targets, scrapes, series, freshness, rules and notifications."""

from collections.abc import Callable

from alert_rules import recorded, views
from alert_rules.settings import RuleSettings
from alert_rules.trust import CERTIFICATE_ALMOST_EXPIRED, CERTIFICATE_EXPIRING, DESCRIPTORS, SCRAPE_SLOW
from dashboards.panel import Choice, Color, Dashboard, Limit, Note, Panel, PanelKind, Row, Series
from dashboards.selecting import CLUSTER, PICKED, SHOWN_MAX, Seen, foremost, highest, last
from telemetry.catalogue import exporter, external, outrider, runtime, tls
from telemetry.catalogue.metric import Unit

_WHERE = 'cluster="$cluster"'
_MINE = f'role=~"$role", {_WHERE}, {PICKED}'
_AGENTS = tuple(f'role="{role}", {_WHERE}, {PICKED}' for role in ("server", "client"))
_PROMETHEUS, _ALERTMANAGER = 'role="prometheus"', 'role="alertmanager"'


def _of_interval(share: float, settings: RuleSettings) -> float:
    """Return so large a *share* of the scrape interval, in seconds."""
    return share * settings.times.scrape_interval_seconds


def _of_each_agent(series: str) -> Callable[[Seen], str]:
    """Return what makes PromQL of *series* of servers and of clients."""
    return lambda seen: " or ".join(seen(f"{series}{{{matchers}}}") for matchers in _AGENTS)


def _descriptors(seen: Seen) -> str:
    return " or ".join(
        f"{seen(f'process_open_fds{{{matchers}}}')} / {seen(f'process_max_fds{{{matchers}}}')}" for matchers in _AGENTS
    )


def _samples(seen: Seen) -> str:
    return seen(f"scrape_samples_scraped{{{_MINE}}}")


def _kept(seen: Seen) -> str:
    return seen(f"outrider_metrics_series{{{_MINE}}}")


def _refused(seen: Seen) -> str:
    return seen(f"outrider_metrics_series_refused_total{{{_MINE}}}")


def _moves() -> str:
    now, shown = (
        " or ".join(f"changes(nomad_runtime_malloc_count{{{matchers}}}[{over})" for matchers in _AGENTS)
        for over in ("$__rate_interval]", "$__range] @ end()")
    )
    return foremost(now, shown, pick="bottomk")


def _certificates(of: str) -> str:
    series = f"nomad_agent_tls_{of}_expiration_seconds{{{_MINE}}}"
    return foremost(
        f"min by (instance) ({series})", f"min by (instance) ({last(series)})", by="instance", pick="bottomk"
    )


def _of_used(counter: str) -> str:
    """Return PromQL for the rate of a *counter* of Alertmanager by kind of receiver, of those that it counted anything of.

    It has a dozen kinds, and most people use one or two.
    """
    mine = f"{counter}{{{_ALERTMANAGER}}}"
    return f"sum by (integration) (rate({mine}[$__rate_interval])) and sum by (integration) ({mine}) > 0"


_TARGET = "cluster, region, job, instance"
_ANSWERING = foremost(f"up{{{_MINE}}}", f"1 - avg_over_time(up{{{_MINE}}}[$__range] @ end())", by=_TARGET)

_TARGETS = Row(
    "Targets and scrapes",
    (
        Panel(
            title="Which target answers?",
            about=external.UP,
            kind=PanelKind.STATE_TIMELINE,
            description=f"At most {SHOWN_MAX}: those that were silent for the longest of the time shown, then any others.",
            series=(Series(_ANSWERING, "{{job}} {{instance}}"),),
            words=((0, "silent", Color.BAD), (1, "answers", Color.GOOD)),
            good="Unbroken bars, one for each agent that there is.",
            bad="A red bar; or an agent that has no bar, and that nobody watches.",
            width=16,
            height=9,
        ),
        Panel(
            title="How many targets are there, by job?",
            about=external.UP,
            unit=Unit.COUNT,
            kind=PanelKind.TABLE,
            columns=("job",),
            series=(
                Series(f"count by (job) (up{{{_WHERE}}})", "targets"),
                Series(f"sum by (job) (up{{{_WHERE}}})", "answer"),
            ),
            good="As many targets as outrider.yaml or discovery names, and all answer.",
            bad="Fewer targets than agents: `outrider check` says which are missing.",
            width=8,
            height=9,
        ),
        Panel(
            title="How long does a scrape take?",
            about=external.SCRAPE_DURATION_SECONDS,
            series=(Series(highest(_of_each_agent("scrape_duration_seconds")), "{{instance}}"),),
            limits=(Limit(SCRAPE_SLOW, "share", at=_of_interval),),
            description=f"The {SHOWN_MAX} that took longest at the end.",
            good="Tens of milliseconds.",
            bad="Above the line; when it takes as long as the interval the agent looks dead.",
            width=8,
            height=8,
        ),
        Panel(
            title="How many samples does a scrape bring?",
            about=external.SCRAPE_SAMPLES_SCRAPED,
            series=(Series(highest(_samples, _TARGET), "{{instance}}"),),
            description=f"The {SHOWN_MAX} that brought the most at the end.",
            good="Level; a leader brings some ten for each job more than the others.",
            bad="A line that climbs without end: something makes labels that never repeat.",
            width=8,
            height=8,
        ),
        Panel(
            title="How many series are new at a scrape?",
            about=external.SCRAPE_SERIES_ADDED,
            series=(Series(f"sum by (job) (scrape_series_added{{{_MINE}}})", "{{job}}"),),
            good="Near 0, with bursts at elections and deployments.",
            bad="Thousands all the time: jobs that churn fill the memory of Prometheus.",
            width=8,
            height=8,
        ),
    ),
)

_TRUST = Row(
    "Freshness and limits",
    (
        Panel(
            title="Do the values of each agent move?",
            about=runtime.MALLOC_COUNT,
            unit=Unit.COUNT,
            series=(Series(_moves(), "{{instance}}"),),
            description=f"The {SHOWN_MAX} that moved the least in the time shown.",
            good="A few changes in every interval.",
            bad="0 while the agent answers: its collection has stopped, or something gives old answers.",
            width=8,
            height=8,
        ),
        Panel(
            title="How many servers answer without a word about Raft?",
            about=recorded.SERVERS_BLIND,
            series=(Series(f"outrider:servers_blind{{{_WHERE}}}", "blind {{region}}"),),
            steps=((None, Color.GOOD), (1, Color.BAD)),
            good="0.",
            bad="1 and more: a filter drops what alerts rest on; `outrider check` says which.",
            width=8,
            height=8,
        ),
        Panel(
            title="How many file descriptors has each agent used?",
            about=external.PROCESS_OPEN_FDS,
            unit=Unit.RATIO,
            series=(Series(highest(_descriptors), "{{instance}}"),),
            description=f"The {SHOWN_MAX} with the largest share at the end.",
            limits=(Limit(DESCRIPTORS, "share"),),
            good="Far below the line.",
            bad="Above the line; at 100 % it takes no connection any more.",
            width=8,
            height=8,
        ),
        Panel(
            title="How long are the certificates valid?",
            about=tls.CERT_EXPIRATION_SECONDS,
            series=(
                Series(_certificates("cert"), "{{instance}} certificate"),
                Series(_certificates("ca"), "{{instance}} authority"),
            ),
            description=f"The {SHOWN_MAX} that end first.",
            limits=(
                Limit(CERTIFICATE_EXPIRING, "left", color=Color.CAUTION, is_floor=True),
                Limit(CERTIFICATE_ALMOST_EXPIRED, "left", is_floor=True),
            ),
            when_empty="no TLS",
            good="Weeks and more.",
            bad="Below the lower line servers are about to lose each other.",
            width=12,
            height=8,
        ),
        Panel(
            title="How much memory does each agent hold?",
            about=external.PROCESS_RESIDENT_MEMORY_BYTES,
            series=(Series(highest(_of_each_agent("process_resident_memory_bytes")), "{{instance}}"),),
            description=f"The {SHOWN_MAX} that hold the most at the end.",
            good="Level, growing with the number of jobs and clients.",
            bad="A line that climbs for days.",
            width=12,
            height=8,
        ),
    ),
)

_RULES = Row(
    "Prometheus and Alertmanager",
    (
        Panel(
            title="How many series does Prometheus hold?",
            about=external.PROMETHEUS_TSDB_HEAD_SERIES,
            series=(Series(f"prometheus_tsdb_head_series{{{_PROMETHEUS}}}", "{{instance}}"),),
            good="Level.",
            bad="A line that climbs without end.",
            width=8,
            height=8,
        ),
        Panel(
            title="How long does evaluating the rules take, and how long may it?",
            about=external.PROMETHEUS_RULE_GROUP_LAST_DURATION_SECONDS,
            series=(
                Series(
                    f"max by (instance) (prometheus_rule_group_last_duration_seconds{{{_PROMETHEUS}}})",
                    "{{instance}} takes",
                ),
                Series(
                    f"min by (instance) (prometheus_rule_group_interval_seconds{{{_PROMETHEUS}}})", "{{instance}} may"
                ),
            ),
            good="A few hundredths of what it may take.",
            bad="As long as it may: evaluations are skipped, and alerts come late.",
            width=8,
            height=8,
        ),
        Panel(
            title="Do evaluations fail?",
            about=external.PROMETHEUS_RULE_EVALUATION_FAILURES_TOTAL,
            series=(
                Series(
                    f"sum by (instance) (increase(prometheus_rule_evaluation_failures_total{{{_PROMETHEUS}}}[$__rate_interval]))",
                    "{{instance}} failed",
                ),
                Series(
                    "sum by (instance) "
                    f"(increase(prometheus_rule_group_iterations_missed_total{{{_PROMETHEUS}}}[$__rate_interval]))",
                    "{{instance}} skipped",
                ),
            ),
            good="0.",
            bad="Anything else for a minute: alerts that rest on them are late or silent.",
            width=8,
            height=8,
        ),
        Panel(
            title="Do alerts reach Alertmanager?",
            about=external.PROMETHEUS_NOTIFICATIONS_DROPPED_TOTAL,
            series=(
                Series(
                    f"sum by (instance) (rate(prometheus_notifications_sent_total{{{_PROMETHEUS}}}[$__rate_interval]))",
                    "{{instance}} sent a second",
                ),
                Series(
                    f"sum by (instance) (rate(prometheus_notifications_dropped_total{{{_PROMETHEUS}}}[$__rate_interval]))",
                    "{{instance}} dropped a second",
                ),
                Series(
                    f"min by (instance) (prometheus_notifications_alertmanagers_discovered{{{_PROMETHEUS}}})",
                    "Alertmanagers {{instance}} knows",
                ),
            ),
            good="Some are sent all the time, as the Watchdog always fires; none is dropped.",
            bad="None is sent, or some are dropped: nobody is told of anything.",
            width=8,
            height=8,
        ),
        Panel(
            title="Do notifications reach their receivers?",
            about=external.ALERTMANAGER_NOTIFICATION_REQUESTS_FAILED_TOTAL,
            series=(
                Series(_of_used("alertmanager_notification_requests_total"), "{{integration}} tried a second"),
                Series(_of_used("alertmanager_notification_requests_failed_total"), "{{integration}} failed a second"),
            ),
            description="Only kinds of receivers to which something was sent, or failed.",
            when_empty="none sent yet",
            good="None fails.",
            bad="Some fail: `outrider alert test` shows which receiver does not answer.",
            width=8,
            height=8,
        ),
        Panel(
            title="Were the last configurations accepted?",
            about=external.PROMETHEUS_CONFIG_LAST_RELOAD_SUCCESSFUL,
            kind=PanelKind.STATE_TIMELINE,
            series=(
                Series(f"prometheus_config_last_reload_successful{{{_PROMETHEUS}}}", "{{instance}}"),
                Series(f"alertmanager_config_last_reload_successful{{{_ALERTMANAGER}}}", "{{instance}}"),
            ),
            words=((0, "refused", Color.BAD), (1, "accepted", Color.GOOD)),
            good="Accepted.",
            bad="Refused: what was changed since does not count, and a restart would fail.",
            width=8,
            height=8,
        ),
        Panel(
            title="Which alerts fire now?",
            about=external.ALERTS,
            kind=PanelKind.TABLE,
            columns=("alertname", "severity"),
            series=(
                Series(
                    'max by (alertname, severity) (ALERTS{alertstate="firing", cluster="$cluster"}'
                    ' or ALERTS{alertstate="firing", alertname=~"Outrider.+|Watchdog"})',
                    "state",
                    words=((1, "fires", Color.PLAIN),),
                ),
            ),
            description="The name of an alert opens its runbook, where those are published.",
            good="The Watchdog, and nothing else.",
            bad="No Watchdog: rules are not evaluated, and no other alert would come either.",
            runbook_label="alertname",
            width=12,
            height=8,
        ),
        Panel(
            title="How many alerts does Alertmanager hold, by state?",
            about=external.ALERTMANAGER_ALERTS,
            series=(Series(f"sum by (state) (alertmanager_alerts{{{_ALERTMANAGER}}})", "{{state}}"),),
            good="One active, the Watchdog.",
            bad="Suppressed ones that stay: a silence that was forgotten, or a cause that stays.",
            width=12,
            height=8,
        ),
    ),
)

_OURS = Row(
    "What Outrider says of itself",
    (
        Panel(
            title="How many series does each agent keep?",
            about=outrider.METRICS_SERIES,
            series=(
                Series(highest(_kept, _TARGET), "{{instance}}"),
                Series(highest(_refused, _TARGET), "{{instance}} refused"),
            ),
            description=f"The {SHOWN_MAX} that keep the most at the end, and the {SHOWN_MAX} that refused the most.",
            when_empty="no agent of ours",
            good="Level; none refused.",
            bad="Some refused: labels that never repeat filled its room.",
            width=8,
            height=8,
        ),
        Panel(
            title="Which servers does the exporter reach?",
            about=exporter.SERVER_REACHABLE,
            kind=PanelKind.STATE_TIMELINE,
            series=(Series(f"outrider_exporter_server_reachable{{{_WHERE}}}", "{{server}}"),),
            words=((0, "silent", Color.BAD), (1, "reached", Color.GOOD)),
            when_empty="no exporter",
            good="All of them.",
            bad="A silent one that answers Prometheus: a firewall stands in front of the exporter.",
            width=8,
            height=8,
        ),
        Panel(
            title="How many tasks of the processes failed?",
            about=outrider.TASK_FAILURES_TOTAL,
            series=(
                Series(
                    "sum by (instance, task) "
                    f"(increase(outrider_task_failures_total{{{_MINE}}}[$__rate_interval])) > 0",
                    "{{instance}} {{task}}",
                ),
            ),
            when_empty="none failed",
            good="None.",
            bad="A line: a loop of that process ended with an error and began anew; the log has it.",
            width=8,
            height=8,
        ),
    ),
    is_ours=True,
)

TELEMETRY_HEALTH = Dashboard(
    view=views.TELEMETRY,
    description="Targets, scrapes, series, rules and notifications: what all other dashboards and alerts rest on.",
    choices=(
        CLUSTER,
        Choice("role", "Role", f"up{{{_WHERE}}}", "role", has_all=True),
        Choice("instance", "Instance", f'up{{{_WHERE}, role=~"$role"}}', "instance", has_all=True),
    ),
    notes=(
        Note(
            "Alerts",
            'ALERTS{alertstate="firing", severity=~"critical|warning", cluster="$cluster"}',
            "{{alertname}}",
            "{{severity}}",
        ),
    ),
    rows=(_TARGETS, _TRUST, _RULES, _OURS),
)

"""What rules and dashboards need of agents and of Prometheus, read out of them."""

from alert_rules.budget import WINDOW_SCRAPES
from alert_rules.promql import resolve
from alert_rules.rules import rule_set
from alert_rules.settings import RuleSettings
from dashboards.panel import substituted
from dashboards.render import DASHBOARDS


def needed_series(settings: RuleSettings) -> frozenset[str]:
    """Return the names of all series that the rules of *settings* and the panels select."""
    rules = rule_set(settings)
    queries = [recording.expr for recording in rules.recording] + [alert.expr for alert in rules.alerts]
    queries += [
        substituted(series.expr) for dashboard in DASHBOARDS for panel in dashboard.panels for series in panel.series
    ]
    return frozenset(name for query in queries for name in resolve(query).metrics)


def rule_names(settings: RuleSettings) -> frozenset[str]:
    """Return the names of all rules of *settings*, recording rules by the series they write."""
    rules = rule_set(settings)
    return frozenset([rule.record.name for rule in rules.recording] + [rule.alert for rule in rules.alerts])


def shortest_window_seconds(settings: RuleSettings) -> float:
    """Return the shortest time that rules look back over: a window of scrapes, or a chosen one."""
    windows = settings.windows
    of_scrapes = WINDOW_SCRAPES * settings.times.scrape_interval_seconds
    return min(of_scrapes, windows.mean_seconds, windows.recent_seconds, windows.events_seconds)

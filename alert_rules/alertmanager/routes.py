"""Who gets which alert: the tree of routes, and the same answer for one alert at a time.

A group is one alert of one region, so that a page never waits for the interval of a group that a warning opened.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from alert_rules.alertmanager.matchers import equal, one_of
from alert_rules.inhibitions import EQUAL_LABELS
from alert_rules.receivers import Existing
from alert_rules.settings import NOBODY, Receiver, RuleSettings, Severity
from telemetry.scrape.duration import format_duration

WATCHDOG = "Watchdog"
TEAM = "team"
"""The label by which receivers tell the teams apart."""

# Alertmanager looks at a group each group_interval and repeats when repeat_interval has passed: the shorter repeat
# makes every look a heartbeat.
_HEARTBEAT_INTERVAL_SECONDS = 60.0
_HEARTBEAT_REPEAT_SECONDS = 50.0


def label(settings: RuleSettings, name: str) -> str:
    """Return what the alerts call our label *name*; empty when they lack it."""
    return settings.label_names.get(name, name)


def route_of(settings: RuleSettings, prefix: str = "") -> dict[str, Any]:
    """Return the route under which every alert of ours finds its receivers; *prefix* begins every name in it."""
    times = settings.times
    return {
        "receiver": prefix + NOBODY,
        "group_by": ["alertname", *equal_labels(settings)],
        "group_wait": format_duration(times.group_wait_seconds),
        "group_interval": format_duration(times.group_interval_seconds),
        "repeat_interval": format_duration(times.repeat_interval_seconds),
        "routes": [
            _heartbeat(settings, prefix),
            *(route for receiver in settings.receivers for route in _routes(settings, receiver, prefix)),
        ],
    }


def equal_labels(settings: RuleSettings) -> list[str]:
    """Return the labels that tell one fault from the same one elsewhere, as the alerts call them."""
    return [name for name in (label(settings, ours) for ours in EQUAL_LABELS) if name]


def receivers_of(
    settings: RuleSettings, alert: str, severity: str, labels: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Return the names of the receivers that get an alert, in order; `nobody` when there are none.

    *labels* are further ones that it has; without them it is of the settings' cluster and has the labels that every
    alert gets. Mute times are not looked at.
    """
    own = {"cluster": settings.cluster} if label(settings, "cluster") else {}
    found = {**own, **settings.alert_labels, **(labels or {})}
    names = tuple(
        receiver.name
        for receiver in settings.receivers
        if (receiver.watchdog if alert == WATCHDOG else severity in {wanted.value for wanted in receiver.severities})
        and (not receiver.teams or found.get(TEAM) in receiver.teams)
        and (not receiver.clusters or found.get("cluster") in receiver.clusters)
    )
    return names or (NOBODY,)


def _heartbeat(settings: RuleSettings, prefix: str) -> dict[str, Any]:
    """Return the route of the dead-man's switch, which is told at once and again every minute."""
    only_watchdog = equal("alertname", WATCHDOG)
    heartbeat: dict[str, Any] = {
        "receiver": prefix + NOBODY,
        "matchers": [only_watchdog],
        "group_wait": "0s",
        "group_interval": format_duration(_HEARTBEAT_INTERVAL_SECONDS),
        "repeat_interval": format_duration(_HEARTBEAT_REPEAT_SECONDS),
    }
    watching = [
        {"receiver": _target(each, prefix), "matchers": [only_watchdog, *_scope(settings, each)], "continue": True}
        for each in settings.receivers
        if each.watchdog
    ]
    if watching:
        heartbeat["routes"] = watching
    return heartbeat


def _routes(settings: RuleSettings, receiver: Receiver, prefix: str) -> Iterator[dict[str, Any]]:
    """Yield the routes of one receiver: two where its mute times hold back warnings and let pages through."""
    never_muted = () if receiver.mute_critical or not receiver.mute else (Severity.CRITICAL,)
    for severities, mute in (
        ([each for each in receiver.severities if each in never_muted], ()),
        ([each for each in receiver.severities if each not in never_muted], receiver.mute),
    ):
        if not severities:
            continue
        matchers = [one_of("severity", (each.value for each in severities)), *_scope(settings, receiver)]
        route: dict[str, Any] = {"receiver": _target(receiver, prefix), "matchers": matchers, "continue": True}
        if mute:
            route["mute_time_intervals"] = [prefix + name for name in mute]
        yield route


def _target(receiver: Receiver, prefix: str) -> str:
    """Return what a route calls *receiver*: one of the operator's own keeps its name."""
    return receiver.channel.receiver if isinstance(receiver.channel, Existing) else prefix + receiver.name


def _scope(settings: RuleSettings, receiver: Receiver) -> Iterator[str]:
    """Yield the matchers of the teams and clusters that *receiver* is for."""
    if receiver.teams:
        yield one_of(TEAM, receiver.teams)
    if receiver.clusters:
        # Alerts that lack the label are of no cluster that could be named here.
        yield one_of(label(settings, "cluster") or "cluster", receiver.clusters)

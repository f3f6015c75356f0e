"""The Alertmanager configuration: routes, receivers, grouping and inhibitions.

A group is one alert of one region, so that a page never waits for the interval of a group that a warning opened.
Understood by Alertmanager 0.25 and later.
"""

from typing import Any

from alert_rules.inhibitions import EQUAL_LABELS, INHIBITIONS, Inhibition
from alert_rules.settings import EmailReceiver, Receiver, RuleSettings, WebhookReceiver
from telemetry.scrape.duration import format_duration

NOBODY = "nobody"
"""The receiver without any address, for what must not notify."""

WATCHDOG = "Watchdog"
# Alertmanager looks at a group each group_interval and repeats when repeat_interval has passed: the shorter repeat
# makes every look a heartbeat.
_HEARTBEAT_INTERVAL_SECONDS = 60.0
_HEARTBEAT_REPEAT_SECONDS = 50.0


def alertmanager_config(settings: RuleSettings) -> dict[str, Any]:
    """Return the whole of alertmanager.yml, in an order that never varies."""
    times = settings.times
    return {
        "route": {
            "receiver": NOBODY,
            "group_by": ["alertname", *EQUAL_LABELS],
            "group_wait": format_duration(times.group_wait_seconds),
            "group_interval": format_duration(times.group_interval_seconds),
            "repeat_interval": format_duration(times.repeat_interval_seconds),
            "routes": _routes(settings.receivers),
        },
        "receivers": [{"name": NOBODY}, *(_receiver(receiver) for receiver in settings.receivers)],
        "inhibit_rules": [_inhibit_rule(row) for row in INHIBITIONS],
    }


def receivers_of(settings: RuleSettings, alert: str, severity: str) -> tuple[str, ...]:
    """Return the names of the receivers that get an alert, in order; `nobody` when there are none."""
    if alert == WATCHDOG:
        names = tuple(receiver.name for receiver in settings.receivers if receiver.watchdog)
    else:
        names = tuple(
            receiver.name
            for receiver in settings.receivers
            if severity in {wanted.value for wanted in receiver.severities}
        )
    return names or (NOBODY,)


def _routes(receivers: tuple[Receiver, ...]) -> list[dict[str, Any]]:
    heartbeat: dict[str, Any] = {
        "receiver": NOBODY,
        "matchers": [f'alertname="{WATCHDOG}"'],
        "group_wait": "0s",
        "group_interval": format_duration(_HEARTBEAT_INTERVAL_SECONDS),
        "repeat_interval": format_duration(_HEARTBEAT_REPEAT_SECONDS),
    }
    watching = [receiver.name for receiver in receivers if receiver.watchdog]
    if watching:
        heartbeat["routes"] = [
            {"receiver": name, "matchers": [f'alertname="{WATCHDOG}"'], "continue": True} for name in watching
        ]
    return [heartbeat, *(_route(receiver) for receiver in receivers)]


def _route(receiver: Receiver) -> dict[str, Any]:
    severities = "|".join(severity.value for severity in receiver.severities)
    return {"receiver": receiver.name, "matchers": [f'severity=~"{severities}"'], "continue": True}


def _receiver(receiver: Receiver) -> dict[str, Any]:
    match receiver:
        case WebhookReceiver():
            config: dict[str, Any] = {"url": receiver.url, "send_resolved": True}
            if receiver.token_file is not None:
                config["http_config"] = {
                    "authorization": {"type": "Bearer", "credentials_file": receiver.token_file},
                }
            return {"name": receiver.name, "webhook_configs": [config]}
        case EmailReceiver():
            return {"name": receiver.name, "email_configs": [_email(receiver)]}


def _email(receiver: EmailReceiver) -> dict[str, Any]:
    config: dict[str, Any] = {
        "to": receiver.to,
        "from": receiver.sender,
        "smarthost": receiver.smarthost,
        "require_tls": receiver.require_tls,
        "send_resolved": True,
        "headers": {"Subject": "[{{ .Status }}] {{ .CommonLabels.alertname }} {{ .CommonLabels.cluster }}"},
    }
    if receiver.username is not None:
        config["auth_username"] = receiver.username
    if receiver.password_file is not None:
        config["auth_password_file"] = receiver.password_file
    return config


def _inhibit_rule(row: Inhibition) -> dict[str, Any]:
    return {
        "source_matchers": [f'alertname="{row.cause}"'],
        "target_matchers": [f'alertname=~"{"|".join(row.consequences)}"'],
        "equal": list(EQUAL_LABELS),
    }

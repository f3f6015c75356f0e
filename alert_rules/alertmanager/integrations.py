"""From a receiver to its entry in the configuration; the texts are those of outrider.tmpl."""

from typing import Any, assert_never

from alert_rules.receivers import (
    Discord,
    Email,
    Existing,
    MsTeams,
    MsTeamsV2,
    Opsgenie,
    OwnChannel,
    PagerDuty,
    Raw,
    Slack,
    Telegram,
    Webhook,
)
from alert_rules.settings import Receiver


def receiver_entry(receiver: Receiver, prefix: str = "") -> dict[str, Any]:
    """Return the entry of *receiver* under `receivers`; *prefix* begins its name."""
    resolved = {"send_resolved": receiver.send_resolved}
    entry: dict[str, Any] = {"name": prefix + receiver.name}
    channel = receiver.channel
    assert not isinstance(channel, Existing), "that one is the operator's"
    if isinstance(channel, Raw):
        # What the operator wrote comes last, and so decides.
        return entry | {kind: [resolved | config for config in configs] for kind, configs in channel.configs.items()}
    return entry | {f"{channel.kind}_configs": [_config(channel) | resolved]}


def _config(channel: OwnChannel) -> dict[str, Any]:
    match channel:
        case Webhook():
            return _webhook(channel)
        case Email():
            return _email(channel)
        case Slack():
            return _slack(channel)
        case PagerDuty():
            return _pagerduty(channel)
        case Opsgenie():
            return _opsgenie(channel)
        case MsTeams():
            return {
                "webhook_url_file": channel.webhook_url_file,
                "title": _text("title"),
                "summary": _text("title"),
                "text": _text("markdown"),
            }
        case MsTeamsV2():
            return {
                "webhook_url_file": channel.webhook_url_file,
                "title": _text("title"),
                "text": _text("markdown"),
            }
        case Discord():
            return {
                "webhook_url_file": channel.webhook_url_file,
                "title": _text("title"),
                "message": _text("markdown"),
            }
        case Telegram():
            return _telegram(channel)
        case _:
            assert_never(channel)


def _text(name: str) -> str:
    """Return the call of the text *name* of outrider.tmpl."""
    return f'{{{{ template "outrider.{name}" . }}}}'


def _given(**settings: Any) -> dict[str, Any]:
    """Return those of *settings* that have a value."""
    return {name: value for name, value in settings.items() if value is not None}


def _webhook(channel: Webhook) -> dict[str, Any]:
    config = _given(url=channel.url, url_file=channel.url_file)
    if channel.token_file is not None:
        config["http_config"] = {"authorization": {"type": "Bearer", "credentials_file": channel.token_file}}
    elif channel.username is not None:
        config["http_config"] = {"basic_auth": {"username": channel.username, "password_file": channel.password_file}}
    return config


def _email(channel: Email) -> dict[str, Any]:
    return {
        "to": channel.to,
        "from": channel.sender,
        "smarthost": channel.smarthost,
        **_given(auth_username=channel.username, auth_password_file=channel.password_file),
        "require_tls": channel.require_tls,
        "headers": {"Subject": _text("title")},
        "html": _text("html"),
        "text": _text("text"),
    }


def _slack(channel: Slack) -> dict[str, Any]:
    return {
        "api_url_file": channel.api_url_file,
        **_given(channel=channel.channel),
        "color": _text("slack.color"),
        "title": _text("title"),
        "title_link": _text("url"),
        "fallback": _text("title"),
        "text": _text("slack.text"),
        "mrkdwn_in": ["text"],
    }


def _pagerduty(channel: PagerDuty) -> dict[str, Any]:
    return {
        "routing_key_file": channel.routing_key_file,
        **_given(url=channel.url),
        "description": f"{_text('title')}: {_text('summary')}",
        "severity": _text("pagerduty.severity"),
        "class": _text("alertname"),
        "component": _text("instance"),
        "group": _text("place"),
        "client": "Outrider",
        "client_url": _text("url"),
        # The first two replace Alertmanager's own, which list every label of every alert.
        "details": {
            "firing": _text("firing"),
            "resolved": _text("resolved"),
            "what_to_do": _text("what_to_do"),
            "runbook": _text("runbook"),
            "dashboard": _text("dashboard"),
            "silence": _text("silence_url"),
        },
        "links": [
            {"href": _text("runbook_url"), "text": "Runbook"},
            {"href": _text("url"), "text": "Dashboard"},
            {"href": _text("silence_url"), "text": "Silence"},
        ],
    }


def _opsgenie(channel: Opsgenie) -> dict[str, Any]:
    config: dict[str, Any] = {
        "api_key_file": channel.api_key_file,
        **_given(api_url=channel.api_url),
        "message": _text("title"),
        "description": _text("text"),
        "priority": _text("opsgenie.priority"),
        "source": "{{ .ExternalURL }}",
        "entity": _text("instance"),
        "tags": _text("opsgenie.tags"),
        "details": {
            "runbook": _text("runbook"),
            "dashboard": _text("dashboard"),
            "silence": _text("silence_url"),
        },
    }
    if channel.responders:
        config["responders"] = [{"name": team, "type": "team"} for team in channel.responders]
    return config


def _telegram(channel: Telegram) -> dict[str, Any]:
    return {
        "bot_token_file": channel.bot_token_file,
        "chat_id": channel.chat_id,
        **_given(message_thread_id=channel.message_thread_id, api_url=channel.api_url),
        "parse_mode": "HTML",
        "message": _text("telegram"),
    }

"""Set-ups of receivers that the configuration of Alertmanager is judged by."""

from dataclasses import replace

from alert_rules.receivers import (
    Discord,
    Email,
    MsTeams,
    MsTeamsV2,
    MuteInterval,
    MuteTime,
    Opsgenie,
    PagerDuty,
    Raw,
    Slack,
    Telegram,
    Webhook,
)
from alert_rules.settings import ExpectedRegion, Receiver, RuleSettings, Severity
from alert_rules.versions import OLDEST, AlertmanagerVersion

NONE = RuleSettings(cluster="demo", regions=(ExpectedRegion(name="global", expected_servers=3),))
CHANNELS = {
    "webhook": Webhook(url="http://127.0.0.1:9/", token_file="/run/token"),
    "webhook-basic": Webhook(url="http://127.0.0.1:9/", username="a", password_file="/run/password"),
    "email": Email(
        to="ops@example.com",
        sender="alerts@example.com",
        smarthost="127.0.0.1:25",
        username="alerts",
        password_file="/run/password",
    ),
    "slack": Slack(api_url_file="/run/slack", channel="#nomad"),
    "pagerduty": PagerDuty(routing_key_file="/run/pagerduty", url="http://127.0.0.1:9/"),
    "opsgenie": Opsgenie(api_key_file="/run/opsgenie", api_url="http://127.0.0.1:9/", responders=("platform",)),
    "raw": Raw(configs={"victorops_configs": [{"api_key_file": "/run/victorops", "routing_key": "nomad"}]}),
}
"""Every channel that Alertmanager 0.25 has, with all its settings."""

NEWER_CHANNELS = {
    "webhook-file": (Webhook(url_file="/run/url"), AlertmanagerVersion(0, 28)),
    "msteams": (MsTeams(webhook_url_file="/run/teams"), AlertmanagerVersion(0, 28)),
    "msteamsv2": (MsTeamsV2(webhook_url_file="/run/teams"), AlertmanagerVersion(0, 28)),
    "discord": (Discord(webhook_url_file="/run/discord"), AlertmanagerVersion(0, 28)),
    "telegram": (Telegram(bot_token_file="/run/telegram", chat_id=-42), AlertmanagerVersion(0, 26)),
    "telegram-topic": (
        Telegram(bot_token_file="/run/telegram", chat_id=-42, message_thread_id=3),
        AlertmanagerVersion(0, 28),
    ),
}
"""Those that need a newer one, and which."""

NIGHTS = MuteTime(
    name="nights",
    intervals=(
        MuteInterval(times=(("00:00", "07:00"), ("22:00", "24:00")), location="Europe/Berlin"),
        MuteInterval(weekdays=("saturday", "sunday"), months=("april:june",), days_of_month=("1:7", "-1")),
    ),
)
HOOK = CHANNELS["webhook"]


def hook(name, **choices):
    """Return a receiver by webhook."""
    return Receiver(name=name, channel=HOOK, **choices)


SET_UPS = {
    "nobody": (NONE, OLDEST),
    **{
        name: (replace(NONE, receivers=(Receiver(name=name, channel=channel),)), OLDEST)
        for name, channel in CHANNELS.items()
    },
    **{
        name: (replace(NONE, receivers=(Receiver(name=name, channel=channel),)), version)
        for name, (channel, version) in NEWER_CHANNELS.items()
    },
    "severities": (
        replace(
            NONE,
            receivers=(
                hook("pages", severities=(Severity.CRITICAL,)),
                hook("warnings", severities=(Severity.WARNING,)),
                hook("both"),
                hook("dead-man", severities=(), watchdog=True),
            ),
        ),
        OLDEST,
    ),
    "teams": (
        replace(
            NONE,
            alert_labels={"team": "platform"},
            receivers=(
                hook("platform", teams=("platform",), watchdog=True),
                hook("any-of-two", teams=("core", "platform.eu", "platform")),
                hook("core", teams=("core",), watchdog=True),
            ),
        ),
        OLDEST,
    ),
    "clusters": (
        replace(
            NONE,
            receivers=(
                hook("demo", clusters=("demo",), watchdog=True),
                hook("eu-or-demo", clusters=("eu", "demo"), severities=(Severity.CRITICAL,)),
                hook("eu", clusters=("eu",), watchdog=True),
                hook("all"),
            ),
        ),
        OLDEST,
    ),
    "mute": (
        replace(
            NONE,
            mute_times=(NIGHTS,),
            receivers=(
                hook("by-day", mute=("nights",)),
                hook("wholly", mute=("nights",), mute_critical=True),
                hook("always"),
            ),
        ),
        OLDEST,
    ),
    "other labels": (
        replace(
            NONE,
            label_names={"cluster": "nomad_cluster", "region": ""},
            receivers=(hook("demo", clusters=("demo",)), hook("eu", clusters=("eu",)), hook("all")),
        ),
        OLDEST,
    ),
}
"""Settings and the first Alertmanager that takes them, by name."""


def takes(amtool, version):
    """Tell whether *amtool* is new enough for what needs *version*."""
    return tuple(int(part) for part in amtool.version.split(".")[:2]) >= (version.major, version.minor)

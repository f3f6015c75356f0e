"""What a receiver in Alertmanager's own settings may say: no secret in it, and nothing newer than the Alertmanager.

Only judges; the settings themselves are passed on as they are.
Source: Alertmanager's CHANGELOG, held against `amtool check-config` of 0.25 and 0.33.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from alert_rules.versions import AlertmanagerVersion as Version

FIRST_WITH: dict[str, Version] = {
    "webhook_configs": Version(0, 1),
    "email_configs": Version(0, 1),
    "slack_configs": Version(0, 1),
    "pushover_configs": Version(0, 1),
    "pagerduty_configs": Version(0, 11),
    "opsgenie_configs": Version(0, 11),
    "victorops_configs": Version(0, 11),
    "wechat_configs": Version(0, 12),
    "sns_configs": Version(0, 23),
    "telegram_configs": Version(0, 24),
    "discord_configs": Version(0, 25),
    "webex_configs": Version(0, 25),
    "msteams_configs": Version(0, 26),
    "jira_configs": Version(0, 28),
    "msteamsv2_configs": Version(0, 28),
    "rocketchat_configs": Version(0, 28),
    "incidentio_configs": Version(0, 29),
    "mattermost_configs": Version(0, 30),
}
"""The first Alertmanager that has each kind of receiver. One that is not here is passed on unjudged."""

_FILE_SINCE: dict[tuple[str, str], Version] = {
    ("webhook_configs", "url_file"): Version(0, 28),
    ("email_configs", "auth_password_file"): Version(0, 25),
    ("email_configs", "auth_secret_file"): Version(0, 31),
    ("slack_configs", "api_url_file"): Version(0, 22),
    ("slack_configs", "app_token_file"): Version(0, 30),
    ("pushover_configs", "user_key_file"): Version(0, 26),
    ("pushover_configs", "token_file"): Version(0, 26),
    ("pagerduty_configs", "routing_key_file"): Version(0, 25),
    ("pagerduty_configs", "service_key_file"): Version(0, 25),
    ("opsgenie_configs", "api_key_file"): Version(0, 24),
    ("victorops_configs", "api_key_file"): Version(0, 25),
    ("wechat_configs", "api_secret_file"): Version(0, 31),
    ("telegram_configs", "bot_token_file"): Version(0, 26),
    ("discord_configs", "webhook_url_file"): Version(0, 28),
    ("msteams_configs", "webhook_url_file"): Version(0, 28),
    ("msteamsv2_configs", "webhook_url_file"): Version(0, 28),
    ("rocketchat_configs", "token_file"): Version(0, 28),
    ("rocketchat_configs", "token_id_file"): Version(0, 28),
    ("incidentio_configs", "url_file"): Version(0, 29),
    ("incidentio_configs", "alert_source_token_file"): Version(0, 29),
    ("mattermost_configs", "webhook_url_file"): Version(0, 30),
}
"""The first Alertmanager in which each file works, as in `alert_rules.receivers`."""

_NO_SECRET = {("victorops_configs", "routing_key"), ("sns_configs", "access_key")}
_FREE_FORM = {"custom_fields", "details", "fields"}
"""Mappings whose keys the operator invents, so that a name in them says nothing."""
_HEADERS = {"http_headers", "proxy_connect_header"}
_SECRET_BY_KIND = {
    ("slack_configs", "api_url"),
    ("discord_configs", "webhook_url"),
    ("msteams_configs", "webhook_url"),
    ("msteamsv2_configs", "webhook_url"),
    ("mattermost_configs", "webhook_url"),
    ("rocketchat_configs", "token_id"),
}
_PUBLIC_SLACK_API = "https://slack.com/api/chat.postMessage"
_SECRET_NAME = re.compile(r"(?:.*_)?(?:password|secret|token|key|credentials)\Z")
_SECRET_HEADER = re.compile(r"auth|cookie|token|secret|api-?key|password", re.IGNORECASE)
_SECRET_PARAMETER = re.compile(
    r"(?:.*[_-])?(?:auth|code|key|password|pass|secret|sig|signature|token)\Z", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one setting cannot be passed on: *path* leads to it, the problem ends a sentence that begins with it."""

    path: tuple[str | int, ...]
    problem: str


def url_has_secret(url: str) -> bool:
    """Tell whether *url* carries a password, or a parameter that is named like a secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    parameters = parse_qsl(parts.query, keep_blank_values=True)
    return parts.password is not None or any(_SECRET_PARAMETER.match(name) for name, _ in parameters)


def refusals(kind: str, configs: Any, version: Version) -> Iterator[Refusal]:
    """Yield what speaks against *configs*, the content of the list *kind*, in the order of the file.

    *version* is the Alertmanager that will read them.
    """
    if not kind.endswith("_configs"):
        yield Refusal((kind,), "is no list of Alertmanager's; write one such as pushover_configs")
        return
    first = FIRST_WITH.get(kind)
    if first is not None and first > version:
        yield Refusal((kind,), needs(first, version))
        return
    if not isinstance(configs, list) or not all(isinstance(config, dict) for config in configs) or not configs:
        yield Refusal((kind,), "is not a list of settings; write one `- ` entry for each")
        return
    for number, config in enumerate(configs):
        yield from _of_mapping(kind, config, (kind, number), version)


def needs(first: Version, version: Version) -> str:
    """Return the end of a sentence about what *first* is the earliest version with."""
    return (
        f"needs Alertmanager {first} or later, and alertmanager_version is {version}: "
        "set alertmanager_version where yours is newer"
    )


def _of_mapping(
    kind: str, settings: dict[str, Any], path: tuple[str | int, ...], version: Version
) -> Iterator[Refusal]:
    for name, value in settings.items():
        here = (*path, name)
        since = _FILE_SINCE.get((kind, name))
        if since is not None and since > version:
            yield Refusal(here, needs(since, version))
        elif name in _HEADERS and isinstance(value, dict):
            yield from _of_headers(value, here)
        elif name in _FREE_FORM:
            continue
        elif isinstance(value, dict):
            yield from _of_mapping(kind, value, here, version)
        elif isinstance(value, list):
            yield from _of_list(kind, value, here, version)
        elif value not in {None, ""} and _is_secret(kind, name, value):
            yield Refusal(here, _remedy(kind, name, version))
        elif isinstance(value, str) and "://" in value and url_has_secret(value):
            yield Refusal(here, _url_remedy(kind, name, version))


def _of_list(kind: str, items: list[Any], path: tuple[str | int, ...], version: Version) -> Iterator[Refusal]:
    for number, item in enumerate(items):
        if isinstance(item, dict):
            yield from _of_mapping(kind, item, (*path, number), version)


def _of_headers(headers: dict[str, Any], path: tuple[str | int, ...]) -> Iterator[Refusal]:
    """Judge headers that go along with each request: `secrets` hold some, and so does one that is named like a secret."""
    for name, header in headers.items():
        given = set(header) if isinstance(header, dict) else {""}
        if "secrets" in given or (_SECRET_HEADER.search(str(name)) and given - {"files"}):
            yield Refusal((*path, name), "holds a secret; put it into a file and name it in http_headers, under files")


def _is_secret(kind: str, name: str, value: object) -> bool:
    if (kind, name) in _NO_SECRET or isinstance(value, bool):
        return False
    if (kind, name) == ("slack_configs", "api_url") and value == _PUBLIC_SLACK_API:
        return False
    return (kind, name) in _SECRET_BY_KIND or _SECRET_NAME.match(name) is not None


def _remedy(kind: str, name: str, version: Version) -> str:
    if name == "secret_key":
        return (
            "holds a secret, and Alertmanager reads it from no file: leave it out, and give it to Alertmanager by the "
            "environment or by a profile"
        )
    file = "authorization.credentials_file" if name == "bearer_token" else f"{name}_file"
    return _by_file(file, _FILE_SINCE.get((kind, file)), version)


def _url_remedy(kind: str, name: str, version: Version) -> str:
    file = f"{name}_file"
    since = _FILE_SINCE.get((kind, file))
    if since is None:
        return "holds a secret; take it out of the URL"
    return _by_file(file, since, version)


def _by_file(file: str, since: Version | None, version: Version) -> str:
    later = "" if since is None or since <= version else f", which needs Alertmanager {since} or later"
    return f"holds a secret; put it into a file and name it in {file}{later}"

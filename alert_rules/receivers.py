"""The ways by which Alertmanager reaches people: one frozen type each, with only what an operator needs to say.

`kind` is its word in outrider.yaml, `since` the first Alertmanager that has it; `takes_heartbeat` says that a machine may
read it, so that a message a minute bothers nobody.
A field's annotation carries its `Option`: what outrider.yaml, the reference page and the check of versions need. Secrets are
always the path of a file, as Alertmanager sees it, which Alertmanager reads at each notification.

Source of every version: Alertmanager's CHANGELOG, held against `amtool check-config` of 0.25 and 0.33. A setting counts
from the release in which it works: `webhook_url_file` came in 0.27, which then refuses it, and `url_file` in 0.26,
which crashes when such a webhook fails; both are mended in 0.28.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Annotated, Any, ClassVar, get_type_hints

from alert_rules.versions import AlertmanagerVersion as Version

OptionValue = str | int | bool | list[str]


@dataclass(frozen=True, slots=True)
class Option:
    """What there is to know of one setting of a channel.

    *key* is its name in outrider.yaml where that is no Python name. *since* is the first Alertmanager in which it
    works, None where it is as old as its channel. *instead_of* names the setting that it cannot stand beside. *is_url*
    has its text checked to be one without a secret in it.
    """

    meaning: str
    example: OptionValue
    key: str | None = None
    since: Version | None = None
    instead_of: str | None = None
    is_url: bool = False


class ChannelError(ValueError):
    """A channel or receiver that cannot be: *key* names the setting, the text says what is wrong and the remedy."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key} {problem}")
        self.key = key
        self.problem = problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A URL to which Alertmanager posts each notification as JSON."""

    kind: ClassVar[str] = "webhook"
    takes_heartbeat: ClassVar[bool] = True
    since: ClassVar[Version] = Version(0, 1)

    url: Annotated[
        str | None,
        Option("Where to post; a URL with a secret in it goes into url_file.", "http://10.0.0.5:9095/", is_url=True),
    ] = None
    url_file: Annotated[
        str | None,
        Option("File that holds the URL.", "/etc/alertmanager/hook-url", since=Version(0, 28), instead_of="url"),
    ] = None
    token_file: Annotated[
        str | None, Option("File with a bearer token that is sent along.", "/etc/alertmanager/hook-token")
    ] = None
    username: Annotated[str | None, Option("Name for basic authentication.", "outrider", instead_of="token_file")] = (
        None
    )
    password_file: Annotated[
        str | None, Option("File with its password.", "/etc/alertmanager/hook-password", instead_of="token_file")
    ] = None

    def __post_init__(self) -> None:
        if (self.url is None) == (self.url_file is None):
            raise ChannelError("url", "and url_file: give exactly one of them")
        if self.password_file is not None and self.username is None:
            raise ChannelError("password_file", "stands without username; add it")
        if self.username is not None and self.password_file is None:
            raise ChannelError("username", "stands without password_file; add it")
        if self.username is not None and self.token_file is not None:
            raise ChannelError("token_file", "stands beside username; a request carries one of them, so remove one")


@dataclass(frozen=True, slots=True, kw_only=True)
class Email:
    """A mailbox, by way of an SMTP server; subject, HTML and plain text come from outrider.tmpl."""

    kind: ClassVar[str] = "email"
    takes_heartbeat: ClassVar[bool] = True
    since: ClassVar[Version] = Version(0, 1)

    to: Annotated[str, Option("Addresses, separated by commas.", "oncall@example.com")]
    sender: Annotated[str, Option("The address it comes from.", "outrider@example.com", key="from")]
    smarthost: Annotated[str, Option("host:port of the SMTP server.", "smtp.example.com:587")]
    username: Annotated[str | None, Option("Name to log in with.", "outrider")] = None
    password_file: Annotated[
        str | None,
        Option("File with the password; needs username.", "/etc/alertmanager/smtp-password", since=Version(0, 25)),
    ] = None
    require_tls: Annotated[bool, Option("Refuse to send without STARTTLS.", True)] = True

    def __post_init__(self) -> None:
        if self.password_file is not None and self.username is None:
            raise ChannelError("password_file", "stands without username; add it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slack:
    """A Slack channel, by way of an incoming webhook."""

    kind: ClassVar[str] = "slack"
    takes_heartbeat: ClassVar[bool] = False
    since: ClassVar[Version] = Version(0, 1)

    api_url_file: Annotated[
        str, Option("File with the URL of the incoming webhook.", "/etc/alertmanager/slack-url", since=Version(0, 22))
    ]
    channel: Annotated[str | None, Option("Channel or user, where the webhook leaves the choice.", "#nomad")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PagerDuty:
    """A PagerDuty service, by its Events API v2; one group of alerts is one incident, resolved with it."""

    kind: ClassVar[str] = "pagerduty"
    takes_heartbeat: ClassVar[bool] = False
    since: ClassVar[Version] = Version(0, 11)

    routing_key_file: Annotated[
        str, Option("File with the service's integration key.", "/etc/alertmanager/pagerduty-key", since=Version(0, 25))
    ]
    url: Annotated[
        str | None,
        Option("The API, where it is not the usual one.", "https://events.eu.pagerduty.com/v2/enqueue", is_url=True),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opsgenie:
    """An Opsgenie team; critical alerts are P1, warnings P3."""

    kind: ClassVar[str] = "opsgenie"
    takes_heartbeat: ClassVar[bool] = False
    since: ClassVar[Version] = Version(0, 11)

    api_key_file: Annotated[
        str, Option("File with the integration's API key.", "/etc/alertmanager/opsgenie-key", since=Version(0, 24))
    ]
    api_url: Annotated[
        str | None, Option("The API, where it is not the usual one.", "https://api.eu.opsgenie.com/", is_url=True)
    ] = None
    responders: Annotated[tuple[str, ...], Option("Names of the teams that it is assigned to.", ["platform"])] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MsTeams:
    """A Microsoft Teams channel, by way of an Office 365 connector; Microsoft retires these: prefer msteamsv2."""

    kind: ClassVar[str] = "msteams"
    takes_heartbeat: ClassVar[bool] = False
    since: ClassVar[Version] = Version(0, 26)

    webhook_url_file: Annotated[
        str, Option("File with the URL of the connector.", "/etc/alertmanager/teams-url", since=Version(0, 28))
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class MsTeamsV2:
    """A Microsoft Teams channel or chat, by way of a workflow (Power Automate)."""

    kind: ClassVar[str] = "msteamsv2"
    takes_heartbeat: ClassVar[bool] = False
    since: ClassVar[Version] = Version(0, 28)

    webhook_url_file: Annotated[
        str, Option("File with the URL of the workflow.", "/etc/alertmanager/teams-url", since=Version(0, 28))
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Discord:
    """A Discord channel, by way of its webhook."""

    kind: ClassVar[str] = "discord"
    takes_heartbeat: ClassVar[bool] = False
    since: ClassVar[Version] = Version(0, 25)

    webhook_url_file: Annotated[
        str, Option("File with the URL of the webhook.", "/etc/alertmanager/discord-url", since=Version(0, 28))
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Telegram:
    """A Telegram chat or group, by way of a bot."""

    kind: ClassVar[str] = "telegram"
    takes_heartbeat: ClassVar[bool] = False
    since: ClassVar[Version] = Version(0, 24)

    bot_token_file: Annotated[
        str, Option("File with the bot's token.", "/etc/alertmanager/telegram-token", since=Version(0, 26))
    ]
    chat_id: Annotated[int, Option("Number of the chat; that of a group is negative.", -1001234567890)]
    message_thread_id: Annotated[
        int | None, Option("Number of the topic within a group.", 17, since=Version(0, 28))
    ] = None
    api_url: Annotated[
        str | None, Option("The API, where it is not the usual one.", "https://api.telegram.org", is_url=True)
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Existing:
    """A receiver that your own Alertmanager has already, with its secrets; only for the parts that are merged into it."""

    kind: ClassVar[str] = "existing"
    takes_heartbeat: ClassVar[bool] = True
    since: ClassVar[Version] = Version(0, 1)

    receiver: Annotated[str, Option("Its name there.", "oncall-pager")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """Any other receiver of Alertmanager, in Alertmanager's own settings, which are passed on as they are.

    *configs* maps the name of a list, such as `pushover_configs`, to its entries. Secrets by file here too.
    """

    kind: ClassVar[str] = "raw"
    takes_heartbeat: ClassVar[bool] = True
    since: ClassVar[Version] = Version(0, 1)

    configs: Mapping[str, list[dict[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MuteInterval:
    """A span of time that comes again: what is given must hold together, each as Alertmanager writes it.

    *times* are pairs of start and end, "22:00" and "24:00", the end left out. *location* is a name of the IANA time
    zone database; UTC without it.
    """

    times: tuple[tuple[str, str], ...] = ()
    weekdays: tuple[str, ...] = ()
    days_of_month: tuple[str, ...] = ()
    months: tuple[str, ...] = ()
    years: tuple[str, ...] = ()
    location: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MuteTime:
    """A named time in which the receivers that name it are left alone: any of *intervals*."""

    name: str
    intervals: tuple[MuteInterval, ...]


OwnChannel = Webhook | Email | Slack | PagerDuty | Opsgenie | MsTeams | MsTeamsV2 | Discord | Telegram
TypedChannel = OwnChannel | Existing
Channel = TypedChannel | Raw
OWN_CHANNELS: tuple[type[OwnChannel], ...] = (
    Webhook, Email, Slack, PagerDuty, Opsgenie, MsTeams, MsTeamsV2, Discord, Telegram,
)  # fmt: skip
TYPED_CHANNELS: tuple[type[TypedChannel], ...] = (*OWN_CHANNELS, Existing)
"""In the order of the reference page."""


@dataclass(frozen=True, slots=True)
class OptionField:
    """An option with the field that it belongs to: *type* is the bare annotation, *default* None where it must be given."""

    name: str
    key: str
    type: Any
    option: Option
    is_required: bool
    default: Any


def options_of(channel: type[TypedChannel]) -> tuple[OptionField, ...]:
    """Return the options of a type of channel in the order they are declared."""
    hints = get_type_hints(channel, include_extras=True)
    found = []
    for each in fields(channel):
        annotation = hints[each.name]
        option: Option = annotation.__metadata__[0]
        is_required = each.default is MISSING
        found.append(
            OptionField(
                name=each.name,
                key=option.key or each.name,
                type=annotation.__origin__,
                option=option,
                is_required=is_required,
                default=None if is_required else each.default,
            )
        )
    return tuple(found)

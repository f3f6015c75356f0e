"""What an operator may choose about rules and notifications; everything else is fixed by the rules themselves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from alert_rules.dialect import CLUSTER, REGION, SHIPPED_SELECTORS, Dialect
from alert_rules.receivers import Channel, ChannelError, Existing, MuteTime
from alert_rules.versions import OLDEST, AlertmanagerVersion

NOBODY = "nobody"
"""The receiver without any address, for what must not notify."""
PREFIX = "outrider/"
"""What everything begins with that is merged into an operator's own Alertmanager configuration."""


class Severity(Enum):
    """How urgent an alert is; the value is that of the label `severity`."""

    CRITICAL = "critical"
    """Act now or work is lost."""
    WARNING = "warning"
    """Redundancy is gone, or trouble is ahead."""
    INFO = "info"
    """Never notifies."""
    NONE = "none"
    """The dead-man's switch, which says all is well by firing."""


NOTIFYING = (Severity.CRITICAL, Severity.WARNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedRegion:
    """How many servers a region is meant to have: a parameter, because whatever is measured shrinks with the losses."""

    name: str
    expected_servers: int
    cluster: str = ""
    """Empty for the one cluster that the settings name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What an operator chose for one alert; None leaves what the alert's own table says.

    *numbers* are its thresholds and windows by name, in the unit that the alert's table gives them.
    """

    enabled: bool = True
    severity: Severity | None = None
    hold_seconds: float | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The intervals of Prometheus and Alertmanager, in seconds; the defaults are the shipped ones."""

    scrape_interval_seconds: float = 5.0
    evaluation_interval_seconds: float = 5.0
    group_wait_seconds: float = 5.0
    group_interval_seconds: float = 60.0
    repeat_interval_seconds: float = 4 * 3_600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """How far back the recording rules look, in seconds.

    *mean_seconds*: over which times and shares are averaged; a minute smooths single slow writes and still lets a
    warning come within minutes. *recent_seconds*: in which heartbeats, deliveries and evaluations that failed count; a
    client that lost its connection for a moment is heard again within it. *events_seconds*: in which elections, lost
    leases, flaps, rejections and failed evaluations count; a rolling restart takes about as long. None may be shorter
    than four scrapes and a bit.
    """

    mean_seconds: float = 60.0
    recent_seconds: float = 300.0
    events_seconds: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Where the annotations of an alert point to."""

    runbook_base_url: str = "runbooks"
    """By default the folder of that name which `outrider build` writes; set it to where the pages are published."""
    dashboard_url: str = "http://127.0.0.1:3000/d/outrider-cluster"
    """Of one of our dashboards, in place of which each alert opens its own; another page stays as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Who is told, by which channel, and of what.

    Empty *teams* and *clusters* stand for all. *watchdog* adds the heartbeat of the dead-man's switch. *mute* names
    mute times, which hold back warnings, and with *mute_critical* pages too. Raises ChannelError when nothing could
    ever reach it, or a choice has no effect.
    """

    name: str
    channel: Channel
    severities: tuple[Severity, ...] = NOTIFYING
    teams: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    watchdog: bool = False
    send_resolved: bool = True
    mute: tuple[str, ...] = ()
    mute_critical: bool = False

    def __post_init__(self) -> None:
        if self.name == NOBODY or self.name.startswith(PREFIX):
            raise ChannelError("name", f"is {self.name!r}, which is reserved; choose another")
        if not self.severities and not self.watchdog:
            raise ChannelError("severities", "is empty and watchdog is not set, so nothing would ever come; name some")
        if self.watchdog and not self.channel.takes_heartbeat:
            raise ChannelError(
                "watchdog",
                f"would send a heartbeat every minute by {self.channel.kind}; give it to a receiver of its own, the "
                "webhook or mailbox of a dead-man's switch",
            )
        if isinstance(self.channel, Existing) and not self.send_resolved:
            raise ChannelError("send_resolved", "is your own configuration's to decide for an existing one; remove it")
        if self.mute_critical and not self.mute:
            raise ChannelError("mute_critical", "stands without mute; name the mute times, or remove it")
        if self.mute and not self.mute_critical and set(self.severities) <= {Severity.CRITICAL}:
            raise ChannelError(
                "mute", "mutes nothing: this receiver gets pages only; set mute_critical to true, or remove it"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSettings:
    """Everything the rule files and the Alertmanager configuration depend on.

    *choices* are by the alert's name. *alert_labels* come on every alert, such as the team that gets it.
    *prometheus_servers* and *alertmanagers* are how many of each there are.
    """

    cluster: str
    regions: tuple[ExpectedRegion, ...]
    times: Times = field(default_factory=Times)
    windows: Windows = field(default_factory=Windows)
    links: Links = field(default_factory=Links)
    receivers: tuple[Receiver, ...] = ()
    choices: Mapping[str, Choice] = field(default_factory=dict, hash=False)
    alert_labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    label_names: Mapping[str, str] = field(default_factory=dict, hash=False)
    """What targets call `cluster`, `region` and `instance`; empty for one they lack."""
    selectors: Mapping[str, str] = field(default_factory=lambda: dict(SHIPPED_SELECTORS), hash=False)
    """Matchers that pick servers, clients, Prometheus and Alertmanager, by role."""
    prometheus_servers: int = 1
    alertmanagers: int = 1
    mute_times: tuple[MuteTime, ...] = ()
    alertmanager_version: AlertmanagerVersion = OLDEST

    @property
    def has_existing_receivers(self) -> bool:
        """Whether receivers are named that only the operator's own Alertmanager has, so that there is no whole file."""
        return any(isinstance(receiver.channel, Existing) for receiver in self.receivers)

    @property
    def smallest_region(self) -> int:
        """The fewest servers that a region is expected to have."""
        return min(region.expected_servers for region in self.regions)

    @property
    def clusters(self) -> tuple[str, ...]:
        """The names of the clusters, in the order of their first region."""
        return tuple(dict.fromkeys(region.cluster or self.cluster for region in self.regions))

    @property
    def dialect(self) -> Dialect:
        """How the rules have to be written for the Prometheus they will run in."""
        regions = tuple(dict.fromkeys(region.name for region in self.regions))
        literals = {CLUSTER: self.clusters, REGION: regions}
        return Dialect(
            labels=dict(self.label_names),
            selectors=dict(self.selectors),
            clusters=self.clusters,
            literals={name: names[0] for name, names in literals.items() if len(names) == 1},
        )

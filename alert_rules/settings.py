"""What an operator may choose about rules and notifications; everything else is fixed by the rules themselves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from alert_rules.dialect import CLUSTER, REGION, SHIPPED_SELECTORS, Dialect


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


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookReceiver:
    """A URL that Alertmanager posts each notification to as JSON.

    *token_file* holds a bearer token; Alertmanager reads it at each notification. Secrets never stand in outrider.yaml.
    """

    name: str
    url: str
    token_file: str | None = None
    severities: tuple[Severity, ...] = NOTIFYING
    watchdog: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailReceiver:
    """A mailbox; *password_file* is read by Alertmanager and needs *username*."""

    name: str
    to: str
    sender: str
    smarthost: str
    username: str | None = None
    password_file: str | None = None
    require_tls: bool = True
    severities: tuple[Severity, ...] = NOTIFYING
    watchdog: bool = False


Receiver = WebhookReceiver | EmailReceiver


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
    choices: Mapping[str, Choice] = field(default_factory=dict)
    alert_labels: Mapping[str, str] = field(default_factory=dict)
    label_names: Mapping[str, str] = field(default_factory=dict)
    """What targets call `cluster`, `region` and `instance`; empty for one they lack."""
    selectors: Mapping[str, str] = field(default_factory=lambda: dict(SHIPPED_SELECTORS))
    """Matchers that pick servers, clients, Prometheus and Alertmanager, by role."""
    prometheus_servers: int = 1
    alertmanagers: int = 1

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

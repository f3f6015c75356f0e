"""What an operator may choose about rules and notifications; everything else is fixed by the rules themselves."""

from dataclasses import dataclass, field
from enum import Enum


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The intervals of Prometheus and Alertmanager, in seconds; the defaults are the shipped ones."""

    scrape_interval_seconds: float = 5.0
    evaluation_interval_seconds: float = 5.0
    group_wait_seconds: float = 5.0
    group_interval_seconds: float = 60.0
    repeat_interval_seconds: float = 4 * 3_600.0


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
    """Everything the rule files and the Alertmanager configuration depend on."""

    cluster: str
    regions: tuple[ExpectedRegion, ...]
    times: Times = field(default_factory=Times)
    links: Links = field(default_factory=Links)
    receivers: tuple[Receiver, ...] = ()

    @property
    def smallest_region(self) -> int:
        """The fewest servers that a region is expected to have."""
        return min(region.expected_servers for region in self.regions)

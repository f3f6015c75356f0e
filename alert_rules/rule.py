"""Alert and recording rules as values that cannot be built wrong: construction parses and resolves their PromQL."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from alert_rules import budget
from alert_rules.budget import Onset
from alert_rules.dialect import Dialect
from alert_rules.promql import Query, QueryError, resolve
from alert_rules.settings import Links, Severity, Times
from alert_rules.views import dashboard_link
from telemetry.catalogue.metric import Metric, Unit
from telemetry.scrape.duration import format_duration

_LABEL_IN_TEMPLATE = re.compile(r"\$labels\.([a-zA-Z_][a-zA-Z0-9_]*)")
OURS = Dialect()


class RuleError(ValueError):
    """A rule that cannot be right; the message names it and says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """One alert.

    *unit* is that of the value, which the description shows. *hold_seconds* becomes `for`, *keep_firing_seconds*
    becomes `keep_firing_for`. *onset* says what makes the expression true, for the promise; *stated_seconds* is how
    long the condition has to last by what the summary says. *condition* is the expression alone, where *expr* also
    gives way to causes. Raises RuleError when the expression does not resolve, has another unit, or lacks a label that
    a text or an inhibition uses.
    """

    alert: str
    expr: str
    severity: Severity
    summary: str
    description: str
    onset: Onset
    hold_seconds: float = 0.0
    keep_firing_seconds: float = 0.0
    stated_seconds: float = 0.0
    unit: Unit = Unit.COUNT
    condition: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        query = _resolved(self.alert, self.condition or self.expr)
        if self.condition:
            _resolved(self.alert, self.expr)
        if query.shape.unit is not None and query.shape.unit is not self.unit:
            raise RuleError(
                f"{self.alert}: its value is in {query.shape.unit.value!r}, and the rule says {self.unit.value!r}"
            )
        # The rule's own labels are not there when Prometheus fills in the texts.
        labels = query.shape.labels
        for text in (self.summary, self.description):
            for label in _LABEL_IN_TEMPLATE.findall(text):
                if label not in labels:
                    raise RuleError(
                        f"{self.alert}: a text uses $labels.{label}, which the expression does not surely have"
                    )

    @property
    def query(self) -> Query:
        """The whole expression, parsed and resolved."""
        return resolve(self.expr)

    @property
    def surely_labelled(self) -> frozenset[str]:
        """Labels that every notification of this alert has."""
        return resolve(self.condition or self.expr).shape.labels | {"alertname", "severity"} | set(self.labels)

    def promised_seconds(self, times: Times) -> float:
        """Return the time from the fault to the notification at most, beyond the condition the summary states."""
        return budget.promised_seconds(self.onset, self.hold_seconds, times) - self.stated_seconds

    def document(self, links: Links, dialect: Dialect = OURS) -> dict[str, Any]:
        """Return the rule as it stands in a rule file."""
        document: dict[str, Any] = {"alert": self.alert, "expr": dialect.expression(plain(self.expr))}
        if self.hold_seconds:
            document["for"] = format_duration(self.hold_seconds)
        if self.keep_firing_seconds:
            document["keep_firing_for"] = format_duration(self.keep_firing_seconds)
        document["labels"] = {"severity": self.severity.value, **self.labels}
        document["annotations"] = {
            "summary": dialect.text(self.summary),
            "description": dialect.text(" ".join(self.description.split())),
            "runbook_url": f"{links.runbook_base_url}/{self.alert}.md",
            "dashboard": dashboard_link(self.alert, links.dashboard_url, self.surely_labelled, dialect),
        }
        return document


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingRule:
    """One recording rule, which writes the series of a catalogue entry.

    Raises RuleError when the expression does not resolve, or yields other labels or another unit than the entry has.
    """

    record: Metric
    expr: str
    labels: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        shape = _resolved(self.record.name, self.expr).shape
        labels = shape.labels | {name for name, _ in self.labels}
        if labels != frozenset(self.record.labels):
            raise RuleError(f"{self.record.name}: yields {sorted(labels)}, the catalogue says {self.record.labels}")
        if shape.unit is not None and shape.unit is not self.record.unit:
            raise RuleError(
                f"{self.record.name}: yields {shape.unit.value!r}, the catalogue says {self.record.unit.value!r}"
            )

    def document(self, dialect: Dialect = OURS) -> dict[str, Any]:
        """Return the rule as it stands in a rule file."""
        document: dict[str, Any] = {"record": self.record.name, "expr": dialect.expression(plain(self.expr))}
        labels = {dialect.label(name): value for name, value in self.labels if dialect.label(name)}
        if labels:
            document["labels"] = labels
        return document


def plain(expr: str) -> str:
    """Return *expr* without the indentation it has in our sources; one line stays one line."""
    lines = expr.strip("\n").splitlines()
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "\n".join(line[indent:].rstrip() for line in lines).strip()


def _resolved(name: str, expr: str) -> Query:
    try:
        return resolve(expr)
    except QueryError as error:
        raise RuleError(f"{name}: {error}") from None

"""What an alert is before an operator's settings: its expression with named numbers, and a reason for each default.

`$name` in an expression stands for a number of the alert, or for one of the standard durations below; a summary or a
description may name numbers, too. `AlertSpec.rule` fills them in.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from alert_rules import budget
from alert_rules.budget import Onset
from alert_rules.rule import AlertRule, RuleError, plain
from alert_rules.settings import Choice, RuleSettings, Severity, Times
from telemetry.catalogue.metric import Unit
from telemetry.scrape.duration import format_duration

_INDEX_SECONDS = 10.0
"""How often a real Nomad refreshes the gauges of its log's index."""

_NAME = re.compile(r"\$([a-z][a-z_]*)")
_OF_TEMPLATES = frozenset({"labels", "value", "externalLabels"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A threshold or a window that an operator may set, with the reason for its default.

    Seconds stand in outrider.yaml as durations. *is_window* says that the expression wants a duration: a range, an
    offset or a time of day would not take a plain number.
    """

    name: str
    default: float
    unit: Unit
    why: str
    least: float = 0.0
    most: float = math.inf
    is_window: bool = False

    def written(self, value: float) -> str:
        """Return *value* as it stands in PromQL."""
        return format_duration(value) if self.is_window else f"{value:.15g}"

    def shown(self, value: float) -> str:
        """Return *value* as a person reads it."""
        match self.unit:
            case Unit.SECONDS:
                return format_duration(value)
            case Unit.RATIO:
                return f"{value * 100:g} %"
            case Unit.COUNT | Unit.NONE | Unit.INDEX | Unit.TERM:
                return f"{value:g}"
            case _:
                return f"{value:g} {self.unit.value}"


@dataclass(frozen=True, slots=True)
class Context:
    """What an onset may depend on: the intervals, the settings, and the alert's numbers as chosen."""

    settings: RuleSettings
    numbers: Mapping[str, float]

    @property
    def times(self) -> Times:
        """The intervals."""
        return self.settings.times


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSpec:
    """One alert as it ships.

    *hold_seconds* is the least it is held; the rules lengthen it to what the causes that silence it promise.
    *hold_is_stated* says that the summary or description states the hold ("for longer than an hour"), so that it is no
    delay of detection. *counts_events* says that the expression remembers events for `windows.events`: for as long,
    what a cause set off is not news after the cause ended.
    """

    alert: str
    expr: str
    severity: Severity
    summary: str
    description: str
    onset: Onset | Callable[[Context], Onset]
    hold_seconds: float = 0.0
    hold_why: str
    hold_is_stated: bool = False
    keep_firing_seconds: float = 0.0
    counts_events: bool = False
    unit: Unit = Unit.COUNT
    numbers: tuple[Number, ...] = ()

    def number(self, name: str) -> Number:
        """Return the number called *name*; raise KeyError when there is none."""
        for number in self.numbers:
            if number.name == name:
                return number
        raise KeyError(name)

    def chosen(self, choice: Choice) -> dict[str, float]:
        """Return the value of every number; raise RuleError when one is out of its range."""
        values = {number.name: choice.numbers.get(number.name, number.default) for number in self.numbers}
        for number in self.numbers:
            value = values[number.name]
            if not number.least <= value <= number.most:
                raise RuleError(
                    f"{self.alert}: {number.name} is {number.shown(value)}; "
                    f"it must be {number.shown(number.least)} to {number.shown(number.most)}"
                )
        return values

    def rule(self, settings: RuleSettings, hold_seconds: float) -> AlertRule:
        """Return the alert as *settings* want it, held for *hold_seconds*, before it gives way to any cause."""
        choice = settings.choices.get(self.alert, Choice())
        values = self.chosen(choice)
        words = {number.name: number.written(values[number.name]) for number in self.numbers}
        texts = {number.name: number.shown(values[number.name]) for number in self.numbers}
        texts |= _windows(settings) | {"hold": format_duration(hold_seconds)}
        return AlertRule(
            alert=self.alert,
            expr=filled(self.expr, standard(settings) | words, self.alert),
            severity=choice.severity or self.severity,
            summary=filled(self.summary, texts, self.alert),
            description=filled(self.description, texts, self.alert),
            onset=self.onset if isinstance(self.onset, Onset) else self.onset(Context(settings, values)),
            hold_seconds=hold_seconds,
            keep_firing_seconds=self.keep_firing_seconds,
            stated_seconds=hold_seconds if self.hold_is_stated else 0.0,
            unit=self.unit,
            labels={**settings.alert_labels, **choice.labels},
        )


def standard(settings: RuleSettings) -> dict[str, str]:
    """Return what follows from the intervals, windows and counts of the settings, by its name in expressions.

    `$window`: at least four scrapes. `$bridge`: across one that failed. `$scrape` and `$fine`: the interval and a fifth
    of it. `$index_age`: as old as an index can look. `$restart`: longer than a restart is seen. `$turn`: until what two
    servers do at once is seen.
    `$mean`, `$recent` and `$events`: the windows. `$scrape_seconds` and `$alertmanagers` are plain numbers.
    """
    times = settings.times
    return {
        **_windows(settings),
        "alertmanagers": str(settings.alertmanagers),
        "scrape_seconds": f"{times.scrape_interval_seconds:.15g}",
        "window": format_duration(budget.window_seconds(times)),
        "bridge": format_duration(budget.bridge_seconds(times)),
        "scrape": format_duration(times.scrape_interval_seconds),
        "fine": format_duration(times.scrape_interval_seconds / 5),
        "index_age": format_duration(_INDEX_SECONDS + 2 * times.scrape_interval_seconds),
        "restart": format_duration(budget.restart_seconds(times)),
        "turn": format_duration(budget.turn_seconds(times)),
    }


def _windows(settings: RuleSettings) -> dict[str, str]:
    windows = settings.windows
    return {
        "mean": format_duration(windows.mean_seconds),
        "recent": format_duration(windows.recent_seconds),
        "events": format_duration(windows.events_seconds),
    }


def filled(text: str, words: Mapping[str, str], name: str) -> str:
    """Return *text* with each `$word` replaced; raise RuleError for one that nobody knows, with *name* as the place."""

    def replace_word(match: re.Match[str]) -> str:
        word = match[1]
        if word in words:
            return words[word]
        if word in _OF_TEMPLATES:
            return match[0]
        raise RuleError(f"{name}: ${word} is no number of it; there are {', '.join(sorted(words))}")

    return _NAME.sub(replace_word, text)


def yielding(rule: AlertRule, causes: tuple[str, ...], memory_seconds: float) -> AlertRule:
    """Return *rule* so that it neither begins under one of *causes* nor ends before it.

    Alertmanager drops what is inhibited, the end of an alert included. So what fired before its cause stays until the
    cause is over, and what did not may not begin under it, nor within the *memory_seconds* for which the expression
    remembers what it set off; what fires already goes on in these as long as its condition holds. `ALERTS` tells all
    of it; the rule stands behind its causes in the same group. What has a memory is about a region as a whole.
    """
    if not causes:
        return rule
    firing = f'ALERTS{{alertname=~"{"|".join(causes)}", alertstate="firing"}}'
    itself = f'ALERTS{{alertname="{rule.alert}", alertstate="firing"}}'
    explained = firing
    if memory_seconds:
        explained = f"""(
    max_over_time({firing}[{format_duration(memory_seconds)}])
    unless on (cluster, region) {itself}
  )"""
    added = ", ".join(("alertname", "alertstate", "severity", *rule.labels))
    condition = _indented(rule.expr)
    expr = f"""
(
{condition}
)
unless on (cluster, region)
  {explained}
or
(
  max without ({added}) (
    {itself}
  )
  and on (cluster, region)
    {firing}
)
"""
    return replace(rule, expr=expr, condition=rule.expr)


def _indented(expr: str) -> str:
    return "\n".join("  " + line for line in plain(expr).splitlines())

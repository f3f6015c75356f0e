"""The parts of outrider.yaml about rules: `rules`, `windows`, `labels`, `selectors`, `alert_labels`, `kubernetes`.

rules:
  NomadCommitSlow: {limit: 50ms, for: 5m, severity: critical, labels: {team: storage}}
  NomadVersionSkew: {enabled: false}
alert_labels: {team: platform}
labels: {cluster: nomad_cluster, region: ""}
selectors: {servers: 'job="nomad", tier="server"'}
"""

import re
from difflib import get_close_matches

from alert_rules.budget import window_seconds
from alert_rules.dialect import (
    ALERTMANAGER_ROLE,
    CLIENT_ROLE,
    CLUSTER,
    EXPORTER_ROLE,
    INSTANCE,
    PROMETHEUS_ROLE,
    REGION,
    SERVER_ROLE,
    SHIPPED_SELECTORS,
)
from alert_rules.kubernetes import DEFAULT_NAME, Manifest
from alert_rules.promql import is_selector
from alert_rules.rules import SPECS
from alert_rules.settings import Choice, Severity, Times, Windows
from alert_rules.spec import AlertSpec, Number
from compose.yaml_reader import Section
from telemetry.catalogue.metric import Unit
from telemetry.scrape.duration import format_duration, parse_duration

_SPECS = {spec.alert: spec for spec in SPECS}
_SEVERITIES = {severity.value: severity for severity in Severity if severity is not Severity.NONE}
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
_MILLISECONDS = 1_000.0
_ROLES = {
    "servers": SERVER_ROLE,
    "clients": CLIENT_ROLE,
    "exporters": EXPORTER_ROLE,
    "prometheus": PROMETHEUS_ROLE,
    "alertmanager": ALERTMANAGER_ROLE,
}


def windows_of(top: Section, times: Times) -> Windows:
    """Return how far back the rules look; none may hold fewer than four scrapes."""
    shipped = Windows()
    section = top.section("windows")
    if section is None:
        return shipped
    chosen = Windows(
        mean_seconds=section.seconds("mean", shipped.mean_seconds),
        recent_seconds=section.seconds("recent", shipped.recent_seconds),
        events_seconds=section.seconds("events", shipped.events_seconds),
    )
    section.finish()
    least = window_seconds(times)
    for name in ("mean", "recent", "events"):
        value = getattr(chosen, f"{name}_seconds")
        if value < least:
            raise section.error(
                name, f"is {format_duration(value)}; it must hold four scrapes, {format_duration(least)} at least"
            )
    return chosen


def manifest_of(top: Section) -> Manifest:
    """Return how the PrometheusRule is to be called and labelled."""
    section = top.section("kubernetes")
    if section is None:
        return Manifest()
    manifest = Manifest(
        name=section.optional_text("name") or DEFAULT_NAME,
        namespace=section.optional_text("namespace") or "",
        labels=label_texts(section, "labels"),
    )
    section.finish()
    return manifest


def label_texts(top: Section, name: str) -> dict[str, str]:
    """Return any labels with their values, such as those of a Kubernetes object."""
    section = top.section(name)
    return {} if section is None else {label: section.text(label) for label in section.names()}


def rule_choices(top: Section) -> dict[str, Choice]:
    """Return what `rules` chooses, by alert; raise SettingsError for an alert, number or value that cannot be."""
    section = top.section("rules")
    if section is None:
        return {}
    choices = {}
    for name in section.names():
        if name not in _SPECS:
            near = get_close_matches(name, _SPECS, n=1, cutoff=0.0)
            raise section.error(name, f"is no alert; did you mean {near[0]!r}? `outrider alert list` names all")
        chosen = section.section(name)
        assert chosen is not None
        choices[name] = _choice(chosen, _SPECS[name])
        chosen.finish()
    return choices


def _choice(section: Section, spec: AlertSpec) -> Choice:
    severity = section.choice("severity", _SEVERITIES, spec.severity)
    hold = None
    if section.has("for"):
        hold = section.duration("for")
    numbers = {number.name: _number(section, number) for number in spec.numbers if section.has(number.name)}
    return Choice(
        enabled=section.boolean("enabled", default=True),
        severity=severity if severity is not spec.severity else None,
        hold_seconds=hold,
        numbers=numbers,
        labels=label_values(section, "labels"),
    )


def _number(section: Section, number: Number) -> float:
    text = section.text(number.name)
    value = _read(text, number)
    if value is None:
        raise section.error(number.name, f"is {text!r}; write {_EXAMPLES.get(number.unit, 'a number such as 3')}")
    if not number.least <= value <= number.most:
        raise section.error(
            number.name,
            f"is {text!r}; it must be {number.shown(number.least)} to {number.shown(number.most)}",
        )
    return value


_EXAMPLES = {
    Unit.SECONDS: 'a duration such as "90s" or "14d"',
    Unit.MILLISECONDS: 'a duration such as "100ms", or the number of milliseconds',
    Unit.RATIO: 'a share such as 0.8 or "80%"',
}


def _read(text: str, number: Number) -> float | None:
    """Return the value of *text* in the number's unit, None when it is none."""
    try:
        match number.unit:
            case Unit.SECONDS:
                return parse_duration(text)
            case Unit.MILLISECONDS if not text[-1:].isdigit():
                return parse_duration(text) * _MILLISECONDS
            case Unit.RATIO if text.endswith("%"):
                return float(text[:-1]) / 100
            case _:
                return float(text)
    except ValueError:
        return None


def label_values(top: Section, name: str) -> dict[str, str]:
    """Return labels with their values, such as `{team: platform}`."""
    section = top.section(name)
    if section is None:
        return {}
    values = {}
    for label in section.names():
        _check_label(section, label, label)
        if label in _RESERVED:
            raise section.error(label, "is a label that the rules give themselves; choose another name")
        values[label] = section.text(label)
    return values


_RESERVED = {"alertname", "alertstate", "severity", CLUSTER, REGION, INSTANCE}


def label_names(top: Section) -> dict[str, str]:
    """Return what targets call `cluster`, `region` and `instance`, where they call it otherwise; empty for none."""
    section = top.section("labels")
    if section is None:
        return {}
    names = {}
    for label in (CLUSTER, REGION, INSTANCE):
        if not section.has(label):
            continue
        name = section.raw_text(label)
        if name:
            _check_label(section, label, name)
        elif label == INSTANCE:
            raise section.error(label, "is empty; every target of Prometheus has one, name it")
        names[label] = name
    section.finish()
    used = [name for name in names.values() if name]
    if len(set(used)) != len(used):
        raise top.error("labels", f"gives one name to two labels: {', '.join(used)}; they must differ")
    return names


def selectors(top: Section) -> dict[str, str]:
    """Return the matchers that pick each role out of all targets, by role."""
    chosen = dict(SHIPPED_SELECTORS)
    section = top.section("selectors")
    if section is None:
        return chosen
    for word, role in _ROLES.items():
        text = section.optional_text(word)
        if text is None:
            continue
        if not is_selector(text):
            raise section.error(word, f"""is {text!r}; write matchers as between braces, such as 'job="nomad"'""")
        chosen[role] = text
    section.finish()
    return chosen


def _check_label(section: Section, field: str, name: str) -> None:
    if not _LABEL.match(name):
        raise section.error(field, f"is {name!r}; a label's name has letters, digits and underscores")

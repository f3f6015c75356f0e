"""The whole of alertmanager.yml, and the parts it has in common with a fragment.

Understood by the Alertmanager that the settings name and by all later ones.
"""

from typing import Any

from alert_rules.alertmanager.integrations import receiver_entry
from alert_rules.alertmanager.matchers import equal, one_of
from alert_rules.alertmanager.routes import equal_labels, route_of
from alert_rules.alertmanager.templates import TEMPLATES_FILE
from alert_rules.inhibitions import INHIBITIONS, Inhibition
from alert_rules.receivers import Existing, MuteInterval, MuteTime
from alert_rules.settings import NOBODY, RuleSettings


def alertmanager_config(settings: RuleSettings) -> dict[str, Any]:
    """Return the whole of alertmanager.yml, in an order that never varies.

    Raises ValueError for receivers that only another Alertmanager has: there are only parts for those.
    """
    if settings.has_existing_receivers:
        raise ValueError("an existing receiver is in no configuration of ours: merge the parts into your own")
    config: dict[str, Any] = {
        "templates": [TEMPLATES_FILE],
        "route": route_of(settings),
        "receivers": receiver_entries(settings),
        "inhibit_rules": inhibit_rules(settings),
    }
    if settings.mute_times:
        config["time_intervals"] = time_intervals(settings)
    return config


def receiver_entries(settings: RuleSettings, prefix: str = "") -> list[dict[str, Any]]:
    """Return what stands under `receivers`, the one without address first; *prefix* begins every name."""
    own = (receiver for receiver in settings.receivers if not isinstance(receiver.channel, Existing))
    return [{"name": prefix + NOBODY}, *(receiver_entry(receiver, prefix) for receiver in own)]


def inhibit_rules(settings: RuleSettings, mark: str | None = None) -> list[dict[str, Any]]:
    """Return what stands under `inhibit_rules`, from the table; *mark* is a matcher that each gets on top."""
    return [_inhibit_rule(settings, row, [] if mark is None else [mark]) for row in INHIBITIONS]


def time_intervals(settings: RuleSettings, prefix: str = "") -> list[dict[str, Any]]:
    """Return what stands under `time_intervals`; *prefix* begins every name."""
    return [_time_interval(mute, prefix) for mute in settings.mute_times]


def _inhibit_rule(settings: RuleSettings, row: Inhibition, marks: list[str]) -> dict[str, Any]:
    return {
        "source_matchers": [equal("alertname", row.cause), *marks],
        "target_matchers": [one_of("alertname", row.consequences)],
        "equal": equal_labels(settings),
    }


def _time_interval(mute: MuteTime, prefix: str) -> dict[str, Any]:
    return {"name": prefix + mute.name, "time_intervals": [_span(interval) for interval in mute.intervals]}


def _span(interval: MuteInterval) -> dict[str, Any]:
    span: dict[str, Any] = {}
    if interval.times:
        span["times"] = [{"start_time": start, "end_time": end} for start, end in interval.times]
    for name in ("weekdays", "days_of_month", "months", "years"):
        values: tuple[str, ...] = getattr(interval, name)
        if values:
            span[name] = list(values)
    if interval.location is not None:
        span["location"] = interval.location
    return span

"""The same notifications as parts for an Alertmanager that an operator has already.

Everything of ours is told apart from everything of theirs: names begin with `outrider/`, inhibitions carry a matcher
that is always true and names us, since those have no names before Alertmanager 0.30. Ours stands in a route that
matches our alerts of our clusters and comes first in their tree, without `continue`: alerts of theirs pass it by, a
Watchdog of theirs too, and an alert of ours is not notified a second time by a route of theirs that catches everything.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from alert_rules.alertmanager.configuration import inhibit_rules, receiver_entries, time_intervals
from alert_rules.alertmanager.matchers import one_of
from alert_rules.alertmanager.routes import label, route_of
from alert_rules.alertmanager.templates import TEMPLATES_FILE
from alert_rules.settings import PREFIX, RuleSettings

MARK_LABEL = "outrider_merged_by"
"""A label that no alert has: `!=` with it is always true."""

FRAGMENT_FILE = "fragments/alertmanager.yml"
_PLACES = {
    "routes": "first in the list under your `route.routes`: the alerts named there are never seen by your routes",
    "receivers": "at the end of your `receivers`",
    "inhibit_rules": "at the end of your `inhibit_rules`",
    "time_intervals": "at the end of your `time_intervals`",
    "templates": f"at the end of your `templates`; copy ../{TEMPLATES_FILE} beside your alertmanager.yml",
}
"""Where each part goes."""


def prefix_of(settings: RuleSettings) -> str:
    """Return what every name in the fragment begins with; the cluster keeps several fragments apart."""
    return f"{PREFIX}{settings.cluster}/"


def mark_of(settings: RuleSettings) -> str:
    """Return the matcher, always true, by which an inhibition is known as one of this fragment's."""
    return f'{MARK_LABEL}!="{prefix_of(settings)}"'


def fragment(settings: RuleSettings, alerts: Mapping[str, bool]) -> dict[str, Any]:
    """Return the parts, each under the name of the list in alertmanager.yml that it is for.

    *alerts* are the names of all alerts that are taken over, and whether each surely names its cluster: one that may
    not, as those about Prometheus itself, is taken by its name alone. Without receivers there is no route: the
    operator's own then decide who is told.
    """
    prefix = prefix_of(settings)
    parts: dict[str, Any] = {
        "routes": list(_parents(settings, alerts, prefix)) if settings.receivers else [],
        "receivers": receiver_entries(settings, prefix) if settings.receivers else [],
        "inhibit_rules": inhibit_rules(settings, mark_of(settings)),
        "time_intervals": time_intervals(settings, prefix),
        "templates": [TEMPLATES_FILE],
    }
    return {name: part for name, part in parts.items() if part}


def fragment_comment(parts: dict[str, Any]) -> str:
    """Return the head of the fragment's file, which says where each of *parts* goes."""
    lines = [
        "Parts for an Alertmanager that you have already. `outrider build --merge-alertmanager YOURS.yml` puts them in",
        "their places; by hand:",
        *(f"  {name:<14}  {_PLACES[name]}" for name in parts),
        "No alert that is not ours is touched.",
        *(
            []
            if "routes" in parts
            else ["There is no receiver in outrider.yaml, so your own routes decide who is told."]
        ),
    ]
    return "".join(f"# {line}\n" for line in lines)


def _parents(settings: RuleSettings, alerts: Mapping[str, bool], prefix: str) -> Iterator[dict[str, Any]]:
    """Yield the route of the alerts that name their cluster, then that of those that may not, where there are any."""
    cluster = label(settings, "cluster")
    others = (name for receiver in settings.receivers for name in receiver.clusters)
    of_ours = [one_of(cluster, dict.fromkeys((*settings.clusters, *others)))] if cluster else []
    for is_named, scope in ((True, of_ours), (False, [])):
        names = sorted(name for name, has_cluster in alerts.items() if has_cluster == is_named)
        if names:
            route = route_of(settings, prefix)
            yield {"receiver": route.pop("receiver"), "matchers": [one_of("alertname", names), *scope], **route}

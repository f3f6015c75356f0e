"""What `outrider discovery serve` says of itself at /metrics."""

from telemetry.catalogue.metric import Kind, Metric, Presence, Role, Unit

_OURS = "telemetry/scrape/SCRAPING.md"
_LABELS = ("cluster", "region", "role")

TARGETS = Metric(
    name="outrider_discovery_targets",
    kind=Kind.GAUGE,
    unit=Unit.COUNT,
    exporter=Role.DISCOVERY,
    present=Presence.ALWAYS,
    meaning="Targets in the list that is served, those of outrider.yaml included.",
    source=_OURS,
    labels=_LABELS,
)
LIST_AGE_SECONDS = Metric(
    name="outrider_discovery_list_age_seconds",
    kind=Kind.GAUGE,
    unit=Unit.SECONDS,
    exporter=Role.DISCOVERY,
    present=Presence.ALWAYS,
    meaning="Time since the cluster last said who is there; infinite before the first answer.",
    source=_OURS,
    labels=_LABELS,
)
ROUNDS_FAILED_TOTAL = Metric(
    name="outrider_discovery_rounds_failed_total",
    kind=Kind.COUNTER,
    unit=Unit.COUNT,
    exporter=Role.DISCOVERY,
    present=Presence.ALWAYS,
    meaning="Rounds in which no server of the region gave an answer that could be used.",
    source=_OURS,
    labels=_LABELS,
)

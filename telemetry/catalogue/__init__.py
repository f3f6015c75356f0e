"""The catalogue of metrics: what each series is, who exports it and when.

`telemetry.catalogue.<subsystem>.<CONSTANT>` names one metric; the names below serve lookups over all of them.
Use the constants from their modules: importing this package imports every one of them.
"""

from telemetry.catalogue.catalogue import CATALOGUE, MODULES, TARGET_LABELS, Catalogue, Entry, Part, find, metrics_of
from telemetry.catalogue.metric import OPTIONAL_LABELS, Absent, Kind, Metric, Presence, Role, Unit

__all__ = [
    "CATALOGUE",
    "MODULES",
    "OPTIONAL_LABELS",
    "TARGET_LABELS",
    "Absent",
    "Catalogue",
    "Entry",
    "Kind",
    "Metric",
    "Part",
    "Presence",
    "Role",
    "Unit",
    "find",
    "metrics_of",
]

"""A rule's case as data: series in promtool's notation, and what must fire, be silent or be recorded at which time.

Series are written as short as they can be told apart: `up{role="server", instance="s1"}`. Labels that every target has
are added: `cluster` and `region` (the latter not to what Prometheus and Alertmanager say of themselves), the `job` of
the role, and the `server` of series that name one. A recorded series, or ALERTS of another alert, may be given as well;
the rules that would write it are then left out, so that a case is about one rule alone. Times are seconds from the
first sample; choose them one sample away from a change, for Prometheus 2 and 3 differ on what lies on the edge of a
window.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from alert_rules.recorded import KNOWN
from alert_rules.watchers import WATCHERS
from telemetry.scrape.configuration import JOB_ALERTMANAGER, JOB_CLIENTS, JOB_EXPORTERS, JOB_PROMETHEUS, JOB_SERVERS
from tests.alert_rules.mutation_expressions import Matcher, Selector, parse
from tests.alert_rules.nomad_series import CLUSTER, REGION

_JOBS = {"server": JOB_SERVERS, "client": JOB_CLIENTS, "exporter": JOB_EXPORTERS}
# What watches has no region.
_NEIGHBOURS = (JOB_PROMETHEUS, JOB_ALERTMANAGER)
_OWN_SERIES = ("prometheus_", "alertmanager_")
_OF_WATCHERS = frozenset(spec.alert for spec in WATCHERS)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a case stands; what watches is in no cluster, and is told apart by how its instances' names end."""

    cluster: str = CLUSTER
    region: str = REGION
    suffix: str = ""

    def moved(self, labels: Mapping[str, str]) -> dict[str, str]:
        """Return *labels* written for the first place as they are in this one."""
        places = {"cluster": (CLUSTER, self.cluster), "region": (REGION, self.region)}
        found = {
            name: places[name][1] if name in places and value == places[name][0] else value
            for name, value in labels.items()
        }
        if "instance" in found:
            found["instance"] += self.suffix
        return found

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Say whether what has *labels* is in this place."""
        if self.suffix:
            return labels.get("instance", "").endswith(self.suffix)
        return (labels.get("cluster"), labels.get("region")) == (self.cluster, self.region)


FIRST = Place()


@dataclass(frozen=True, slots=True)
class Fires:
    """An alert that fires at a time, with some of its labels and, where it is worth saying, its value.

    All that fire at one time are listed: what fires besides them is wrong.
    """

    at: float
    labels: dict[str, str] = field(default_factory=dict)
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded series at a time: its value, or None when there is none with such labels."""

    name: str
    at: float
    value: float | None
    labels: dict[str, str] = field(default_factory=dict)


def fires(at: float, value: float | None = None, **labels: str) -> Fires:
    """Return a Fires, its labels by name."""
    return Fires(at, labels, value)


def recorded(name: str, at: float, value: float | None, **labels: str) -> Recorded:
    """Return a Recorded, its labels by name."""
    return Recorded(name, at, value, labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One course of series and what an alert makes of it.

    A case with something that fires is a firing one, a case without is a silent one. Other cases of the alert are run
    in the same Prometheus, in other regions and in other clusters with the same names, so that a rule which mixes
    them up is found; *alone* is for rules that speak of all there is. A case that names no alert is about recorded
    series alone. Raises ValueError for a case that asserts nothing, or that speaks of one moment twice.
    """

    name: str
    series: Mapping[str, str]
    alert: str = ""
    fires: tuple[Fires, ...] = ()
    silent: tuple[float, ...] = ()
    recorded: tuple[Recorded, ...] = ()
    severity: str = "warning"
    interval: float = 5.0
    """Seconds between samples, and between evaluations."""
    expected_servers: int = 3
    alone: bool = False

    def __post_init__(self) -> None:
        if self.alert and not (self.fires or self.silent):
            raise ValueError(f"{self}: asserts nothing about its alert; add fires or silent")
        if not self.alert and (self.fires or self.silent or not self.recorded):
            raise ValueError(f"{self}: is about recorded series alone; add recorded, and no fires or silent")
        both = {each.at for each in self.fires} & set(self.silent)
        if both:
            raise ValueError(f"{self}: fires and is silent at {sorted(both)}; choose one")

    def __str__(self) -> str:
        return f"{self.alert or 'recorded'}: {self.name}"

    @property
    def is_firing(self) -> bool:
        """Whether anything fires."""
        return bool(self.fires)

    @property
    def subjects(self) -> frozenset[str]:
        """The alert, and the recorded series of which something is said."""
        return frozenset({self.alert, *(each.name for each in self.recorded)} - {""})

    @property
    def given(self) -> frozenset[str]:
        """The recorded series and the alerts that are given, and not left to their rules."""
        found = set()
        for text in self.series:
            node = _selector(text)
            if ":" in node.name:
                found.add(node.name)
            if node.name == "ALERTS":
                found |= {matcher.value for matcher in node.matchers if matcher.label == "alertname"}
        return frozenset(found)

    @property
    def moments(self) -> tuple[float, ...]:
        """The times at which something is said of the alert, in order."""
        return tuple(sorted({each.at for each in self.fires} | set(self.silent)))

    @property
    def is_of_watchers(self) -> bool:
        """Whether the alert is about Prometheus and Alertmanager, which are in no cluster and no region."""
        return self.alert in _OF_WATCHERS

    def placed(self, place: Place = FIRST) -> dict[str, str]:
        """Return the series with all their labels, as if the case were one of another *place*."""
        return {_with_target_labels(selector, place): values for selector, values in self.series.items()}

    @property
    def stands_alone(self) -> bool:
        """Whether the case has a Prometheus for itself: it wants it, or a series names a place that cannot be moved."""
        labels = {matcher.label for selector in self.series for matcher in _selector(selector).matchers}
        return self.alone or bool(labels & {"cluster", "region"})


def _selector(text: str) -> Selector:
    node = parse(text)
    if not isinstance(node, Selector) or any(matcher.operator != "=" for matcher in node.matchers):
        raise ValueError(f'{text!r} is no series; write its name and labels, such as up{{role="server"}}')
    return node


def _with_target_labels(text: str, place: Place) -> str:
    node = _selector(text)
    labels = {matcher.label: matcher.value for matcher in node.matchers}
    if "role" in labels:
        labels.setdefault("job", _JOBS.get(labels["role"], labels["role"]))
    labels.setdefault("cluster", CLUSTER)
    if not node.name.startswith(_OWN_SERIES) and labels.get("job") not in _NEIGHBOURS:
        labels.setdefault("region", REGION)
    entry = KNOWN.find(node.name)
    if entry is not None and "server" in entry.labels and "instance" in labels:
        labels.setdefault("server", labels["instance"])
    labels = place.moved(labels)
    return str(replace(node, matchers=tuple(Matcher(name, "=", value) for name, value in sorted(labels.items()))))

"""The catalogue both ways: every sample of a scrape is an entry, and every entry that must be there is scraped.

Pure: a scrape and what is known of its agent go in, findings come out.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from telemetry.catalogue import raft
from telemetry.catalogue.cardinality import Per, per
from telemetry.catalogue.catalogue import CATALOGUE, Catalogue, Entry
from telemetry.catalogue.metric import Kind, Metric, Presence, Role
from telemetry.finding import Finding, Weight
from telemetry.scraped import Sample, Scrape

CHECK = "catalogue"

GIVEN_LABELS = frozenset({"host", "quantile", "le"})
"""Labels that the format or the setting `disable_hostname = false` adds to a series of any metric."""

SETTLED_SECONDS = {Presence.ALWAYS: 15.0, Presence.LEADER_ONLY: 60.0, Presence.FOLLOWER_ONLY: 15.0}
"""How long an agent has to be what it is before an entry must be there: a Nomad refreshes some gauges every 10 s, and
a leader does some duties once a minute."""

_PEER_IN_NAME = re.compile(r"(.+)_[0-9a-f]{8}(?:_[0-9a-f]{4}){3}_[0-9a-f]{12}(_sum|_count)?\Z")


class Problem(Enum):
    """What may be wrong between a scrape and the catalogue; the value says it for counts."""

    UNKNOWN = "unknown"
    KIND = "wrong kind"
    LABELS = "other labels"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentState:
    """What is known of the agent that was scraped.

    *seconds* is for how long it has run, *leads_seconds* for how long it has led where it is the leader; *servers* how
    many its region has. *is_outrider* tells our agent from a Nomad.
    """

    place: str
    roles: Role
    is_leader: bool = False
    seconds: float = 0.0
    leads_seconds: float = float("inf")
    servers: int = 3
    is_outrider: bool = True


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference: what kind it is, and as a finding."""

    problem: Problem
    finding: Finding


def compare(scrape: Scrape, state: AgentState, catalogue: Catalogue = CATALOGUE) -> list[Difference]:
    """Return how *scrape* and *catalogue* differ, each difference once: what is scraped first, then what is missing."""
    found: dict[tuple[Problem, str], Difference] = {}
    for sample in scrape.samples:
        for difference in _of_sample(sample, scrape, state, catalogue):
            found.setdefault((difference.problem, difference.finding.metric), difference)
    seen = seen_names(scrape, catalogue)
    for metric in required(state, catalogue):
        for name in sorted(set(metric.names) - seen):
            found[Problem.MISSING, name] = _missing(name, metric, state)
    return list(found.values())


def required(state: AgentState, catalogue: Catalogue = CATALOGUE) -> Iterator[Metric]:
    """Yield the metrics that the agent must show in this state, as `present` says."""
    for metric in catalogue:
        if not state.roles & metric.exporter or not _has(metric, state):
            continue
        seconds = min(state.seconds, state.leads_seconds) if metric.present is Presence.LEADER_ONLY else state.seconds
        if seconds < SETTLED_SECONDS.get(metric.present, float("inf")):
            continue
        is_server = Role.SERVER in state.roles
        # A server that is alone has nobody to send heartbeats to, nor to hear them from.
        if state.servers < 2 and (per(metric) is Per.PEER or metric is raft.LEADER_LAST_CONTACT):
            continue
        match metric.present:
            case Presence.ALWAYS:
                yield metric
            case Presence.LEADER_ONLY if is_server and state.is_leader:
                yield metric
            case Presence.FOLLOWER_ONLY if is_server and not state.is_leader and state.servers > 1:
                yield metric
            case _:
                pass


def seen_names(scrape: Scrape, catalogue: Catalogue = CATALOGUE) -> frozenset[str]:
    """Return the names of the catalogue, expanded and without suffixes, that a scrape brought."""
    found = set()
    for name in scrape.names:
        entry, _ = find_scraped(name, catalogue)
        if entry is not None:
            found.add(entry.metric.name.format(entry.expansion))
    return frozenset(found)


def find_scraped(name: str, catalogue: Catalogue = CATALOGUE) -> tuple[Entry | None, bool]:
    """Return the entry of a scraped name, and whether a peer's id stands in the name.

    A Nomad gives each series of a Raft peer twice: with the label `peer_id`, and with the id in the name.
    """
    entry = catalogue.find(name)
    if entry is not None:
        return entry, False
    found = _PEER_IN_NAME.match(name)
    base = catalogue.find(found[1] + (found[2] or "")) if found else None
    return (base, True) if base is not None and "peer_id" in base.metric.labels else (None, False)


def unseen(states: Iterable[tuple[AgentState, Scrape]], catalogue: Catalogue = CATALOGUE) -> dict[str, Presence]:
    """Return the names that agents like these export and none of the scrapes brought, each with when it is there."""
    pairs = list(states)
    seen = frozenset[str]().union(*(seen_names(scrape, catalogue) for _, scrape in pairs))
    makes = {(state.roles, state.is_outrider): state for state, _ in pairs}.values()
    return {
        name: metric.present
        for metric in catalogue
        for state in makes
        if state.roles & metric.exporter and _has(metric, state)
        for name in (metric.exported_names if state.is_outrider else metric.names)
        if name not in seen
    }


def _has(metric: Metric, state: AgentState) -> bool:
    """Say whether this make of agent has the metric at all."""
    return metric.exported if state.is_outrider else not metric.name.startswith("outrider_")


def _of_sample(sample: Sample, scrape: Scrape, state: AgentState, catalogue: Catalogue) -> Iterator[Difference]:
    entry, names_peer = find_scraped(sample.name, catalogue)
    if entry is None:
        yield _difference(
            Problem.UNKNOWN,
            Weight.WARNING,
            state,
            sample.name,
            f"{sample.name} is not in the catalogue",
            "no rule or panel can use what the catalogue does not know",
            "add it to telemetry/catalogue, or drop it with metric_relabel_configs where Prometheus scrapes",
        )
        return
    metric = entry.metric
    kind = _declared(sample.name, scrape)
    # A kind that is not declared is no wrong one: the format allows it.
    if kind not in {None, metric.kind.value, Kind.UNTYPED.value}:
        yield _difference(
            Problem.KIND,
            Weight.ERROR,
            state,
            sample.name,
            f"{sample.name} is a {kind}, the catalogue says {metric.kind.value}",
            "a rule made for the one kind is wrong on the other",
            f"correct the kind of {metric.name} in telemetry/catalogue, and the rules that use it",
        )
    own = set(sample.labels) - GIVEN_LABELS
    further = own - set(metric.labels)
    is_short = sample.name.startswith("outrider_") and own != set(metric.labels)
    if further or (is_short and not names_peer):
        yield _difference(
            Problem.LABELS,
            Weight.ERROR,
            state,
            sample.name,
            f"{sample.name} has the labels {_words(own)}, the catalogue says {_words(metric.labels)}",
            "rules match and group by the labels of the catalogue",
            f"correct the labels of {metric.name} in telemetry/catalogue, or drop the label where Prometheus scrapes",
        )


def _missing(name: str, metric: Metric, state: AgentState) -> Difference:
    what = {Presence.LEADER_ONLY: "on a leader", Presence.FOLLOWER_ONLY: "on a follower"}
    return _difference(
        Problem.MISSING,
        Weight.ERROR,
        state,
        name,
        f"{name} is not there, and must be {what.get(metric.present, 'always')}",
        "rules and panels that use it stay silent and empty",
        "look at prefix_filter and filter_default in the agent's telemetry block; where they let it through, the entry's "
        "`present` in telemetry/catalogue is wrong",
    )


def _difference(
    problem: Problem, weight: Weight, state: AgentState, metric: str, seen: str, why: str, remedy: str
) -> Difference:
    finding = Finding(check=CHECK, weight=weight, place=state.place, metric=metric, seen=seen, why=why, remedy=remedy)
    return Difference(problem, finding)


def _declared(name: str, scrape: Scrape) -> str | None:
    if name in scrape.kinds:
        return scrape.kinds[name]
    return next(
        (
            scrape.kinds[base]
            for suffix in ("_sum", "_count", "_bucket")
            if (base := name.removesuffix(suffix)) in scrape.kinds
        ),
        None,
    )


def _words(labels: Iterable[str]) -> str:
    return ", ".join(sorted(labels)) or "none"

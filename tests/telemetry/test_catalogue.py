"""The catalogue against the recorded scrapes of a real Nomad, and its lookups."""

import json
import re
from pathlib import Path

import pytest

from telemetry.catalogue import (
    CATALOGUE,
    Catalogue,
    Kind,
    Metric,
    Part,
    Presence,
    Role,
    Unit,
    broker,
    find,
    metrics_of,
    outrider,
    raft,
)

GOLDEN = Path(__file__).parent.parent / "golden" / "nomad-2.0.5"
NAMES = json.loads((GOLDEN / "metric-names.json").read_text())
NOMAD_NAMES = sorted(name for name in NAMES if name.startswith("nomad_"))
PEER_IN_NAME = re.compile(r"_[0-9a-f]{8}(_[0-9a-f]{4}){3}_[0-9a-f]{12}(_sum|_count)?\Z")
OPTIONAL = {"parent_id", "periodic_id"}  # only on series of periodic and dispatched jobs
NOT_IN_A_NAME = re.compile(r"[.\-/ =]")


def a_metric(name="x_y", kind=Kind.GAUGE, **changes):
    fields = {
        "unit": Unit.NONE,
        "exporter": Role.AGENT,
        "present": Presence.ALWAYS,
        "meaning": "A thing.",
        "source": "test",
    }
    return Metric(name=name, kind=kind, **(fields | changes))


def recorded_keys():
    keys = set()
    for file in ("leader.json", "client.json"):
        body = json.loads((GOLDEN / file).read_text())
        keys |= {row["Name"] for part in ("Counters", "Gauges", "Samples") for row in body[part]}
    return sorted(keys)


def test_every_series_seen_on_a_real_nomad_is_known():
    """
    All 318 names that the measured cluster exported are entries.
    """
    assert len(NOMAD_NAMES) == 318

    unknown = [name for name in NOMAD_NAMES if find(name) is None]

    assert [] == unknown


@pytest.mark.parametrize("name", [name for name in sorted(NAMES) if find(name) is not None])
def test_kind_and_labels_are_the_recorded_ones(name):
    """
    An entry has the kind and the labels that the real exporter printed.
    """
    kind, labels = NAMES[name]

    metric = find(name).metric

    assert kind == metric.kind.value
    assert set(labels) <= set(metric.labels)
    assert set(metric.labels) - set(labels) <= OPTIONAL


@pytest.mark.parametrize("role", ["leader", "follower", "client"])
def test_every_recorded_sample_resolves(role, parse):
    """
    Each sample of a recorded scrape resolves to an entry whose labels hold the sample's.
    """
    text = (GOLDEN / f"{role}.prom").read_text()

    samples = [(name, labels) for name, labels, _ in parse(text) if name.startswith(("nomad_", "process_"))]
    mine = [(name, labels) for name, labels in samples if not PEER_IN_NAME.search(name)]
    wrong = [name for name, labels in mine if (entry := find(name)) is None or not set(labels) <= entry.labels]

    assert len(mine) > 100
    assert [] == wrong


@pytest.mark.parametrize("key", recorded_keys())
def test_keys_are_the_recorded_ones(key):
    """
    The dotted key of an entry is the one Nomad's JSON has.
    """
    entry = find(NOT_IN_A_NAME.sub("_", key))

    if entry is None:
        assert PEER_IN_NAME.search(NOT_IN_A_NAME.sub("_", key))
    else:
        assert key == entry.metric.dotted.format(entry.expansion)


def test_suffixes_of_samples_resolve():
    """
    _sum and _count of a sample are its parts, and cumulative where the quantiles are not.
    """
    value = find("nomad_raft_leader_lastContact")
    count = find("nomad_raft_leader_lastContact_count")
    total = find("nomad_raft_leader_lastContact_sum")

    assert (raft.LEADER_LAST_CONTACT, Part.VALUE, False) == (value.metric, value.part, value.is_cumulative)
    assert (raft.LEADER_LAST_CONTACT, Part.COUNT, True) == (count.metric, count.part, count.is_cumulative)
    assert (raft.LEADER_LAST_CONTACT, Part.SUM, True) == (total.metric, total.part, total.is_cumulative)
    assert frozenset({"quantile"}) == value.labels
    assert find("nomad_raft_leader_lastContact_bucket") is None
    assert find("nomad_raft_appliedIndex_count") is None


def test_a_counter_that_ends_in_count_is_itself():
    """
    total_ticks_count is a counter of its own, not the count of a sample total_ticks.
    """
    entry = find("nomad_client_allocs_cpu_total_ticks_count")

    assert (Kind.COUNTER, Part.VALUE) == (entry.metric.kind, entry.part)


def test_expansions_resolve_to_their_word():
    """
    A name made at run time resolves for each word of its closed set and for no other.
    """
    entry = find("nomad_nomad_broker__core_ready")

    assert (broker.SCHEDULER_READY, "_core") == (entry.metric, entry.expansion)
    assert find("nomad_nomad_broker_other_ready") is None


def test_an_unused_word_is_one_of_the_words():
    """
    What our agent leaves out of a name's words is checked against them.
    """
    with pytest.raises(ValueError, match="are not all among"):
        a_metric("x_{}", expansions=("a",), unused=("b",))

    assert ("x_a",) == a_metric("x_{}", expansions=("a", "b"), unused=("b",)).exported_names


def test_histograms_have_buckets_and_no_bare_series():
    """
    A histogram resolves by _bucket, _sum and _count, and le is a label of its buckets.
    """
    histogram = a_metric("h_seconds", Kind.HISTOGRAM, labels=("a",), buckets=(1.0,))

    catalogue = CATALOGUE.with_([histogram])

    assert frozenset({"a", "le"}) == catalogue.find("h_seconds_bucket").labels
    assert frozenset({"a"}) == catalogue.find("h_seconds_sum").labels
    assert catalogue.find("h_seconds") is None
    assert find("h_seconds_bucket") is None


@pytest.mark.parametrize("buckets", [(), (1.0, 1.0), (2.0, 1.0), (float("inf"),), (1.0, float("nan"))])
def test_buckets_rise(buckets):
    """
    A histogram has bounds that rise and end before infinity, and nothing else has any.
    """
    with pytest.raises(ValueError, match=r"'h_seconds': .*bucket"):
        a_metric("h_seconds", Kind.HISTOGRAM, buckets=buckets)
    with pytest.raises(ValueError, match=r"'g': .*bucket"):
        a_metric("g", buckets=(1.0,))


def test_two_metrics_cannot_claim_one_series():
    """
    A catalogue refuses a metric whose name is a part of another one.
    """
    sample = a_metric("x", Kind.SAMPLE)

    with pytest.raises(ValueError, match="'x_count' belongs to both 'x' and 'x_count'"):
        Catalogue([sample, a_metric("x_count")])


def test_a_key_that_does_not_become_the_name_is_refused():
    """
    A key is only a key of a metric when Nomad's rule turns it into the metric's name.
    """
    with pytest.raises(ValueError, match="does not become this name"):
        a_metric("nomad_raft_x", key="nomad.raft.y")


def test_every_constant_is_in_the_catalogue():
    """
    What a module defines is found, and each series of ours is one of the agent's that is always there.
    """
    ours = list(metrics_of("outrider").values())

    assert outrider.SERVER_HAS_LEADER in ours
    assert all(metric.name.startswith("outrider_") and metric.present is Presence.ALWAYS for metric in ours)
    assert all(name.endswith("_total") for name in (m.name for m in ours if m.kind is Kind.COUNTER))
    assert all((find(name) or find(f"{name}_bucket")).metric is metric for metric in CATALOGUE for name in metric.names)


def test_meanings_are_sentences():
    """
    Each meaning stands alone in a table and ends with a full stop.
    """
    assert [] == [m.name for m in CATALOGUE if not m.meaning.endswith(".") or m.meaning[0].islower()]

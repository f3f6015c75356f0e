"""The JSON view has the form a real Nomad's has, and shows the last finished interval of 10 s."""

import json
from pathlib import Path

import pytest

from telemetry.catalogue import find, job, outrider, raft, rpc
from telemetry.clock import ManualClock
from telemetry.registry import Registry
from telemetry.windows import Frame

GOLDEN = Path(__file__).parent.parent / "golden" / "nomad-2.0.5"
RECORDED = json.loads((GOLDEN / "leader.json").read_text())


@pytest.fixture
def clock():
    return ManualClock(1_000_000.0)


@pytest.fixture
def registry(clock):
    return Registry(clock)


def test_the_body_has_nomads_fields(registry):
    """
    The body, a counter, a gauge and a sample have the recorded fields with the recorded JSON types.
    """
    registry.add(raft.APPLY)
    registry.set(raft.LAST_INDEX, 5.0)
    registry.observe(raft.COMMIT_TIME, 2.5)

    body = registry.in_memory()

    assert sorted(RECORDED) == sorted(body)
    for part in ("Counters", "Gauges", "Samples"):
        ours, theirs = body[part][0], RECORDED[part][0]
        assert {key: type(value) for key, value in theirs.items()} == {key: type(value) for key, value in ours.items()}
    assert body == json.loads(json.dumps(body))


def test_names_and_labels_are_the_recorded_ones(registry):
    """
    Told what a real leader said, the view holds the same names with the same labels.
    """
    seen = {"Counters": registry.add, "Gauges": registry.set, "Samples": registry.observe}
    for part, record in seen.items():
        for row in RECORDED[part]:
            entry = find(row["Name"].replace(".", "_").replace("-", "_"))
            if entry is not None:
                labels = tuple(row["Labels"].get(label, "") for label in entry.metric.labels)
                record(entry.metric, row.get("Value", row.get("Sum", 0.0)), labels, entry.expansion)

    body = registry.in_memory()

    for part in seen:
        rows = [row for row in RECORDED[part] if find(row["Name"].replace(".", "_").replace("-", "_"))]
        expected = sorted((row["Name"], sorted(row["Labels"].items())) for row in rows)
        assert expected == [(row["Name"], sorted(row["Labels"].items())) for row in body[part]]
        assert len(rows) > 20


def test_the_last_finished_interval_is_shown(registry, clock):
    """
    What happened since the last full tens of seconds is not shown until they are over.
    """
    registry.add(raft.APPLY, 4.0)
    clock.advance(10.0)
    registry.add(raft.APPLY, 7.0)

    first = registry.in_memory()
    clock.advance(10.0)
    second = registry.in_memory()

    assert [4.0] == [row["Sum"] for row in first["Counters"]]
    assert [7.0] == [row["Sum"] for row in second["Counters"]]
    assert "1970-01-12 13:46:40 +0000 UTC" == first["Timestamp"]
    assert "1970-01-12 13:46:50 +0000 UTC" == second["Timestamp"]


def test_the_first_interval_is_shown_while_it_lasts(registry, clock):
    """
    A young agent shows what it has instead of nothing.
    """
    clock.advance(3.0)

    registry.add(raft.APPLY)

    assert [1] == [row["Count"] for row in registry.in_memory()["Counters"]]


def test_an_interval_is_aggregated_over_its_windows(registry, clock):
    """
    Count, sum, mean, extremes, deviation and rate a second cover all 10 s.
    """
    for value in (2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0):
        registry.observe(rpc.CLIENT_UPDATE_STATUS, value)
        clock.advance(1.25)

    (row,) = registry.in_memory()["Samples"]

    assert (8, 40.0, 5.0, 2.0, 9.0, 4.0) == tuple(row[key] for key in ("Count", "Sum", "Mean", "Min", "Max", "Rate"))
    assert pytest.approx(2.13809, abs=1e-5) == row["Stddev"]


def test_a_series_without_news_is_left_out(registry, clock):
    """
    A counter and a gauge that were idle for the interval are not in the view, though still in a scrape.
    """
    registry.add(raft.APPLY)
    registry.set(job.STATUS_DEAD, 1.0)
    clock.advance(25.0)

    body = registry.in_memory()

    assert ([], [], []) == (body["Counters"], body["Gauges"], body["Samples"])
    assert b"nomad_raft_apply 1" in registry.exposition()


def test_series_of_ours_are_no_part_of_it(registry):
    """
    The view is Nomad's; outrider_ series are for Prometheus.
    """
    registry.declare(outrider.TASK_FAILURES_TOTAL, ("x",))

    assert [] == registry.in_memory()["Counters"]


@pytest.mark.parametrize("interval", [1.0, 2.0, 2.5, 5.0, 7.0, 10.0, 15.0, 30.0])
def test_an_interval_is_as_long_as_it_was_set(interval):
    """
    What is shown is what happened in the last finished interval, whatever its length, with its rate.
    """
    clock = ManualClock(interval * 100_000)
    registry = Registry(clock, frame=Frame.of(interval, 6 * interval))
    registry.add(raft.APPLY, 3.0)
    clock.advance(interval - 0.001)
    registry.add(raft.APPLY, 4.0)
    registry.set(raft.LAST_INDEX, 5.0)
    clock.advance(0.001)
    registry.add(raft.APPLY, 50.0)

    first = registry.in_memory()
    clock.advance(interval)
    second = registry.in_memory()

    (row,) = first["Counters"]
    assert (2, 7.0, 7.0 / interval) == (row["Count"], row["Sum"], row["Rate"])
    assert [5.0] == [row["Value"] for row in first["Gauges"]]
    assert [50.0] == [row["Sum"] for row in second["Counters"]]


@pytest.mark.parametrize(("retention", "shown"), [(10.0, 7.0), (19.9, 7.0), (20.0, 4.0), (60.0, 4.0)])
def test_with_one_interval_kept_the_one_under_way_is_shown(retention, shown):
    """
    Where two fit into in_memory_retention_period, the last finished one is shown, as on a Nomad.
    """
    clock = ManualClock(1_000_000.0)
    registry = Registry(clock, frame=Frame.of(10.0, retention))
    registry.add(raft.APPLY, 4.0)
    clock.advance(10.0)
    registry.add(raft.APPLY, 7.0)

    assert [shown] == [row["Sum"] for row in registry.in_memory()["Counters"]]


@pytest.mark.parametrize("interval", [1.0, 3.0, 5.0, 30.0])
def test_quantiles_do_not_depend_on_the_interval(interval):
    """
    They are of the last 8 to 10 s, to the scrape's eye, however time is cut for the JSON.
    """
    clock = ManualClock(1_000_000.0)
    registry = Registry(clock, frame=Frame.of(interval, 60.0))
    registry.observe(raft.COMMIT_TIME, 3.0)

    clock.advance(7.4)
    young = registry.exposition()
    clock.advance(2.7)
    old = registry.exposition()

    assert b'nomad_raft_commitTime{quantile="0.99"} 3\n' in young
    assert b'nomad_raft_commitTime{quantile="0.99"} NaN\n' in old

"""A registry with sinks hands on what is recorded, and only that."""

import pytest

from telemetry.catalogue import broker, job, outrider, raft
from telemetry.clock import ManualClock
from telemetry.filters import Filters
from telemetry.pushing import PushingRegistry
from telemetry.registry import Sampled
from telemetry.sinks.lines import statsd_line


class Listed:
    """A sink that lists the lines it is given."""

    def __init__(self):
        self.lines = []

    def line(self, series):
        return statsd_line(series)

    def push(self, line, value):
        self.lines.append(line.text(value).rstrip())


@pytest.fixture
def sink():
    return Listed()


def pushing(sink, **settings):
    return PushingRegistry(ManualClock(), sinks=[sink], **settings)


def test_each_value_is_pushed_as_it_is_recorded(sink):
    """
    Counters as increases, gauges as values, samples one by one; the registry keeps them, too.
    """
    registry = pushing(sink)

    registry.add(raft.APPLY, 2.0)
    registry.add(raft.APPLY, 3.0)
    registry.set(broker.TOTAL_READY, 4.0)
    registry.observe(raft.COMMIT_TIME, 1.5)

    assert [
        "nomad.raft.apply:2.000000|c",
        "nomad.raft.apply:3.000000|c",
        "nomad.nomad.broker.total_ready:4.000000|g",
        "nomad.raft.commitTime:1.500000|ms",
    ] == sink.lines
    assert b"nomad_raft_apply 5\n" in registry.exposition()


def test_a_histogram_is_kept_and_not_pushed(sink):
    """
    Statsd has no buckets; the sample of Nomad's beside it is pushed.
    """
    registry = pushing(sink)

    registry.observe(outrider.PLAN_DURATION_SECONDS, 0.2, ("a",))

    assert [] == sink.lines
    assert b'outrider_plan_duration_seconds_bucket{server="a",le="0.25"} 1\n' in registry.exposition()


def test_every_sink_gets_every_value(sink):
    """
    Two sinks are told the same.
    """
    other = Listed()
    registry = PushingRegistry(ManualClock(), sinks=[sink, other])

    registry.add(raft.APPLY)

    assert ["nomad.raft.apply:1.000000|c"] == sink.lines == other.lines


def test_filters_apply_to_sinks(sink):
    """
    What prefix_filter drops is pushed nowhere, what a longer prefix publishes is.
    """
    registry = pushing(sink, filters=Filters.from_rules(["-nomad.raft", "+nomad.raft.apply"]))

    registry.observe(raft.COMMIT_TIME, 1.0)
    registry.add(raft.APPLY)

    assert ["nomad.raft.apply:1.000000|c"] == sink.lines


def test_a_value_that_is_refused_is_not_pushed(sink):
    """
    A counter cannot shrink, neither here nor there.
    """
    registry = pushing(sink)
    with pytest.raises(ValueError, match="cannot grow by -1"):
        registry.add(raft.APPLY, -1.0)

    assert [] == sink.lines


def test_the_host_is_a_label_or_in_the_name(sink):
    """
    As a label it stands behind the key; in the name of gauges it stands there alone, though /v1/metrics has the label.
    """
    pushing(sink, host_label="h1").set(broker.TOTAL_READY, 1.0)
    named = pushing(sink, host_label="n1", host_in_name="n1")
    named.set(broker.TOTAL_READY, 1.0)
    named.add(raft.APPLY)

    assert [
        "nomad.nomad.broker.total_ready.h1:1.000000|g",
        "nomad.n1.nomad.broker.total_ready:1.000000|g",
        "nomad.raft.apply:1.000000|c",
    ] == sink.lines
    assert b'nomad_nomad_broker_total_ready{host="n1"} 1\n' in named.exposition()


def test_what_is_sampled_is_not_pushed(sink):
    """
    Values made at a scrape are nobody's record.
    """
    registry = pushing(sink)
    registry.register_sampler(lambda: [Sampled(outrider.METRICS_SERIES, 1.0)], "x")
    sink.lines.clear()

    registry.exposition()

    assert [] == sink.lines


def test_labels_make_lines_of_their_own(sink):
    """
    The line of one series is not that of another.
    """
    registry = pushing(sink)
    for name in ("web", "db", "web"):
        registry.set(job.SUMMARY_RUNNING, 1.0, (name, "default", "app", "", ""))

    assert [
        f"nomad.nomad.job_summary.running.{name}.app.default:1.000000|g" for name in ("web", "db", "web")
    ] == sink.lines

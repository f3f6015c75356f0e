"""A registry with sinks hands on what is recorded as it comes, and what is sampled at each collection."""

import pytest

from telemetry.catalogue import broker, external, job, outrider, raft
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


def test_what_is_sampled_is_pushed_at_a_collection(sink):
    """
    Values made at a scrape are made at a collection, too: gauges as they are; a scrape in between pushes nothing.
    """
    registry = pushing(sink, host_label="h1")
    registry.register_sampler(lambda: [Sampled(outrider.RAFT_TERM, 7.0, ("n1",))], "x")
    sink.lines.clear()

    registry.exposition()
    assert [] == sink.lines
    registry.push_sampled()

    assert "outrider.raft_term.n1.h1:7.000000|g" in sink.lines


def test_sampled_counters_are_pushed_as_increases(sink):
    """
    Statsd adds up what it gets, so a total of three that becomes five is three and two; what did not grow is not said.
    """
    totals = [3.0, 3.0, 5.0]
    registry = pushing(sink)
    registry.register_sampler(lambda: [Sampled(outrider.RAFT_ELECTIONS_TOTAL, totals.pop(0), ("n1",))], "x")

    for _ in range(3):
        registry.push_sampled()

    assert ["outrider.raft_elections_total.n1:3.000000|c", "outrider.raft_elections_total.n1:2.000000|c"] == [
        line for line in sink.lines if "elections" in line
    ]


def test_what_no_nomad_pushes_is_not_pushed(sink):
    """
    The process's own figures are the Prometheus library's on a Nomad, and go to no sink; nor does what a filter drops.
    """
    registry = pushing(sink, filters=Filters.from_rules(["-outrider_raft_term"]))
    said = [Sampled(external.PROCESS_OPEN_FDS, 9.0), Sampled(outrider.RAFT_TERM, 7.0, ("n1",))]
    registry.register_sampler(lambda: said, "x")
    sink.lines.clear()

    registry.push_sampled()

    assert [] == [line for line in sink.lines if "fds" in line or "raft_term" in line]


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

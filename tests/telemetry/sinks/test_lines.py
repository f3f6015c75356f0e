"""What a line to a receiver says, and how lines become packets."""

import math

import pytest

from telemetry.catalogue import broker, client, job, outrider, raft
from telemetry.series import named_labels
from telemetry.sinks.lines import PACKET_BYTES_MAX, Line, Series, can_be_said, dogstatsd_line, packets, statsd_line


def series(metric, values=(), host=None, expansion="", in_name=""):
    """Return *metric* with the labels that the registry would give it."""
    return Series(metric, expansion, named_labels(metric, values, host), in_name)


SUMMARY = series(job.SUMMARY_RUNNING, ("web", "default", "app", "", ""), "h1")
TASK = series(
    client.ALLOCS_CPU_USER, ("a-1", "web", "default", "main", "app", "cron", "1700000000", "team", "core"), "h1"
)  # fmt: skip
NODE = series(client.HOST_CPU_USER, ("dc1", "none", "n-1", "default", "eligible", "ready", "cpu0"))


@pytest.mark.parametrize(
    ("of", "value", "line"),
    [
        (series(broker.TOTAL_READY), 3, "nomad.nomad.broker.total_ready:3.000000|g\n"),
        (series(broker.TOTAL_READY, (), "h1"), 3, "nomad.nomad.broker.total_ready.h1:3.000000|g\n"),
        (series(broker.SCHEDULER_READY, (), None, "_core"), 1, "nomad.nomad.broker._core.ready:1.000000|g\n"),
        (series(raft.APPLY), 1, "nomad.raft.apply:1.000000|c\n"),
        (series(raft.COMMIT_TIME), 0.1, "nomad.raft.commitTime:0.100000|ms\n"),
        (series(raft.LAST_INDEX), 2**24 + 1, "nomad.raft.lastIndex:16777216.000000|g\n"),
        (series(broker.TOTAL_READY), -2.5, "nomad.nomad.broker.total_ready:-2.500000|g\n"),
        (SUMMARY, 2, "nomad.nomad.job_summary.running.web.app.default.h1:2.000000|g\n"),
        (
            TASK, 12.5,
            "nomad.client.allocs.cpu.user.web.app.a-1.main.default.core.cron.1700000000.h1:12.500000|g\n",
        ),
        (NODE, 1, "nomad.client.host.cpu.user.n-1.dc1.none.default.ready.eligible.cpu0:1.000000|g\n"),
        (series(outrider.TASK_FAILURES_TOTAL, ("a b:c",)), 1, "outrider.task_failures_total.a_b_c:1.000000|c\n"),
    ],
)  # fmt: skip
def test_statsd_has_labels_in_the_name(of, value, line):
    """
    The dotted key, the labels' values in Nomad's order with the host last, a float32 with six digits, and the type.
    """
    assert line == statsd_line(of).text(value)


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        (broker.TOTAL_READY, "nomad.n1.nomad.broker.total_ready"),
        (raft.APPLY, "nomad.raft.apply"),
        (raft.COMMIT_TIME, "nomad.raft.commitTime"),
    ],
)
def test_a_host_in_the_name_is_of_gauges_alone(metric, name):
    """
    go-metrics puts the host behind the service and before the rest, and does so for gauges only.
    """
    assert f"{name}:" == statsd_line(series(metric, in_name="n1")).start


@pytest.mark.parametrize(
    ("of", "tags", "value", "line"),
    [
        (series(broker.TOTAL_READY), (), 3, "nomad.nomad.broker.total_ready:3.000000|g\n"),
        (series(broker.TOTAL_READY), ("env:prod", "x"), 3, "nomad.nomad.broker.total_ready:3.000000|g|#env:prod,x\n"),
        (series(broker.TOTAL_READY, in_name="n1"), (), 3, "nomad.nomad.broker.total_ready:3.000000|g\n"),
        (series(raft.APPLY, (), "h1"), (), 2.9, "nomad.raft.apply:2|c|#host:h1\n"),
        (series(raft.COMMIT_TIME), (), 0.25, "nomad.raft.commitTime:0.250000|ms\n"),
        (
            SUMMARY, ("env:prod",), 2,
            "nomad.nomad.job_summary.running:2.000000|g|#env:prod,job:web,task_group:app,namespace:default,host:h1\n",
        ),
        (series(raft.REPLICATION_APPEND_ENTRIES_LOGS, ("",)), (), 1, "nomad.raft.replication.appendEntries.logs:1|c|#peer_id\n"),
    ],
)  # fmt: skip
def test_dogstatsd_has_labels_as_tags(of, tags, value, line):
    """
    The operator's tags, then labels as name:value, a label without a value as its name; counters are whole numbers.
    """
    kind_is_counter = of.metric.kind.value == "counter"

    made = dogstatsd_line(of, tags)

    assert kind_is_counter == made.whole
    assert line == made.text(value)


def test_no_value_of_a_label_begins_a_line_or_a_tag():
    """
    Metadata of a job is anybody's text: it cannot end a name, a value, a tag or a line.
    """
    evil = series(job.SUMMARY_RUNNING, ("a:1|c\nnomad.raft.apply:9|c\nb,c d\r", "default", "app", "", ""))

    for made in (statsd_line(evil), dogstatsd_line(evil, ("x:1\ny:2",))):
        text = made.text(1)
        assert 1 == text.count("\n")
        assert text.endswith("\n")
    assert "nomad.nomad.job_summary.running.a_1_c_nomad.raft.apply_9_c_b,c_d_.app.default:" == statsd_line(evil).start
    assert 4 == len(dogstatsd_line(evil, ("x:1\ny:2",)).end.split("#")[1].split(","))


@pytest.mark.parametrize(("value", "said"), [(0.0, True), (3.4e38, True), (3.5e38, False), (math.inf, False), (math.nan, False)])  # fmt: skip
def test_only_digits_are_said(value, said):
    """
    Infinity, NaN and what a float32 cannot hold are no value to a receiver.
    """
    assert said is can_be_said(value)


def test_packets_are_full_of_whole_lines():
    """
    A golden packet: lines in order, none torn, each packet as full as 1,400 bytes allow.
    """
    line = statsd_line(series(broker.TOTAL_READY))
    texts = [line.text(value) for value in range(100)]

    made = list(packets(texts))

    assert (42, 43) == (len(texts[0]), len(texts[10]))
    assert [32, 32, 32, 4] == [lines for _, lines in made]
    assert b"nomad.nomad.broker.total_ready:0.000000|g\nnomad.nomad.broker.total_ready:1.000000|g\n" == made[0][0][:84]
    assert max(len(packet) for packet, _ in made) <= PACKET_BYTES_MAX
    assert "".join(texts).encode() == b"".join(packet for packet, _ in made)


@pytest.mark.parametrize(("sizes", "counts"), [([700, 700], [2]), ([700, 701], [1, 1]), ([1401], [1]), ([10, 1500, 10], [1, 1, 1]), ([], [])])  # fmt: skip
def test_a_packet_ends_where_the_next_line_does_not_fit(sizes, counts):
    """
    1,400 bytes fit, 1,401 do not; a line that is longer alone is a packet of its own, and nothing is an empty one.
    """
    texts = [Line("x" * (size - 9), "\n").text(0.5) for size in sizes]

    assert sizes == [len(text) for text in texts]
    assert counts == [lines for _, lines in packets(texts)]

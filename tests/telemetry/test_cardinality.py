"""How many series a metric makes, against the recorded scrapes of a real Nomad."""

from pathlib import Path

import pytest

from telemetry.catalogue import (
    CATALOGUE,
    OPTIONAL_LABELS,
    Kind,
    Presence,
    Role,
    broker,
    client,
    exporter,
    find,
    job,
    outrider,
    raft,
    rpc,
)
from telemetry.catalogue.cardinality import ClusterSize, Per, lines, per, series, total_lines
from telemetry.scraped import read_exposition
from tests.telemetry.both_ways import series_by_name

GOLDEN = Path(__file__).parent.parent / "golden" / "nomad-2.0.5"
# What the measured cluster had: 7 task groups, 3 allocations that were to be rescheduled, 4 tasks on the client.
MEASURED = ClusterSize(servers=3, clients=2, jobs=7, allocations=8, waiting=3)
ROLES = {"leader": Role.SERVER, "follower": Role.SERVER, "client": Role.CLIENT}


def measured(role):
    """Return how many series of each name a recorded scrape has, suffixes and quantiles left out."""
    return series_by_name(read_exposition((GOLDEN / f"{role}.prom").read_text()))


@pytest.mark.parametrize("role", ROLES)
def test_no_more_is_recorded_than_predicted(role):
    """
    The prediction of each metric is an upper bound of what the measured cluster exported.
    """
    seen = measured(role)

    over = {
        name: (many, series(find_any(name), MEASURED))
        for name, many in seen.items()
        if many > series(find_any(name), MEASURED) // max(1, len(find_any(name).expansions))
    }

    assert len(seen) > 60
    assert {} == over


def find_any(name):
    return (find(name) or find(f"{name}_count")).metric


@pytest.mark.parametrize("role", ROLES)
def test_what_is_always_there_is_predicted_exactly(role):
    """
    For metrics that are always there, or that node and allocation metrics bring, predicted and measured are equal.
    """
    always = {Presence.ALWAYS} | ({Presence.WHEN_CONFIGURED} if role == "client" else set())

    wrong = {
        name: (many, series(find_any(name), MEASURED))
        for name, many in measured(role).items()
        if find_any(name).present in always and many != series(find_any(name), MEASURED)
    }

    assert {} == wrong


def test_the_labels_say_what_a_metric_is_counted_by():
    """
    Peers, task groups, triggers, tasks and cores are told apart.
    """
    assert Per.PEER is per(raft.REPLICATION_HEARTBEAT)
    assert Per.TASK_GROUP is per(job.SUMMARY_QUEUED)
    assert Per.EVALUATED_JOB is per(broker.WAIT_TIME)
    assert Per.ALLOCATION is per(client.ALLOCS_MEMORY_RSS)
    assert Per.CORE is per(client.HOST_CPU_IDLE)
    assert Per.NODE is per(client.TASKS_RUNNING)
    assert Per.AGENT is per(rpc.RPC_QUERY)
    assert Per.SINK is per(outrider.SINK_DROPPED_TOTAL)
    assert Per.SCHEDULER is per(outrider.EVALUATION_DURATION_SECONDS)


def test_only_foreign_and_open_labels_are_not_predicted():
    """
    No metric of Nomad's has labels whose number nobody can tell.
    """
    assert [] == [metric.name for metric in CATALOGUE if metric.name.startswith("nomad_") and per(metric) is Per.OTHER]
    assert all(label in {"parent_id", "periodic_id"} for label in OPTIONAL_LABELS)


def test_a_summary_has_five_lines_a_series():
    """
    The heartbeats of a leader of five servers are four series of five lines.
    """
    size = ClusterSize(servers=5)

    assert Kind.SAMPLE is raft.REPLICATION_HEARTBEAT.kind
    assert 4 == series(raft.REPLICATION_HEARTBEAT, size)
    assert 20 == lines(raft.REPLICATION_HEARTBEAT, size)


def test_a_histogram_has_a_line_a_bucket_and_three_more():
    """
    Twelve buckets, that of infinity, sum and count, for each of five types of scheduler.
    """
    assert 12 == len(outrider.EVALUATION_DURATION_SECONDS.buckets)
    assert 5 * 15 == lines(outrider.EVALUATION_DURATION_SECONDS, ClusterSize(servers=3))


def test_jobs_are_what_makes_a_scrape_grow():
    """
    A thousand jobs more are 37,000 lines more on the leader: seven gauges, and three summaries for two triggers.
    """
    few, many = (total_lines(CATALOGUE, Role.SERVER, ClusterSize(servers=3, jobs=jobs)) for jobs in (0, 1_000))

    assert 37_000 == many - few


def test_a_client_that_was_made_ineligible_has_its_series_twice():
    """
    For a minute those with the old labels stay, each core's included.
    """
    size = ClusterSize(servers=3, clients=1, cores=4, node_states=2)

    assert 2 == series(client.ALLOCATED_CPU, size)
    assert 8 == series(client.HOST_CPU_IDLE, size)


def test_an_exporter_has_a_series_for_each_server():
    """
    An agent says its own term, an exporter that of all five; what it says of itself it says once.
    """
    size = ClusterSize(servers=5)

    assert (1, 5) == (series(outrider.RAFT_TERM, size), series(outrider.RAFT_TERM, size, Role.EXPORTER))
    assert 1 == series(exporter.INFO, size, Role.EXPORTER)


def test_a_cluster_that_cannot_be_is_refused():
    """
    There is a server at least, and nothing is less than none.
    """
    with pytest.raises(ValueError, match="0 servers"):
        ClusterSize(servers=0)
    with pytest.raises(ValueError, match="jobs is -1"):
        ClusterSize(servers=1, jobs=-1)

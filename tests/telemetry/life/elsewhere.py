"""Metrics of our agent whose value is held against something elsewhere, or nowhere: two tables by metric."""

from telemetry.catalogue import Metric, broker, discovery, exporter, memberlist, outrider, raft, runtime, serf, tls
from tests.telemetry.life.checks import Proven

_READERS = "tests/telemetry/exporting/test_readers.py"
_BODIES = "tests/telemetry/exporting/test_bodies.py"
_ENDS = Proven(
    "tests/integration/test_tls.py::test_the_ends_of_certificates_are_measured", "against the days it was issued for"
)
_FOUND = Proven(
    "tests/telemetry/scrape/test_discovery.py::test_the_targets_stay_when_the_cluster_is_gone",
    "after one good round and one that failed 60 s later",
)
_LISTED = Proven(f"{_BODIES}::test_lists_are_counted_by_status", "from the recorded lists of a real Nomad")
_SATURATION = Proven(
    "tests/agent/consensus/test_pysyncobj_replicator.py::test_saturation_is_the_share_of_a_second",
    "against the clock that the test moves",
)
PROVEN: dict[Metric, Proven] = {
    raft.THREAD_MAIN_SATURATION: _SATURATION,
    raft.THREAD_FSM_SATURATION: _SATURATION,
    runtime.GC_PAUSE_NS: Proven(
        "tests/telemetry/test_process.py::test_a_pause_is_measured_without_touching_the_registry",
        "against the clock that the test moves",
    ),
    tls.CERT_EXPIRATION_SECONDS: _ENDS,
    tls.CA_EXPIRATION_SECONDS: _ENDS,
    discovery.TARGETS: _FOUND,
    discovery.LIST_AGE_SECONDS: _FOUND,
    discovery.ROUNDS_FAILED_TOTAL: _FOUND,
    exporter.JOBS: _LISTED,
    exporter.DEPLOYMENTS: _LISTED,
    exporter.EVALUATIONS: _LISTED,
    exporter.MEMBERS: Proven(
        f"{_BODIES}::test_a_leader_says_what_our_agent_would_say", "from the recorded answers of a real Nomad"
    ),
    exporter.AGE_SECONDS: Proven(
        f"{_READERS}::test_ages_grow_from_the_last_success", "against the clock that the test moves"
    ),
    exporter.SOURCE_AGE_SECONDS: Proven(
        f"{_READERS}::test_a_list_that_did_not_change_is_not_read_again", "against the clock that the test moves"
    ),
    exporter.SOURCE_DENIED: Proven(
        f"{_READERS}::test_what_the_token_does_not_allow_is_said_once", "of servers that deny one source"
    ),
    exporter.READS_TOTAL: Proven(
        f"{_READERS}::test_a_reader_that_was_told_to_end_takes_nothing_down", "against the reads that the test made"
    ),
    exporter.READ_FAILURES_TOTAL: Proven(
        f"{_READERS}::test_a_malformed_answer_is_a_failure_of_that_source_alone", "against the answers that were bad"
    ),
}
"""Held against something by another test."""

UNCHECKED: dict[Metric, str] = {
    **dict.fromkeys(
        (
            memberlist.GOSSIP,
            memberlist.SIZE_LOCAL,
            memberlist.TCP_SENT,
        ),
        "how gossip works inside, which shows nowhere else",
    ),
    **dict.fromkeys(
        (memberlist.MSG_ALIVE, memberlist.MSG_DEAD, memberlist.DEGRADED_PROBE, serf.MSGS_SENT, serf.MSGS_RECEIVED),
        "news of gossip, of which only what is new to a member is told",
    ),
    **dict.fromkeys(
        (memberlist.QUEUE_BROADCASTS, serf.QUEUE_INTENT),
        "nearly always 0, as news leave within a second",
    ),
    broker.TOTAL_CANCELABLE: "0 by construction: what is superseded is cancelled with the acknowledgement",
    broker.BLOCKED_TOTAL_QUOTA_LIMIT: "0 by construction: there are no quotas",
    outrider.QUEUE_CAPACITY: "a constant of the program, to which nothing outside it is equal",
    runtime.FREE_COUNT: "the collector's own count of what it freed, which nothing else keeps",
}
"""Why nothing is known that the value could be held against."""

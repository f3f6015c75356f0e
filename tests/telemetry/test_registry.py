"""The registry behaves as a Nomad's Prometheus sink where the names are Nomad's, and never forgets where they are ours."""

import math
import random
import sys
import threading

import pytest

from telemetry.catalogue import Kind, Metric, Presence, Role, Unit, autopilot, broker, job, outrider, raft, rpc
from telemetry.clock import ManualClock
from telemetry.filters import Filters
from telemetry.registry import EXPIRY_SECONDS, Registry, Sampled
from telemetry.scraped import read_exposition
from telemetry.series import Gauge

LAST_CONTACT = "nomad_raft_leader_lastContact"


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def registry(clock):
    return Registry(clock)


@pytest.fixture
def scrape(parse):
    """
    A function from a registry to {(name, label values): value}, own series of the registry left out.
    """

    def scraped(registry):
        return {
            (name, *labels.values()): value
            for name, labels, value in parse(registry.exposition().decode())
            if not name.startswith(("outrider_metrics_", "outrider_task_"))
        }

    return scraped


def test_a_registry_without_observations_shows_only_itself(registry, scrape):
    """
    Nothing is pre-declared under Nomad's names.
    """
    assert {} == scrape(registry)


def test_a_counter_is_born_at_its_first_increment(registry, scrape):
    """
    A counter does not exist before its first event and then has the value 1.
    """
    registry.add(raft.STATE_LEADER)

    assert {("nomad_raft_state_leader",): 1.0} == scrape(registry)


def test_series_vanish_sixty_seconds_after_their_last_update(registry, clock, scrape):
    """
    A gauge, a counter and a sample that nobody updates are there for 60 s and then gone.
    """
    registry.set(autopilot.HEALTHY, 1.0)
    registry.add(raft.APPLY)
    registry.observe(raft.COMMIT_TIME, 2.0)

    clock.advance(EXPIRY_SECONDS)
    still = scrape(registry)
    clock.advance(0.001)

    assert 7 == len(still)
    assert {} == scrape(registry)


def test_an_update_keeps_a_series_alive(registry, clock, scrape):
    """
    The 60 s are counted from the last update, not from the first.
    """
    registry.add(raft.APPLY)
    clock.advance(50.0)
    registry.add(raft.APPLY)
    clock.advance(50.0)

    assert {("nomad_raft_apply",): 2.0} == scrape(registry)


def test_a_counter_that_expired_begins_again(registry, clock, scrape):
    """
    After its expiry was noticed by a scrape, a counter is born again at 1.
    """
    registry.add(raft.APPLY, 5.0)
    clock.advance(61.0)
    scrape(registry)

    registry.add(raft.APPLY)

    assert {("nomad_raft_apply",): 1.0} == scrape(registry)


def test_a_sample_has_quantiles_sum_and_count(registry, scrape):
    """
    Quantiles are within 1 % of the value at their rank; sum and count are exact.
    """
    for value in range(1, 101):
        registry.observe(raft.LEADER_LAST_CONTACT, float(value))

    seen = scrape(registry)

    assert pytest.approx(50.0, rel=0.0101) == seen[LAST_CONTACT, "0.5"]
    assert pytest.approx(90.0, rel=0.0101) == seen[LAST_CONTACT, "0.9"]
    assert pytest.approx(99.0, rel=0.0101) == seen[LAST_CONTACT, "0.99"]
    assert 5050.0 == seen[f"{LAST_CONTACT}_sum",]
    assert 100.0 == seen[f"{LAST_CONTACT}_count",]


def test_quantiles_are_nan_when_nothing_happened_for_ten_seconds(registry, clock, scrape):
    """
    An idle sample keeps its sum and count for 60 s, while its quantiles are NaN after 10 s and not before 8 s.
    """
    registry.observe(raft.LEADER_LAST_CONTACT, 3.0)

    clock.advance(7.999)
    young = scrape(registry)
    clock.advance(2.001)
    old = scrape(registry)

    assert 3.0 == young[LAST_CONTACT, "0.99"]
    assert all(math.isnan(old[LAST_CONTACT, quantile]) for quantile in ("0.5", "0.9", "0.99"))
    assert (3.0, 1.0) == (old[f"{LAST_CONTACT}_sum",], old[f"{LAST_CONTACT}_count",])


def test_old_observations_leave_the_quantiles(registry, clock, scrape):
    """
    A high value of 11 s ago is in the sum and no longer in the quantiles.
    """
    registry.observe(raft.LEADER_LAST_CONTACT, 9_000.0)
    clock.advance(11.0)
    registry.observe(raft.LEADER_LAST_CONTACT, 20.0)

    seen = scrape(registry)

    assert 20.0 == seen[LAST_CONTACT, "0.99"]
    assert 9_020.0 == seen[f"{LAST_CONTACT}_sum",]


def test_gauges_with_nomads_names_are_float32(registry, scrape):
    """
    An index above 2**24 is rounded as Nomad rounds it; a series of ours is not.
    """
    registry.set(raft.LAST_INDEX, 16_777_217.0)
    registry.set(outrider.RAFT_TERM, 16_777_217.0, ("s1",))

    seen = scrape(registry)

    assert 16_777_216.0 == seen["nomad_raft_lastIndex",]
    assert 16_777_217.0 == seen["outrider_raft_term", "s1"]


def test_series_of_ours_never_expire(registry, clock, scrape):
    """
    An outrider_ counter is zero once declared and stays for ever.
    """
    registry.declare(outrider.TASK_FAILURES_TOTAL, ("raft",))
    clock.advance(100_000.0)

    registry.exposition()

    assert b'\noutrider_task_failures_total{task="raft"} 0\n' in registry.exposition()


def test_labels_are_printed_in_the_order_of_the_alphabet(registry):
    """
    The order of the values is that of the catalogue; what is printed is sorted by name, empty ones left out.
    """
    registry.set(job.SUMMARY_QUEUED, 2.0, ("web", "default", "app", "", ""))

    body = registry.exposition()

    assert b'\nnomad_nomad_job_summary_queued{job="web",namespace="default",task_group="app"} 2\n' in body


def test_the_host_is_a_label_where_hostnames_are_not_disabled(clock):
    """
    Every series carries host, among the other labels by the alphabet, but process_* do not.
    """
    start = Metric(
        name="process_start_time_seconds",
        kind=Kind.GAUGE,
        unit=Unit.UNIX_SECONDS,
        exporter=Role.AGENT,
        present=Presence.ALWAYS,
        meaning="When.",
        source="test",
    )
    registry = Registry(clock, "h1")
    registry.register_sampler(lambda: [Sampled(outrider.SERVER_HAS_LEADER, 1.0, ("s1",)), Sampled(start, 5.0)])

    registry.add(raft.APPLY)
    registry.set(job.SUMMARY_QUEUED, 2.0, ("web", "default", "app", "", ""))
    body = registry.exposition().decode()

    assert '\nnomad_raft_apply{host="h1"} 1\n' in body
    assert 'queued{host="h1",job="web",namespace="default",task_group="app"} 2\n' in body
    assert '\noutrider_server_has_leader{host="h1",server="s1"} 1\n' in body
    assert "\nprocess_start_time_seconds 5\n" in body


def test_samplers_are_asked_at_each_scrape(registry, clock, scrape):
    """
    A sampled gauge says what holds at the moment of the scrape and needs no collection loop.
    """
    state = {"leader": 0.0}
    registry.register_sampler(lambda: [Sampled(outrider.SERVER_HAS_LEADER, state["leader"], ("s1",))])

    first = scrape(registry)
    state["leader"] = 1.0
    clock.advance(1_000.0)

    assert 0.0 == first["outrider_server_has_leader", "s1"]
    assert 1.0 == scrape(registry)["outrider_server_has_leader", "s1"]


def test_a_sampler_that_raises_blinds_nobody(registry, scrape):
    """
    The others are still asked, and the failure is counted.
    """

    def broken():
        raise RuntimeError("no")

    registry.register_sampler(broken, "broken")
    registry.register_sampler(lambda: [Sampled(outrider.RAFT_TERM, 7.0, ("s1",))])

    seen = scrape(registry)

    assert 7.0 == seen["outrider_raft_term", "s1"]
    assert b'outrider_task_failures_total{task="sampler broken"} 2\n' in registry.exposition()


def test_a_series_said_twice_is_printed_once(registry):
    """
    When two samplers claim a series, the last word counts, so that the scrape stays valid.
    """
    registry.register_sampler(
        lambda: [Sampled(outrider.RAFT_TERM, 7.0, ("s1",)), Sampled(outrider.RAFT_TERM, 8.0, ("s1",))]
    )

    lines = registry.exposition().decode().splitlines()

    assert ['outrider_raft_term{server="s1"} 8'] == [line for line in lines if line.startswith("outrider_raft_term")]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (lambda r: r.add(raft.APPLY, labels=("x",)), "has the labels"),
        (lambda r: r.set(job.SUMMARY_QUEUED, 1.0, ("web",)), "has the labels"),
        (lambda r: r.observe(raft.REPLICATION_HEARTBEAT, 1.0), "has the labels"),
        (lambda r: r.add(raft.LAST_INDEX), "is a gauge, but was used as a counter"),
        (lambda r: r.set(raft.APPLY, 1.0), "is a counter, but was used as a gauge"),
        (lambda r: r.observe(raft.APPLY, 1.0), "is a counter, but was used as a summary"),
        (lambda r: r.add(raft.APPLY, -1.0), "cannot grow by -1.0"),
        (lambda r: r.add(raft.APPLY, math.nan), "cannot grow by nan"),
        (lambda r: r.observe(raft.COMMIT_TIME, math.inf), "inf is no observation"),
        (lambda r: r.observe(raft.COMMIT_TIME, math.nan), "nan is no observation"),
        (lambda r: r.set(broker.SCHEDULER_READY, 1.0, expansion="other"), "'other' is none of its words"),
        (lambda r: r.set(broker.SCHEDULER_READY, 1.0), "'' is none of its words"),
        (lambda r: r.add(raft.APPLY, expansion="x"), "'x' is none of its words"),
        (lambda r: r.declare(raft.COMMIT_TIME), "has no zero"),
    ],
)
def test_misuse_is_a_bug_and_raises(registry, record, message):
    """
    Wrong arity, a wrong kind, a wrong word and an impossible amount raise ValueError and leave nothing behind.
    """
    with pytest.raises(ValueError, match=message):
        record(registry)

    assert b"nomad_" not in registry.exposition()


def test_wrong_arity_raises_on_a_series_that_exists(registry):
    """
    It is found out however often the metric was used rightly before.
    """
    registry.add(raft.APPLY)

    with pytest.raises(ValueError, match="has the labels"):
        registry.add(raft.APPLY, labels=("x",))


def test_expansions_are_families_of_their_own(registry, scrape):
    """
    A metric with a word in its name is printed under the expanded name.
    """
    registry.set(broker.SCHEDULER_READY, 3.0, expansion="service")
    registry.set(broker.SCHEDULER_READY, 1.0, expansion="_core")

    assert {("nomad_nomad_broker_service_ready",): 3.0, ("nomad_nomad_broker__core_ready",): 1.0} == scrape(registry)


def test_blocked_metrics_are_not_kept(clock, scrape):
    """
    What a filter blocks is neither printed nor held.
    """
    registry = Registry(clock, filters=Filters.from_rules(["-nomad.nomad.job_summary"]))

    for number in range(10):
        registry.set(job.SUMMARY_QUEUED, 1.0, (f"job-{number}", "default", "app", "", ""))
        registry.set(job.SUMMARY_QUEUED, 1.0, (f"job-{number}", "default", "app", "", ""))
    registry.add(raft.APPLY)

    assert {("nomad_raft_apply",): 1.0} == scrape(registry)
    assert b"\noutrider_metrics_series 1\n" in registry.exposition()


def test_memory_is_bounded(clock, scrape):
    """
    Beyond the cap new series are refused and counted, while those that exist go on.
    """
    registry = Registry(clock, series_max=3)
    for number in range(5):
        registry.add(raft.REPLICATION_APPEND_ENTRIES_LOGS, labels=(f"p{number}",))

    registry.add(raft.REPLICATION_APPEND_ENTRIES_LOGS, labels=("p0",))

    assert 3 == len(scrape(registry))
    assert 2.0 == scrape(registry)["nomad_raft_replication_appendEntries_logs", "p0"]
    assert b"\noutrider_metrics_series_refused_total 2\n" in registry.exposition()


def test_expired_series_make_room_without_a_scrape(clock):
    """
    When nobody scrapes, series that have expired do not count against the cap.
    """
    registry = Registry(clock, series_max=3)
    for number in range(3):
        registry.add(raft.REPLICATION_APPEND_ENTRIES_LOGS, labels=(f"p{number}",))
    clock.advance(61.0)

    registry.add(raft.APPLY)

    assert b"\nnomad_raft_apply 1\n" in registry.exposition()
    assert b"\noutrider_metrics_series_refused_total 0\n" in registry.exposition()


@pytest.fixture
def eager_switching():
    """
    Threads lose the interpreter every 10 us, so that races have a chance to show.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def test_no_observation_is_lost_between_threads(registry, clock, scrape, eager_switching):
    """
    Four threads that record the same series, while a fifth scrapes and the windows turn, lose nothing.
    """
    rounds = 3_000

    def record():
        for _ in range(rounds):
            registry.add(raft.APPLY)
            registry.observe(rpc.CLIENT_UPDATE_STATUS, 1.5)

    threads = [threading.Thread(target=record) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        registry.exposition()
        clock.advance(0.02)  # little, or a starved thread finds its series expired
    for thread in threads:
        thread.join()

    seen = scrape(registry)
    assert 4.0 * rounds == seen["nomad_raft_apply",]
    assert 4.0 * rounds == seen["nomad_nomad_client_update_status_count",]
    assert 6.0 * rounds == seen["nomad_nomad_client_update_status_sum",]


@pytest.mark.parametrize("seed", range(5))
def test_quantiles_are_within_one_percent_of_the_truth(registry, scrape, seed):
    """
    For values over six orders of magnitude each quantile is within 1 % of the value at its rank.
    """
    print(f"seed={seed}")
    rng = random.Random(seed)
    values = [rng.lognormvariate(0.0, 3.0) for _ in range(1_000)]
    for value in values:
        registry.observe(raft.LEADER_LAST_CONTACT, value)
    values.sort()

    seen = scrape(registry)

    for quantile in (0.5, 0.9, 0.99):
        truth = values[math.ceil(quantile * len(values)) - 1]
        assert pytest.approx(truth, rel=0.0101) == seen[LAST_CONTACT, str(quantile)]


def test_two_threads_that_create_a_series_share_it(registry):
    """
    The second to miss a series gets the one the first has made, so neither value nor count goes astray.
    """
    arguments = (registry._gauges, Gauge, Kind.GAUGE, raft.LAST_INDEX, (), "")

    first = registry._create(*arguments)
    second = registry._create(*arguments)

    assert first is second
    assert b"\noutrider_metrics_series 1\n" in registry.exposition()


def test_a_declared_histogram_begins_at_zero_and_stays(registry, clock, scrape):
    """
    All its buckets are there before the first observation, and a minute without one takes nothing away.
    """
    labels = ("a", "service")
    registry.declare(outrider.EVALUATION_DURATION_SECONDS, labels)
    before = scrape(registry)
    registry.observe(outrider.EVALUATION_DURATION_SECONDS, 0.3, labels)
    clock.advance(2 * EXPIRY_SECONDS)

    after = scrape(registry)

    name, bounds = outrider.EVALUATION_DURATION_SECONDS.name, outrider.EVALUATION_DURATION_SECONDS.buckets
    assert len(bounds) + 3 == len(before) == len(after)
    assert {0.0} == set(before.values())
    assert (0.3, 1.0) == (after[f"{name}_sum", *labels], after[f"{name}_count", *labels])
    assert {bound: float(0.3 <= bound) for bound in bounds} == {
        float(key[-1]): value for key, value in after.items() if key[0] == f"{name}_bucket" and key[-1] != "+Inf"
    }
    assert b"# TYPE outrider_evaluation_duration_seconds histogram\n" in registry.exposition()


def test_a_histogram_is_no_sample_to_anybody_else(registry):
    """
    A counter cannot observe, and a sample cannot be declared.
    """
    with pytest.raises(ValueError, match="is a counter, but was used as a summary"):
        registry.observe(raft.APPLY, 1.0)
    with pytest.raises(ValueError, match="has no zero to declare"):
        registry.declare(raft.COMMIT_TIME)


def test_a_scrape_counts_the_series_that_it_holds():
    """
    What has expired since the last one is not among them any more.
    """
    clock = ManualClock()
    registry = Registry(clock)
    before = read_exposition(registry.exposition().decode()).value("outrider_metrics_series")
    for metric in (raft.LEADER_OLDEST_LOG_AGE, raft.APPLIED_INDEX):
        registry.set(metric, 1.0)
    held = read_exposition(registry.exposition().decode()).value("outrider_metrics_series")
    clock.advance(61.0)
    left = read_exposition(registry.exposition().decode()).value("outrider_metrics_series")

    assert (2.0, 0.0) == (held - before, left - before)

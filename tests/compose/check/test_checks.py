"""Each check on recorded facts: silent on a healthy cluster, and one finding for each thing made wrong."""

from dataclasses import replace

import pytest

from compose.check.check import Check, looked_at
from compose.check.checks import CHECKS
from compose.check.facts import go_seconds
from compose.check.region import SIZES, typical
from telemetry.catalogue import raft
from telemetry.finding import Weight
from telemetry.scraped import read_exposition
from tests.compose.check.world import (
    healthy,
    with_agent,
    with_body,
    with_prometheus,
    with_region,
    with_samples,
    with_target,
)


def found(facts):
    """Return check, weight, place and what was seen of every finding."""
    findings, _ = looked_at(CHECKS, facts)
    return [(each.check, each.weight, each.place, each.seen) for each in findings]


def telemetry(key, value):
    """Return a change of an agent's telemetry block."""
    return lambda body: body["config"]["Telemetry"].update({key: value})


def slower(name, seconds_quantile):
    """Return a change of samples that makes the medians of a summary something else."""

    def change(sample):
        is_median = sample.name == name and sample.labels.get("quantile") == "0.5"
        return replace(sample, value=seconds_quantile) if is_median else sample

    return change


@pytest.fixture
def facts():
    """
    A healthy region of a real Nomad, with one slow disk's figures put right: its machine was loaded when it was recorded.
    """
    world = healthy()
    for name in ("nomad_raft_commitTime", "nomad_raft_leader_dispatchLog", "nomad_raft_replication_heartbeat"):
        world = with_samples(world, "s2", slower(name, 2.0))
    for place in ("s1", "s2", "s3"):
        world = with_samples(world, place, slower("nomad_raft_boltdb_storeLogs", 2.0))
    return world


def test_a_healthy_cluster_brings_nothing(facts):
    """
    Every check looks at something, and none has anything to say.
    """
    findings, things = looked_at(CHECKS, facts)

    assert [] == findings
    assert all(check.subjects(facts) for check in CHECKS)
    assert things == sum(len(check.subjects(facts)) for check in CHECKS)


def test_an_agent_that_is_down_is_one_error(facts):
    """
    What does not answer is said once, with the reason.
    """
    silent = with_agent(facts, "c2", body={}, scrape=None, self_error="connection refused", served_at=None)

    assert ("answers", Weight.ERROR, "c2", "it does not answer: connection refused") in found(silent)
    assert ["answers"] == [check for check, *_ in found(silent)]


def test_metrics_that_are_off_are_named_by_their_setting(facts):
    """
    The finding says the field of the agent's file.
    """
    off = with_body(facts, "s3", telemetry("PrometheusMetrics", False))
    off = with_agent(off, "s3", scrape=None, scrape_error="Unexpected response code: 415 (Prometheus is not enabled)")

    assert [
        ("prometheus-metrics", Weight.ERROR, "s3, telemetry.prometheus_metrics", "prometheus_metrics is false")
    ] == found(off)


@pytest.mark.parametrize(
    ("interval", "weight"), [("30s", Weight.WARNING), ("1m0s", Weight.ERROR), ("2m", Weight.ERROR)]
)
def test_a_slow_collection_is_a_warning_and_one_slower_than_the_expiry_an_error(facts, interval, weight):
    """
    From the 60 s on after which a series is forgotten, gauges come and go.
    """
    slow = with_body(facts, "c1", telemetry("CollectionInterval", interval))

    assert [("collection-interval", weight, "c1, telemetry.collection_interval")] == [each[:3] for each in found(slow)]


def test_filters_are_held_against_what_rules_and_panels_use(facts):
    """
    A filter that drops what a rule uses is an error; one that drops what nobody uses is none.
    """
    dropped = with_body(facts, "s1", telemetry("PrefixFilter", ["-nomad.nomad.heartbeat"]))
    harmless = with_body(facts, "s1", telemetry("PrefixFilter", ["-nomad.memberlist.gossip"]))
    nothing = with_body(facts, "c1", telemetry("FilterDefault", False))

    [(check, weight, place, seen)] = found(dropped)
    assert ("filters", Weight.ERROR, "s1, telemetry.prefix_filter") == (check, weight, place)
    assert "nomad_nomad_heartbeat_active" in seen
    assert [] == found(harmless)
    assert [("filters", "c1, telemetry.filter_default")] == [(each[0], each[2]) for each in found(nothing)]


def test_host_labels_are_a_warning(facts):
    """
    disable_hostname = false puts the host's name on each series.
    """
    named = with_body(facts, "c1", telemetry("DisableHostname", False))

    assert [("hostname", Weight.WARNING, "c1, telemetry.disable_hostname", "disable_hostname is false")] == found(named)


def test_a_metric_that_a_rule_needs_and_the_leader_lacks_is_an_error(facts):
    """
    Autopilot's gauges belong on the leader; a follower does not owe them.
    """
    lacking = with_samples(facts, "s2", lambda sample: None if "autopilot_healthy" in sample.name else sample)

    assert [("needed-metrics", Weight.ERROR, "s2")] == [each[:3] for each in found(lacking)]
    assert found(lacking)[0][3].startswith("nomad_nomad_autopilot_healthy is not there")


def test_a_clock_that_is_off_is_a_warning(facts):
    """
    Half a minute is said with its direction; less than a Date header can tell is not.
    """
    late = with_agent(facts, "s1", served_at=facts.agents[0].asked_at - 30)
    rounded = with_agent(facts, "s1", served_at=facts.agents[0].asked_at - 1)

    assert [("clocks", Weight.WARNING, "s1", "its clock is 30 s behind this machine's")] == found(late)
    assert [] == found(rounded)


def test_versions_that_differ_are_a_warning(facts):
    """
    Servers of two versions are one finding, a client newer than a server another.
    """
    mixed = with_body(facts, "s1", lambda body: body["config"]["Version"].update(Version="2.0.4"))

    assert [("versions", "region demo/global"), ("versions", "c1"), ("versions", "c2")] == [
        (each[0], each[2]) for each in found(mixed)
    ]


def members(facts, many):
    first = facts.regions[0].members[0]
    return tuple({**first, "Name": f"s{number + 1}.global"} for number in range(many))


@pytest.mark.parametrize("many", [size.servers for size in SIZES] + [9])
def test_only_three_five_and_seven_servers_are_sound(facts, many):
    """
    Any other number is a warning that says what it survives.
    """
    sized = replace(with_region(facts, members=members(facts, many)), configured=(), prometheus=())

    assert ([] if many in {3, 5, 7} else ["size"]) == [each[0] for each in found(sized)]


def test_the_table_of_sizes_says_majority_and_tolerance():
    """
    Two of three, three of four and five; one of three may be lost, and no more of four.
    """
    assert [(1, 0), (2, 0), (2, 1), (3, 1), (3, 2), (4, 2), (4, 3)] == [(size.quorum, size.tolerance) for size in SIZES]


def test_a_failed_member_is_an_error_and_the_settings_name_more(facts):
    """
    The others' word is said for the server, and the line of outrider.yaml that names more servers than live.
    """
    first, *others = facts.regions[0].members
    failed = with_region(facts, members=({**first, "Status": "failed"}, *others))

    assert [
        ("members", Weight.ERROR, "server s3.global", "the other servers say that it is failed"),
        ("members", Weight.ERROR, "outrider.yaml:3", "3 servers are named, and 2 are alive in the cluster"),
    ] == found(failed)


def test_what_autopilot_finds_unhealthy_is_an_error(facts):
    """
    The server is named, and that no further one may be lost.
    """
    health = dict(facts.regions[0].autopilot)
    health["Servers"] = [{**health["Servers"][0], "Healthy": False, "LastContact": "8s"}, *health["Servers"][1:]]
    sick = with_region(facts, autopilot={**health, "FailureTolerance": 0})

    assert [
        ("autopilot", Weight.ERROR, "server s1.global", "autopilot finds it unhealthy, last contact 8s ago"),
        ("autopilot", Weight.ERROR, "region demo/global", "3 voters, of which 0 may be lost; in health it would be 1"),
    ] == found(sick)


def test_no_leader_and_two_leaders_are_errors(facts):
    """
    Each is one finding of the region.
    """
    none = with_region(with_body(facts, "s2", lambda body: body["stats"]["nomad"].update(leader="false")), leader="")
    two = with_body(facts, "s1", lambda body: body["stats"]["nomad"].update(leader="true"))

    assert ("leader", Weight.ERROR, "region demo/global", "it has no leader") in found(none)
    assert ("leader", Weight.ERROR, "region demo/global", "s1, s2 each say that they lead") in found(two)


@pytest.mark.parametrize(
    ("metric", "milliseconds", "check", "place"),
    [
        (raft.COMMIT_TIME, 80.0, "commit-time", "s2"),
        (raft.LEADER_DISPATCH_LOG, 40.0, "disk", "s2"),
        (raft.REPLICATION_HEARTBEAT, 15.0, "round-trip", "s2 to "),
    ],
    ids=["commit", "disk", "round trip"],
)
def test_what_is_slow_is_a_warning(facts, metric, milliseconds, check, place):
    """
    Writes, disks and heartbeats are held against what sizing advice says.
    """
    slow = with_samples(facts, "s2", slower(metric.name, milliseconds))

    assert {(check, Weight.WARNING)} == {each[:2] for each in found(slow)}
    assert all(each[2].startswith(place) for each in found(slow))


def test_a_median_without_observations_gives_way_to_the_mean():
    """
    Quantiles are NaN after ten idle seconds; the sum and the count are not.
    """
    text = 'nomad_raft_commitTime{quantile="0.5"} NaN\nnomad_raft_commitTime_sum 30\nnomad_raft_commitTime_count 10\n'

    assert [({}, 3.0)] == typical(read_exposition(text), raft.COMMIT_TIME)


def test_a_log_without_snapshots_and_one_that_is_short_are_found(facts):
    """
    Entries that no snapshot covers are a warning, a log that reaches back for seconds an error.
    """
    long = with_body(facts, "s1", lambda body: body["stats"]["raft"].update(last_log_index="60000"))
    short = with_body(facts, "s2", lambda body: body["stats"]["raft"].update(last_snapshot_index="80"))
    short = with_samples(
        short, "s2", lambda sample: replace(sample, value=9_000.0) if "oldestLogAge" in sample.name else sample
    )

    assert [("raft-log", Weight.WARNING, "s1, raft.last_snapshot_index")] == [each[:3] for each in found(long)]
    assert [("raft-log", Weight.ERROR, "s2", "its log reaches only 9 s back")] == found(short)


def test_an_agent_that_prometheus_does_not_scrape_is_an_error(facts):
    """
    It is named, and a target that is down with Prometheus' own words.
    """
    targets = [each for each in facts.prometheus[0].targets if each.labels["instance"] != "s3"]
    lacking = with_prometheus(facts, targets=tuple(targets))
    down = with_target(facts, "c1", health="down", error="connection refused")

    assert [("targets", Weight.ERROR, "http://prometheus:9090", "s3 is not among its targets")] == found(lacking)
    assert ["c1 answers here, and Prometheus cannot scrape it: connection refused"] == [each[3] for each in found(down)]


def test_members_and_nodes_that_nobody_scrapes_are_a_warning(facts):
    """
    The cluster itself says how many servers and clients there are, also those that were not named.
    """
    few = replace(facts, agents=facts.agents[:2], configured=())
    targets = facts.prometheus[0].targets
    unscraped = with_prometheus(few, targets=(targets[0], targets[1], targets[3]))

    assert [] == found(few)
    assert [
        ("targets", Weight.WARNING, "http://prometheus:9090", "the cluster has 3 live servers, and 2 are scraped"),
        ("targets", Weight.WARNING, "http://prometheus:9090", "the cluster has 2 ready clients, and 1 are scraped"),
    ] == found(unscraped)


def test_a_target_known_by_its_name_alone_is_found(facts):
    """
    Prometheus may reach an agent by another address; the label instance says which it is.
    """
    elsewhere = with_target(facts, "s1", url="http://nomad-1.internal:4646/v1/metrics?format=prometheus")

    assert [] == found(elsewhere)


def test_a_client_that_is_scraped_as_a_server_is_an_error(facts):
    """
    Rules count servers by the label role.
    """
    wrong = with_target(facts, "c1", labels={"cluster": "demo", "instance": "c1", "role": "server"})

    assert ("targets", Weight.ERROR) == found(wrong)[0][:2]
    assert "its label role is server, and it is none" == found(wrong)[0][3]


@pytest.mark.parametrize(("seconds", "wrong"), [(5.0, False), (15.0, True), (30.0, True)])
def test_scrape_intervals_are_those_the_rules_were_built_for(facts, seconds, wrong):
    """
    Longer ones leave windows too empty; from 30 s on an event can pass unseen.
    """
    slow = with_target(facts, "s1", interval_seconds=seconds)

    assert (["scrape-intervals"] if wrong else []) == [each[0] for each in found(slow)]


def test_rules_that_are_not_loaded_or_fail_are_errors(facts):
    """
    They are counted, with one of them named; another's rule that fails is not ours to tell.
    """
    others = [name for name in facts.prometheus[0].rules if name != "NomadQuorumLost"]
    lacking = with_prometheus(facts, rules=tuple(others))
    failing = with_prometheus(facts, unhealthy_rules=(("NomadServerDown", "many-to-many matching"), ("Other", "no")))

    many = len(facts.rules)
    assert [("rules", "http://prometheus:9090", f"1 of {many} rules are not loaded, NomadQuorumLost among them")] == [
        (each[0], *each[2:]) for each in found(lacking)
    ]
    assert [
        (
            "rules",
            Weight.ERROR,
            "http://prometheus:9090, rule NomadServerDown",
            "its last evaluation failed: many-to-many matching",
        )
    ] == found(failing)


def test_without_settings_two_rules_stand_for_all(facts):
    """
    Which alerts are switched off is in the settings alone.
    """
    none = replace(with_prometheus(facts, rules=("other",)), has_settings=False)
    some = replace(with_prometheus(facts, rules=("outrider:servers_expected", "Watchdog")), has_settings=False)

    assert ["rules"] == [each[0] for each in found(none)]
    assert [] == found(some)


def test_what_else_a_shared_prometheus_scrapes_is_left_alone(facts):
    """
    Another cluster's agents and an exporter that is down are no findings; our Alertmanager is one.
    """
    one = facts.prometheus[0].targets[0]
    other = replace(one, labels={**one.labels, "cluster": "other", "instance": "o1"}, interval_seconds=60.0)
    exporter = replace(one, url="http://host:9100/metrics", labels={"job": "node"}, health="down", error="refused")
    watcher = replace(exporter, url="http://host:9093/metrics", labels={"job": "alertmanager"})
    targets = facts.prometheus[0].targets

    assert [] == found(with_prometheus(facts, targets=(*targets, other, exporter)))
    assert ["it is down: refused"] == [each[3] for each in found(with_prometheus(facts, targets=(*targets, watcher)))]


def test_prometheus_itself_is_looked_at(facts):
    """
    Its silence, its clock and what it holds.
    """
    silent = with_prometheus(facts, error="refused")
    skewed = with_prometheus(facts, clock_seconds=-5.0)
    full = with_prometheus(facts, head_series=3_000_000)

    assert [("prometheus", Weight.ERROR)] == [each[:2] for each in found(silent)]
    assert ["its clock is 5.0 s behind this machine's"] == [each[3] for each in found(skewed)]
    assert [("head-series", Weight.WARNING)] == [each[:2] for each in found(full)]


def test_a_scrape_that_is_too_large_is_a_warning(facts):
    """
    The samples of one agent are counted.
    """
    scrape = facts.agents[1].scrape
    large = with_agent(facts, "s2", scrape=replace(scrape, samples=scrape.samples * 60))

    assert [("samples", Weight.WARNING, "s2")] == [each[:3] for each in found(large)]


def test_durations_are_read_as_go_prints_them():
    """
    Minutes, milliseconds and what is none.
    """
    assert 60.0 == go_seconds("1m0s")
    assert 0.0214 == pytest.approx(go_seconds("21.4ms"))
    assert go_seconds("soon") is None
    assert go_seconds(None) is None


def test_a_check_needs_a_name_and_sentences():
    """
    What cannot stand on the page of checks cannot be built.
    """
    fields = {"what": "A.", "why": "B.", "remedy": "C.", "subjects": lambda facts: facts.agents, "look": lambda *_: ()}

    with pytest.raises(ValueError, match="words in lower case"):
        Check(name="No Name", **fields)
    with pytest.raises(ValueError, match="no sentence"):
        Check(name="name", **{**fields, "why": "B"})


def test_two_regions_have_a_leader_each(facts):
    """
    Leaders, members and versions are those of one region; a second one's are no second leader.
    """
    far = tuple(replace(each, place=f"far-{each.place}", group="demo/far") for each in facts.agents[:3])
    both = replace(
        facts,
        agents=facts.agents + far,
        regions=(*facts.regions, replace(facts.regions[0], name="demo/far", nodes=())),
    )
    both = with_prometheus(both, targets=facts.prometheus[0].targets * 2)

    assert ["s2", "far-s2"] == [agent.place for agent in both.leaders]
    assert [] == found(both)

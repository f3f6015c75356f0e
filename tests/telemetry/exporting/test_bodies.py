"""What the exporter understands of bodies that a real Nomad 2.0.5 answered with."""

import json
import math
from pathlib import Path

import pytest

from telemetry.catalogue import exporter, outrider
from telemetry.exporting import bodies
from telemetry.exporting.series import ServerView, cluster_series, server_series
from telemetry.exporting.source import Source

GOLDEN = Path(__file__).parents[2] / "golden" / "nomad-2.0.5" / "api"
DATA = Path(__file__).parents[1] / "data"


def recorded(name):
    return json.loads((GOLDEN / f"{name}.json").read_text())


def without_leader():
    return json.loads((DATA / "agent-self-no-leader.json").read_text())


def values(samples):
    return {(sample.metric.name, sample.labels): sample.value for sample in samples}


def test_a_leader_says_what_our_agent_would_say():
    """
    Each series of a recorded leader has the value that its statistics hold.
    """
    view = ServerView(bodies.leader_address(recorded("status-leader")), bodies.own_view(recorded("agent-self")))
    pilot = bodies.autopilot(recorded("operator-autopilot-health"))

    found = values(server_series("s2", view, pilot))

    me = ("s2",)
    assert {
        (outrider.SERVER_HAS_LEADER.name, me): 1.0,
        (outrider.SERVER_IS_LEADER.name, me): 1.0,
        (outrider.RAFT_TERM.name, me): 2.0,
        (outrider.RAFT_LAST_CONTACT_SECONDS.name, me): 0.0,
        (outrider.RAFT_LAST_INDEX.name, me): 87.0,
        (outrider.RAFT_COMMIT_INDEX.name, me): 87.0,
        (outrider.RAFT_APPLIED_INDEX.name, me): 87.0,
        (outrider.RAFT_LOG_ENTRIES.name, me): 87.0,
        (outrider.RAFT_VOTERS.name, me): 3.0,
        (outrider.RAFT_VOTERS_HEALTHY.name, me): 3.0,
        (exporter.MEMBERS.name, ("s2", "alive")): 3.0,
        (exporter.MEMBERS.name, ("s2", "failed")): 0.0,
        (exporter.MEMBERS.name, ("s2", "left")): 0.0,
        (exporter.BOOTSTRAP_EXPECT.name, me): 3.0,
    } == found


def test_a_server_without_a_leader_says_since_when():
    """
    A recorded candidate has no leader, its last contact is 11.4 s old, and only itself is healthy to it.
    """
    view = ServerView("", bodies.own_view(without_leader()))

    found = values(server_series("s1", view, None))

    assert 0.0 == found[outrider.SERVER_HAS_LEADER.name, ("s1",)]
    assert 0.0 == found[outrider.SERVER_IS_LEADER.name, ("s1",)]
    assert 11.444595997 == pytest.approx(found[outrider.RAFT_LAST_CONTACT_SECONDS.name, ("s1",)])
    assert 7.0 == found[outrider.RAFT_TERM.name, ("s1",)]
    assert 1.0 == found[outrider.RAFT_VOTERS_HEALTHY.name, ("s1",)]


def test_the_health_of_another_leader_is_not_this_ones():
    """
    A new leader says nothing of healthy voters while autopilot's body is its predecessor's.
    """
    body = recorded("operator-autopilot-health")
    for server in body["Servers"]:
        server["Leader"] = server["Name"] == "s1.global"
    view = ServerView("a", bodies.own_view(recorded("agent-self")))

    found = values(server_series("s2", view, bodies.autopilot(body)))

    assert (outrider.RAFT_VOTERS_HEALTHY.name, ("s2",)) not in found


def test_a_server_that_denies_its_statistics_still_says_whether_it_has_a_leader():
    """
    Without a token only the leader is known, and nothing is made up for the rest.
    """
    found = values(server_series("s1", ServerView("10.0.0.1:4647", None), None))

    assert {(outrider.SERVER_HAS_LEADER.name, ("s1",)): 1.0} == found


def test_a_server_that_was_not_read_says_nothing():
    """
    No answer is neither a leader nor none.
    """
    assert [] == list(server_series("s1", ServerView(), None))


def test_autopilot_counts_healthy_voters():
    """
    A voter that is unhealthy and a healthy server without a vote do not count.
    """
    body = recorded("operator-autopilot-health")
    body["Servers"][0]["Healthy"] = False
    body["Servers"][1]["Voter"] = False

    found = bodies.autopilot(body | {"Healthy": False, "FailureTolerance": 0})

    assert (False, 0, 1, "s2.global") == (found.healthy, found.failure_tolerance, found.voters_healthy, found.leader)


@pytest.mark.parametrize("servers", [None, []])
def test_after_an_election_autopilot_names_no_server(servers):
    """
    The body of the first seconds says nothing about voters, and that is not nobody.
    """
    body = recorded("operator-autopilot-health") | {"Servers": servers}

    found = bodies.autopilot(body)

    assert ("", None) == (found.leader, found.voters_healthy)


def test_nodes_are_counted_by_status_and_eligibility():
    """
    Each combination has a series, and a drained client is counted as one.
    """
    items = recorded("nodes")
    items[0] |= {"Drain": True, "SchedulingEligibility": "ineligible"}

    found = values(cluster_series("s2", Source.NODES, bodies.node_counts(items)))

    assert 1.0 == found[outrider.NODES.name, ("s2", "ready", "eligible")]
    assert 1.0 == found[outrider.NODES.name, ("s2", "ready", "ineligible")]
    assert 0.0 == found[outrider.NODES.name, ("s2", "down", "eligible")]
    assert 1.0 == found[outrider.NODES_DRAINING.name, ("s2",)]
    assert 9 == len(found)


@pytest.mark.parametrize(
    ("source", "name", "known", "expected"),
    [
        (Source.JOBS, "jobs", bodies.JOB_STATUSES, {"pending": 0, "running": 6, "dead": 1, "other": 0}),
        (Source.DEPLOYMENTS, "deployments", bodies.DEPLOYMENT_STATUSES, {"successful": 2, "running": 2, "failed": 0}),
        (
            Source.EVALUATIONS,
            "evaluations",
            bodies.EVALUATION_STATUSES,
            {"pending": 1, "blocked": 1, "complete": 16, "failed": 0, "canceled": 0, "other": 0},
        ),
    ],
)
def test_lists_are_counted_by_status(source, name, known, expected):
    """
    Every known status has a series, be it 0.
    """
    found = values(cluster_series("s2", source, bodies.statuses(recorded(name), known)))

    by_status = {labels[1]: value for (_, labels), value in found.items()}
    assert expected == {status: by_status[status] for status in expected}
    assert set(known) | {"other"} == set(by_status)


def test_statuses_nobody_knows_are_one_series():
    """
    A newer server cannot make series without bound.
    """
    found = bodies.statuses([{"Status": f"new-{number}"} for number in range(100)], bodies.JOB_STATUSES)

    assert {"pending": 0, "running": 0, "dead": 0, "other": 100} == found


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("never", math.inf),
        ("21.401264ms", 0.021401264),
        ("1m2.5s", 62.5),
        ("1h0m3s", 3603.0),
        ("850µs", 0.00085),
        ("12ns", 1.2e-8),
    ],
)
def test_contact_is_read_in_seconds(text, seconds):
    """
    Go's durations, and Raft's words for a leader and for never.
    """
    assert seconds == pytest.approx(bodies.contact_seconds(text))


@pytest.mark.parametrize("text", ["soon", "-3s", "5", "1m banana"])
def test_a_contact_that_is_no_duration_is_refused(text):
    """
    It is an error with the value, never 0.
    """
    with pytest.raises(bodies.BodyError, match="no duration"):
        bodies.contact_seconds(text)


def test_a_client_is_told_from_a_server():
    """
    A client's own body is no server's view.
    """
    with pytest.raises(bodies.NotAServer, match="no server"):
        bodies.own_view(recorded("agent-self-client"))


@pytest.mark.parametrize(
    ("understand", "body", "place"),
    [
        (bodies.leader_address, {"a": 1}, "Expected `str`"),
        (bodies.own_view, [], "Expected `object`"),
        (bodies.autopilot, {"Healthy": True, "Servers": []}, "FailureTolerance"),
        (lambda body: bodies.node_counts([body]), {"Status": "ready"}, "SchedulingEligibility"),
        (lambda body: bodies.statuses([body], ("a",)), "text", "Expected `object`"),
        (bodies.counted, {"Count": -1}, r"\$\.Count"),
    ],
)
def test_what_is_no_such_body_is_an_error_with_its_place(understand, body, place):
    """
    The error names the field, or what was expected.
    """
    with pytest.raises(bodies.BodyError, match=place):
        understand(body)


def test_a_term_that_is_no_number_is_an_error_with_its_place():
    """
    Statistics are strings, and still must be numbers.
    """
    body = without_leader()
    body["stats"]["raft"]["term"] = "seven"

    with pytest.raises(bodies.BodyError, match=r"\$\.stats\.raft\.term"):
        bodies.own_view(body)

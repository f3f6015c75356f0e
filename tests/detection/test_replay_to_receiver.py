"""A recorded fault, replayed to real Prometheus and Alertmanager with the generated files: what a receiver gets."""

from pathlib import Path

import pytest

from alert_rules.rules import rule_set
from tests.alert_rules.timeline import PROOF, settings
from tests.detection.expectations import EXPECTED, Heard, Verdict
from tests.detection.recordings import Recording, load
from tests.detection.replay import about, judged
from tests.detection.replay_stage import Outcome, Stage, aligned, replay
from tests.tools import Program, find

PROMETHEUSES, ALERTMANAGERS = find("prometheus"), find("alertmanager")
QUORUM_LOST = "iia-quorum-lost-kill-2-followers"
HEALTH_SECONDS = 20
WATCHED_SECONDS = 30.0
PROMISED = rule_set(settings(times=PROOF)).alert("NomadClientDown").promised_seconds(PROOF)
STAGE = Stage(Program(Path("prometheus"), "2.42.0"), Program(Path("alertmanager"), "0.25.0"), PROOF)


@pytest.mark.integration
@pytest.mark.timeout(240)
@pytest.mark.skipif(
    not (PROMETHEUSES and ALERTMANAGERS), reason="prometheus and alertmanager are not both found: `make up` brings them"
)
def test_a_lost_quorum_is_notified_once(tmp_path):
    """
    A real Nomad's lost quorum reaches a receiver as one page, and nothing else arrives, on every Prometheus.
    """
    [recording] = aligned([load(QUORUM_LOST)], HEALTH_SECONDS)
    stages = [Stage(prometheus, ALERTMANAGERS[0], PROOF) for prometheus in PROMETHEUSES]

    outcomes = replay([recording], stages, tmp_path, recording.fault + WATCHED_SECONDS)

    for stage, outcome in zip(stages, outcomes, strict=True):
        print("\n".join(about(recording, [stage], [outcome], EXPECTED[QUORUM_LOST])))
        [page] = outcome.heard[recording.name]
        assert {recording.name} == set(outcome.heard)
        assert ("NomadQuorumLost", "critical") == (page.alert, page.labels["severity"])
        assert f"Nomad cluster replay has lost its quorum in region {recording.name}." == page.labels["summary"]
        assert "Servers that answer: 1." in page.labels["description"]
        [verdict] = judged(recording, stage, outcome, EXPECTED[QUORUM_LOST])
        assert Verdict.IN_TIME is verdict.verdict


def outcome(**changes):
    heard = [Heard("NomadClientDown", PROMISED - 3, {}), Heard("NomadCommitSlow", -3.0, {})]
    return Outcome(
        **{
            "heard": {"iii-kill-client": heard},
            "resolved": {"iii-kill-client": {"NomadClientDown": 66.0}},
            "fired": {"iii-kill-client": {"NomadClientDown": (44.0, 64.0), "NomadServerDown": (70.0, 80.4)}},
        }
        | changes
    )


def test_the_report_says_what_was_done_and_what_came_of_it():
    """
    Actions with their times, each expected alert with its verdict, and others, heard of or not.
    """
    recording = load("iii-kill-client").with_health(60)

    lines = list(about(recording, [STAGE], [outcome()], EXPECTED["iii-kill-client"]))

    assert lines == [
        "",
        "iii-kill-client",
        "      +0.0 s  sent SIGKILL to c2",
        "     +64.1 s  started c2",
        "  prometheus-2.42.0 each 1s",
        f"    NomadClientDown              in time after {PROMISED - 3:.1f} s of {PROMISED:.1f} s promised resolved at +66.0 s",
        "    NomadCommitSlow              background after -3.0 s (the machine was loaded, and a commit took 13 to 24 ms in the mean)",
        "    NomadServerDown              fired from +70 s to +80 s, heard of by nobody",
    ]


def test_without_expectations_the_report_says_what_fired_and_when():
    """
    A recording of which nothing is known is told as it went.
    """
    recording = Recording("mine", 0.0, None, (), {"s1": "server"}, {"s1": {"up": [1.0]}})
    heard = {"mine": [Heard("NomadServerDown", 105.0, {}), Heard("NomadServerDown", 165.0, {})]}

    lines = list(about(recording, [STAGE], [Outcome(heard=heard)], None))
    nothing = list(about(recording, [STAGE], [Outcome()], None))

    assert ["", "mine", "  prometheus-2.42.0 each 1s", "    NomadServerDown              heard of at +105.0 s"] == lines
    assert "    nothing was heard of" == nothing[-1]


def test_recordings_end_together():
    """
    A shorter recording begins later, in more health, and each has at least what was asked for.
    """
    recordings = [load("i-kill-leader"), load("iii-kill-client")]

    moved = aligned(recordings, 60)

    assert {60 + max(recording.seconds for recording in recordings)} == {recording.seconds for recording in moved}
    assert 60 == min(recording.health for recording in moved)


def test_an_agent_is_served_as_it_was_scraped():
    """
    A scrape brings what the agent exported in that second, and none while it was down.
    """
    recording = load("iii-kill-client").with_health(10)

    before = recording.exposition("s1", 5).decode()

    assert "nomad_raft_appliedIndex" in before
    assert "up " not in before
    assert None is recording.exposition("c2", int(recording.fault) + 3)
    assert recording.exposition("s1", 10_000) == recording.exposition("s1", recording.seconds - 1)

"""Series come and go under a fault on our agent when they do on a Nomad."""

import pytest

from telemetry.catalogue import find
from telemetry.catalogue.deviations import DEVIATIONS
from tests.detection.presence import (
    BEFORE_SECONDS,
    BORDER_SECONDS,
    FAULTS,
    Difference,
    differences,
    recorded,
    recorded_parts,
    replayed,
)
from tests.detection.recordings import load

AUTOPILOT = "nomad_nomad_autopilot_healthy"
LAST_INDEX = "nomad_raft_lastIndex"
PARTS = {
    "i-kill-leader": ["follower spared", "follower spared and leads in the end", "leader killed"],
    "iia-quorum-lost-kill-2-followers": ["follower killed", "follower killed", "leader spared and leads in the end"],
    "iib-quorum-lost-kill-leader-and-follower": [
        "follower killed",
        "follower spared",
        "leader killed and leads in the end",
    ],
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_there_under_a_fault_is_there_on_both(fault):
    """
    Each signal of each server is there in the same seconds, but for what METRICS.md names as a deviation.
    """
    theirs = recorded(load(fault))

    found = list(differences(theirs, replayed(fault)))

    assert sum(map(len, theirs.values())) > 25
    assert [] == [str(each) for each in found if not each.is_known]


@pytest.mark.parametrize("fault", FAULTS)
def test_parts_are_told_from_a_recording(fault):
    """
    Who led, who was killed and who leads in the end is as the log of the recording has it.
    """
    assert PARTS[fault] == sorted(recorded_parts(load(fault)).values())


def there(*ranges, seconds=60):
    return [any(first <= second < last for first, last in ranges) for second in range(seconds)]


def test_a_signal_that_goes_too_late_or_is_missing_is_a_difference():
    """
    Seconds apart are the same event; longer is not, nor is a metric that is there on one side alone.
    """
    theirs = {"leader spared": {"late": there((0, 30)), "soon": there((0, 30)), "none": there((10, 20))}}
    ours = {
        "leader spared": {
            "late": there((0, 31 + BORDER_SECONDS)),
            "soon": there((0, 30 + BORDER_SECONDS)),
            "own": there((40, 50)),
        }
    }

    found = list(differences(theirs, ours))

    assert [
        Difference("leader spared", "late", 30 - BEFORE_SECONDS, BORDER_SECONDS + 1, on_nomad=False),
        Difference("leader spared", "none", 10 - BEFORE_SECONDS, 10, on_nomad=True),
        Difference("leader spared", "own", 40 - BEFORE_SECONDS, 10, on_nomad=False),
    ] == found


def test_only_what_the_document_names_is_known():
    """
    A server that says its index at once after a start is known; for a minute, before the fault, or of another, not.
    """
    known = Difference("follower killed", LAST_INDEX, 60, 10, on_nomad=False)

    assert known.is_known
    assert not Difference("follower killed", LAST_INDEX, 60, 60, on_nomad=False).is_known
    assert not Difference("follower killed", LAST_INDEX, -8, 10, on_nomad=False).is_known
    assert not Difference("follower killed", LAST_INDEX, 60, 10, on_nomad=True).is_known
    assert not Difference("follower killed", AUTOPILOT, 60, 10, on_nomad=False).is_known


def test_deviations_are_of_what_both_export():
    """
    What the agent does not export needs no deviation.
    """
    metrics = [metric for each in DEVIATIONS for metric in each.metrics]

    assert [] == [metric.name for metric in metrics if not metric.exported or not metric.name.startswith("nomad_")]
    assert len(metrics) == len(set(metrics))
    assert all((find(metric.names[0]) or find(f"{metric.names[0]}_count")).metric is metric for metric in metrics)

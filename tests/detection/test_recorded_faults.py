"""The shipped rules over scrapes of a real Nomad under real faults: the right alerts in time, and nothing else.

The recordings have a job that keeps failing and one that cannot be placed throughout: no rule here speaks of jobs, so
both must stay silent. Servers come back within the recordings.
"""

import pytest

from alert_rules.rules import rule_set
from alert_rules.settings import Times
from tests.alert_rules.timeline import PROOF, SHIPPED, evaluate, settings
from tests.detection.recordings import load
from tests.tools import find_or_explain

PROMTOOLS, ABSENT = find_or_explain("promtool")
EXPECTED = {
    "i-kill-leader": ("NomadQuorumAtRisk",),  # dead for 82 s
    "iia-quorum-lost-kill-2-followers": ("NomadQuorumLost",),  # for 59 s, the former leader lives on
    "iib-quorum-lost-kill-leader-and-follower": ("NomadQuorumLost",),  # for 70 s
    "iii-kill-client": ("NomadClientDown",),  # dead for 64 s
}
INTERVALS = {"1s": PROOF, "5s": SHIPPED}
pytestmark = [pytest.mark.integration, pytest.mark.skipif(not PROMTOOLS, reason=ABSENT)]


def heard_of(promtool, folder, name: str, times: Times):
    """Return what a receiver hears of a recording scraped at an interval, and when, in seconds after the fault."""
    recording = load(name).with_health()
    every = int(times.scrape_interval_seconds)
    scraped = {series: samples[::every] for series, samples in recording.series.items()}
    timeline = evaluate(promtool, folder, scraped, settings(times=times))
    return {alert: time - recording.fault for alert, time in timeline.notified().items()}


@pytest.mark.parametrize("promtool", PROMTOOLS, ids=str)
@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("name", EXPECTED)
def test_a_recorded_fault_is_notified_in_time_and_alone(promtool, tmp_path, name, interval):
    """
    What a receiver hears of a real fault is what it should, within the promise.
    """
    times = INTERVALS[interval]
    rules = rule_set(settings(times=times))

    heard = heard_of(promtool, tmp_path, name, times)

    assert EXPECTED[name] == tuple(heard)
    for alert, after in heard.items():
        promised = rules.alert(alert).promised_seconds(times)
        print(f"{name} {interval} {promtool}: {alert} after {after:.1f} s of {promised:.1f} s")
        assert 0 < after <= promised


@pytest.mark.parametrize("name", EXPECTED)
def test_a_recording_has_the_series_that_rules_use(name):
    """
    A recording shows each role before its fault, so that the rules see health first.
    """
    recording = load(name)

    ups = [samples for series, samples in recording.series.items() if series.startswith("up{")]
    assert 5 == len(ups)
    assert all(samples[int(recording.fault) - 2] == 1 for samples in ups)
    assert any(series.startswith("nomad_raft_rpc_processHeartbeat_count") for series in recording.series)

"""A simulated cluster under a fault, watched at many phases: what receivers hear, and how long it takes.

The short run: some faults, 200 watchers each, half of them with native series alone. `make detection-sim` runs all
faults with 1,000 watchers each.
"""

import logging

import pytest

from tests.detection.simulation import QUICK, measure, percentile, run_clusters
from tests.detection.simulation_faults import FAULTS
from tests.figures import record
from tests.tools import find_or_explain

PROMTOOLS, ABSENT = find_or_explain("promtool")
SHORT = (
    "leader killed, back after 8 to 15 s",
    "both followers killed",
    "servers cut from each other",
    "a follower killed",
)
CLUSTERS = 3
WATCHERS = 100
"""For each kind of series."""
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not PROMTOOLS, reason=ABSENT),
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module", params=SHORT)
def recorded(request):
    """Return a fault and recordings of it."""
    [fault] = [fault for fault in FAULTS if fault.name == request.param]
    logging.disable(logging.CRITICAL)  # the agents say at length what they make of the fault
    runs = run_clusters(fault, CLUSTERS)
    logging.disable(logging.NOTSET)
    return fault, runs


@pytest.mark.parametrize("variant", QUICK, ids=str)
def test_a_simulated_fault_is_heard_in_time_and_alone(recorded, variant):
    """
    Whatever the phases, a receiver hears of a fault what it should, 95 of 100 times by its limit, and nothing else.
    """
    fault, runs = recorded

    measured = measure(PROMTOOLS[0], fault, runs, WATCHERS, variant)

    name = f"sim_{fault.name}_{variant}".replace(",", "").replace(" ", "_")
    for percent in (50, 95, 100) if measured.times else ():
        record(f"{name}_p{percent}", percentile(measured.times, percent))
    record(f"{name}_silent", 100 * measured.silent, "%")
    assert [] == measured.problems()

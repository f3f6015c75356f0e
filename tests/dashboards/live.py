"""Asks every query of the dashboards while recorded faults of a real Nomad are replayed: `make dashboards-live`.

    python -m tests.dashboards.live RECORDINGS

Each recording is a region of one cluster, served with all its series to a real Prometheus as at the time. The queries
are asked in health, a while after the fault, and at the end; the exit code is 1 when one is an error, or when one that
the catalogue says is always there is never answered.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from alert_rules.promql import resolve
from dashboards.panel import substituted
from dashboards.render import DASHBOARDS
from tests.alert_rules.timeline import SHIPPED
from tests.dashboards.asking import Asker, report
from tests.detection.recordings import recordings_in
from tests.detection.replay_stage import CLUSTER, Stage, aligned, replay
from tests.tools import find_or_explain

HEALTH_SECONDS = 60
AFTER_SECONDS = 20.0
"""How long after the first fault the queries are asked again."""
_BEFORE_END_SECONDS = 5.0


def names() -> frozenset[str]:
    """Return the names of all series that the dashboards ask for."""
    queries = [series.expr for dashboard in DASHBOARDS for panel in dashboard.panels for series in panel.series]
    return frozenset(name for query in queries for name in resolve(substituted(query)).metrics)


def main(arguments: Sequence[str]) -> int:
    """Replay, ask, and print what came."""
    if len(arguments) != 1:
        print("say the folder of the recordings: python -m tests.dashboards.live FOLDER", file=sys.stderr)
        return 2
    prometheuses, absent = find_or_explain("prometheus")
    alertmanagers, also_absent = find_or_explain("alertmanager")
    if not prometheuses or not alertmanagers:
        print(also_absent if prometheuses else absent, file=sys.stderr)
        return 1
    try:
        recordings = aligned(recordings_in(Path(arguments[0]), names()), HEALTH_SECONDS)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    asker = Asker("", SHIPPED.scrape_interval_seconds, is_ours=False)

    def look(address: str) -> None:
        asker.url = f"http://{address}"
        for recording in recordings:
            for dashboard in DASHBOARDS:
                asker.ask(dashboard, CLUSTER, recording.name, time.time())

    seconds = float(max(recording.seconds for recording in recordings))
    fault = min(recording.fault or seconds for recording in recordings)
    moments = (fault - 2.0, fault + AFTER_SECONDS, seconds - _BEFORE_END_SECONDS)
    looks: Mapping[float, Callable[[str], None]] = dict.fromkeys(moments, look)
    print(f"replaying {len(recordings)} recordings in {seconds:.0f} s", flush=True)
    with tempfile.TemporaryDirectory(prefix="dashboards-") as scratch:
        replay(recordings, [Stage(prometheuses[0], alertmanagers[0], SHIPPED)], Path(scratch), seconds, looks)
    print("\n".join(report(asker.found)))
    return int(any(each.errors or (each.is_sure and not each.values) for each in asker.found.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

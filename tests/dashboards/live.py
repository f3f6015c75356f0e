"""Asks every query of the dashboards as Grafana would: `python -m tests.dashboards.live [RECORDINGS] [--recorded]`.

A cluster of ours lives through a script (`lived.py`), and its Prometheus is asked afterwards about every part of that
life; so it does not matter how long the asking takes. With RECORDINGS, a folder of recorded faults of a real Nomad, these
are replayed to a real Prometheus as at the time, each as a region of one cluster, and asked about in health, a while after
the fault and at the end; with `--recorded` only they are.

The exit code is 1 when a query is an error; when one that the catalogue says is always there has no answer; and, of our
own cluster, when any has none, or nothing but 0, that `NOT_LIVED` does not name.
"""

import argparse
import contextlib
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from alert_rules.promql import resolve
from dashboards.panel import substituted
from dashboards.render import DASHBOARDS
from tests.alert_rules.timeline import SHIPPED
from tests.dashboards.asking import RANGE_SECONDS, Asked, Asker, report
from tests.dashboards.lived import SCRAPE_SECONDS, lived, lived_with_tls
from tests.detection.recordings import recordings_in
from tests.detection.replay_stage import CLUSTER, Stage, aligned, replay
from tests.tools import find_or_explain

HEALTH_SECONDS = 60
AFTER_SECONDS = 20.0
"""How long after the first fault the queries are asked for again."""
_BEFORE_END_SECONDS = 5.0
LOOK_EVERY_SECONDS = float(RANGE_SECONDS)
"""How far apart the moments are at which the queries of our own cluster are asked for: ranges follow each other."""
ASKING_SECONDS_MAX = 900.0
"""For which a life, or the recordings, are asked about at most."""

NOT_LIVED: Mapping[str, str] = {
    "outrider:evaluations_ready": "workers take an evaluation in milliseconds; a scrape that meets one is luck",
    "nomad_nomad_broker__failed_ready": "a leader puts off within a second what is given up",
    'triggered_by="failed-follow-up"': "it comes one to ten minutes after the failure, and a new leader is elected before",
    "outrider:raft_lag_entries": "a server catches up in milliseconds; a scrape that meets one behind is luck",
    "outrider:plan_queue": "a leader applies a plan in milliseconds; a scrape that meets one that waits is luck",
    "nomad_nomad_blocked_evals_total_escaped": "no job of the life has a constraint that every node may come to meet",
    "nomad_nomad_blocked_evals_total_quota_limit": "quotas are of Nomad Enterprise",
    "nomad_client_allocations_blocked": "no allocation of the life waits for one on another client",
    "nomad_client_allocations_migrating": "no group of the life moves its disk",
    "outrider:servers_blind": "nothing filters what the servers say",
    "prometheus_rule_evaluation_failures_total": "no rule fails",
    "prometheus_rule_group_iterations_missed_total": "only a machine that is too slow skips an evaluation",
    "prometheus_notifications_dropped_total": "Alertmanager answers throughout",
    "outrider_metrics_series_refused_total": "no agent has as many series as it may keep",
    "outrider_task_failures_total": "no loop of ours ends with an error",
}
"""Queries that may have no answer, or none but 0, in a life of our cluster, by a part of their place; and why."""


def names() -> frozenset[str]:
    """Return the names of all series that the dashboards ask for."""
    queries = [series.expr for dashboard in DASHBOARDS for panel in dashboard.panels for series in panel.series]
    return frozenset(name for query in queries for name in resolve(substituted(query)).metrics)


def main(arguments: Sequence[str]) -> int:
    """Live, replay, ask, and print what came."""
    parser = argparse.ArgumentParser(prog="python -m tests.dashboards.live")
    parser.add_argument("recordings", nargs="?", type=Path)
    parser.add_argument("--recorded", action="store_true", help="only the recordings, without a cluster of ours")
    chosen = parser.parse_args(arguments)
    prometheuses, absent = find_or_explain("prometheus")
    alertmanagers, also_absent = find_or_explain("alertmanager")
    if not prometheuses or not alertmanagers:
        print(also_absent if prometheuses else absent, file=sys.stderr)
        return 1
    if chosen.recorded and chosen.recordings is None:
        print("say the folder of the recordings: python -m tests.dashboards.live FOLDER --recorded", file=sys.stderr)
        return 2
    stage, bad = Stage(prometheuses[0], alertmanagers[0], SHIPPED), []
    try:
        if not chosen.recorded:
            bad += live()
        if chosen.recordings is not None:
            bad += recorded(chosen.recordings, stage)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(bad) if bad else "all are valid and answered")
    return int(bool(bad))


def live() -> list[str]:
    """Ask about a life of our own cluster, print what came, and return what is wrong."""
    asker = Asker("", SCRAPE_SECONDS, is_ours=True)
    late: list[str] = []
    for life in (lived(), lived_with_tls(threading.Event().wait)):
        with life as (address, began, ended):
            print(f"asking about {ended - began:.0f} s", flush=True)
            asker.url = address
            late += _ask(asker, "local", ("global",), moments(began, ended))
    print("\n".join(("our own cluster:", *report(asker.found))))
    return [*late, *wrong(asker.found), *unlived(asker.found, NOT_LIVED)]


def moments(began: float, ended: float) -> tuple[float, ...]:
    """Return the moments of a life up to which queries are asked for, the last its end: nothing of it is left out."""
    whole = int((ended - began) // LOOK_EVERY_SECONDS)
    return (*(began + LOOK_EVERY_SECONDS * number for number in range(1, whole + 1)), ended)


def recorded(folder: Path, stage: Stage) -> list[str]:
    """Ask about recorded faults, print what came, and return what is wrong. Raises ValueError for no such folder."""
    recordings = aligned(recordings_in(folder, names()), HEALTH_SECONDS)
    asker = Asker("", SHIPPED.scrape_interval_seconds, is_ours=False)
    seconds = float(max(recording.seconds for recording in recordings))
    fault = min(recording.fault or seconds for recording in recordings)
    wanted = (fault - 2.0, fault + AFTER_SECONDS, seconds - _BEFORE_END_SECONDS)
    print(f"replaying {len(recordings)} recordings in {seconds:.0f} s", flush=True)
    began = time.time()
    late: list[str] = []

    def look(address: str) -> None:
        asker.url = f"http://{address}"
        late.extend(_ask(asker, CLUSTER, [each.name for each in recordings], [began + moment for moment in wanted]))

    looks: Mapping[float, Callable[[str], None]] = {seconds: look}
    with tempfile.TemporaryDirectory(prefix="dashboards-") as scratch:
        replay(recordings, [stage], Path(scratch), seconds, looks)
    print("\n".join(("recordings of a real Nomad:", *report(asker.found))))
    return [*late, *wrong(asker.found)]


def _ask(asker: Asker, cluster: str, regions: Sequence[str], times: Sequence[float]) -> list[str]:
    """Ask every dashboard at all *times* for all *regions*; return what was not asked for in time."""
    deadline = time.monotonic() + ASKING_SECONDS_MAX
    wanted = [(at, region, dashboard) for at in times for region in regions for dashboard in DASHBOARDS]
    with contextlib.closing(asker):
        for place, (at, region, dashboard) in enumerate(wanted):
            if time.monotonic() > deadline:
                return [
                    f"not asked: {len(wanted) - place} of {len(wanted)} rounds, for {ASKING_SECONDS_MAX:.0f} s were over"
                ]
            asker.ask(dashboard, cluster, region, at)
    return []


def wrong(found: Mapping[str, Asked]) -> Iterator[str]:
    """Yield the queries that were refused, and those without an answer that are always to have one."""
    for each in found.values():
        if each.errors:
            yield f"refused: {each.place}"
        elif each.is_sure and not each.values:
            yield f"not answered: {each.place}"


def unlived(found: Mapping[str, Asked], excused: Mapping[str, str]) -> Iterator[str]:
    """Yield the queries that said nothing or 0 throughout and are not *excused*, and the excuses that are of no query.

    Those that are always to have an answer and have none are `wrong` already.
    """
    for each in found.values():
        is_told = each.moving or each.errors or (each.is_sure and not each.values)
        if not is_told and not any(part in each.place for part in excused):
            yield f"{'only 0' if each.values else 'not answered'}: {each.place}"
    for part in excused:
        if not any(part in each.place for each in found.values()):
            yield f"NOT_LIVED names {part!r}, of which there is no query"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

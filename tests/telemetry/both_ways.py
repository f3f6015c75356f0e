"""The catalogue both ways: `python -m tests.telemetry.both_ways [FOLDER] [--port-base N] [--recorded]`.

Compares every recorded scrape of a real Nomad with the catalogue, then runs a cluster of ours through the steps of
`tests.telemetry.life` and compares what it exports all the way. Prints how much is unknown, missing and unseen, which
values differ from what the API, the system or the script say, and which of the names measured on a real Nomad our
agent exports. FOLDER holds recordings under faults, as `tests.detection.recordings` reads them. The exit code is 1
when anything is unknown, otherwise than catalogued, or missing, was not seen by the end of its step, or is wrong.
"""

import argparse
import json
import os
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from compose.local import LocalCluster
from compose.local_settings import LocalSettings
from telemetry.catalogue import MODULES, Role, find, metrics_of
from telemetry.catalogue.cardinality import ClusterSize, series
from telemetry.catalogue.comparison import AgentState, Difference, Problem, compare, find_scraped, unseen
from telemetry.scraped import Scrape, read_exposition
from tests.compose.free_ports import free_base
from tests.telemetry.life.checks import Lived
from tests.telemetry.life.elsewhere import PROVEN, UNCHECKED
from tests.telemetry.life.judged import judged, unseen_by_step
from tests.telemetry.life.life import Life, Seen
from tests.telemetry.life.seen import ELSEWHERE, STEP_OF
from tests.telemetry.life.steps import STEPS
from tests.telemetry.life.tripled import blunt
from tests.telemetry.life.values import CHECKS

GOLDEN = Path(__file__).parents[1] / "golden" / "nomad-2.0.5"
ROOT = Path(__file__).parents[2]
_STEADY = {"leader": Role.SERVER, "follower": Role.SERVER, "client": Role.CLIENT}
SIZE = ClusterSize(
    servers=3,
    clients=2,
    # One is held by the script, and as many more as it takes if real workers are faster.
    jobs=24,
    # After a client's death all that runs is on the other one, the ended ones beside it.
    allocations=40,
    waiting=5,
    # A client that starts, is ready, and is kept from new work.
    node_states=3,
    cores=os.cpu_count() or 1,
    disks=8,
)
"""The cluster of `Life`, as large as it gets."""


def main(arguments: list[str]) -> int:
    """Compare, print, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.telemetry.both_ways")
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--port-base", type=int)
    parser.add_argument("--recorded", action="store_true", help="only what is recorded, without a cluster")
    chosen = parser.parse_args(arguments)
    good = _recorded("at rest", _at_rest())
    if chosen.folder is None:
        print("recorded under faults: not looked at; name the folder that the recordings are in")
    elif not chosen.folder.is_dir():
        print(f"{chosen.folder} is no folder; name the one that the recordings are in", file=sys.stderr)
        return 2
    else:
        good &= _recorded("under faults", under_faults(chosen.folder))
    if not chosen.recorded:
        good &= _live(chosen.port_base or free_base())
    return 0 if good else 1


def _at_rest() -> Iterator[tuple[AgentState, Scrape]]:
    for name, role in _STEADY.items():
        scrape = read_exposition((GOLDEN / f"{name}.prom").read_text(encoding="utf-8"))
        state = AgentState(place=name, roles=role, is_leader=name == "leader", seconds=180.0, is_outrider=False)
        yield state, scrape


def under_faults(folder: Path) -> Iterator[tuple[AgentState, Scrape]]:
    """Yield each scrape of the recordings in *folder*: folders, or .tar.xz of them, with the agents' scrapes inside."""
    for archive in sorted(folder.rglob("*.tar.xz")):
        with tempfile.TemporaryDirectory(prefix="recording-") as scratch, tarfile.open(archive) as packed:
            packed.extractall(scratch, filter="data")
            yield from _scrapes_below(Path(scratch))
    yield from _scrapes_below(folder)


def _scrapes_below(folder: Path) -> Iterator[tuple[AgentState, Scrape]]:
    for file in sorted(folder.rglob("*.prom")):
        if not file.stem.replace(".", "").isdecimal():
            continue
        scrape = read_exposition(file.read_text(encoding="utf-8"))
        started = scrape.value("process_start_time_seconds") or 0.0
        role = Role.SERVER if "nomad_raft_appliedIndex" in scrape.names else Role.CLIENT
        # Under a fault nobody knows who leads, so that what only a leader or a follower says is not demanded.
        seconds = float(file.stem) - started
        yield (
            AgentState(
                place=f"{file.parent.parent.name}/{file.parent.name}",
                roles=role,
                is_leader=True,
                seconds=seconds,
                leads_seconds=0.0,
                is_outrider=False,
            ),
            scrape,
        )


def _recorded(what: str, pairs: Iterator[tuple[AgentState, Scrape]]) -> bool:
    scrapes = samples = 0
    found: list[Difference] = []
    for state, scrape in pairs:
        scrapes += 1
        samples += len(scrape.samples)
        found += compare(scrape, state)
    print(f"recorded {what}: {scrapes} scrapes, {samples} samples: {_counts(found)}")
    _list(found)
    return scrapes > 0 and not found


def _counts(found: list[Difference]) -> str:
    return ", ".join(f"{sum(each.problem is problem for each in found)} {problem.value}" for problem in Problem)


def _list(found: list[Difference]) -> None:
    for (place, seen), many in sorted(Counter((d.finding.place, d.finding.seen) for d in found).items()):
        print(f"  {place}: {seen} ({many} times)")


def _live(port_base: int) -> bool:
    with tempfile.TemporaryDirectory(prefix="both-ways-") as folder:
        settings = LocalSettings(
            directory=Path(folder),
            tools=ROOT / ".outrider/tools",
            port_base=port_base,
            prometheus_port=port_base + 90,
            alertmanager_port=port_base + 93,
            receiver_port=port_base + 95,
            leave_on_interrupt=True,
            # Elections that nobody asked for disturb what is counted, and take from the script what it holds.
            raft_multiplier=5,
        )
        cluster = LocalCluster(settings)
        try:
            cluster.start()
            cluster.wait_ready(120)
            life = Life(cluster)
            life.run(STEPS)
            logs = {agent.name: cluster.log(agent.name).read_text("utf-8") for agent in settings.agents}
        finally:
            cluster.stop()
    print(f"live: {len(life.seen)} scrapes, {sum(len(s.samples) for _, s in life.seen)} samples: {_counts(life.found)}")
    _list(life.found)
    lived = Lived(tuple(life.records), tuple(life.moments), logs)
    # All of them are printed, whatever the first ones say.
    good = [not life.found, _predicted(life.seen), seen_by_their_steps(lived), values_are_right(lived)]
    _measured(life.seen)
    return all(good)


def _predicted(seen: Seen) -> bool:
    """Print the metrics that had more series in a scrape than `telemetry.catalogue.cardinality` predicts; say if none."""
    over: dict[str, tuple[int, int]] = {}
    for state, scrape in seen:
        for name, many in series_by_name(scrape).items():
            entry = find(name) or find(f"{name}_count")
            assert entry is not None, "series_by_name counts what the catalogue knows"
            most = series(entry.metric, SIZE, state.roles)
            if most is not None and many > most // max(1, len(entry.metric.expansions)):
                over[name] = (max(many, over.get(name, (0, 0))[0]), most)
    print(f"predicted: {len(over)} metrics had more series than predicted for {SIZE}")
    for name, (many, most) in sorted(over.items()):
        print(f"  {name}: {many}, predicted {most}")
    return not over


def series_by_name(scrape: Scrape) -> Counter[str]:
    """Return how many series each name of the catalogue has in a scrape, a summary with all its lines as one."""
    found = set()
    for sample in scrape.samples:
        entry, names_peer = find_scraped(sample.name)
        if entry is not None and not names_peer:
            labels = {name: value for name, value in sample.labels.items() if name not in {"quantile", "le"}}
            found.add((entry.metric.name.format(entry.expansion), tuple(sorted(labels.items()))))
    return Counter(name for name, _ in found)


def seen_by_their_steps(lived: Lived) -> bool:
    """Print which names were not seen by the end of their step, and say if none."""
    late = unseen_by_step(lived)
    print(
        f"seen: {len(STEP_OF) - len(late)} of {len(STEP_OF)} names by the end of their step, {len(ELSEWHERE)} elsewhere"
    )
    for name, why in sorted(late.items()):
        print(f"  {name}: {why}")
    return not late


def values_are_right(lived: Lived) -> bool:
    """Print which values are wrong, and say if none."""
    wrong = judged(lived)
    print(f"values: {len(CHECKS) + len(PROVEN)} checked, {len(wrong)} wrong, {len(UNCHECKED)} without a check")
    print(f"  {len(CHECKS)} of them here, {len(PROVEN)} by other tests")
    for what, metrics in zip(("value", "time"), blunt(lived), strict=True):
        names = ", ".join(sorted(metric.name for metric in metrics))
        print(f"  {len(metrics)} of those here would miss a {what} three times as large: {names}")
    for metric, verdicts in wrong.items():
        print(f"  {metric.name}: {len(verdicts)} wrong; {'; '.join(verdicts[:_VERDICTS_SHOWN])}")
    return not wrong


_VERDICTS_SHOWN = 3


def _measured(seen: Seen) -> None:
    names = [name for name in json.loads((GOLDEN / "metric-names.json").read_text()) if name.startswith("nomad_")]
    lacking = unseen(seen)
    entries = {name: entry for name in names if (entry := find(name)) is not None}
    ours = [name for name, entry in entries.items() if entry.metric.exported]
    live = [name for name in ours if name not in lacking]
    print(
        f"of {len(names)} names measured on a real Nomad our agent exports {len(ours)}, {len(live)} of them in this life"
    )
    for module in MODULES:
        of_it = set(metrics_of(module).values())
        without = sorted(name for name, e in entries.items() if e.metric in of_it and not e.metric.exported)
        if without:
            print(f"  not exported, {module}: {len(without)}: {', '.join(without)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

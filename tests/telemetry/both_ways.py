"""The catalogue both ways: `python -m tests.telemetry.both_ways [FOLDER] [--port-base N] [--recorded]`.

Compares every recorded scrape of a real Nomad with the catalogue, then runs a cluster of ours through a short life
(jobs that run, fail and do not fit, a leader killed, a client killed, a server that leaves) and compares what it exports
all the way. Prints how much is unknown, missing and unseen, and which of the names measured on a real Nomad our agent
exports. FOLDER holds recordings under faults, as `tests.detection.recordings` reads them. The exit code is 1 when
anything is unknown, otherwise than catalogued, or missing.
"""

import argparse
import json
import os
import signal
import sys
import tarfile
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from compose.check.command import compared
from compose.check.gather import ask_agent
from compose.local import LocalCluster
from compose.local_settings import LocalSettings
from telemetry.catalogue import MODULES, Presence, Role, find, metrics_of
from telemetry.catalogue.cardinality import ClusterSize, series
from telemetry.catalogue.comparison import AgentState, Difference, Problem, compare, find_scraped, unseen
from telemetry.nomad_api import ApiFailure, ApiSettings, NomadApi
from telemetry.scraped import Scrape, read_exposition
from tests.compose.free_ports import free_base

GOLDEN = Path(__file__).parents[1] / "golden" / "nomad-2.0.5"
ROOT = Path(__file__).parents[2]
_STEADY = {"leader": Role.SERVER, "follower": Role.SERVER, "client": Role.CLIENT}
LOOK_EVERY_SECONDS = 2.0
_SETTLED_SECONDS = 65.0
"""How long the life goes on after a change, so that a leader has done what it does once a minute."""

SIZE = ClusterSize(
    servers=3,
    clients=2,
    jobs=5,
    # After a client's death all that runs is on the other one, the ended ones beside it.
    allocations=16,
    waiting=5,
    node_states=2,
    cores=os.cpu_count() or 1,
    disks=8,
)
"""The cluster of `Life`, as large as it gets."""

Seen = list[tuple[AgentState, Scrape]]


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
        )
        cluster = LocalCluster(settings)
        try:
            cluster.start()
            cluster.wait_ready(120)
            life = Life(cluster)
            life.run()
        finally:
            cluster.stop()
    print(f"live: {len(life.seen)} scrapes, {sum(len(s.samples) for _, s in life.seen)} samples: {_counts(life.found)}")
    _list(life.found)
    good = _predicted(life.seen)
    _never(life.seen)
    _measured(life.seen)
    return good and not life.found


class Life:
    """A cluster of ours, driven from its start to the leave of a server, and scraped all the while.

    *seen* are all scrapes, *found* how they differ from the catalogue: what is unknown or otherwise at any moment, and
    what is missing once the cluster has settled.
    """

    def __init__(self, cluster: LocalCluster) -> None:
        self._cluster = cluster
        self._wait = threading.Event().wait
        self.seen: Seen = []
        self.found: list[Difference] = []

    def run(self) -> None:
        """Live it."""
        for job in (_job("web", 2, "service", "/bin/sleep", "3600"), _job("once", 1, "batch", "/bin/true")):
            self._register(job)
        self._register(_job("failing", 1, "batch", "/bin/false"))
        self._register(_job("huge", 1, "service", "/bin/sleep", "3600", memory=10_000_000))
        self._register(_job("everywhere", 1, "system", "/bin/sleep", "3600"))
        self._for(_SETTLED_SECONDS - 10)
        self._read()
        self._for(10)
        self._settled("after jobs")
        leader = self._cluster.leader()
        assert leader is not None, "a settled cluster has a leader"
        self._cluster.kill(leader)
        self._cluster.kill("client-2")
        self._for(10)
        self._cluster.restart(leader)
        self._cluster.restart("client-2")
        self._for(_SETTLED_SECONDS + 20)
        self._settled("after failures")
        self._cluster.kill("server-3", signal.SIGINT)
        self._for(_SETTLED_SECONDS)
        self._settled("after a leave")

    def _for(self, seconds: float) -> None:
        """Scrape every agent that answers, for *seconds*."""
        for _ in range(round(seconds / LOOK_EVERY_SECONDS)):
            for agent in self._cluster.settings.agents:
                facts = ask_agent(f"http://127.0.0.1:{agent.http}", ApiSettings(), place=agent.name)
                if facts.scrape is None or not facts.body:
                    continue
                self.seen.append((facts.state(), facts.scrape))
                # What must be there is judged by `_settled`.
                young = replace(facts.state(), seconds=0.0)
                self.found += compare(facts.scrape, young)
            self._wait(LOOK_EVERY_SECONDS)

    def _settled(self, when: str) -> None:
        agents = [
            facts
            for agent in self._cluster.settings.agents
            if self._cluster.pid(agent.name) is not None
            and (facts := ask_agent(f"http://127.0.0.1:{agent.http}", ApiSettings(), place=agent.name)).scrape
        ]
        found = compared(agents, lambda agent: ask_agent(agent.address, ApiSettings(), place=agent.place))
        missing = [each for each in found if each.problem is Problem.MISSING]
        print(f"  {when}: {len(agents)} agents, {len(missing)} missing", flush=True)
        self.found += missing

    def _read(self) -> None:
        """Ask what an operator asks, and stop a job."""
        address = f"http://127.0.0.1:{self._cluster.settings.server_agents[0].http}"
        with NomadApi(ApiSettings(address=address)) as api:
            for path in _READS:
                api.get(path)
            alloc = api.get("/v1/job/web/allocations").value[0]
            api.get(f"/v1/allocation/{alloc['ID']}")
            api.get(f"/v1/evaluation/{alloc['EvalID']}")
            api.get(f"/v1/node/{alloc['NodeID']}")
            api.put(f"/v1/node/{alloc['NodeID']}/eligibility", {"Eligibility": "ineligible"})
            api.put(f"/v1/node/{alloc['NodeID']}/eligibility", {"Eligibility": "eligible"})
            api.delete("/v1/job/huge")

    def _register(self, job: dict) -> None:
        address = f"http://127.0.0.1:{self._cluster.settings.server_agents[0].http}"
        with NomadApi(ApiSettings(address=address)) as api:
            try:
                api.put("/v1/jobs", {"Job": job})
            except ApiFailure as error:
                sys.exit(f"{job['ID']} was not registered: {error}")


_READS = (
    *("/v1/jobs", "/v1/nodes", "/v1/allocations", "/v1/evaluations", "/v1/status/leader", "/v1/status/peers"),
    *("/v1/job/web", "/v1/job/web/evaluations", "/v1/job/web/summary", "/v1/operator/autopilot/health"),
)


def _job(name: str, count: int, kind: str, command: str, *arguments: str, memory: int = 16) -> dict:
    task = {
        "Name": "t",
        "Driver": "raw_exec",
        "Config": {"command": command, "args": list(arguments)},
        "Resources": {"CPU": 20, "MemoryMB": memory},
    }
    restart = {"Attempts": 1, "Delay": 1_000_000_000, "Interval": 60_000_000_000, "Mode": "fail"}
    group = {"Name": "g", "Count": count, "Tasks": [task], "RestartPolicy": restart}
    return {"ID": name, "Type": kind, "Datacenters": ["dc1"], "TaskGroups": [group]}


def _predicted(seen: Seen) -> bool:
    """Print the metrics that had more series in a scrape than `telemetry.catalogue.cardinality` predicts; say if none."""
    over: dict[str, tuple[int, int]] = {}
    for _, scrape in seen:
        for name, many in series_by_name(scrape).items():
            entry = find(name) or find(f"{name}_count")
            assert entry is not None, "series_by_name counts what the catalogue knows"
            most = series(entry.metric, SIZE)
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


def _never(seen: Seen) -> None:
    names = unseen(seen)
    print(f"unseen in this life: {len(names)} of what our agent exports")
    for presence in Presence:
        of_it = sorted(name for name, present in names.items() if present is presence)
        if of_it:
            print(f"  {presence.value}: {', '.join(of_it)}")


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

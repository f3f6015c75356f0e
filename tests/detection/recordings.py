"""Scrapes of a real Nomad under real faults, kept as compact series, and turned into samples for promtool.

Run as a program, it makes the files in `data/` from recordings: a folder with one folder for each agent, whose files
are named by the time of the scrape (`.prom` when it succeeded, `.err` when not), and a `log.txt` with the faults.

    python tests/detection/recordings.py RECORDING data/NAME.json

A file holds for each series its value at each second since the first scrape: runs of [value, how often], and null
where the scrape failed or did not bring it. Only series that rules use are kept.
"""

import json
import re
import sys
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

DATA = Path(__file__).parent / "data"
HEALTH_SECONDS = 120
"""How much health is put before a recording, which has only 10 s of its own."""

KEPT = (
    "nomad_nomad_autopilot_failure_tolerance",
    "nomad_nomad_eval_dequeue_count",
    "nomad_raft_appliedIndex",
    "nomad_raft_leader_lastContact_count",
    "nomad_raft_rpc_processHeartbeat_count",
    "nomad_raft_state_leader",
    "nomad_serf_member_left",
)
_ROLES = {"s": "server", "c": "client"}
_SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*) (?P<value>\S+)$", re.MULTILINE)
_FAULT = re.compile(r"^(?P<time>[\d.]+) \[t0  \+0\.000s\] sent SIGKILL", re.MULTILINE)


@dataclass(frozen=True)
class Recording:
    """One recorded fault: when it happened, in seconds from the first scrape, and the samples of each second."""

    fault: float
    series: dict[str, list[float | None]]

    def with_health(self) -> "Recording":
        """Put health before: gauges as they were first seen, counters growing as they did before the fault."""
        seconds = int(self.fault)
        longer = {name: _before(samples, seconds) + samples for name, samples in self.series.items()}
        return Recording(self.fault + HEALTH_SECONDS, longer)


def load(name: str) -> Recording:
    """Read the recording called *name*."""
    content = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    series = {
        key: [value for value, times in runs for _ in range(times)] for key, runs in sorted(content["series"].items())
    }
    return Recording(content["fault"], series)


def _before(samples: list[float | None], healthy: int) -> list[float | None]:
    known = [sample for sample in samples[:healthy] if sample is not None]
    if not known:
        return [None] * HEALTH_SECONDS
    step = (known[-1] - known[0]) / max(1, len(known) - 1)
    return [round(known[0] - step * (HEALTH_SECONDS - number), 3) for number in range(HEALTH_SECONDS)]


def make(recording: Path) -> dict[str, object]:
    """Return the content of a file in `data/` for *recording*."""
    agents = sorted(path for path in recording.iterdir() if path.is_dir())
    scrapes = {agent.name: sorted(agent.glob("*.*"), key=_time) for agent in agents}
    start = min(_time(files[0]) for files in scrapes.values())
    seconds = round(max(_time(files[-1]) for files in scrapes.values()) - start) + 1
    series: dict[str, list[list[float | int | None]]] = {}
    for agent, files in scrapes.items():
        labels = f'cluster="demo",region="global",role="{_ROLES[agent[0]]}",instance="{agent}"'
        for name, samples in _columns(files, start, seconds).items():
            if any(sample is not None for sample in samples):
                series[f"{name}{{{labels}}}"] = [[_short(value), len(list(run))] for value, run in groupby(samples)]
    fault = _FAULT.search((recording / "log.txt").read_text(encoding="utf-8"))
    assert fault is not None
    return {"fault": round(float(fault["time"]) - start, 1), "series": series}


def _columns(files: list[Path], start: float, seconds: int) -> dict[str, list[float | None]]:
    columns: dict[str, list[float | None]] = {name: [None] * seconds for name in ("up", *KEPT)}
    for file in files:
        second = min(seconds - 1, int(_time(file) - start + 0.5))
        scraped = {"up": 0.0}
        if file.suffix == ".prom":
            found = {match["name"]: match["value"] for match in _SAMPLE.finditer(file.read_text(encoding="utf-8"))}
            scraped = {"up": 1.0} | {name: float(found[name]) for name in KEPT if name in found}
        for name, value in scraped.items():
            columns[name][second] = value
    # A scrape that was late leaves its second empty: Prometheus would still have the sample before.
    ups = columns["up"]
    for second in range(1, seconds):
        if ups[second] is None:
            for samples in columns.values():
                samples[second] = samples[second - 1]
    return columns


def _short(value: float | None) -> float | None:
    return int(value) if value is not None and value == int(value) else value


def _time(file: Path) -> float:
    return float(file.name.rpartition(".")[0])


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(make(Path(sys.argv[1])), separators=(",", ":")) + "\n", encoding="utf-8")

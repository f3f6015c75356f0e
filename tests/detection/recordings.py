"""Scrapes of a real Nomad under real faults: kept as compact series, turned into samples for promtool, served again.

A recording is a folder, or a `.tar.xz` of one, with a folder for each agent, whose files are named by the time of the
scrape (`.prom` when it succeeded, `.err` when not), and a `log.txt` with what was done when. Run as a program, this
makes the files in `data/` of the recordings in a folder:

    python -m tests.detection.recordings FOLDER

Kept are the series that rules use, and nothing else: a rule that uses another makes the files stale, and a test says
so. A file holds each series as its values at each second since the first scrape: `7*3 8 _` is three times 7, then 8,
then a scrape that failed or did not bring it.
"""

import json
import re
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby, pairwise
from pathlib import Path

from alert_rules.promql import resolve
from alert_rules.recorded import KNOWN
from alert_rules.rules import rule_set
from telemetry.catalogue.metric import Role, Unit
from telemetry.scrape.configuration import JOB_ALERTMANAGER, JOB_CLIENTS, JOB_PROMETHEUS, JOB_SERVERS
from tests.alert_rules.nomad_series import CLUSTER, REGION, Samples
from tests.alert_rules.timeline import settings

DATA = Path(__file__).parent / "data"
HEALTH_SECONDS = 120
"""How much health is put before a recording for promtool; it has only 10 s of its own."""

COUNTED = "scrape_samples_scraped"
"""The series of Prometheus' own that a recording can tell: how many samples a scrape brought."""

_OWN_PREFIXES = ("outrider", "prometheus_", "alertmanager_", "ALERTS", "scrape_", "up")
_JOBS = {"server": JOB_SERVERS, "client": JOB_CLIENTS}
_TARGET_LABELS = ("cluster", "region", "role", "instance", "job")
_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ACTION = re.compile(
    r"^(?P<time>[\d.]+) \[t0 +\+[\d.]+s\] (?P<what>(?:sent|started|stopped|cut|healed) .*)$", re.MULTILINE
)
_PID = re.compile(r" pid \d+")


@dataclass(frozen=True)
class Recording:
    """One recorded fault.

    *start* is when the first scrape was made, in Unix seconds; *fault* when the first thing was done, in seconds since,
    None when nothing was; *roles* has the role of each agent, *series* for each agent the samples of each second by
    name and labels as Nomad gave them, `up` among them.
    """

    name: str
    start: float
    fault: float | None
    actions: tuple[tuple[float, str], ...]
    roles: dict[str, str]
    series: dict[str, dict[str, Samples]]
    health: int = 0
    """How many seconds of health were put before what was recorded."""

    @cached_property
    def seconds(self) -> int:
        """How long it is."""
        return max(len(samples) for columns in self.series.values() for samples in columns.values())

    @property
    def servers(self) -> tuple[str, ...]:
        """The servers, in the order of the alphabet."""
        return tuple(agent for agent, role in sorted(self.roles.items()) if role == "server")

    def with_health(self, seconds: int = HEALTH_SECONDS) -> "Recording":
        """Put health before: the seconds before the fault once more and again, counters growing as they did.

        A count of events that vanishes before the fault is left from the fault before, and is taken out.
        """
        healthy = max(1, int(self.fault if self.fault is not None else self.seconds))
        series = {
            agent: {
                name: _healthy(name, samples[:healthy], seconds) + _without_leftover(name, samples, healthy)
                for name, samples in columns.items()
            }
            for agent, columns in self.series.items()
        }
        return replace(
            self,
            start=self.start - seconds,
            fault=None if self.fault is None else self.fault + seconds,
            actions=tuple((time + seconds, what) for time, what in self.actions),
            series=series,
            health=self.health + seconds,
        )

    def begun_at(self, start: float) -> "Recording":
        """Move the recording in time, so that moments which it tells in Unix seconds are as long ago as they were."""
        series = {
            agent: {
                name: [value if value is None else value + start - self.start for value in samples]
                if _unit(name) is Unit.UNIX_SECONDS
                else samples
                for name, samples in columns.items()
            }
            for agent, columns in self.series.items()
        }
        return replace(self, start=start, series=series)

    def input_series(self, every: int = 1, region: str = REGION) -> dict[str, Samples]:
        """Return what Prometheus has of it after a scrape *every* so many seconds, by selector; time begins at 0."""
        found: dict[str, Samples] = {}
        for agent, columns in self.begun_at(0.0).series.items():
            target = {"cluster": CLUSTER, "region": region, "role": self.roles[agent], "instance": agent}
            target["job"] = _JOBS[self.roles[agent]]
            for name, samples in columns.items():
                found[_selector(name, target)] = samples[::every]
        for job in (JOB_PROMETHEUS, JOB_ALERTMANAGER):
            found[f'up{{cluster="{CLUSTER}",instance="{job}:9090",job="{job}"}}'] = [1.0] * len(
                range(0, self.seconds, every)
            )
        return found

    def exposition(self, agent: str, second: int) -> bytes | None:
        """Return what *agent* answered to a scrape in a second, None when it did not; the last second goes on."""
        at = min(max(second, 0), self.seconds - 1)
        columns = self.series[agent]
        if columns["up"][at] != 1:
            return None
        lines = [
            f"{name} {value!r}\n"
            for name, samples in columns.items()
            if name not in {"up", COUNTED} and (value := samples[at]) is not None
        ]
        return "".join(lines).encode()


def wanted() -> tuple[str, ...]:
    """Return the names of the series that rules use and a recording can have, in the order of the alphabet."""
    rules = rule_set(settings())
    expressions = [rule.expr for rule in (*rules.recording, *rules.alerts)]
    used = {name for expr in expressions for name in resolve(expr).metrics}
    return tuple(sorted(name for name in used if name == COUNTED or _is_nomads(name)))


def load(name: str) -> Recording:
    """Read the recording called *name* from `data/`."""
    return _recording(name, json.loads((DATA / f"{name}.json").read_text(encoding="utf-8")))


def known() -> list[str]:
    """Return the names of the recordings in `data/`."""
    return sorted(path.stem for path in DATA.glob("*.json"))


def metrics_of(name: str) -> tuple[str, ...]:
    """Return the names of the series that were sought when the file of a recording was made."""
    return tuple(json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))["metrics"])


def read_folder(folder: Path, also: frozenset[str] = frozenset()) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield the name of each recording below *folder*, and what a file in `data/` holds of it.

    *also* names series that are kept besides. *folder* may be a recording itself. Raises ValueError when there is none.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; name the one that the recordings are in")
    if _is_recording(folder):
        yield folder.name, make(folder, also)
        return
    found = False
    for path in sorted(folder.iterdir()):
        if _is_recording(path):
            found = True
            yield path.name, make(path, also)
        if path.name.endswith(".tar.xz"):
            with tempfile.TemporaryDirectory(prefix="recording-") as scratch, tarfile.open(path) as archive:
                archive.extractall(scratch, filter="data")
                for inner in sorted(Path(scratch).iterdir()):
                    if _is_recording(inner):
                        found = True
                        yield inner.name, make(inner, also)
    if not found:
        raise ValueError(f"{folder} holds no recording: a folder, or .tar.xz, with a folder of *.prom for each agent")


def recordings_in(folder: Path, also: frozenset[str] = frozenset()) -> list[Recording]:
    """Return the recordings below *folder*, with the series that *also* names besides those of rules."""
    return [_recording(name, content) for name, content in read_folder(folder, also)]


def make(folder: Path, also: frozenset[str] = frozenset()) -> dict[str, object]:
    """Return the content of a file in `data/` for the recording in *folder*; *also* names further series to keep."""
    agents = sorted(path for path in folder.iterdir() if any(path.glob("*.prom")))
    scrapes = {agent.name: sorted((*agent.glob("*.prom"), *agent.glob("*.err")), key=_time) for agent in agents}
    start = min(_time(files[0]) for files in scrapes.values())
    seconds = round(max(_time(files[-1]) for files in scrapes.values()) - start) + 1
    metrics = tuple(sorted({*wanted(), *also}))
    series: dict[str, str] = {}
    roles: dict[str, str] = {}
    for agent, files in scrapes.items():
        columns, is_server = _columns(files, start, seconds, frozenset(metrics))
        roles[agent] = "server" if is_server else "client"
        series |= {f"{agent} {name}": _packed(values) for name, values in sorted(columns.items())}
    actions = _actions(folder / "log.txt", start)
    return {
        "generated": "by `python -m tests.detection.recordings FOLDER`; change the rules or that program, not this file",
        "start": start,
        "fault": actions[0][0] if actions else None,
        "actions": actions,
        "roles": roles,
        "metrics": metrics,
        "series": series,
    }


def written(content: dict[str, object]) -> str:
    """Return the text of a file in `data/`: a series a line, and that it is generated on the first."""
    return "{" + json.dumps(content, indent=0).removeprefix("{").lstrip() + "\n"


def _actions(log: Path, start: float) -> list[tuple[float, str]]:
    if not log.exists():
        return []
    found = _ACTION.finditer(log.read_text(encoding="utf-8"))
    return [(round(float(match["time"]) - start, 1), _PID.sub("", match["what"])) for match in found]


def _recording(name: str, content: dict) -> Recording:
    series: dict[str, dict[str, Samples]] = {agent: {} for agent in content["roles"]}
    for key, packed in content["series"].items():
        agent, _, metric = key.partition(" ")
        series[agent][metric] = _unpacked(packed)
    actions = tuple((time, what) for time, what in content["actions"])
    return Recording(name, content["start"], content["fault"], actions, content["roles"], series)


def _columns(
    files: list[Path], start: float, seconds: int, metrics: frozenset[str]
) -> tuple[dict[str, list[str]], bool]:
    """Return the values of each series at each second, as they were written, and whether the agent is a server."""
    columns: dict[str, list[str]] = {"up": ["_"] * seconds}
    is_server = False
    for file in files:
        second = min(seconds - 1, int(_time(file) - start + 0.5))
        columns["up"][second] = "0"
        if file.suffix != ".prom":
            continue
        text = file.read_text(encoding="utf-8")
        is_server |= "\nnomad_raft_" in text
        columns["up"][second] = "1"
        samples = _SAMPLE.findall(text)
        found = {name + labels: value for name, labels, value in samples if name in metrics}
        if COUNTED in metrics:
            found[COUNTED] = str(len(samples))
        for name, value in found.items():
            columns.setdefault(name, ["_"] * seconds)[second] = value
    # A scrape that was late leaves its second empty: Prometheus would still have the sample before.
    ups = columns["up"]
    for second in range(1, seconds):
        if ups[second] == "_":
            for values in columns.values():
                values[second] = values[second - 1]
    return columns, is_server


def _packed(values: list[str]) -> str:
    runs = [(value, len(list(run))) for value, run in groupby(values)]
    return " ".join(value if count == 1 else f"{value}*{count}" for value, count in runs)


def _unpacked(text: str) -> Samples:
    samples: Samples = []
    for word in text.split():
        value, _, count = word.partition("*")
        samples += [None if value == "_" else float(value)] * int(count or 1)
    return samples


def _healthy(name: str, samples: Samples, seconds: int) -> Samples:
    """Return *seconds* of health that lead up to *samples*, which are healthy."""
    if any(sample is None for sample in samples):
        return [None] * seconds
    length = len(samples)
    if not _grows(name):
        return [samples[number % length] for number in range(-seconds, 0)]
    steps = [after - before for before, after in pairwise(samples)] or [0.0]
    before: Samples = []
    value = samples[0]
    for number in range(seconds):
        value -= steps[-1 - number % len(steps)]
        before.append(round(value, 6))
    return before[::-1]


def _without_leftover(name: str, samples: Samples, healthy: int) -> Samples:
    """Return *samples* without those of an event that was before them: there at first, and gone before the fault."""
    if not _grows(name) or samples[0] is None or None not in samples[:healthy]:
        return samples
    gone = samples.index(None)
    return [None] * gone + samples[gone:]


def _grows(name: str) -> bool:
    entry = KNOWN.find(name.partition("{")[0])
    return entry is not None and entry.is_cumulative


def _unit(name: str) -> Unit | None:
    entry = KNOWN.find(name.partition("{")[0])
    return None if entry is None else entry.metric.unit


def _is_nomads(name: str) -> bool:
    entry = KNOWN.find(name)
    return entry is not None and entry.metric.exporter is not Role.RULE and not name.startswith(_OWN_PREFIXES)


def _selector(name: str, target: dict[str, str]) -> str:
    """Return a series with its target's labels; Nomad's own of the same name give way, as in a scrape."""
    metric, _, labels = name.partition("{")
    own = {f"exported_{key}" if key in _TARGET_LABELS else key: value for key, value in _LABEL.findall(labels)}
    pairs = ",".join(f'{key}="{value}"' for key, value in sorted((own | target).items()))
    return f"{metric}{{{pairs}}}"


def _is_recording(path: Path) -> bool:
    return path.is_dir() and any(path.glob("*/*.prom"))


def _time(file: Path) -> float:
    return float(file.stem)


def main(arguments: list[str]) -> int:
    """Write the files in `data/` of the recordings in a folder."""
    if len(arguments) != 1:
        print("say the folder of the recordings: python -m tests.detection.recordings FOLDER", file=sys.stderr)
        return 2
    for name, content in read_folder(Path(arguments[0])):
        path = DATA / f"{name}.json"
        path.write_text(written(content), encoding="utf-8")
        print(f"{path.name}: {len(content['series'])} series, {path.stat().st_size / 1024:.0f} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

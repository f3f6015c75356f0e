"""What opening Cluster overview over 6 h costs Prometheus, for 5 servers and 1,000 clients scraped every 15 s.

The history holds the families that the dashboard reads and `up`, agents' and recording rules', with a fail-over, clients
that fall silent and alerts in it (`history.py`). promtool makes blocks of it, a real Prometheus serves them, and
every query of every panel and mark is asked one after the other, with Grafana's step on a page of 1,920 pixels. What is
told is the time that Prometheus itself counts for a query. The baseline of a query is one plain selector over the same
range, `up` of all targets; that of their sum is the 300 ms that are promised. A query without an answer fails the run.
Run: `python -m tests.bench.dashboards_bench [CLIENTS]`; prints `name value unit [baseline ratio]` lines.
"""

import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from alert_rules.settings import ExpectedRegion, RuleSettings
from dashboards.cluster_overview import CLUSTER_OVERVIEW
from dashboards.panel import Dashboard
from dashboards.preview.asking import specials
from dashboards.preview.model import GRID_WIDTH, read_board
from dashboards.preview.times import Range, steps
from dashboards.preview.variables import Chosen, in_query
from dashboards.render import render
from tests.bench.figures import figure, spread
from tests.bench.history import CLIENTS, CLUSTER, PLAIN, RANGE_SECONDS, REGION, SCRAPE_SECONDS, SERVERS, write_history
from tests.integration.watch import free_ports
from tests.tools import Program, find

PAGE_PIXELS = 1_920
PROMISED_MS = 300.0
ROUNDS = 7
READY_SECONDS, ANSWER_SECONDS = 120.0, 60.0


@dataclass(frozen=True)
class Question:
    """One query as Grafana sends it; *step_seconds* is None for one that asks for the end of the range alone."""

    name: str
    expr: str
    step_seconds: float | None


@dataclass(frozen=True)
class Answer:
    """What Prometheus counted for a query, in milliseconds and samples, and how many series came."""

    milliseconds: float
    samples: int
    series: int


def questions(dashboard: Dashboard, end: float) -> list[Question]:
    """Return what Grafana asks for *dashboard* over the 6 h before Unix seconds *end*, marks on the time lines too."""
    settings = RuleSettings(cluster=CLUSTER, regions=(ExpectedRegion(name=REGION, expected_servers=SERVERS),))
    board = read_board(dashboard.uid, render(dashboard, settings))
    shown = Range(end - RANGE_SECONDS, end, "now-6h", "now")
    values = {"cluster": CLUSTER, "region": REGION}
    chosen = {
        each.name: Chosen(each, (values[each.name],), (values[each.name],))
        for each in board.variables
        if each.name in values
    }
    found = []
    for panel in board.panels:
        reckoned = steps(shown, panel.width, SCRAPE_SECONDS, PAGE_PIXELS)
        for target in panel.targets:
            expr = in_query(target.expr, chosen, specials(shown, reckoned))
            is_instant = target.is_instant or target.is_table
            name = f"{_word(panel.title)}.{target.ref}"
            found.append(Question(name, expr, None if is_instant else reckoned.interval_seconds))
    reckoned = steps(shown, GRID_WIDTH, SCRAPE_SECONDS, PAGE_PIXELS)
    for note in board.annotations:
        expr = in_query(note.expr, chosen, specials(shown, reckoned))
        found.append(Question(f"marks.{_word(note.name)}", expr, reckoned.interval_seconds))
    return found


def _word(title: str) -> str:
    return re.sub(r"\W+", "_", title.lower()).strip("_")


class Asking:
    """Asks the Prometheus on *port* of loopback about the 6 h before *end*."""

    def __init__(self, port: int, end: float) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1"
        self._end = end
        self._session = requests.Session()
        self._session.trust_env = False

    def ask(self, question: Question) -> Answer:
        """Return what one question cost. Raises RuntimeError with what Prometheus says to a bad one."""
        path, times = "query", {"time": self._end}
        if question.step_seconds is not None:
            step = question.step_seconds
            # Grafana's ranges begin and end on whole steps.
            start, end = (at // step * step for at in (self._end - RANGE_SECONDS, self._end))
            path, times = "query_range", {"start": start, "end": end, "step": step}
        sent = {"query": question.expr, "stats": "all", **times}
        body = self._session.post(f"{self._url}/{path}", data=sent, timeout=ANSWER_SECONDS).json()
        if body["status"] != "success":
            raise RuntimeError(f"{question.name}: {question.expr}: {body['error']}")
        stats = body["data"]["stats"]
        return Answer(
            stats["timings"]["execTotalTime"] * 1_000,
            stats["samples"]["totalQueryableSamples"],
            len(body["data"]["result"]),
        )


@contextmanager
def prometheus_on(prometheus: Program, blocks: Path, folder: Path) -> Iterator[tuple[int, int]]:
    """Serve a copy of *blocks*; give its port and the process' id."""
    data = folder / f"data-{prometheus.version}"
    shutil.copytree(blocks, data)
    (folder / "empty.yml").write_text("global: {scrape_interval: 15s}\n")
    [port] = free_ports(1)
    command = [
        str(prometheus.path),
        f"--config.file={folder}/empty.yml",
        f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=10y",
        # Blocks stay as they are: compaction would run beside the queries.
        "--storage.tsdb.min-block-duration=2h",
        "--storage.tsdb.max-block-duration=2h",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / f"{prometheus}.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_until_ready(port, process)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(timeout=60)


def _wait_until_ready(port: int, process: subprocess.Popen) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            if requests.get(f"http://127.0.0.1:{port}/-/ready", timeout=5).ok:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.2)
    raise RuntimeError(f"Prometheus on 127.0.0.1:{port} was not ready within {READY_SECONDS:g} s")


def cpu_seconds(pid: int) -> float:
    """Return what a process has used of the processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def measure(prometheus: Program, blocks: Path, folder: Path, asked: Sequence[Question], end: float) -> list[str]:
    """Print the figures of one Prometheus, and return the names of the questions that it had no answer to."""
    shown = Range(end - RANGE_SECONDS, end, "now-6h", "now")
    plain = Question("plain", PLAIN, steps(shown, GRID_WIDTH // 3, SCRAPE_SECONDS, PAGE_PIXELS).interval_seconds)
    with prometheus_on(prometheus, blocks, folder) as (port, pid):
        asking = Asking(port, end)
        first = {question.name: asking.ask(question) for question in (plain, *asked)}
        baseline = statistics.median(asking.ask(plain).milliseconds for _ in range(ROUNDS))
        before = cpu_seconds(pid)
        rounds = [[asking.ask(question).milliseconds for question in asked] for _ in range(ROUNDS)]
        cpu = (cpu_seconds(pid) - before) * 1_000 / ROUNDS
    start = f"dashboards.{prometheus.version}"
    print(figure(f"{start}.plain_selector", baseline, "ms"))
    for place, question in enumerate(asked):
        times = [each[place] for each in rounds]
        print(figure(f"{start}.{question.name}", statistics.median(times), "ms", baseline))
    print(figure(f"{start}.queries", len(asked), "count"))
    print(figure(f"{start}.samples_read", sum(first[question.name].samples for question in asked), "count"))
    # Writing answers as JSON and collecting garbage are in it.
    print(figure(f"{start}.cpu", cpu, "ms"))
    print("\n".join(spread(f"{start}.sum", [sum(each) for each in rounds], "ms", PROMISED_MS)))
    return [question.name for question in asked if not first[question.name].series]


def main() -> int:
    """Print the figures for every Prometheus that is found."""
    clients = int(sys.argv[1]) if len(sys.argv) > 1 else CLIENTS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        blocks = folder / "blocks"
        promtools, prometheuses = find("promtool"), find("prometheus")
        if not promtools or not prometheuses:
            print("neither promtool nor prometheus is found: `make tools` brings them", file=sys.stderr)
            return 1
        end = write_history(CLUSTER_OVERVIEW, clients, time.time(), promtools[0], blocks)
        asked = questions(CLUSTER_OVERVIEW, end)
        silent = {f"{each}: {name}" for each in prometheuses for name in measure(each, blocks, folder, asked, end)}
    for each in sorted(silent):
        print(f"no answer: {each}", file=sys.stderr)
    return int(bool(silent))


if __name__ == "__main__":
    sys.exit(main())

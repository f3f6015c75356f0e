"""Recordings served to a real Prometheus as at the time, with a real Alertmanager and a receiver.

Each recording is a region of one cluster, so that several are replayed in the time of one, with the files that
`outrider build` makes. Time begins with the health that is put before them; all end together.
"""

import json
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from alert_rules.alertmanager import WATCHDOG
from alert_rules.settings import Times
from compose import generate
from compose.settings import Settings, parse_settings
from telemetry.scrape.duration import format_duration
from tests.detection.expectations import Heard
from tests.detection.recordings import Recording
from tests.tools import Program

CLUSTER = "replay"
READY_SECONDS_MAX = 40.0
"""Within which Prometheus knows Alertmanager; it begins to scrape 5 to 10 s after its start."""


@dataclass(frozen=True)
class Stage:
    """One Prometheus and Alertmanager with their intervals."""

    prometheus: Program
    alertmanager: Program
    times: Times

    def __str__(self) -> str:
        return f"{self.prometheus} each {format_duration(self.times.scrape_interval_seconds)}"


@dataclass
class Outcome:
    """What a receiver got and what fired, by region; times are seconds after the fault of the region's recording.

    *resolved* has for each alert when its end was told, *fired* from when to when it fired at all, inhibited or not.
    What names no region stands under the empty one, in seconds from the beginning.
    """

    heard: dict[str, list[Heard]] = field(default_factory=dict)
    resolved: dict[str, dict[str, float]] = field(default_factory=dict)
    fired: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Beginning:
    monotonic: float
    wall: float

    def seconds(self) -> float:
        return time.monotonic() - self.monotonic


def aligned(recordings: Sequence[Recording], health: int) -> list[Recording]:
    """Put at least *health* seconds before each recording, so much that all end together."""
    total = health + max(recording.seconds for recording in recordings)
    return [recording.with_health(total - recording.seconds) for recording in recordings]


def replay(
    recordings: Sequence[Recording],
    stages: Sequence[Stage],
    folder: Path,
    seconds: float,
    looks: Mapping[float, Callable[[str], None]] | None = None,
) -> list[Outcome]:
    """Play *recordings* for so many *seconds* to all *stages* at once, and return what came of each.

    *looks* are called with the address of each Prometheus, so many seconds after the beginning.
    The recordings begin in health, long enough for Prometheus to start. What the programs read and wrote stays in
    *folder*. Raises AssertionError when a program ends early or does not get ready.
    """
    beginning = _Beginning(time.monotonic(), time.time())
    moved = [recording.begun_at(beginning.wall) for recording in recordings]
    outcomes = [Outcome() for _ in stages]
    with ExitStack() as stack:
        addresses = {
            (recording.name, agent): stack.enter_context(_serving(_agent(recording, agent, beginning)))
            for recording in moved
            for agent in recording.roles
        }
        started = []
        for number, (stage, outcome) in enumerate(zip(stages, outcomes, strict=True)):
            receiver = stack.enter_context(_serving(_receiver(outcome, moved, beginning)))
            home = folder / f"{number}-{format_duration(stage.times.scrape_interval_seconds)}"
            settings = _settings(moved, addresses, stage.times, receiver)
            generate.build(settings, home)
            stack.enter_context(_running(stage, settings, home))
            started.append(settings.description.prometheus)
        for address in started:
            wait_until(lambda: _discovered(address), READY_SECONDS_MAX, f"Prometheus at {address} knows Alertmanager")  # noqa: B023, used at once
        for moment, look in sorted((looks or {}).items()):
            wait_until(lambda: beginning.seconds() >= moment, moment + 1, "the time to look")  # noqa: B023, used at once
            for address in started:
                look(address)
        wait_until(lambda: beginning.seconds() >= seconds, seconds + 1, "the recordings are over")
        for address, outcome in zip(started, outcomes, strict=True):
            _gather_fired(address, outcome, moved, beginning)
    return outcomes


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for *condition*, at most so many *seconds*."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.2)


def _agent(recording: Recording, agent: str, beginning: _Beginning) -> Callable[[bytes], bytes | None]:
    return lambda _: recording.exposition(agent, int(beginning.seconds()))


def _receiver(outcome: Outcome, recordings: Sequence[Recording], beginning: _Beginning) -> Callable[[bytes], bytes]:
    """Return what takes notifications into *outcome*."""
    zeros = _zeros(recordings)
    lock = threading.Lock()

    def take(body: bytes) -> bytes:
        now = beginning.seconds()
        with lock:
            for alert in json.loads(body)["alerts"]:
                labels = alert["labels"]
                name, region = labels["alertname"], labels.get("region", "")
                after = now - zeros.get(region, 0.0)
                if alert["status"] == "firing":
                    heard = Heard(name, after, labels | alert["annotations"])
                    outcome.heard.setdefault(region, []).append(heard)
                else:
                    outcome.resolved.setdefault(region, {}).setdefault(name, after)
        return b"ok"

    return take


def _zeros(recordings: Sequence[Recording]) -> dict[str, float]:
    """Return the moment from which the times of each region are counted: its fault, or where its recording begins."""
    return {
        recording.name: recording.fault if recording.fault is not None else float(recording.health)
        for recording in recordings
    }


def _settings(
    recordings: Sequence[Recording], addresses: dict[tuple[str, str], int], times: Times, receiver: int
) -> Settings:
    """Return the settings of a cluster with a region for each recording, as its operator would write them."""

    def targets(recording: Recording, role: str) -> list[dict[str, str]]:
        return [
            {"name": agent, "address": f"127.0.0.1:{addresses[recording.name, agent]}"}
            for agent, its in sorted(recording.roles.items())
            if its == role
        ]

    document = {
        "cluster": CLUSTER,
        "scrape_interval": format_duration(times.scrape_interval_seconds),
        "evaluation_interval": format_duration(times.evaluation_interval_seconds),
        "group_wait": format_duration(times.group_wait_seconds),
        "group_interval": format_duration(times.group_interval_seconds),
        "prometheus": f"127.0.0.1:{_free_port()}",
        "alertmanager": f"127.0.0.1:{_free_port()}",
        "regions": [
            {"name": each.name, "servers": targets(each, "server"), "clients": targets(each, "client")}
            for each in recordings
        ],
        "receivers": [{"name": "test", "webhook": {"url": f"http://127.0.0.1:{receiver}/"}}],
    }
    return parse_settings(yaml.safe_dump(document), "the replayed recordings")


@contextmanager
def _serving(handle: Callable[[bytes], bytes | None]) -> Iterator[int]:
    """Serve HTTP on a free port of loopback; *handle* takes the body and returns an answer, or None for an error."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = handle(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            self.send_response(500 if answer is None else 200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(answer or b"")

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


@contextmanager
def _running(stage: Stage, settings: Settings, home: Path) -> Iterator[None]:
    """Run Alertmanager and Prometheus with the files in *home* until the end of the block."""
    with ExitStack() as stack:
        stack.enter_context(
            _process(
                home / "alertmanager.log",
                stage.alertmanager.path,
                f"--config.file={home}/alertmanager.yml",
                f"--storage.path={home}/am",
                f"--web.listen-address={settings.description.alertmanager}",
                "--cluster.listen-address=",
            )
        )
        stack.enter_context(
            _process(
                home / "prometheus.log",
                stage.prometheus.path,
                f"--config.file={home}/prometheus.yml",
                f"--storage.tsdb.path={home}/db",
                f"--web.listen-address={settings.description.prometheus}",
            )
        )
        yield


@contextmanager
def _process(log: Path, *command: str | Path) -> Iterator[None]:
    """Run a program until the end of the block; what it says stands in *log*, and is shown when it ends early."""
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield
        assert process.poll() is None, f"{command[0]} ended early:\n{log.read_text()[-2000:]}"
    finally:
        process.terminate()
        process.wait(timeout=30)


def _gather_fired(address: str, outcome: Outcome, recordings: Sequence[Recording], beginning: _Beginning) -> None:
    """Ask Prometheus which alerts fired from when to when."""
    zeros = _zeros(recordings)
    query = f'ALERTS{{alertstate="firing",alertname!="{WATCHDOG}"}}'
    parameters = {"query": query, "start": beginning.wall, "end": beginning.wall + beginning.seconds(), "step": 1}
    answer = _get(address, f"/api/v1/query_range?{urllib.parse.urlencode(parameters)}")
    for series in answer["data"]["result"]:
        name, region = series["metric"]["alertname"], series["metric"].get("region", "")
        moments = [float(at) - beginning.wall - zeros.get(region, 0.0) for at, _ in series["values"]]
        first, last = outcome.fired.setdefault(region, {}).get(name, (moments[0], moments[-1]))
        outcome.fired[region][name] = (min(first, moments[0]), max(last, moments[-1]))


def _discovered(address: str) -> bool:
    try:
        return bool(_get(address, "/api/v1/alertmanagers")["data"]["activeAlertmanagers"])
    except OSError:
        return False


def _get(address: str, path: str) -> Any:
    with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
        return json.load(answer)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""A recorded fault, replayed to real Prometheus and Alertmanager with the generated files: what a receiver gets."""

import json
import socket
import subprocess
import threading
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from compose import generate
from compose.settings import parse_settings
from tests.detection.recordings import load
from tests.tools import find

PAIRS = list(zip(find("prometheus"), find("alertmanager"), strict=False))
HEALTH_SECONDS = 25.0
WATCHED_SECONDS = 30.0
SETTINGS = """\
cluster: demo
scrape_interval: 1s
evaluation_interval: 1s
group_wait: 1s
group_interval: 2s
prometheus: 127.0.0.1:{prometheus}
alertmanager: 127.0.0.1:{alertmanager}
servers: [{servers}]
clients: [{clients}]
receivers:
  - name: test
    webhook: {{url: "http://127.0.0.1:{receiver}/"}}
    watchdog: true
"""
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not PAIRS, reason="prometheus and alertmanager are not both found: `make up` brings them"),
]


class Replay:
    """Serves one agent's recorded scrapes at the pace they were made."""

    def __init__(self, agent: str, recording, start: float) -> None:
        self._start = start
        self._first = recording.fault - HEALTH_SECONDS
        self._columns = {
            name.partition("{")[0]: samples
            for name, samples in recording.series.items()
            if f'instance="{agent}"' in name
        }

    def scrape(self) -> bytes | None:
        """Return the text of now, or None where the recorded scrape failed."""
        second = int(self._first + time.monotonic() - self._start)
        values = {name: samples[min(second, len(samples) - 1)] for name, samples in self._columns.items()}
        if not values["up"]:
            return None
        lines = [f"{name} {value}\n" for name, value in values.items() if name != "up" and value is not None]
        return "".join(lines).encode()


@contextmanager
def serving(handle):
    """Serve HTTP on a free port of loopback; *handle* takes the body and returns an answer, or None for an error."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = handle(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            self.send_response(500 if answer is None else 200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(answer or b"")

        do_POST = do_GET  # noqa: N815, the base class names it so

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
def running(log: Path, *command):
    """Run a program until the end of the block; what it says stands in *log*, and is shown when it ends early."""
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield
        assert process.poll() is None, f"{command[0]} ended early:\n{log.read_text()[-2000:]}"
    finally:
        process.terminate()
        process.wait(timeout=10)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.2)


def discovered(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/alertmanagers", timeout=2) as answer:
            return bool(json.load(answer)["data"]["activeAlertmanagers"])
    except OSError:
        return False


@pytest.mark.parametrize(("prometheus", "alertmanager"), PAIRS, ids=str)
def test_a_lost_quorum_is_notified_once(prometheus, alertmanager, tmp_path):
    """
    A real Nomad's lost quorum reaches a receiver as one page, and nothing else arrives.
    """
    recording = load("iia-quorum-lost-kill-2-followers").with_health()
    received: list[tuple[float, dict]] = []
    start = time.monotonic()

    def take(body: bytes) -> bytes:
        received.append((time.monotonic() - start - HEALTH_SECONDS, json.loads(body)))
        return b"ok"

    with ExitStack() as stack:
        agents = {name: Replay(name, recording, start) for name in ("s1", "s2", "s3", "c1", "c2")}
        ports = {name: stack.enter_context(serving(lambda _, a=agent: a.scrape())) for name, agent in agents.items()}
        own = {"prometheus": free_port(), "alertmanager": free_port(), "receiver": stack.enter_context(serving(take))}
        targets = {name: f'{{name: {name}, address: "127.0.0.1:{port}"}}' for name, port in ports.items()}
        text = SETTINGS.format(
            servers=", ".join(targets[name] for name in ("s1", "s2", "s3")),
            clients=", ".join(targets[name] for name in ("c1", "c2")),
            **own,
        )
        generate.build(parse_settings(text), tmp_path)
        stack.enter_context(
            running(
                tmp_path / "alertmanager.log",
                alertmanager.path,
                f"--config.file={tmp_path}/alertmanager.yml",
                f"--storage.path={tmp_path}/am",
                f"--web.listen-address=127.0.0.1:{own['alertmanager']}",
                "--cluster.listen-address=",
            )
        )
        stack.enter_context(
            running(
                tmp_path / "prometheus.log",
                prometheus.path,
                f"--config.file={tmp_path}/prometheus.yml",
                f"--storage.tsdb.path={tmp_path}/db",
                f"--web.listen-address=127.0.0.1:{own['prometheus']}",
            )
        )
        wait_until(lambda: discovered(own["prometheus"]), HEALTH_SECONDS - 5)
        wait_until(
            lambda: time.monotonic() - start > HEALTH_SECONDS + WATCHED_SECONDS, HEALTH_SECONDS + WATCHED_SECONDS
        )

    heard = [(after, body["alerts"]) for after, body in received if body["groupLabels"]["alertname"] != "Watchdog"]
    print(f"{prometheus}: {[(round(after, 1), alerts[0]['labels']['alertname']) for after, alerts in heard]}")
    # The Watchdog fired before Prometheus knew Alertmanager, and is sent again after a minute: not asserted here.
    [(after, [alert])] = heard
    assert "NomadQuorumLost" == alert["labels"]["alertname"]
    assert "critical" == alert["labels"]["severity"]
    assert alert["annotations"]["summary"] == "Nomad cluster demo has lost its quorum in region global."
    assert "Servers that answer: 1." in alert["annotations"]["description"]
    assert 0 < after < 15

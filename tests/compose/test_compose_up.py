"""The containers for real: started from the repository's files, killed, and listened to."""

import json
import os
import shutil
import socket
import subprocess
import threading
import uuid
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
import requests
import yaml

from compose.generate import build
from compose.receiver import Record
from compose.settings import load_settings
from telemetry.clock import SystemClock
from tests.figures import record

pytestmark = [pytest.mark.compose, pytest.mark.integration, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
SERVERS = ("server-1", "server-2", "server-3")
CONTAINER_PORTS = {"prometheus": 9090, "alertmanager": 9093, "receiver": 9095, "grafana": 3000}
HEALTHY_SECONDS = 30.0
FAILOVER_SECONDS = 20.0
RECORD = "/tmp/record.jsonl"  # inside the receiver's container, on its tmpfs


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody uses now."""
    with ExitStack() as held:
        return [held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(count)]


class Containers:
    """One run of compose.yaml under a project name and ports of its own, with the interval of a second."""

    def __init__(self, folder: Path) -> None:
        self._clock = SystemClock()
        self._pause = threading.Event()
        document = yaml.safe_load((ROOT / "compose" / "compose.yaml").read_text(encoding="utf-8"))
        self.ports = dict(zip(document["services"], free_ports(len(document["services"])), strict=True))
        self._command = ["docker", "compose", "-p", f"outrider-{uuid.uuid4().hex[:8]}"]
        self._command += ["-f", str(ROOT / "compose" / "compose.yaml"), "-f", str(self._override(folder))]

    def _override(self, folder: Path) -> Path:
        """Write what differs from the shipped files: ports, the intervals, and a record of what is received."""
        description = yaml.safe_load((ROOT / "compose" / "outrider.yaml").read_text(encoding="utf-8"))
        description |= {
            "scrape_interval": "1s",
            "evaluation_interval": "1s",
            "group_wait": "1s",
            "group_interval": "2s",
        }
        (folder / "outrider.yaml").write_text(yaml.safe_dump(description), encoding="utf-8")
        build(load_settings(folder / "outrider.yaml"), folder / "generated")
        mount = f"{folder}/generated:/etc/outrider:ro"
        lines = ["services:"]
        for name, port in self.ports.items():
            inside = CONTAINER_PORTS.get(name, 4646)
            lines += [f"  {name}:", f'    ports: !override ["127.0.0.1:{port}:{inside}"]']
            if name in {"prometheus", "alertmanager", "grafana"}:
                lines.append(f"    volumes: [{json.dumps(mount)}]")
            if name == "receiver":
                lines.append(f'    command: [receiver, "--listen=0.0.0.0:9095", "--record={RECORD}"]')
        path = folder / "override.yaml"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def run(self, *arguments: str, timeout: float = 300.0) -> str:
        """Run `docker compose` with *arguments* and return its output; a failure shows what it said."""
        finished = subprocess.run(
            [*self._command, *arguments], capture_output=True, text=True, timeout=timeout, check=False
        )
        assert 0 == finished.returncode, finished.stdout + finished.stderr
        return finished.stdout

    def notifications(self) -> list[tuple[str, str]]:
        """Return (alert, status) of everything received so far but the Watchdog."""
        lines = self.run("exec", "-T", "receiver", "cat", RECORD).splitlines()
        alerts = [each for line in lines for each in msgspec.json.decode(line, type=Record).notification.alerts]
        told = [(alert.labels["alertname"], alert.status) for alert in alerts]
        return [each for each in told if each[0] != "Watchdog"]

    def leader(self) -> str:
        """Return the name of the server that leads, waiting for one at most 30 s."""
        for _ in range(300):
            for name in SERVERS:
                try:
                    answer = requests.get(f"http://127.0.0.1:{self.ports[name]}/v1/status/leader?stale", timeout=2)
                    named = str(answer.json()).partition(":")[0]
                except (requests.RequestException, ValueError):
                    continue
                if named in SERVERS:
                    return named
            self._pause.wait(0.1)
        raise AssertionError("no leader within 30 s")

    def wait_targets(self, seconds: float = 60.0) -> None:
        """Return once every target of Prometheus is up and Alertmanager is discovered."""
        api = f"http://127.0.0.1:{self.ports['prometheus']}/api/v1"
        for _ in range(int(seconds / 0.5)):
            targets = requests.get(f"{api}/targets", timeout=5).json()["data"]["activeTargets"]
            known = requests.get(f"{api}/alertmanagers", timeout=5).json()["data"]["activeAlertmanagers"]
            if known and len(targets) >= 7 and {target["health"] for target in targets} == {"up"}:
                return
            self._pause.wait(0.5)
        raise AssertionError(f"not every target is up within {seconds} s")

    def wait_for(self, expected: tuple[str, str], seconds: float) -> float:
        """Return after how many seconds *expected* arrived; fail when it does not within *seconds*."""
        begin = self._clock.monotonic()
        while self._clock.monotonic() - begin < seconds:
            if expected in self.notifications():
                return self._clock.monotonic() - begin
            self._pause.wait(0.3)
        raise AssertionError(f"{expected} did not arrive within {seconds} s, but {self.notifications()}")

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self._pause.wait(seconds)


@pytest.fixture
def containers(tmp_path):
    """The containers, started and healthy; removed with their volumes afterwards."""
    if shutil.which("docker") is None:
        pytest.skip("docker is not on this machine: the containers were not tried")
    for question in (["docker", "info"], ["docker", "compose", "version"]):
        if subprocess.run(question, capture_output=True, timeout=60, check=False, env=os.environ).returncode != 0:
            pytest.skip(f"`{' '.join(question)}` fails: the containers were not tried")
    containers = Containers(tmp_path)
    try:
        containers.run("up", "--detach", "--build", "--wait", timeout=600)
        containers.wait_targets()
        yield containers
    finally:
        containers.run("down", "--volumes", "--timeout", "2")


def test_killed_servers_page_and_their_return_resolves(containers):
    """
    In containers as on the host: health and a fail-over are silent, one dead server warns, two page, their return
    resolves.
    """
    containers.wait(HEALTHY_SECONDS)
    assert [] == containers.notifications(), "while healthy"

    first = containers.leader()
    containers.run("kill", first)
    containers.run("start", first)
    containers.wait(FAILOVER_SECONDS)
    assert [] == containers.notifications(), "after a fail-over"

    first = containers.leader()
    containers.run("kill", first)
    warned = containers.wait_for(("NomadQuorumAtRisk", "firing"), 120)
    assert [("NomadQuorumAtRisk", "firing")] == containers.notifications()

    second = containers.leader()
    containers.run("kill", second)
    paged = containers.wait_for(("NomadQuorumLost", "firing"), 60)

    containers.run("start", first, second)
    resolved = containers.wait_for(("NomadQuorumLost", "resolved"), 180)

    assert {"NomadQuorumAtRisk", "NomadQuorumLost"} == {name for name, _ in containers.notifications()}
    record("compose.quorum_at_risk", warned)
    record("compose.quorum_lost", paged)
    record("compose.resolved", resolved)

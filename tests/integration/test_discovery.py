"""A real Prometheus finds the agents of a cluster through `outrider discovery serve` and `outrider discovery write`."""

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests

from alert_rules.render import to_yaml
from compose.settings import parse_settings
from telemetry.clock import SystemClock
from telemetry.scrape.configuration import prometheus_config, target_files
from telemetry.scrape.endpoint import write_groups
from tests.telemetry.scrape.recorded_nomad import RecordedNomad, member, stub
from tests.tools import find_or_explain

pytestmark = pytest.mark.integration

PROMETHEUSES, PROMETHEUS_ABSENT = find_or_explain("prometheus")
OUTRIDER = Path(sys.executable).with_name("outrider")
PATIENCE_SECONDS = 60.0

FOUND = {
    ("server", "s1", "127.0.0.1"),
    ("server", "s2", "127.0.0.12"),
    ("server", "s3", "127.0.0.13"),
    ("client", "c1", "127.0.0.21"),
    ("client", "c2", "127.0.0.22"),
}
"""Role, instance and host of every target; s1 is listed, c2 is down and s3 failed."""


@pytest.fixture
def nomad():
    # The listed server is also a member, by its name and at another address, and must be scraped once.
    members = [member("s1", "127.0.0.11"), member("s2", "127.0.0.12"), member("s3", "127.0.0.13", "failed")]
    with RecordedNomad(members, [stub(1), stub(2, "down")]) as running:
        yield running


@pytest.fixture
def start():
    """Return what starts a process; all that still run are stopped at the end."""
    running = []

    def run(*arguments) -> subprocess.Popen:
        process = subprocess.Popen(
            [str(each) for each in arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        running.append(process)
        return process

    yield run
    for process in running:
        stop(process)


def stop(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
    process.stdout.close()


def until(true) -> None:
    """Wait until *true()* holds; what does not answer yet, or only that it starts, is no."""
    clock, pause = SystemClock(), threading.Event().wait
    end = clock.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            if true():
                return
        except requests.RequestException:
            pass
        assert clock.monotonic() < end, f"not within {PATIENCE_SECONDS:g} s"
        pause(0.2)


def serve(start, file: Path, listen: str) -> tuple[subprocess.Popen, str]:
    process = start(OUTRIDER, "discovery", "serve", "-f", file, "--listen", listen, "--interval", "1s")
    line = process.stdout.readline()
    assert line.startswith("targets on http://"), line
    return process, line.split()[-1]


def configure(folder: Path, settings: str, url: str) -> Path:
    """Write a prometheus.yml with the jobs of HTTP and file discovery side by side."""
    by_http = parse_settings(f"{settings}discovery: http\nhttp: {{url: '{url}', refresh: 1s}}\n").description
    by_file = parse_settings(settings + "discovery: file\n").description
    config = prometheus_config(by_http, [])
    jobs = [job for job in config["scrape_configs"] if job["job_name"].startswith("nomad-")]
    jobs += [
        job | {"job_name": f"file-{job['job_name']}"}
        for job in prometheus_config(by_file, [])["scrape_configs"]
        if job["job_name"].startswith("nomad-")
    ]
    for name, groups in target_files(by_file).items():
        write_groups(folder / name, groups)
    path = folder / "prometheus.yml"
    path.write_text(to_yaml(config | {"alerting": {}, "scrape_configs": jobs}))
    return path


def run_prometheus(start, program, config: Path) -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    start(
        program.path,
        f"--config.file={config}",
        f"--storage.tsdb.path={config.parent / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    )
    return f"http://127.0.0.1:{port}"


def targets(url: str, how: str) -> list[tuple[str, str, str]]:
    """Return role, instance and host of every target that was found by *how*."""
    found = []
    for target in requests.get(f"{url}/api/v1/targets?state=active", timeout=10).json()["data"]["activeTargets"]:
        labels = target["labels"]
        if labels["job"].startswith("file-") == (how == "file"):
            assert ("demo", "global") == (labels["cluster"], labels["region"])
            host = target["discoveredLabels"]["__address__"].rpartition(":")[0]
            found.append((labels["role"], labels["instance"], host))
    return sorted(found)


def refused(url: str) -> bool:
    """Tell whether Prometheus was refused a list at least twice."""
    lines = requests.get(f"{url}/metrics", timeout=10).text.splitlines()
    wanted = [line for line in lines if line.startswith("prometheus_sd_refresh_failures_total{") and '"http"' in line]
    return sum(float(line.split()[-1]) for line in wanted) >= 2


@pytest.mark.skipif(not PROMETHEUSES, reason=PROMETHEUS_ABSENT)
@pytest.mark.parametrize("program", PROMETHEUSES, ids=str)
def test_prometheus_finds_all_agents_and_keeps_them_when_the_cluster_is_gone(program, nomad, start, tmp_path):
    """
    Both ways give each agent once, dead ones too; with cluster and endpoint restarted in the outage all are kept.
    """
    settings = f'cluster: demo\nscrape_interval: 15s\nservers: [{{name: s1, address: "{nomad.address}"}}]\n'
    file = tmp_path / "outrider.yaml"
    file.write_text(settings + "discovery: file\n")
    endpoint, url = serve(start, file, "127.0.0.1:0")
    start(OUTRIDER, "discovery", "write", "-f", file, "-o", tmp_path, "--interval", "1s")
    prometheus = run_prometheus(start, program, configure(tmp_path, settings, url))
    until(lambda: targets(prometheus, "http") == sorted(FOUND))
    until(lambda: targets(prometheus, "file") == sorted(FOUND))

    nomad.stop()
    stop(endpoint)
    serve(start, file, url.split("/")[2])
    until(lambda: requests.get(url, timeout=10).status_code == 503)
    until(lambda: refused(prometheus))

    assert sorted(FOUND) == targets(prometheus, "http")
    assert sorted(FOUND) == targets(prometheus, "file")


def test_one_write_says_whether_the_cluster_answered(nomad, tmp_path):
    """
    `--once` ends with 0 after a full answer and with 1, the files untouched, when there is none.
    """
    file = tmp_path / "outrider.yaml"
    file.write_text(f'cluster: demo\ndiscovery: file\nservers: [{{name: s1, address: "{nomad.address}"}}]\n')
    command = [OUTRIDER, "discovery", "write", "-f", file, "-o", tmp_path, "--once"]
    environment = {name: text for name, text in os.environ.items() if not name.startswith("NOMAD_")}

    first = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    written = (tmp_path / "targets/discovered/nomad-client.json").read_bytes()
    nomad.stop()
    second = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert (0, 1) == (first.returncode, second.returncode), first.stderr + second.stderr
    assert "connection refused" in second.stderr
    assert written == (tmp_path / "targets/discovered/nomad-client.json").read_bytes()

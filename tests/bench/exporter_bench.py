"""What the exporter costs: five servers and 1,000 clients, faked in a process of their own, asked every 5 s.

Baselines are what is aimed at: 45 MB and 3 % of a core. The nodes change all the time, so that the whole list is read
every 30 s, and a scrape comes every 5 s. Run: `python -m tests.bench.exporter_bench`.
"""

import argparse
import json
import multiprocessing
import subprocess
import threading
import time

import psutil
import requests

from compose.local_settings import default_agent_command
from tests.bench.figures import figure
from tests.integration.watch import free_ports
from tests.telemetry.exporting.fake_nomad import LISTS, FakeNomad

SERVERS = 5
NODES = 1_000
JOBS = 200
AIM_MB = 45.0
AIM_PERCENT = 3.0
SCRAPE_SECONDS = 5.0
CHANGE_SECONDS = 1.0


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=90.0, help="How long to measure, after 10 s of start.")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    addresses = context.Queue()
    cluster = context.Process(target=serve, args=(addresses,), daemon=True)
    cluster.start()
    try:
        measure(addresses.get(timeout=60), options.seconds)
    finally:
        cluster.terminate()
        cluster.join(10)


def serve(addresses) -> None:
    """Be the cluster; some node changes every second."""
    servers = [FakeNomad(f"s{number + 1}", leads=number == 0) for number in range(SERVERS)]
    nodes = [LISTS["/v1/nodes"][0] | {"ID": f"node-{number}"} for number in range(NODES)]
    jobs = [LISTS["/v1/jobs"][0] | {"ID": f"job-{number}"} for number in range(JOBS)]
    for server in servers:
        server.lists |= {"/v1/nodes": nodes, "/v1/jobs": jobs}
    addresses.put([f"{server.name}={server.target.address}" for server in servers])
    pause = threading.Event()
    while not pause.wait(CHANGE_SECONDS):
        for server in servers:
            server.index += 1
            server.seen.clear()


def measure(servers: list[str], seconds: float) -> None:
    """Start the exporter, let it begin, and look at its process for *seconds*."""
    port = free_ports(1)[0]
    watched = [word for server in servers for word in ("-server", server)]
    command = [*default_agent_command(), "exporter", *watched, "-listen", f"127.0.0.1:{port}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(10.0)
        watched_process = psutil.Process(process.pid)
        began, before, peak, scrapes = time.monotonic(), _cpu(watched_process), 0.0, []
        while time.monotonic() - began < seconds:
            scraped = time.perf_counter()
            body = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
            scrapes.append(time.perf_counter() - scraped)
            peak = max(peak, watched_process.memory_info().rss / 1e6)
            time.sleep(SCRAPE_SECONDS)
        percent = 100 * (_cpu(watched_process) - before) / (time.monotonic() - began)
        series = sum(not line.startswith("#") for line in body.splitlines())
        assert f'status="ready"}} {float(NODES)}' in body, json.dumps(body[-500:])
    finally:
        process.terminate()
        process.wait(10)
    print(figure("exporter.resident", peak, "MB", AIM_MB))
    print(figure("exporter.cpu", percent, "%", AIM_PERCENT))
    print(figure("exporter.series", series, "series"))
    print(figure("exporter.scrape_worst", max(scrapes) * 1e3, "ms"))


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    main()

"""What the whole rule pack costs Prometheus on a cluster of 5 servers and 1,000 clients, evaluated every 5 s.

The targets serve the scrapes of a real Nomad (leader, follower, client), the servers' counters growing. Two runs on the
machine's Prometheus: with the shipped rules and without any; the difference in CPU is what the rules cost, and the time
that Prometheus itself measures for the group is printed beside it. The baseline is the promise: a tenth of one core.
Run: `python -m tests.bench.rules_bench [CLIENTS]`; prints `name value unit [baseline ratio]` lines.
"""

import asyncio
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from compose import generate
from compose.settings import parse_settings
from tests.bench.figures import figure
from tests.integration.watch import free_ports
from tests.tools import find

GOLDEN = Path(__file__).parent.parent / "golden" / "nomad-2.0.5"
SERVERS, CLIENTS = 5, 1_000
WARM_UP_SECONDS, MEASURED_SECONDS = 45.0, 60.0
INTERVAL_SECONDS = 5.0
PROMISED_SHARE = 0.1
_COUNTED = re.compile(rb"^(nomad_\w+_count|nomad_raft_state_\w+)(\{[^}]*\})? (\d+)$", re.MULTILINE)


class Targets:
    """All agents behind one port: `/server/0`, `/client/17`; the servers' counts grow with each scrape."""

    def __init__(self) -> None:
        self._leader = (GOLDEN / "leader.prom").read_bytes()
        self._follower = (GOLDEN / "follower.prom").read_bytes()
        self._client = (GOLDEN / "client.prom").read_bytes()
        self._scrapes = 0
        self._loop = asyncio.new_event_loop()
        self.port = 0

    def start(self) -> None:
        ready = threading.Event()

        async def serve() -> None:
            server = await asyncio.start_server(self._answer, "127.0.0.1", 0, backlog=512)
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            await server.serve_forever()

        def run() -> None:
            self._loop.create_task(serve(), name="targets")
            self._loop.run_forever()

        threading.Thread(target=run, daemon=True, name="targets").start()
        assert ready.wait(10)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                path = line.split(b" ")[1] if b" " in line else b""
                while (await reader.readline()).strip():
                    pass
                body = self._body(path)
                head = (
                    f"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {len(body)}\r\n\r\n"
                )
                writer.write(head.encode() + body)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        writer.close()

    def _body(self, path: bytes) -> bytes:
        if not path.startswith(b"/server"):
            return self._client
        self._scrapes += 1
        grown = self._scrapes * 7
        text = self._leader if path.startswith(b"/server/0") else self._follower
        return _COUNTED.sub(lambda match: b"%s%s %d" % (match[1], match[2] or b"", int(match[3]) + grown), text)


def configuration(folder: Path, targets: Targets, clients: int) -> None:
    """Write what `outrider build` writes, its targets replaced by ours."""
    servers = ", ".join(f'{{name: s{number}, address: "127.0.0.1:{number + 1}"}}' for number in range(SERVERS))
    generate.build(parse_settings(f"cluster: bench\nservers: [{servers}]\n"), folder)
    labels = {"cluster": "bench", "region": "global"}
    groups = {
        role: [
            {
                "targets": [f"127.0.0.1:{targets.port}"],
                "labels": {
                    **labels,
                    "role": role,
                    "instance": f"{role}-{number}",
                    "__metrics_path__": f"/{role}/{number}",
                },
            }
            for number in range(count)
        ]
        for role, count in (("server", SERVERS), ("client", clients))
    }
    for role, entries in groups.items():
        (folder / f"{role}.json").write_text(json.dumps(entries))
    jobs = "".join(f"- {{job_name: nomad-{role}, file_sd_configs: [{{files: [{role}.json]}}]}}\n" for role in groups)
    for name, rules in (("with.yml", "rule_files: [rules/*.yml]\n"), ("without.yml", "")):
        (folder / name).write_text(
            f"global: {{scrape_interval: 5s, evaluation_interval: 5s}}\n{rules}scrape_configs:\n{jobs}"
        )


def ask(port: int, query: str) -> float:
    """Return the value of a query with one result."""
    url = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.request.quote(query)}"
    with urllib.request.urlopen(url, timeout=20) as answer:
        result = json.load(answer)["data"]["result"]
    return float(result[0]["value"][1]) if result else 0.0


def metrics(port: int) -> dict[str, float]:
    """Return what Prometheus says of itself."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        lines = answer.read().decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name.partition("{")[0]: float(value) for name, _, value in pairs}


def cpu_share(prometheus: str, folder: Path, name: str) -> tuple[float, float, float]:
    """Return the share of a core used, seconds an evaluation of the rules took, and series in memory."""
    [port] = free_ports(1)
    command = [
        prometheus,
        f"--config.file={folder}/{name}",
        f"--storage.tsdb.path={folder}/db-{name}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        time.sleep(WARM_UP_SECONDS)
        before, began = metrics(port), time.monotonic()
        time.sleep(MEASURED_SECONDS)
        after, took = metrics(port), time.monotonic() - began
        cpu = (after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]) / took
        evaluations = after.get("prometheus_rule_group_duration_seconds_count", 0.0) - before.get(
            "prometheus_rule_group_duration_seconds_count", 0.0
        )
        spent = after.get("prometheus_rule_group_duration_seconds_sum", 0.0) - before.get(
            "prometheus_rule_group_duration_seconds_sum", 0.0
        )
        up = ask(port, "count(up == 1)")
        print(f"{name}: {up:g} targets up, {evaluations:g} evaluations")
        return cpu, spent / evaluations if evaluations else 0.0, after["prometheus_tsdb_head_series"]
    finally:
        process.terminate()
        process.wait(timeout=60)


def main() -> int:
    """Print the figures for every Prometheus that is found."""
    clients = int(sys.argv[1]) if len(sys.argv) > 1 else CLIENTS
    targets = Targets()
    targets.start()
    for prometheus in find("prometheus"):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            configuration(folder, targets, clients)
            idle, _, _ = cpu_share(prometheus.path, folder, "without.yml")
            busy, evaluation, series = cpu_share(prometheus.path, folder, "with.yml")
        version = f"rules.{prometheus.version}.{clients}_clients"
        print(figure(f"{version}.series", series, "count"))
        print(figure(f"{version}.scraping_alone", idle, "cores"))
        print(figure(f"{version}.pack", busy - idle, "cores", PROMISED_SHARE))
        print(figure(f"{version}.evaluation", evaluation, "s", PROMISED_SHARE * INTERVAL_SECONDS))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`outrider agent -dev`: from the command to the first answer that names a leader, and the memory it then holds.

Baselines: a real Nomad 2.0.5 on a machine of the same size: 1.74 s (1.25 to 1.97) to a leader; an idle server 128 MB.
"""

import argparse
import json
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil

from compose.local_settings import default_agent_command
from tests.bench.figures import figure, spread

NOMAD_LEADER_SECONDS = 1.74
NOMAD_SERVER_MB = 128.0
GIVE_UP_SECONDS = 20.0
SETTLE_SECONDS = 20.0


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=7)
    parser.add_argument("--port", type=int, default=25_300)
    options = parser.parse_args()
    times = [start(options.port) for _ in range(options.starts)]
    print("\n".join(spread("startup.dev_leader", times, "s", NOMAD_LEADER_SECONDS)))
    megabytes = server_memory(options.port)
    print(figure("memory.idle_server", megabytes, "MB", NOMAD_SERVER_MB))


def _config(folder: str, port: int, *, server: bool) -> Path:
    path = Path(folder) / "agent.hcl"
    text = f"ports {{ http = {port} rpc = {port + 1} serf = {port + 2} raft = {port + 3} }}\n"
    if server:
        text += f'data_dir = "{folder}/data"\nbind_addr = "127.0.0.1"\nserver {{ enabled = true bootstrap_expect = 1 }}\n'
        text += 'advertise { http = "127.0.0.1" rpc = "127.0.0.1" serf = "127.0.0.1" raft = "127.0.0.1" }\n'
    path.write_text(text)
    return path


def start(port: int) -> float:
    """Return the seconds from exec to the first answer that names a leader."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*default_agent_command(), "agent", "-dev", "-config", str(_config(folder, port, server=False))]
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_leader(port, began)
            return time.monotonic() - began
        finally:
            process.terminate()
            process.wait(10)


def server_memory(port: int) -> float:
    """Return the resident memory of a server alone, in MB, once it is idle."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*default_agent_command(), "agent", "-config", str(_config(folder, port, server=True))]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_leader(port, time.monotonic())
            time.sleep(SETTLE_SECONDS)
            return psutil.Process(process.pid).memory_info().rss / 1e6
        finally:
            process.terminate()
            process.wait(10)


def _wait_leader(port: int, began: float) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() - began < GIVE_UP_SECONDS:
        try:
            with opener.open(f"http://127.0.0.1:{port}/v1/status/leader", timeout=6) as answer:
                if json.load(answer):
                    return
        except (urllib.error.URLError, OSError, ValueError):
            pass
        time.sleep(0.01)
    raise SystemExit(f"no leader within {GIVE_UP_SECONDS} s")


if __name__ == "__main__":
    main()

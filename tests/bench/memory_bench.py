"""Resident memory of a server alone, idle for a while.

Baseline: a real Nomad 2.0.5 server, idle, on a machine of the same size, 128 MB.
"""

import argparse
import subprocess
import tempfile
import time

import psutil

from compose.local_settings import default_agent_command
from tests.bench.figures import figure
from tests.bench.startup_bench import wait_leader, write_config

NOMAD_SERVER_MB = 128.0
SETTLE_SECONDS = 50.0


def main() -> None:
    """Print the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=25_310)
    options = parser.parse_args()
    print(figure("memory.idle_server", server_memory(options.port), "MB", NOMAD_SERVER_MB))


def server_memory(port: int) -> float:
    """Return the resident memory of a server alone, in MB, once it is idle."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*default_agent_command(), "agent", "-config", str(write_config(folder, port, server=True))]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_leader(process, port, time.monotonic())
            time.sleep(SETTLE_SECONDS)
            return psutil.Process(process.pid).memory_info().rss / 1e6
        finally:
            process.terminate()
            process.wait(10)


if __name__ == "__main__":
    main()

"""`outrider agent -dev`: from the command to the first answer that names a leader.

Baseline: a real Nomad 2.0.5 on a machine of the same size, 1.74 s (1.25 to 1.97).
"""

import argparse
import json
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from compose.local_settings import default_agent_command
from tests.bench.figures import spread

NOMAD_LEADER_SECONDS = 1.74
GIVE_UP_SECONDS = 20.0


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=7)
    parser.add_argument("--port", type=int, default=25_300)
    options = parser.parse_args()
    times = [start(options.port) for _ in range(options.starts)]
    print("\n".join(spread("startup.dev_leader", times, "s", NOMAD_LEADER_SECONDS)))


def write_config(folder: str, port: int, *, server: bool) -> Path:
    """Write the file of one agent with four ports from *port*."""
    path = Path(folder) / "agent.hcl"
    names = ("http", "rpc", "serf", "raft")
    ports = "\n".join(f"  {name} = {port + offset}" for offset, name in enumerate(names))
    text = f"ports {{\n{ports}\n}}\n"
    if server:
        advertised = "\n".join(f'  {name} = "127.0.0.1"' for name in names)
        text += f'data_dir = "{folder}/data"\nbind_addr = "127.0.0.1"\nadvertise {{\n{advertised}\n}}\n'
        text += "server {\n  enabled = true\n  bootstrap_expect = 1\n}\n"
    path.write_text(text)
    return path


def start(port: int) -> float:
    """Return the seconds from exec to the first answer that names a leader."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*default_agent_command(), "agent", "-dev", "-config", str(write_config(folder, port, server=False))]
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_leader(process, port, began)
            return time.monotonic() - began
        finally:
            process.terminate()
            process.wait(10)


def wait_leader(process: "subprocess.Popen[bytes]", port: int, began: float) -> None:
    """Return once the agent names a leader."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() - began < GIVE_UP_SECONDS:
        if process.poll() is not None:
            raise SystemExit(f"the agent ended with status {process.returncode}")
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

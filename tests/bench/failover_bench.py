"""Fail-over: from SIGKILL of the leader to a write that the new leader accepted, over eight kills.

Baseline: a real Nomad 2.0.5 on a machine of the same size, median of eight kills, 2.80 s.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import requests

from compose.local import LocalCluster
from compose.local_settings import LocalSettings
from tests.bench.figures import spread
from tests.integration.watch import wait_until

NOMAD_MEDIAN_SECONDS = 2.80
POLL_SECONDS = 0.005
GIVE_UP_SECONDS = 15.0


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--port-base", type=int, default=25_100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = options.port_base
        cluster = LocalCluster(
            LocalSettings(
                directory=Path(folder),
                clients=0,
                port_base=base,
                prometheus_port=base + 90,
                alertmanager_port=base + 93,
                receiver_port=base + 95,
            )
        )
        try:
            cluster.start()
            cluster.wait_ready(120)
            times = [kill_leader(cluster, number) for number in range(options.kills)]
        finally:
            cluster.stop()
    print(f"# load average {os.getloadavg()[0]:.1f}, {len(times)} kills")
    print("\n".join(spread("failover.write_accepted", times, "s", NOMAD_MEDIAN_SECONDS)))


def kill_leader(cluster: LocalCluster, number: int) -> float:
    """Kill the leader, return the seconds until a survivor took a write, and bring the cluster back to health."""
    _, leader = wait_until(cluster.leader, 30, "a leader")
    survivors = [agent.http for agent in cluster.settings.server_agents if agent.name != leader]
    session = requests.Session()
    session.trust_env = False
    body = {"Job": {"ID": f"failover-{number}", "Type": "batch", "TaskGroups": [_group()]}}
    started = time.monotonic()
    cluster.kill(leader)
    while True:
        for port in survivors:
            if _accepted(session, port, body):
                elapsed = time.monotonic() - started
                cluster.restart(leader)
                wait_until(lambda: _is_whole(cluster), 30, "a whole cluster")
                return elapsed
        if time.monotonic() - started > GIVE_UP_SECONDS:
            raise SystemExit(f"no write accepted within {GIVE_UP_SECONDS} s of killing {leader}")
        time.sleep(POLL_SECONDS)


def _accepted(session: requests.Session, port: int, body: object) -> bool:
    try:
        answer = session.put(f"http://127.0.0.1:{port}/v1/jobs", json=body, timeout=GIVE_UP_SECONDS)
    except requests.RequestException:
        return False
    return answer.status_code == 200


def _is_whole(cluster: LocalCluster) -> bool:
    session = requests.Session()
    session.trust_env = False
    for agent in cluster.settings.server_agents:
        try:
            answer = session.get(f"http://127.0.0.1:{agent.http}/v1/operator/autopilot/health", timeout=6)
        except requests.RequestException:
            return False
        if answer.status_code != 200 or answer.json()["FailureTolerance"] != 1:
            return False
    return True


def _group() -> dict[str, object]:
    task = {"Name": "t", "Driver": "raw_exec", "Config": {"command": "/bin/true"}}
    return {"Name": "g", "Count": 0, "Tasks": [task]}


if __name__ == "__main__":
    main()

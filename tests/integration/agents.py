"""Single agents as real processes, driven as an operator would: a file, a command, signals, HTTP."""

import contextlib
import os
import resource
import signal
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

import requests

from compose.local_settings import default_agent_command
from tests.integration.watch import free_ports, wait_until

ADVERTISE = 'advertise { http = "127.0.0.1" rpc = "127.0.0.1" serf = "127.0.0.1" raft = "127.0.0.1" }\n'
STARTED = "agent started! Log data will stream in below"


@dataclass(frozen=True)
class Ports:
    """Where one agent listens on loopback."""

    http: int
    rpc: int
    serf: int
    raft: int

    @classmethod
    def free(cls):
        """Return four that were free a moment ago, the last three in a row as the agents expect of each other."""
        while True:
            http, rpc = free_ports(2)
            if rpc < 65_000 and http not in range(rpc, rpc + 3) and _are_free(rpc + 1, rpc + 2):
                return cls(http, rpc, rpc + 1, rpc + 2)

    def __str__(self):
        return f"ports {{ http = {self.http} rpc = {self.rpc} serf = {self.serf} raft = {self.raft} }}\n"


def _are_free(*ports):
    """
    Whether nobody listens there now: gossip takes its port for TCP and UDP.
    """
    for port in ports:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(socket.AF_INET, kind) as each:
                try:
                    each.bind(("127.0.0.1", port))
                except OSError:
                    return False
    return True


class Agent:
    """One agent's process, its file and its two streams. `flags` stand before -config."""

    command = staticmethod(default_agent_command)

    def __init__(self, folder: Path, name: str, config: str, ports: Ports, *flags: str):
        self.folder = folder
        self.name = name
        self.ports = ports
        self.flags = flags
        self.file = folder / f"{name}.hcl"
        self.file.write_text(config)
        self.out = folder / f"{name}.out"
        self.err = folder / f"{name}.err"
        self.process = None
        self._session = requests.Session()
        self._session.trust_env = False

    def start(self, *, file_bytes_max=None):
        """Start it; *file_bytes_max* is the size no file of it may pass, as a full disk would have it."""

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes_max, resource.RLIM_INFINITY))

        # Through files of its own rather than the shell: a limit on file sizes would end the log, too.
        with self.out.open("ab") as out, self.err.open("ab") as err:
            self.process = subprocess.Popen(
                [*self.command(), "agent", *self.flags, "-config", str(self.file)],
                stdout=out,
                stderr=err,
                env={**os.environ, "TMPDIR": str(self.folder)},
                preexec_fn=limit if file_bytes_max else None,  # noqa: PLW1509 - no thread of the tests holds a lock here
            )
        return self

    def ready(self, seconds=30):
        """Wait for the banner's last line."""
        wait_until(lambda: self.process.poll() is not None or STARTED in self.text(), seconds, f"{self.name} starts")
        assert self.process.poll() is None, f"{self.name}: {self.errors()}{self.text()[-2000:]}"
        return self

    def leads(self, seconds=20):
        """Wait until it names a leader."""
        wait_until(self._names_leader, seconds, f"{self.name} names a leader")
        return self

    def _names_leader(self):
        with contextlib.suppress(requests.RequestException):
            answer = self.get("/v1/status/leader")
            return answer.status_code == 200 and answer.json()
        return False

    def text(self):
        """Return its standard output."""
        return self.out.read_text() if self.out.exists() else ""

    def errors(self):
        """Return its standard error."""
        return self.err.read_text() if self.err.exists() else ""

    def url(self, path):
        """Return the address of *path*."""
        return f"http://127.0.0.1:{self.ports.http}{path}"

    def get(self, path, timeout=12):
        """Ask it."""
        return self._session.get(self.url(path), timeout=timeout)

    def put(self, path, body, timeout=12):
        """Write to it."""
        return self._session.put(self.url(path), json=body, timeout=timeout)

    def metric(self, name):
        """Return the value of a series without labels, None when it is not there."""
        text = self.get("/v1/metrics?format=prometheus").text
        for line in text.splitlines():
            if line.startswith((name + " ", name + "{")):
                return float(line.rsplit(" ", 1)[1])
        return None

    def kill(self, number=signal.SIGKILL):
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self, seconds=10):
        """Return its exit code once it has ended."""
        return self.process.wait(seconds)

    def close(self):
        """End it whatever state it is in."""
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGCONT)
            self.process.kill()
            self.process.wait(10)


def dev_agent(folder, extra="", *flags, name="dev", ports=None):
    """Return an agent under -dev on ports of its own."""
    ports = ports or Ports.free()
    return Agent(folder, name, f"{ports}{extra}", ports, "-dev", *flags)


def server_agents(folder, count, extra=""):
    """Return *count* servers of one cluster, with folders for their data."""
    ports = [Ports.free() for _ in range(count)]
    agents = []
    for number, own in enumerate(ports, start=1):
        joins = ", ".join(f'"127.0.0.1:{other.serf}"' for other in ports if other is not own)
        config = (
            f'name = "s{number}"\nbind_addr = "127.0.0.1"\n{own}{ADVERTISE}data_dir = "{folder}/data-s{number}"\n'
            'telemetry { prometheus_metrics = true collection_interval = "1s" disable_hostname = true }\n'
            f"server {{ enabled = true bootstrap_expect = {count} server_join {{ retry_join = [{joins}] }} }}\n{extra}"
        )
        agents.append(Agent(folder, f"s{number}", config, own))
    return agents


def leader_of(agents):
    """Return the agent that says it leads, or None."""
    for agent in agents:
        with contextlib.suppress(requests.RequestException):
            if agent.process.poll() is None and agent.metric("outrider_server_is_leader") == 1:
                return agent
    return None


def batch_job(id_, count=0, command="/bin/true", *arguments):
    """Return the body that registers a job of one raw_exec task."""
    task = {"Name": "t", "Driver": "raw_exec", "Config": {"command": command, "args": list(arguments)}}
    return {"Job": {"ID": id_, "Type": "service", "TaskGroups": [{"Name": "g", "Count": count, "Tasks": [task]}]}}

"""A whole watched cluster as processes of this machine, on loopback: servers, clients, Prometheus, Alertmanager, receiver.

The processes are detached: they outlive the command that started them, and a later one finds them again through
`state.json` in the cluster's folder. `LocalCluster` is also what the integration tests drive.
"""

import fcntl
import shutil
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from compose.local_config import options_of, recall, remember, write_configuration
from compose.local_settings import LOOPBACK, LocalRole, LocalSettings, port_option
from compose.local_tls import credential_flags, make_certificates
from compose.probes import Probes
from compose.processes import POLL_SECONDS, ProcessTable, Running, Sleep
from compose.tools import Tool, find_tool, web_assets
from telemetry.clock import Clock, SystemClock

READY_SECONDS = 90.0
"""How long a cluster may take from its start until it is watched: Prometheus alone takes up to 10 s by its design."""
_LOG_LINES_SHOWN = 15
_TASK_VARIABLE = "NOMAD_ALLOC_DIR"


class LocalError(Exception):
    """The cluster cannot be started or found; the message is complete and names the remedy."""


@dataclass(frozen=True, slots=True)
class LocalProcess:
    """A row of `ps`: a process, what it does and where it is found. `is_leader` is False where it is unknown."""

    name: str
    role: LocalRole
    pid: int
    state: Running
    address: str
    is_leader: bool


class LocalCluster:
    """The processes of one folder; one command at a time changes it, which a lock ensures.

    Names are `server-1`, `client-1`, `prometheus`, `alertmanager` and `receiver`.
    """

    def __init__(self, settings: LocalSettings, clock: Clock | None = None, sleep: Sleep | None = None) -> None:
        """*sleep* lets seconds pass while the cluster gets ready; what it raises ends that wait."""
        self.settings = replace(settings, directory=settings.directory.absolute())
        self._clock = clock or SystemClock()
        pause = threading.Event().wait
        self._sleep = sleep or pause
        self.probes = Probes(self.settings)
        # Ending a cluster is never cut short.
        self._table = ProcessTable(self.settings.directory, self._clock, pause)

    @property
    def record(self) -> Path:
        """The file in which the receiver records every notification, one JSON object a line."""
        return self.settings.directory / "notifications.jsonl"

    def log(self, name: str) -> Path:
        """Return the log of the process *name*."""
        return self.settings.directory / "logs" / f"{name}.log"

    def is_running(self) -> bool:
        """Tell whether any process of the cluster lives."""
        return any(self._table.state(name) is not Running.DEAD for name in self._table.names)

    def start(self) -> list[str]:
        """Start what does not run and return its names; a cluster of which nothing runs starts with empty folders.

        Raises LocalError, with nothing new left running, when a program is missing, a port is taken or another
        command is at work in the folder.
        """
        with self._locked():
            is_fresh = not self.is_running()
            if not is_fresh:
                self._check_same_cluster()
            commands = self._commands()
            missing = [name for name in commands if self._table.state(name) is Running.DEAD]
            for name in missing:
                self._check_ports(name)
            if is_fresh:
                self._empty_folder()
                make_certificates(self.settings, self._clock.wall())
                write_configuration(self.settings)
                remember(self.settings)
            started: list[str] = []
            try:
                for name in missing:
                    self._table.start(name, commands[name], self.settings.environments.get(name))
                    started.append(name)
            except BaseException:
                self._table.stop(started)
                raise
            return started

    def stop(self) -> list[str]:
        """End every process and every task the clients left behind; return the names of those that lived."""
        if not self.settings.directory.is_dir():
            return []
        with self._locked():
            alive = [name for name in self._table.names if self._table.state(name) is not Running.DEAD]
            self._table.stop(alive)
            self._end_tasks()
            self._table.forget()
            return alive

    def end(self, names: list[str]) -> None:
        """End the processes *names* alone, when a start did not lead to a watched cluster."""
        with self._locked():
            self._table.stop(names)

    def ps(self) -> list[LocalProcess]:
        """Return every process of the cluster that was started, in the order of its start."""
        states = {name: self._table.state(name) for name in self._table.names}
        agents = {agent.name: agent for agent in self.settings.agents}
        leader = self.probes.leader(
            tuple(agent for agent in self.settings.server_agents if states.get(agent.name) is Running.RUNNING)
        )
        return [
            LocalProcess(
                name,
                agents[name].role if name in agents else LocalRole(name),
                self._table.get(name).pid,
                state,
                f"{LOOPBACK}:{self.settings.ports[name][0]}",
                is_leader=leader is not None and leader.name == name,
            )
            for name, state in states.items()
            if name in self.settings.ports
        ]

    def agent_pids(self) -> dict[str, int]:
        """Return the process of every agent that lives."""
        pids = {agent.name: self.pid(agent.name) for agent in self.settings.agents}
        return {name: pid for name, pid in pids.items() if pid is not None}

    def pid(self, name: str) -> int | None:
        """Return the process id of *name* while it lives, else None."""
        if name not in self._table.names or self._table.state(name) is Running.DEAD:
            return None
        return self._table.get(name).pid

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to *name*; raises LocalError when it does not live."""
        if not self._table.signal(name, number):
            raise LocalError(f"{name} does not run: `outrider ps` shows what does")

    def restart(self, name: str) -> None:
        """Start *name* again on the data it had, ending it first when it lives."""
        with self._locked():
            self._table.restart(name)

    def leader(self, region: str | None = None) -> str | None:
        """Return the name of the server that leads *region*, asking those that run; None while there is none."""
        servers = self.settings.servers_of(region or self.settings.region)
        leader = self.probes.leader(
            tuple(agent for agent in servers if self._table.state(agent.name) is Running.RUNNING)
        )
        return None if leader is None else leader.name

    def wait_ready(self, timeout_seconds: float = READY_SECONDS) -> None:
        """Return once there is a leader, every client is ready, every target is up and alerts reach Alertmanager.

        Raises LocalError that names the process and quotes its log when one ended, or says what was still missing.
        """
        clients = {agent.name for agent in self.settings.client_agents}
        steps: list[tuple[str, Callable[[], bool]]] = [
            ("the receiver does not answer", lambda: self.probes.is_alive(LocalRole.RECEIVER)),
            ("Alertmanager does not answer", lambda: self.probes.is_alive(LocalRole.ALERTMANAGER)),
            ("Prometheus does not answer", lambda: self.probes.is_alive(LocalRole.PROMETHEUS)),
            ("the servers have no leader", lambda: self.leader() is not None),
            (
                "the second region has no leader",
                lambda: not self.settings.far_servers or self.leader(self.settings.far_region) is not None,
            ),
            ("not every client is ready", lambda: clients <= self.probes.ready_clients()),
            ("Prometheus has not scraped every agent", lambda: not self.probes.missing_targets()),
            ("Prometheus has not discovered Alertmanager", self.probes.has_alertmanager),
        ]
        deadline = self._clock.monotonic() + timeout_seconds
        for complaint, is_done in steps:
            while not is_done():
                self._check_alive()
                if self._clock.monotonic() >= deadline:
                    raise LocalError(f"{complaint} after {timeout_seconds:.0f} s: see {self.settings.directory}/logs")
                self._sleep(POLL_SECONDS)
        self._check_alive()

    def _commands(self) -> dict[str, tuple[str, ...]]:
        """Return the command of every process, in the order they are started."""
        settings, folder = self.settings, self.settings.directory
        outrider = settings.agent_command
        prometheus = find_tool(Tool.PROMETHEUS, settings.tools)
        pages = web_assets(prometheus)
        commands: dict[str, tuple[str, ...]] = {
            LocalRole.RECEIVER.value: (
                *outrider,
                "receiver",
                f"--listen={LOOPBACK}:{settings.receiver_port}",
                f"--record={self.record}",
            ),
            LocalRole.ALERTMANAGER.value: (
                str(find_tool(Tool.ALERTMANAGER, settings.tools)),
                f"--config.file={folder}/config/alertmanager.yml",
                f"--storage.path={folder}/data/alertmanager",
                f"--web.listen-address={LOOPBACK}:{settings.alertmanager_port}",
                f"--web.external-url=http://{LOOPBACK}:{settings.alertmanager_port}/",
                # Without this it gossips on 0.0.0.0:9094 and waits for peers before it notifies.
                "--cluster.listen-address=",
            ),
        }
        for agent in settings.agents:
            commands[agent.name] = (*outrider, "agent", "-config", f"{folder}/agents/{agent.name}.hcl")
        if settings.exporter_port is not None:
            named = (f"{server.name}={LOOPBACK}:{server.http}" for server in settings.server_agents)
            servers = (word for name in named for word in ("-server", name))
            listen = f"{LOOPBACK}:{settings.exporter_port}"
            commands[LocalRole.EXPORTER.value] = (
                *outrider, "exporter", *servers, "-listen", listen, *credential_flags(settings)
            )  # fmt: skip
        resend = settings.resend_delay_seconds
        commands[LocalRole.PROMETHEUS.value] = (
            str(prometheus),
            f"--config.file={folder}/config/prometheus.yml",
            f"--storage.tsdb.path={folder}/data/prometheus",
            "--storage.tsdb.retention.time=2d",
            f"--web.listen-address={LOOPBACK}:{settings.prometheus_port}",
            f"--web.external-url=http://{LOOPBACK}:{settings.prometheus_port}/",
            "--web.enable-lifecycle",
            *([] if pages is None else [f"--web.local-assets={pages}"]),
            *([] if resend is None else [f"--rules.alert.resend-delay={round(resend * 1000)}ms"]),
        )
        return commands

    def _check_same_cluster(self) -> None:
        """Raise LocalError when the running cluster was started with other options."""
        remembered, wanted = options_of(recall(self.settings.directory)), options_of(self.settings)
        different = sorted(name for name in wanted if wanted[name] != remembered[name])
        if different:
            name = different[0]
            raise LocalError(
                f"a cluster with {name}={remembered[name]}, not {wanted[name]}, runs in {self.settings.directory}: "
                "give the same options, or end it with `outrider down` first"
            )

    def _check_ports(self, name: str) -> None:
        """Raise LocalError that names the port, its holder and the option to choose another, when one is taken."""
        for port in self.settings.ports[name]:
            with socket.socket() as probe:
                # As the programs do: without it the remains of closed connections would look like a holder.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((LOOPBACK, port))
                except OSError as error:
                    raise LocalError(
                        f"port {port} of {name} cannot be used ({error.strerror}): {holder_of(port)}; "
                        f"end that, or choose other ports with {port_option(name)}"
                    ) from error

    def _check_alive(self) -> None:
        """Raise LocalError that quotes the log of the first process that ended."""
        for name in self._table.names:
            if self._table.state(name) is Running.DEAD:
                status = self._table.exit_status(name)
                how = "" if status is None else f" with status {status}"
                lines = "\n".join(f"    {line}" for line in self._table.last_lines(name, _LOG_LINES_SHOWN))
                raise LocalError(f"{name} ended{how}; the last lines of {self.log(name)}:\n{lines}")

    def _empty_folder(self) -> None:
        """Remove what an earlier cluster left: a fresh one must not meet former members, alerts or notifications."""
        folder = self.settings.directory
        for name in ("data", "logs", "config", "agents", "tls"):
            shutil.rmtree(folder / name, ignore_errors=True)
        self.record.unlink(missing_ok=True)
        self._table.forget()
        for name in ("data", "logs"):
            (folder / name).mkdir(parents=True)

    def _end_tasks(self) -> None:
        """Kill the tasks that clients of this folder started: a killed client leaves them behind."""
        for process in tasks_below(self.settings.directory / "data"):
            with suppress(psutil.Error):
                process.kill()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the folder's lock; raises LocalError when another command holds it."""
        self.settings.directory.mkdir(parents=True, exist_ok=True)
        with (self.settings.directory / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise LocalError(f"another outrider command is at work in {self.settings.directory}") from error
            yield


def tasks_below(folder: Path) -> list[psutil.Process]:
    """Return the processes of tasks whose client keeps its data below *folder*, whether that client lives or not."""
    own, found = f"{folder}/", []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(_TASK_VARIABLE, "").startswith(own):
                found.append(process)
    return found


def holder_of(port: int) -> str:
    """Return who listens on *port* as a phrase, as far as this user may see it."""
    try:
        pids = {
            found.pid
            for found in psutil.net_connections(kind="tcp")
            if found.status == psutil.CONN_LISTEN and found.laddr and found.laddr.port == port
        }
    except psutil.AccessDenied:
        pids = set()
    for pid in sorted(pid for pid in pids if pid is not None):
        with suppress(psutil.Error):
            command = " ".join(psutil.Process(pid).cmdline()) or psutil.Process(pid).name()
            return f"pid {pid} holds it ({command[:120]})"
    return "a process this user may not see holds it"

"""A watched cluster of local processes as a stage for faults: relays between all of them, and everything undone again."""

import math
import random
import resource
import shutil
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from alert_rules.settings import RuleSettings, Times
from compose.drill.autopilot import Autopilot
from compose.drill.certificates import Certificates
from compose.drill.fault import Setup, Stage, Unable
from compose.drill.jobs import TIMEOUT_SECONDS, Jobs, job
from compose.drill.network import Network
from compose.drill.nodes import Nodes
from compose.drill.observe import Observer, RecordTail
from compose.drill.pause import Pause
from compose.drill.runner import Watched
from compose.drill.slow_disk import SlowDisks
from compose.drill.watching import Watching
from compose.links import Cut
from compose.local import LocalCluster, LocalError
from compose.local_settings import (
    LOOPBACK,
    PORTS_PER_AGENT,
    LocalAgent,
    LocalRole,
    LocalSettings,
    default_agent_command,
    server_config,
)
from compose.local_tls import api_of
from compose.settings import load_settings
from compose.tools import TOOLS_FOLDER
from telemetry.clock import Clock

ZONES = ("a", "b", "c")
READY_SECONDS = 120.0
"""A fresh cluster, and one that was healed: longer than on a quiet machine, because several may start at one time."""
_LEADER_SECONDS = 30.0
_END_SECONDS = 20.0
_FAR_SERVERS = 3
_WORK = 3
"""Tasks of the one job that always runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSettings:
    """What a stage is made of. *ports* is the first of `ports.BLOCK` free ones."""

    directory: Path
    ports: int
    servers: int
    clients: int
    times: Times
    resend_delay_seconds: float | None = None
    setup: Setup = Setup.PLAIN
    tools: Path = TOOLS_FOLDER
    agent_command: tuple[str, ...] = ()
    keep: bool = False
    ended: Callable[[], None] = lambda: None
    """Called once its ports are free."""


class LocalStage(Watched):
    """One cluster of processes with its network, its watchers and its observer, from `open` to `close`.

    It ends its own processes alone, gives its ports back, and removes its folder unless the settings keep it.
    """

    def __init__(self, settings: StageSettings, rng: random.Random, pause: Pause, clock: Clock) -> None:
        self.settings = settings
        self.setup = settings.setup
        self.directory = settings.directory
        self.rng = rng
        self._pause = pause
        self._changed: dict[str, bool] = {}
        self._disks = SlowDisks(settings.directory / "disks")
        plain = _plain_settings(settings)
        agents_end = settings.ports + PORTS_PER_AGENT * len(plain.agents)
        self.network = Network(plain, agents_end, self._pids)
        routes = self.network.routes
        has_slow_disks = settings.setup is Setup.SLOW_DISKS
        names = [agent.name for agent in plain.server_agents]
        complete = replace(
            plain,
            rpc_routes=routes.rpc,
            scrape_routes=routes.scrapes,
            environments=self._disks.environments(names) if has_slow_disks else {},
        )
        self.cluster = LocalCluster(complete, clock, pause)
        self.watching = Watching(self.cluster)
        apis = [api_of(self.cluster.settings, server, TIMEOUT_SECONDS) for server in complete.server_agents]
        self.jobs = Jobs(apis)
        self.nodes = Nodes(apis)
        self.autopilot = Autopilot(apis)
        self.certificates = Certificates(self.cluster, pause.until, clock)
        self.observer = Observer(self.prometheus_url, RecordTail(self.cluster.record), clock)

    # --- life -----------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Start everything and return once it is watched and works.

        Raises LocalError, Unable, OSError for a port that is taken, or what a wait raises, with nothing left running.
        """
        if self.settings.setup is Setup.SLOW_DISKS:
            self._disks.prepare()
        try:
            self.network.start()
            self.cluster.start()
            self.cluster.wait_ready(READY_SECONDS)
            self.jobs.register(job("web", count=_WORK))
            self.observer.start()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End everything; idempotent."""
        self.observer.stop()
        with suppress(LocalError):
            self.cluster.stop()
        self.network.stop()
        self.watching.close()
        if not self.settings.keep:
            shutil.rmtree(self.directory, ignore_errors=True)
        self.settings.ended()

    def wait_well(self) -> None:
        """Return once there is a leader, every client is ready, every agent is scraped and alerts find Alertmanager."""
        self.cluster.wait_ready(READY_SECONDS)

    def renew_watchers(self) -> None:
        """Start Prometheus and Alertmanager anew, without any data."""
        watchers = (LocalRole.PROMETHEUS.value, LocalRole.ALERTMANAGER.value)
        self.terminate(*watchers)
        for name in watchers:
            shutil.rmtree(self.directory / "data" / name)
        self.revive()

    def restore(self) -> None:
        """Take back whatever is left of a fault; does nothing where all is as it should be."""
        self.mend()
        self.mend_disks()
        self.resume()
        self.revive()
        self.reconfigure_all()
        self.autopilot.give_back()
        self.certificates.give_back()

    def rule_settings(self) -> RuleSettings:
        """Return what the rules of its Prometheus are generated from."""
        return load_settings(self.directory / "outrider.yaml").rules

    # --- whom there is --------------------------------------------------------------------------------------------

    @property
    def prometheus_url(self) -> str:
        """Where Prometheus answers."""
        return f"http://{LOOPBACK}:{self.cluster.settings.prometheus_port}"

    @property
    def alertmanager_url(self) -> str:
        """Where Alertmanager answers."""
        return f"http://{LOOPBACK}:{self.cluster.settings.alertmanager_port}"

    @property
    def servers(self) -> tuple[str, ...]:
        """The servers of the first region."""
        return tuple(agent.name for agent in self.cluster.settings.server_agents)

    @property
    def clients(self) -> tuple[str, ...]:
        """The clients."""
        return tuple(agent.name for agent in self.cluster.settings.client_agents)

    @property
    def far_servers(self) -> tuple[str, ...]:
        """The servers of the second region; none unless the setup has one."""
        settings = self.cluster.settings
        return tuple(agent.name for agent in settings.servers_of(settings.far_region))

    def in_zone(self, zone: str) -> tuple[str, ...]:
        """Return the agents of a datacenter, servers first."""
        return tuple(agent.name for agent in self.cluster.settings.agents if agent.datacenter == zone)

    def leader(self) -> str:
        """Return the server that leads; raises LocalError when there is none for half a minute."""
        found = self._pause.until(self.cluster.leader, _LEADER_SECONDS)
        if found is None:
            raise LocalError(f"no server leads for {_LEADER_SECONDS:.0f} s: see {self.directory}/logs")
        return found

    # --- what can be done -----------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self._pause(seconds)

    def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until *condition* holds, at most *seconds*, and tell whether it did."""
        return bool(self._pause.until(condition, seconds))

    def kill(self, *names: str) -> None:
        """Send SIGKILL to all at one time."""
        for name in names:
            self.cluster.kill(name, signal.SIGKILL)

    def terminate(self, *names: str) -> None:
        """Send SIGTERM, and return once they have ended."""
        self._end(names, signal.SIGTERM)

    def leave(self, *names: str) -> None:
        """Let agents leave their cluster, and return once they have ended."""
        self._end(names, signal.SIGINT)

    def revive(self) -> None:
        """Start every process that is dead on the data it had."""
        for name in self.cluster.settings.ports:
            if self.cluster.pid(name) is None:
                self.cluster.restart(name)

    def pause(self, *names: str) -> None:
        """Send SIGSTOP."""
        for name in names:
            self.cluster.kill(name, signal.SIGSTOP)

    def resume(self) -> None:
        """Send SIGCONT to whatever lives; what was not paused does not notice."""
        for name in self.cluster.settings.ports:
            if self.cluster.pid(name) is not None:
                self.cluster.kill(name, signal.SIGCONT)

    def isolate(self, *names: str) -> None:
        """Cut each of *names* from every other server and from all clients: a cable pulled out."""
        self.network.isolate(names, Cut.BLACKHOLE)

    def unplug(self, *names: str) -> None:
        """Cut *names* from everybody, Prometheus included."""
        self.isolate(*names)
        self.cut_scrapes(*names)

    def cut_one_way(self, senders: Iterable[str], receivers: Iterable[str]) -> None:
        """Let nothing that *senders* send over connections of their own reach *receivers*."""
        self.network.cut_one_way(senders, receivers, Cut.BLACKHOLE)

    def cut_gossip(self, *names: str) -> None:
        """Cut the gossip of servers from that of all others; Raft and RPC go on."""
        self.network.cut_gossip(names, Cut.BLACKHOLE)

    def cut_scrapes(self, *names: str) -> None:
        """Keep Prometheus from agents."""
        self.network.cut_scrapes(names, Cut.BLACKHOLE)

    def mend(self) -> None:
        """Make every connection possible again."""
        self.network.mend()

    def slow_disk(self, name: str, milliseconds: int) -> None:
        """Let each sync of *name* take longer, until `mend_disks`."""
        self._disks.slow(name, milliseconds)

    def mend_disks(self) -> None:
        """Give every disk its own speed again."""
        self._disks.mend()

    def fill_disk(self, name: str) -> None:
        """Let no file of *name* grow any more, its log included, as on a full disk; a restart ends it."""
        self._limit(name, resource.RLIMIT_FSIZE, 1)

    def use_up_descriptors(self, name: str, share: float) -> None:
        """Lower the most files that *name* may open, so that it has opened *share* of them."""
        pid = self._pid(name)
        opened = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        self._limit(name, resource.RLIMIT_NOFILE, math.ceil(opened / share))

    def give_descriptors(self, name: str) -> None:
        """Let *name* open as many files as it may at most."""
        _, hard = resource.prlimit(self._pid(name), resource.RLIMIT_NOFILE)
        self._limit(name, resource.RLIMIT_NOFILE, hard)

    def reconfigure(self, name: str, *, prometheus_metrics: bool = True, schedules: bool = True) -> None:
        """Start the server *name* again with another configuration."""
        text = server_config(
            self.cluster.settings, self._agent(name), prometheus_metrics=prometheus_metrics, schedules=schedules
        )
        (self.directory / "agents" / f"{name}.hcl").write_text(text, "utf-8")
        self.cluster.restart(name)
        self._changed[name] = not (prometheus_metrics and schedules)

    def reconfigure_all(self) -> None:
        """Give every server that was changed the configuration it had, one after the other, the leader last."""
        changed = [name for name, is_changed in self._changed.items() if is_changed]
        leader = self.leader() if changed else ""
        for name in sorted(changed, key=lambda name: name == leader):
            self.reconfigure(name)
            self.leader()

    # --- helpers --------------------------------------------------------------------------------------------------

    def _end(self, names: Iterable[str], number: signal.Signals) -> None:
        ending = tuple(names)
        for name in ending:
            self.cluster.kill(name, number)
        if not self._pause.until(lambda: all(self.cluster.pid(name) is None for name in ending), _END_SECONDS):
            raise LocalError(f"{', '.join(ending)} did not end within {_END_SECONDS:.0f} s after {number.name}")

    def _limit(self, name: str, what: int, value: int) -> None:
        pid = self._pid(name)
        _, hard = resource.prlimit(pid, what)
        resource.prlimit(pid, what, (value, hard))

    def _pid(self, name: str) -> int:
        pid = self.cluster.pid(name)
        if pid is None:
            raise LocalError(f"{name} does not run")
        return pid

    def _pids(self) -> dict[str, int]:
        # The network is there before the cluster.
        return self.cluster.agent_pids()

    def _agent(self, name: str) -> LocalAgent:
        return next(agent for agent in self.cluster.settings.agents if agent.name == name)


def local(stage: Stage) -> LocalStage:
    """Return *stage* as one of processes; raises Unable for another kind."""
    if not isinstance(stage, LocalStage):
        raise Unable("this fault is made on local processes alone: try it without --via")
    return stage


def _plain_settings(settings: StageSettings) -> LocalSettings:
    times = settings.times
    return LocalSettings(
        directory=settings.directory,
        tools=settings.tools,
        cluster="drill",
        zones=ZONES,
        servers=settings.servers,
        clients=settings.clients,
        far_servers=_FAR_SERVERS if settings.setup is Setup.TWO_REGIONS else 0,
        port_base=settings.ports,
        # An agent has ten ports and uses four.
        prometheus_port=settings.ports + 4,
        alertmanager_port=settings.ports + 5,
        receiver_port=settings.ports + 6,
        exporter_port=settings.ports + 7 if settings.setup is Setup.EXPORTER else None,
        scrape_interval_seconds=times.scrape_interval_seconds,
        evaluation_interval_seconds=times.evaluation_interval_seconds,
        group_wait_seconds=times.group_wait_seconds,
        group_interval_seconds=times.group_interval_seconds,
        resend_delay_seconds=settings.resend_delay_seconds,
        tls=settings.setup is Setup.TLS,
        leave_on_interrupt=True,
        agent_command=settings.agent_command or default_agent_command(),
    )

"""A client agent: wires fingerprints, registration, heartbeats, allocations and telemetry together."""

import asyncio
import logging
import os
import random

import msgspec

from agent.client import identity, task_logs
from agent.client.allocs import AllocSync
from agent.client.drivers.base import Driver
from agent.client.drivers.mock import MockDriver
from agent.client.drivers.raw_exec import RawExec
from agent.client.fingerprint import build
from agent.client.fingerprint.base import HostFiles
from agent.client.runner import RunnerContext
from agent.client.servers import ServerPool
from agent.client.settings import ClientSettings
from agent.client.state import StateStore
from agent.client.sync import NodeSync
from agent.client.telemetry import ClientTelemetry
from agent.config.units import format_duration
from agent.errors import ConfigError, OutriderError
from agent.model.alloc import Allocation
from agent.model.node import DriverInfo, Node
from agent.model.times import rfc3339
from agent.rpc.caller import Caller
from agent.tasks import Tasks
from telemetry.catalogue import outrider
from telemetry.clock import Clock
from telemetry.recorder import Recorder
from telemetry.registry import Sampled

LEAVE_SECONDS = 3.0
"""How long a client that leaves waits for the servers to hear its last words."""

FLUSH_SECONDS = 0.5
"""The same for one that will be back: it says then what was not heard."""


class ClientAgent:
    """The client half of an agent; belongs to one event loop."""

    def __init__(
        self,
        settings: ClientSettings,
        caller: Caller,
        recorder: Recorder,
        clock: Clock,
        logger: logging.Logger,
        rng: random.Random | None = None,
    ) -> None:
        """*caller* reaches the servers: a `ServerPool`, or the server in the same process. Nothing happens yet."""
        self._settings = settings
        self._caller = caller
        self._recorder = recorder
        self._clock = clock
        self._made_at = clock.monotonic()
        self._logger = logger
        self._rng = rng or random.Random()
        self._background = Tasks(logger, recorder)
        self._drivers: dict[str, Driver] = {"raw_exec": RawExec(logger, enabled=settings.raw_exec_enabled)}
        if settings.mock_enabled:
            self._drivers["mock_driver"] = MockDriver()
        self._telemetry = ClientTelemetry(settings, self._drivers, recorder, clock)
        self._connected = 0
        self._node: Node | None = None
        self._sync: NodeSync | None = None
        self._allocs: AllocSync | None = None

    @property
    def caller(self) -> Caller:
        """What reaches the servers; the HTTP API of a client agent asks through it."""
        return self._caller

    def servers(self) -> list[str]:
        """Return the addresses of the servers this client knows; empty for one beside its server."""
        return self._caller.servers if isinstance(self._caller, ServerPool) else []

    def node(self) -> Node:
        """Return the node as it stands with the servers; only after start()."""
        assert self._node is not None
        assert self._sync is not None
        return msgspec.structs.replace(
            self._node, status=self._sync.node_status, scheduling_eligibility=self._sync.eligibility
        )

    async def start(self) -> None:
        """Fingerprint the host, take up what an earlier agent left running, and begin to register.

        Raises ConfigError when a directory cannot be used. Returns before the servers have answered.
        """
        if os.geteuid() != 0:
            self._logger.warning(
                "client is not root: drivers other than raw_exec will not work, users cannot be changed"
            )
        who = await asyncio.to_thread(self._prepare)
        self._node = await asyncio.to_thread(self._fingerprint, who)
        self._sync = NodeSync(
            self.node, self._settings.region, self._caller, self._clock, self._rng, self._logger, self._know_servers
        )
        self._allocs = AllocSync(who.node_id, self._caller, self._context(), self._rng)
        self._allocs.restore()
        self._sync.on_registered(self._allocs.begin_anew)
        self._background.spawn("client-heartbeat", self._sync.run, restart=True)
        self._background.spawn("client-watch-allocs", self._watch, restart=True)
        self._background.spawn("client-push-allocs", self._push, restart=True)
        self._background.spawn("client-rotate-logs", self._rotate_logs, restart=True)

    async def stop(self, leave: bool) -> None:
        """Stop; tasks run on, to be found again by the next agent of this data directory.

        With *leave*, and under -dev, tasks are ended first and the servers told that the node is down, so that its
        work moves at once.
        """
        if self._sync is None or self._allocs is None:
            return
        if leave or self._settings.dev:
            await self._allocs.stop_all(self._settings.kill_timeout_max_seconds + LEAVE_SECONDS)
        try:
            if self._sync.status().registered:
                await self._allocs.flush(LEAVE_SECONDS if leave else FLUSH_SECONDS)
                if leave:
                    await self._sync.leave(LEAVE_SECONDS)
        except OutriderError as error:
            self._logger.warning("servers not told of the end: reason=%s", error)
        self._allocs.detach()
        await self._background.cancel()

    async def collect(self) -> None:
        """Emit the series of a client; called once a collection interval."""
        # A client beside its server speaks to it in the same process.
        self._connected = self._caller.connected() if isinstance(self._caller, ServerPool) else 1
        if self._allocs is not None:
            await self._telemetry.collect(self.node(), self._allocs.runners)

    def sample(self) -> tuple[Sampled, ...]:
        """Return the present values of the `outrider_*` series of a client; from any thread, also before start()."""
        age, ttl, me = None, 0.0, (self._settings.node_name,)
        if self._sync is not None:
            status = self._sync.status()
            age, ttl = status.last_heartbeat_age_seconds, status.ttl_seconds
        if age is None:
            age = self._clock.monotonic() - self._made_at
        return (
            Sampled(outrider.CLIENT_LAST_HEARTBEAT_SECONDS, age, me),
            Sampled(outrider.CLIENT_HEARTBEAT_TTL_SECONDS, ttl, me),
            Sampled(outrider.CLIENT_SERVERS_CONNECTED, float(self._connected), me),
        )

    def stats(self) -> dict[str, str]:
        """Return what `GET /v1/agent/self` shows under stats.client, under Nomad's words."""
        if self._sync is None or self._allocs is None or self._node is None:
            return {}
        status = self._sync.status()
        age = status.last_heartbeat_age_seconds
        return {
            "node_id": self._node.id,
            "known_servers": ",".join(sorted(self.servers())),
            "num_allocations": str(len(self._allocs.runners)),
            "last_heartbeat": "never" if age is None else format_duration(age),
            "heartbeat_ttl": format_duration(status.ttl_seconds),
            "heartbeat_failures": str(status.failures),
            "task_failures": str(self._background.failures),
        }

    # --- the parts

    def _prepare(self) -> identity.Identity:
        """Make the directories and the identity; blocks."""
        who = identity.load_or_make(self._settings.state_dir)
        try:
            # Tasks of other users pass through; nobody else lists.
            self._settings.alloc_dir.mkdir(parents=True, exist_ok=True, mode=0o711)
        except OSError as error:
            raise ConfigError(
                f"client.alloc_dir: cannot use {self._settings.alloc_dir}: {error.strerror}; make it writable for the agent's user"
            ) from error
        return who

    def _fingerprint(self, who: identity.Identity) -> Node:
        """Return the node that this host is; blocks."""
        now = rfc3339(self._clock.wall())
        drivers: dict[str, DriverInfo] = {name: driver.fingerprint(now) for name, driver in self._drivers.items()}
        found = build.findings(self._settings, HostFiles())
        node = build.node_of(self._settings, who.node_id, who.secret_id, found, drivers)
        healthy = sorted(name for name, info in drivers.items() if info.healthy)
        self._logger.info(
            "host fingerprinted: node=%s name=%s cpu=%dMHz memory=%dMB disk=%dMB drivers=%s",
            node.id,
            node.name,
            node.node_resources.cpu.cpu_shares,
            node.node_resources.memory.memory_mb,
            node.node_resources.disk.disk_mb,
            ",".join(healthy) or "none",
        )
        return node

    def _context(self) -> RunnerContext:
        return RunnerContext(
            settings=self._settings,
            drivers=self._drivers,
            store=StateStore(self._settings.state_dir, self._logger),
            node=self.node,
            clock=self._clock,
            rng=self._rng,
            logger=self._logger,
            background=self._background,
            on_change=self._changed,
            on_tally=self._telemetry.tally,
            on_hook=lambda alloc, hook, seconds: self._telemetry.hook(self.node(), alloc, hook, seconds),
        )

    def _changed(self, alloc: Allocation) -> None:
        if self._allocs is not None:
            self._allocs.queue(alloc)

    def _know_servers(self, addresses: list[str]) -> None:
        if isinstance(self._caller, ServerPool):
            self._caller.refresh(addresses)

    async def _rotate_logs(self) -> None:
        assert self._allocs is not None
        while True:
            await asyncio.sleep(task_logs.LOOK_SECONDS)
            logs = [log for runner in self._allocs.runners.values() for log in runner.logs()]
            await asyncio.to_thread(task_logs.rotate_all, logs)

    async def _watch(self) -> None:
        assert self._sync is not None
        assert self._allocs is not None
        await self._sync.registered.wait()
        await self._allocs.watch()

    async def _push(self) -> None:
        assert self._sync is not None
        assert self._allocs is not None
        await self._sync.registered.wait()
        await self._allocs.push()

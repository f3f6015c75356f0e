"""One agent process: configuration in, server and client wired to the HTTP API and to telemetry, until a signal.

The event loop carries all I/O. Raft has a thread of its own, schedulers and drivers theirs.
"""

import asyncio
import json
import logging
import os
import random
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from importlib.metadata import version as distribution_version
from typing import TYPE_CHECKING, Any

from agent import banner, certificates, logs
from agent.config.addresses import lists_all_servers, server_addresses
from agent.config.load import LoadedConfig
from agent.config.schema import ALL_SCHEDULERS, AgentConfig
from agent.data_dir import DataDir
from agent.errors import ConfigError, NoClusterLeader, OutriderError
from agent.http.api import AgentHealth, HealthCheck
from agent.http.server import HttpServer
from agent.rpc import methods as m
from agent.rpc.caller import Caller
from agent.rpc.client import RpcClient
from agent.self_info import config_body, runtime_stats, server_stats
from agent.tasks import Tasks
from agent.tls.contexts import TlsKeeper
from telemetry.catalogue import outrider
from telemetry.clock import SystemClock
from telemetry.filters import Filters
from telemetry.process import Process
from telemetry.pushing import PushingRegistry
from telemetry.registry import Registry, Sampled
from telemetry.sinks.choose import check_datadog, lost, senders
from telemetry.sinks.sender import Sender

if TYPE_CHECKING:
    from agent.bootstrap import Bootstrap
    from agent.consensus.deferred import DeferredReplicator
    from agent.gossip.service import Gossip
    from agent.node import ClientAgent
    from agent.server import ServerAgent

SWITCH_INTERVAL_SECONDS = 0.0005
"""How long a busy thread may keep the interpreter while the Raft thread waits: at 5 ms, four busy threads delay it by
23 ms at the median and 141 ms at the 99th percentile, at 0.5 ms by 3 and 24 ms."""

HEALTH_SECONDS = 5.0
"""How long a health check waits for a leader, as Nomad's."""

START_GRACE_SECONDS = 1.0
"""How long a start may go on after a signal."""

LEAVE_SECONDS = 5.0
"""How long leaving may take before the agent stops all the same."""


class AgentProcess:
    """The parts of one agent; also what the HTTP API sees of it (`http.api.AgentApi`)."""

    def __init__(self, loaded: LoadedConfig) -> None:
        self._config = loaded.config
        self._tls = TlsKeeper(loaded.tls) if loaded.tls is not None else None
        self._rpc_tls = self._tls if loaded.config.tls.rpc else None
        self._clock = SystemClock()
        self._logger = logging.getLogger("agent")
        self._sinks = senders(self._config.telemetry)
        self._registry = _registry(self._config, self._clock, self._sinks)
        self._tasks = Tasks(self._logger, self._registry)
        self._process = Process(self._clock)
        server = self._config.server
        self._data_dir = DataDir(self._config.data_dir, server.data_dir, serves=server.enabled)
        self.server_id = self._data_dir.server_id() if server.enabled else ""
        self._server: ServerAgent | None = None
        self._gossip: Gossip | None = None
        self._client: ClientAgent | None = None
        self._remote: RpcClient | None = None
        self._http: list[HttpServer] = []
        self._collectors: list[Callable[[], Awaitable[None] | None]] = []
        self.version = distribution_version("outrider")
        self.failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Becomes the reason why the agent cannot go on."""

    # --- life -----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start sinks, server, client, HTTP and collection, in this order.

        Raises ConfigError naming what cannot be had.
        """
        await self._start_sinks()
        if self._config.server.enabled:
            await self._start_server()
        if self._config.client.enabled:
            await self._prepare_client()
        await self._start_http()
        if self._client is not None:
            await self._client.start()
        self._registry.register_sampler(self._sample, "agent")
        self._registry.register_sampler(self._registry.stats, "registry")
        self._registry.register_sampler(self._process.sample, "process")
        self._process.watch_collections()
        if self._tls is not None:
            keeper = self._tls
            self._collectors.append(lambda: certificates.emit(self._registry, keeper.current, self._clock))
        self._collectors.append(lambda: self._process.record_runtime(self._registry, len(asyncio.all_tasks())))
        if isinstance(self._registry, PushingRegistry):
            self._collectors.append(self._registry.push_sampled)
        self._tasks.spawn("agent-collection", self._collection_loop, restart=True)

    async def stop(self, *, leave: bool) -> None:
        """Stop all parts; with *leave* the lead is handed over and the servers are told first."""
        await self._tasks.cancel()
        if leave:
            await self._leave()
        for http in self._http:
            await http.stop()
        if self._client is not None:
            await self._client.stop(leave)
        if self._server is not None:
            await self._server.stop()
        if self._remote is not None:
            await self._remote.close()
        await asyncio.gather(*(asyncio.to_thread(sink.close) for sink in self._sinks))
        self._data_dir.close()

    async def _start_sinks(self) -> None:
        try:
            await asyncio.to_thread(check_datadog, self._config.telemetry)
        except ValueError as error:
            raise ConfigError(f"{error}.") from error
        for sink in self._sinks:
            sink.start()
        self._registry.register_sampler(lambda: lost(self._sinks), "sinks")

    async def _leave(self) -> None:
        if self._server is None:
            return
        self._logger.info("server leaving")
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._server.leave()
        except (TimeoutError, OutriderError) as error:
            self._logger.warning("leadership not handed over: reason=%r", error)

    def _fail(self, reason: str) -> None:
        if not self.failed.done():
            self.failed.set_result(reason)

    async def _start_server(self) -> None:
        from agent.bootstrap import FILE, Bootstrap  # noqa: PLC0415 - a client needs no Raft
        from agent.consensus.deferred import DeferredReplicator  # noqa: PLC0415
        from agent.consensus.engine_parts import Compaction  # noqa: PLC0415
        from agent.consensus.pysyncobj_replicator import PysyncobjReplicator, RaftSettings  # noqa: PLC0415
        from agent.consensus.replicator import Fsm, Observer, Peer, Replicator  # noqa: PLC0415
        from agent.gossip_wiring import gossip_of  # noqa: PLC0415
        from agent.observe import Observed, ServerObserver  # noqa: PLC0415
        from agent.server import ServerAgent, ServerIdentity  # noqa: PLC0415

        config = self._config
        advertise = config.advertise
        peer = Peer(self.server_id, config.name, advertise.raft, advertise.rpc)
        settings = RaftSettings(
            me=peer,
            bind_address=f"{config.addresses.raft}:{config.ports.raft}",
            peers=tuple(address.raft for address in server_addresses(config) if not address.is_self),
            data_dir=self._data_dir.server,
            raft_multiplier=float(config.server.raft_multiplier),
            region=config.region,
            compaction=Compaction(config.server.raft_snapshot_threshold, config.server.raft_trailing_logs),
            tls=self._rpc_tls,
        )

        listed = lists_all_servers(config)
        deferred: list[DeferredReplicator] = []

        def make(fsm: Fsm, observer: Observer) -> Replicator:
            logger = logging.getLogger("nomad.raft")
            loop = asyncio.get_running_loop()

            def failed(reason: str) -> None:
                loop.call_soon_threadsafe(self._fail, f"the Raft thread stopped: {reason}")

            def with_peers(peers: tuple[str, ...] | None) -> Replicator:
                known = replace(settings, peers=peers or (), joining=peers is None)
                return PysyncobjReplicator(known, fsm, observer, self._registry, self._clock, logger, failed)

            if listed:
                return with_peers(settings.peers)
            deferred.append(DeferredReplicator(self._clock, with_peers))
            return deferred[0]

        identity = ServerIdentity(peer, advertise.serf, self.version)
        gossip = self._gossip = gossip_of(
            config, peer, self.version, self._data_dir.server, self._clock, self._registry, self._fail
        )
        server = self._server = ServerAgent(
            config, identity, make, self._clock, self._registry, tls=self._rpc_tls, gossip=gossip
        )
        await server.start()
        if deferred:
            path = settings.data_dir / FILE if settings.data_dir is not None else None
            bootstrap = Bootstrap(self.server_id, config.region, config.server.bootstrap_expect, path)
            self._tasks.spawn("bootstrap", lambda: self._bootstrap(bootstrap, gossip, deferred[0]))
        observed = Observed(
            config.name, server.status, lambda: server.replicated.state, server.duties, server.workers,
            float(config.server.raft_multiplier), not config.telemetry.disable_dispatched_job_summary_metrics,
        )  # fmt: skip
        _declare_durations(self._registry, config.name)
        observer = ServerObserver(observed, self._clock, self._registry)
        self._registry.register_sampler(observer.sample, "server")
        self._registry.register_sampler(lambda: gossip.sample(config.name), "gossip")
        self._collectors += [observer.collect, server.health.collect, server.replicator.collect]

    async def _bootstrap(self, bootstrap: "Bootstrap", gossip: "Gossip", replicator: "DeferredReplicator") -> None:
        """Run *bootstrap*; the agent ends when Raft cannot begin."""
        try:
            await bootstrap.run(gossip, replicator)
        except (ConfigError, OSError) as error:
            self._fail(str(error))

    async def _prepare_client(self) -> None:
        from agent.client.servers import ServerPool  # noqa: PLC0415 - a server needs no drivers
        from agent.client.settings import settings_of  # noqa: PLC0415
        from agent.node import ClientAgent  # noqa: PLC0415

        settings = settings_of(self._config, self._data_dir.path)
        logger = logging.getLogger("client")
        if self._server is not None:
            caller: Caller = self._server.caller
        else:
            self._remote = RpcClient(self._registry, logging.getLogger("client.rpc"), self._rpc_tls)
            caller = ServerPool(settings.servers, self._remote, self._clock, random.Random(os.urandom(16)), logger)
        self._client = ClientAgent(settings, caller, self._registry, self._clock, logger)
        self._registry.register_sampler(self._client.sample, "client")
        self._collectors.append(self._client.collect)

    async def _start_http(self) -> None:
        for host in self._config.addresses.http:
            tls = self._tls if self._config.tls.http else None
            http = HttpServer(self, host, self._config.ports.http, self._registry, logging.getLogger("http"), tls=tls)
            await http.start()
            self._http.append(http)
            self._collectors.append(http.emit)

    async def _collection_loop(self) -> None:
        interval = self._config.telemetry.collection_interval_seconds
        due = self._clock.monotonic()
        while True:
            for collect in self._collectors:
                pending = collect()
                if pending is not None:
                    await pending
            due = max(due + interval, self._clock.monotonic())
            await asyncio.sleep(due - self._clock.monotonic())

    def _sample(self) -> list[Sampled]:
        roles = [name for name, on in (("server", self.is_server), ("client", self.is_client)) if on]
        labels = (self.version, "+".join(roles), self._config.name, self._config.datacenter)
        return [Sampled(outrider.AGENT_INFO, 1.0, labels)]

    def reload(self, loaded: LoadedConfig, read: certificates.Read) -> Callable[[], object]:
        """Return what to call on SIGHUP: it goes to work on *read* and returns at once."""
        reload = certificates.CertificateReload(loaded, self._tls, read, self._logger)
        return lambda: self._tasks.spawn("agent-reload", reload.run)

    # --- what the HTTP API asks -----------------------------------------------------------------------------------

    @property
    def caller(self) -> Caller:
        """Whoever carries requests: the server of this agent, or the servers its client knows."""
        if self._server is not None:
            return self._server.caller
        assert self._client is not None, "an agent is a server or a client"
        return self._client.caller

    @property
    def is_server(self) -> bool:
        """Whether the agent runs a server."""
        return self._config.server.enabled

    @property
    def is_client(self) -> bool:
        """Whether the agent runs a client."""
        return self._config.client.enabled

    @property
    def region(self) -> str:
        """The region of the agent."""
        return self._config.region

    def self_info(self) -> dict[str, Any]:
        """Return the body of /v1/agent/self."""
        stats: dict[str, Any] = {"runtime": runtime_stats(threading.active_count(), os.cpu_count() or 1)}
        member: dict[str, Any] = {}
        if self._server is not None:
            expect = self._config.server.bootstrap_expect
            serf = self._gossip.stats() if self._gossip is not None else {}
            regions = len(self._server.regions())
            stats.update(server_stats(self._server.status(), self._server.peer, expect, regions, serf))
            name = f"{self._config.name}.{self.region}"
            member = next((body for body in self._server.members() if body["Name"] == name), {})
        if self._client is not None:
            stats["client"] = self._client.stats()
        return {"config": config_body(self._config, self.version), "member": member, "stats": stats}

    async def members(self) -> dict[str, Any]:
        """Return the body of /v1/agent/members."""
        answer = await self.caller.call(m.STATUS_MEMBERS, m.Request(region=self.region), HEALTH_SECONDS)
        return {
            "ServerName": self._config.name,
            "ServerRegion": self.region,
            "ServerDC": self._config.datacenter,
            "Members": answer.members,
        }

    async def regions(self) -> list[str]:
        """Return the body of /v1/regions: a client asks a server."""
        if self._server is not None:
            return self._server.regions()
        from agent.members import regions_of  # noqa: PLC0415 - a client needs no gossip

        answer = await self.caller.call(m.STATUS_MEMBERS, m.Request(region=self.region), HEALTH_SECONDS)
        return regions_of(answer.members, self.region)

    @property
    def gossip(self) -> "Gossip | None":
        """The gossip of the agent's server; None on a client."""
        return self._gossip

    async def health(self) -> AgentHealth:
        """Return how both halves are; a server is well when it can name a leader, a client when it knows servers."""
        server = await self._server_health() if self._server is not None else None
        client = None
        if self._client is not None:
            known = self._server is not None or bool(self._client.servers())
            client = HealthCheck(known, "ok" if known else "no known servers")
        return AgentHealth(server, client)

    async def _server_health(self) -> HealthCheck:
        try:
            answer = await self.caller.call(m.STATUS_LEADER, m.Request(region=self.region), HEALTH_SECONDS)
        except OutriderError as error:
            return HealthCheck(False, str(error))
        return HealthCheck(True, "ok") if answer.leader else HealthCheck(False, str(NoClusterLeader()))

    def known_servers(self) -> list[str]:
        """Return the gRPC addresses of the servers a client knows."""
        if self._client is not None:
            return self._client.servers()
        return self._server.servers() if self._server is not None else []

    def metrics_prometheus(self) -> bytes | None:
        """Return all series as text, or None when `prometheus_metrics` is off."""
        return self._registry.exposition() if self._config.telemetry.prometheus_metrics else None

    def metrics_json(self) -> bytes:
        """Return the last complete interval as Nomad's JSON."""
        return json.dumps(self._registry.in_memory()).encode()


async def run(loaded: LoadedConfig, read: certificates.Read) -> int:
    """Run an agent until a signal; return the exit code. *read* reads the configuration again, on SIGHUP.

    Prints the banner once everything listens. The first signal stops the agent, after leaving where
    `leave_on_interrupt` or `leave_on_terminate` says so; a second one ends it at once. The code is 0 after leaving and
    after SIGTERM, by which a service manager stops it as a matter of course, else 1. Raises ConfigError when the agent
    cannot be started; nothing of it is left then.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    config = loaded.config
    for line in banner.opening(loaded.files, loaded.warnings, exposed=banner.is_exposed(config)):
        print(line, flush=True)  # noqa: T201 - the banner is not a log
    log = logs.GatedLog(config.log_level, as_json=config.log_json)
    logger = logging.getLogger("agent")
    # Before anything is made that a signal would leave behind.
    first_signal = _first_signal()
    process = AgentProcess(loaded)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, process.reload(loaded, read))
    await _start(process, first_signal)
    for line in [*banner.configuration(config, process.server_id, process.version), banner.STARTED, ""]:
        print(line, flush=True)  # noqa: T201
    log.release()
    await _either(first_signal, process.failed)
    if process.failed.done():
        logger.error(
            "the agent ends, because it cannot go on; mend the cause and start it: reason=%s", process.failed.result()
        )
        await process.stop(leave=False)
        return 1
    received = first_signal.result()
    leave = (received is signal.SIGINT and config.leave_on_interrupt) or (
        received is signal.SIGTERM and config.leave_on_terminate
    )
    logger.info("caught signal: signal=%s leave=%s", received.name, leave)
    await process.stop(leave=leave)
    return 0 if leave or received is signal.SIGTERM else 1


async def _start(process: AgentProcess, first_signal: asyncio.Future[signal.Signals]) -> None:
    """Start *process*; raises ConfigError, with everything stopped again.

    A signal meanwhile does not break it off: whole parts stop better than half ones. But a start that is long, as one
    that reads a long log, is ended hard: the disk bears that at any moment.
    """
    starting = asyncio.create_task(process.start(), name="agent: start")
    await _either(starting, first_signal)
    if not starting.done():
        await asyncio.wait({starting}, timeout=START_GRACE_SECONDS)
        if not starting.done():
            os._exit(1)
    try:
        await starting
    except (ConfigError, OSError) as error:
        await process.stop(leave=False)
        if isinstance(error, OSError):
            raise ConfigError(f"the agent cannot be started: {error}") from error
        raise


async def _either(*futures: asyncio.Future[Any]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


def _first_signal() -> asyncio.Future[signal.Signals]:
    """Take the process's signals; return what becomes the first one that ends the agent."""
    loop = asyncio.get_running_loop()
    received: asyncio.Future[signal.Signals] = loop.create_future()

    def stop(number: signal.Signals) -> None:
        if received.done():
            os._exit(1)
        received.set_result(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        loop.add_signal_handler(number, stop, number)
    # Until there is something to reload; an agent that died of it would be a bad surprise.
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    return received


def _declare_durations(registry: Registry, server: str) -> None:
    """Begin the histograms of a server at zero, so that its first observations show as an increase."""
    registry.declare(outrider.PLAN_DURATION_SECONDS, (server,))
    registry.declare(outrider.RAFT_COMMIT_DURATION_SECONDS, (server,))
    for scheduler in ALL_SCHEDULERS:
        registry.declare(outrider.EVALUATION_DURATION_SECONDS, (server, scheduler))


def _registry(config: AgentConfig, clock: SystemClock, sinks: Sequence[Sender]) -> Registry:
    telemetry = config.telemetry
    host = config.name if telemetry.use_node_name else None if telemetry.disable_hostname else config.hostname
    filters = Filters.from_rules(telemetry.prefix_filter, filter_default=telemetry.filter_default)
    if not sinks:
        return Registry(clock, host, filters, frame=telemetry.frame)
    in_name = config.name if telemetry.use_node_name and telemetry.disable_hostname else ""
    return PushingRegistry(clock, host, filters, telemetry.frame, sinks=sinks, host_in_name=in_name)

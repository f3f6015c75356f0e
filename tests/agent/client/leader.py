"""A cluster of one for the tests of a client: a dispatcher behind real gRPC that keeps what clients tell it."""

import asyncio
import contextlib
import logging
import random

import msgspec

from agent.client.servers import ServerPool
from agent.client.settings import ClientSettings
from agent.errors import NotFound
from agent.model.alloc import Allocation
from agent.model.job import Job, Resources, RestartPolicy, Task, TaskGroup
from agent.node import ClientAgent
from agent.rpc.client import RpcClient
from agent.rpc.methods import (
    AllocsResponse,
    NodeClientAllocsResponse,
    NodeUpdateResponse,
    Response,
)
from agent.rpc.service import RpcServer
from telemetry.clock import SystemClock
from telemetry.recorder import NullRecorder

LOGGER = logging.getLogger("test.client")
SECOND_NS = 1_000_000_000


class Leader:
    """Answers what a client asks, and lets a test wait for what it tells."""

    def __init__(self, ttl_seconds=1.0):
        self.ttl_seconds = ttl_seconds
        self.nodes = {}
        self.heartbeats = []
        self.allocs = {}
        self.told = {}
        self.history = []
        self.index = 1
        self.news = asyncio.Condition()
        self.servers = []

    async def dispatch(self, method, request, peer):
        answer = await getattr(self, method.name.replace(".", "_").lower())(request)
        async with self.news:
            self.news.notify_all()
        return answer

    async def node_register(self, request):
        self.nodes[request.node.id] = request.node
        return NodeUpdateResponse(index=self.index, heartbeat_ttl_seconds=self.ttl_seconds, servers=self.servers)

    async def node_updatestatus(self, request):
        if request.node_id not in self.nodes:
            raise NotFound("node not found")
        node = self.nodes[request.node_id]
        self.nodes[request.node_id] = msgspec.structs.replace(node, status=request.status)
        self.heartbeats.append((asyncio.get_running_loop().time(), request.status))
        return NodeUpdateResponse(index=self.index, heartbeat_ttl_seconds=self.ttl_seconds, servers=self.servers)

    async def node_getclientallocs(self, request):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(request.max_query_time_seconds if request.min_query_index else 0.001):
                async with self.news:
                    await self.news.wait_for(lambda: self.index > request.min_query_index)
        mine = {key: alloc.alloc_modify_index for key, alloc in self.allocs.items() if alloc.node_id == request.node_id}
        return NodeClientAllocsResponse(index=self.index, allocs=mine)

    async def alloc_getallocs(self, request):
        return AllocsResponse(index=self.index, allocs=[self.allocs[key] for key in request.alloc_ids])

    async def node_updatealloc(self, request):
        for alloc in request.allocs:
            self.told[alloc.id] = alloc
            self.history.append(alloc)
        return Response(index=self.index)

    async def put(self, alloc):
        """Want *alloc*, in a new version."""
        async with self.news:
            self.index += 1
            self.allocs[alloc.id] = msgspec.structs.replace(alloc, alloc_modify_index=self.index)
            self.news.notify_all()

    async def drop(self, alloc_id):
        """Know the allocation no more."""
        async with self.news:
            self.index += 1
            del self.allocs[alloc_id]
            self.news.notify_all()

    async def until(self, reached, seconds=10):
        """Wait until *reached()*; fails after *seconds*."""
        async with asyncio.timeout(seconds), self.news:
            await self.news.wait_for(reached)

    async def until_status(self, alloc_id, status, seconds=10):
        """Wait until the client told of *alloc_id* that it has *status*, and return what it told."""
        await self.until(lambda: alloc_id in self.told and self.told[alloc_id].client_status == status, seconds)
        return self.told[alloc_id]


async def eventually(reached, seconds=10):
    """Wait until *reached()*, of which nobody tells; fails after *seconds*."""
    async with asyncio.timeout(seconds):
        while not reached():  # noqa: ASYNC110 - processes and files send no events
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def serving(leader, port=0):
    """Yield the address of a real gRPC server in front of *leader*."""
    server = RpcServer("127.0.0.1", port, leader, NullRecorder(), LOGGER)
    await server.start()
    try:
        yield f"127.0.0.1:{server.port}"
    finally:
        await server.stop(0)


def settings_for(tmp_path, **changes):
    """Return the settings of a client below *tmp_path* that may run commands."""
    return ClientSettings(
        node_name="c1",
        alloc_dir=tmp_path / "alloc",
        state_dir=tmp_path / "client",
        http_addr="127.0.0.1:4646",
        **{"raw_exec_enabled": True, "mock_enabled": True, **changes},
    )


@contextlib.asynccontextmanager
async def client(settings, *addresses, recorder=None):
    """Yield a started ClientAgent that knows the servers at *addresses*; at the end it stops, its tasks run on."""
    wire = RpcClient(NullRecorder(), LOGGER)
    clock = SystemClock()
    pool = ServerPool(addresses, wire, clock, random.Random(1), LOGGER)
    agent = ClientAgent(settings, pool, recorder or NullRecorder(), clock, LOGGER, random.Random(1))
    await agent.start()
    try:
        yield agent
    finally:
        await agent.stop(leave=False)
        await wire.close()


def allocation(node_id, config, *, alloc_id="11111111-0000-4000-8000-000000000001", **task):
    """Return an allocation with one task called `main`."""
    policy = task.pop("policy", RestartPolicy(attempts=0))
    job_type = task.pop("job_type", "service")
    name = task.pop("name", "main")
    body = {"driver": "raw_exec", "resources": Resources(cpu=100, memory_mb=64), **task}
    group = TaskGroup(name="app", tasks=[Task(name=name, config=config, **body)], restart_policy=policy)
    return Allocation(
        id=alloc_id,
        name="web.app[0]",
        eval_id="e",
        node_id=node_id,
        node_name="c1",
        job_id="web",
        task_group="app",
        job=Job(id="web", name="web", type=job_type, task_groups=[group]),
        task_resources={name: Resources(cpu=100, memory_mb=64)},
        shared_resources=Resources(disk_mb=300),
    )

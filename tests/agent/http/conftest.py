"""An agent behind its HTTP API, with canned answers at the edge of the RPC, and a client to ask it."""

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent.errors import OutriderError
from agent.http.api import AgentHealth, HealthCheck
from agent.http.guard import HttpLimits
from agent.http.server import HttpServer
from telemetry.recorder import NullRecorder

RECORDED = Path(__file__).parents[2] / "golden" / "nomad-2.0.5" / "api"
LOGGER = logging.getLogger("test.http")


class CannedCaller:
    """Answers each method with what was put there: a response, or an error to raise."""

    def __init__(self):
        self.answers = {}
        self.asked = []
        self.timeouts = []

    async def call(self, method, request, timeout_seconds):
        self.asked.append((method.name, request))
        self.timeouts.append(timeout_seconds)
        answer = self.answers[method.name]
        if isinstance(answer, OutriderError):
            raise answer
        return answer


@dataclass
class CannedAgent:
    """An agent of region "global" that is a server, unless told otherwise."""

    caller: CannedCaller = field(default_factory=CannedCaller)
    is_server: bool = True
    is_client: bool = False
    region: str = "global"
    version: str = "0.1.0"
    found_health: AgentHealth = field(default_factory=lambda: AgentHealth(server=HealthCheck(True, "ok")))
    gossip: object = None
    prometheus: bytes | None = b"# TYPE nomad_x gauge\nnomad_x 1\n"

    def self_info(self):
        return recorded("agent-self")

    async def members(self):
        return recorded("agent-members")

    async def regions(self):
        return [self.region]

    async def health(self):
        return self.found_health

    def known_servers(self):
        return ["127.0.0.13:4647", "127.0.0.11:4647"]

    def metrics_prometheus(self):
        return self.prometheus

    def metrics_json(self):
        return b'{"Gauges":[]}'

    def answer(self, method, response):
        self.caller.answers[method.name] = response

    def requests(self):
        return [request for _, request in self.caller.asked]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)


def recorded(name: str) -> Any:
    """Return a body recorded from a real Nomad."""
    return json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture
def body() -> Callable[[str], Any]:
    return recorded


@pytest.fixture
def agent() -> CannedAgent:
    return CannedAgent()


@pytest.fixture
def serve(agent):
    """Run a coroutine that is given the server of *agent*, started on a free port."""

    def run(use, **limits):
        async def session():
            server = HttpServer(agent, "127.0.0.1", 0, NullRecorder(), LOGGER, limits=HttpLimits(**limits))
            await server.start()
            try:
                return await asyncio.wait_for(use(server), timeout=20)
            finally:
                await server.stop()

        return asyncio.run(session())

    return run


@pytest.fixture
def ask(serve):
    """Ask the agent one thing: method, path and body in, an Answer out."""

    def one(method, path, data=None, headers=None, **limits):
        async def use(server):
            timeout = aiohttp.ClientTimeout(total=10)
            # Encoded here already, so that a test decides on %2F itself; compression is looked at as it came.
            from yarl import URL

            url = URL(f"http://127.0.0.1:{server.port}{path}", encoded=True)
            async with (
                aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session,
                session.request(
                    method,
                    url,
                    data=data,
                    allow_redirects=False,
                    headers={"Accept-Encoding": "identity", **(headers or {})},
                ) as response,
            ):
                return Answer(response.status, response.headers.copy(), await response.read())

        return serve(use, **limits)

    return one

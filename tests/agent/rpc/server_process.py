"""A server in a process of its own, for tests that stop it: `python -m tests.agent.rpc.server_process` prints its port."""

import asyncio
import logging

from agent.rpc.service import RpcServer
from telemetry.recorder import NullRecorder


class Agreeing:
    async def dispatch(self, method, request, peer):
        return method.response(index=1)


async def main():
    server = RpcServer("127.0.0.1", 0, Agreeing(), NullRecorder(), logging.getLogger("server"))
    await server.start()
    print(server.port, flush=True)
    await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(main())

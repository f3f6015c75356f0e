"""A client in a process of its own, for tests that kill it: `python -m tests.agent.client.agent_process DIR SERVER`."""

import asyncio
import sys
from pathlib import Path

from tests.agent.client.leader import client, settings_for


async def main(directory, address):
    async with client(settings_for(Path(directory)), address):
        await asyncio.sleep(120)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))

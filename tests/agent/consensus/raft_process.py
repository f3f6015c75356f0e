"""One real server of a replicated group as a process: orders on standard input, answers on standard output.

Arguments: name, own address, other addresses (comma), data folder. Orders: "write <key>", "status", "applied".
"""

import asyncio
import json
import logging
import pickle
import sys
import threading
from pathlib import Path

from agent.consensus.pysyncobj_replicator import PysyncobjReplicator, RaftSettings
from agent.consensus.replicator import Peer
from agent.errors import OutriderError
from telemetry.clock import SystemClock
from telemetry.recorder import NullRecorder


class Keys:
    """A state machine that remembers which keys were written, and each one's index."""

    def __init__(self):
        self.keys = {}

    def apply(self, index, command):
        self.keys[command.decode()] = index
        return str(index).encode()

    def dump(self):
        frozen = dict(self.keys)
        return lambda: json.dumps(frozen).encode()

    def load(self, data):
        self.keys = json.loads(data)


class Silent:
    """An observer with nothing to say."""

    def state_changed(self, old, new, term, reason):
        """Nothing."""

    def leader_changed(self, leader):
        """Nothing."""


def poisoned(*_args, **_kwargs):
    """What stands for every function of pickle in this process: none may be needed."""
    raise AssertionError("pickle was called")


def say(**what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def write(replicator, key):
    try:
        index = await replicator.propose(key.encode(), 2.0)
    except OutriderError as error:
        say(key=key, error=type(error).__name__)
    else:
        say(key=key, index=int(index))


async def main():
    logging.basicConfig(level=logging.WARNING)
    sys.setswitchinterval(0.0005)
    pickle.dumps = pickle.loads = pickle.dump = pickle.load = poisoned
    pickle.Pickler = pickle.Unpickler = poisoned
    name, address, others, folder = sys.argv[1:5]
    keys = Keys()
    replicator = PysyncobjReplicator(
        RaftSettings(
            me=Peer(f"id-{name}", name, address, address),
            bind_address=address,
            peers=tuple(others.split(",")) if others else (),
            data_dir=Path(folder),
        ),
        keys,
        Silent(),
        NullRecorder(),
        SystemClock(),
        logging.getLogger(name),
    )
    replicator.start()
    loop, lines = asyncio.get_running_loop(), asyncio.Queue()

    def read():
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line.split())
        loop.call_soon_threadsafe(lines.put_nowait, ["quit"])

    threading.Thread(target=read, daemon=True).start()
    say(up=name)
    tasks = set()
    while (order := await lines.get()) != ["quit"]:
        status = replicator.status()
        match order:
            case ["write", key]:
                tasks.add(task := loop.create_task(write(replicator, key)))
                task.add_done_callback(tasks.discard)
            case ["status"]:
                say(state=status.state.value, term=status.term, leader=status.leader and status.leader.name)
            case ["applied"]:
                say(applied=keys.keys, commit=status.commit_index)
    replicator.stop()


if __name__ == "__main__":
    asyncio.run(main())

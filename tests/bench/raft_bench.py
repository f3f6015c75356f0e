"""What a write costs on three servers on loopback, against pysyncobj as it comes.

`python -m tests.bench.raft_bench` prints one figure a line: name value unit baseline ratio. Ours has a log on disk
with fdatasync before each answer; the baseline is pysyncobj in memory with its defaults (no disk, no fsync). Lines with
`tls` are ours under mutual TLS, against ours in plain text. Every server is a process of its own.
"""

import asyncio
import itertools
import json
import logging
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.certificates import Authority

SYNC_WRITES = 200
BASELINE_SYNC_WRITES = 20
CALLERS = (1, 8, 64)
"""Callers that each write one after the other."""

PIPELINED_WRITES = 5_000
WINDOW = 1_000
PAYLOAD = b"x" * 100
IDLE_SECONDS = 3.0
FILES = "RAFT_BENCH_FILES"


async def measure(write, sync_writes):
    """Return latencies in ms of one write after the other, and the rates of several callers and of a window."""
    latencies = []
    for _ in range(sync_writes):
        began = time.perf_counter()
        await write()
        latencies.append((time.perf_counter() - began) * 1000)
    rates = {f"callers_{callers}": await rate(write, callers, sync_writes) for callers in CALLERS}
    room = asyncio.Semaphore(WINDOW)

    async def bounded():
        async with room:
            await write()

    began = time.perf_counter()
    await asyncio.gather(*(bounded() for _ in range(PIPELINED_WRITES)))
    pipelined = PIPELINED_WRITES / (time.perf_counter() - began)
    latencies.sort()
    return {
        **rates,
        "p50": statistics.median(latencies),
        "p99": latencies[int(len(latencies) * 0.99) - 1],
        "pipelined": pipelined,
    }


async def rate(write, callers, writes):
    """Return the writes a second of *callers* that make *writes* each, one after the other."""

    async def call():
        for _ in range(writes):
            await write()

    began = time.perf_counter()
    await asyncio.gather(*(call() for _ in range(callers)))
    return callers * writes / (time.perf_counter() - began)


async def idle_cpu():
    """Return the share of a core this process uses while nothing is asked of it, in percent."""
    before = os.times()
    await asyncio.sleep(IDLE_SECONDS)
    after = os.times()
    return 100 * (after.user + after.system - before.user - before.system) / IDLE_SECONDS


async def secured(address, others):
    """Run ours under mutual TLS, with the files in the folder that FILES names."""
    from agent.tls.contexts import TlsKeeper
    from tests.agent.tls.test_tls_contexts import tls_of
    from tests.certificates import Files

    folder = Path(os.environ[FILES])
    files = Files(folder / "ca.pem", folder / "ca-global-server.pem", folder / "ca-global-server-key.pem")
    await ours(address, others, TlsKeeper(tls_of(files)))


async def ours(address, others, tls=None):
    from agent.consensus.pysyncobj_replicator import PysyncobjReplicator, RaftSettings
    from agent.consensus.replicator import Peer, RaftState
    from telemetry.clock import SystemClock
    from telemetry.recorder import NullRecorder
    from tests.agent.consensus.raft_process import Silent

    class Counter:
        def __init__(self):
            self.count = 0

        def apply(self, index, command):
            self.count += 1
            return b""

        def dump(self):
            return lambda: b""

        def load(self, data):
            """Nothing is kept."""

    with tempfile.TemporaryDirectory() as folder:
        replicator = PysyncobjReplicator(
            RaftSettings(
                me=Peer(address, address, address, ""),
                bind_address=address,
                peers=others,
                data_dir=Path(folder),
                tls=tls,
            ),
            Counter(),
            Silent(),
            NullRecorder(),
            SystemClock(),
            logging.getLogger("bench"),
        )
        replicator.start()
        await serve(
            lambda: replicator.status().state is RaftState.LEADER,
            lambda: replicator.propose(PAYLOAD, 10),
            SYNC_WRITES,
        )
        replicator.stop()


async def baseline(address, others):
    from pysyncobj import SyncObj, SyncObjConf, replicated

    class Counter(SyncObj):
        def __init__(self):
            super().__init__(address, list(others), SyncObjConf(bindAddress=address, connectionRetryTime=0.3))
            self.count = 0

        @replicated
        def put(self, payload):
            self.count += 1

    group, loop = Counter(), asyncio.get_running_loop()

    async def write():
        future = loop.create_future()
        group.put(PAYLOAD, callback=lambda _result, error: loop.call_soon_threadsafe(future.set_result, error))
        assert await future == 0

    await serve(lambda: group._isLeader() and group.isReady(), write, BASELINE_SYNC_WRITES)
    group.destroy()


async def serve(leads, write, sync_writes):
    """Answer the orders of the parent: whether this one leads, its idle cost, its figures."""
    loop, lines = asyncio.get_running_loop(), asyncio.Queue()

    def read():
        for line in itertools.chain(sys.stdin, ["quit"]):
            loop.call_soon_threadsafe(lines.put_nowait, line.strip())

    threading.Thread(target=read, daemon=True).start()
    while (order := await lines.get()) != "quit":
        match order:
            case "leads":
                answer = leads()
            case "idle":
                answer = await idle_cpu()
            case _:
                answer = await measure(write, sync_writes)
        print(json.dumps(answer), flush=True)


def run_group(kind):
    """Start three processes of *kind*, measure on the leader, and return its figures."""
    reserved = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in reserved]
    for one in reserved:
        one.close()
    members = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.bench.raft_bench", kind, own, *(a for a in addresses if a != own)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for own in addresses
    ]

    def ask(member, order):
        member.stdin.write(order + "\n")
        member.stdin.flush()
        return json.loads(member.stdout.readline())

    try:
        end = time.monotonic() + 20
        while not (leading := [member for member in members if ask(member, "leads")]):
            assert time.monotonic() < end, "no leader"
            time.sleep(0.1)
        return {"idle": ask(leading[0], "idle"), **ask(leading[0], "measure")}
    finally:
        for member in members:
            member.kill()
            member.wait()


def main():
    """Print the figures."""
    own, base = run_group("ours"), run_group("baseline")
    with tempfile.TemporaryDirectory() as folder:
        Authority(Path(folder)).certificate("server")
        os.environ[FILES] = folder
        tls = run_group("secured")
    show("raft", own, base)
    show("raft_tls", tls, own)


def show(prefix, figures, base):
    """Print a line for each of *figures*."""
    for name, key, unit in (
        ("write_p50", "p50", "ms"),
        ("write_p99", "p99", "ms"),
        *((f"writes_of_{callers}", f"callers_{callers}", "writes/s") for callers in CALLERS),
        ("write_pipelined", "pipelined", "writes/s"),
        ("leader_idle_cpu", "idle", "%"),
    ):
        ratio = figures[key] / base[key] if base[key] else 0.0
        print(f"{prefix}_{name} {figures[key]:.3g} {unit} {base[key]:.3g} {ratio:.2f}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(
            {"ours": ours, "secured": secured, "baseline": baseline}[sys.argv[1]](sys.argv[2], tuple(sys.argv[3:]))
        )
    else:
        main()

"""Real agents under hostile input on every port: `make hostile`.

A cluster in plain text and one with mutual TLS and encrypted gossip, each as processes on loopback, get random bytes,
huge lengths, cut and changed frames, words of their own protocols from strangers, wrong keys, pickles and bombs; on
Raft, gossip over UDP and TCP, RPC and HTTP. Afterwards every process must live, in bounded memory and without a
traceback; the cluster must take a write; where TLS is on, nothing may have been decoded; no file may be a pickle.

    python -m tests.hostile.run [--inputs N] [--servers N] [--seed N]
"""

import argparse
import base64
import contextlib
import pickletools
import random
import socket
import ssl
import struct
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import psutil
import requests

from agent.gossip.sealing import Purpose
from tests.certificates import Authority, plain_context
from tests.hostile import inputs, trapped
from tests.integration.agents import Agent, batch_job, server_agents
from tests.integration.watch import wait_until

GROWTH_BYTES_MAX = 256 * 1024 * 1024
"""Resident memory may grow by this. With TLS one server grew by 160 MB in 4,000 connections to HTTP, each with a buffer of
256 KB that waits for the collector, and by nothing in 4,000 more."""

_OPEN = {"raft": 24, "gossip tcp": 6, "rpc": 24, "http": 24}
"""Connections that are left open, the oldest closed for the next: below what a port allows one address."""

_HANDSHAKE_EVERY = 50
"""Of inputs to a port with TLS one in so many comes after a handshake, with a certificate of another CA or none."""

_KEY = base64.b64encode(bytes(range(32))).decode()


class TrappedAgent(Agent):
    """An agent that notes what it decodes, asked over TLS where it has it."""

    pki = None

    @property
    def notes(self):
        return self.folder / f"{self.name}.decoded"

    def command(self):
        return sys.executable, str(Path(trapped.__file__)), str(self.notes)

    def url(self, path):
        return f"http{'s' if self.pki else ''}://127.0.0.1:{self.ports.http}{path}"

    def get(self, path, timeout=12):
        return requests.get(self.url(path), timeout=timeout, **self._shown())

    def put(self, path, body, timeout=12):
        return requests.put(self.url(path), json=body, timeout=timeout, **self._shown())

    def _shown(self):
        return {"verify": str(self.pki.ca), "cert": (str(self.pki.certificate), str(self.pki.key))} if self.pki else {}

    def close(self):
        """End it; its memory may take a busy machine a while to free."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(120)

    @property
    def resident_bytes(self):
        return psutil.Process(self.process.pid).memory_info().rss


@dataclass
class Report:
    """What came of one cluster. *wrong* says what must not be; empty when all held."""

    secured: bool
    sent: dict[str, int]
    growth_bytes: dict[str, int]
    """Of resident memory since the start, after each port, of the server that grew most."""
    decoded: set[str]
    """The doors at which anything was made of what came in."""
    wrong: list[str]


@contextlib.contextmanager
def cluster(folder, count, *, secured):
    """Yield *count* servers that take writes."""
    files = None
    extra = ""
    if secured:
        authority = Authority(folder / "pki")
        files = authority.certificate("server")
        extra = files.stanza(verify_https_client=True)
    agents = []
    for plain in server_agents(folder, count, extra):
        agent = TrappedAgent(folder, plain.name, plain.file.read_text(), plain.ports)
        if secured:
            agent.pki = files
            agent.file.write_text(agent.file.read_text().replace("server {", f'server {{ encrypt = "{_KEY}"', 1))
        agents.append(agent)
    try:
        for agent in agents:
            agent.start()
        for agent in agents:
            agent.ready(120)
        agents[0].leads(60)
        wait_until(lambda: _takes_write(agents, "before"), 60, "the cluster takes a write")
        yield agents
    finally:
        for agent in agents:
            agent.close()


def attack(folder, count, number, seed, *, secured):
    """Send *number* inputs to each port of a cluster of *count* servers, and return what came of it."""
    with cluster(folder, count, secured=secured) as agents:
        noted = {agent.name: agent.notes.stat().st_size if agent.notes.exists() else 0 for agent in agents}
        before = {agent.name: agent.resident_bytes for agent in agents}
        strangers = _strangers(folder) if secured else []
        sent, growth = {}, {}
        for port in (*_OPEN, "gossip udp"):
            rng = random.Random(f"{seed}:{port}:{secured}")
            sender = Sender(agents, port, rng, strangers)
            for _ in range(number):
                sender.send()
            sender.close()
            sent[port] = sender.sent
            growth[port] = max(
                (a.resident_bytes - before[a.name] for a in agents if a.process.poll() is None), default=0
            )
        decoded = _decoded(agents, noted)
        wrong = _judge(agents, before)
    if secured and count == 1 and decoded:
        wrong.append(f"words of a stranger were decoded: {sorted(decoded)}")
    wrong += [f"{path} is a pickle" for path in _pickles(folder)]
    return Report(secured, sent, growth, decoded, wrong)


class Sender:
    """A hostile peer of one port of each server in turn."""

    def __init__(self, agents, port, rng, strangers):
        self.agents, self.port, self.rng, self.strangers = agents, port, rng, strangers
        self.sent = 0
        self._made = inputs.Inputs(rng, _words(port, agents))
        self._open = deque()
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def send(self):
        """Send one input; what cannot be delivered, because the port is full or closes first, counts as well."""
        agent = self.agents[self.sent % len(self.agents)]
        data = self._made.next()
        self.sent += 1
        if self.port == "gossip udp":
            with contextlib.suppress(OSError):
                self._udp.sendto(data[:60_000], ("127.0.0.1", agent.ports.serf))
            if self.sent % 20 == 0:
                time.sleep(0.001)  # what the kernel drops shows nothing
            return
        ports = {
            "raft": agent.ports.raft,
            "gossip tcp": agent.ports.serf,
            "rpc": agent.ports.rpc,
            "http": agent.ports.http,
        }
        with contextlib.suppress(OSError):
            self._speak(ports[self.port], data)

    def _speak(self, port, data):
        stream = socket.create_connection(("127.0.0.1", port), timeout=2)
        if self.strangers and self.sent % _HANDSHAKE_EVERY == 0:
            stream = self.rng.choice(self.strangers).wrap_socket(stream, server_hostname="server.global.nomad")
        self._open.append(stream)
        stream.sendall(data)
        if self.rng.random() < 0.5:
            stream.shutdown(socket.SHUT_WR)
        if len(self._open) > _OPEN[self.port]:
            self._open.popleft().close()

    def close(self):
        """Close what is open."""
        for stream in (*self._open, self._udp):
            stream.close()


def _words(port, agents):
    match port:
        case "raft":
            return inputs.raft_frames(f"127.0.0.1:{agents[-1].ports.raft}")
        case "gossip udp":
            return inputs.sealed(inputs.gossip_payloads(), Purpose.PACKET, [b"k" * 32])
        case "gossip tcp":
            sealed = inputs.sealed(inputs.gossip_payloads(), Purpose.REQUEST, [b"k" * 32])
            return [struct.pack(">I", len(each)) + each for each in sealed]
        case "rpc":
            return inputs.rpc_calls()
        case _:
            return inputs.http_requests()


def _strangers(folder):
    """Return the two ways to come without being let in: another CA's certificate, and none."""
    bare = ssl.create_default_context(cafile=folder / "pki" / "ca.pem")
    bare.check_hostname = False
    other = Authority(folder / "other", "other")
    return [bare, plain_context(other.certificate("server"), server_side=False, trusts=folder / "pki" / "ca.pem")]


def _decoded(agents, noted):
    notes = [agent.notes.read_bytes()[noted[agent.name] :] for agent in agents if agent.notes.exists()]
    return set(b"".join(notes).decode().split())


def _judge(agents, before):
    wrong = []
    for agent in agents:
        if agent.process.poll() is not None:
            wrong.append(f"{agent.name} ended with {agent.process.poll()}: {agent.errors()[-500:]}")
            continue
        growth = agent.resident_bytes - before[agent.name]
        if growth > GROWTH_BYTES_MAX:
            wrong.append(f"{agent.name} grew by {growth} bytes, more than {GROWTH_BYTES_MAX}")
        said = agent.text() + agent.errors()
        if "Traceback" in said:
            wrong.append(f"{agent.name} wrote a traceback: {said[said.index('Traceback') :][:1500]}")
    with contextlib.suppress(AssertionError):
        wait_until(lambda: _takes_write(agents, "after"), 60, "a write")
        return wrong
    return [*wrong, "the cluster takes no write"]


def _takes_write(agents, job):
    with contextlib.suppress(requests.RequestException):
        return agents[-1].put("/v1/jobs", batch_job(job)).status_code == 200
    return False


def _pickles(folder):
    for path in sorted(folder.glob("data-*/**/*")):
        if path.is_file() and path.stat().st_size:
            with contextlib.suppress(ValueError, IndexError, KeyError, UnicodeDecodeError, struct.error):
                if len(list(pickletools.genops(path.read_bytes()))) > 1:
                    yield path


def main():
    """Attack both clusters; the exit code says whether both held."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.run")
    parser.add_argument("--inputs", type=int, default=100_000, help="to each port of each cluster (100000)")
    parser.add_argument(
        "--servers", type=int, default=3, help="of each cluster; with 1, TLS is shown to decode nothing (3)"
    )
    parser.add_argument("--seed", type=int, default=1, help="what decides the inputs (1)")
    options = parser.parse_args()
    failed = False
    for count, secured in ((options.servers, False), (options.servers, True), (1, True)):
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            report = attack(Path(folder), count, options.inputs, options.seed, secured=secured)
        print(
            f"{'tls' if secured else 'plain':5} servers {count}  "
            + "  ".join(f"{port} {n} ({report.growth_bytes[port] / 1e6:+.1f} MB)" for port, n in report.sent.items())
            + f"  in {time.monotonic() - began:.0f} s",
            flush=True,
        )
        for each in report.wrong:
            print(f"  wrong: {each}", flush=True)
        failed |= bool(report.wrong)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

import socket
import subprocess
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path

import pytest

from compose.drill.network import Network
from compose.drill.ports import BLOCK, PortBlocks
from compose.links import Cut
from compose.local_settings import LocalSettings

pytestmark = pytest.mark.integration

ANSWER_SECONDS = 10.0
SILENCE_SECONDS = 0.4
CALLER = """
import socket, sys
for line in sys.stdin:
    word, port = line.split()
    try:
        if word.startswith("open"):
            # As gRPC does it, which uses IPv6 sockets for IPv4 addresses.
            kept = socket.socket(socket.AF_INET6 if word == "open6" else socket.AF_INET)
            kept.settimeout(5)
            kept.connect(("::ffff:127.0.0.1" if word == "open6" else "127.0.0.1", int(port)))
        kept.settimeout(0.4 if word == "silence" else 5)
        kept.sendall(b"hello\\n")
        print(kept.recv(100).decode().strip() or "end", flush=True)
    except TimeoutError:
        print("silence", flush=True)
    except OSError:
        print("end", flush=True)
"""


class Agents:
    """Stand-ins for agents: a thread that answers on the ports of each, and a process that calls for each."""

    def __init__(self, settings):
        self.settings = settings
        self.listeners = []
        self.callers = {}
        for agent in settings.agents:
            for port in agent.ports.values():
                self.listeners.append(socket.create_server(("127.0.0.1", port)))
                threading.Thread(target=self.answer, args=(self.listeners[-1], agent.name), daemon=True).start()
        for agent in settings.agents:
            self.callers[agent.name] = subprocess.Popen(
                [sys.executable, "-c", CALLER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )

    def answer(self, listener, name):
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=self.serve, args=(connection, name), daemon=True).start()

    def serve(self, connection, name):
        with suppress(OSError), closing(connection), connection.makefile("rb") as lines:
            for _ in lines:
                connection.sendall(name.encode() + b"\n")

    def pids(self):
        return {name: process.pid for name, process in self.callers.items()}

    def ask(self, name, word, port):
        process = self.callers[name]
        process.stdin.write(f"{word} {port}\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    def close(self):
        for process in self.callers.values():
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()
        for listener in self.listeners:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()


@pytest.fixture
def world():
    """Two servers and two clients behind relays, and a second region of one."""
    base = PortBlocks(33_000).take()
    settings = LocalSettings(
        servers=2,
        clients=2,
        far_servers=1,
        port_base=base,
        prometheus_port=base + 4,
        alertmanager_port=base + 5,
        receiver_port=base + 6,
    )
    agents = Agents(settings)
    network = Network(settings, base + 100, agents.pids)
    assert network.ports_end <= base + BLOCK
    with network:
        yield agents, network
    agents.close()


def test_every_way_is_open_at_first(world):
    """
    Peers, clients and Prometheus reach each server through the relays.
    """
    agents, network = world
    routes = network.routes

    assert "server-2" == agents.ask("server-1", "open", routes.rpc["server-2"] + 2)
    assert "server-2" == agents.ask("server-1", "open", routes.rpc["server-2"])
    assert "server-1" == agents.ask("client-1", "open", routes.rpc["server-1"])
    assert "client-2" == agents.ask("server-1", "open", routes.scrapes["client-2"])
    assert "far-server-1" == agents.ask("server-1", "open", routes.scrapes["far-server-1"])


@pytest.mark.parametrize("opens", ["open", "open6"])
def test_one_client_is_cut_at_a_port_that_all_share(world, opens):
    """
    Who calls is told by the process: an isolated client hears nothing, over an old connection or a new one; others do.
    """
    if opens == "open6" and not Path("/proc/net/tcp6").exists():
        pytest.skip("this machine has no IPv6")
    agents, network = world
    port = network.routes.rpc["server-1"]
    assert ["server-1"] * 2 == [agents.ask(name, opens, port) for name in ("client-1", "client-2")]

    network.isolate(["client-1"], Cut.BLACKHOLE)

    assert "silence" == agents.ask("client-1", "silence", port)
    assert "server-1" == agents.ask("client-2", "again", port)
    assert "server-1" == agents.ask("client-2", opens, port)
    assert "server-1" == agents.ask("server-2", opens, port)
    network.mend()
    assert "server-1" == agents.ask("client-1", opens, port)


def test_an_isolated_server_is_cut_from_peers_and_clients_and_still_scraped(world):
    """
    Raft and RPC are cut both ways, the way of the scrapes is not.
    """
    agents, network = world
    routes = network.routes

    network.isolate(["server-1"], Cut.REFUSE)

    assert "end" == agents.ask("server-2", "open", routes.rpc["server-1"] + 2)
    assert "end" == agents.ask("server-1", "open", routes.rpc["server-2"] + 2)
    assert "end" == agents.ask("client-1", "open", routes.rpc["server-1"])
    assert "server-2" == agents.ask("client-1", "open", routes.rpc["server-2"])
    assert "server-1" == agents.ask("client-2", "open", routes.scrapes["server-1"])


def test_a_cut_one_way_leaves_the_other(world):
    """
    What one server sends over connections of its own is lost, what others send to it arrives.
    """
    agents, network = world
    routes = network.routes

    network.cut_one_way(["server-1"], ["server-2", "client-1"], Cut.REFUSE)

    assert "end" == agents.ask("server-1", "open", routes.rpc["server-2"] + 2)
    assert "end" == agents.ask("server-1", "open", routes.rpc["server-2"])
    assert "server-1" == agents.ask("server-2", "open", routes.rpc["server-1"])


def test_scrapes_are_cut_alone(world):
    """
    Prometheus no longer reaches a server, while its peers and clients do.
    """
    agents, network = world
    routes = network.routes

    network.cut_scrapes(["server-1"], Cut.REFUSE)

    assert "end" == agents.ask("client-2", "open", routes.scrapes["server-1"])
    assert "server-2" == agents.ask("client-2", "open", routes.scrapes["server-2"])
    assert "server-1" == agents.ask("client-2", "open", routes.rpc["server-1"])


@pytest.fixture
def gossips(world):
    """A socket at the serf port of each of the first two servers."""
    agents, _ = world
    sockets = []
    for agent in agents.settings.server_agents[:2]:
        sockets.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sockets[-1].bind(("127.0.0.1", agent.serf))
        sockets[-1].settimeout(ANSWER_SECONDS)
    yield sockets
    for each in sockets:
        each.close()


def test_packets_of_gossip_come_from_where_their_sender_is_reached(world, gossips):
    """
    An answer to where a packet came from goes through a relay, too, and finds the sender.
    """
    _, network = world
    one, two = gossips
    doors = {name: ("127.0.0.1", port + 1) for name, port in network.routes.rpc.items()}

    one.sendto(b"ping", doors["server-2"])
    packet, source = two.recvfrom(100)
    two.sendto(b"ack", source)

    assert (b"ping", doors["server-1"]) == (packet, source)
    assert (b"ack", doors["server-2"]) == one.recvfrom(100)


def test_gossip_is_cut_with_the_rest(world, gossips):
    """
    What a server sends to another is lost when that way is cut, as packets and as streams; the way back is open.
    """
    agents, network = world
    one, two = gossips
    doors = {name: ("127.0.0.1", port + 1) for name, port in network.routes.rpc.items()}

    network.cut_one_way(["server-1"], ["server-2"], Cut.REFUSE)
    one.sendto(b"lost", doors["server-2"])
    two.sendto(b"arrives", doors["server-1"])

    assert b"arrives" == one.recv(100)
    assert "end" == agents.ask("server-1", "open", doors["server-2"][1])
    assert "server-1" == agents.ask("server-2", "open", doors["server-1"][1])
    network.mend()
    one.sendto(b"mended", doors["server-2"])
    assert b"mended" == two.recv(100)


def test_no_two_relays_share_a_port(world):
    """
    Every port is told once, a server's three in a row.
    """
    _, network = world
    routes = network.routes

    ports = [port + offset for port in routes.rpc.values() for offset in (0, 1, 2)]
    ports += list(routes.scrapes.values())

    assert len(ports) == len(set(ports))
    assert network.ports_end == max(ports) + 1

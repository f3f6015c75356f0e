"""A real agent pushes to real sockets on loopback, and is none the worse for a receiver that is away."""

import contextlib
import re
import signal
import socket
import threading
import time

import pytest

from tests.integration.agents import Agent, Ports, batch_job, dev_agent
from tests.integration.watch import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

LINE = re.compile(rb"[^:|\n]+:-?\d+\.\d{6}\|(c|g|ms)")
TAGGED = re.compile(rb"[^:|\n]+:(-?\d+\.\d{6}\|(g|ms)|\d+\|c)\|#env:test(,[^,|\n]+)+")
SECONDS = 40


class Receiver:
    """Takes packets from a socket in a thread of its own; `stream` is a TCP receiver, which hangs up when told."""

    def __init__(self, *, stream=False):
        kind = socket.SOCK_STREAM if stream else socket.SOCK_DGRAM
        self._sock = socket.socket(socket.AF_INET, kind)
        self._sock.bind(("127.0.0.1", 0))
        if stream:
            self._sock.listen()
        self.address = "{}:{}".format(*self._sock.getsockname())
        self.packets = []
        self.arrived = []
        self.connections = 0
        self._hang_up = threading.Event()
        threading.Thread(target=self._accept if stream else self._take, daemon=True).start()

    def _take(self):
        with contextlib.suppress(OSError):
            while True:
                self.packets.append(self._sock.recv(65_536))
                self.arrived.append(time.monotonic())

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._sock.accept()
                self.connections += 1
                with connection:
                    while not self._hang_up.is_set() and (data := connection.recv(65_536)):
                        self.packets.append(data)
                self._hang_up.clear()

    def hang_up(self):
        """End the present connection."""
        self._hang_up.set()

    def lines(self):
        """Return every whole line so far."""
        return b"".join(self.packets).rpartition(b"\n")[0].split(b"\n")

    def names(self):
        """Return what stands before the values."""
        return {line.partition(b":")[0].decode() for line in self.lines()}

    def until(self, *names):
        """Wait until all *names* were received."""
        wait_until(lambda: set(names) <= self.names(), SECONDS, f"{names} at {self.address}")

    def close(self):
        """Stop to listen."""
        self._sock.close()


@pytest.fixture
def receivers():
    made = {"statsd": Receiver(), "dogstatsd": Receiver(), "statsite": Receiver(stream=True)}
    yield made
    for receiver in made.values():
        receiver.close()


@pytest.fixture
def started(tmp_path):
    """
    A function from the text of a file to a -dev agent that runs and leads; ended after the test.
    """
    agents = []

    def start(text):
        agents.append(dev_agent(tmp_path, text, "-node", "n1", name=f"dev{len(agents)}"))
        return agents[-1].start().ready().leads()

    yield start
    for agent in agents:
        agent.close()


def block(receivers, more=""):
    """Return a telemetry block that names all three."""
    return (
        "telemetry {\n"
        f'  statsd_address = "{receivers["statsd"].address}"\n'
        f'  statsite_address = "{receivers["statsite"].address}"\n'
        f'  datadog_address = "{receivers["dogstatsd"].address}"\n'
        f'  datadog_tags = ["env:test"]\n{more}}}\n'
    )


def lost(agent, sink):
    """Return how many values a sink of *agent* lost."""
    text = agent.get("/v1/metrics?format=prometheus").text
    return float(re.search(rf'(?m)^outrider_sink_dropped_total\{{.*sink="{sink}"\}} (\S+)$', text)[1])


def test_three_receivers_are_told_what_a_nomad_would_tell(started, receivers):
    """
    Every line is whole and in its protocol's form; counters, gauges and timers come; the host is where it belongs; a
    filter holds; metadata of a job arrives; packets are small; the last values come before the agent ends.
    """
    agent = started(block(receivers, '  prefix_filter = ["-nomad.runtime", "+nomad.runtime.num_goroutines"]\n'))
    host = socket.gethostname().replace(":", "_").replace(" ", "_")
    body = batch_job("web", 1, "/bin/sleep", "120")
    body["Job"]["Meta"] = {"my-owner": "core team"}
    assert 200 == agent.put("/v1/jobs", body).status_code

    for name in ("statsd", "statsite"):
        receivers[name].until(
            f"nomad.nomad.broker.total_ready.{host}",  # a gauge
            f"nomad.nomad.worker.dequeue_eval.{host}",  # a timer
            f"nomad.raft.apply.{host}",  # a counter
            f"nomad.nomad.job_summary.running.web.g.default.{host}",
            f"nomad.runtime.num_goroutines.{host}",
            f"outrider.server_has_leader.n1.{host}",  # a gauge that is made at a scrape
            f"outrider.raft_elections_total.n1.{host}",  # a counter that is
        )
        assert [] == [line for line in receivers[name].lines() if not LINE.fullmatch(line)]
        assert f"nomad.runtime.alloc_bytes.{host}" not in receivers[name].names()
        won = f"outrider.raft_elections_total.n1.{host}:".encode()
        assert [won + b"1.000000|c"] == [line for line in receivers[name].lines() if line.startswith(won)]
    dogstatsd = receivers["dogstatsd"]
    dogstatsd.until("nomad.nomad.broker.total_ready", "nomad.client.allocs.memory.rss")
    assert [] == [line for line in dogstatsd.lines() if not TAGGED.fullmatch(line)]
    (tags,) = {
        line.partition(b"|#")[2] for line in dogstatsd.lines() if line.startswith(b"nomad.client.allocs.memory.rss:")
    }
    assert re.fullmatch(
        rf"env:test,job:web,task_group:g,alloc_id:[-0-9a-f]{{36}},task:t,namespace:default,my_owner:core_team,host:{host}",
        tags.decode(),
    )
    assert max(map(len, receivers["statsd"].packets + dogstatsd.packets)) <= 1_400
    assert 0 == lost(agent, "statsd")

    before = len(receivers["statsd"].lines())
    agent.kill(signal.SIGTERM)
    assert 0 == agent.wait(15)
    wait_until(lambda: len(receivers["statsd"].lines()) > before, 5, "the last values")


def test_use_node_name_with_disable_hostname_names_gauges(started, receivers):
    """
    On statsd and statsite gauges carry the node in their name and nothing carries the host behind it, as on a Nomad;
    /v1/metrics keeps the names and has the label.
    """
    agent = started(block(receivers, "  use_node_name = true\n  disable_hostname = true\n"))

    receivers["statsd"].until("nomad.n1.nomad.broker.total_ready", "nomad.raft.apply", "nomad.raft.commitTime")
    receivers["dogstatsd"].until("nomad.nomad.broker.total_ready")

    assert 'nomad_nomad_broker_total_ready{host="n1"} ' in agent.get("/v1/metrics?format=prometheus").text


@pytest.mark.parametrize(
    ("keys", "label"),
    [
        ("", '{{host="{hostname}"}}'),
        ("use_node_name = true", '{{host="n1"}}'),
        ("disable_hostname = true", ""),
    ],
    ids=["default", "use_node_name", "disable_hostname"],
)
def test_series_name_their_host_unless_told_otherwise(started, keys, label):
    """
    The label `host` is the host's name by default, the node's on request, and absent with disable_hostname.
    """
    agent = started(f"telemetry {{ {keys} }}\n")

    def said():
        text = agent.get("/v1/metrics?format=prometheus").text
        return f"nomad_nomad_broker_total_ready{label.format(hostname=socket.gethostname())} " in text

    wait_until(said, SECONDS, "the label of the host")


def test_a_receiver_that_is_away_harms_nobody(started, receivers):
    """
    The agent leads and answers, says once that telemetry is lost, counts it, and finds the receiver when it is back.
    """
    statsite = receivers["statsite"]
    away = Receiver()
    away.close()
    agent = started(f'telemetry {{ statsd_address = "{away.address}" statsite_address = "{statsite.address}" }}\n')
    statsite.until(f"nomad.nomad.broker.total_ready.{socket.gethostname()}")

    statsite.hang_up()

    wait_until(lambda: statsite.connections == 2, SECONDS, "the second connection")
    wait_until(lambda: lost(agent, "statsd"), SECONDS, "values lost")
    assert lost(agent, "statsite") > 0
    assert 1 == agent.text().count(
        "telemetry is lost, the receiver cannot be reached; tried again every 5 s: sink=statsd"
    )
    wait_until(lambda: "telemetry is sent again: sink=statsite" in agent.text(), SECONDS, "word of it")
    agent.kill(signal.SIGTERM)
    assert 0 == agent.wait(15)


def test_a_name_that_nobody_knows_is_an_error_for_dogstatsd_alone(tmp_path):
    """
    As on a Nomad: the one ends the start with a sentence, the other is tried for ever.
    """
    ports = Ports.free()
    refused = Agent(tmp_path, "refused", f'{ports}telemetry {{ datadog_address = "no.invalid:8125" }}\n', ports, "-dev")
    with contextlib.closing(refused.start()):
        assert 1 == refused.wait(60)
        assert refused.errors().startswith(
            '==> Error: telemetry.datadog_address = "no.invalid:8125" cannot be resolved: '
        )
        assert 1 == len(refused.errors().splitlines())
    tried = dev_agent(tmp_path, 'telemetry { statsd_address = "no.invalid:8125" }\n', name="tried")
    with contextlib.closing(tried.start().ready().leads()):
        wait_until(lambda: "telemetry is lost" in tried.text(), SECONDS, "the line in the log")


def test_gauges_are_collected_as_often_as_was_set(started, receivers):
    """
    With collection_interval of 3 s a gauge comes every 3 s; by default it would come every second.
    """
    statsd = receivers["statsd"]
    started(f'telemetry {{ collection_interval = "3s" statsd_address = "{statsd.address}" }}\n')
    name = f"nomad.runtime.num_goroutines.{socket.gethostname()}:".encode()

    def collected():
        return [at for at, packet in zip(statsd.arrived, statsd.packets, strict=False) if name in packet]

    wait_until(lambda: len(collected()) >= 4, SECONDS, "four collections")
    first, *_, last = collected()[:4]
    assert 2.5 <= (last - first) / 3 <= 6.0


def test_the_json_shows_intervals_of_the_length_that_was_set(started):
    """
    With in_memory_collection_interval of 2 s the timestamp moves by 2 s, in steps of even seconds.
    """
    agent = started('telemetry { in_memory_collection_interval = "2s" }\n')
    seen = set()

    def moved():
        seen.add(agent.get("/v1/metrics").json()["Timestamp"])
        return len(seen) >= 4

    wait_until(moved, SECONDS, "four intervals")
    seconds = sorted(int(re.search(r":(\d\d) \+0000 UTC$", stamp)[1]) for stamp in seen)
    assert [] == [second for second in seconds if second % 2]

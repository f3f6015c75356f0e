"""The exporter as a whole, its threads and its HTTP, against servers on real sockets."""

import contextlib
import socket
import threading
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from telemetry.catalogue import exporter, find, outrider
from telemetry.clock import SystemClock
from telemetry.exporter import CONNECTIONS_MAX, Exporter
from telemetry.exporting.settings import ExporterSettings
from telemetry.scrape.description import Target
from tests.integration.watch import wait_until
from tests.telemetry.exporting.fake_nomad import FakeNomad

FOREVER = 120.0


class Running:
    """An exporter in a thread of this process."""

    def __init__(self, *servers, clock=None, **options):
        self.exporter = Exporter(
            ExporterSettings(servers=tuple(server.target for server in servers), **options),
            ("127.0.0.1", 0),
            version="1.2.3",
            clock=clock,
        )
        self._thread = threading.Thread(target=self.exporter.run)
        self._thread.start()

    def get(self, path, **headers):
        host, port = self.exporter.address
        request = urllib.request.Request(f"http://{host}:{port}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()

    def families(self):
        return list(text_string_to_metric_families(self.get("/metrics")[1]))

    def of(self, metric):
        """Return the values of a metric by its label `server`."""
        return {
            sample.labels.get("server", ""): sample.value
            for family in self.families()
            for sample in family.samples
            if sample.name == metric.name
        }

    def close(self):
        self.exporter.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def servers():
    found = [FakeNomad("s1", leads=True), FakeNomad("s2"), FakeNomad("s3")]
    yield found
    for server in found:
        server.close()


@pytest.fixture
def run(servers):
    started = []

    def runs(*watched, **options):
        started.append(Running(*(watched or servers), **options))
        return started[-1]

    yield runs
    for running in started:
        running.close()


def test_every_series_is_in_the_catalogue_and_every_entry_is_a_series(run):
    """
    Kinds and labels are the catalogue's, and what it says the exporter exports is there once all was read.
    """
    running = run()
    promised = {metric.name for metric in exporter.__dict__.values() if isinstance(metric, type(exporter.INFO))} | {
        metric.name for metric in (outrider.NODES, outrider.NODES_DRAINING, outrider.RAFT_VOTERS_HEALTHY)
    }
    names = set()

    def all_there():
        names.update(sample.name for family in running.families() for sample in family.samples)
        return promised <= names

    wait_until(all_there, FOREVER, f"missing: {promised - names}")
    wrong = [
        sample
        for family in running.families()
        for sample in family.samples
        if (entry := find(sample.name)) is None
        or entry.metric.kind.value != family.type
        or set(entry.metric.labels) != set(sample.labels)
    ]

    assert [] == wrong


def test_a_hung_server_does_not_hold_up_the_others(run, servers):
    """
    While one server hangs for longer than the test, another's new leader is told.
    """
    servers[0].hangs = True
    running = run(poll_seconds=1.0, timeout_seconds=30.0)
    wait_until(lambda: len(running.of(outrider.SERVER_HAS_LEADER)) == 2, FOREVER, "two servers answer")

    servers[1].leads = True

    wait_until(lambda: running.of(outrider.SERVER_IS_LEADER).get("s2") == 1.0, FOREVER, "the new leader is told")
    assert {"s1": 0.0, "s2": 1.0, "s3": 1.0} == running.of(exporter.SERVER_REACHABLE)


def test_it_answers_before_any_server_did(run, servers):
    """
    The first scrape of an exporter whose servers hang says that, and no value that nobody read.
    """
    for server in servers:
        server.hangs = True
    running = run(timeout_seconds=30.0)

    assert {"s1": 0.0, "s2": 0.0, "s3": 0.0} == running.of(exporter.SERVER_REACHABLE)
    assert {} == running.of(outrider.SERVER_HAS_LEADER)
    assert (200, "ok\n") == running.get("/healthz")


def test_other_servers_can_be_watched_without_a_restart(run, servers):
    """
    From then on there are the new one's series and no others.
    """
    running = run(servers[0])
    wait_until(lambda: running.of(outrider.SERVER_HAS_LEADER), FOREVER, "the first answers")

    running.exporter.watch(ExporterSettings(servers=(servers[1].target,)))

    wait_until(lambda: {"s2": 1.0} == running.of(outrider.SERVER_HAS_LEADER), FOREVER, "the second answers")
    assert {"s2": 1.0} == running.of(exporter.SERVER_REACHABLE)


class FailingOnce(SystemClock):
    """A clock that fails the first reader that asks it."""

    def __init__(self):
        self._failed = False

    def monotonic(self):
        if threading.current_thread().name.startswith("server ") and not self._failed:
            self._failed = True
            raise RuntimeError("nobody thought of this")
        return super().monotonic()


def test_what_nobody_expected_is_counted_and_the_reader_goes_on(run, servers, caplog):
    """
    An error in a reader is logged with the task's name, counted, and the next step is taken.
    """
    running = run(servers[0], clock=FailingOnce())

    wait_until(lambda: running.of(outrider.SERVER_HAS_LEADER), FOREVER, "it goes on")
    failures = {
        sample.labels["task"]: sample.value
        for family in running.families()
        for sample in family.samples
        if sample.name == outrider.TASK_FAILURES_TOTAL.name
    }
    assert {"server": 1.0, "autopilot": 0.0, "lists": 0.0} == failures
    assert "task failed task=server" in caplog.text


def test_health_is_that_of_the_readers(run, servers):
    """
    An exporter whose readers ended says so: it would serve old series until they are dropped, and none after.
    """
    running = run(servers[0])
    running.exporter._poller.stop()

    def health():
        with contextlib.suppress(urllib.error.HTTPError):
            return running.get("/healthz")[0]
        return 503

    wait_until(lambda: health() == 503, FOREVER, "it says so")


def test_unknown_paths_are_not_found(run):
    """
    The answer says where the series are.
    """
    with pytest.raises(urllib.error.HTTPError) as caught:
        run().get("/v1/metrics")

    assert (404, b"see /metrics\n") == (caught.value.code, caught.value.read())


def test_more_connections_than_it_holds_are_closed(run):
    """
    Whoever opens many costs the exporter no more threads than it has slots: the first is closed for another, and a scrape
    works meanwhile.
    """
    running = run()
    opened = [socket.create_connection(running.exporter.address, timeout=10) for _ in range(CONNECTIONS_MAX + 1)]

    assert b"" == opened[0].recv(1)
    wait_until(lambda: _scraped(running), FOREVER, "a scrape works")
    for connection in opened:
        connection.close()


def _scraped(running):
    try:
        return running.get("/metrics")[0] == 200
    except OSError:
        return False


def test_a_port_in_use_is_an_error(run):
    """
    Two exporters cannot listen on one port, and the second does not start.
    """
    running = run()

    with pytest.raises(OSError, match="in use"):
        Exporter(ExporterSettings(servers=(Target(name="a", address="127.0.0.1:9"),)), running.exporter.address)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"servers": ()}, "no server to watch"),
        ({"servers": (("a", "h:1"), ("a", "h:2"))}, "the name 'a' stands twice"),
        ({"servers": (("a", "h:1"), ("b", "h:1"))}, "the address 'h:1' stands twice"),
        ({"poll_seconds": 0.5}, "poll is 0.5s; write 1s to 600s"),
        ({"list_seconds": 1.0}, "lists is 1s; write 5s to 600s"),
        ({"timeout_seconds": 0.0}, "timeout is 0s"),
    ],
)
def test_settings_that_cannot_be_are_refused(options, said):
    """
    The message has the value and the remedy.
    """
    servers = options.pop("servers", (("a", "h:1"),))

    with pytest.raises(ValueError, match=said):
        ExporterSettings(servers=tuple(Target(name=name, address=address) for name, address in servers), **options)

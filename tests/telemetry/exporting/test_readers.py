"""Reading real sockets: what each kind of trouble does to the series, and to nobody else's."""

import logging
import threading

import pytest

from telemetry.catalogue import exporter, outrider
from telemetry.clock import ManualClock
from telemetry.exporting.board import Board
from telemetry.exporting.journal import Journal
from telemetry.exporting.readers import AutopilotReader, ListsReader, Reading, ServerReader
from telemetry.exporting.settings import ExporterSettings
from telemetry.exporting.source import Source
from telemetry.nomad_api import ApiSettings
from telemetry.scrape.description import Target
from tests.telemetry.exporting.fake_nomad import FakeNomad

DENIED = (403, b"Permission denied")


class World:
    """Servers that are faked, and readers whose steps the test takes."""

    def __init__(self, *servers, token=""):
        self.servers = servers
        self.clock = ManualClock()
        self.settings = ExporterSettings(
            servers=tuple(server.target for server in servers), timeout_seconds=0.3, api=ApiSettings(token=token)
        )
        self.board = Board(self.settings, self.clock.monotonic())
        reading = Reading(self.board, Journal(), self.clock)
        self.readers = [ServerReader(server.target, self.settings, reading) for server in servers]
        self.autopilot = AutopilotReader(self.settings, reading)
        self.lists = ListsReader(self.settings, reading)

    def poll(self):
        """Let every server be read once; return the seconds each reader would pause."""
        return [reader.step() for reader in self.readers]

    def values(self):
        """Return the value of every series now."""
        self.board.check_invariants()
        samples = self.board.sample(self.clock.monotonic())
        return {(sample.metric, sample.labels): sample.value for sample in samples}

    def of(self, metric):
        """Return the values of one metric by label, or by labels when there are several."""
        found = {labels: value for (other, labels), value in self.values().items() if other is metric}
        return {labels[0] if len(labels) == 1 else labels: value for labels, value in found.items()}

    def close(self):
        for reader in (*self.readers, self.autopilot, self.lists):
            reader.close()


@pytest.fixture
def make():
    """Return a function that makes a world of fake servers, ended after the test."""
    worlds, closed = [], set()

    def made(*servers, **options):
        worlds.append(World(*servers, **options))
        return worlds[-1]

    def end(server):
        if server not in closed:
            closed.add(server)
            server.close()

    made.end = end
    yield made
    for world in worlds:
        world.close()
        for server in world.servers:
            end(server)


def three():
    """Return a leader and two followers."""
    return FakeNomad("s1", leads=True), FakeNomad("s2"), FakeNomad("s3")


def test_every_server_says_its_own_view(make):
    """
    Each has a leader, one is it, and all were reached.
    """
    world = make(*three())

    pauses = world.poll()

    assert {"s1": 1.0, "s2": 1.0, "s3": 1.0} == world.of(outrider.SERVER_HAS_LEADER)
    assert {"s1": 1.0, "s2": 0.0, "s3": 0.0} == world.of(outrider.SERVER_IS_LEADER)
    assert {"s1": 1.0, "s2": 1.0, "s3": 1.0} == world.of(exporter.SERVER_REACHABLE)
    assert [5.0, 5.0, 5.0] == pauses


def test_the_leader_is_asked_for_without_waiting_for_one(make):
    """
    A server without a leader holds every read that is not stale for five seconds.
    """
    world = make(FakeNomad("s1"))

    world.poll()

    assert "/v1/status/leader?stale=" == world.servers[0].seen[0]


def test_a_server_that_refuses_costs_only_its_own_series(make):
    """
    Nothing is said of it but that it was not reached; the others are as before.
    """
    world = make(*three())
    world.poll()
    make.end(world.servers[2])

    world.poll()

    assert {"s1": 1.0, "s2": 1.0} == world.of(outrider.SERVER_HAS_LEADER)
    assert {"s1": 1.0, "s2": 1.0, "s3": 0.0} == world.of(exporter.SERVER_REACHABLE)


def test_a_server_that_hangs_costs_only_its_own_series(make):
    """
    A hung server is given up after the timeout, and its old values are not shown for fresh.
    """
    world = make(*three())
    world.poll()
    world.servers[0].hangs = True

    world.poll()

    assert {"s2": 1.0, "s3": 1.0} == world.of(outrider.SERVER_HAS_LEADER)
    assert {"s1": 0.0, "s2": 1.0, "s3": 1.0} == world.of(exporter.SERVER_REACHABLE)
    assert 1.0 == world.of(exporter.READ_FAILURES_TOTAL)["s1", "leader"]


def test_ages_grow_from_the_last_success(make):
    """
    The age of what was read of a server tells for how long it could not be.
    """
    world = make(FakeNomad("s1"), FakeNomad("s2"))
    world.poll()
    world.servers[1].hangs = True
    world.clock.advance(7.0)

    world.poll()

    assert 0.0 == world.of(exporter.AGE_SECONDS)["s1", "leader"]
    assert 7.0 == world.of(exporter.AGE_SECONDS)["s2", "leader"]


def test_a_view_that_no_reader_renews_is_dropped(make):
    """
    Should a reader be stuck, its server says nothing after two polls and their timeouts.
    """
    world = make(FakeNomad("s1"))
    world.poll()

    world.clock.advance(world.settings.view_kept_seconds - 0.1)
    kept = world.of(outrider.SERVER_HAS_LEADER)
    world.clock.advance(0.2)

    assert {"s1": 1.0} == kept
    assert {} == world.of(outrider.SERVER_HAS_LEADER)
    assert {"s1": 0.0} == world.of(exporter.SERVER_REACHABLE)


def test_without_a_leader_servers_are_asked_every_second(make):
    """
    All say so, and the end of a fail-over is not missed for a whole poll.
    """
    world = make(FakeNomad("s1", leader=""), FakeNomad("s2", leader=""))

    pauses = world.poll()

    assert {"s1": 0.0, "s2": 0.0} == world.of(outrider.SERVER_HAS_LEADER)
    assert [1.0, 1.0] == pauses


def test_a_change_of_leader_is_seen_at_the_next_poll(make):
    """
    The one that led says no, the new one says yes, and autopilot's word is the new one's.
    """
    world = make(*three())
    world.poll()
    world.autopilot.step()
    before = world.of(exporter.AUTOPILOT_HEALTHY)
    world.servers[0].leads, world.servers[1].leads = False, True

    world.poll()
    world.autopilot.step()

    assert {"s1": 1.0} == before
    assert {"s2": 1.0} == world.of(exporter.AUTOPILOT_HEALTHY)
    assert {"s1": 0.0, "s2": 1.0, "s3": 0.0} == world.of(outrider.SERVER_IS_LEADER)
    assert {"s1": 2.0, "s2": 2.0, "s3": 2.0} == world.of(outrider.RAFT_VOTERS_HEALTHY)


def test_an_unhealthy_autopilot_is_an_answer(make):
    """
    429 carries the usual body: not healthy, one healthy voter of two.
    """
    world = make(FakeNomad("s1", leads=True))
    world.servers[0].healthy = False
    world.poll()

    world.autopilot.step()

    assert {"s1": 0.0} == world.of(exporter.AUTOPILOT_HEALTHY)
    assert {"s1": 1.0} == world.of(outrider.RAFT_VOTERS_HEALTHY)
    assert 0.0 == world.of(exporter.READ_FAILURES_TOTAL)["s1", "autopilot"]


def test_without_a_leader_autopilot_is_not_asked(make):
    """
    It would hang for five seconds, and what it said of the former leader is let go.
    """
    world = make(FakeNomad("s1", leads=True))
    world.poll()
    world.autopilot.step()
    world.servers[0].leads, world.servers[0].leader = False, ""
    world.poll()
    world.servers[0].seen.clear()

    world.autopilot.step()

    assert [] == world.servers[0].seen
    assert {} == world.of(exporter.AUTOPILOT_HEALTHY)


def test_the_leader_is_preferred_and_another_server_takes_over(make):
    """
    Lists come from the leader; when it fails at one, a follower gives it and is said to.
    """
    follower, leader = FakeNomad("s1"), FakeNomad("s2", leads=True)
    world = make(follower, leader)
    world.poll()
    leader.answers["/v1/nodes"] = (500, b"No cluster leader")

    world.lists.step()

    assert {"s1": 0.0} == world.of(outrider.NODES_DRAINING)
    assert 1.0 == world.of(exporter.READ_FAILURES_TOTAL)["s2", "nodes"]
    # What failed once is asked last for a while.
    assert {"s1"} == {labels[0] for labels in world.of(exporter.JOBS)}


def test_lists_are_read_at_most_every_thirty_seconds(make):
    """
    A second step before that asks nothing.
    """
    world = make(FakeNomad("s1", leads=True))
    world.poll()
    pause = world.lists.step()
    asked = len(world.servers[0].seen)
    world.clock.advance(29.9)

    world.lists.step()

    assert 30.0 == pause
    assert asked == len(world.servers[0].seen)


def test_a_list_that_did_not_change_is_not_read_again(make):
    """
    One item tells the index; only a new one makes the exporter read the whole.
    """
    world = make(FakeNomad("s1", leads=True))
    world.poll()
    world.lists.step()
    world.servers[0].seen.clear()
    world.clock.advance(30.0)
    world.lists.step()
    unchanged = world.servers[0].paths().count("/v1/nodes")
    world.servers[0].lists["/v1/nodes"][0]["Drain"] = True
    world.servers[0].index += 1
    world.servers[0].seen.clear()
    world.clock.advance(30.0)

    world.lists.step()

    assert 1 == unchanged
    assert 2 == world.servers[0].paths().count("/v1/nodes")
    assert {"s1": 1.0} == world.of(outrider.NODES_DRAINING)
    assert 0.0 == world.of(exporter.SOURCE_AGE_SECONDS)["nodes"]


def test_a_long_list_is_read_page_by_page(make):
    """
    450 nodes are three pages, and all are counted.
    """
    world = make(FakeNomad("s1", leads=True))
    node = world.servers[0].lists["/v1/nodes"][0] | {"Status": "ready", "SchedulingEligibility": "eligible"}
    world.servers[0].lists["/v1/nodes"] = [node] * 450
    world.poll()

    world.lists.step()

    assert 450.0 == world.of(outrider.NODES)["s1", "ready", "eligible"]
    assert 4 == world.servers[0].paths().count("/v1/nodes")


@pytest.mark.parametrize("answer", [(404, b""), (400, b"no filters here")])
def test_evaluations_are_counted_here_where_the_server_cannot(make, answer):
    """
    The counts are the same, whoever counts.
    """
    world = make(FakeNomad("s1", leads=True))
    world.poll()
    world.lists.step()
    counted_there = world.of(exporter.EVALUATIONS)
    world.servers[0].answers["/v1/evaluations/count"] = answer
    world.clock.advance(30.0)

    world.lists.step()

    assert counted_there.items() <= world.of(exporter.EVALUATIONS).items()
    assert 16.0 == counted_there["s1", "complete"]
    assert 5 == len(counted_there)


def test_what_the_token_does_not_allow_is_said_once(make, caplog):
    """
    403 is told once with the rule that is needed, whichever servers say it; what is open to all is still exported.
    """
    caplog.set_level(logging.INFO)
    world = make(*three())
    for server in world.servers:
        server.answers["/v1/agent/self"] = DENIED

    world.poll()
    world.poll()

    told = [record.getMessage() for record in caplog.records]
    assert 1 == len(told)
    assert 'agent { policy = "read" }' in told[0]
    assert {"s1": 1.0, "s2": 1.0, "s3": 1.0} == world.of(outrider.SERVER_HAS_LEADER)
    assert {} == world.of(outrider.SERVER_IS_LEADER)
    assert 1.0 == world.of(exporter.SOURCE_DENIED)["self"]


def test_a_denied_list_is_asked_of_one_server(make):
    """
    Another one would say the same.
    """
    world = make(*three())
    for server in world.servers:
        server.answers["/v1/nodes"] = DENIED
    world.poll()

    world.lists.step()

    assert [1, 0, 0] == [server.paths().count("/v1/nodes") for server in world.servers]
    assert {} == world.of(outrider.NODES_DRAINING)
    assert {} != world.of(exporter.JOBS)


def test_a_change_of_leader_is_told(make, caplog):
    """
    Two lines: who leads no longer, and who does.
    """
    world = make(*three())
    world.poll()
    caplog.set_level(logging.INFO)
    world.servers[0].leads, world.servers[1].leads = False, True

    world.poll()
    world.poll()

    told = [record.getMessage() for record in caplog.records]
    assert ["server leads no longer server=s1 term=2", "server leads server=s2 term=2"] == told


def test_a_reader_that_was_told_to_end_takes_nothing_down(make):
    """
    What a former reader brings late does not stand for what its successor read.
    """
    world = make(FakeNomad("s1", leads=True))
    stop = threading.Event()
    late = ServerReader(world.servers[0].target, world.settings, Reading(world.board, Journal(), world.clock, stop))
    stop.set()

    late.step()

    late.close()
    assert 2 == len(world.servers[0].seen)
    assert {"s1": 0.0} == world.of(exporter.SERVER_REACHABLE)
    assert 0.0 == world.of(exporter.READS_TOTAL)["s1", "leader"]


def test_every_server_is_spoken_to_with_the_settings_of_all():
    """
    Scheme, token and timeouts are kept; region and namespace of the environment are not.
    """
    api = ApiSettings(token="t", region="far", namespace="mine", ca_cert="ca.pem")
    settings = ExporterSettings(servers=(Target(name="a", address="h:1"),), scheme="https", api=api)

    found = settings.api_of(settings.servers[0], 7.0)

    assert ("https://h:1", "t", "", "", "ca.pem", 7.0) == (
        found.address,
        found.token,
        found.region,
        found.namespace,
        found.ca_cert,
        found.timeout_seconds,
    )


def test_trouble_is_told_when_it_begins_and_when_it_is_over(make, caplog):
    """
    Three polls of a server that hangs are one line, and its return is another.
    """
    caplog.set_level(logging.INFO)
    world = make(FakeNomad("s1"))
    world.servers[0].hangs = True
    for _ in range(3):
        world.poll()
    world.servers[0].hangs = False

    world.poll()

    told = [
        record.getMessage().partition(" error=")[0]
        for record in caplog.records
        if "server leads" not in record.getMessage()
    ]
    assert ["server does not answer server=s1", "server answers again server=s1"] == told


@pytest.mark.parametrize(
    "body", [b"<html>", b'{"stats": {}}', b"[]", b'{"stats": {"nomad": {"server": "true"}}}', b"null", b"\xff\xfe"]
)
def test_a_malformed_answer_is_a_failure_of_that_source_alone(make, body):
    """
    The leader is still known, and the failure counted.
    """
    world = make(FakeNomad("s1"))
    world.servers[0].answers["/v1/agent/self"] = (200, body)

    world.poll()

    assert {"s1": 1.0} == world.of(exporter.SERVER_REACHABLE)
    assert 1.0 == world.of(exporter.READ_FAILURES_TOTAL)["s1", "self"]
    assert {} == world.of(outrider.RAFT_TERM)


def test_a_clients_address_is_not_taken_for_a_servers(make):
    """
    A client knows of a leader by hearsay: nothing is exported of it.
    """
    world = make(FakeNomad("s1"))
    world.servers[0].answers["/v1/agent/self"] = (200, b'{"stats": {"client": {}}, "member": {}}')

    world.poll()

    assert {} == world.of(outrider.SERVER_HAS_LEADER)


def test_the_token_is_sent_and_never_logged(make, caplog):
    """
    A secret is in the header of a request and nowhere else.
    """
    caplog.set_level(logging.DEBUG)
    world = make(FakeNomad("s1"), token="a-secret")
    world.servers[0].answers["/v1/agent/self"] = (500, b"broken")

    world.poll()

    assert "broken" in caplog.text
    assert "a-secret" not in caplog.text
    assert "a-secret" not in repr(world.settings)


def test_servers_can_change(make):
    """
    What is known of a server that stays is kept, one that goes is gone, and a new one begins at nothing.
    """
    first, second, third = three()
    world = make(first, second)
    world.poll()
    later = ExporterSettings(servers=(second.target, third.target))

    world.board.watch(later, world.clock.monotonic())

    third.close()
    assert {"s2": 1.0} == world.of(outrider.SERVER_HAS_LEADER)
    assert {"s2": 1.0, "s3": 0.0} == world.of(exporter.SERVER_REACHABLE)
    assert {source.value for source in Source} == {
        source for server, source in world.of(exporter.READS_TOTAL) if server == "s3"
    }

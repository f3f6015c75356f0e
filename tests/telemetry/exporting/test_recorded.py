"""The exporter reads the answers of a real Nomad 2.0.5 off a socket, with their status and headers, as they were recorded.

Recorded of what it reads: at rest all seven sources, the count of evaluations and the first page of a list; without a
leader who leads, the server's own view, autopilot's refusal, nodes and jobs; with ACLs and no token who leads, and the
refusals of all but deployments. Not recorded, and made up from what is in `test_readers`: deployments and evaluations
without a leader, the refusal of deployments, the count of one status, autopilot's 429, and the pages after the first.
"""

import pytest

from telemetry.catalogue import exporter, outrider
from telemetry.exporting import bodies
from telemetry.exporting.readers import PAGE_ITEMS
from telemetry.exporting.source import LISTS, Source
from telemetry.nomad_api import ApiSettings, NomadApi
from tests.telemetry.exporting.recorded import RecordedNomad, answer
from tests.telemetry.exporting.test_readers import World

AT_REST = {
    Source.LEADER.path: "api/status-leader",
    Source.SELF.path: "api/agent-self",
    Source.AUTOPILOT.path: "api/operator-autopilot-health",
    Source.NODES.path: "api/nodes",
    Source.JOBS.path: "api/jobs",
    Source.DEPLOYMENTS.path: "api/deployments",
    Source.EVALUATIONS.path: "api/evaluations",
    "/v1/evaluations/count": "api/evaluations-count",
}
NO_LEADER = {
    Source.LEADER.path: "api-no-leader/status-leader-stale",
    Source.SELF.path: "api-no-leader/agent-self",
    Source.AUTOPILOT.path: "api-no-leader/autopilot-health",
    Source.NODES.path: "api-no-leader/nodes-stale",
    Source.JOBS.path: "api-no-leader/jobs-stale",
}
NO_TOKEN = {
    Source.LEADER.path: "api-acl/status-leader-anon",
    Source.SELF.path: "api-acl/agent-self-anon",
    Source.AUTOPILOT.path: "api-acl/autopilot-anon",
    Source.NODES.path: "api-acl/nodes-anon",
    Source.JOBS.path: "api-acl/jobs-anon",
    Source.EVALUATIONS.path: "api-acl/evals-anon",
    # Of the same kind, though not recorded of these two paths.
    Source.DEPLOYMENTS.path: "api-acl/jobs-anon",
    "/v1/evaluations/count": "api-acl/evals-anon",
}


@pytest.fixture
def read():
    """
    A function that lets an exporter read everything of a server with these recordings, and returns its world.
    """
    worlds = []

    def all_read(names, name="s2"):
        world = World(RecordedNomad(name, names))
        worlds.append(world)
        world.poll()
        world.autopilot.step()
        world.lists.step()
        return world

    yield all_read
    for world in worlds:
        world.close()
        world.servers[0].close()


def shown(values):
    """Return which of *values* are not 0, by the last label."""
    return {labels[-1]: value for labels, value in values.items() if value}


def failures(world):
    """Return the sources of which a read failed."""
    return {source for (_, source), many in world.of(exporter.READ_FAILURES_TOTAL).items() if many}


def test_a_leader_at_rest_is_understood_whole(read):
    """
    Every source is read without a failure, and each figure is the recorded one; 18 evaluations, whatever the filter.
    """
    world = read(AT_REST)

    assert set() == failures(world)
    assert {"s2": 1.0} == world.of(outrider.SERVER_HAS_LEADER) == world.of(outrider.SERVER_IS_LEADER)
    assert {"s2": 2.0} == world.of(outrider.RAFT_TERM)
    assert {"s2": 87.0} == world.of(outrider.RAFT_LAST_INDEX)
    assert {"s2": 3.0} == world.of(outrider.RAFT_VOTERS) == world.of(outrider.RAFT_VOTERS_HEALTHY)
    assert {"s2": 1.0} == world.of(exporter.AUTOPILOT_HEALTHY) == world.of(exporter.AUTOPILOT_FAILURE_TOLERANCE)
    assert {"eligible": 2.0} == shown(world.of(outrider.NODES))
    assert {"running": 6.0, "dead": 1.0} == shown(world.of(exporter.JOBS))
    assert {"running": 2.0, "successful": 2.0} == shown(world.of(exporter.DEPLOYMENTS))
    assert dict.fromkeys(bodies.EVALUATION_STATUSES, 18.0) == shown(world.of(exporter.EVALUATIONS))
    assert {source.value: 0.0 for source in Source} == world.of(exporter.SOURCE_DENIED)


def test_evaluations_are_read_as_a_list_where_the_server_does_not_count(read):
    """
    The recorded list has as many of each status as were recorded.
    """
    world = read({path: name for path, name in AT_REST.items() if not path.endswith("/count")})

    assert {"blocked": 1.0, "complete": 16.0, "pending": 1.0} == shown(world.of(exporter.EVALUATIONS))


def test_a_server_without_a_leader_is_understood(read):
    """
    It says that it has none, its term, and since when; what it still knows of nodes and jobs is read, and autopilot,
    which would hang, is not asked.
    """
    world = read(NO_LEADER, "s1")

    assert {"s1": 0.0} == world.of(outrider.SERVER_HAS_LEADER) == world.of(outrider.SERVER_IS_LEADER)
    assert {"s1": 1.0} == world.of(exporter.SERVER_REACHABLE)
    assert {"s1": 7.0} == world.of(outrider.RAFT_TERM)
    assert {"s1": 556.0} == world.of(outrider.RAFT_APPLIED_INDEX)
    assert {"s1": pytest.approx(11.444595997)} == world.of(outrider.RAFT_LAST_CONTACT_SECONDS)
    assert {"s1": 1.0} == world.of(outrider.RAFT_VOTERS_HEALTHY)
    assert {"eligible": 2.0} == shown(world.of(outrider.NODES))
    assert {"running": 4.0, "dead": 17.0} == shown(world.of(exporter.JOBS))
    assert Source.AUTOPILOT.path not in world.servers[0].paths()
    assert {} == world.of(exporter.AUTOPILOT_HEALTHY)
    assert {"deployments", "evaluations"} == failures(world)


def test_autopilot_without_a_leader_says_nothing_of_health(read):
    """
    A server that still calls another one its leader, while autopilot's answer is that there is none.
    """
    world = read(AT_REST | {Source.AUTOPILOT.path: NO_LEADER[Source.AUTOPILOT.path]})

    assert {"autopilot"} == failures(world)
    assert {} == world.of(exporter.AUTOPILOT_HEALTHY) == world.of(outrider.RAFT_VOTERS_HEALTHY)
    assert {"s2": 3.0} == world.of(outrider.RAFT_VOTERS)


def test_what_a_token_does_not_allow_is_known_as_that(read):
    """
    Without one only the leader is known; every other source is denied, and no series is made up for it.
    """
    world = read(NO_TOKEN)

    denied = {source.value: float(source is not Source.LEADER) for source in Source}
    assert denied == world.of(exporter.SOURCE_DENIED)
    assert {"s2": 1.0} == world.of(outrider.SERVER_HAS_LEADER)
    for metric in (outrider.RAFT_TERM, exporter.AUTOPILOT_HEALTHY, outrider.NODES, exporter.JOBS, exporter.EVALUATIONS):
        assert {} == world.of(metric)


@pytest.mark.parametrize("source", LISTS, ids=lambda source: source.value)
def test_the_index_that_tells_of_a_change_is_in_each_list(source):
    """
    Without it every list would be read whole each time.
    """
    server = RecordedNomad("s2", AT_REST)
    try:
        with NomadApi(ApiSettings(address=f"http://{server.target.address}")) as api:
            found = api.get(source.path, {"per_page": 1}, stale=True)
    finally:
        server.close()

    assert int(answer(AT_REST[source.path])[1]["X-Nomad-Index"]) == found.index > 0
    assert found.known_leader is True


def test_a_page_says_where_the_next_one_begins():
    """
    The recorded first page of two jobs names the third, and the client asks on from there.
    """
    server = RecordedNomad("s2", {"/v1/jobs": "api/jobs-paged"})
    try:
        with NomadApi(ApiSettings(address=f"http://{server.target.address}")) as api:
            pages = api.pages("/v1/jobs", per_page=PAGE_ITEMS)
            first = [next(pages)["ID"] for _ in range(2)]
            server.names["/v1/jobs"] = "api/jobs"
            rest = [each["ID"] for each in pages]
    finally:
        server.close()

    assert ["failing", "nodeagent"] == first
    assert 7 == len(rest)
    assert "next_token=default.once" in server.seen[1]

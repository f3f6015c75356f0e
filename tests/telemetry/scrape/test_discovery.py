"""Following a cluster: what is kept while it is silent, what is served and written."""

import json
import threading

import pytest
import requests

from telemetry.clock import ManualClock
from telemetry.nomad_api import ApiSettings, NomadApi
from telemetry.scrape.description import AgentRole, ClusterDescription, Region, Target
from telemetry.scrape.description import Discovery as Kind
from telemetry.scrape.discovery import Discovery, Place
from telemetry.scrape.endpoint import DiscoveryServer, read_found, write_found
from telemetry.scrape.members import Known
from tests.telemetry.scrape.recorded_nomad import RecordedNomad, member, stub

SERVERS, CLIENTS = (Place("demo", "global", role) for role in (AgentRole.SERVER, AgentRole.CLIENT))


@pytest.fixture
def nomad():
    members = [member("s1", "127.0.0.11"), member("s2", "127.0.0.12"), member("s3", "127.0.0.13", "failed")]
    with RecordedNomad(members, [stub(1), stub(2, "down")]) as running:
        yield running


def connect(_region: str, address: str) -> NomadApi:
    return NomadApi(ApiSettings(address=f"http://{address}", timeout_seconds=10.0))


def description(nomad: RecordedNomad) -> ClusterDescription:
    servers = (Target(name="s1", address=nomad.address),)
    region = Region(name="global", expected_servers=3, servers=servers)
    return ClusterDescription(cluster="demo", regions=(region,), discovery=Kind.FILE)


def follow(nomad: RecordedNomad, clock: ManualClock | None = None, **more) -> Discovery:
    return Discovery(description(nomad), connect, clock or ManualClock(), **more)


def names(groups: list[dict]) -> list[str]:
    return [group["labels"]["instance"] for group in groups]


def test_agents_of_a_live_cluster_are_found(nomad):
    """
    Servers by /v1/agent/members, clients by /v1/nodes with the HTTP address of each.
    """
    nomad.http_port = 14646
    discovery = follow(nomad)

    assert discovery.round()

    assert ["s1", "s2", "s3"] == names(discovery.groups(SERVERS))
    labels = {"cluster": "demo", "region": "global", "role": "client", "instance": "c1", "datacenter": "dc1"}
    assert {"targets": ["127.0.0.21:14646"], "labels": labels} == discovery.groups(CLIENTS)[0]
    assert ["c1", "c2"] == names(discovery.groups(CLIENTS))


def test_the_targets_stay_when_the_cluster_is_gone(nomad):
    """
    The list is the last good one, and its age grows.
    """
    clock = ManualClock()
    discovery = follow(nomad, clock)
    discovery.round()
    nomad.stop()
    clock.advance(60)

    assert not discovery.round()

    assert ["s1", "s2", "s3"] == names(discovery.groups(SERVERS))
    assert ["c1", "c2"] == names(discovery.groups(CLIENTS))
    labels = 'cluster="demo",region="global",role="client"'
    text = discovery.metrics().decode()
    assert f"outrider_discovery_list_age_seconds{{{labels}}} 60\n" in text
    assert f"outrider_discovery_rounds_failed_total{{{labels}}} 1\n" in text
    assert f"outrider_discovery_targets{{{labels}}} 2\n" in text


def test_a_cluster_that_shrinks_for_good_shrinks_the_list(nomad):
    """
    After three answers without it a client is no target; a server that left is none at once.
    """
    discovery = follow(nomad)
    discovery.round()
    nomad.nodes.pop()
    nomad.members[2]["Status"] = "left"

    discovery.round()
    first = names(discovery.groups(CLIENTS)), names(discovery.groups(SERVERS))
    discovery.round()
    discovery.round()

    assert (["c1", "c2"], ["s1", "s2"]) == first
    assert ["c1"] == names(discovery.groups(CLIENTS))


def test_an_answer_without_a_leader_removes_nobody(nomad):
    """
    A server that has just started has an empty state.
    """
    discovery = follow(nomad)
    discovery.round()
    nomad.leader, nomad.nodes, nomad.members = "", [], nomad.members[:1]

    for _ in range(5):
        assert discovery.round()

    assert ["c1", "c2"] == names(discovery.groups(CLIENTS))
    assert ["s1", "s2", "s3"] == names(discovery.groups(SERVERS))


def test_a_token_without_node_read_costs_the_clients_alone(nomad, caplog):
    """
    The servers are found all the same, and why the clients are not is logged once.
    """
    nomad.forbidden.add("/v1/nodes")
    discovery = follow(nomad)

    assert not discovery.round()
    assert not discovery.round()

    assert ["s1", "s2", "s3"] == names(discovery.groups(SERVERS))
    [record] = caplog.records
    assert "role=client" in record.getMessage()
    assert "403 (Permission denied)" in record.getMessage()


def test_found_servers_are_asked_when_the_listed_one_is_gone(nomad):
    """
    Unless that is forbidden, as with a token over plain http.
    """
    with RecordedNomad([], nomad.nodes[:1]) as other:
        host, _, port = other.address.rpartition(":")
        found = Target(name="s9", address=f"{host}:{port}")
        nomad.stop()

        asked = [follow(nomad, earlier={SERVERS: Known.of([found])}, asks_found=asks).round() for asks in (True, False)]

        assert [True, False] == asked


def test_a_node_is_asked_for_its_address_once(nomad):
    """
    A thousand clients are not a thousand questions every round; only a node that changed is asked for again.
    """
    discovery = follow(nomad)
    discovery.round()
    discovery.round()
    before = sum(path.startswith("/v1/node/") for path in nomad.asked)
    nomad.nodes[0]["ModifyIndex"] += 1
    discovery.round()

    assert (2, 3) == (before, sum(path.startswith("/v1/node/") for path in nomad.asked))


@pytest.fixture
def endpoint():
    """Return what serves a discovery and gives its address; all are stopped at the end."""
    running = []

    def serve(discovery: Discovery) -> str:
        server = DiscoveryServer(("127.0.0.1", 0), discovery)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        running.append((server, thread))
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield serve
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_endpoint_answers_as_prometheus_wants(nomad, endpoint):
    """
    Status 200, JSON, and the whole list, also when the cluster has gone.
    """
    discovery = follow(nomad)
    url = endpoint(discovery)
    discovery.round()
    nomad.stop()
    discovery.round()

    answer = requests.get(f"{url}/targets?cluster=demo&region=global&role=server", timeout=10)

    assert (200, "application/json") == (answer.status_code, answer.headers["Content-Type"])
    assert ["s1", "s2", "s3"] == names(answer.json())
    assert 5 == len(requests.get(f"{url}/targets", timeout=10).json())


def test_before_the_first_answer_the_endpoint_gives_no_list(nomad, endpoint):
    """
    A list without what is to be found would take targets away; 503 lets Prometheus keep them.
    """
    nomad.stop()
    discovery = follow(nomad)
    url = endpoint(discovery)
    discovery.round()

    assert 503 == requests.get(f"{url}/targets?role=client", timeout=10).status_code
    assert 404 == requests.get(f"{url}/targets?role=clients", timeout=10).status_code
    assert "outrider_discovery_list_age_seconds" in requests.get(f"{url}/metrics", timeout=10).text
    assert " +Inf\n" in requests.get(f"{url}/metrics", timeout=10).text


def test_files_hold_what_is_found_beside_the_listed(nomad, tmp_path):
    """
    The listed ones stand in the file of `outrider build`; a second round changes nothing.
    """
    discovery = follow(nomad)
    discovery.round()

    first = write_found(description(nomad), discovery, tmp_path)
    second = write_found(description(nomad), discovery, tmp_path)

    files = ["nomad-server.json", "nomad-client.json"]
    assert (files, []) == ([path.name for path in first], second)
    assert files == [path.name for path in sorted((tmp_path / "targets/discovered").iterdir(), reverse=True)]
    assert ["s2", "s3"] == names(json.loads(first[0].read_text()))


def test_files_are_never_emptied_by_a_silent_cluster(nomad, tmp_path):
    """
    Neither by the process that wrote them nor by one that starts in the outage.
    """
    discovery = follow(nomad)
    discovery.round()
    [servers, clients] = write_found(description(nomad), discovery, tmp_path)
    nomad.stop()

    for again in (discovery, follow(nomad), follow(nomad, earlier=read_found(description(nomad), tmp_path))):
        again.round()
        write_found(description(nomad), again, tmp_path)

    assert ["s2", "s3"] == names(json.loads(servers.read_text()))
    assert ["c1", "c2"] == names(json.loads(clients.read_text()))


def test_a_file_that_is_damaged_is_written_anew(nomad, tmp_path):
    """
    It is as good as none.
    """
    path = tmp_path / "targets/discovered/nomad-client.json"
    path.parent.mkdir(parents=True)
    path.write_text("[{")
    discovery = follow(nomad, earlier=read_found(description(nomad), tmp_path))
    discovery.round()

    write_found(description(nomad), discovery, tmp_path)

    assert ["c1", "c2"] == names(json.loads(path.read_text()))

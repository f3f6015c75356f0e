"""A cluster of real processes under mutual TLS: it works, it lets nobody else in, and certificates change under way."""

import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess

import pytest
import requests

from compose.local import tasks_below
from compose.local_settings import default_agent_command
from telemetry.catalogue import Role, metrics_of
from telemetry.catalogue.comparison import AgentState, compare, seen_names
from telemetry.scraped import read_exposition
from tests.certificates import Authority, plain_context
from tests.figures import record
from tests.integration.agents import ADVERTISE, Agent, Ports, batch_job
from tests.integration.watch import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

SERVER = "server.global.nomad"


class Cluster:
    """Three servers and a client; each has files of its own, which a test may replace."""

    def __init__(self, folder):
        self.folder = folder
        self.authority = Authority(folder / "pki")
        self.cli = self.authority.certificate("cli")
        self.ports = [Ports.free() for _ in range(3)]
        self.servers = [self._server(number) for number in (1, 2, 3)]
        self.client = self._client("c1", self.authority.certificate("client"))

    @property
    def agents(self):
        return [*self.servers, self.client]

    def _server(self, number):
        own = self.ports[number - 1]
        joins = ", ".join(f'"127.0.0.1:{other.serf}"' for other in self.ports if other is not own)
        config = (
            f'name = "s{number}"\nbind_addr = "127.0.0.1"\n{own}{ADVERTISE}data_dir = "{self.folder}/data-s{number}"\n'
            'telemetry { prometheus_metrics = true collection_interval = "1s" disable_hostname = true }\n'
            f"server {{ enabled = true bootstrap_expect = 3 server_join {{ retry_join = [{joins}] }} }}\n"
        )
        return self._agent(f"s{number}", config, own, self.authority.certificate("server"))

    def _client(self, name, files, **keys):
        own = Ports.free()
        servers = ", ".join(f'"127.0.0.1:{port.rpc}"' for port in self.ports)
        config = (
            f'name = "{name}"\nbind_addr = "127.0.0.1"\n{own}{ADVERTISE}data_dir = "{self.folder}/data-{name}"\n'
            'telemetry { prometheus_metrics = true collection_interval = "1s" disable_hostname = true }\n'
            f"client {{ enabled = true servers = [{servers}] }}\n"
            'plugin "raw_exec" { config { enabled = true } }\n'
        )
        return self._agent(name, config, own, files, **keys)

    def _agent(self, name, config, ports, files, **keys):
        agent = TlsAgent(self.folder, name, config, ports)
        agent.config, agent.cli, agent.trust = config, self.cli, self.authority.file
        agent.give(files, **keys)
        return agent

    def start(self):
        for agent in self.agents:
            agent.start()
        for agent in self.agents:
            agent.ready(60)
        self.servers[0].leads(40)
        wait_until(lambda: self.nodes() == ["ready"], 40, "the client is ready")
        return self

    def nodes(self):
        with contextlib.suppress(requests.RequestException, ValueError):
            return [node["Status"] for node in self.servers[0].get("/v1/nodes").json()]
        return []

    def leader(self):
        for server in self.servers:
            with contextlib.suppress(requests.RequestException):
                if server.process.poll() is None and server.metric("outrider_server_is_leader") == 1:
                    return server
        return None

    def term(self):
        stats = self.servers[0].get("/v1/agent/self").json()["stats"]
        return int(stats["raft"]["term"])

    def close(self):
        for agent in self.agents:
            agent.close()
        # They outlive a client that is killed.
        for task in tasks_below(self.client.folder):
            task.kill()

    def outrider(self, *words, **environment):
        """Run the command line with Nomad's variables for this cluster."""
        own = {
            "NOMAD_ADDR": self.servers[1].url(""),
            "NOMAD_CACERT": str(self.authority.file),
            "NOMAD_CLIENT_CERT": str(self.cli.certificate),
            "NOMAD_CLIENT_KEY": str(self.cli.key),
        }
        return subprocess.run(
            [*default_agent_command(), *words],
            env={**os.environ, **own, **environment},
            capture_output=True,
            text=True,
            check=False,
        )


class TlsAgent(Agent):
    """An agent whose three files lie in a folder of its own; asked over HTTPS."""

    def give(self, files, **keys):
        """Make *files* those of the agent; it reads them at its start, or when it is told to."""
        own = self.folder / f"tls-{self.name}"
        own.mkdir(exist_ok=True)
        copies = [own / name for name in ("ca.pem", "cert.pem", "key.pem")]
        for source, copy in zip((files.ca, files.certificate, files.key), copies, strict=True):
            shutil.copyfile(source, copy)
        stanza = type(files)(*copies).stanza(verify_https_client=True, **keys)
        self.file.write_text(self.config + stanza)

    def url(self, path):
        return f"https://127.0.0.1:{self.ports.http}{path}"

    def get(self, path, timeout=12):
        return requests.get(self.url(path), timeout=timeout, **self._shown())

    def put(self, path, body, timeout=12):
        return requests.put(self.url(path), json=body, timeout=timeout, **self._shown())

    def _shown(self):
        return {"verify": str(self.trust), "cert": (str(self.cli.certificate), str(self.cli.key))}

    def since(self, at=0):
        """Return the log lines after the first *at* characters."""
        return self.text()[at:].splitlines()

    def refusals(self, at, listener):
        return [line for line in self.since(at) if f"{listener}: refused a connection from=127.0.0.1:" in line]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    made = Cluster(tmp_path_factory.mktemp("tls"))
    try:
        yield made.start()
    finally:
        made.close()


def running(cluster, job):
    with contextlib.suppress(requests.RequestException, ValueError):
        found = cluster.servers[0].get(f"/v1/job/{job}/allocations").json()
        return [alloc["ID"] for alloc in found if alloc["ClientStatus"] == "running"]
    return []


def test_a_job_runs_and_the_command_line_gets_in(cluster):
    """
    Election, registration, scheduling and heartbeats go over TLS, and so do the commands, by variables and by flags.
    """
    assert 200 == cluster.servers[2].put("/v1/jobs", batch_job("web", 1, "/bin/sleep", "3600")).status_code
    wait_until(lambda: len(running(cluster, "web")) == 1, 40, "the allocation runs")

    members = cluster.outrider("server", "members")
    flags = ["-ca-cert", str(cluster.authority.file), "-client-cert", str(cluster.cli.certificate)]
    flags += [
        "-client-key",
        str(cluster.cli.key),
        "-tls-server-name",
        "client.global.nomad",
        "-address",
        cluster.client.url(""),
    ]
    status = cluster.outrider(
        "node", "status", *flags, NOMAD_ADDR="", NOMAD_CACERT="", NOMAD_CLIENT_CERT="", NOMAD_CLIENT_KEY=""
    )

    assert (0, 3) == (members.returncode, members.stdout.count("alive")), members.stderr
    assert (0, True) == (status.returncode, "ready" in status.stdout), status.stderr
    config = cluster.servers[0].get("/v1/agent/self").json()["config"]["TLSConfig"]
    assert [True] * 4 == [
        config[key] for key in ("EnableHTTP", "EnableRPC", "VerifyHTTPSClient", "VerifyServerHostname")
    ]
    assert "WARNING" not in cluster.servers[0].text()


def test_the_ends_of_certificates_are_measured(cluster):
    """
    On servers and clients, under Nomad's names, and nothing else is scraped than the catalogue has.
    """
    for agent, role in ((cluster.servers[0], Role.SERVER), (cluster.client, Role.CLIENT)):
        own = agent.metric("nomad_agent_tls_cert_expiration_seconds")
        authority = agent.metric("nomad_agent_tls_ca_expiration_seconds")
        scrape = read_exposition(agent.get("/v1/metrics?format=prometheus").text)

        assert 86_400 < own <= 2 * 86_400
        assert 29 * 86_400 < authority <= 30 * 86_400
        assert {metric.name for metric in metrics_of("tls").values()} <= seen_names(scrape)
        assert [] == compare(scrape, AgentState(place=agent.name, roles=role))


def test_the_command_line_without_a_certificate_is_told(cluster):
    """
    One sentence, and one line in the agent's log.
    """
    at = len(cluster.servers[1].text())

    bare = cluster.outrider("server", "members", NOMAD_CLIENT_CERT="", NOMAD_CLIENT_KEY="")

    assert 1 == bare.returncode
    assert "no client certificate was shown" in bare.stderr
    wait_until(lambda: cluster.servers[1].refusals(at, "http"), 30, "the log says it")
    assert "it shows no certificate" in cluster.servers[1].refusals(at, "http")[0]


def contexts(cluster, tmp_path):
    """Return how strangers come: without a certificate, with another CA's, with one that ended."""
    other = Authority(tmp_path, "other")
    return {
        "none": ssl.create_default_context(cafile=cluster.authority.file),
        "stranger": plain_context(other.certificate("server"), server_side=False, trusts=cluster.authority.file),
        "expired": plain_context(cluster.authority.expired("server"), server_side=False),
    }


def heard(port, context, words):
    """Dial, say *words*, and return what comes back, "refused" for a handshake that fails."""
    try:
        with (
            socket.create_connection(("127.0.0.1", port), 5) as plain,
            context.wrap_socket(plain, server_hostname=SERVER) as secured,
        ):
            secured.sendall(words)
            return secured.recv(1000) or b"refused"
    except OSError:
        return b"refused"


@pytest.mark.parametrize("who", ["none", "stranger", "expired"])
def test_strangers_get_nothing_on_any_port(cluster, tmp_path, who):
    """
    HTTP and Raft say so once in the log, however often they knock; nothing fails, and the leader leads on.
    """
    # The third, as the others are knocked at by it later: the same host and reason are told once a minute.
    server, context = cluster.servers[2], contexts(cluster, tmp_path)[who]
    at, term = len(server.text()), cluster.term()

    for _ in range(3):
        for port, words in (
            (server.ports.http, b"GET / HTTP/1.1\r\n\r\n"),
            (server.ports.rpc, b"PRI *"),
            (server.ports.raft, b"\0" * 8),
        ):
            assert b"refused" == heard(port, context, words)

    for listener in ("http", "raft"):
        wait_until(lambda listener=listener: server.refusals(at, listener), 30, f"{listener} says it")
        assert 1 >= len(server.refusals(at, listener)), server.refusals(at, listener)
    assert "Traceback" not in server.text() + server.errors()
    assert term == cluster.term()


@pytest.mark.parametrize("who", ["client", "stranger", "expired"])
def test_a_server_with_a_bad_certificate_does_not_come_back(cluster, tmp_path, who):
    """
    Restarted with a client's certificate, another CA's, or one that ended, it is no member until it has its own again.
    """
    others, third = cluster.servers[:2], cluster.servers[2]
    good = cluster.authority.certificate("server")
    match who:
        case "client":
            files = cluster.authority.certificate("client")
        case "stranger":
            files = Authority(tmp_path, "other").certificate("server")
        case _:
            files = cluster.authority.expired("server")
    third.close()
    # Its own check of names would not let it start with a client's.
    third.give(files, verify_server_hostname=who != "client")
    marks = [len(server.text()) for server in others]
    third.out.unlink()
    third.start().ready(60)

    for server, at in zip(others, marks, strict=True):
        wait_until(lambda server=server, at=at: server.refusals(at, "raft"), 30, "the others say it")
    wait_until(lambda: "raft: no connection" in third.text(), 30, "it says so itself")
    health = {
        peer["Name"]: peer["Healthy"]
        for peer in cluster.servers[0].get("/v1/operator/autopilot/health").json()["Servers"]
    }
    assert not health.get("s3", False)
    assert all(len(server.refusals(at, "raft")) <= 3 for server, at in zip(others, marks, strict=True))
    assert "Traceback" not in third.text() + third.errors()
    assert cluster.leader() in others

    third.close()
    third.give(good)
    third.start().ready(60).leads(40)
    wait_until(lambda: cluster.outrider("server", "members").stdout.count("alive") == 3, 30, "it is back")


@pytest.mark.parametrize("who", ["stranger", "expired"])
def test_a_client_with_a_bad_certificate_does_not_register(cluster, tmp_path, who):
    """
    It says why, once, and goes on trying.
    """
    files = cluster.authority.expired("client") if who == "expired" else Authority(tmp_path, "o").certificate("client")
    rogue = cluster._client(f"rogue-{who}", files)
    try:
        rogue.start().ready(60)
        wait_until(lambda: "rpc: no connection to=" in rogue.text(), 30, "it says why")

        assert ["ready"] == cluster.nodes()
        assert "Traceback" not in rogue.text() + rogue.errors()
    finally:
        rogue.close()


def test_an_agent_does_not_start_as_what_it_is_not(cluster):
    """
    A server with a client's certificate is told before it listens, with file and line.
    """
    agent = cluster._agent(
        "wrong", cluster.servers[0].config, cluster.servers[0].ports, cluster.authority.certificate("client")
    )

    agent.start()

    assert 1 == agent.wait(30)
    assert "wrong.hcl:" in agent.errors()
    assert f"is not for {SERVER}" in agent.errors()
    assert "Traceback" not in agent.errors()


def test_a_lost_leader_is_replaced(cluster):
    """
    The others are connected already: no handshake stands between a killed leader and the next.
    """
    lost = cluster.leader()
    others = [server for server in cluster.servers if server is not lost]

    lost.close()
    seconds, _ = wait_until(lambda: cluster.leader() in others, 30, "another leads")

    record("tls.leader_replaced", seconds)
    lost.start().ready(60).leads(40)
    wait_until(lambda: cluster.outrider("server", "members").stdout.count("alive") == 3, 30, "it is back")


def hang_up(agents):
    """Tell *agents* to read their files, and wait until they have."""
    before = {agent.name: agent.text().count("certificates reloaded") for agent in agents}
    for agent in agents:
        agent.kill(signal.SIGHUP)
    for agent in agents:
        wait_until(
            lambda agent=agent: agent.text().count("certificates reloaded") > before[agent.name], 10, "it reloads"
        )


def test_a_new_authority_in_three_rounds(cluster, tmp_path):
    """
    Old and new together, new certificates, new alone: same leader, same term, the job runs on, no connection is lost.
    """
    leader, term = cluster.leader(), cluster.term()
    lost = sum(server.text().count("raft: no connection") for server in cluster.servers)
    old, new = cluster.authority, Authority(tmp_path, "new")
    both = tmp_path / "both.pem"
    both.write_bytes(old.file.read_bytes() + new.file.read_bytes())
    role = {agent.name: "client" if agent is cluster.client else "server" for agent in cluster.agents}

    for agent in cluster.agents:
        agent.give(old.certificate(role[agent.name], ca=both))
    hang_up(cluster.agents)
    for agent in cluster.agents:
        agent.give(new.certificate(role[agent.name], ca=both, days=9))
        agent.trust = both
    hang_up(cluster.agents)
    cluster.cli = new.certificate("cli")
    for agent in cluster.agents:
        agent.cli = cluster.cli
        agent.give(new.certificate(role[agent.name], days=9))
    hang_up(cluster.agents)
    cluster.authority = new

    assert (leader, term) == (cluster.leader(), cluster.term())
    assert lost == sum(server.text().count("raft: no connection") for server in cluster.servers)
    assert 200 == cluster.servers[1].put("/v1/jobs", batch_job("after", 1, "/bin/sleep", "3600")).status_code
    wait_until(lambda: len(running(cluster, "after")) == 1, 40, "new work runs")
    wait_until(lambda: cluster.client.metric("nomad_agent_tls_cert_expiration_seconds") > 8 * 86_400, 30, "measured")
    at = len(cluster.servers[0].text())
    assert b"refused" == heard(
        cluster.servers[0].ports.raft, plain_context(old.certificate("server"), server_side=False, trusts=new.file), b""
    )
    wait_until(lambda: cluster.servers[0].refusals(at, "raft"), 30, "the old authority is nobody's now")


def test_what_cannot_be_read_changes_nothing(cluster):
    """
    A half-written renewal is one line with the file, and the agent goes on with what it has.
    """
    server = cluster.servers[1]
    key = server.folder / "tls-s2" / "key.pem"
    good = key.read_bytes()
    key.write_bytes(cluster.authority.certificate("client").key.read_bytes())
    at = len(server.text())

    server.kill(signal.SIGHUP)

    wait_until(lambda: any("not reloaded" in line for line in server.since(at)), 30, "it says so")
    assert any("s2.hcl:" in line and "tls.key_file" in line for line in server.since(at))
    assert 200 == server.get("/v1/status/leader").status_code
    key.write_bytes(good)

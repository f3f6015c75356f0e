"""`outrider check` against agents and a Prometheus on loopback, with real sockets."""

import json
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from alert_rules.settings import ExpectedRegion, RuleSettings
from compose.check.command import check_group
from compose.check.gather import ask_region
from compose.check.needed import rule_names
from telemetry.clock import SystemClock
from telemetry.nomad_api import ApiSettings
from tests.certificates import Authority, plain_context
from tests.compose.check.fakes import Answer, agent_paths, exposition, serving

SLOW = ("nomad_raft_commitTime", "nomad_raft_leader_dispatchLog", "nomad_raft_boltdb_storeLogs")


def rested(role):
    """Return the same with the series back, each median at 2 ms."""
    return "\n".join(
        f"{line.rpartition(' ')[0]} 2" if line.startswith((*SLOW, "nomad_raft_replication_heartbeat{"))
        and 'quantile="0.5"' in line else line
        for line in exposition(role).splitlines()
    )  # fmt: skip


def data(value):
    return Answer(json.dumps({"status": "success", "data": value}))


def target(url, name, role, interval):
    return {
        "scrapeUrl": f"{url}/v1/metrics?format=prometheus",
        "scrapePool": f"nomad-{role}",
        "labels": {"instance": name, "role": role},
        "health": "up",
        "lastError": "",
        "scrapeInterval": interval,
    }


SHIPPED = tuple(
    sorted(rule_names(RuleSettings(cluster="demo", regions=(ExpectedRegion(name="global", expected_servers=3),))))
)


def prometheus_paths(targets, rules=SHIPPED):
    """Return the answers of a Prometheus with these targets and rules."""

    def query():
        return data({"resultType": "scalar", "result": [0, str(SystemClock().wall())]})

    return {
        "/api/v1/targets": data({"activeTargets": targets, "droppedTargets": []}),
        "/api/v1/rules": data({"groups": [{"name": "g", "rules": [{"name": r, "health": "ok"} for r in rules]}]}),
        "/api/v1/query": query,
        "/api/v1/status/tsdb": data({"headStats": {"numSeries": 4000}}),
    }


class World:
    """Three servers and two clients on loopback, their Prometheus, and a settings file that names them."""

    def __init__(self, stack, folder, *, interval="5s", client=None, left_out=(), authority=None, more=()):
        roles = {"s1": "follower", "s2": "leader", "s3": "follower", "c1": "client", "c2": "client"}
        self.urls = {}
        for name, role in roles.items():
            body = json.loads(agent_paths(role)["/v1/agent/self"].body)
            body["config"]["NodeName"] = name
            paths = client if name == "c1" and client else agent_paths(role, text=rested(role), body=body)
            word = "client" if name.startswith("c") else "server"
            context = authority and plain_context(authority.certificate(word), server_side=True)
            self.urls[name] = stack.enter_context(serving(paths, context))
        words = {name: "client" if name.startswith("c") else "server" for name in roles}
        targets = [target(self.urls[name], name, words[name], interval) for name in roles if name not in left_out]
        self.prometheus = stack.enter_context(serving(prometheus_paths(targets)))
        lines = ["cluster: demo", f'prometheus: "{urlsplit(self.prometheus).netloc}"']
        for word in ("server", "client"):
            lines.append(f"{word}s:")
            lines += [
                f'  - {{name: {name}, address: "{urlsplit(url).netloc}"}}'
                for name, url in self.urls.items()
                if words[name] == word
            ]
        lines += more
        self.file = folder / "outrider.yaml"
        self.file.write_text("\n".join(lines) + "\n")

    def check(self, *flags):
        return CliRunner().invoke(check_group, ["-f", str(self.file), *flags])


@pytest.fixture
def world(tmp_path):
    """
    A function that makes such a world.
    """
    with ExitStack() as stack:
        yield lambda **wrong: World(stack, tmp_path, **wrong)


def test_a_healthy_cluster_has_nothing_to_say(world):
    """
    One line that counts, and exit code 0.
    """
    done = world().check()

    assert 0 == done.exit_code, done.output
    [line] = done.output.splitlines()
    assert line.startswith("checked ")
    assert line.endswith(" things on 5 agents: nothing to say")


def scrape(authority, server_name):
    """Return the section of settings that reaches agents with certificates of *authority*."""
    own = authority.certificate("cli")
    return [
        "scrape:",
        "  scheme: https",
        f"  ca_file: {own.ca}",
        f"  cert_file: {own.certificate}",
        f"  key_file: {own.key}",
        f'  server_name: "{server_name}"',
    ]


def test_agents_that_speak_tls_are_asked_as_the_settings_say(world, tmp_path):
    """
    Over https, with its certificate, and each under the name of its role and region; nothing is exported before.
    """
    authority = Authority(tmp_path / "tls")

    done = world(authority=authority, more=scrape(authority, "{role}.{region}.nomad")).check()

    assert 0 == done.exit_code, done.output
    assert done.output.endswith(" things on 5 agents: nothing to say\n")


def test_an_agent_with_another_name_is_not_believed(world, tmp_path):
    """
    A certificate of the right authority for somebody else is an error that says so.
    """
    authority = Authority(tmp_path / "tls")

    done = world(authority=authority, more=scrape(authority, "server.{region}.nomad")).check()

    assert 1 == done.exit_code
    refused = [line for line in done.output.splitlines() if "it does not answer" in line]
    assert ["c1", "c2"] == [line.split()[1] for line in refused]
    assert "is not valid for 'server.global.nomad'" in refused[0]


def test_what_an_operator_gives_comes_before_the_settings(world, tmp_path, monkeypatch):
    """
    An authority in NOMAD_CACERT is trusted instead of that in the file.
    """
    authority, other = Authority(tmp_path / "tls"), Authority(tmp_path / "tls", "other")
    made = world(authority=authority, more=scrape(authority, "{role}.{region}.nomad"))
    monkeypatch.setenv("NOMAD_CACERT", str(other.file))

    done = made.check()

    assert 2 == done.exit_code
    assert "failed to verify certificate" in done.output


def test_an_exporter_in_the_settings_is_no_agent(world):
    """
    It has no API of an agent and is not asked.
    """
    done = world(more=["exporters:", '  - {name: exporter, address: "127.0.0.1:1"}']).check()

    assert 0 == done.exit_code, done.output
    assert done.output.endswith(" things on 5 agents: nothing to say\n")


def test_two_things_set_wrong_are_two_findings_with_their_places(world):
    """
    Errors and warnings say agent and field, or the target, and the exit code is 1.
    """
    body = json.loads(agent_paths("client")["/v1/agent/self"].body)
    body["config"]["Telemetry"]["DisableHostname"] = False
    made = world(interval="40s", client=agent_paths("client", text=exposition("client"), body=body))

    done = made.check()

    assert 1 == done.exit_code
    lines = done.output.splitlines()
    assert 5 == sum("scrape_interval of nomad-" in line for line in lines)
    [hostname] = [line for line in lines if "disable_hostname is false" in line]
    assert hostname.startswith(f"WARNING  c1 ({made.file}:8), telemetry.disable_hostname")
    assert lines[-1].endswith("on 5 agents: 5 errors, 1 warning")
    assert lines.index(hostname) > max(n for n, line in enumerate(lines) if line.startswith("ERROR"))


def test_json_has_the_findings_as_objects(world):
    """
    Each has its check, weight, place, what was seen, why and remedy.
    """
    done = world(left_out=("c2",)).check("--json")

    body = json.loads(done.stdout)
    assert 1 == done.exit_code
    assert ["targets"] * len(body["findings"]) == [each["check"] for each in body["findings"]]
    assert {"check", "weight", "place", "seen", "why", "remedy", "metric"} == set(body["findings"][0])
    assert body["findings"][0]["seen"].endswith("is not among its targets")


def test_addresses_alone_are_enough(world, tmp_path, monkeypatch):
    """
    Without settings the agents and the Prometheus that are named are looked at; without a Prometheus it is said.
    """
    monkeypatch.chdir(tmp_path)
    made = world()
    made.file.unlink()
    addresses = [word for name in ("s1", "s2", "s3") for word in ("--address", made.urls[name])]

    alone = CliRunner().invoke(check_group, addresses)
    both = CliRunner().invoke(check_group, [*addresses, "--prometheus", made.prometheus])

    assert 0 == alone.exit_code, alone.output
    assert "note: no Prometheus was looked at" in alone.output
    assert 0 == both.exit_code, both.output
    assert "on 3 agents: nothing to say" in both.output


def test_a_prometheus_that_is_none_is_one_error(world):
    """
    An address that answers something else is said with its address.
    """
    made = world()

    done = made.check("--prometheus", made.urls["s1"])

    assert 1 == done.exit_code
    assert f"ERROR    {made.urls['s1']}: it does not answer: HTTPError: 404" in done.output


def test_what_cannot_be_looked_at_is_exit_code_2(tmp_path):
    """
    Nobody who answers, and settings that cannot be read.
    """
    missing = CliRunner().invoke(check_group, ["-f", str(tmp_path / "no.yaml")])
    with serving({}) as url:
        pass
    nobody = CliRunner().invoke(check_group, ["--address", url])

    assert 2 == missing.exit_code
    assert "there is no such file" in missing.output
    assert 2 == nobody.exit_code
    assert "connection refused" in nobody.output


def test_members_of_other_regions_are_left_out():
    """
    Federated regions gossip together: a region has the size of its own servers.
    """
    body = json.loads(agent_paths("leader")["/v1/agent/members"].body)
    far = [{**member, "Tags": {**member["Tags"], "region": "far"}} for member in body["Members"]]
    body["Members"] += far
    with serving(agent_paths("leader") | {"/v1/agent/members": Answer(json.dumps(body))}) as url:
        region = ask_region("global", url, ApiSettings())

    assert 6 == len(body["Members"])
    assert 3 == len(region.members)
    assert () == region.errors


def test_what_is_refused_is_kept_as_a_reason():
    """
    A token that may not read the operator's API leaves autopilot out, and says so.
    """
    with serving(agent_paths("leader") | {"/v1/operator/autopilot/health": Answer("Permission denied", 403)}) as url:
        region = ask_region("global", url, ApiSettings())

    assert {} == region.autopilot
    assert ("/v1/operator/autopilot/health: Unexpected response code: 403 (Permission denied)",) == region.errors

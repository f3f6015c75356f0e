"""`outrider silence` and `outrider alert test` with real Alertmanagers, one and a pair."""

import re
import subprocess
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest

from alert_rules.rules import rule_set
from compose import generate
from compose.local_settings import default_agent_command
from compose.settings import parse_settings
from tests.integration.alertmanagers import alert_of, get, post, running
from tests.integration.notification_fakes import fakes
from tests.integration.watch import free_ports, wait_until
from tests.tools import find_or_explain

ALERTMANAGERS, ABSENT = find_or_explain("alertmanager")
pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

SETTINGS = """\
cluster: demo
group_wait: 1s
group_interval: 2s
alertmanager: [{addresses}]
servers:
  - {{name: server-1, address: "127.0.0.1:4646"}}
  - {{name: server-2, address: "127.0.0.1:4656"}}
  - {{name: server-3, address: "127.0.0.1:4666"}}
clients: [{{name: client-1, address: "127.0.0.1:4676"}}]
receivers: [{{name: hook, webhook: {{url: "{url}"}}}}]
"""
ID = re.compile(r"id ([0-9a-f-]{36});")


class World:
    """
    Running Alertmanagers, what their receiver got, and the command that is tried on them.
    """

    def __init__(self, file, ports, found):
        self.file = file
        self.ports = ports
        self.found = found
        self.settings = parse_settings(file.read_text())

    def outrider(self, *arguments):
        """
        Run the command to its end.
        """
        command = [*default_agent_command(), *arguments, "-f", str(self.file)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    def fire(self, name, **labels):
        """
        Send the alert *name* to every Alertmanager, as Prometheus does.
        """
        rules, links = rule_set(self.settings.rules), self.settings.rules.links
        alert = alert_of(rules, links, name, datetime.now(UTC), cluster="demo", region="global", **labels)
        for port in self.ports:
            post(port, alert)

    def states(self, port=None):
        """
        Return what each alert is, by name and server: active or suppressed.
        """
        return {
            (each["labels"]["alertname"], each["labels"].get("instance", "")): each["status"]["state"]
            for each in get(port or self.ports[0], "alerts")
        }

    def silenced(self):
        """
        Return the names of the alerts that a silence suppresses.
        """
        return {each["labels"]["alertname"] for each in get(self.ports[0], "alerts") if each["status"]["silencedBy"]}


@pytest.fixture(params=ALERTMANAGERS or [pytest.param(None, marks=pytest.mark.skip(reason=ABSENT))], ids=str)
def alertmanager(request):
    return request.param


def world(stack, alertmanager, folder, count):
    """
    Return *count* Alertmanagers that gossip, with their settings, running until *stack* ends.
    """
    found = stack.enter_context(fakes())
    taken = free_ports(2 * count)
    ports, gossip = taken[:count], taken[count:]
    addresses = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
    file = folder / "outrider.yaml"
    file.write_text(SETTINGS.format(addresses=addresses, url=found.url("/hook")))
    generate.build(parse_settings(file.read_text()), folder / "out")
    processes = [
        stack.enter_context(
            running(
                alertmanager.path,
                folder / "out" / "alertmanager.yml",
                folder / f"data-{number}",
                port,
                gossip=gossip[number] if count > 1 else None,
                peers=[each for each in gossip if each != gossip[number]] if count > 1 else [],
            )
        )
        for number, port in enumerate(ports)
    ]
    return World(file, ports, found), processes


@pytest.fixture
def single(alertmanager, tmp_path):
    with ExitStack() as stack:
        yield world(stack, alertmanager, tmp_path, 1)[0]


def test_a_server_is_silenced_for_maintenance(single):
    """
    Its alert is suppressed, that of another server and the risk are not; it is listed, and can be ended sooner.
    """
    done = single.outrider("silence", "server-2", "--for", "30m", "--comment", "new disk")
    single.fire("NomadServerDown", instance="server-2")
    single.fire("NomadServerDown", instance="server-3")

    assert 0 == done.returncode, done.stderr
    assert "Silenced server-2 until " in done.stdout
    assert 'instance="server-2", cluster="demo", region="global"' in done.stdout
    assert "NomadQuorumAtRisk still comes while server-2 is down" in done.stdout
    expected = {("NomadServerDown", "server-2"): "suppressed", ("NomadServerDown", "server-3"): "active"}
    wait_until(lambda: single.states() == expected, 30, "one is suppressed")
    [silence_id] = ID.findall(done.stdout)

    listed = single.outrider("silence", "list")
    assert f"{silence_id}  active  until " in listed.stdout
    assert "new disk" in listed.stdout

    ended = single.outrider("silence", "end", silence_id)
    assert f"Ended {silence_id}." in ended.stdout
    wait_until(lambda: set(single.states().values()) == {"active"}, 30, "none is suppressed")
    assert "Nothing is silenced" in single.outrider("silence", "list").stdout
    again = single.outrider("silence", "end", silence_id)
    assert 1 == again.returncode
    assert f"there is no silence '{silence_id}'" in again.stderr


def test_the_risk_is_silenced_too_when_asked_for(single):
    """
    With --with-risk the warning of the region is suppressed, the loss of the quorum is not.
    """
    done = single.outrider("silence", "server-2", "--for", "30m", "--with-risk")
    single.fire("NomadQuorumAtRisk")
    single.fire("NomadQuorumLost")

    assert 2 == len(ID.findall(done.stdout)), done.stdout + done.stderr
    wait_until(lambda: single.silenced() == {"NomadQuorumAtRisk"}, 30, "the risk is silenced")
    assert "active" == single.states()["NomadQuorumLost", ""]


def test_a_region_is_silenced_but_for_pages(single):
    """
    Warnings of the region are suppressed by the silence, a page is not.
    """
    done = single.outrider("silence", "--region", "global", "--for", "2h")
    single.fire("NomadServerDown", instance="server-1")
    single.fire("NomadClientDown", instance="client-1")
    single.fire("NomadQuorumLost")

    assert 0 == done.returncode, done.stderr

    wait_until(lambda: single.silenced() == {"NomadServerDown", "NomadClientDown"}, 30, "both warnings are silenced")
    assert "active" == single.states()["NomadQuorumLost", ""]


def test_a_pair_knows_each_others_silences_and_notifies_once(alertmanager, tmp_path):
    """
    Of two Alertmanagers one notifies, a silence holds on both, and when the first is gone the second answers.
    """
    with ExitStack() as stack:
        pair, (first, _) = world(stack, alertmanager, tmp_path, 2)
        wait_until(lambda: 2 == len(get(pair.ports[0], "status")["cluster"]["peers"]), 60, "they know each other")

        pair.fire("NomadServerDown", instance="server-3")
        wait_until(lambda: pair.found.to("/hook"), 60, "the receiver is told")
        done = pair.outrider("silence", "server-2", "--for", "30m")
        wait_until(lambda: get(pair.ports[1], "silences"), 60, "the second knows the silence")
        first.kill()
        first.wait(10)
        listed = pair.outrider("silence", "list")
        tested = pair.outrider("alert", "test")

        [silence_id] = ID.findall(done.stdout)
        assert silence_id in listed.stdout
        assert f"Alertmanager at http://127.0.0.1:{pair.ports[1]} took OutriderTest" in tested.stdout, tested.stderr
        wait_until(lambda: 2 <= len(pair.found.to("/hook")), 60, "the test alert arrives by the second")
        alerts = [delivery.body["alerts"][0]["labels"]["alertname"] for delivery in pair.found.to("/hook")]
        assert ["NomadServerDown", "OutriderTest"] == alerts

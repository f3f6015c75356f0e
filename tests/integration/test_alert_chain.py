"""`outrider alert test` through a real Alertmanager: a webhook and an e-mail server get the notification."""

import subprocess

import pytest

from compose import generate
from compose.local_settings import default_agent_command
from compose.settings import parse_settings
from tests.integration.alertmanagers import running
from tests.integration.notification_fakes import fakes
from tests.integration.watch import free_ports, wait_until
from tests.tools import find_or_explain

ALERTMANAGERS, ABSENT = find_or_explain("alertmanager")
pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

SETTINGS = """\
cluster: demo
group_wait: 1s
group_interval: 2s
alertmanager: 127.0.0.1:{alertmanager}
servers: [{{name: s1, address: "127.0.0.1:4646"}}]
receivers:
  - name: hook
    webhook: {{url: "{hook}"}}
  - name: post
    email: {{to: night@example.org, from: outrider@example.org, smarthost: "127.0.0.1:{smtp}", require_tls: false}}
  - name: core
    webhook: {{url: "{core}"}}
    teams: [core]
"""


@pytest.fixture(params=ALERTMANAGERS or [pytest.param(None, marks=pytest.mark.skip(reason=ABSENT))], ids=str)
def chain(request, tmp_path):
    """
    Return outrider.yaml of a real Alertmanager that runs with the generated configuration, and who listens to it.
    """
    (port,) = free_ports(1)
    with fakes() as found:
        text = SETTINGS.format(
            alertmanager=port, hook=found.url("/hook"), core=found.url("/core"), smtp=found.smtp_port
        )
        file = tmp_path / "outrider.yaml"
        file.write_text(text)
        generate.build(parse_settings(text, "outrider.yaml"), tmp_path / "out")
        with running(request.param.path, tmp_path / "out" / "alertmanager.yml", tmp_path / "data", port):
            yield file, found


def send_test_alert(file, *arguments):
    """
    Run `outrider alert test` to its end.
    """
    command = [*default_agent_command(), "alert", "test", "-f", str(file), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("severity", ["critical", "warning"])
def test_a_test_alert_reaches_every_receiver_of_its_severity(chain, severity):
    """
    The webhook gets JSON, the mail server a message that names cluster and summary; another team gets nothing.
    """
    file, found = chain

    finished = send_test_alert(file, "--severity", severity)
    wait_until(lambda: found.messages and found.to("/hook"), 60, "both receivers are told")

    assert 0 == finished.returncode, finished.stderr
    assert "these receivers should show it: hook, post.\n" in finished.stdout
    (alert,) = found.to("/hook")[0].body["alerts"]
    assert ("OutriderTest", severity) == (alert["labels"]["alertname"], alert["labels"]["severity"])
    message = found.messages[0]
    assert "night@example.org" == message["To"]
    assert f"{severity.upper()}: OutriderTest in demo/test" == message["Subject"]
    assert "nothing is wrong" in message.get_body(("plain",)).get_content()
    assert [] == found.to("/core")


def test_the_way_to_one_team_can_be_tested(chain):
    """
    With a label the test alert reaches the receivers of that team.
    """
    file, found = chain

    finished = send_test_alert(file, "--label", "team=core")
    wait_until(lambda: found.to("/core"), 60, "the team is told")

    assert "these receivers should show it: hook, post, core.\n" in finished.stdout
    assert "core" == found.to("/core")[0].body["alerts"][0]["labels"]["team"]


def test_an_alertmanager_that_is_not_there_is_named(tmp_path):
    """
    The address and the remedy stand in one sentence.
    """
    (port,) = free_ports(1)
    file = tmp_path / "outrider.yaml"
    file.write_text(SETTINGS.format(alertmanager=port, hook="http://127.0.0.1:1/", core="http://127.0.0.1:1/", smtp=1))

    finished = send_test_alert(file)

    assert 1 == finished.returncode
    assert f"127.0.0.1:{port}" in finished.stderr
    assert "Traceback" not in finished.stderr

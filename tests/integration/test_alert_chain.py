"""`outrider alert test` through a real Alertmanager: a webhook and an e-mail server get the notification."""

import json
import socketserver
import subprocess
import threading
import urllib.request
from email import message_from_string, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from compose import generate
from compose.local_settings import default_agent_command
from compose.settings import parse_settings
from compose.tools import Tool, find_tool
from tests.integration.watch import free_ports, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(90)]

SETTINGS = """\
cluster: demo
group_wait: 1s
group_interval: 2s
alertmanager: 127.0.0.1:{alertmanager}
servers: [{{name: s1, address: "127.0.0.1:4646"}}]
receivers:
  - name: hook
    webhook: {{url: "http://127.0.0.1:{webhook}/"}}
  - name: post
    email: {{to: night@example.org, from: outrider@example.org, smarthost: "127.0.0.1:{smtp}", require_tls: false}}
"""


class MailServer(socketserver.ThreadingTCPServer):
    """As much of SMTP as a delivery takes (RFC 5321); keeps the messages."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self):
        self.messages = []
        super().__init__(("127.0.0.1", 0), Session)


class Session(socketserver.StreamRequestHandler):
    """One delivery."""

    def handle(self):
        self.say("220 here")
        for line in self.rfile:
            match line.split(b" ")[0].strip().upper():
                case b"DATA":
                    self.say("354 go on")
                    self.server.messages.append(self.body())
                    self.say("250 kept")
                case b"QUIT":
                    self.say("221 bye")
                    return
                case _:
                    self.say("250 fine")

    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def body(self):
        lines = iter(self.rfile.readline, b".\r\n")
        return b"".join(line.removeprefix(b".") if line.startswith(b"..") else line for line in lines).decode()


class Hook(BaseHTTPRequestHandler):
    """A webhook that keeps what it gets."""

    def do_POST(self):
        self.server.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def listeners():
    """Return a mail server and a webhook on loopback."""
    mail, hook = MailServer(), ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    hook.bodies = []
    for server in (mail, hook):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield mail, hook
    for server in (mail, hook):
        server.shutdown()
        server.server_close()


@pytest.fixture
def chain(listeners, prometheus_tools, tmp_path):
    """Return outrider.yaml of a real Alertmanager that runs with the generated configuration."""
    mail, hook = listeners
    (port,) = free_ports(1)
    text = SETTINGS.format(alertmanager=port, webhook=hook.server_address[1], smtp=mail.server_address[1])
    file = tmp_path / "outrider.yaml"
    file.write_text(text)
    generate.build(parse_settings(text, "outrider.yaml"), tmp_path / "out")
    command = [
        find_tool(Tool.ALERTMANAGER, prometheus_tools),
        f"--config.file={tmp_path / 'out' / 'alertmanager.yml'}",
        f"--storage.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _ready(port), 20, "Alertmanager answers")
        yield file
    finally:
        process.terminate()
        process.wait(10)


def _ready(port):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/-/ready", timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


@pytest.mark.parametrize("severity", ["critical", "warning"])
def test_a_test_alert_reaches_every_receiver_of_its_severity(chain, listeners, severity):
    """
    The webhook gets JSON, the mail server a message that names cluster and summary.
    """
    mail, hook = listeners

    finished = subprocess.run(
        [*default_agent_command(), "alert", "test", "-f", str(chain), "--severity", severity],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    wait_until(lambda: mail.messages and hook.bodies, 20, "both receivers are told")

    assert 0 == finished.returncode, finished.stderr
    assert "hook" in finished.stdout
    assert "post" in finished.stdout
    (alert,) = hook.bodies[0]["alerts"]
    assert ("OutriderTest", severity) == (alert["labels"]["alertname"], alert["labels"]["severity"])
    message = message_from_string(mail.messages[0], policy=policy.default)
    assert "night@example.org" == message["To"]
    assert "OutriderTest" in message["Subject"]
    assert "nothing is wrong" in message.get_body(("plain", "html")).get_content()


def test_an_alertmanager_that_is_not_there_is_named(tmp_path):
    """
    The address and the remedy stand in one sentence.
    """
    (port,) = free_ports(1)
    file = tmp_path / "outrider.yaml"
    file.write_text(SETTINGS.format(alertmanager=port, webhook=1, smtp=1))

    finished = subprocess.run(
        [*default_agent_command(), "alert", "test", "-f", str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert 1 == finished.returncode
    assert f"127.0.0.1:{port}" in finished.stderr
    assert "Traceback" not in finished.stderr

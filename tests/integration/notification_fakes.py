"""Stands in, on loopback, for everything that Alertmanager notifies: HTTP services and a mail server."""

import base64
import json
import socketserver
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from email import message_from_string, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_MESSAGE = {"message_id": 1, "date": 1, "chat": {"id": -42, "type": "group"}}
ANSWERS = {
    "/pagerduty": (202, json.dumps({"status": "success"})),
    "/opsgenie": (202, json.dumps({"result": "accepted"})),
    # Without the chat in it Alertmanager would not survive the answer.
    "/telegram": (200, json.dumps({"ok": True, "result": _MESSAGE})),
    "/victorops": (200, json.dumps({"result": "success"})),
    "/slack": (200, "ok"),
    "/msteams/": (200, "1"),
}
"""What each service says when all is well: status and body."""


@dataclass
class Delivery:
    """One request of Alertmanager's, its body decoded."""

    path: str
    headers: dict
    body: dict


@dataclass
class Fakes:
    """What the stand-ins got, in the order it came."""

    http_port: int = 0
    smtp_port: int = 0
    requests: list = field(default_factory=list)
    messages: list = field(default_factory=list)
    logins: list = field(default_factory=list)

    def url(self, path):
        """Return the address of one of the services."""
        return f"http://127.0.0.1:{self.http_port}{path}"

    def to(self, prefix):
        """Return the requests to the paths that begin with *prefix*."""
        return [each for each in list(self.requests) if each.path.startswith(prefix)]


@contextmanager
def fakes():
    """Run the stand-ins until the end of the block."""
    found = Fakes()
    web = ThreadingHTTPServer(("127.0.0.1", 0), _Service)
    web.fakes = found
    with ExitStack() as stack:
        mail = stack.enter_context(_served(_MailServer(found)))
        found.http_port, found.smtp_port = web.server_address[1], mail.server_address[1]
        stack.enter_context(_served(web))
        yield found


@contextmanager
def _served(server):
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class _Service(BaseHTTPRequestHandler):
    """Answers as the real services do when all is well."""

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        self.server.fakes.requests.append(Delivery(self.path, dict(self.headers), body))
        if self.path.startswith("/discord"):
            self.send_response(204)
            self.end_headers()
            return
        code, text = next((answer for path, answer in ANSWERS.items() if self.path.startswith(path)), (200, ""))
        self.send_response(code)
        self.send_header("Content-Type", "application/json" if text.startswith("{") else "text/plain")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        """Say nothing."""


class _MailServer(socketserver.ThreadingTCPServer):
    """As much of SMTP as a delivery takes (RFC 5321, RFC 4954); keeps messages and logins."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, found):
        self.fakes = found
        super().__init__(("127.0.0.1", 0), _Session)


class _Session(socketserver.StreamRequestHandler):
    """One delivery."""

    def handle(self):
        self.say("220 here")
        for line in self.rfile:
            words = line.decode().split()
            match words[0].upper():
                case "EHLO":
                    self.say("250-here\r\n250 AUTH PLAIN")
                case "AUTH":
                    self.server.fakes.logins.append(tuple(base64.b64decode(words[2]).decode().split("\0")[1:]))
                    self.say("235 welcome")
                case "DATA":
                    self.say("354 go on")
                    self.server.fakes.messages.append(message_from_string(self.body(), policy=policy.default))
                    self.say("250 kept")
                case "QUIT":
                    self.say("221 bye")
                    return
                case _:
                    self.say("250 fine")

    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def body(self):
        lines = iter(self.rfile.readline, b".\r\n")
        return b"".join(line.removeprefix(b".") if line.startswith(b"..") else line for line in lines).decode()

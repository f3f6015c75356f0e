"""Agents and a Prometheus that answer with recorded bodies, on sockets of loopback."""

import contextlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

from telemetry.clock import SystemClock

GOLDEN = Path(__file__).parents[2] / "golden" / "nomad-2.0.5"
STARTED_AGO_SECONDS = 600


@dataclass
class Answer:
    """What one path is answered with."""

    body: str = ""
    status: int = 200
    headers: dict = field(default_factory=dict)


@contextlib.contextmanager
def serving(paths, context=None):
    """Serve *paths*, path to Answer or to a function that makes one, on a port of the system's choice; yield the URL.

    With a *context* over TLS. What is posted, such as a query to Prometheus, is handed to the function as its form.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            made = self._made()
            self._send(made() if callable(made) else made)

        def do_POST(self):
            made = self._made()
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self._send(made(form) if callable(made) else made)

        def _made(self):
            return paths.get(self.path.partition("?")[0], Answer("404 page not found", 404))

        def _send(self, answer):
            self.send_response_only(answer.status)
            for name, value in ({"Date": self.date_time_string()} | answer.headers).items():
                self.send_header(name, value)
            body = answer.body.encode()
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def golden(name):
    """Return a recorded body, decoded."""
    return json.loads((GOLDEN / "api" / name).read_text())


def exposition(role):
    """Return the recorded scrape of *role* as if its process had been started ten minutes ago."""
    started = SystemClock().wall() - STARTED_AGO_SECONDS
    lines = (GOLDEN / f"{role}.prom").read_text().splitlines()
    return "\n".join(
        f"process_start_time_seconds {started}" if line.startswith("process_start_time_seconds ") else line
        for line in lines
    )


def agent_paths(role, text=None, body=None):
    """Return the answers of an agent that is as the recorded one of *role*: leader, follower or client."""
    if body is None:
        body = golden("agent-self-client.json" if role == "client" else "agent-self.json")
        if role == "follower":
            body["stats"]["nomad"]["leader"] = "false"
            body["config"]["NodeName"] = "s1"
    return {
        "/v1/agent/self": Answer(json.dumps(body)),
        "/v1/metrics": Answer(text if text is not None else exposition(role)),
        "/v1/agent/members": Answer(json.dumps(golden("agent-members.json"))),
        "/v1/operator/autopilot/health": Answer(json.dumps(golden("operator-autopilot-health.json"))),
        "/v1/operator/raft/configuration": Answer(json.dumps(golden("operator-raft-configuration.json"))),
        "/v1/nodes": Answer(json.dumps(golden("nodes.json"))),
        "/v1/status/leader": Answer(json.dumps("127.0.0.12:4647")),
    }

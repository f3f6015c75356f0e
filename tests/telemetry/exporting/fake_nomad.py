"""A server's HTTP API as the exporter reads it, on a real socket of loopback: well, or in trouble of any kind."""

import contextlib
import copy
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from telemetry.scrape.description import Target

GOLDEN = Path(__file__).parents[2] / "golden" / "nomad-2.0.5" / "api"
_SELF = json.loads((GOLDEN / "agent-self.json").read_text())
_PILOT = json.loads((GOLDEN / "operator-autopilot-health.json").read_text())
LISTS = {
    path: json.loads((GOLDEN / f"{path.rpartition('/')[2]}.json").read_text())
    for path in ("/v1/nodes", "/v1/jobs", "/v1/deployments", "/v1/evaluations")
}


class FakeNomad:
    """One server. Change its attributes at any time; `answers` goes before what it would say by itself."""

    def __init__(self, name, *, leads=False, leader="10.0.0.1:4647"):
        self.name = name
        self.leads = leads
        self.leader = leader
        self.last_contact = "0" if leads else "20ms"
        self.healthy = True
        self.index = 83
        self.lists = copy.deepcopy(LISTS)
        self.answers = {}
        self.hangs = False
        self.seen = []
        self.asked = threading.Event()
        self._release = threading.Event()
        self.connections = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.fake = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def target(self):
        return Target(name=self.name, address=f"127.0.0.1:{self._server.server_address[1]}")

    def paths(self):
        """Return what was asked for, without options."""
        return [urlsplit(path).path for path in self.seen]

    def close(self):
        """End it; from then on its port refuses."""
        self._release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def wait_released(self):
        self._release.wait(30)

    def answer(self, path, query):
        """Return status, headers and body."""
        if path in self.answers:
            status, body = self.answers[path]
            return status, {}, body
        if path == "/v1/status/leader":
            return 200, {}, json.dumps(self.leader).encode()
        if path == "/v1/agent/self":
            return 200, {}, json.dumps(self._self()).encode()
        if path == "/v1/operator/autopilot/health":
            body = _PILOT | {"Healthy": self.healthy, "Servers": self._healths()}
            return (200 if self.healthy else 429), {}, json.dumps(body).encode()
        if path == "/v1/evaluations/count":
            status = query["filter"][0].split('"')[1]
            count = sum(item["Status"] == status for item in self.lists["/v1/evaluations"])
            return 200, {}, json.dumps({"Count": count}).encode()
        if path in self.lists:
            return self._page(self.lists[path], query)
        return 404, {}, b""

    def _page(self, items, query):
        start = int(query.get("next_token", ["0"])[0])
        end = start + int(query.get("per_page", ["1000000"])[0])
        more = {"X-Nomad-Nexttoken": str(end)} if end < len(items) else {}
        return 200, {"X-Nomad-Index": str(self.index), **more}, json.dumps(items[start:end]).encode()

    def _self(self):
        body = copy.deepcopy(_SELF)
        body["member"]["Name"] = f"{self.name}.global"
        body["stats"]["nomad"] |= {"leader": str(self.leads).lower(), "leader_addr": self.leader}
        body["stats"]["raft"]["last_contact"] = self.last_contact
        return body

    def _healths(self):
        template = _PILOT["Servers"][0]
        return [
            template | {"Name": f"{self.name}.global", "Leader": self.leads, "Healthy": True},
            template | {"Name": "other.global", "Leader": not self.leads, "Healthy": self.healthy},
        ]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Say nothing of a client that went away: ends in the middle of an answer are what is tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.server.fake.connections.append(self.connection)

    def do_GET(self):
        fake = self.server.fake
        fake.seen.append(self.path)
        fake.asked.set()
        if fake.hangs:
            fake.wait_released()
            self.close_connection = True
            return
        parts = urlsplit(self.path)
        status, headers, body = fake.answer(parts.path, parse_qs(parts.query, keep_blank_values=True))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

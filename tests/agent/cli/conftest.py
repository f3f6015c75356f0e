"""A local HTTP server that serves recorded bodies, and a way to run commands against it at a given moment."""

import json
import re
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner

from agent.cli.session import World
from telemetry.clock import ManualClock

GOLDEN = Path(__file__).parents[2] / "golden" / "nomad-2.0.5"


class Recordings(BaseHTTPRequestHandler):
    """Serves what a test put at a path: a value for JSON, (status, text) for an error, a list of those in turn."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        self.server.seen.append((self.command, parts.path, query, json.loads(data) if data else None))
        found = self.server.answers.get((self.command, parts.path), (404, ""))
        if isinstance(found, Turns):
            found = found.next()
        status, text = found if isinstance(found, tuple) else (200, json.dumps(found))
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - the names http.server looks for

    def log_message(self, *args):
        pass


class Turns:
    """Answers that follow each other; the last one stays."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def next(self):
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@dataclass(frozen=True)
class Golden:
    """What Nomad's command printed, without its hint at a web interface, and its exit code."""

    text: str
    exit_code: int


def recorded_body(name):
    return json.loads((GOLDEN / "api" / f"{name}.json").read_text(encoding="utf-8"))


def recorded_output(name):
    lines = (GOLDEN / "cli" / f"{name}.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    text = "".join(lines[1:-1])
    exit_code = int(re.match(r"exit (\d+)", lines[-1])[1])
    return Golden(re.sub(r"\n*\n==> View [^\n]*\n", "\n", text), exit_code)


@pytest.fixture
def body():
    return recorded_body


@pytest.fixture
def golden():
    return recorded_output


@pytest.fixture
def turns():
    return Turns


@pytest.fixture
def agent():
    """A server with the answers to give by method and path, and what it was asked."""
    found = ThreadingHTTPServer(("127.0.0.1", 0), Recordings)
    found.daemon_threads = True
    found.answers, found.seen = {}, []
    found.url = f"http://127.0.0.1:{found.server_address[1]}"

    def serve(path, answer, method="GET"):
        found.answers[method, path] = answer

    found.serve = serve
    thread = threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield found
    found.shutdown()
    found.server_close()
    thread.join()


@pytest.fixture
def run(agent, monkeypatch):
    """Run a command as if the clock showed *now*; waiting moves that clock."""
    for name in ("NOMAD_REGION", "NOMAD_NAMESPACE", "NOMAD_TOKEN", "NOMAD_CACERT", "NOMAD_CLIENT_CERT"):
        monkeypatch.delenv(name, raising=False)

    def one(command, *args, now=1795375627.0, address=None, stdin=None):
        clock = ManualClock(now)
        monkeypatch.setenv("NOMAD_ADDR", address or agent.url)
        return CliRunner().invoke(command, list(args), obj=World(clock, clock.advance), input=stdin)

    return one

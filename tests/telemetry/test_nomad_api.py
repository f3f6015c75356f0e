"""The client of a Nomad-compatible API, against a real HTTP server in this process."""

import base64
import hashlib
import io
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from telemetry import nomad_api
from telemetry.clock import ManualClock, SystemClock
from telemetry.nomad_api import (
    ApiError,
    ApiMalformed,
    ApiSettings,
    ApiUnreachable,
    NomadApi,
    with_overrides,
)
from tests.telemetry.speaking import TRICKLING, letters, speaking


class Handler(BaseHTTPRequestHandler):
    """Answers each path with what was put there: (status, headers, body)."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.server.seen.append((self.command, self.path, dict(self.headers), self.rfile.read(length)))
        status, headers, body = self.server.answers.get(urlsplit(self.path).path, (404, {}, b""))
        if status == 0:
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - the names http.server looks for

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.daemon_threads = True
    found.answers, found.seen = {}, []
    thread = threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield found
    found.shutdown()
    found.server_close()
    thread.join()


@pytest.fixture
def connect(server):
    made = []

    def make(**settings):
        address = f"http://127.0.0.1:{server.server_address[1]}"
        made.append(NomadApi(ApiSettings(address=address, **settings)))
        return made[-1]

    yield make
    for api in made:
        api.close()


def test_answer_with_headers(server, connect):
    """
    A read gives the body and what the headers say of its freshness.
    """
    headers = {"X-Nomad-Index": "556", "X-Nomad-Knownleader": "false", "X-Nomad-Lastcontact": "11450"}
    server.answers["/v1/jobs"] = (200, {**headers, "X-Nomad-Nexttoken": "default.once"}, b'[{"ID": "web"}]')

    answer = connect().get("/v1/jobs", stale=True)

    assert [{"ID": "web"}] == answer.value
    assert (556, False, 11.45, "default.once") == (
        answer.index, answer.known_leader, answer.last_contact_seconds, answer.next_token,
    )  # fmt: skip
    assert "/v1/jobs?stale=" == server.seen[0][1]


def test_settings_travel(server, connect):
    """
    Region, namespace and token go with every request, and the token only in its header.
    """
    server.answers["/v1/jobs"] = (200, {}, b"[]")

    connect(region="global", namespace="ops", token="5ec7e7").get("/v1/jobs", index=83, wait_seconds=2.0)

    ((_, path, headers, _),) = server.seen
    query = parse_qs(urlsplit(path).query)
    assert {"region": ["global"], "namespace": ["ops"], "index": ["83"], "wait": ["2000ms"]} == query
    assert "5ec7e7" == headers["X-Nomad-Token"]


def test_token_is_not_shown():
    """
    The settings do not give away the token when they are printed.
    """
    assert "5ec7e7" not in repr(ApiSettings(token="5ec7e7"))


def test_error_of_the_api(server, connect):
    """
    A refusal carries status and body, in the words of Nomad's client.
    """
    server.answers["/v1/jobs"] = (500, {}, b"No cluster leader")

    with pytest.raises(ApiError, match=r"^Unexpected response code: 500 \(No cluster leader\)$") as caught:
        connect().get("/v1/jobs")

    assert (500, "No cluster leader") == (caught.value.status, caught.value.body)


def test_accepted_status(server, connect):
    """
    A status that the caller accepts is a success with a body.
    """
    server.answers["/v1/operator/autopilot/health"] = (429, {}, b'{"Healthy": false}')

    answer = connect().get("/v1/operator/autopilot/health", accept={429})

    assert (429, {"Healthy": False}) == (answer.status, answer.value)


def test_redirect_is_not_followed(server, connect):
    """
    A redirect is an error, so that the token stays where it was sent.
    """
    server.answers["/v1/jobs"] = (307, {"Location": "http://127.0.0.1:1/"}, b"")

    with pytest.raises(ApiError, match="307"):
        connect(token="t").get("/v1/jobs")


def test_not_json(server, connect):
    """
    A page that is no JSON is told apart from an error of the API.
    """
    server.answers["/v1/jobs"] = (200, {}, b"<html>")

    with pytest.raises(ApiMalformed, match="is not JSON"):
        connect().get("/v1/jobs")


def closed_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_nobody_listens():
    """
    A refused connection is told in the words of Nomad's client.
    """
    port = closed_port()

    with NomadApi(ApiSettings(address=f"http://127.0.0.1:{port}")) as api, pytest.raises(ApiUnreachable) as caught:
        api.get("/v1/jobs", {"prefix": "we"})

    assert (
        f'Get "http://127.0.0.1:{port}/v1/jobs?prefix=we": dial tcp 127.0.0.1:{port}: connect: connection refused'
        == str(caught.value)
    )


def test_silence_times_out():
    """
    A server that accepts and says nothing is given up after the timeout.
    """
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = ApiSettings(address=f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_seconds=0.05)
        with NomadApi(settings) as api, pytest.raises(ApiUnreachable, match="context deadline exceeded"):
            api.get("/v1/jobs")


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"


@pytest.mark.parametrize("what", TRICKLING)
def test_an_answer_that_trickles_times_out(what):
    """
    Bytes that keep coming one by one do not make the time limit begin anew, whatever part of the answer they are.
    """
    whole, slow = TRICKLING[what]
    clock = SystemClock()
    with speaking(whole, *letters(slow), pause_seconds=0.02) as address:
        settings = ApiSettings(address=address, timeout_seconds=0.2)
        began = clock.monotonic()
        with NomadApi(settings) as api, pytest.raises(ApiUnreachable, match="context deadline exceeded"):
            api.get("/v1/jobs")
        assert clock.monotonic() - began < 0.02 * len(slow)


def test_a_file_may_come_slowly_once_its_header_is_there(monkeypatch):
    """
    The time limit of a transfer is for each part of the body, which may take longer than that as a whole.
    """
    monkeypatch.setattr(nomad_api, "TRANSFER_SECONDS", 0.4)
    digest = base64.b64encode(hashlib.sha256(b"0123456789").digest())
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nDigest: sha-256=" + digest + b"\r\n\r\n"
    into = io.BytesIO()
    with (
        speaking(head, *letters(b"0123456789"), pause_seconds=0.1) as address,
        NomadApi(ApiSettings(address=address)) as api,
    ):
        api.download("/v1/operator/snapshot", into)

    assert b"0123456789" == into.getvalue()


def test_a_body_that_ends_early():
    """
    Fewer bytes than were announced are no answer.
    """
    with speaking(HEAD, b"[]") as address, NomadApi(ApiSettings(address=address)) as api, pytest.raises(ApiUnreachable):
        api.get("/v1/jobs")


def test_connection_that_ends_early(server, connect):
    """
    A connection closed without an answer is unreachable, not a crash.
    """
    server.answers["/v1/jobs"] = (0, {}, b"")

    with pytest.raises(ApiUnreachable, match="EOF"):
        connect().get("/v1/jobs")


def test_reads_are_tried_again_and_writes_are_not():
    """
    Within its deadline a read is sent again; a write is sent once.
    """
    clock = ManualClock()
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        clock.advance(seconds)

    settings = ApiSettings(address=f"http://127.0.0.1:{closed_port()}", retry_seconds=1.0)
    with NomadApi(settings, clock=clock, pause=pause) as api:
        with pytest.raises(ApiUnreachable):
            api.get("/v1/jobs")
        reads = len(pauses)
        with pytest.raises(ApiUnreachable):
            api.put("/v1/jobs", {})

    assert (4, 4) == (reads, len(pauses))


def test_writes_send_json(server, connect):
    """
    A write sends its body as JSON and its method.
    """
    server.answers["/v1/jobs"] = (200, {"X-Nomad-Index": "7"}, b'{"EvalID": "e"}')

    answer = connect().put("/v1/jobs", {"Job": {"ID": "web"}})

    assert ({"EvalID": "e"}, 7) == (answer.value, answer.index)
    assert ("PUT", {"Job": {"ID": "web"}}) == (server.seen[0][0], json.loads(server.seen[0][3]))


def test_text(server, connect):
    """
    Metrics come as they are.
    """
    server.answers["/v1/metrics"] = (200, {}, b"nomad_x 1\n")

    assert "nomad_x 1\n" == connect().get_text("/v1/metrics", {"format": "prometheus"})


def test_pages(server, connect):
    """
    A long list is read page by page until no token comes.
    """
    server.answers["/v1/jobs"] = (200, {}, b"[1, 2]")

    assert [1, 2] == list(connect().pages("/v1/jobs", per_page=2))
    assert "/v1/jobs?per_page=2" == server.seen[0][1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"address": "127.0.0.1:4646"}, "is no URL of an agent"),
        ({"address": "unix:///run/nomad.sock"}, "is no URL of an agent"),
        ({"client_cert": "a.pem"}, "set both or neither"),
    ],
)
def test_settings_that_contradict(settings, message):
    """
    Settings that cannot work are refused when they are made.
    """
    with pytest.raises(ValueError, match=message):
        ApiSettings(**settings)


def test_environment():
    """
    Nomad's variables are read, and what is set beside them wins.
    """
    settings = ApiSettings.from_environment({"NOMAD_ADDR": "https://a:1", "NOMAD_SKIP_VERIFY": "true"})

    changed = with_overrides(settings, {"address": "http://b:2", "region": None, "token": ""})

    assert ("https://a:1", True) == (settings.address, settings.tls_skip_verify)
    assert ("http://b:2", "", "") == (changed.address, changed.region, changed.token)

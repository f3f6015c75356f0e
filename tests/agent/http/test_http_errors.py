"""Errors have the statuses and bodies recorded from a real Nomad, to the byte."""

import pytest

from agent.errors import NoClusterLeader, NotFound, Overloaded, RequestRefused, UnknownOutcome, Unreachable
from agent.rpc import methods as rpc

UNKNOWN = "12345678-1234-1234-1234-123456789abc"
META = {"X-Nomad-Index": "83", "X-Nomad-Knownleader": "true", "X-Nomad-Lastcontact": "0"}


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/v1/nodes?index=abc", 400, "Invalid index"),
        ("GET", "/v1/nodes?index=-1", 400, "Invalid index"),
        ("GET", "/v1/nodes?index=1&wait=abc", 400, "Invalid wait time"),
        ("GET", "/v1/nodes?index=1&wait=5", 400, "Invalid wait time"),
        ("GET", "/v1/jobs?region=mars", 500, "No path to region"),
        ("GET", "/v1/node/zz", 500, "node lookup failed: index error: UUID must be 36 characters"),
        ("GET", "/v1/nothing", 404, ""),
        ("GET", "/v1/job/web/deployment", 404, ""),
        ("POST", "/v1/job/web/plan", 404, ""),
        ("DELETE", "/v1/jobs", 405, "Invalid method"),
        ("POST", "/v1/job/web/allocations", 405, "Invalid method"),
        ("GET", "/v1/jobs/parse", 405, "Invalid method"),
        (
            "GET",
            "/v1/jobs?stale=maybe",
            400,
            "Expect `true` or `false` for `stale` query string parameter, got maybe",
        ),
    ],
)
def test_refused_before_any_call(agent, ask, method, path, status, text):
    """
    What is wrong with the request itself is said without asking a server.
    """
    answer = ask(method, path)

    assert (status, text) == (answer.status, answer.text)
    assert [] == agent.caller.asked


def test_filter_is_refused(ask):
    """
    A filter that would not be honoured is refused, not ignored.
    """
    answer = ask("GET", "/v1/jobs?filter=Type+%3D%3D+%22service%22")

    assert 400 == answer.status
    assert "filter" in answer.text


@pytest.mark.parametrize(
    ("method", "response", "path", "text"),
    [
        (rpc.JOB_GET_JOB, rpc.JobResponse, "/v1/job/nope", "job not found"),
        (rpc.JOB_SUMMARY, rpc.JobSummaryResponse, "/v1/job/nope/summary", "job not found"),
        (rpc.NODE_GET_NODE, rpc.NodeResponse, f"/v1/node/{UNKNOWN}", "node not found"),
        (rpc.ALLOC_GET_ALLOC, rpc.AllocResponse, f"/v1/allocation/{UNKNOWN}", "alloc not found"),
        (rpc.EVAL_GET_EVAL, rpc.EvalResponse, f"/v1/evaluation/{UNKNOWN}", "eval not found"),
    ],
)
def test_unknown_things(agent, ask, method, response, path, text):
    """
    What does not exist is 404 with the index at which it did not, as text.
    """
    agent.answer(method, response(index=83))

    answer = ask("GET", path)

    assert (404, text, "text/plain; charset=utf-8") == (answer.status, answer.text, answer.headers["Content-Type"])
    assert META == {name: answer.headers[name] for name in META}


def test_allocations_of_an_unknown_job(agent, ask):
    """
    An unknown job has no allocations, which is no error.
    """
    agent.answer(rpc.JOB_ALLOCATIONS, rpc.AllocListResponse(index=86))

    answer = ask("GET", "/v1/job/nope/allocations")

    assert (200, b"[]") == (answer.status, answer.body)


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (NoClusterLeader(), 500, "No cluster leader"),
        (
            Unreachable("dial tcp 127.0.0.12:4647: connect: connection refused"),
            500,
            "rpc error: failed to get conn: dial tcp 127.0.0.12:4647: connect: connection refused",
        ),
        (NotFound("job not found"), 404, "job not found"),
        (
            RequestRefused("Enforcing job modify index 0: job already exists"),
            500,
            "Enforcing job modify index 0: job already exists",
        ),
        (Overloaded("the plan queue is full"), 429, "the plan queue is full"),
        (UnknownOutcome("the leader was lost before it answered"), 500, "the leader was lost before it answered"),
    ],
)
def test_errors_of_a_call(agent, ask, error, status, text):
    """
    Each kind of error of a call has its status and its words.
    """
    agent.answer(rpc.NODE_LIST, error)

    answer = ask("GET", "/v1/nodes")

    assert (status, text, "text/plain; charset=utf-8") == (answer.status, answer.text, answer.headers["Content-Type"])


def test_bug_is_told_and_logged(agent, ask, caplog):
    """
    An error nobody raised on purpose is 500 for the caller and a traceback in the log, without details outside.
    """
    agent.caller.answers.clear()

    answer = ask("GET", "/v1/nodes")

    assert (500, "internal error; the agent's log has the details") == (answer.status, answer.text)
    assert "KeyError" in caplog.text


def test_headers_of_a_stale_read(agent, ask):
    """
    A stale read says how old it is, in whole milliseconds, and that no leader is known.
    """
    agent.answer(rpc.JOB_LIST, rpc.JobListResponse(index=556, last_contact_seconds=11.4509, known_leader=False))

    answer = ask("GET", "/v1/jobs?stale")

    assert agent.requests()[0].allow_stale
    assert ("556", "false", "11450") == tuple(answer.headers[name] for name in META)


def test_headers_on_the_wire(agent, serve):
    """
    Header names are spelt as Go sends them, and nothing tells of the software behind.
    """
    agent.answer(rpc.JOB_LIST, rpc.JobListResponse(index=0))

    raw = serve(lambda server: exchange(server.port, b"GET /v1/jobs HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))

    assert b"\r\nX-Nomad-Index: 1\r\n" in raw
    assert b"\r\nX-Nomad-Knownleader: true\r\n" in raw
    assert b"\r\nX-Nomad-Lastcontact: 0\r\n" in raw
    assert b"\r\nVary: Accept-Encoding\r\n" in raw
    assert b"Server:" not in raw


def test_empty_body_has_no_type(serve):
    """
    An unknown path is answered with no body and no type of one.
    """
    raw = serve(lambda server: exchange(server.port, b"GET /v1/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))

    assert raw.startswith(b"HTTP/1.1 404 ")
    assert b"Content-Type" not in raw
    assert b"\r\nContent-Length: 0\r\n" in raw


async def exchange(port, data):
    """Send *data* and return everything that comes until the server closes."""
    import asyncio

    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    received = await reader.read()
    writer.close()
    return received


def test_root_leads_to_the_ui(ask):
    """
    The root leads to /ui/, which says that there is none.
    """
    root, page = ask("GET", "/"), ask("GET", "/ui/")

    assert (307, "/ui/") == (root.status, root.headers["Location"])
    assert '<a href="/ui/">Temporary Redirect</a>.\n\n' == root.text
    assert (200, "text/html; charset=utf-8") == (page.status, page.headers["Content-Type"])

"""The client of Prometheus' API against answers on loopback."""

import gzip
import json
import math

import pytest

from telemetry import prometheus_api
from telemetry.clock import SystemClock
from telemetry.prometheus_api import Prometheus, PrometheusUnreachable, QueryRefused, ResultTooLarge
from tests.compose.check.fakes import Answer, serving
from tests.telemetry.speaking import TRICKLING, letters, speaking


def data(kind, result):
    return Answer(json.dumps({"status": "success", "data": {"resultType": kind, "result": result}}))


def test_every_type_of_result_is_series_of_points():
    """
    A number that stands alone has no labels, and what is no number stays one that is none.
    """
    answers = {
        "vector": data("vector", [{"metric": {"a": "b"}, "value": [7, "NaN"]}]),
        "scalar": data("scalar", [7, "3"]),
    }
    with serving({"/api/v1/query": lambda form: answers[form["query"][0]]}) as url:
        [one], [other] = (Prometheus(url).query(expr, 7) for expr in ("vector", "scalar"))

    assert {"a": "b"} == one.labels
    assert math.isnan(one.last)
    assert ({}, ((7.0, 3.0),)) == (other.labels, other.points)


def test_a_range_is_asked_with_its_step():
    """
    As Prometheus takes it, in seconds.
    """
    asked = []

    def query(form):
        asked.append(form)
        return data("matrix", [{"metric": {}, "values": [[10, "1"], [20, "2"]]}])

    with serving({"/api/v1/query_range": query}) as url:
        [found] = Prometheus(url).query_range("x", 10, 20, 10)

    assert ((10.0, 1.0), (20.0, 2.0)) == found.points
    assert [{"query": ["x"], "start": ["10.000"], "end": ["20.000"], "step": ["10"]}] == asked


@pytest.mark.parametrize(
    ("answer", "failure", "said"),
    [
        (
            Answer(json.dumps({"status": "error", "errorType": "execution", "error": "too many"}), 422),
            QueryRefused,
            "execution: too many",
        ),
        (
            Answer("<html>", 200),
            PrometheusUnreachable,
            "answered 200 and nothing of a Prometheus; is this its address?",
        ),
        (Answer("", 302, {"Location": "/login"}), PrometheusUnreachable, "answered 302 and nothing of a Prometheus"),
        (Answer("[" * 100_000), PrometheusUnreachable, "answered 200 and nothing of a Prometheus"),
        (data("stream", []), PrometheusUnreachable, "answered what no Prometheus does"),
        (data("vector", [{"value": [7, "1"]}]), PrometheusUnreachable, "answered what no Prometheus does"),
    ],
)
def test_what_is_no_answer_says_so(answer, failure, said):
    """
    A refusal has Prometheus' words; anything else names the address.
    """
    with serving({"/api/v1/query": lambda _form: answer}) as url, pytest.raises(failure) as failed:
        Prometheus(url).query("x", 0)

    assert said in str(failed.value)


@pytest.mark.parametrize("what", TRICKLING)
def test_an_answer_that_trickles_ends_with_the_time(what):
    """
    Bytes that keep coming one by one do not make the time begin anew, whatever part of the answer they are.
    """
    whole, slow = TRICKLING[what]
    clock = SystemClock()
    with speaking(whole, *letters(slow), pause_seconds=0.02) as url:
        began = clock.monotonic()
        with pytest.raises(PrometheusUnreachable, match=r"did not answer within 0\.2 s"):
            Prometheus(url, timeout_seconds=0.2).query("x", 0)
        assert clock.monotonic() - began < 0.02 * len(slow)


@pytest.mark.parametrize("is_packed", [False, True], ids=["plain", "packed"])
def test_an_answer_that_is_too_large_is_not_read_to_its_end(monkeypatch, is_packed):
    """
    What counts is its size unpacked; the message says what to ask for instead.
    """
    monkeypatch.setattr(prometheus_api, "BODY_BYTES_MAX", 200_000)
    body = b" " * 100_000_000
    head = b"HTTP/1.1 200 OK\r\n"
    if is_packed:
        body = gzip.compress(body, 1)
        head += b"Content-Encoding: gzip\r\n"
    with speaking(head + b"\r\n", body) as url, pytest.raises(ResultTooLarge) as failed:
        Prometheus(url).query("x", 0)

    assert (
        f"Prometheus at {url}: the answer is larger than 200000 bytes; ask for fewer series, or a shorter time"
        == str(failed.value)
    )


def test_an_answer_as_large_as_may_be_is_read(monkeypatch):
    """
    To the byte, and one byte more is too large.
    """
    answer = data("vector", [{"metric": {}, "value": [7, "1"]}])
    monkeypatch.setattr(prometheus_api, "BODY_BYTES_MAX", len(answer.body))
    with serving({"/api/v1/query": lambda _form: answer}) as url:
        assert 1 == len(Prometheus(url).query("x", 7))

        monkeypatch.setattr(prometheus_api, "BODY_BYTES_MAX", len(answer.body) - 1)
        with pytest.raises(ResultTooLarge):
            Prometheus(url).query("x", 7)


def test_a_header_without_end_is_no_answer():
    """
    However fast it comes.
    """
    with (
        speaking(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 10_000) as url,
        pytest.raises(PrometheusUnreachable, match="is it running there"),
    ):
        Prometheus(url).query("x", 0)


def test_a_password_in_the_address_is_not_repeated():
    """
    It is used, and no message has it.
    """
    prometheus = Prometheus("http://me:secret@127.0.0.1:1")

    with pytest.raises(PrometheusUnreachable) as failed:
        prometheus.query("x", 0)

    assert "http://127.0.0.1:1" == prometheus.shown
    assert "secret" not in str(failed.value)
    assert str(failed.value).endswith("Connection refused; is it running there?")


@pytest.mark.parametrize("url", ["", "localhost:9090", "ftp://x", "http://"])
def test_what_is_no_url_is_refused(url):
    """
    With an example of one.
    """
    with pytest.raises(ValueError, match=r"write one such as http://127\.0\.0\.1:9090"):
        Prometheus(url)

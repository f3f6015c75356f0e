"""The client of Prometheus' API against answers on loopback."""

import json
import math

import pytest

from telemetry.prometheus_api import Prometheus, PrometheusUnreachable, QueryRefused
from tests.compose.check.fakes import Answer, serving


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

"""A client of Prometheus' HTTP API for what people look at: queries at an instant and over a range, values of labels.

Proxies, .netrc and redirects are not followed. Source: Prometheus, HTTP API, "Expression queries" and "Querying
metadata"; errors come as JSON with `errorType` and `error`, whatever the status.

    PrometheusFailure
    ├── PrometheusUnreachable    no answer in time, or none of a Prometheus
    ├── ResultTooLarge           more than this client reads
    └── QueryRefused             Prometheus says why it will not; the message is its own
"""

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from telemetry import answer_time

TIMEOUT_SECONDS = 10.0
"""For one question and its whole answer; who looks at a page will not wait longer for a panel."""

BODY_BYTES_MAX = 64 * 1024 * 1024
"""A thousand series of 1,500 points are about 50 MB."""


class PrometheusFailure(Exception):
    """The root of what can go wrong between us and Prometheus."""


class PrometheusUnreachable(PrometheusFailure):
    """No answer of a Prometheus came; the message names the address, the reason and the remedy."""


class ResultTooLarge(PrometheusFailure):
    """The answer has more bytes than `BODY_BYTES_MAX`; the message says what to ask for instead."""


class QueryRefused(PrometheusFailure):
    """Prometheus answered that it will not, or cannot; the message is what it said."""


@dataclass(frozen=True, slots=True)
class Result:
    """A series that a query returned: labels, with `__name__` among them, and (Unix seconds, value), oldest first."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]

    @property
    def last(self) -> float:
        """The newest value."""
        return self.points[-1][1]


class Prometheus:
    """A Prometheus at an http or https URL; may be shared between threads. Raises ValueError for what is no URL."""

    def __init__(self, url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{url!r} is no URL of a Prometheus; write one such as http://127.0.0.1:9090")
        self._url = url.rstrip("/")
        self._timeout_seconds = timeout_seconds
        self._sessions = threading.local()
        self.shown = self._url.replace(f"{parts.netloc.rpartition('@')[0]}@", "")
        """The address without the password that it may hold."""

    def query(self, expr: str, at: float) -> list[Result]:
        """Return what *expr* is at Unix seconds *at*. Raises PrometheusFailure."""
        return self._results("query", {"query": expr, "time": f"{at:.3f}"})

    def query_range(self, expr: str, start: float, end: float, step_seconds: float) -> list[Result]:
        """Return what *expr* is from *start* to *end*, every *step_seconds*. Raises PrometheusFailure."""
        return self._results(
            "query_range",
            {"query": expr, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step_seconds:g}"},
        )

    def label_values(self, label: str, selector: str, start: float, end: float) -> list[str]:
        """Return the values of *label* on the series of *selector*, "" for all, in order. Raises PrometheusFailure."""
        parameters = {"start": f"{start:.3f}", "end": f"{end:.3f}"} | ({"match[]": selector} if selector else {})
        return sorted(str(value) for value in self._ask("GET", f"label/{label}/values", parameters))

    def _results(self, path: str, parameters: Mapping[str, str]) -> list[Result]:
        data = self._ask("POST", path, parameters)
        try:
            return list(_results(data))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise PrometheusUnreachable(f"{self.shown} answered what no Prometheus does: {error!r}") from error

    def _ask(self, method: str, path: str, parameters: Mapping[str, str]) -> Any:
        sent = {"params" if method == "GET" else "data": dict(parameters)}
        try:
            with self._session().request(
                method,
                f"{self._url}/api/v1/{path}",
                timeout=answer_time.within(self._timeout_seconds),
                stream=True,
                allow_redirects=False,
                **sent,  # type: ignore[arg-type]
            ) as answer:
                status, text = answer.status_code, answer_time.body_of(answer, BODY_BYTES_MAX)
        except answer_time.AnswerTooLarge as error:
            raise ResultTooLarge(
                f"Prometheus at {self.shown}: {error}; ask for fewer series, or a shorter time"
            ) from error
        except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise PrometheusUnreachable(
                f"Prometheus at {self.shown} did not answer within {self._timeout_seconds:g} s"
            ) from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise PrometheusUnreachable(
                f"no Prometheus at {self.shown}: {_cause(error)}; is it running there?"
            ) from error
        try:
            body = json.loads(text)
            if body["status"] == "success":
                return body["data"]
            said = f"{body['errorType']}: {body['error']}"
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise PrometheusUnreachable(
                f"{self.shown} answered {status} and nothing of a Prometheus; is this its address?"
            ) from error
        raise QueryRefused(said)

    def _session(self) -> requests.Session:
        """Return the calling thread's session: requests' are not made to be shared."""
        session = getattr(self._sessions, "session", None)
        if session is None:
            session = self._sessions.session = requests.Session()
            session.trust_env = False
            answer_time.use_in(session)
            session.headers["User-Agent"] = "outrider"
        return session


def _results(data: Mapping[str, Any]) -> Iterator[Result]:
    match data["resultType"]:
        case "matrix":
            for each in data["result"]:
                yield Result(each["metric"], tuple((float(at), float(value)) for at, value in each["values"]))
        case "vector":
            for each in data["result"]:
                at, value = each["value"]
                yield Result(each["metric"], ((float(at), float(value)),))
        case "scalar":
            at, value = data["result"]
            yield Result({}, ((float(at), float(value)),))
        case kind:
            raise ValueError(f"a result of type {kind}")


def _cause(error: BaseException) -> str:
    """Return the innermost reason that *error* was raised for, without the objects its text is full of."""
    cause = error
    while cause.__context__ is not None:
        cause = cause.__context__
    return str(getattr(cause, "strerror", None) or type(cause).__name__)

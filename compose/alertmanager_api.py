"""Speaks to Alertmanager's API v2: to the first of a pair that answers, since they tell each other of silences.

Source: Alertmanager's api/v2/openapi.yaml, the same in 0.25 and 0.33 for what is used here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import requests

CONNECT_SECONDS = 3.0
"""How long one that does not answer may take before the next one is asked."""
ANSWER_SECONDS = 10.0
_NO_CONTENT_TO_SHOW = 300


class AlertmanagerError(Exception):
    """No Alertmanager answered, or one refused: one sentence with its address, what it said and the remedy."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on one label: equal to *value*, or different when *is_equal* is False; *is_regex* makes it a pattern."""

    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True

    def __str__(self) -> str:
        sign = {(False, True): "=", (False, False): "!=", (True, True): "=~", (True, False): "!~"}
        return f'{self.name}{sign[self.is_regex, self.is_equal]}"{self.value}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A silence as it is asked for; *id* and *state* are Alertmanager's and empty before that."""

    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    created_by: str
    comment: str
    id: str = ""
    state: str = ""


class Alertmanagers:
    """The Alertmanagers of one configuration, asked in their order until one answers.

    *last* is the address of the one that answered last.
    """

    def __init__(self, urls: Iterable[str]) -> None:
        self._urls = [url.rstrip("/") for url in urls]
        self.last = self._urls[0]

    def send_alert(
        self, labels: Mapping[str, str], annotations: Mapping[str, str], start: datetime, end: datetime
    ) -> None:
        """Post one alert that ends by itself."""
        alert = {
            "labels": dict(labels),
            "annotations": dict(annotations),
            "startsAt": start.isoformat(),
            "endsAt": end.isoformat(),
        }
        self._ask("POST", "/api/v2/alerts", [alert])

    def add_silence(self, silence: Silence) -> str:
        """Post a silence and return its id."""
        body = {
            "matchers": [
                {"name": each.name, "value": each.value, "isRegex": each.is_regex, "isEqual": each.is_equal}
                for each in silence.matchers
            ],
            "startsAt": silence.starts_at.isoformat(),
            "endsAt": silence.ends_at.isoformat(),
            "createdBy": silence.created_by,
            "comment": silence.comment,
        }
        return str(self._ask("POST", "/api/v2/silences", body).json()["silenceID"])

    def silences(self) -> list[Silence]:
        """Return the silences that hold now or will, the one that ends first in front."""
        found = [_silence(each) for each in self._ask("GET", "/api/v2/silences").json()]
        return sorted((each for each in found if each.state != "expired"), key=lambda each: (each.ends_at, each.id))

    def end_silence(self, silence_id: str) -> None:
        """End a silence now."""
        self._ask("DELETE", f"/api/v2/silence/{silence_id}")

    def _ask(self, method: str, path: str, body: Any = None) -> requests.Response:
        """Return the answer of the first that gives one; raise AlertmanagerError when none does, or it refuses."""
        failures = []
        for url in self._urls:
            try:
                answer = requests.request(method, url + path, json=body, timeout=(CONNECT_SECONDS, ANSWER_SECONDS))
            except requests.RequestException as error:
                failures.append(f"{url}: {_cause(error)}")
                continue
            self.last = url
            if answer.status_code >= _NO_CONTENT_TO_SHOW:
                said = " ".join(answer.text.split())[:300]
                raise AlertmanagerError(f"Alertmanager at {url} refused with {answer.status_code}: {said}")
            return answer
        raise AlertmanagerError(f"no Alertmanager answered ({'; '.join(failures)}): is it running there?")


def _cause(error: requests.RequestException) -> str:
    """Return the innermost reason that *error* was raised for, without the objects its text is full of."""
    cause: BaseException = error
    while cause.__context__ is not None:
        cause = cause.__context__
    return getattr(cause, "strerror", None) or type(error).__name__


def _silence(found: dict[str, Any]) -> Silence:
    return Silence(
        id=found["id"],
        state=found["status"]["state"],
        matchers=tuple(
            Matcher(each["name"], each["value"], each["isRegex"], each.get("isEqual", True))
            for each in found["matchers"] or []
        ),
        starts_at=_moment(found["startsAt"]),
        ends_at=_moment(found["endsAt"]),
        created_by=found["createdBy"],
        comment=found["comment"],
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)

"""Answers: JSON as Nomad writes it, the X-Nomad headers, and the routes that give them.

Source: Nomad, command/agent/http.go (setMeta, wrap). Header names are spelt as Go sends them: X-Nomad-Knownleader.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec
from aiohttp import web

from agent.http.api import AgentApi
from agent.http.query import Query
from agent.rpc.methods import Response

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"

_ENCODER = msgspec.json.Encoder()

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer before it is put on the wire. `content_type` may be empty, with an empty body.

    With `parts` the body is what they yield, sent as it comes, and `headers` say its Content-Length.
    """

    body: bytes
    status: int = 200
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    parts: AsyncIterator[bytes] | None = None


Handler = Callable[[AgentApi, web.Request], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Route:
    """A path in aiohttp's notation and what answers it, by method; any other method is refused with 405."""

    path: str
    handlers: Mapping[str, Handler]


def get(path: str, handler: Handler) -> Route:
    """Return a route that only reads."""
    return Route(path, {"GET": handler})


def json_reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Return *value*, made of model structs and plain data, as JSON."""
    return Reply(_ENCODER.encode(value), status, JSON, headers or {})


def text_reply(text: str, status: int, headers: Mapping[str, str] | None = None) -> Reply:
    """Return *text* without a line break at its end, as Nomad's errors are."""
    return Reply(text.encode(), status, TEXT, headers or {})


def read_headers(response: Response) -> dict[str, str]:
    """Return what a read says of its freshness.

    The index is at least 1: a client that asked again with 0 would not wait, and spin.
    """
    return {
        "X-Nomad-Index": str(max(response.index, 1)),
        "X-Nomad-Knownleader": "true" if response.known_leader else "false",
        "X-Nomad-Lastcontact": str(int(response.last_contact_seconds * 1000)),
    }


def write_headers(response: Response) -> dict[str, str]:
    """Return what a write says: the index it got."""
    return {"X-Nomad-Index": str(response.index)}


def indented(body: bytes) -> bytes:
    """Return a JSON *body* as `?pretty` shows it."""
    return json.dumps(json.loads(body), indent=4, ensure_ascii=False).encode()


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Part of a list, and the token that asks for the rest; empty when there is no rest."""

    items: Sequence[Item]
    next_token: str

    def headers(self) -> dict[str, str]:
        """Return the header that carries the token."""
        return {"X-Nomad-Nexttoken": self.next_token} if self.next_token else {}


def paged(items: Sequence[Item], token: Callable[[Item], str], query: Query) -> Page[Item]:
    """Return the page of *items* that *query* asks for; *token* names an item.

    A token whose item is gone since begins at the end of the list: the reader stops instead of starting over.
    """
    start = 0
    if query.next_token:
        start = next((at for at, item in enumerate(items) if token(item) == query.next_token), len(items))
    end = start + query.per_page if query.per_page else len(items)
    following = token(items[end]) if end < len(items) else ""
    return Page(items[start:end], following)

"""Bodies of requests: JSON into the model, with errors in the words Go's decoder uses. Pure but for `read_body`.

Source: encoding/json; bodies recorded from Nomad 2.0.5.
"""

import asyncio
import json
import re
import traceback
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from agent.errors import RequestRefused

T = TypeVar("T", bound=msgspec.Struct)

BODY_TIMEOUT_SECONDS = 30.0
"""For a body to arrive whole; a job is a few kilobytes."""

DEPTH_MAX = 200
"""Levels of nesting in a body; a job has about ten."""

_VALIDATION = re.compile(r"Expected `(?P<want>[^`]*)`(?:, got `(?P<got>[^`]*)`)?(?P<rest>.*)", re.DOTALL)
_PATH = re.compile(r"at `\$\.?(?P<path>[^`]*)`")

_GO_VALUE = {
    "int": "number", "float": "number", "str": "string", "bool": "bool", "object": "object", "array": "array",
}  # fmt: skip
_GO_TYPE = {"str": "string", "int": "int", "float": "float64", "bool": "bool", "object": "map", "array": "slice"}

_CARRIED_UNREAD = frozenset({"Config", "Meta", "Env"})
"""Maps whose null values belong to whoever reads them."""


async def read_body(request: web.Request) -> bytes:
    """Return the whole body; a sender that trickles is refused with 408."""
    try:
        async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
            return await request.read()
    except TimeoutError as error:
        message = f"the body did not arrive within {BODY_TIMEOUT_SECONDS:.0f} s"
        raise RequestRefused(message, 408) from error
    except BaseException as error:
        # Its frames hold what was unpacked, megabytes of a small bomb, until the collector comes to its oldest generation.
        traceback.clear_frames(error.__traceback__)
        raise


def decode_body(body: bytes, kind: type[T]) -> T:
    """Return *body* as a *kind*; null means the zero value, unknown fields are ignored, as in Go.

    Raises RequestRefused with status 400 that names the field.
    """
    try:
        raw = json.loads(body)
    except json.JSONDecodeError as error:
        raise RequestRefused(_syntax_message(body, error), 400) from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise RequestRefused("the body is not JSON in UTF-8 of a sensible depth", 400) from error
    try:
        return msgspec.convert(_without_nulls(raw, DEPTH_MAX), kind)
    except msgspec.ValidationError as error:
        raise RequestRefused(_type_message(str(error), kind.__name__), 400) from error


def _without_nulls(value: Any, depth: int) -> Any:
    """Return *value* without null members of objects, so that each takes its default."""
    if depth == 0:
        raise RequestRefused("the body is nested too deeply", 400)
    match value:
        case dict():
            return {
                key: member if key in _CARRIED_UNREAD else _without_nulls(member, depth - 1)
                for key, member in value.items()
                if member is not None
            }
        case list():
            return [_without_nulls(member, depth - 1) for member in value]
        case _:
            return value


def _syntax_message(body: bytes, error: json.JSONDecodeError) -> str:
    """Return what Go's decoder says where Python's stopped."""
    if not body.strip():
        return "EOF"
    if error.pos >= len(error.doc.rstrip()) or error.msg.startswith("Unterminated string"):
        return "unexpected EOF"
    return f"invalid character {error.doc[error.pos]!r} at line {error.lineno}, column {error.colno}: {error.msg}"


def _type_message(text: str, root: str) -> str:
    """Return msgspec's *text* in Go's words: `json: cannot unmarshal number into Go struct field Job.Job.ID …`."""
    matched = _VALIDATION.match(text)
    found = _PATH.search(text)
    if matched is None or found is None or not found["path"]:
        return f"json: {text}"
    # A path names list members by [...], and the struct that holds the field is the singular of its list.
    path = [re.sub(r"\[.*", "", part) for part in found["path"].split(".")]
    holder = path[-2].removesuffix("s") if len(path) > 1 else root
    got = (matched["got"] or "value").split(" | ", maxsplit=1)[0]
    want = matched["want"].split(" | ", maxsplit=1)[0]
    return (
        f"json: cannot unmarshal {_GO_VALUE.get(got, got)} into Go struct field "
        f"{holder}.{'.'.join(path)} of type {_GO_TYPE.get(want, want)}"
    )

"""The query options that every read of /v1 takes: which state, how fresh, and how long to wait for news.

Source: Nomad, command/agent/http.go (parse) and nomad/rpc.go (blocking queries); HTTP API, "Blocking Queries".
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from agent.config.units import parse_duration
from agent.errors import RequestRefused
from agent.http.api import AgentApi
from agent.model.base import DEFAULT_NAMESPACE

CALL_TIMEOUT_SECONDS = 10.0
"""Of a call, on top of the wait: twice the five seconds that a server holds a call for a leader, so that the
server's own word arrives before this runs out."""

WAIT_DEFAULT_SECONDS = 300.0
WAIT_MAX_SECONDS = 600.0
WAIT_JITTER = 1 / 16
"""The largest share added to a wait, so that queries begun together do not all return together."""

PER_PAGE_MAX = 1_000_000
_INDEX_MAX = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Query:
    """The options of one read. `per_page` 0 means everything."""

    region: str
    namespace: str = DEFAULT_NAMESPACE
    min_query_index: int = 0
    max_query_time_seconds: float = 0.0
    allow_stale: bool = False
    prefix: str = ""
    per_page: int = 0
    next_token: str = ""
    reverse: bool = False

    def options(self) -> dict[str, Any]:
        """Return the fields of an RPC request that say the same."""
        return {
            "region": self.region,
            "namespace": self.namespace,
            "min_query_index": self.min_query_index,
            "max_query_time_seconds": self.max_query_time_seconds,
            "allow_stale": self.allow_stale,
            "prefix": self.prefix,
        }


def read_query(api: AgentApi, request: web.Request) -> Query:
    """Return the options of *request*; raises RequestRefused as `parse_query` does."""
    return parse_query(request.query, api.region, random.random())


def parse_query(params: Mapping[str, str], region: str, jitter: float) -> Query:
    """Return the options in *params*, for an agent of *region*; *jitter* in [0, 1) lengthens a wait.

    Raises RequestRefused: 500 for another region, 400 for an option that cannot be read.
    """
    wanted = params.get("region") or region
    if wanted != region:
        raise RequestRefused("No path to region", 500)
    if params.get("filter"):
        raise RequestRefused("filter expressions are not supported by this agent; leave out the parameter filter", 400)
    index = _index(params)
    return Query(
        region=wanted,
        namespace=params.get("namespace") or DEFAULT_NAMESPACE,
        min_query_index=index,
        max_query_time_seconds=_wait_seconds(params, jitter) if index else 0.0,
        allow_stale=boolean(params, "stale", bare=True),
        prefix=params.get("prefix", ""),
        per_page=_per_page(params),
        next_token=params.get("next_token", ""),
        reverse=boolean(params, "reverse"),
    )


def boolean(params: Mapping[str, str], name: str, *, bare: bool = False) -> bool:
    """Return the option *name*, in Go's spellings of a boolean; *bare* is the value of an option without one."""
    text = params.get(name)
    if text is None:
        return False
    if not text:
        return bare
    if text in {"1", "t", "T", "true", "TRUE", "True"}:
        return True
    if text in {"0", "f", "F", "false", "FALSE", "False"}:
        return False
    raise RequestRefused(f"Expect `true` or `false` for `{name}` query string parameter, got {text}", 400)


def _index(params: Mapping[str, str]) -> int:
    text = params.get("index", "")
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and int(text) <= _INDEX_MAX):
        raise RequestRefused("Invalid index", 400)
    return int(text)


def _wait_seconds(params: Mapping[str, str], jitter: float) -> float:
    text = params.get("wait") or "0"
    # Go reads no bare number here, other than 0.
    if text.isdigit() and text != "0":
        raise RequestRefused("Invalid wait time", 400)
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise RequestRefused("Invalid wait time", 400) from error
    if seconds <= 0:
        seconds = WAIT_DEFAULT_SECONDS
    return min(seconds, WAIT_MAX_SECONDS) * (1 + jitter * WAIT_JITTER)


def _per_page(params: Mapping[str, str]) -> int:
    text = params.get("per_page", "")
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise RequestRefused(f"Expect a number for `per_page` query string parameter, got {text}", 400)
    return min(int(text), PER_PAGE_MAX)

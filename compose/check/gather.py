"""Asks agents and Prometheus over HTTP, and keeps what they said; judges nothing."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import requests

from compose.api_access import named
from compose.check.facts import AgentFacts, PrometheusFacts, RegionFacts, ScrapeTarget
from telemetry.clock import Clock, SystemClock
from telemetry.nomad_api import ApiFailure, ApiSettings, NomadApi, with_overrides
from telemetry.scraped import NotAnExposition, read_exposition

_TIMEOUT_SECONDS = 10.0
_AT_ONCE_MAX = 16


def ask_agent(
    address: str, api: ApiSettings, clock: Clock | None = None, place: str = "", group: str = ""
) -> AgentFacts:
    """Return what the agent at *address*, a URL, says; what it refuses is said in the facts, never raised."""
    clock = clock or SystemClock()
    found: dict[str, Any] = {"place": place or address, "address": address, "group": group}
    with NomadApi(with_overrides(api, {"address": address}), clock=clock) as session:
        found["asked_at"] = clock.wall()
        before = clock.monotonic()
        try:
            answer = session.get("/v1/agent/self")
        except ApiFailure as error:
            found["self_error"] = str(error)
        else:
            found |= {"body": answer.value or {}, "served_at": answer.served_at}
        found["took_seconds"] = clock.monotonic() - before
        try:
            found["scrape"] = read_exposition(session.get_text("/v1/metrics", {"format": "prometheus"}))
        except (ApiFailure, NotAnExposition) as error:
            found["scrape_error"] = str(error)
    facts = AgentFacts(**found)
    return facts if place or not facts.body else AgentFacts(**{**found, "place": f"{facts.name} ({address})"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """An agent that is to be asked: its URL, how findings name it, the region that the settings put it in.

    *server_name* is the name that its certificate must have; empty for its address.
    """

    address: str
    place: str = ""
    group: str = ""
    server_name: str = ""


def ask_agents(wanted: Sequence[Wanted], api: ApiSettings, clock: Clock | None = None) -> tuple[AgentFacts, ...]:
    """Return what each agent says, in the order given; several are asked at a time, as one that hangs costs seconds."""
    if not wanted:
        return ()
    with ThreadPoolExecutor(max_workers=min(_AT_ONCE_MAX, len(wanted)), thread_name_prefix="check") as threads:
        return tuple(
            threads.map(
                lambda each: ask_agent(each.address, named(api, each.server_name), clock, each.place, each.group),
                wanted,
            )
        )


def ask_region(name: str, address: str, api: ApiSettings) -> RegionFacts:
    """Return what the agent at *address* says of its region, called *name*; what it refuses is left empty, with the reason."""
    errors: list[str] = []
    with NomadApi(with_overrides(api, {"address": address})) as session:

        def ask(path: str, empty: Any, *, accept: tuple[int, ...] = ()) -> Any:
            try:
                return session.get(path, accept=accept).value or empty
            except ApiFailure as error:
                errors.append(f"{path}: {error}")
                return empty

        return RegionFacts(
            name=name,
            members=_members_of_region(ask("/v1/agent/members", {})),
            # An unhealthy cluster is answered with 429.
            autopilot=ask("/v1/operator/autopilot/health", {}, accept=(429,)),
            voters=tuple(ask("/v1/operator/raft/configuration", {}).get("Servers") or ()),
            nodes=tuple(ask("/v1/nodes", [])),
            leader=ask("/v1/status/leader", ""),
            errors=tuple(errors),
        )


def _members_of_region(body: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Return the members of the answering agent's own region: federated regions gossip together."""
    region = body.get("ServerRegion")
    members = body.get("Members") or ()
    return tuple(member for member in members if (member.get("Tags") or {}).get("region", region) == region)


def ask_prometheus(url: str, clock: Clock | None = None) -> PrometheusFacts:
    """Return what the Prometheus at *url* says; an error is said in the facts, never raised."""
    clock = clock or SystemClock()
    session = requests.Session()
    session.trust_env = False

    def ask(path: str, params: Mapping[str, str] | None = None) -> Any:
        answer = session.get(
            f"{url.rstrip('/')}/api/v1/{path}", params=params, timeout=_TIMEOUT_SECONDS, allow_redirects=False
        )
        answer.raise_for_status()
        return answer.json()["data"]

    with session:
        try:
            return _prometheus(url, ask, clock)
        except requests.RequestException as error:
            return PrometheusFacts(url=url, error=f"{type(error).__name__}: {error}")
        except (ValueError, KeyError, TypeError) as error:
            return PrometheusFacts(url=url, error=f"its answer is none of Prometheus' API: {error!r}")


def _prometheus(url: str, ask: Callable[..., Any], clock: Clock) -> PrometheusFacts:
    targets = ask("targets", {"state": "active"})["activeTargets"]
    rules = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
    before = clock.wall()
    moment = float(ask("query", {"query": "time()"})["result"][1])
    clock_seconds = moment - (before + clock.wall()) / 2
    return PrometheusFacts(
        url=url,
        targets=tuple(ScrapeTarget.from_body(body) for body in targets),
        rules=tuple(str(rule["name"]) for rule in rules),
        unhealthy_rules=tuple(
            (str(rule["name"]), str(rule.get("lastError", ""))) for rule in rules if rule.get("health") == "err"
        ),
        head_series=int(ask("status/tsdb")["headStats"]["numSeries"]),
        clock_seconds=clock_seconds,
    )
